//! Spans: starting, writing, ending.

mod builder;
mod current;
mod entered;
mod shared;

pub use builder::SpanBuilder;
pub use current::{Current, current};
pub use entered::Entered;
pub use shared::{EnteredShared, SharedSpan};

use std::sync::Arc;

use throughline_context::{Ids, Relay};
use throughline_spool::{Notes, OpenSpan, Recording, Start};
use throughline_wire::encode::{self, tag};
use throughline_wire::{SpanKind, StatusCode, Value};

use crate::clock;
use crate::context::Context;
use crate::random;
use crate::recording::{self, ErrorText};
use crate::scope::Scope;
use crate::tracer;

/// Bits of the OTLP `Span.flags` beside the W3C flags: that the parent's origin is known, and that it is remote.
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;
/// The W3C flags of a new trace: its id is random (Trace Context Level 2, section 3.2.2.5.2).
const RANDOM: u8 = 0x02;
const SAMPLED: u8 = 0x01;

/// One operation, from its start to its end: a handle that is owned, small (8 bytes), and may move between threads.
///
/// A span ends when it is dropped, or by [`end`](Self::end). It is *not* current by existing: it becomes the parent of
/// other spans by [`enter`](Self::enter), [`in_scope`](Self::in_scope) or
/// [`in_span`](crate::FutureExt::in_span), or when it is named as their parent.
///
/// Most programs make spans with [`span!`](crate::span!).
///
/// ```
/// let mut span = throughline::span!("resize", image.width = 640);
/// span.set("image.format", "png");
/// span.in_scope(|| {
///     let _child = throughline::span!("decode");
/// });
/// ```
///
/// When tracing is off a span does nothing and costs next to nothing. When its trace is not sampled it is not recorded,
/// but its ids travel on.
#[derive(Debug)]
#[must_use = "a span ends when it is dropped; `let _ = span` drops it at once"]
pub struct Span {
    open: Option<OpenSpan>,
}

const _: () = assert!(size_of::<Span>() == size_of::<usize>());

/// Whose child a span is.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub enum Parent<'a> {
    /// Of the span that is current on this thread, if there is one.
    #[default]
    Current,
    /// Of this one; a root when the context is empty.
    Of(&'a Context),
}

impl<'a> From<&'a Context> for Parent<'a> {
    fn from(context: &'a Context) -> Self {
        Self::Of(context)
    }
}

impl Span {
    /// A span with more choices than [`span!`](crate::span!) offers.
    pub fn builder<'a>(name: &'a str) -> SpanBuilder<'a> {
        SpanBuilder::new(name)
    }

    /// A span that does nothing.
    pub const fn none() -> Self {
        Self { open: None }
    }

    #[doc(hidden)]
    #[inline]
    pub fn start(name: &str, scope: &Scope, kind: SpanKind, parent: Parent<'_>) -> Self {
        if !throughline_spool::is_on() {
            return Self::none();
        }
        let ids = match parent {
            Parent::Current => throughline_context::ids(),
            Parent::Of(context) => context.ids(),
        };
        if ids.is_suppressed() {
            return Self::none();
        }
        let is_child = ids.is_span();
        let trace_id = if is_child { ids.trace_id() } else { random::trace_id() };
        let is_recorded = tracer::is_sampled(ids, trace_id);
        let inherited = if is_child { ids.flags() & !SAMPLED } else { RANDOM };
        let flags = u32::from(inherited | if is_recorded { SAMPLED } else { 0 }) | HAS_IS_REMOTE;
        let mut start = Start {
            trace_id,
            span_id: random::span_id(),
            parent_span_id: ids.span_id(),
            flags: flags | if ids.is_remote() { IS_REMOTE } else { 0 },
            kind: kind.number(),
            start_unix_nano: 0,
            source: 0,
        };
        let mut open = if is_recorded {
            let now = clock::now();
            start.start_unix_nano = now.unix_nano;
            start.source = scope.number();
            let Some(mut open) = OpenSpan::start(&start, name) else {
                return Self::none();
            };
            let notes = open.notes_mut();
            notes.started = now.counter;
            notes.clock = now.source as u8;
            open
        } else {
            let Some(open) = OpenSpan::carry(&start) else {
                return Self::none();
            };
            open
        };
        if ids.has_relay() {
            Self::inherit_relay(&mut open, parent);
        }
        Self { open: Some(open) }
    }

    #[cold]
    fn inherit_relay(open: &mut OpenSpan, parent: Parent<'_>) {
        let relay = match parent {
            Parent::Current => Context::current().relay().cloned(),
            Parent::Of(context) => context.relay().cloned(),
        };
        let Some(relay) = relay else { return };
        if open.is_recording() {
            let state = relay.trace_state();
            open.append(encode::text_len(state), |out| {
                encode::write_text(out, tag::TRACE_STATE, state);
            });
        }
        open.rare_mut().relay = Some(relay);
    }

    /// Whether what is set on this span is kept: tracing is on and the trace is sampled.
    ///
    /// Worth asking only before computing something expensive.
    #[inline]
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.open.as_ref().is_some_and(OpenSpan::is_recording)
    }

    /// The span's context: to make it the parent of a span elsewhere. Empty when tracing is off.
    #[must_use]
    pub fn context(&self) -> Context {
        self.open.as_ref().map_or_else(Context::default, context_of)
    }

    /// Makes the span current on this thread until the guard is dropped, which also ends the span.
    ///
    /// The guard is not `Send`, so it cannot be held over an `.await` in a task that moves between threads; there, use
    /// [`in_span`](crate::FutureExt::in_span).
    ///
    /// ```
    /// let span = throughline::span!("outer").enter();
    /// let _child = throughline::span!("inner");
    /// span.set("children", 1);
    /// ```
    #[inline]
    pub fn enter(self) -> Entered {
        Entered::new(self)
    }

    /// Runs `f` while the span is current on this thread.
    #[inline]
    pub fn in_scope<R>(&mut self, f: impl FnOnce() -> R) -> R {
        match &mut self.open {
            None => f(),
            Some(open) => {
                let (ids, relay) = (ids_of(open), relay_of(open.notes()));
                open.scope(|| throughline_context::scope(ids, relay, f))
            }
        }
    }

    /// A handle that can be cloned and written through `&self`, at the price of a lock.
    #[must_use]
    pub fn share(self) -> SharedSpan {
        SharedSpan::new(self)
    }

    /// Ends the span now. Once this has returned, the span survives the death of the process.
    #[inline]
    pub fn end(self) {
        drop(self);
    }

    #[inline(always)]
    fn with(&mut self, f: impl FnOnce(&mut Recording<'_>)) {
        if let Some(open) = &mut self.open {
            f(&mut open.recording());
        }
    }

    /// For [`span!`](crate::span!). `None` when nothing set on this span is kept.
    #[doc(hidden)]
    #[inline(always)]
    pub fn batch(&mut self) -> Option<recording::Batch<'_>> {
        self.open
            .as_mut()
            .filter(|open| open.is_recording())
            .map(|open| recording::Batch::new(open.recording()))
    }
}

