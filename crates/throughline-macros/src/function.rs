//! The frame of a function: what stands before its body, and what of that has to be known.

use proc_macro::{Delimiter, Group, Span, TokenStream, TokenTree};

use crate::closure::Closure;
use crate::returns::Returns;
use crate::template::Problem;
use crate::tokens::{is_sign, is_word, unwrapped};

/// A function, taken apart.
pub struct Function {
    /// All that stands before the body.
    head: Vec<TokenTree>,
    /// Where its name is in that.
    name_at: usize,
    pub name: String,
    pub is_async: bool,
    pub returns: Returns,
    body: Group,
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
        let returns = Returns::of(&Returns::written(&head[keyword + 2..]));
        Ok(Self {
            head,
            name_at: keyword + 1,
            name,
            is_async,
            returns,
            body,
        })
    }

    /// The closure that it returns. `at` is where somebody says that it does.
    pub fn closure(&self, at: Span) -> Result<Closure, Problem> {
        Closure::read(&Returns::written(&self.head[self.name_at + 1..])).ok_or_else(|| {
            let problem = "`calls` is for functions that return a closure: `impl Fn(…)`, `impl FnMut(…)`, `impl FnOnce(…)`, or one of \
                           these in a `Box<dyn …>`";
            Problem::new(at, problem)
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
