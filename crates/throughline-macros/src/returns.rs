//! What a function returns, as far as it can be told from how it is written.

use proc_macro::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};

use crate::tokens::{Depth, flattened, is_sign, is_word};

/// What a function returns.
pub enum Returns {
    Nothing,
    /// A type, with `_` where it says `impl …`.
    Type(TokenStream),
    /// An `impl …` that is neither a future nor a stream, or `!`.
    Opaque,
    /// An `impl Future<…>`, and the type of what comes of it.
    Future(TokenStream),
    /// A `Pin<Box<dyn Future<…>>>`, as `#[async_trait]` makes them, or a `BoxFuture`.
    BoxedFuture(TokenStream),
    /// An `impl Stream<…>`, and the type of its items.
    Stream(TokenStream),
    /// A `Pin<Box<dyn Stream<…>>>`, or a `BoxStream`.
    BoxedStream(TokenStream),
}

impl Returns {
    /// The type that is returned, as it is written in what follows the name: generics, arguments, `-> Type`, `where`. Nothing where none
    /// is written.
    pub fn written(tokens: &[TokenTree]) -> Vec<TokenTree> {
        let mut depth = Depth::default();
        let arguments = tokens.iter().position(|token| {
            let is_outside = depth.is_outside();
            depth.pass(token);
            is_outside && matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis)
        });
        let rest = arguments.map_or(&[][..], |at| &tokens[at + 1..]);
        // `->` are two tokens.
        let rest = match rest {
            [dash, arrow, rest @ ..] if is_sign(dash, '-') && is_sign(arrow, '>') => rest,
            _ => return Vec::new(),
        };
        let mut depth = Depth::default();
        let end = rest.iter().position(|token| {
            let is_end = depth.is_outside() && is_word(token, "where");
            depth.pass(token);
            is_end
        });
        flattened(&rest[..end.unwrap_or(rest.len())])
    }

    /// What a type is, by how it is written.
    pub fn of(named: &[TokenTree]) -> Self {
        match named {
            [] => Self::Nothing,
            [first, ..] if is_sign(first, '!') => Self::Opaque,
            [first, bounds @ ..] if is_word(first, "impl") => {
                let bound = |name| bounds_of(bounds).find(|bound| last_name(bound) == name);
                match (bound("Future"), bound("Stream")) {
                    (Some(future), _) => Self::Future(output_of(future)),
                    (None, Some(stream)) => Self::Stream(output_of(stream)),
                    (None, None) => Self::Opaque,
                }
            }
            named if is_boxed(named, "Future", ["BoxFuture", "LocalBoxFuture"]) => {
                Self::BoxedFuture(without_impl(named))
            }
            named if is_boxed(named, "Stream", ["BoxStream", "LocalBoxStream"]) => {
                Self::BoxedStream(without_impl(named))
            }
            named => Self::Type(without_impl(named)),
        }
    }
}

/// The `T` of `Future<Output = T>` or `Stream<Item = T>`; `_` where it is not said.
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

/// `BoxFuture<'a, T>`, or `Pin<Box<dyn Future<Output = T> + …>>`, by whatever path; or the same of a stream.
fn is_boxed(named: &[TokenTree], of: &str, by_name: [&str; 2]) -> bool {
    if by_name.contains(&&*last_name(named)) {
        return true;
    }
    let inner = arguments_of(named, "Pin").and_then(|inner| arguments_of(inner, "Box"));
    match inner {
        Some([first, bounds @ ..]) if is_word(first, "dyn") => bounds_of(bounds).any(|bound| last_name(bound) == of),
        _ => false,
    }
}

/// What stands between the angle brackets of a type of this name.
pub fn arguments_of<'a>(named: &'a [TokenTree], name: &str) -> Option<&'a [TokenTree]> {
    let open = named.iter().position(|token| is_sign(token, '<'))?;
    let is_all = named.last().is_some_and(|last| is_sign(last, '>'));
    (is_all && last_name(named) == name).then(|| &named[open + 1..named.len() - 1])
}

/// The parts between `+`.
pub fn bounds_of(tokens: &[TokenTree]) -> impl Iterator<Item = &[TokenTree]> {
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
pub fn without_impl(tokens: &[TokenTree]) -> TokenStream {
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
