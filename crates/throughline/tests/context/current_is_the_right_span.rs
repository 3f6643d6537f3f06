use std::cell::RefCell;
use std::fmt;

use throughline::{Context, Entered, InSpanExt as _, Span, current, span};

use crate::traced::{root, traced};
use crate::tree::tree;

fn say(key: &str) -> bool {
    current(|span| span.set(key, true)).is_some()
}

#[test]
fn it_follows_guards_and_scopes() {
    assert!(!say("nowhere"));
    let outer = root("outer").enter();
    let context = outer.context();
    assert!(say("a"));
    let mut middle = span!("middle");
    middle.in_scope(|| {
        assert!(say("b"));
        let _inner = span!("inner").enter();
        assert!(say("c"));
    });
    assert!(say("d"));
    middle.end();
    outer.end();
    assert!(!say("nowhere"));
    assert_eq!(tree(&context), "outer+a+d(middle+b(inner+c))");
}

#[test]
fn where_only_ids_are_there_nothing_is_written() {
    let outer = root("outer").enter();
    let context = outer.context();
    let elsewhere = span!("elsewhere");
    elsewhere.context().in_scope(|| assert!(!say("lost")));
    assert!(say("here"));
    std::thread::scope(|scope| {
        scope.spawn(|| context.in_scope(|| assert!(!say("on another thread"))));
    });
    elsewhere.end();
    outer.end();
    assert_eq!(tree(&context), "outer+here(elsewhere)");
}

#[test]
fn guards_dropped_in_any_order_leave_the_youngest_living_one_current() {
    const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for order in ORDERS {
        let below = root("below").enter();
        let mut guards: Vec<Option<Entered>> = Vec::new();
        for n in 0..3 {
            let guard = Span::builder(&format!("guard {n}")).start().enter();
            guards.push(Some(guard));
        }
        for at in order {
            guards[at] = None;
            let youngest = guards.iter().rev().flatten().next().unwrap_or(&below);
            assert_eq!(Context::current(), youngest.context(), "after {at} of {order:?}");
            // It is reached, or at least no other is written to.
            if let Some(reached) = current(|span| span.context()) {
                assert_eq!(reached, youngest.context(), "after {at} of {order:?}");
            }
        }
        let context = below.context();
        below.end();
        assert!(Context::current().is_empty());
        assert_eq!(tree(&context), "below(guard 0(guard 1(guard 2)))");
    }
}

#[test]
fn guard_that_is_leaked_harms_no_other_span() {
    let mut outer = root("outer");
    let context = outer.context();
    outer.in_scope(|| {
        std::mem::forget(span!("leaked").enter());
        say("leaked");
    });
    assert!(Context::current().is_empty());
    outer.in_scope(|| assert!(say("again")));
    outer.end();
    assert_eq!(tree(&context), "outer+again");
}

#[test]
fn inside_its_own_use_a_span_is_reached_by_all_ways() {
    let outer = root("outer").enter();
    let context = outer.context();
    let inside = current(|span| {
        span.set("a", true);
        assert!(say("b"));
        outer.set("c", true);
        assert_eq!((outer.context(), span.context()), (context.clone(), context.clone()));
        assert!(outer.is_recording() && span.is_recording());
        span!("made inside").end();
        // Another span, made current inside, is reached as ever.
        let _other = span!("other").enter();
        assert!(say("reached"));
        span.set("d", true);
        outer.set("e", true);
    });
    assert_eq!(inside, Some(()));
    assert!(say("f"));
    outer.end();
    assert_eq!(tree(&context), "outer+a+b+c+d+e+f(made inside other+reached)");
}

#[test]
fn inside_its_own_use_a_shared_span_is_reached_by_all_ways() {
    let outer = root("outer").share();
    let context = outer.context();
    let entered = outer.enter();
    let inside = current(|span| {
        span.set("a", true);
        assert!(say("b"));
        outer.set("c", true);
        let there = outer.clone();
        let thread = std::thread::spawn(move || there.set("d", true));
        thread.join().expect("no lock is held that it would wait for");
        assert_eq!((outer.context(), span.context()), (context.clone(), context.clone()));
        outer.end();
        span.set("lost", true);
    });
    assert_eq!(inside, Some(()));
    drop(entered);
    assert_eq!(tree(&context), "outer+a+b+c+d");
}

