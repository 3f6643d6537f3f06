//! The frame of a function: what stands before its body, and what of that has to be known.

use proc_macro::{Delimiter, Group, Span, TokenStream, TokenTree};

use crate::template::Problem;

/// A function, taken apart.
pub struct Function {
    /// All that stands before the body.
    head: Vec<TokenTree>,
    pub name: String,
    pub is_async: bool,
    pub returns: Returns,
    pub body: Group,
}

/// What a function returns.
pub enum Returns {
    Nothing,
    /// A type that can be written wherever the function can name it.
    Named(TokenStream),
    /// One that has `impl` in it, or `!`, and can be written there only.
    Unnamed(TokenStream),
}

impl Returns {
    fn has(&self, word: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::Named(tokens) | Self::Unnamed(tokens) => has_word(tokens.clone(), word),
        }
    }

    /// Whether it is a `Pin<Box<dyn Future<…>>>`, as `#[async_trait]` makes them.
    pub fn is_boxed_future(&self) -> bool {
        matches!(self, Self::Named(_)) && ["Pin", "Box", "dyn", "Future"].iter().all(|word| self.has(word))
    }

    /// Whether it is an `impl Future<…>`.
    pub fn is_future(&self) -> bool {
        let Self::Unnamed(tokens) = self else { return false };
        let mut words = tokens.clone().into_iter().map(|token| token.to_string());
        words.next().is_some_and(|first| first == "impl") && self.has("Future")
    }
}

impl Function {
    pub fn read(item: TokenStream) -> Result<Self, Problem> {
        let mut head: Vec<_> = item.into_iter().collect();
        let at = head.first().map_or_else(Span::call_site, TokenTree::span);
        let Some(keyword) = head.iter().position(|token| is_word(token, "fn")) else {
            return Err(Problem::new(at, "`#[traced]` stands before a function"));
        };
        let is_async = head[..keyword].iter().any(|token| is_word(token, "async"));
        if let Some(token) = head[..keyword].iter().find(|token| is_word(token, "const")) {
            return Err(Problem::new(
                token.span(),
                "a `const fn` cannot be traced: it may run in the compiler",
            ));
        }
        let Some(TokenTree::Ident(name)) = head.get(keyword + 1) else {
            return Err(Problem::new(at, "`#[traced]` stands before a function"));
        };
        let name = name.to_string();
        let name = name.strip_prefix("r#").unwrap_or(&name).to_owned();
        let body = match head.pop() {
            Some(TokenTree::Group(body)) if body.delimiter() == Delimiter::Brace => body,
            _ => {
                let problem =
                    "a function without a body cannot be traced: put `#[traced]` before those that implement it";
                return Err(Problem::new(at, problem));
            }
        };
        let returns = returns(&head[keyword + 2..]);
        Ok(Self {
            head,
            name,
            is_async,
            returns,
            body,
        })
    }

    /// The function with another body.
    pub fn with_body(self, body: TokenStream) -> TokenStream {
        let mut replaced = Group::new(Delimiter::Brace, body);
        replaced.set_span(self.body.span());
        self.head.into_iter().chain([TokenTree::Group(replaced)]).collect()
    }
}

/// What follows the name: generics, arguments, what is returned, `where`.
fn returns(tokens: &[TokenTree]) -> Returns {
    let mut depth = Depth::default();
    let arguments = tokens.iter().position(|token| {
        let is_outside = depth.is_outside();
        depth.pass(token);
        is_outside && matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis)
    });
    let rest = arguments.map_or(&[][..], |at| &tokens[at + 1..]);
    // `->` are two tokens.
    let [dash, arrow, rest @ ..] = rest else {
        return Returns::Nothing;
    };
    if !is_sign(dash, '-') || !is_sign(arrow, '>') {
        return Returns::Nothing;
    }
    let mut depth = Depth::default();
    let end = rest.iter().position(|token| {
        let is_end = depth.is_outside() && is_word(token, "where");
        depth.pass(token);
        is_end
    });
    let named: TokenStream = rest[..end.unwrap_or(rest.len())].iter().cloned().collect();
    let is_never = matches!(&rest[..1], [token] if is_sign(token, '!'));
    match has_word(named.clone(), "impl") || is_never {
        true => Returns::Unnamed(named),
        false => Returns::Named(named),
    }
}

/// How many angle brackets are open; they are no groups of tokens.
#[derive(Default)]
struct Depth {
    open: usize,
    is_after_dash: bool,
}

impl Depth {
    fn is_outside(&self) -> bool {
        self.open == 0
    }

    fn pass(&mut self, token: &TokenTree) {
        if is_sign(token, '<') {
            self.open += 1;
        } else if is_sign(token, '>') && !self.is_after_dash {
            self.open = self.open.saturating_sub(1);
        }
        self.is_after_dash = is_sign(token, '-');
    }
}

fn is_word(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident.to_string() == word)
}

fn is_sign(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

fn has_word(tokens: TokenStream, word: &str) -> bool {
    tokens.into_iter().any(|token| match &token {
        TokenTree::Group(group) => has_word(group.stream(), word),
        token => is_word(token, word),
    })
}
