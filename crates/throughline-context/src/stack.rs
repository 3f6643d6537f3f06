//! Entering and leaving contexts on one thread.
//!
//! The current context lies in the thread-local by value, and each guard remembers by value what it replaced: entering
//! is a few stores. Guards that end out of order are the cold path: their frames wait in a list until the frame above
//! them ends.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::sync::Arc;

use crate::hook::hook;
use crate::ids::{Ids, RELAYS};
use crate::relay::Relay;

/// The number of the frame below all guards.
const BOTTOM: u32 = 0;

thread_local! {
    static CURRENT: Current = const { Current {
        trace_id: Cell::new([0; 16]),
        span_id: Cell::new([0; 8]),
        bits: Cell::new(0),
        frame: Cell::new(BOTTOM),
        entered: Cell::new(BOTTOM),
        has_gone: Cell::new(false),
    } };
    static RELAY: RefCell<Option<Arc<Relay>>> = const { RefCell::new(None) };
    static GONE: RefCell<Vec<Gone>> = const { RefCell::new(Vec::new()) };
}

/// One field a cell, so that each is read with the width it was written with.
struct Current {
    trace_id: Cell<[u8; 16]>,
    span_id: Cell<[u8; 8]>,
    bits: Cell<u32>,
    /// The frame that is current.
    frame: Cell<u32>,
    /// The frames entered so far on this thread; wraps, past 0.
    entered: Cell<u32>,
    /// Whether `GONE` holds anything.
    has_gone: Cell<bool>,
}

/// A frame that ended while another stood above it.
struct Gone {
    frame: u32,
    below: Below,
}

/// What a frame replaced.
struct Below {
    ids: Ids,
    frame: u32,
    relay: Option<Arc<Relay>>,
}

/// A context: the ids of a span, and what travels along.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    ids: Ids,
    relay: Option<Arc<Relay>>,
}

impl Context {
    /// A context of these ids and this relay. An empty relay counts as none.
    #[must_use]
    pub fn new(mut ids: Ids, relay: Option<Arc<Relay>>) -> Self {
        let relay = relay.filter(|relay| !relay.is_empty());
        ids.bits &= !RELAYS;
        if relay.is_some() {
            ids.bits |= RELAYS;
        }
        Self { ids, relay }
    }

    /// The ids and flags.
    #[must_use]
    pub fn ids(&self) -> Ids {
        self.ids
    }

    /// The `tracestate` and `baggage`, when there are any.
    #[must_use]
    pub fn relay(&self) -> Option<&Arc<Relay>> {
        self.relay.as_ref()
    }

    /// Whether there is neither a span nor anything to hand on.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.ids.is_span() && self.relay.is_none()
    }
}

/// The current context of this thread.
#[must_use]
pub fn current() -> Context {
    let ids = ids();
    Context {
        ids,
        relay: if ids.has_relay() { relay() } else { None },
    }
}

/// The ids of the current context of this thread, without what travels along.
///
/// All zero when there is no current span, and on a thread whose thread-locals are being torn down.
#[inline]
#[must_use]
pub fn ids() -> Ids {
    CURRENT
        .try_with(|current| Ids {
            trace_id: current.trace_id.get(),
            span_id: current.span_id.get(),
            bits: current.bits.get(),
        })
        .unwrap_or_default()
}

/// Makes a context current on this thread until the guard is dropped.
///
/// Guards may be dropped in any order: a context ends with its own guard, and the youngest one that has not ended is
/// current. A guard that is leaked (`mem::forget`) leaves its context current until a [`scope`] around it ends.
#[inline]
pub fn enter(ids: Ids, relay: Option<Arc<Relay>>) -> Entered {
    Entered::new(ids, relay, false)
}

/// Runs `f` with a context current, and puts back what was current before, whatever guards `f` has left behind.
///
/// This is what one poll of a future and one call of a closure want: nothing leaks out of them.
#[inline]
pub fn scope<R>(ids: Ids, relay: Option<Arc<Relay>>, f: impl FnOnce() -> R) -> R {
    let _scope = Entered::new(ids, relay, true);
    f()
}

