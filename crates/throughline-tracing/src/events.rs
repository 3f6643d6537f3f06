//! Events of `tracing` as events of spans.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use throughline::seam::ErrorText;
use throughline::{Span, Value};
use tracing_core::{Event, Level, Metadata};
use tracing_log::NormalizeEvent;

use crate::entered;
use crate::fields::{Fields, Visitor};
use crate::settings::Settings;
use crate::slot::Handle;
use crate::spans::exception;

static OUTSIDE: AtomicU64 = AtomicU64::new(0);

/// How many events there were outside any span, so far in this process: they are in no trace.
///
/// Those of spans that are not sampled do not count, nor do those that a filter leaves out.
///
/// ```
/// use tracing_subscriber::layer::SubscriberExt as _;
///
/// let subscriber = tracing_subscriber::registry().with(throughline_tracing::layer());
/// # let _capture = throughline::testing::capture();
/// tracing::subscriber::with_default(subscriber, || tracing::info!("nobody's"));
/// assert_eq!(throughline_tracing::events_outside_spans(), 1);
/// ```
#[must_use]
pub fn events_outside_spans() -> u64 {
    OUTSIDE.load(Ordering::Relaxed)
}

/// Whose an event is.
pub(crate) enum Owner {
    /// It is that of the span which is current on this thread.
    Current,
    /// It names its span. `None`: that one is not here any more, or there is to be none.
    Named(Option<Handle>),
}

/// Adds an event to its span, if that is recorded.
pub(crate) fn add(event: &Event<'_>, owner: &Owner, settings: &Settings) {
    let normalized = event.normalized_metadata();
    let metadata = normalized.as_ref().unwrap_or(event.metadata());
    if !settings.wants_event(metadata) {
        return;
    }
    let current = throughline_context::ids();
    let handle = match owner {
        Owner::Named(None) => return count_outside(),
        Owner::Named(Some(handle)) => Some(*handle),
        Owner::Current if current.is_suppressed() => return,
        Owner::Current if !current.is_span() => return count_outside(),
        Owner::Current => entered::find(current.span_id()),
    };
    let is_recording = match handle {
        Some(handle) => handle.is_recording(),
        // A span that was not made by `tracing`, or one whose ids alone are here.
        None => match throughline::current(|span| span.is_recording()) {
            None if current.is_sampled() => return count_outside(),
            is_recording => is_recording.unwrap_or(false),
        },
    };
    if !is_recording {
        return;
    }
    Fields::with(
        |fields| event.record(&mut Visitor(fields)),
        |fields| {
            let said = Said::of(metadata, fields, settings);
            match handle {
                Some(handle) => said.add_to(handle),
                None => {
                    throughline::current(|span| {
                        span.event_with(&said.name, |attributes| {
                            said.for_each(|key, value| attributes.put(key, 0, value));
                        });
                        if let Some(message) = said.failure() {
                            span.status_error(message);
                        }
                    });
                }
            }
        },
    );
}

fn count_outside() {
    OUTSIDE.fetch_add(1, Ordering::Relaxed);
}

/// What an event says.
struct Said<'a> {
    name: Cow<'a, str>,
    metadata: &'a Metadata<'a>,
    fields: &'a Fields,
    settings: &'a Settings,
    /// The error it is about: as such, or as the text of a field with that name.
    error: Option<&'a ErrorText>,
    error_text: Option<&'a str>,
}

impl<'a> Said<'a> {
    fn of(metadata: &'a Metadata<'a>, fields: &'a Fields, settings: &'a Settings) -> Self {
        let error = fields.error().map(|(_, error)| error);
        let is_error = *metadata.level() == Level::ERROR;
        let error_text = match error {
            Some(error) => Some(error.message.as_str()),
            None => is_error.then(|| fields.text_of("error")).flatten(),
        };
        let name = match (error_text, fields.message()) {
            (Some(_), _) => "exception",
            (None, Some(message)) => message,
            (None, None) => metadata.name(),
        };
        Self {
            name: Cow::Borrowed(name),
            metadata,
            fields,
            settings,
            error,
            error_text,
        }
    }

    /// The status that the event gives its span.
    fn failure(&self) -> Option<&'a str> {
        let fails = self.settings.error_status && *self.metadata.level() == Level::ERROR;
        let text = self.error_text.or(self.fields.message()).unwrap_or_default();
        fails.then_some(text)
    }

    fn add_to(&self, handle: Handle) {
        let add = |span: &mut Span| {
            span.event_with(&self.name, |attributes| {
                self.for_each(|key, value| attributes.put(key, 0, value));
            });
        };
        let fail = |span: &mut Span| {
            if let Some(message) = self.failure() {
                span.status_error(message);
            }
        };
        match self.error_text {
            None => handle.write(|span| {
                add(span);
                fail(span);
            }),
            Some(text) => {
                let mut hasher = DefaultHasher::new();
                text.hash(&mut hasher);
                handle.write_exception(hasher.finish(), |span, is_new| {
                    // `#[instrument(err)]` says once more, without a word of its own, what the function has said itself.
                    if is_new || self.fields.message().is_some() {
                        add(span);
                    }
                    fail(span);
                });
            }
        }
    }

    fn for_each(&self, mut use_it: impl FnMut(&str, &Value<'_>)) {
        match (self.error, self.error_text) {
            (Some(error), _) => exception(error).iter().for_each(|(key, value)| use_it(key, value)),
            (None, Some(text)) => use_it("exception.message", &Value::Str(text)),
            (None, None) => {}
        }
        if let (Some(_), Some(message)) = (self.error_text, self.fields.message()) {
            use_it("message", &Value::Str(message));
        }
        use_it("level", &Value::Str(self.metadata.level().as_str()));
        use_it("target", &Value::Str(self.metadata.target()));
        let is_about_the_error = |key: &str| self.error.is_none() && self.error_text.is_some() && key == "error";
        self.fields.for_each(|key, value| {
            if !is_about_the_error(key) && !key.starts_with("log.") {
                use_it(key, value);
            }
        });
    }
}
