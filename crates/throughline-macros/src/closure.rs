//! Closures that a function returns.

use proc_macro::{Delimiter, TokenStream, TokenTree};

use crate::returns::{Returns, arguments_of, bounds_of, without_impl};
use crate::template::fill;
use crate::tokens::{Depth, flattened, is_sign, is_word};

/// A closure, by what is written of it: `impl Fn(u8, &str) -> String`, or the same in a `Box<dyn …>`.
pub struct Closure {
    pub calls_by: CallsBy,
    /// How many there are.
    pub arguments: usize,
    pub returns: Returns,
    /// The type, where it is in a box.
    pub boxed: Option<TokenStream>,
}

/// How a call takes the closure.
#[derive(Clone, Copy)]
pub enum CallsBy {
    /// `Fn`
    Reference,
    /// `FnMut`
    MutableReference,
    /// `FnOnce`
    Value,
}

impl Closure {
    /// `None`: it is no closure that is returned.
    pub fn read(named: &[TokenTree]) -> Option<Self> {
        match named {
            [first, bounds @ ..] if is_word(first, "impl") => Self::of_bounds(bounds, None),
            _ => match arguments_of(named, "Box")? {
                [first, bounds @ ..] if is_word(first, "dyn") => Self::of_bounds(bounds, Some(without_impl(named))),
                _ => None,
            },
        }
    }

    fn of_bounds(bounds: &[TokenTree], boxed: Option<TokenStream>) -> Option<Self> {
        let (calls_by, rest) = bounds_of(bounds).find_map(trait_and_rest)?;
        let [TokenTree::Group(arguments), rest @ ..] = rest else {
            return None;
        };
        if arguments.delimiter() != Delimiter::Parenthesis {
            return None;
        }
        let returns = match rest {
            [dash, arrow, output @ ..] if is_sign(dash, '-') && is_sign(arrow, '>') => match Returns::of(output) {
                // Lifetimes of `for<'a>` have no name in the body of a closure.
                Returns::BoxedFuture(_) => Returns::BoxedFuture(fill("_", &[])),
                Returns::BoxedStream(_) => Returns::BoxedStream(fill("_", &[])),
                _ => Returns::Type(fill("_", &[])),
            },
            _ => Returns::Nothing,
        };
        Some(Self {
            calls_by,
            arguments: number_of(&flattened(&arguments.stream().into_iter().collect::<Vec<_>>())),
            returns,
            boxed,
        })
    }
}

/// The trait of closures that a bound names, by whatever path and with whatever `for<'a>` before it, and what is behind it.
fn trait_and_rest(bound: &[TokenTree]) -> Option<(CallsBy, &[TokenTree])> {
    let mut depth = Depth::default();
    bound.iter().enumerate().find_map(|(at, token)| {
        let is_outside = depth.is_outside();
        depth.pass(token);
        let calls_by = match token {
            TokenTree::Ident(name) if is_outside => match &*name.to_string() {
                "Fn" => CallsBy::Reference,
                "FnMut" => CallsBy::MutableReference,
                "FnOnce" => CallsBy::Value,
                _ => return None,
            },
            _ => return None,
        };
        Some((calls_by, &bound[at + 1..]))
    })
}

/// How many types there are between commas.
fn number_of(types: &[TokenTree]) -> usize {
    let mut depth = Depth::default();
    let parts = types.split(|token| {
        let is_comma = depth.is_outside() && is_sign(token, ',');
        depth.pass(token);
        is_comma
    });
    parts.filter(|part| !part.is_empty()).count()
}
