//! Requests of a server whose protocol is one's own.

use throughline::{Span, SpanKind, span};

use crate::{Operation, RequestKey};

/// A route key that is not known, in the name of a span and in the longest that is recorded.
const UNKNOWN: &str = "unknown route";
const MAX_ROUTE: usize = 256;

/// A request of a server that speaks a protocol of its own: TCP, UDP, Unix sockets.
///
/// Its span is of kind `Server`, named by the route key, and the child of the caller's span, which the [`RequestKey`] names. It has the
/// attributes `request.trace_id` (as a UUID), `request.span_id` and `request.route_key`.
///
/// ```
/// use throughline_jobs::{Request, RequestKey};
///
/// let capture = throughline::testing::capture();
/// let key: RequestKey = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736:00f067aa0ba902b7".parse()?;
/// let answer = Request::new(key, "report.create").serve().run(|| Err::<(), _>("no such report"));
/// assert!(capture.span("report.create").is_error());
/// # Ok::<(), throughline_jobs::InvalidRequestKey>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    key: RequestKey,
    route: &'a str,
    is_known: bool,
}

impl<'a> Request<'a> {
    /// A request with this key to a route that the server has.
    #[must_use]
    pub fn new(key: RequestKey, route: &'a str) -> Self {
        Self {
            key,
            route,
            is_known: true,
        }
    }

    /// A request to a route that the server does not have. Its span is an error, named `unknown route`: what a caller writes names no span.
    #[must_use]
    pub fn unknown(key: RequestKey, route: &'a str) -> Self {
        Self {
            is_known: false,
            ..Self::new(key, route)
        }
    }

    /// Starts its span: `request.serve().run(|| …)`, or `run_async`. What the handler returns decides on the status; so does a panic.
    pub fn serve(&self) -> Operation {
        let name = if self.is_known { self.route } else { UNKNOWN };
        let mut span = span!(
            parent: &self.key.context(),
            kind: (SpanKind::Server),
            name,
            request.route_key = cut(self.route),
        );
        describe(&mut span, self.key);
        if !self.is_known {
            span.set("error.type", "unknown_route");
            span.status_error("");
        }
        Operation::new(span)
    }
}

/// The attributes of a key.
pub(crate) fn describe(span: &mut Span, key: RequestKey) {
    if span.is_recording() {
        span.set("request.trace_id", key.uuid());
        span.set("request.span_id", throughline::display(key.span_id()));
    }
}

fn cut(route: &str) -> &str {
    let mut end = route.len().min(MAX_ROUTE);
    while !route.is_char_boundary(end) {
        end -= 1;
    }
    &route[..end]
}
