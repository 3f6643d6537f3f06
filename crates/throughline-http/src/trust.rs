//! How far a server believes what callers say of themselves.

use throughline::{Context, SpanBuilder};

/// What a server does with the trace context that a request brings.
///
/// | choice | the SERVER span is | baggage and tracestate of the caller |
/// |---|---|---|
/// | `Trust` | a child of the caller's span; the caller's sampling decision counts | go on |
/// | `Link` | the root of a new trace, with a link to the caller's span | do not |
/// | `Ignore` | the root of a new trace | do not |
///
/// Choose `Link` or `Ignore` where anybody may call: a public listener. `client.address`, `server.address` and `url.scheme` are
/// taken from `Forwarded` and `X-Forwarded-*` only with `Trust`.
///
/// ```
/// use throughline_http::{ServerLayer, Trust};
///
/// let public = ServerLayer::new().trust(Trust::Link);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trust {
    /// Continue the caller's trace. The default.
    #[default]
    Trust,
    /// Begin a trace, and link the caller's span.
    Link,
    /// Begin a trace.
    Ignore,
}

impl Trust {
    /// Gives the span of a server its parent or its link.
    pub(crate) fn apply<'a>(self, span: SpanBuilder<'a>, caller: &'a Context) -> SpanBuilder<'a> {
        match self {
            Self::Trust => span.parent(caller),
            // Baggage alone is nothing to link.
            Self::Link if caller.span_context().is_some() => span.parent(None).link(caller),
            Self::Link | Self::Ignore => span.parent(None),
        }
    }
}
