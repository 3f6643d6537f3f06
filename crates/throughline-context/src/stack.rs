//! Entering and leaving contexts on one thread.
//!
//! The current context lies in the thread-local by value, and each guard remembers by value what it replaced: entering
//! is a few stores. Guards that end out of order are the cold path: their frames wait in a list until the frame above
//! them ends.
//!
//! The end of a scope ends all frames inside it, whatever their guards do later. Each guard therefore remembers the
//! scope it was entered in, and does nothing when that has ended.

use std::cell::{Cell, RefCell};
use std::marker::PhantomData;
use std::sync::Arc;

use crate::hook::{foreign, has_hooks, tell};
use crate::ids::{Ids, RELAYS};
use crate::relay::Relay;

/// The number of the frame below all guards, and of the scope around all scopes.
const BOTTOM: u64 = 0;
/// Scopes inside each other that are noted without an allocation.
const NEAR: usize = 32;

// The lists below are borrowed by nobody else but where an allocator traces, while one of them grows: then what it enters may be lost,
// but nothing panics.
thread_local! {
    static CURRENT: Current = const { Current {
        trace_id: Cell::new([0; 16]),
        span_id: Cell::new([0; 8]),
        bits: Cell::new(0),
        frame: Cell::new(BOTTOM),
        entered: Cell::new(BOTTOM),
        has_gone: Cell::new(false),
        scope: Cell::new(BOTTOM),
        depth: Cell::new(0),
        scopes: [const { Cell::new(BOTTOM) }; NEAR],
    } };
    static RELAY: RefCell<Option<Arc<Relay>>> = const { RefCell::new(None) };
    /// In the order in which they were entered. No two are neighbours, so there are at most as many as frames that live.
    static GONE: RefCell<Vec<Gone>> = const { RefCell::new(Vec::new()) };
    /// The frames of tokens, in the order in which they were entered.
    static PUSHED: RefCell<Vec<Frame>> = const { RefCell::new(Vec::new()) };
    /// The scopes inside the innermost of `Current::scopes`.
    static DEEP: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// One field a cell, so that each is read with the width it was written with.
struct Current {
    trace_id: Cell<[u8; 16]>,
    span_id: Cell<[u8; 8]>,
    bits: Cell<u32>,
    /// The frame that is current.
    frame: Cell<u64>,
    /// The frames entered so far on this thread: the number of the youngest.
    entered: Cell<u64>,
    /// Whether `GONE` holds anything.
    has_gone: Cell<bool>,
    /// The innermost scope that has not ended, by the number of its frame.
    scope: Cell<u64>,
    /// How many scopes have not ended.
    depth: Cell<usize>,
    /// `scopes[..depth]` are these scopes, outermost first; those beyond `NEAR` are in `DEEP`.
    scopes: [Cell<u64>; NEAR],
}

/// A frame that ended while another stood above it.
struct Gone {
    frame: u64,
    below: Below,
}

/// What a frame replaced.
#[derive(Default)]
struct Below {
    ids: Ids,
    frame: u64,
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

/// The current context of this thread: what was entered here last, unless a [`Hook`](crate::Hook) knows of a newer one.
#[must_use]
pub fn current() -> Context {
    let ours = ours();
    if has_hooks() {
        return asked().and_then(|_asking| foreign(&ours)).unwrap_or(ours);
    }
    ours
}

/// The same, of our own contexts.
fn ours() -> Context {
    let ids = own_ids();
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
    if has_hooks() {
        return current().ids;
    }
    own_ids()
}

#[inline]
fn own_ids() -> Ids {
    CURRENT
        .try_with(|current| Ids {
            trace_id: current.trace_id.get(),
            span_id: current.span_id.get(),
            bits: current.bits.get(),
        })
        .unwrap_or_default()
}

thread_local! {
    /// Whether a hook is being asked on this thread for what is current: what it reads meanwhile is ours.
    static IS_ASKING: Cell<bool> = const { Cell::new(false) };
}

struct Asking;

impl Drop for Asking {
    fn drop(&mut self) {
        let _ = IS_ASKING.try_with(|asking| asking.set(false));
    }
}

/// `None`: it is inside the same question.
fn asked() -> Option<Asking> {
    let was_asking = IS_ASKING.try_with(|asking| asking.replace(true)).unwrap_or(true);
    (!was_asking).then_some(Asking)
}

/// Whether nothing is current on this thread that could be passed on: no span, no relay, no mark.
#[inline]
#[must_use]
pub fn is_empty() -> bool {
    if has_hooks() {
        return ids().is_empty();
    }
    CURRENT
        .try_with(|current| current.bits.get() == 0 && current.span_id.get() == [0; 8])
        .unwrap_or(true)
}

/// Makes a context current on this thread until the guard is dropped.
///
/// Guards may be dropped in any order: a context ends with its own guard, and the youngest one that has not ended is
/// current. A guard that is leaked (`mem::forget`) leaves its context current until a [`scope`] around it ends.
#[inline]
pub fn enter(ids: Ids, relay: Option<Arc<Relay>>) -> Entered {
    Entered(Frame::enter(ids, relay))
}

/// Runs `f` with a context current, and puts back what was current before, whatever guards `f` has left behind.
///
/// This is what one poll of a future and one call of a closure want: nothing leaks out of them.
#[inline]
pub fn scope<R>(ids: Ids, relay: Option<Arc<Relay>>, f: impl FnOnce() -> R) -> R {
    struct Scope(Frame);

    impl Drop for Scope {
        #[inline]
        fn drop(&mut self) {
            self.0.end_scope();
        }
    }

    let frame = Frame::enter(ids, relay);
    frame.begin_scope();
    let _scope = Scope(frame);
    f()
}

/// Makes a context current on this thread until [`pop`] is given the token: for layers that are told of begin and end, and have no
/// place for a guard.
///
/// Tokens may be given back in any order. One that never is leaves its context current until a [`scope`] around it, or the thread,
/// ends.
#[inline]
pub fn push(ids: Ids, relay: Option<Arc<Relay>>) -> Token {
    // Where the thread's own memory is gone already, nothing is current.
    let number = PUSHED.try_with(|pushed| {
        let mut pushed = pushed.try_borrow_mut().ok()?;
        pushed.push(Frame::NONE);
        // Filled in its place: a frame that is made elsewhere and moved there takes three times as long.
        let frame = pushed.last_mut()?;
        frame.fill(ids, relay);
        Some(frame.number)
    });
    let number = number.ok().flatten().unwrap_or_default();
    if has_hooks() {
        tell(|hook| hook.entered(number, &ours()));
    }
    Token {
        number,
        not_send: PhantomData,
    }
}

/// Ends what [`push`] has begun. A token that was given back before does nothing.
#[inline]
pub fn pop(token: Token) {
    let is_done = PUSHED.try_with(|pushed| {
        let Ok(mut pushed) = pushed.try_borrow_mut() else {
            return false;
        };
        match pushed.last() {
            Some(last) if last.number == token.number && last.is_simple() => {
                restore_ids(last.below.ids, last.below.frame);
                pushed.pop();
                true
            }
            _ => false,
        }
    });
    if is_done != Ok(true) {
        return pop_slowly(token);
    }
    if has_hooks() {
        tell(|hook| hook.exited(token.number, &ours()));
    }
}

#[cold]
#[inline(never)]
fn pop_slowly(token: Token) {
    let frame = PUSHED.try_with(|pushed| {
        let mut pushed = pushed.try_borrow_mut().ok()?;
        let at = pushed.iter().rposition(|frame| frame.number == token.number)?;
        Some(pushed.remove(at))
    });
    if let Ok(Some(mut frame)) = frame {
        frame.end();
    }
}

/// A context that was made current by [`push`]. It stays on its thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    number: u64,
    not_send: PhantomData<*const ()>,
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
pub struct Entered(Frame);

impl std::fmt::Debug for Entered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entered")
            .field("frame", &self.0.number)
            .finish_non_exhaustive()
    }
}