/// Switches tracing off on this thread until the guard is dropped. Ids stay as they are.
///
/// An exporter does this on the threads and in the tasks of its own, so that it never traces itself.
pub fn suppress() -> Entered {
    let now = current();
    enter(now.ids.suppressed(), now.relay)
}

/// Keeps a context current; made by [`enter`].
///
/// It stays on its thread: it is not `Send`, so it cannot be held over an `.await` in a spawned task.
#[must_use = "the context is current only as long as the guard lives"]
pub struct Entered {
    below: Below,
    frame: u32,
    /// Whether the end of this guard ends all that was entered above it.
    is_scope: bool,
    token: usize,
    not_send: PhantomData<*const ()>,
}

impl std::fmt::Debug for Entered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entered")
            .field("frame", &self.frame)
            .finish_non_exhaustive()
    }
}

impl Entered {
    #[inline]
    fn new(ids: Ids, relay: Option<Arc<Relay>>, is_scope: bool) -> Self {
        let mut below = Below {
            ids: self::ids(),
            frame: BOTTOM,
            relay: None,
        };
        let mut ids = ids;
        ids.bits &= !RELAYS;
        if relay.is_some() || below.ids.has_relay() {
            below.relay = swap_relay(&mut ids, relay);
        }
        let frame = CURRENT
            .try_with(|current| {
                below.frame = current.frame.get();
                let frame = current.entered.get().wrapping_add(1).max(BOTTOM + 1);
                current.entered.set(frame);
                current.frame.set(frame);
                frame
            })
            .unwrap_or(BOTTOM);
        set(ids);
        let token = match hook() {
            None => 0,
            Some(hook) => hook.entered(&current()),
        };
        Self {
            below,
            frame,
            is_scope,
            token,
            not_send: PhantomData,
        }
    }
}

impl Drop for Entered {
    #[inline]
    fn drop(&mut self) {
        let in_order = CURRENT
            .try_with(|current| current.frame.get() == self.frame && !current.has_gone.get())
            .unwrap_or(true);
        if in_order && !ids().has_relay() && !self.below.ids.has_relay() {
            restore_ids(self.below.ids, self.below.frame);
        } else {
            self.leave_slowly();
        }
        if let Some(hook) = hook() {
            hook.exited(self.token, &current());
        }
    }
}

impl Entered {
    #[cold]
    fn leave_slowly(&mut self) {
        let mut below = Below {
            ids: self.below.ids,
            frame: self.below.frame,
            relay: self.below.relay.take(),
        };
        let is_top = self.is_scope
            || CURRENT
                .try_with(|current| current.frame.get() == self.frame)
                .unwrap_or(true);
        let _ = GONE.try_with(|gone| {
            let mut gone = gone.borrow_mut();
            if !is_top {
                gone.push(Gone {
                    frame: self.frame,
                    below,
                });
                return set_has_gone(true);
            }
            // Frames below that have ended already are skipped, however many there are.
            while let Some(at) = gone.iter().position(|gone| gone.frame == below.frame) {
                below = gone.swap_remove(at).below;
            }
            if below.frame == BOTTOM {
                // Nothing is entered any more: what is left belongs to guards that were leaked.
                gone.clear();
            }
            set_has_gone(!gone.is_empty());
            restore_ids(below.ids, below.frame);
            let _ = RELAY.try_with(|relay| relay.replace(below.relay));
        });
    }
}

#[inline]
fn set(ids: Ids) {
    let _ = CURRENT.try_with(|current| {
        current.trace_id.set(ids.trace_id);
        current.span_id.set(ids.span_id);
        current.bits.set(ids.bits);
    });
}

#[inline]
fn restore_ids(ids: Ids, frame: u32) {
    set(ids);
    let _ = CURRENT.try_with(|current| current.frame.set(frame));
}

fn set_has_gone(has_gone: bool) {
    let _ = CURRENT.try_with(|current| current.has_gone.set(has_gone));
}

#[cold]
fn relay() -> Option<Arc<Relay>> {
    RELAY.try_with(|relay| relay.borrow().clone()).ok().flatten()
}

