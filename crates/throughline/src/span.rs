//! Spans: starting, writing, ending.

mod bridged;
mod builder;
mod cell;
mod current;
mod entered;
pub(crate) mod request;
mod restart;
mod shared;

pub use bridged::{CurrentSpans, set_bridge};
pub use builder::{LinkAttributes, SpanBuilder, StartAttributes};
pub use cell::SpanCell;
pub use current::{Current, current};
pub use entered::Entered;
pub use restart::Restart;
pub use shared::{EnteredShared, SharedSpan};

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::SystemTime;

use throughline_context::{Ids, Relay};
use throughline_spool::{Notes, OpenSpan, Recording, Start};
use throughline_wire::encode::{self, tag};
use throughline_wire::{SpanKind, StatusCode, Value};

use crate::attributes::{Encoded, Of};
use crate::context::Context;
use crate::processor;
use crate::recording::{self, Details, ErrorText};
use crate::scope::Scope;
use crate::tracer;
use crate::value::ToValue;
use crate::{clock, early, random};
use request::Request;

/// Bits of the OTLP `Span.flags` beside the W3C flags: that the parent's origin is known, and that it is remote.
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;
/// The W3C flags of a new trace: its id is random (Trace Context Level 2, section 3.2.2.5.2).
const RANDOM: u8 = 0x02;
pub(crate) const SAMPLED: u8 = 0x01;

/// One operation, from its start to its end: a handle that is owned, small (8 bytes), and may move between threads.
///
/// A span ends when it is dropped, or by [`end`](Self::end). It is *not* current by existing: it becomes the parent of
/// other spans by [`enter`](Self::enter), [`in_scope`](Self::in_scope) or
/// [`in_span`](crate::InSpanExt::in_span), or when it is named as their parent.
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
/// When its trace is not sampled a span is not recorded, but its ids travel on. When tracing is off a span costs next to nothing
/// and stands for its parent: what came in is passed on.
#[derive(Debug)]
#[must_use = "a span ends when it is dropped; `let _ = span` drops it at once"]
pub struct Span {
    open: Option<OpenSpan>,
}

const _: () = assert!(size_of::<Span>() == size_of::<usize>());

/// Whose child a span is: anything that has a context.
///
/// ```
/// use throughline::{Context, extract, span};
///
/// let span = span!("of the current span");
/// let child = span!(parent: &span, "of a span");
/// let other = span!(parent: &Context::current(), "of a context");
/// let remote = span!(parent: extract([("traceparent", "not valid")]), "of what came in, else a root");
/// let root = span!(parent: None, "a root");
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Parent<'a> {
    /// Of the span that is current on this thread, if there is one.
    #[default]
    Current,
    /// Of this one; a root when the context is empty.
    Of(&'a Context),
    /// The same, for a context that nobody else holds.
    Own(Context),
}

impl Parent<'_> {
    #[doc(hidden)]
    #[inline]
    #[must_use]
    pub fn by_ref(&self) -> ParentRef<'_> {
        match self {
            Self::Current => ParentRef::Current,
            Self::Of(context) => ParentRef::Of(context),
            Self::Own(context) => ParentRef::Of(context),
        }
    }
}

/// The same for the hot path: nothing to be dropped.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub enum ParentRef<'a> {
    Current,
    Of(&'a Context),
}

impl ParentRef<'_> {
    #[inline]
    fn ids(self) -> Ids {
        match self {
            Self::Current => throughline_context::ids(),
            Self::Of(context) => context.ids(),
        }
    }

    /// Whether there is nothing to pass on, and nothing to be cut off from.
    #[inline]
    fn changes_nothing(self) -> bool {
        let is_empty = match self {
            Self::Current => true,
            Self::Of(context) => context.ids().is_empty(),
        };
        is_empty && throughline_context::is_empty()
    }

    /// Whether tracing is switched off on this thread, or was where the parent comes from.
    #[inline]
    fn is_suppressed(self, ids: Ids) -> bool {
        ids.is_suppressed() || matches!(self, Self::Of(_)) && throughline_context::ids().is_suppressed()
    }

    fn to_context(self) -> Context {
        match self {
            Self::Current => Context::current(),
            Self::Of(context) => context.clone(),
        }
    }
}

impl<'a> From<&'a Context> for Parent<'a> {
    fn from(context: &'a Context) -> Self {
        Self::Of(context)
    }
}