impl Drop for Entered {
    #[inline]
    fn drop(&mut self) {
        self.0.end();
    }
}

/// One context that was entered, by a guard or for a scope.
struct Frame {
    below: Below,
    /// Unlike that of any other frame of the thread; a frame above has a greater one.
    number: u64,
    /// The scope it was entered in.
    scope: u64,
    not_send: PhantomData<*const ()>,
}

impl Frame {
    const NONE: Self = Self {
        below: Below {
            ids: Ids::new([0; 16], [0; 8], 0),
            frame: BOTTOM,
            relay: None,
        },
        number: BOTTOM,
        scope: BOTTOM,
        not_send: PhantomData,
    };

    #[inline]
    fn enter(ids: Ids, relay: Option<Arc<Relay>>) -> Self {
        let mut frame = Self::NONE;
        frame.fill(ids, relay);
        if has_hooks() {
            tell(|hook| hook.entered(frame.number, &ours()));
        }
        frame
    }

    /// Makes a context current, and notes what it replaces. Hooks are for the caller to tell.
    #[inline(always)]
    fn fill(&mut self, mut ids: Ids, relay: Option<Arc<Relay>>) {
        let before = own_ids();
        ids.bits &= !RELAYS;
        // `None` for `None`, where nothing is swapped: moved either way, so that nothing remains to be dropped.
        let relay = if relay.is_some() || before.has_relay() {
            swap_relay(&mut ids, relay)
        } else {
            relay
        };
        let (frame, number, scope) = CURRENT
            .try_with(|current| {
                let frame = current.frame.get();
                let number = current.entered.get() + 1;
                current.entered.set(number);
                current.frame.set(number);
                (frame, number, current.scope.get())
            })
            .unwrap_or_default();
        set(ids);
        self.below.ids = before;
        self.below.frame = frame;
        self.below.relay = relay;
        self.number = number;
        self.scope = scope;
    }

    #[inline]
    fn begin_scope(&self) {
        let _ = CURRENT.try_with(|current| {
            let depth = current.depth.get();
            match current.scopes.get(depth) {
                Some(scope) => scope.set(self.number),
                None => push_deep(depth, self.number),
            }
            current.scope.set(self.number);
            current.depth.set(depth + 1);
        });
    }

