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
pub fn push(ids: Ids, relay: Option<Arc<Relay>>) -> Token {
    let frame = Frame::enter(ids, relay);
    let number = frame.number;
    // Where the thread's own memory is gone already, nothing is current.
    let _ = PUSHED.try_with(|pushed| pushed.borrow_mut().push(frame));
    Token {
        number,
        not_send: PhantomData,
    }
}

/// Ends what [`push`] has begun. A token that was given back before does nothing.
pub fn pop(token: Token) {
    let frame = PUSHED.try_with(|pushed| {
        let mut pushed = pushed.borrow_mut();
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
    #[inline]
    fn enter(mut ids: Ids, relay: Option<Arc<Relay>>) -> Self {
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
        if has_hooks() {
            tell(|hook| hook.entered(number, &ours()));
        }
        Self {
            below: Below {
                ids: before,
                frame,
                relay,
            },
            number,
            scope,
            not_send: PhantomData,
        }
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
            let _ = GONE.try_with(|gone| current.note_gone(&mut gone.borrow_mut(), self.number, below));
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
                let mut gone = gone.borrow_mut();
                let outside = gone.partition_point(|gone| gone.frame < self.number);
                gone.truncate(outside);
            });
            let _ = PUSHED.try_with(|pushed| {
                let mut pushed = pushed.borrow_mut();
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
                let mut gone = gone.borrow_mut();
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
        let mut deep = deep.borrow_mut();
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
mod tests {
    use super::*;

    fn span(n: u8) -> Ids {
        Ids::new([n; 16], [n; 8], 1)
    }

    fn top() -> u8 {
        ids().span_id()[0]
    }

    #[test]
    fn youngest_context_is_current_and_the_one_below_returns() {
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
    fn empty_relay_is_none() {
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
    fn leaked_guard_stays_current_until_a_scope_around_it_ends() {
        scope(span(1), None, || {
            let outer = enter(span(2), None);
            std::mem::forget(enter(span(3), None));
            drop(outer);
            assert_eq!(top(), 3);
        });
        assert_eq!(top(), 0);
    }

    #[test]
    fn guard_held_over_two_scopes_leaks_into_neither_side() {
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

    /// As in a task that is polled under a guard of the executor's, and holds a guard of its own over each await.
    #[test]
    fn guards_held_over_polls_leave_nothing_behind() {
        let outer = enter(span(1), None);
        let mut held = None;
        for _ in 0..10_000 {
            scope(span(2), None, || {
                drop(held.take());
                assert_eq!(top(), 2);
                held = Some(enter(span(3), None));
            });
            assert_eq!(top(), 1);
            assert_eq!(GONE.with_borrow(Vec::len), 0, "nothing piles up");
        }
        drop(held);
        drop(outer);
        assert_eq!(top(), 0);
    }

    #[test]
    fn tokens_may_be_given_back_in_any_order_or_never() {
        let outer = push(span(1), None);
        let (two, three) = (push(span(2), None), push(span(3), None));
        pop(two);
        assert_eq!(top(), 3);
        pop(two);
        pop(three);
        assert_eq!(top(), 1);
        scope(span(4), None, || {
            let _never = push(span(5), None);
            let guard = enter(span(6), None);
            let inside = push(span(7), None);
            drop(guard);
            pop(inside);
            assert_eq!(top(), 5);
        });
        assert_eq!(
            (top(), PUSHED.with_borrow(Vec::len)),
            (1, 1),
            "what the scope left open is gone"
        );
        pop(outer);
        assert_eq!((top(), PUSHED.with_borrow(Vec::len)), (0, 0));
        assert_eq!(GONE.with_borrow(Vec::len), 0);
    }

    #[test]
    fn guards_that_replace_each_other_leave_nothing_behind() {
        let outer = enter(span(1), None);
        let mut guard = enter(span(2), None);
        for _ in 0..10_000 {
            // The new one is entered before the old one is dropped.
            guard = enter(span(3), None);
            assert_eq!(top(), 3);
            assert!(GONE.with_borrow(Vec::len) <= 1, "nothing piles up");
        }
        drop(guard);
        assert_eq!(top(), 1);
        drop(outer);
        assert_eq!(GONE.with_borrow(Vec::len), 0);
    }

    /// Enters, drops, leaks and begins scopes at random, beside a plain list of the frames that live.
    struct Run {
        random: u64,
        steps: usize,
        /// How many scopes to begin inside each other before all else.
        nested: usize,
        last: u8,
        /// Number and context of each frame that has not ended, oldest first.
        live: Vec<(u64, Context)>,
        held: Vec<Entered>,
    }

    impl Run {
        fn draw(&mut self, below: usize) -> usize {
            // SplitMix64.
            self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = self.random;
            mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((mixed ^ mixed >> 31) % below as u64) as usize
        }

        fn context(&mut self) -> Context {
            self.last = self.last % 250 + 1;
            let relay = (self.draw(4) == 0).then(|| Arc::new(Relay::new("", format!("n={}", self.last))));
            Context::new(span(self.last), relay)
        }

        fn enter(&mut self) {
            let context = self.context();
            let guard = enter(context.ids(), context.relay().cloned());
            self.live.push((guard.0.number, context));
            self.held.push(guard);
        }

        fn drop_one(&mut self, at: usize) {
            let guard = self.held.remove(at);
            self.live.retain(|(number, _)| *number != guard.0.number);
        }

        fn scope(&mut self, scopes: usize) {
            let context = self.context();
            scope(context.ids(), context.relay().cloned(), || {
                let number = CURRENT.with(|current| current.frame.get());
                self.live.push((number, context));
                self.run(scopes + 1);
                self.live.retain(|(inside, _)| *inside < number);
            });
        }

        fn run(&mut self, scopes: usize) {
            self.check();
            if scopes < self.nested {
                self.enter();
                self.scope(scopes);
                self.check();
            }
            while self.steps > 0 {
                self.steps -= 1;
                match self.draw(10) {
                    0..=2 => self.enter(),
                    3..=5 if !self.held.is_empty() => {
                        let at = self.draw(self.held.len());
                        self.drop_one(at);
                    }
                    6 if !self.held.is_empty() => self.drop_one(self.held.len() - 1),
                    7 if scopes > 0 && !self.held.is_empty() && self.draw(4) == 0 => {
                        let at = self.draw(self.held.len());
                        // Its frame lives on until a scope around it ends; one outside of all would do so for ever.
                        if self.held[at].0.scope != BOTTOM {
                            std::mem::forget(self.held.remove(at));
                        }
                    }
                    8 => self.scope(scopes),
                    9 if scopes > 0 && self.draw(2) == 0 => return,
                    _ => continue,
                }
                self.check();
            }
        }

        fn check(&self) {
            let expected = self.live.last().map(|(_, context)| context.clone()).unwrap_or_default();
            assert_eq!(current(), expected);
            assert!(GONE.with_borrow(Vec::len) <= self.live.len(), "ended frames pile up");
        }
    }

    #[test]
    fn current_context_is_that_of_a_plain_list_of_frames() {
        for seed in 0..2_000 {
            let (last, live, held) = (0, Vec::new(), Vec::new());
            let mut run = Run {
                random: seed,
                steps: 200,
                // More than are noted without an allocation, in some.
                nested: if seed % 4 == 0 { NEAR + 4 } else { 0 },
                last,
                live,
                held,
            };
            run.run(0);
            while !run.held.is_empty() {
                run.drop_one(0);
                run.check();
            }
            assert!(current().is_empty() && GONE.with_borrow(Vec::is_empty), "seed {seed}");
        }
    }
}
