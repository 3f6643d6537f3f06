//! A span that a test looks at.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use throughline_wire::any_value::KeyValues;
use throughline_wire::{AnyValueView, EventView, LinkView, SpanId, SpanKind, SpanView, StatusCode, TraceId};

use super::text;

/// A copy of a span, as it is sent to backends; from [`Capture::spans`](super::Capture::spans).
///
/// One that has not ended holds what it held when it started: not the attributes of [`span!`](crate::span!), which are set behind
/// that.
///
/// ```
/// use throughline::{AnyValueView, SpanKind, StatusCode, event, span, testing};
///
/// let capture = testing::capture();
/// let charge = span!(kind: Client, "charge", order.id = 7).enter();
/// event!("retry", attempt = 2);
/// charge.status_error("declined");
/// drop(charge);
///
/// let charge = capture.span("charge");
/// assert_eq!(charge.kind(), SpanKind::Client);
/// assert!(matches!(charge.attribute("order.id"), Some(AnyValueView::I64(7))));
/// assert_eq!(charge.status(), (StatusCode::Error, "declined"));
/// assert_eq!(charge.events().map(|event| event.name()).collect::<Vec<_>>(), ["retry"]);
/// assert!(charge.parent_span_id().is_none());
/// ```
#[derive(Clone)]
pub struct CapturedSpan {
    /// An OTLP `Span`.
    body: Arc<[u8]>,
    has_ended: bool,
}

impl CapturedSpan {
    pub(super) fn new(span: &SpanView<'_>, has_ended: bool) -> Self {
        Self {
            body: span.as_bytes().into(),
            has_ended,
        }
    }

    /// All that it holds.
    #[must_use]
    pub fn view(&self) -> SpanView<'_> {
        SpanView::new(&self.body)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.view().name()
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> SpanKind {
        self.view().kind()
    }

    /// The id of its trace.
    #[must_use]
    pub fn trace_id(&self) -> TraceId {
        self.view().trace_id().expect("only spans that have one are captured")
    }

    /// Its id.
    #[must_use]
    pub fn span_id(&self) -> SpanId {
        self.view().span_id().expect("only spans that have one are captured")
    }

    /// The id of its parent; `None` for a root.
    #[must_use]
    pub fn parent_span_id(&self) -> Option<SpanId> {
        self.view().parent_span_id()
    }

    /// Its attributes in their order.
    #[must_use]
    pub fn attributes(&self) -> KeyValues<'_> {
        self.view().attributes()
    }

    /// The value of one attribute.
    #[must_use]
    pub fn attribute(&self, key: &str) -> Option<AnyValueView<'_>> {
        self.view().attribute(key)
    }

    /// Its events in their order.
    pub fn events(&self) -> impl Iterator<Item = EventView<'_>> + Clone {
        self.view().events()
    }

    /// Its links in their order.
    pub fn links(&self) -> impl Iterator<Item = LinkView<'_>> + Clone {
        self.view().links()
    }

    /// Its status and the message.
    #[must_use]
    pub fn status(&self) -> (StatusCode, &str) {
        self.view().status()
    }

    /// Whether its status is an error.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.status().0 == StatusCode::Error
    }

    /// Whether it has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// When it started.
    #[must_use]
    pub fn start_time(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(self.view().start_time_unix_nano())
    }

    /// When it ended; `None` when it has not.
    #[must_use]
    pub fn end_time(&self) -> Option<SystemTime> {
        let end = SystemTime::UNIX_EPOCH + Duration::from_nanos(self.view().end_time_unix_nano());
        self.has_ended.then_some(end)
    }
}

impl fmt::Debug for CapturedSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text::line(self, true))
    }
}