    /// The guard of this frame is dropped.
    #[inline]
    fn end(&mut self) {
        if self.is_simple() {
            restore_ids(self.below.ids, self.below.frame);
        } else {
            self.end_slowly();
        }
        if has_hooks() {
            tell(|hook| hook.exited(self.number, &ours()));
        }
    }

    /// The scope of this frame ends, and with it all that was entered inside.
    #[inline]
    fn end_scope(&mut self) {
        if self.is_simple() {
            restore_ids(self.below.ids, self.below.frame);
            let _ = CURRENT.try_with(|current| {
                // No frame is above this one, so no scope is.
                current.scope.set(self.scope);
                current.depth.set(current.depth.get().wrapping_sub(1));
            });
        } else {
            self.end_scope_slowly();
        }
        if has_hooks() {
            tell(|hook| hook.exited(self.number, &ours()));
        }
    }

    /// Whether this is the current frame, all frames below it live, and no relay changes.
    #[inline]
    fn is_simple(&self) -> bool {
        CURRENT
            .try_with(|current| {
                let has_relay = (current.bits.get() | self.below.ids.bits) & RELAYS != 0;
                current.frame.get() == self.number && !current.has_gone.get() && !has_relay
            })
            .unwrap_or(false)
    }

    #[cold]
    fn end_slowly(&mut self) {
        let _ = CURRENT.try_with(|current| {
            if current.scope_depth(self.scope).is_none() {
                // It ended with the scope it was entered in.
                return;
            }
            let below = std::mem::take(&mut self.below);
            if current.frame.get() == self.number {
                return current.return_to(below);
            }
            let _ = GONE.try_with(|gone| {
                if let Ok(mut gone) = gone.try_borrow_mut() {
                    current.note_gone(&mut gone, self.number, below);
                }
            });
        });
    }

    #[cold]
    fn end_scope_slowly(&mut self) {
        let _ = CURRENT.try_with(|current| {
            let Some(depth) = current.scope_depth(self.number) else {
                return;
            };
            current.scope.set(self.scope);
            current.depth.set(depth - 1);
            let _ = GONE.try_with(|gone| {
                let Ok(mut gone) = gone.try_borrow_mut() else { return };
                let outside = gone.partition_point(|gone| gone.frame < self.number);
                gone.truncate(outside);
            });
            let _ = PUSHED.try_with(|pushed| {
                let Ok(mut pushed) = pushed.try_borrow_mut() else {
                    return;
                };
                let outside = pushed.partition_point(|frame| frame.number < self.number);
                pushed.truncate(outside);
            });
            current.return_to(std::mem::take(&mut self.below));
        });
    }
}

impl Current {
    /// How many scopes there are up to this one; `None` when it has ended.
    fn scope_depth(&self, scope: u64) -> Option<usize> {
        let depth = self.depth.get();
        if scope == self.scope.get() {
            return Some(depth);
        }
        if scope == BOTTOM {
            return Some(0);
        }
        let near = &self.scopes[..depth.min(NEAR)];
        let position = near.binary_search_by_key(&scope, Cell::get).ok().or_else(|| {
            let deep = DEEP.try_with(|deep| deep.borrow().binary_search(&scope));
            deep.ok()?.ok().map(|at| NEAR + at).filter(|at| *at < depth)
        });
        position.map(|at| at + 1)
    }

    /// Makes current what the frame that was current had replaced. Where that frame has ended as well, it is skipped.
    fn return_to(&self, mut below: Below) {
        if self.has_gone.get() {
            let _ = GONE.try_with(|gone| {
                let Ok(mut gone) = gone.try_borrow_mut() else { return };
                // All the others are further below.
                if gone.last().is_some_and(|last| last.frame == below.frame) {
                    below = gone.pop().expect("there is a last one").below;
                }
                self.has_gone.set(!gone.is_empty());
            });
        }
        restore_ids(below.ids, below.frame);
        let _ = RELAY.try_with(|relay| relay.replace(below.relay));
    }

    /// Notes that a frame has ended which is not the current one. With neighbours that have ended it becomes one entry.
    fn note_gone(&self, gone: &mut Vec<Gone>, frame: u64, mut below: Below) {
        let mut at = gone.partition_point(|gone| gone.frame < frame);
        if at > 0 && gone[at - 1].frame == below.frame {
            at -= 1;
            below = gone.remove(at).below;
        }
        match gone.get_mut(at) {
            Some(above) if above.below.frame == frame => above.below = below,
            _ => gone.insert(at, Gone { frame, below }),
        }
        self.has_gone.set(true);
    }
}

#[cold]
fn push_deep(depth: usize, scope: u64) {
    let _ = DEEP.try_with(|deep| {
        let Ok(mut deep) = deep.try_borrow_mut() else { return };
        // What ended since is still there.
        deep.truncate(depth - NEAR);
        deep.push(scope);
    });
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
fn restore_ids(ids: Ids, frame: u64) {
    set(ids);
    let _ = CURRENT.try_with(|current| current.frame.set(frame));
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
#[path = "stack_tests.rs"]
mod tests;