#[cold]
fn swap_relay(ids: &mut Ids, relay: Option<Arc<Relay>>) -> Option<Arc<Relay>> {
    let relay = relay.filter(|relay| !relay.is_empty());
    if relay.is_some() {
        ids.bits |= RELAYS;
    }
    RELAY.try_with(|current| current.replace(relay)).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(n: u8) -> Ids {
        Ids::new([n; 16], [n; 8], 1)
    }

    fn top() -> u8 {
        ids().span_id()[0]
    }

    #[test]
    fn the_youngest_context_is_current_and_the_one_below_returns() {
        assert_eq!(top(), 0);
        let outer = enter(span(1), None);
        let inner = enter(span(2), None);
        assert_eq!(top(), 2);
        drop(inner);
        assert_eq!(top(), 1);
        drop(outer);
        assert_eq!(top(), 0);
    }

    #[test]
    fn guards_dropped_in_any_order_leave_the_youngest_living_one_current() {
        const ORDERS: [[usize; 4]; 24] = {
            let mut orders = [[0; 4]; 24];
            let mut n = 0;
            let mut code = 0;
            while code < 256 {
                let order = [code & 3, (code >> 2) & 3, (code >> 4) & 3, (code >> 6) & 3];
                if (1 << order[0]) | (1 << order[1]) | (1 << order[2]) | (1 << order[3]) == 15 {
                    orders[n] = order;
                    n += 1;
                }
                code += 1;
            }
            orders
        };
        for order in ORDERS {
            let mut guards: Vec<_> = (1..=4).map(|n| Some(enter(span(n), None))).collect();
            for at in order {
                guards[at] = None;
                let youngest = guards.iter().rposition(Option::is_some).map_or(0, |at| at as u8 + 1);
                assert_eq!(top(), youngest, "after {at} of {order:?}");
            }
        }
    }

    #[test]
    fn tracestate_and_baggage_stand_beside_the_ids_they_came_with() {
        let relay = Arc::new(Relay::new("a=1", "k=v"));
        let outer = enter(span(1), Some(relay.clone()));
        assert_eq!(current().relay(), Some(&relay));
        let bare = enter(span(2), None);
        assert_eq!(current().relay(), None);
        let inner = enter(span(3), Some(Arc::new(Relay::new("", "x=y"))));
        assert_eq!(current().relay().expect("a relay").baggage(), "x=y");
        drop(bare);
        drop(inner);
        assert_eq!(current().relay(), Some(&relay));
        drop(outer);
        assert!(current().is_empty());
    }

    #[test]
    fn an_empty_relay_is_none() {
        let _entered = enter(span(1), Some(Arc::new(Relay::default())));
        assert_eq!(current().relay(), None);
        assert!(!current().ids().has_relay());
    }

    #[test]
    fn suppression_keeps_the_ids_and_ends_with_its_guard() {
        let _outer = enter(span(1), None);
        let off = suppress();
        assert!(ids().is_suppressed());
        assert_eq!(top(), 1);
        drop(off);
        assert!(!ids().is_suppressed());
    }

    #[test]
    fn each_thread_has_a_context_of_its_own() {
        let _entered = enter(span(1), None);
        let other = std::thread::spawn(|| current().is_empty())
            .join()
            .expect("the thread ends well");
        assert!(other);
    }

    #[test]
    fn a_leaked_guard_stays_current_until_a_scope_around_it_ends() {
        scope(span(1), None, || {
            let outer = enter(span(2), None);
            std::mem::forget(enter(span(3), None));
            drop(outer);
            assert_eq!(top(), 3);
        });
        assert_eq!(top(), 0);
    }

    #[test]
    fn a_guard_held_over_two_scopes_leaks_into_neither_side() {
        let mut held = None;
        scope(span(1), None, || held = Some(enter(span(2), None)));
        assert_eq!(top(), 0, "as between two polls of a task that holds a guard");
        scope(span(1), None, || {
            assert_eq!(top(), 1);
            held = None;
            assert_eq!(top(), 1);
        });
        assert_eq!(top(), 0);
        assert_eq!(GONE.with_borrow(Vec::len), 0, "nothing piles up");
    }
}
