//! The frame of a function: what stands before its body, and what of that has to be known.

use proc_macro::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};

use crate::template::Problem;

/// A function, taken apart.
pub struct Function {
    /// All that stands before the body.
    head: Vec<TokenTree>,
    pub name: String,
    pub is_async: bool,
    pub returns: Returns,
    body: Group,
}

/// What a function returns.
pub enum Returns {
    Nothing,
    /// A type, with `_` where it says `impl …`.
    Type(TokenStream),
    /// An `impl …` that is no future, or `!`.
    Opaque,
    /// An `impl Future<…>`, and the type of what comes of it.
    Future(TokenStream),
    /// A `Pin<Box<dyn Future<…>>>`, as `#[async_trait]` makes them, or a `BoxFuture`.
    BoxedFuture(TokenStream),
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
        let body = match head.pop().map(unwrapped) {
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

    /// The attributes of the body's own (`#![…]`), and the rest of it.
    pub fn body(&self) -> (TokenStream, TokenStream) {
        let tokens: Vec<_> = self.body.stream().into_iter().collect();
        let mut end = 0;
        while let [hash, bang, TokenTree::Group(_), ..] = &tokens[end..] {
            if !is_sign(hash, '#') || !is_sign(bang, '!') {
                break;
            }
            end += 3;
        }
        let (attributes, rest) = tokens.split_at(end);
        (attributes.iter().cloned().collect(), rest.iter().cloned().collect())
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
    let named: Vec<_> = flattened(&rest[..end.unwrap_or(rest.len())]);
    match &named[..] {
        [first, ..] if is_sign(first, '!') => Returns::Opaque,
        [first, bounds @ ..] if is_word(first, "impl") => {
            match bounds_of(bounds).find(|bound| last_name(bound) == "Future") {
                Some(future) => Returns::Future(output_of(future)),
                None => Returns::Opaque,
            }
        }
        named => match is_boxed_future(named) {
            true => Returns::BoxedFuture(without_impl(named)),
            false => Returns::Type(without_impl(named)),
        },
    }
}

/// The `T` of `Future<Output = T>`; `_` where it is not said.
fn output_of(future: &[TokenTree]) -> TokenStream {
    let equals = future.iter().position(|token| is_sign(token, '='));
    let inner = equals.map_or(&[][..], |at| &future[at + 1..]);
    let mut depth = Depth::default();
    let end = inner.iter().position(|token| {
        let is_end = depth.is_outside() && (is_sign(token, ',') || is_sign(token, '>') && !depth.is_after_dash);
        depth.pass(token);
        is_end
    });
    match &inner[..end.unwrap_or(inner.len())] {
        [] => TokenTree::Ident(Ident::new("_", Span::call_site())).into(),
        output => without_impl(output),
    }
}

/// `BoxFuture<'a, T>`, or `Pin<Box<dyn Future<Output = T> + …>>`, by whatever path.
fn is_boxed_future(named: &[TokenTree]) -> bool {
    if ["BoxFuture", "LocalBoxFuture"].contains(&&*last_name(named)) {
        return true;
    }
    let inner = arguments_of(named, "Pin").and_then(|inner| arguments_of(inner, "Box"));
    match inner {
        Some([first, bounds @ ..]) if is_word(first, "dyn") => {
            bounds_of(bounds).any(|bound| last_name(bound) == "Future")
        }
        _ => false,
    }
}

/// What stands between the angle brackets of a type of this name.
fn arguments_of<'a>(named: &'a [TokenTree], name: &str) -> Option<&'a [TokenTree]> {
    let open = named.iter().position(|token| is_sign(token, '<'))?;
    let is_all = named.last().is_some_and(|last| is_sign(last, '>'));
    (is_all && last_name(named) == name).then(|| &named[open + 1..named.len() - 1])
}

/// The parts between `+`.
fn bounds_of(tokens: &[TokenTree]) -> impl Iterator<Item = &[TokenTree]> {
    let mut depth = Depth::default();
    tokens.split(move |token| {
        let is_between = depth.is_outside() && is_sign(token, '+');
        depth.pass(token);
        is_between
    })
}

/// The last name of the path that this begins with, `Future` of `std::future::Future<Output = u8>`.
fn last_name(tokens: &[TokenTree]) -> String {
    let path = tokens
        .iter()
        .take_while(|token| matches!(token, TokenTree::Ident(_)) || is_sign(token, ':'));
    path.filter(|token| !is_sign(token, ':'))
        .last()
        .map_or_else(String::new, TokenTree::to_string)
}

/// The type with `_` for each `impl …` in it, up to the comma or bracket that ends that.
fn without_impl(tokens: &[TokenTree]) -> TokenStream {
    let mut out = TokenStream::new();
    let mut tokens = tokens.iter().peekable();
    while let Some(token) = tokens.next() {
        if is_word(token, "impl") {
            let mut depth = Depth::default();
            out.extend([TokenTree::Ident(Ident::new("_", token.span()))]);
            let mut is_within = |token: &&TokenTree| {
                let ends = is_sign(token, ',') || is_sign(token, '>') && !depth.is_after_dash;
                let is_within = !depth.is_outside() || !ends;
                depth.pass(token);
                is_within
            };
            while tokens.next_if(|token| is_within(token)).is_some() {}
            continue;
        }
        out.extend([match token {
            TokenTree::Group(group) => {
                let inner: Vec<_> = group.stream().into_iter().collect();
                let mut replaced = Group::new(group.delimiter(), without_impl(&inner));
                replaced.set_span(group.span());
                TokenTree::Group(replaced)
            }
            token => token.clone(),
        }]);
    }
    out
}

/// The tokens without the invisible groups that a `macro_rules!` puts around what it was given.
fn flattened(tokens: &[TokenTree]) -> Vec<TokenTree> {
    let mut out = Vec::with_capacity(tokens.len());
    for token in tokens {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::None => {
                out.extend(flattened(&group.stream().into_iter().collect::<Vec<_>>()));
            }
            token => out.push(token.clone()),
        }
    }
    out
}

/// What an invisible group around one token holds.
fn unwrapped(token: TokenTree) -> TokenTree {
    match &token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::None => {
            let mut inner = group.stream().into_iter();
            match (inner.next(), inner.next()) {
                (Some(only), None) => unwrapped(only),
                _ => token,
            }
        }
        _ => token,
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
