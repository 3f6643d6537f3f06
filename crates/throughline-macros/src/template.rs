//! Code with names that stand for other code.

use proc_macro::{Group, Ident, Literal, Punct, Spacing, Span, TokenStream, TokenTree};

/// The code of a template, with the tokens of each name in its place. Those keep where they come from, so that the compiler
/// points to what the user wrote.
pub fn fill(template: &str, names: &[(&str, TokenStream)]) -> TokenStream {
    let code = template.parse().expect("a template of this crate is code");
    replace(code, names)
}

fn replace(code: TokenStream, names: &[(&str, TokenStream)]) -> TokenStream {
    let mut out = TokenStream::new();
    for token in code {
        match token {
            TokenTree::Group(group) => {
                let inner = replace(group.stream(), names);
                let mut replaced = Group::new(group.delimiter(), inner);
                replaced.set_span(group.span());
                out.extend([TokenTree::Group(replaced)]);
            }
            TokenTree::Ident(ident) => {
                let name = ident.to_string();
                match names.iter().find(|(other, _)| *other == name) {
                    Some((_, tokens)) => out.extend(tokens.clone()),
                    None => out.extend([TokenTree::Ident(ident)]),
                }
            }
            token => out.extend([token]),
        }
    }
    out
}

/// What is wrong, and where.
pub struct Problem {
    at: Span,
    text: String,
}

impl Problem {
    pub fn new(at: Span, text: impl Into<String>) -> Self {
        Self { at, text: text.into() }
    }

    /// `::core::compile_error!("…");` at the place.
    pub fn into_tokens(self) -> TokenStream {
        let colon = |spacing| TokenTree::Punct(Punct::new(':', spacing));
        let name = |name: &str| TokenTree::Ident(Ident::new(name, self.at));
        let text = TokenTree::Literal(Literal::string(&self.text));
        let tokens = [
            colon(Spacing::Joint),
            colon(Spacing::Alone),
            name("core"),
            colon(Spacing::Joint),
            colon(Spacing::Alone),
            name("compile_error"),
            TokenTree::Punct(Punct::new('!', Spacing::Alone)),
            TokenTree::Group(Group::new(proc_macro::Delimiter::Brace, text.into())),
        ];
        let at = |mut token: TokenTree| {
            token.set_span(self.at);
            token
        };
        tokens.into_iter().map(at).collect()
    }
}
