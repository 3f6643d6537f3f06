//! A subscriber of our own, for programs that want spans traced and events as lines, and nothing else.

use std::io;

use throughline::__private::ParentRef;
use throughline::{Context, seam};
use tracing_core::span::{Attributes, Current, Id, Record};
use tracing_core::{Dispatch, Event, Interest, LevelFilter, Metadata};
use tracing_log::NormalizeEvent as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;

use crate::callsite::Callsite;
use crate::events::{self, Owner};
use crate::lines::Lines;
use crate::log_ids::LogIds;
use crate::registries::{count_lost_link, install_bridge};
use crate::settings::Settings;
use crate::slot::{self, Handle};
use crate::{entered, spans};

/// Records spans of `tracing` as spans of Throughline, and writes a line per event; made by [`subscriber()`](subscriber()).
///
/// A span costs it a fraction of what a registry takes, and ends with its last handle, however long its children live. What it has not
/// are the spans of a registry: layers that look these up, as those of `fmt` do, need
/// [`registry()`](tracing_subscriber::registry())`.with(`[`layer()`](crate::layer())`)` instead. Layers that do not, such as an
/// `EnvFilter`, may stand on it.
#[derive(Debug)]
pub struct Subscriber {
    settings: Settings,
    traces: Targets,
    lines: Option<(Targets, Lines)>,
}

/// A subscriber that traces spans and their events, and writes events as lines of text to the standard error: both from the level
/// `INFO` on.
///
/// ```
/// use tracing::{info, info_span};
///
/// let subscriber = throughline_tracing::subscriber().lines("warn,orders=info".parse()?);
/// # let capture = throughline::testing::capture();
/// tracing::subscriber::with_default(subscriber, || {
///     info_span!("order", order.id = 7).in_scope(|| info!(target: "orders", "paid"));
/// });
/// # capture.assert_tree("order {order.id=7}");
/// # Ok::<(), tracing_subscriber::filter::ParseError>(())
/// ```
#[must_use]
pub fn subscriber() -> Subscriber {
    let from_info = Targets::new().with_default(LevelFilter::INFO);
    Subscriber {
        settings: Settings::default(),
        traces: from_info.clone(),
        lines: Some((from_info, Lines::new(io::stderr))),
    }
}

/// The key of the spans of all these subscribers: their ids are unique in the process.
const OWNER: usize = 1;
/// The id of spans that are too many.
const NOBODY: u64 = u64::MAX;

impl Subscriber {
    /// Which spans and events are traced, by level and target. Default: `INFO` and what is more important.
    #[must_use]
    pub fn traces(mut self, targets: Targets) -> Self {
        self.traces = targets;
        self
    }

    /// Which events become lines, by level and target. Default: `INFO` and what is more important.
    #[must_use]
    pub fn lines(mut self, targets: Targets) -> Self {
        if let Some((filter, _)) = &mut self.lines {
            *filter = targets;
        }
        self
    }

    /// The same, by a variable such as `RUST_LOG`: `info,sqlx=warn`. Without it, nothing changes; of one that cannot be used a line on
    /// stderr says so.
    #[must_use]
    pub fn lines_from(self, variable: &str) -> Self {
        let Ok(value) = std::env::var(variable) else {
            return self;
        };
        match value.parse() {
            Ok(targets) => self.lines(targets),
            Err(error) => {
                // That nobody reads it is no reason to end.
                let _ = io::Write::write_fmt(
                    &mut io::stderr(),
                    format_args!(
                        "throughline: {variable}={value:?} is no list of targets and levels ({error}): ignored\n"
                    ),
                );
                self
            }
        }
    }

    /// Writes no lines.
    #[must_use]
    pub fn no_lines(mut self) -> Self {
        self.lines = None;
        self
    }

    /// Writes lines as JSON: `timestamp`, `level`, `trace_id` and `span_id` where there is a span, `target`, `fields`.
    #[must_use]
    pub fn json(mut self) -> Self {
        if let Some((_, lines)) = &mut self.lines {
            lines.is_json = true;
        }
        self
    }

    /// Where lines go: `std::io::stdout`, a `Mutex` of a file, or any other [`MakeWriter`]. Default: the standard error.
    #[must_use]
    pub fn writer(mut self, writers: impl for<'a> MakeWriter<'a> + Send + Sync + 'static) -> Self {
        if let Some((_, lines)) = &mut self.lines {
            let is_json = lines.is_json;
            *lines = Lines::new(writers);
            lines.is_json = is_json;
        }
        self
    }

