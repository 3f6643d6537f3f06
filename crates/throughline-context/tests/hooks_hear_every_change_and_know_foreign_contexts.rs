//! Hooks are told of each context that begins and ends, in whatever order, and can say what is current by another API.

use std::cell::RefCell;
use std::sync::Mutex;

use throughline_context::{Context, Hook, Ids, TooManyHooks, add_hook, current, enter, ids, is_empty, pop, push};

/// Notes what it is told.
struct Listener(Mutex<Vec<String>>);

impl Hook for Listener {
    fn entered(&self, _frame: u64, context: &Context) {
        self.note(format!("+{}", id(context)));
    }

    fn exited(&self, _frame: u64, current: &Context) {
        self.note(format!("now {}", id(current)));
    }
}

impl Listener {
    fn note(&self, line: String) {
        self.0.lock().expect("no test panics with it").push(line);
    }
}

thread_local! {
    /// The contexts of an API that is not ours, which knows of ours by their frames.
    static FOREIGN: RefCell<Vec<(Option<u64>, Context)>> = const { RefCell::new(Vec::new()) };
}

/// Keeps the contexts of both in one list.
struct Bridge;

impl Hook for Bridge {
    fn entered(&self, frame: u64, context: &Context) {
        FOREIGN.with_borrow_mut(|all| all.push((Some(frame), context.clone())));
    }

    fn exited(&self, frame: u64, _current: &Context) {
        FOREIGN.with_borrow_mut(|all| all.retain(|(number, _)| *number != Some(frame)));
    }

    fn current(&self, ours: &Context) -> Option<Context> {
        assert_eq!(current(), *ours, "what it reads meanwhile is ours");
        FOREIGN.with_borrow(|all| all.last().map(|(_, context)| context.clone()))
    }
}

static LISTENER: Listener = Listener(Mutex::new(Vec::new()));

fn id(context: &Context) -> u8 {
    context.ids().span_id()[0]
}

fn span(n: u8) -> Ids {
    Ids::new([n; 16], [n; 8], 1)
}

#[test]
fn hooks_hear_every_change_and_know_foreign_contexts() {
    add_hook(&LISTENER).expect("the first");
    add_hook(&Bridge).expect("there may be several");
    let one = enter(span(1), None);
    let two = enter(span(2), None);
    drop(one);
    let three = push(span(3), None);
    drop(two);
    pop(three);
    let heard = LISTENER.0.lock().expect("no test panics with it").join(", ");
    assert_eq!(heard, "+1, +2, now 2, +3, now 3, now 0");
    assert!(is_empty() && FOREIGN.with_borrow(Vec::is_empty));

    let ours = enter(span(4), None);
    FOREIGN.with_borrow_mut(|all| all.push((None, Context::new(span(5), None))));
    assert_eq!(
        (id(&current()), ids()),
        (5, span(5)),
        "the other API has begun one since"
    );
    let inner = enter(span(6), None);
    assert_eq!(ids(), span(6));
    drop(inner);
    assert_eq!(ids(), span(5));
    FOREIGN.with_borrow_mut(|all| all.pop());
    assert_eq!(ids(), span(4));
    drop(ours);
    FOREIGN.with_borrow_mut(|all| all.push((None, Context::new(span(7), None))));
    assert!(!is_empty());
    FOREIGN.with_borrow_mut(Vec::clear);

    add_hook(&LISTENER).expect("the third");
    add_hook(&LISTENER).expect("the fourth");
    assert_eq!(add_hook(&LISTENER), Err(TooManyHooks));
}
