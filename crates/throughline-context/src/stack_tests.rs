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
