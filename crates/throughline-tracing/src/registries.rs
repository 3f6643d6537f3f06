//! Which spans belong to which registry: ids of `tracing` are unique in one only.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once, OnceLock, Weak};

use throughline::seam;
use tracing_core::Metadata;
use tracing_core::dispatcher::{self, Dispatch, WeakDispatch};
use tracing_core::span::Id;
use tracing_subscriber::Registry;
use tracing_subscriber::registry::{ExtensionsMut, LookupSpan};

use crate::entered::Bridge;
use crate::locks::lock;
use crate::settings::Settings;
use crate::slot::Handle;
use crate::table::Table;

/// The spans of one registry. All layers of its subscriber share it, also one that replaces another by `reload`.
pub(crate) struct Spans {
    pub table: Table,
    /// Where the registry lies; 0 while that is not known.
    address: AtomicUsize,
    /// Set with it.
    dispatch: OnceLock<WeakDispatch>,
    /// Those of its first layer.
    settings: OnceLock<Settings>,
}

/// Stands in the registry beside a span, where it is not known yet which registry it is.
struct OwnedBy(Weak<Spans>);

/// Those whose registry may still be in use, and is known.
static ALL: Mutex<Vec<Arc<Spans>>> = Mutex::new(Vec::new());
/// Whether there was ever one whose registry was not known.
static WAS_UNKNOWN: AtomicBool = AtomicBool::new(false);
static LOST_LINKS: AtomicU64 = AtomicU64::new(0);

/// How many links there were to spans that had closed already, so far in this process: `follows_from` came too late for them.
#[must_use]
pub fn lost_links() -> u64 {
    LOST_LINKS.load(Ordering::Relaxed)
}

pub(crate) fn count_lost_link() {
    LOST_LINKS.fetch_add(1, Ordering::Relaxed);
}

/// Lets `throughline::current` and its like reach spans of `tracing`.
pub(crate) fn install_bridge() {
    static BRIDGE: Bridge = Bridge;
    static ONCE: Once = Once::new();
    ONCE.call_once(|| seam::set_bridge(&BRIDGE));
}

/// The spans of a dispatch that is being made, for each layer of it the same.
pub(crate) fn of_dispatch(dispatch: &Dispatch) -> Arc<Spans> {
    known(address(dispatch)).unwrap_or_else(|| {
        let spans = new();
        spans.learn(dispatch);
        spans
    })
}

/// The spans of a layer that was not told of its dispatch: it stands in a list, or was put there by `reload`. `None` where the
/// dispatch cannot be seen from here.
pub(crate) fn of_default_dispatch() -> Option<Arc<Spans>> {
    install_bridge();
    dispatcher::get_default(|dispatch| (address(dispatch) != 0).then(|| of_dispatch(dispatch)))
}

/// Those of a registry that is to be found out.
pub(crate) fn unknown() -> Arc<Spans> {
    WAS_UNKNOWN.store(true, Ordering::Relaxed);
    new()
}

fn new() -> Arc<Spans> {
    Arc::new(Spans {
        table: Table::new(),
        address: AtomicUsize::new(0),
        dispatch: OnceLock::new(),
        settings: OnceLock::new(),
    })
}

/// The spans of a dispatch that is in use, of which this is one.
pub(crate) fn find(dispatch: &Dispatch, id: &Id) -> Option<Arc<Spans>> {
    if WAS_UNKNOWN.load(Ordering::Relaxed) {
        let registry = dispatch.downcast_ref::<Registry>()?;
        let span = registry.span(id)?;
        let marked = span.extensions().get::<OwnedBy>().and_then(|owned| owned.0.upgrade());
        if let Some(spans) = marked {
            spans.learn(dispatch);
            return Some(spans);
        }
    }
    known(address(dispatch))
}

/// All there are, for those who do not know whose an id is.
pub(crate) fn all() -> Vec<Arc<Spans>> {
    lock(&ALL).map_or_else(Vec::new, |all| all.clone())
}

fn known(address: usize) -> Option<Arc<Spans>> {
    let is_it = |spans: &&Arc<Spans>| spans.address.load(Ordering::Relaxed) == address;
    let found = lock(&ALL)?.iter().find(is_it).cloned();
    // Asked under no lock: for a moment this keeps the subscriber.
    found.filter(|spans| spans.is_live())
}

fn address(dispatch: &Dispatch) -> usize {
    let registry = dispatch.downcast_ref::<Registry>();
    registry.map_or(0, |registry| std::ptr::from_ref(registry) as usize)
}

impl Spans {
    #[inline]
    pub fn is_known(&self) -> bool {
        self.address.load(Ordering::Relaxed) != 0
    }

    pub fn set_settings(&self, settings: &Settings) {
        self.settings.get_or_init(|| settings.clone());
    }

    /// How spans are recorded here.
    pub fn settings(&self) -> &Settings {
        self.settings.get_or_init(Settings::default)
    }

    fn learn(self: &Arc<Self>, dispatch: &Dispatch) {
        let address = address(dispatch);
        if address == 0 || self.dispatch.set(dispatch.downgrade()).is_err() {
            return;
        }
        self.address.store(address, Ordering::Relaxed);
        let before = all();
        // One of this registry belongs to a layer that was replaced. Asked and dropped is under no lock: a subscriber may go, and spans
        // of it that were never closed end here.
        let goes = |spans: &&Arc<Self>| spans.address.load(Ordering::Relaxed) == address || !spans.is_live();
        let gone: Vec<_> = before.iter().filter(goes).collect();
        if let Some(mut all) = lock(&ALL) {
            all.retain(|spans| !gone.iter().any(|gone| Arc::ptr_eq(gone, spans)));
            all.push(self.clone());
        }
    }

    /// Leaves word with a span whose they are, as long as the registry is not known.
    #[cold]
    pub fn mark(self: &Arc<Self>, extensions: &mut ExtensionsMut<'_>) {
        extensions.replace(OwnedBy(Arc::downgrade(self)));
    }

    /// Whether its registry may still be in use; another one may lie there by now.
    fn is_live(&self) -> bool {
        self.dispatch.get().is_some_and(|dispatch| dispatch.upgrade().is_some())
    }

    #[inline]
    pub fn find(&self, id: &Id) -> Option<Handle> {
        self.table.find(id.into_u64())
    }

    /// The span of this id, if it was made at this callsite.
    pub fn find_made_at(&self, id: &Id, metadata: &'static Metadata<'static>) -> Option<Handle> {
        self.find(id).filter(|handle| handle.is_made_at(metadata))
    }

    /// The nearest ancestor that is kept.
    pub fn find_above(&self, id: &Id, parent: impl Fn(&Id) -> Option<Id>) -> Option<Handle> {
        let mut above = parent(id)?;
        loop {
            match self.find(&above) {
                Some(handle) => return Some(handle),
                None => above = parent(&above)?,
            }
        }
    }

    /// Calls `f` with the registry: `None` where it is not known.
    pub fn with_registry<R>(&self, f: impl FnOnce(&Registry) -> R) -> Option<R> {
        let dispatch = self.dispatch.get()?.upgrade()?;
        dispatch.downcast_ref::<Registry>().map(f)
    }
}