impl Drop for Span {
    #[inline]
    fn drop(&mut self) {
        if let Some(open) = self.open.take() {
            recording::end(open);
        }
    }
}

#[inline]
fn ids_of(open: &OpenSpan) -> Ids {
    Ids::new(open.trace_id(), open.span_id(), open.flags() as u8)
}

#[inline]
fn relay_of(notes: &Notes) -> Option<Arc<Relay>> {
    let relay = notes.rare.as_ref()?.relay.as_ref()?;
    Arc::downcast(relay.clone()).ok()
}

fn context_of(open: &OpenSpan) -> Context {
    Context::new(ids_of(open), relay_of(open.notes()))
}

fn context_of_recording(span: &Recording<'_>) -> Context {
    let ids = Ids::new(span.trace_id(), span.span_id(), span.flags() as u8);
    Context::new(ids, relay_of(span.notes()))
}

/// What can be written to a span, for each type through which one can be reached.
macro_rules! recording_methods {
    ($type:ty, ($($receiver:tt)+), $self:ident) => {
        impl $type {
            /// Sets an attribute. A key that was set before gets the new value.
            ///
            /// Attributes known at the start are better given there, where samplers can see them. A span holds 128; more
            /// are dropped, and their number is sent with the span.
            #[inline]
            pub fn set<'v>($($receiver)+, key: &str, value: impl Into<Value<'v>>) {
                let value = value.into();
                $self.with(|span| recording::set(span, key, &value));
            }

            /// Adds an event: something that happened now. A span holds 128.
            pub fn event<'v>($($receiver)+, name: &str, attributes: impl AsRef<[(&'v str, Value<'v>)]>) {
                let attributes = attributes.as_ref();
                $self.with(|span| recording::event(span, name, attributes));
            }

            /// Links another span: one that caused this one, or belongs to it, without being its parent. A span holds 128.
            pub fn link<'v>($($receiver)+, to: &Context, attributes: impl AsRef<[(&'v str, Value<'v>)]>) {
                let attributes = attributes.as_ref();
                $self.with(|span| recording::link(span, to, attributes));
            }

            /// Says that the operation succeeded, whatever it looks like. Final: no later status replaces it.
            pub fn status_ok($($receiver)+) {
                $self.with(|span| recording::status(span, StatusCode::Ok, ""));
            }

            /// Says that the operation failed, and why. A later error replaces this one.
            pub fn status_error($($receiver)+, message: &str) {
                $self.with(|span| recording::status(span, StatusCode::Error, message));
            }

            /// Records an error with its sources as an `exception` event, and sets the status to it.
            ///
            /// The error is asked for its text only when the span is recorded, under no lock; a `Display` that panics costs the
            /// text and nothing else.
            pub fn error<E: std::error::Error + ?Sized>($($receiver)+, error: &E) {
                let mut is_recording = false;
                $self.with(|span| is_recording = span.is_recording());
                if is_recording {
                    let text = ErrorText::of(error);
                    $self.with(|span| recording::error(span, &text));
                }
            }

            /// Gives the span another name.
            pub fn rename($($receiver)+, name: &str) {
                $self.with(|span| recording::rename(span, name));
            }
        }
    };
}
use recording_methods;

recording_methods!(Span, (&mut self), self);
