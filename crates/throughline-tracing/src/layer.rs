//! The layer: spans of a registry as spans of Throughline.

use std::cell::Cell;
use std::fmt;
use std::sync::{Arc, OnceLock};

use throughline::__private::ParentRef;
use throughline::{Context, seam};
use throughline_context::Ids;
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::{Dispatch, Event, Level, Metadata, Subscriber};
use tracing_subscriber::Registry;
use tracing_subscriber::layer;
use tracing_subscriber::registry::{LookupSpan, SpanData};

use crate::events::{self, Owner};
use crate::registries::{self, Spans};
use crate::settings::Settings;
use crate::slot::{self, Handle};
use crate::{entered, spans};

/// Records spans of `tracing` as spans of Throughline; made by [`layer()`](layer()).
///
/// Its methods choose what is recorded besides names and fields. What is left out by [`filter`](Self::filter) leaves no gap: the
/// children of such a span are children of its nearest ancestor that is recorded.
pub struct Layer {
    settings: Settings,
    /// Set when the layer gets its place in a subscriber, or by its first span.
    spans: OnceLock<Arc<Spans>>,
}

/// A layer with the default settings, for any subscriber that is built on a [`Registry`].
///
/// Add it before others, so that what they say when a span is made can name it.
///
/// ```
/// use tracing::info_span;
/// use tracing_subscriber::layer::SubscriberExt as _;
///
/// let subscriber = tracing_subscriber::registry().with(throughline_tracing::layer());
/// # let capture = throughline::testing::capture();
/// tracing::subscriber::with_default(subscriber, || {
///     let _order = info_span!("order", order.id = 7).entered();
///     let _charge = info_span!("charge").entered();
/// });
/// # capture.assert_tree("order {order.id=7}\n  charge");
/// ```
#[must_use]
pub fn layer() -> Layer {
    Layer {
        settings: Settings::default(),
        spans: OnceLock::new(),
    }
}

thread_local! {
    /// The last span that was started on this thread and is not kept.
    static STAND_IN: Cell<StandIn> = const { Cell::new(StandIn { owner: 0, id: 0, span_id: [0; 8], is_seen: false }) };
}

/// A span of which nothing is kept.
#[derive(Clone, Copy)]
struct StandIn {
    owner: usize,
    id: u64,
    /// That of the span for which it stands.
    span_id: [u8; 8],
    /// Whether somebody has seen the ids for which it stands.
    is_seen: bool,
}

impl StandIn {
    #[inline]
    fn is(&self, spans: &Spans, id: u64) -> bool {
        self.id == id && self.owner == spans.table.key()
    }
}

impl Layer {
    /// Which events become events of their span: those of this level and of more important ones. Default: all that reach the layer;
    /// `None`: none.
    #[must_use]
    pub fn events(mut self, most_verbose: impl Into<Option<Level>>) -> Self {
        self.settings.events = most_verbose.into();
        self
    }

    /// Whether an event of the level `ERROR`, or an error in a span's field, makes the span's status an error. Default: yes.
    ///
    /// A status `Ok` that was set stays.
    #[must_use]
    pub fn error_status(mut self, sets_status: bool) -> Self {
        self.settings.error_status = sets_status;
        self
    }

