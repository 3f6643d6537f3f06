//! Looking at tokens.

use proc_macro::{Delimiter, TokenTree};

/// The tokens without the invisible groups that a `macro_rules!` puts around what it was given.
pub fn flattened(tokens: &[TokenTree]) -> Vec<TokenTree> {
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
pub fn unwrapped(token: TokenTree) -> TokenTree {
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
pub struct Depth {
    open: usize,
    pub is_after_dash: bool,
}

impl Depth {
    pub fn is_outside(&self) -> bool {
        self.open == 0
    }

    pub fn pass(&mut self, token: &TokenTree) {
        if is_sign(token, '<') {
            self.open += 1;
        } else if is_sign(token, '>') && !self.is_after_dash {
            self.open = self.open.saturating_sub(1);
        }
        self.is_after_dash = is_sign(token, '-');
    }
}

pub fn is_word(token: &TokenTree, word: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident.to_string() == word)
}

pub fn is_sign(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}