#[test]
fn span_that_is_dropped_inside_its_own_use_ends_there() {
    let outer = root("outer").enter();
    let context = outer.context();
    let inside = current(|span| {
        span.set("a", true);
        drop(outer);
        assert!(Context::current().is_empty(), "its guard is gone");
        // It gets the place of the one that is no longer written to.
        let other = span!(parent: &context, "other");
        span.set("lost", true);
        let entered = other.enter();
        span.set("lost", true);
        assert!(!span.is_recording());
        entered.end();
        assert!(!say("nowhere"));
    });
    assert_eq!(inside, Some(()));
    assert_eq!(tree(&context), "outer+a(other)");
}

/// Uses tracing while it is displayed.
#[derive(Debug)]
struct Tracing;

impl fmt::Display for Tracing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        span!("while displayed").end();
        current(|span| span.set("displayed", true));
        f.write_str("an error")
    }
}

impl std::error::Error for Tracing {}

#[test]
fn error_that_traces_while_it_is_displayed_is_recorded() {
    let outer = root("outer").enter();
    let context = outer.context();
    outer.error(&Tracing);
    let shared = span!("shared").share();
    {
        let _entered = shared.enter();
        shared.error(&Tracing);
    }
    shared.end();
    outer.end();
    assert_eq!(
        tree(&context),
        "outer+displayed(shared+displayed(while displayed) while displayed)"
    );
}

/// Makes a span when it is dropped.
struct Dropped(Context);

impl Drop for Dropped {
    fn drop(&mut self) {
        let span = span!(parent: &self.0, "while dropped").enter();
        say("reached");
        span.set("written", true);
    }
}

#[test]
fn spans_made_while_values_and_threads_are_torn_down_arrive() {
    thread_local! {
        static LOCAL: RefCell<Option<Dropped>> = const { RefCell::new(None) };
    }
    let outer = root("outer");
    let context = outer.context();
    drop(Dropped(context.clone()));
    for order in [false, true] {
        let context = context.clone();
        let thread = std::thread::spawn(move || {
            // Thread-locals are torn down in an order that depends on which was used first.
            if order {
                span!(parent: &context, "first").end();
            }
            LOCAL.set(Some(Dropped(context)));
        });
        thread.join().expect("the thread ends well");
    }
    outer.end();
    let spans = traced().trace(&context);
    let names: Vec<_> = spans
        .iter()
        .map(|span| span.name.as_str())
        .filter(|name| *name == "while dropped")
        .collect();
    assert_eq!(names.len(), 3, "{spans:?}");
}

#[test]
fn guards_that_end_out_of_order_leave_the_youngest_reachable() {
    let (a, b, c) = (root("a").enter(), root("b").enter(), root("c").enter());
    let contexts = [a.context(), b.context(), c.context()];
    drop(a);
    assert!(say("first"));
    drop(b);
    assert!(say("second"));
    let inside = root("inside");
    let inside_context = inside.context();
    let mut scope = root("scope");
    let scope_context = scope.context();
    let left_behind = scope.in_scope(|| {
        let left_behind = inside.enter();
        drop(c);
        assert!(say("third"));
        left_behind
    });
    assert!(!say("nowhere"));
    left_behind.set("fourth", true);
    drop(left_behind);
    scope.end();
    assert!(!say("nowhere"));
    let trees = contexts.map(|context| tree(&context));
    assert_eq!(trees, ["a", "b", "c+first+second"]);
    assert_eq!(
        (tree(&inside_context), tree(&scope_context)),
        ("inside+third+fourth".into(), "scope".into())
    );
}

#[test]
fn span_that_came_from_another_thread_stays_current_when_that_thread_makes_its_first_span() {
    /// Makes a span current on the thread it has come to.
    type Way = fn(Span, &dyn Fn());
    let ways: [(&str, Way); 3] = [
        ("guard", |span, f| {
            let _entered = span.enter();
            f();
        }),
        ("scope", |mut span, f| span.in_scope(f)),
        ("future", |span, f| {
            futures::executor::block_on(async { f() }.in_span(span));
        }),
    ];
    for (way, make_current) in ways {
        let span = root(way);
        let context = span.context();
        std::thread::spawn(move || {
            make_current(span, &|| {
                assert!(say("before"), "{way}");
                span!("first").end();
                assert!(say("after"), "{way}");
            });
        })
        .join()
        .unwrap();
        assert_eq!(tree(&context), format!("{way}+before+after(first)"));
    }
}