    /// Leaves out the spans and events for which this says no, by their level, target and name.
    ///
    /// Prefer it to [`with_filter`](layer::Layer::with_filter): with that one, spans are lost beside a layer that is more verbose
    /// (tokio-rs/tracing#2519).
    ///
    /// ```
    /// use tracing_subscriber::filter::Targets;
    ///
    /// let targets: Targets = "info,sqlx=warn".parse()?;
    /// let layer = throughline_tracing::layer()
    ///     .filter(move |metadata| targets.would_enable(metadata.target(), metadata.level()));
    /// # Ok::<(), tracing_subscriber::filter::ParseError>(())
    /// ```
    #[must_use]
    pub fn filter(mut self, filter: impl Fn(&Metadata<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.settings.filter = Some(Arc::new(filter));
        self
    }

    /// Whether spans say their level, as `level`. Default: no; events always do.
    #[must_use]
    pub fn level(mut self, is_recorded: bool) -> Self {
        self.settings.level = is_recorded;
        self
    }

    /// Whether spans say where in the code they were made, as `code.file.path` and `code.line.number`. Default: no.
    #[must_use]
    pub fn code_location(mut self, is_recorded: bool) -> Self {
        self.settings.code_location = is_recorded;
        self
    }

    /// Whether spans say the thread on which they were made, as `thread.name`. Default: no.
    #[must_use]
    pub fn threads(mut self, is_recorded: bool) -> Self {
        self.settings.threads = is_recorded;
        self
    }

    /// `None` before the first span of a layer that was not told of its subscriber.
    #[inline]
    fn spans(&self) -> Option<&Arc<Spans>> {
        self.spans.get().or_else(|| self.default_spans())
    }

    #[cold]
    fn default_spans(&self) -> Option<&Arc<Spans>> {
        let spans = registries::of_default_dispatch()?;
        spans.set_settings(&self.settings);
        Some(self.spans.get_or_init(|| spans))
    }
}

impl<S> layer::Layer<S> for Layer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        registries::install_bridge();
        let spans = registries::of_dispatch(dispatch);
        spans.set_settings(&self.settings);
        let _ = self.spans.set(spans);
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: layer::Context<'_, S>) {
        if !self.settings.wants(attributes.metadata()) {
            return;
        }
        let spans = self
            .spans()
            .unwrap_or_else(|| self.spans.get_or_init(registries::unknown));
        if attributes.is_contextual() {
            let current = throughline_context::ids();
            if stands_for_parent(spans, current) {
                return stand_in(spans, id.into_u64(), current);
            }
        }
        if !spans.is_known() {
            spans.set_settings(&self.settings);
            if let Some(span) = context.span(id) {
                spans.mark(&mut span.extensions_mut());
            }
        }
        let id = id.into_u64();
        if spans.table.find(id).is_some() {
            // A second layer in one subscriber: the span is recorded once.
            return;
        }
        let kept = match attributes.parent() {
            Some(parent) => {
                see_stand_in(spans, parent);
                let parent = nearest(spans, parent, &context).and_then(|(handle, _)| handle.context_for_child());
                let parent = parent.unwrap_or_default();
                spans::start(attributes, ParentRef::Of(&parent), &self.settings)
            }
            None if attributes.is_root() => spans::start(attributes, ParentRef::Of(&Context::root()), &self.settings),
            None => {
                let current = throughline_context::ids();
                match current.is_span() {
                    true => {
                        entered::note_child(current.span_id());
                        spans::start(attributes, ParentRef::Current, &self.settings)
                    }
                    false => self.start_at_border(spans, attributes, &context),
                }
            }
        };
        match kept {
            None => stand_in(spans, id, Ids::default()),
            // An id comes back after some thousands of spans.
            Some(handle) if spans.table.insert(id, handle) => forget_stand_in_of(spans, id),
            Some(handle) => slot::end(handle),
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: layer::Context<'_, S>) {
        if let Some(handle) = self.spans().and_then(|spans| spans.find(id)) {
            spans::record(handle, values, &self.settings);
        }
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, context: layer::Context<'_, S>) {
        let Some(spans) = self.spans() else { return };
        let Some(handle) = spans.find(id).filter(|handle| handle.is_recording()) else {
            return;
        };
        see_stand_in(spans, follows);
        match nearest(spans, follows, &context).and_then(|(cause, _)| cause.see()) {
            Some((ids, relay)) => handle.write(|span| span.link(&seam::context(ids, relay), [])),
            None => registries::count_lost_link(),
        }
    }

    fn on_event(&self, event: &Event<'_>, context: layer::Context<'_, S>) {
        let owner = match event.parent() {
            Some(id) => {
                let found = self.spans().and_then(|spans| nearest(spans, id, &context));
                Owner::Named(found.map(|(handle, _)| handle))
            }
            None if event.is_root() => Owner::Named(None),
            None => Owner::Current,
        };
        events::add(event, &owner, &self.settings);
    }

    fn on_enter(&self, id: &Id, context: layer::Context<'_, S>) {
        let Some(spans) = self.spans() else { return };
        let (owner, number) = (spans.table.key(), id.into_u64());
        // Whether the span for which it stands is current, if it stands for one.
        let stands_in = STAND_IN.try_with(|last| {
            let stand_in = last.get();
            if !stand_in.is(spans, number) {
                return None;
            }
            if !stand_in.is_seen {
                last.set(StandIn {
                    is_seen: true,
                    ..stand_in
                });
            }
            Some(throughline_context::ids().span_id() == stand_in.span_id)
        });
        let stands_in = stands_in.ok().flatten();
        if stands_in == Some(true) {
            // It would make current what is current.
            return entered::enter_again(owner, number);
        }
        if let Some(handle) = spans.find(id) {
            return entered::enter(owner, number, handle, true);
        }
        if let Some((handle, _)) = nearest(spans, id, &context) {
            if stands_in.is_none() && entered::is_newest_below_another(owner, handle) {
                // A span that `tracing` knows nothing of is current, and stands nearer than what the registry shows.
                return entered::enter_again(owner, number);
            }
            entered::enter(owner, number, handle, false);
        }
    }

