//! The ids of a span as they stand in a log line.

use std::fmt;

use throughline::{Context, SpanId, TraceId};

/// A span's ids as a log line says them: `trace_id=4bf9… span_id=00f0…`.
///
/// For loggers that do not come by `tracing`: [`LogIds::current`] is what is current on this thread, whoever made it. Of a span that is
/// not sampled they are the ids that are passed on.
///
/// With `log` and a logger such as `env_logger`:
///
/// ```
/// use std::io::Write as _;
///
/// fn format(out: &mut impl std::io::Write, record: &log::Record<'_>) -> std::io::Result<()> {
///     if let Some(ids) = throughline_tracing::LogIds::current() {
///         write!(out, "{ids} ")?;
///     }
///     writeln!(out, "{} {}", record.level(), record.args())
/// }
/// # let capture = throughline::testing::capture();
/// # let span = throughline::span!("order").enter();
/// # let mut line = Vec::new();
/// # format(&mut line, &log::Record::builder().args(format_args!("paid")).build()).unwrap();
/// # let id = span.context().trace_id().unwrap();
/// # assert!(String::from_utf8(line).unwrap().starts_with(&format!("trace_id={id} span_id=")));
/// ```
///
/// With `slog`, as values of the root logger that are asked for each record:
///
/// ```
/// use slog::{FnValue, Record, o};
/// use throughline_tracing::LogIds;
///
/// # let drain = slog::Discard;
/// let logger = slog::Logger::root(drain, o!(
///     "trace_id" => FnValue(|_: &Record<'_>| LogIds::current().map(|ids| ids.trace_id().to_string())),
///     "span_id" => FnValue(|_: &Record<'_>| LogIds::current().map(|ids| ids.span_id().to_string())),
/// ));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogIds {
    trace_id: TraceId,
    span_id: SpanId,
}

impl LogIds {
    /// Those of the span that is current on this thread; `None` when there is none.
    #[must_use]
    pub fn current() -> Option<Self> {
        Self::of_ids(throughline_context::ids())
    }

    /// Those of a context; `None` of an empty one.
    #[must_use]
    pub fn of(context: &Context) -> Option<Self> {
        Self::of_ids(throughline::seam::ids(context))
    }

    pub(crate) fn of_ids(ids: throughline_context::Ids) -> Option<Self> {
        Some(Self {
            trace_id: TraceId::from_bytes(ids.trace_id())?,
            span_id: SpanId::from_bytes(ids.span_id())?,
        })
    }

    /// The trace's id.
    #[must_use]
    pub fn trace_id(&self) -> TraceId {
        self.trace_id
    }

    /// The span's id.
    #[must_use]
    pub fn span_id(&self) -> SpanId {
        self.span_id
    }
}

impl fmt::Display for LogIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "trace_id={} span_id={}", self.trace_id, self.span_id)
    }
}
