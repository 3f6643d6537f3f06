//! Ids in the lines of `tracing_subscriber::fmt`, whatever formats them.

use std::fmt::{self, Write};
use std::sync::Arc;

use tracing_core::span::Id;
use tracing_core::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::log_ids::LogIds;
use crate::registries::{self, Spans};
use crate::slot;

/// Puts `trace_id=… span_id=…` before each line of a formatter that writes text. A line outside any span stays as it is.
///
/// The ids are those of the event's own span, as they are exported or, of a trace that is not sampled, passed on; also where a span
/// of Throughline is current that `tracing` knows nothing of.
///
/// ```
/// use tracing_subscriber::fmt;
/// use tracing_subscriber::layer::SubscriberExt as _;
///
/// let subscriber = tracing_subscriber::registry()
///     .with(throughline_tracing::layer())
///     .with(fmt::layer().map_event_format(throughline_tracing::text_with_ids));
/// ```
pub fn text_with_ids<F>(format: F) -> TextWithIds<F> {
    TextWithIds(format)
}

/// Puts `"trace_id":"…","span_id":"…"` first into each line of a formatter that writes a JSON object. A line outside any span stays as
/// it is.
///
/// The line is written once: the two keys take the place of its opening brace, so that they stand at the top whatever else it has. For
/// the rest see [`text_with_ids`].
///
/// ```
/// use tracing_subscriber::fmt;
/// use tracing_subscriber::layer::SubscriberExt as _;
///
/// let subscriber = tracing_subscriber::registry()
///     .with(throughline_tracing::layer())
///     .with(fmt::layer().json().map_event_format(throughline_tracing::json_with_ids));
/// ```
pub fn json_with_ids<F>(format: F) -> JsonWithIds<F> {
    JsonWithIds(format)
}

/// Made by [`text_with_ids`].
#[derive(Clone, Copy, Debug)]
pub struct TextWithIds<F>(F);

/// Made by [`json_with_ids`].
#[derive(Clone, Copy, Debug)]
pub struct JsonWithIds<F>(F);

impl<S, N, F> FormatEvent<S, N> for TextWithIds<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        if let Some(ids) = ids_of(context, event) {
            write!(writer, "{ids} ")?;
        }
        self.0.format_event(context, writer, event)
    }
}

impl<S, N, F> FormatEvent<S, N> for JsonWithIds<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let Some(ids) = ids_of(context, event) else {
            return self.0.format_event(context, writer, event);
        };
        let mut object = Object {
            writer: &mut writer,
            ids,
            state: State::Before,
        };
        self.0.format_event(context, Writer::new(&mut object), event)
    }
}

/// The ids of the event's own span: the one it names, else the current one.
fn ids_of<S, N>(context: &FmtContext<'_, S, N>, event: &Event<'_>) -> Option<LogIds>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    match event.parent() {
        None if event.is_root() => None,
        None => LogIds::current(),
        Some(id) => named(context, id),
    }
}

fn named<S, N>(context: &FmtContext<'_, S, N>, id: &Id) -> Option<LogIds>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    let span = context.span(id);
    // Nobody says whose id it is: the span itself does by its callsite, and its nearest ancestor that is kept.
    let kept = span.iter().flat_map(|span| span.scope()).find_map(|span| {
        let find = |spans: &Arc<Spans>| spans.find_made_at(&span.id(), span.metadata());
        registries::all()
            .iter()
            .rev()
            .find_map(find)
            .map(|handle| (handle, span.id() == *id))
    });
    let closed = span.and_then(|span| slot::closed(id.into_u64(), span.metadata()));
    let ids = match (kept, closed) {
        // It is about the end of the span.
        (None | Some((_, false)), Some(ids)) => ids,
        (Some((handle, _)), _) => handle.see()?.0,
        (None, None) => return None,
    };
    LogIds::of_ids(ids)
}

/// Takes a JSON object and writes it on with two more keys.
struct Object<'a, 'w> {
    writer: &'a mut Writer<'w>,
    ids: LogIds,
    state: State,
}

/// What was seen of the object.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing but white space.
    Before,
    /// Its brace, which is held back.
    Opened,
    /// More.
    Inside,
}

impl Write for Object<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        if self.state == State::Before {
            let begun = text.trim_start();
            let Some(after) = begun.strip_prefix('{') else {
                if !begun.is_empty() {
                    // It is no object.
                    self.state = State::Inside;
                }
                return self.writer.write_str(text);
            };
            self.writer.write_str(&text[..text.len() - begun.len()])?;
            self.state = State::Opened;
            rest = after;
        }
        if self.state == State::Opened {
            let Some(first) = rest.trim_start().chars().next() else {
                return Ok(());
            };
            let (trace_id, span_id) = (self.ids.trace_id(), self.ids.span_id());
            write!(self.writer, r#"{{"trace_id":"{trace_id}","span_id":"{span_id}""#)?;
            if first != '}' {
                self.writer.write_char(',')?;
            }
            self.state = State::Inside;
        }
        self.writer.write_str(rest)
    }
}