    fn on_exit(&self, id: &Id, _: layer::Context<'_, S>) {
        if let Some(spans) = self.spans() {
            entered::exit(spans.table.key(), id.into_u64());
        }
    }

    fn on_close(&self, id: Id, _: layer::Context<'_, S>) {
        let id = id.into_u64();
        if let Some(handle) = self.spans().and_then(|spans| spans.table.remove(id)) {
            slot::close(id, handle);
        }
    }
}

impl Layer {
    /// Nothing of ours is current on this thread; but a span may be that a filter keeps from this layer.
    #[cold]
    fn start_at_border<S>(
        &self,
        spans: &Spans,
        attributes: &Attributes<'_>,
        context: &layer::Context<'_, S>,
    ) -> Option<Handle>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let hidden = spans.with_registry(|registry| registry.current_span().id().cloned());
        let parent = hidden.flatten().and_then(|id| nearest(spans, &id, context));
        match parent.and_then(|(handle, _)| handle.context_for_child()) {
            Some(parent) => spans::start(attributes, ParentRef::Of(&parent), &self.settings),
            None => spans::start(attributes, ParentRef::Current, &self.settings),
        }
    }
}

/// Whether a new span would do nothing but stand for its parent, which is a span of this registry: then nothing is kept of it.
#[inline]
fn stands_for_parent(spans: &Spans, current: Ids) -> bool {
    seam::passes_on(current) && (current.is_empty() || entered::top_of(spans.table.key(), current.span_id()).is_some())
}

#[inline]
fn stand_in(spans: &Spans, id: u64, current: Ids) {
    let stand_in = StandIn {
        owner: spans.table.key(),
        id,
        span_id: current.span_id(),
        is_seen: false,
    };
    let _ = STAND_IN.try_with(|last| last.set(stand_in));
}

/// Somebody has seen the ids for which it stands, if it is that one: its parent stands.
pub(crate) fn see_stand_in(spans: &Spans, id: &Id) {
    let _ = STAND_IN.try_with(|last| {
        let stand_in = last.get();
        if stand_in.is(spans, id.into_u64()) {
            last.set(StandIn {
                is_seen: true,
                ..stand_in
            });
        }
    });
}

/// Something is kept of this span from now on.
#[inline]
pub(crate) fn forget_stand_in_of(spans: &Spans, id: u64) {
    let _ = STAND_IN.try_with(|last| {
        let stand_in = last.get();
        if stand_in.is(spans, id) {
            last.set(StandIn {
                owner: 0,
                id: 0,
                ..stand_in
            });
        }
    });
}

/// Whether somebody has seen the ids for which this one stands; `None` if it is not the last span that was started on this thread, or
/// something is kept of it.
pub(crate) fn is_stand_in_seen(spans: &Spans, id: u64) -> Option<bool> {
    let stand_in = STAND_IN.try_with(Cell::get).ok()?;
    stand_in.is(spans, id).then_some(stand_in.is_seen)
}

/// The span itself, or its nearest ancestor that is kept, and whether it is the span itself.
#[inline]
fn nearest<S>(spans: &Spans, id: &Id, context: &layer::Context<'_, S>) -> Option<(Handle, bool)>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    match spans.find(id) {
        Some(handle) => Some((handle, true)),
        None => nearest_ancestor(spans, id, context).map(|handle| (handle, false)),
    }
}

#[cold]
#[inline(never)]
fn nearest_ancestor<S>(spans: &Spans, id: &Id, context: &layer::Context<'_, S>) -> Option<Handle>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    // What a filter keeps from this layer, the registry shows.
    let found = spans.with_registry(|registry| spans.find_above(id, |id| parent_in(registry, id)));
    found.unwrap_or_else(|| spans.find_above(id, |id| context.span(id)?.parent().map(|parent| parent.id())))
}

pub(crate) fn parent_in(registry: &Registry, id: &Id) -> Option<Id> {
    registry.span_data(id)?.parent().cloned()
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layer")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