impl From<Context> for Parent<'_> {
    fn from(context: Context) -> Self {
        Self::Own(context)
    }
}

/// `None` makes a root.
impl From<Option<Context>> for Parent<'_> {
    fn from(context: Option<Context>) -> Self {
        Self::Own(context.unwrap_or_default())
    }
}

/// `None` makes a root.
impl<'a> From<&'a Option<Context>> for Parent<'a> {
    fn from(context: &'a Option<Context>) -> Self {
        context.as_ref().map_or_else(|| Self::Own(Context::root()), Self::Of)
    }
}

macro_rules! parents {
    ($($type:ty)*) => {$(
        impl From<&$type> for Parent<'_> {
            #[inline]
            fn from(span: &$type) -> Self {
                Self::Own(span.context())
            }
        }
    )*};
}
parents!(Span Entered SharedSpan);

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
    pub fn start(name: &str, scope: &Scope, kind: SpanKind, parent: ParentRef<'_>) -> Self {
        if !throughline_spool::is_on() {
            early::note();
            // Nothing came in that would have to be passed on: the usual case.
            return if parent.changes_nothing() {
                Self::none()
            } else {
                Self::pass_on(parent)
            };
        }
        let ids = parent.ids();
        if parent.is_suppressed(ids) {
            return Self::none();
        }
        let is_child = ids.is_span();
        let trace_id = if is_child { ids.trace_id() } else { random::trace_id() };
        match tracer::is_sampled(ids, trace_id) {
            Some(is_recorded) => {
                let open = start_decided(name, scope, kind, parent, ids, trace_id, is_recorded, OpenSpan::start);
                Self { open }
            }
            None => Self::start_processed(name, scope, kind, parent, trace_id),
        }
    }

    /// Processors are to see the span, or more than its ids decides whether it is recorded.
    #[cold]
    #[inline(never)]
    fn start_processed(name: &str, scope: &Scope, kind: SpanKind, parent: ParentRef<'_>, trace_id: [u8; 16]) -> Self {
        if processor::is_at_work() {
            return Self::none();
        }
        let ids = parent.ids();
        let (Some(chain), Some(is_recorded)) = (processor::chain(), tracer::is_sampled_by_ids(ids, trace_id)) else {
            return Self::start_with(&Request::new(name, scope, kind), parent);
        };
        let start = match chain.is_private() {
            true => OpenSpan::start_private,
            false => OpenSpan::start,
        };
        match start_decided(name, scope, kind, parent, ids, trace_id, is_recorded, start) {
            Some(open) if is_recorded && ids.has_relay() => Self::seen(open, name, chain, &parent.to_context()),
            Some(open) if is_recorded => Self::seen(open, name, chain, &Context::new(ids, None)),
            open => Self { open },
        }
    }

    /// Tracing is off: the span stands for its parent.
    #[cold]
    #[inline(never)]
    fn pass_on(parent: ParentRef<'_>) -> Self {
        let ids = parent.ids();
        if parent.is_suppressed(ids) {
            return Self::none();
        }
        let mut open = OpenSpan::pass_on(&Start {
            trace_id: ids.trace_id(),
            span_id: ids.span_id(),
            parent_span_id: [0; 8],
            flags: ids.flags().into(),
            kind: 0,
            start_unix_nano: 0,
            source: 0,
        });
        inherit_relay_of(&mut open, parent);
        Self { open: Some(open) }
    }

    /// Whether what is set on this span is kept: tracing is on and the trace is sampled.
    ///
    /// Worth asking only before computing something expensive.
    #[inline]
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.open.as_ref().is_some_and(OpenSpan::is_recording)
    }

    /// The span's context: to make it the parent of a span elsewhere. When tracing is off, that of its parent.
    #[must_use]
    pub fn context(&self) -> Context {
        self.open.as_ref().map_or_else(Context::default, context_of)
    }

    /// The ids of [`context`](Self::context), which tell whether there is more to it.
    #[doc(hidden)]
    #[inline]
    #[must_use]
    pub fn ids(&self) -> Ids {
        let Some(open) = &self.open else {
            return Ids::default();
        };
        match open.notes().rare() {
            None => ids_of(open),
            Some(_) => context_of(open).ids(),
        }
    }

    /// Makes the span current on this thread until the guard is dropped, which also ends the span.
    ///
    /// Not for asynchronous code: held over an `.await` the span stays current while other tasks of the thread run, and they become
    /// its children. In a task that may move between threads that does not compile, since the guard is not `Send`. Use
    /// [`in_span`](crate::InSpanExt::in_span).
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

    /// Runs `f` while the span is current on this thread. A panic in it becomes the span's status, and goes on.
    #[inline]
    pub fn in_scope<R>(&mut self, f: impl FnOnce() -> R) -> R {
        let Some(open) = &mut self.open else { return f() };
        let (ids, relay) = (ids_of(open), relay_of(open.notes()));
        let result = catch_unwind(AssertUnwindSafe(|| {
            open.scope(|| throughline_context::scope(ids, relay, f))
        }));
        match result {
            Ok(result) => result,
            Err(panic) => {
                recording::panicked(&mut open.recording(), &*panic);
                resume_unwind(panic)
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

    /// Ends the span with this time as its end: for work that was measured elsewhere. Not before its start.
    pub fn end_at(mut self, time: SystemTime) {
        if let Some(open) = self.open.take() {
            recording::end_at(open, clock::unix_nano(time));
        }
    }

    #[inline(always)]
    pub(crate) fn with(&mut self, f: impl FnOnce(&mut Recording<'_>)) {
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

/// Starts a span of which it is decided whether it is recorded; then `begin` makes it.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "one inlined body for two callers")]
fn start_decided(
    name: &str,
    scope: &Scope,
    kind: SpanKind,
    parent: ParentRef<'_>,
    ids: Ids,
    trace_id: [u8; 16],
    is_recorded: bool,
    begin: impl FnOnce(&Start, &str) -> Option<OpenSpan>,
) -> Option<OpenSpan> {
    let inherited = if ids.is_span() { ids.flags() & !SAMPLED } else { RANDOM };
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
        let mut open = begin(&start, name)?;
        let notes = open.notes_mut();
        notes.started = now.counter;
        notes.clock = now.source as u8;
        open
    } else {
        OpenSpan::carry(&start)?
    };
    if ids.has_relay() {
        inherit_relay_of(&mut open, parent);
    }
    Some(open)
}

#[inline]
fn ids_of(open: &OpenSpan) -> Ids {
    Ids::new(open.trace_id(), open.span_id(), open.flags() as u8)
}

#[inline]
fn relay_of(notes: &Notes) -> Option<Arc<Relay>> {
    let relay = notes.rare()?.relay.as_ref()?;
    Arc::downcast(relay.clone()).ok()
}

fn context_of(open: &OpenSpan) -> Context {
    Context::new(ids_of(open), relay_of(open.notes()))
}

pub(crate) fn context_of_recording(span: &Recording<'_>) -> Context {
    let ids = Ids::new(span.trace_id(), span.span_id(), span.flags() as u8);
    Context::new(ids, relay_of(span.notes()))
}

/// What can be written to a span, for each type through which one can be reached.
macro_rules! recording_methods {
    ($type:ty, ($($receiver:tt)+), $self:ident) => {
        impl $type {
            /// Sets an attribute. A key that was set before gets the new value; an `Option` that is `None` sets nothing.
            ///
            /// Attributes known at the start are better given there, where samplers can see them. A span holds 128; more
            /// are dropped, and their number is sent with the span.
            #[inline]
            pub fn set($($receiver)+, key: &str, value: impl ToValue) {
                set_value!($self, key, value)
            }

            /// Adds an event: something that happened now. A span holds 128. See also [`event!`](crate::event!).
            pub fn event<'v>($($receiver)+, name: &str, attributes: impl AsRef<[(&'v str, Value<'v>)]>) {
                let attributes = attributes.as_ref();
                let details = Details { attributes, ..Details::default() };
                $self.with(|span| recording::event(span, name, None, details));
            }

            /// Adds an event that happened at another time than now.
            pub fn event_at<'v>(
                $($receiver)+,
                name: &str,
                time: SystemTime,
                attributes: impl AsRef<[(&'v str, Value<'v>)]>,
            ) {
                let attributes = attributes.as_ref();
                let details = Details { attributes, ..Details::default() };
                $self.with(|span| recording::event(span, name, Some(clock::unix_nano(time)), details));
            }

            /// Links another span: one that caused this one, or belongs to it, without being its parent. A span holds 128. See
            /// also [`link!`](crate::link!).
            ///
            /// An empty context is no link, unless there are attributes.
            pub fn link<'v>($($receiver)+, to: &Context, attributes: impl AsRef<[(&'v str, Value<'v>)]>) {
                let attributes = attributes.as_ref();
                let details = Details { attributes, ..Details::default() };
                $self.with(|span| recording::link(span, to, details));
            }

            /// For [`event!`](crate::event!): `fill` is called only when the span is recorded, and under no lock.
            #[doc(hidden)]
            pub fn event_with($($receiver)+, name: &str, fill: impl FnOnce(&mut Encoded)) {
                if $self.is_recording() {
                    let mut attributes = Encoded::new(Of::Event);
                    fill(&mut attributes);
                    let details = attributes.details();
                    $self.with(|span| recording::event(span, name, None, details));
                }
            }

            /// For [`link!`](crate::link!).
            #[doc(hidden)]
            pub fn link_with($($receiver)+, to: &Context, fill: impl FnOnce(&mut Encoded)) {
                if $self.is_recording() {
                    let mut attributes = Encoded::new(Of::Link);
                    fill(&mut attributes);
                    let details = attributes.details();
                    $self.with(|span| recording::link(span, to, details));
                }
            }

            /// Says that the operation succeeded, whatever it looks like. Final: no later status replaces it.
            pub fn status_ok($($receiver)+) {
                $self.with(|span| recording::status(span, StatusCode::Ok, ""));
            }

            /// Says that the operation failed, and why. A later error replaces this one. A message of more than 64 KiB is cut.
            pub fn status_error($($receiver)+, message: &str) {
                $self.with(|span| recording::status(span, StatusCode::Error, message));
            }

            /// Records an error with its sources as an `exception` event, and sets the status to it.
            ///
            /// The error is asked for its text only when the span is recorded, under no lock; a `Display` that panics costs the
            /// text and nothing else.
            ///
            /// A boxed error is lent: `span.error(&*boxed)`. `exception.type` is the error's type. Of a `&dyn Error` it is the name that its `Debug` begins with, where that
            /// looks like a type's; else it is left out.
            pub fn error<E: std::error::Error + ?Sized>($($receiver)+, error: &E) {
                if $self.is_recording() {
                    let text = ErrorText::of(error);
                    $self.with(|span| recording::error(span, &text));
                }
            }

            /// Gives the span another name. One of more than 64 KiB is cut, as it is at the start.
            pub fn rename($($receiver)+, name: &str) {
                $self.with(|span| recording::rename(span, name));
            }
        }
    };
}
pub(crate) use recording_methods;

/// What formats is asked only when the span is recorded, and before the span is touched: it is the user's code.
macro_rules! set_value {
    ($self:ident, $key:ident, $value:ident) => {{
        if is_formatted(&$value) && !$self.is_recording() {
            return;
        }
        match $value.direct() {
            Some(value) => $self.with(|span| recording::set(span, $key, &value)),
            None => {
                $value.with_value(|value| $self.with(|span| recording::set(span, $key, value)));
            }
        }
    }};
}
pub(crate) use set_value;

#[inline(always)]
pub(crate) fn is_formatted<V: ToValue>(_: &V) -> bool {
    V::IS_FORMATTED
}

/// For [`span!`](crate::span!), where a sampler wants to see the attributes.
#[doc(hidden)]
#[cold]
pub fn start_with_attributes(
    name: &str,
    scope: &Scope,
    kind: SpanKind,
    parent: ParentRef<'_>,
    fill: impl FnOnce(&mut Encoded),
) -> Span {
    let mut request = Request::new(name, scope, kind);
    fill(&mut request.attributes);
    Span::start_with(&request, parent)
}

#[cold]
#[inline(never)]
fn inherit_relay_of(open: &mut OpenSpan, parent: ParentRef<'_>) {
    inherit_relay(open, parent.to_context().relay().cloned());
}

fn inherit_relay(open: &mut OpenSpan, relay: Option<Arc<Relay>>) {
    let Some(relay) = relay else { return };
    if open.is_recording() {
        let state = relay.trace_state();
        open.append(encode::text_len(state), |out| {
            encode::write_text(out, tag::TRACE_STATE, state);
        });
    }
    open.rare_mut().relay = Some(relay);
}

recording_methods!(Span, (&mut self), self);