    /// Whether an event of the level `ERROR`, or an error in a span's field, makes the span's status an error. Default: yes.
    #[must_use]
    pub fn error_status(mut self, sets_status: bool) -> Self {
        self.settings.error_status = sets_status;
        self
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    fn traces_it(&self, metadata: &Metadata<'_>) -> bool {
        self.traces.would_enable(metadata.target(), metadata.level())
    }

    fn lines_for(&self, metadata: &Metadata<'_>) -> Option<&Lines> {
        let (filter, lines) = self.lines.as_ref()?;
        filter
            .would_enable(metadata.target(), metadata.level())
            .then_some(lines)
    }

    /// Keeps a span that would do nothing but stand for the current one: its fields are not asked for.
    #[inline]
    fn stand_in(attributes: &Attributes<'_>) -> Option<Handle> {
        if !attributes.is_contextual() {
            return None;
        }
        let current = throughline_context::ids();
        if current.is_empty() || !seam::passes_on(current) {
            return None;
        }
        entered::top_of(OWNER, current.span_id())?;
        slot::keep_current(current, Callsite::of(attributes.metadata()))
    }

    fn start(&self, attributes: &Attributes<'_>) -> Option<Handle> {
        match attributes.parent() {
            Some(id) => {
                let parent = handle(id).and_then(Handle::context_for_child).unwrap_or_default();
                spans::start(attributes, ParentRef::Of(&parent), &self.settings)
            }
            None if attributes.is_root() => spans::start(attributes, ParentRef::Of(&Context::root()), &self.settings),
            None => spans::start(attributes, ParentRef::Current, &self.settings),
        }
    }
}

impl tracing_core::Subscriber for Subscriber {
    fn on_register_dispatch(&self, _: &Dispatch) {
        install_bridge();
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match tracing_core::Subscriber::enabled(self, metadata) {
            true => Interest::always(),
            false => Interest::never(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.traces_it(metadata) || metadata.is_event() && self.lines_for(metadata).is_some()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let most = |targets: &Targets| {
            let of_targets = targets.iter().map(|(_, level)| level).max();
            of_targets.max(targets.default_level()).unwrap_or(LevelFilter::OFF)
        };
        let lines = self.lines.as_ref().map(|(targets, _)| most(targets));
        Some(lines.unwrap_or(LevelFilter::OFF).max(most(&self.traces)))
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let kept = Self::stand_in(attributes)
            .or_else(|| self.start(attributes))
            .or_else(|| {
                // Tracing is off, but a parent may be set, whose context is passed on.
                let callsite = Callsite::of(attributes.metadata());
                slot::keep_nothing(callsite)
            });
        let id = kept.map_or(NOBODY, Handle::id);
        Id::from_u64(id)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        if let Some(handle) = handle(id) {
            spans::record(handle, values, &self.settings);
        }
    }

    fn record_follows_from(&self, id: &Id, follows: &Id) {
        let Some(handle_of_effect) = handle(id).filter(|handle| handle.is_recording()) else {
            return;
        };
        match handle(follows).and_then(Handle::see) {
            Some((ids, relay)) => handle_of_effect.write(|span| span.link(&seam::context(ids, relay), [])),
            None => count_lost_link(),
        }
    }

    fn event(&self, event: &Event<'_>) {
        // `log` records have one callsite per level: only they themselves say their target.
        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or(event.metadata());
        let (owner, ids) = match event.parent() {
            Some(id) => {
                let handle = handle(id);
                let ids = handle.and_then(Handle::see).and_then(|(ids, _)| LogIds::of_ids(ids));
                (Owner::Named(handle), ids)
            }
            None if event.is_root() => (Owner::Named(None), None),
            None => (Owner::Current, LogIds::current()),
        };
        if let Some(lines) = self.lines_for(metadata) {
            lines.write(event, ids);
        }
        if self.traces_it(metadata) {
            events::add(event, &owner, &self.settings);
        }
    }

    #[inline]
    fn enter(&self, id: &Id) {
        if let Some(handle) = handle(id) {
            entered::enter(OWNER, id.into_u64(), handle, false);
        }
    }

    #[inline]
    fn exit(&self, id: &Id) {
        entered::exit(OWNER, id.into_u64());
    }

    fn clone_span(&self, id: &Id) -> Id {
        if let Some(handle) = handle(id) {
            handle.add_handle();
        }
        id.clone()
    }

    #[inline]
    fn try_close(&self, id: Id) -> bool {
        handle(&id).is_some_and(Handle::drop_handle)
    }

    fn current_span(&self) -> Current {
        let current = entered::newest_of(OWNER).and_then(|handle| Some((handle.id(), handle.metadata()?)));
        match current {
            Some((id, metadata)) => Current::new(Id::from_u64(id), metadata),
            None => Current::none(),
        }
    }
}

/// `None` of a span that was one too many.
#[inline]
pub(crate) fn handle(id: &Id) -> Option<Handle> {
    let id = id.into_u64();
    (id != NOBODY).then(|| Handle::from_id(id))
}
