use std::sync::Barrier;

use throughline::{Context, current, span};

use crate::traced::{root, traced};
use crate::tree::tree;

#[test]
fn clones_write_from_all_threads_and_the_last_one_ends_it() {
    let span = root("shared").share();
    let context = span.context();
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            let span = span.clone();
            std::thread::spawn(move || (0..20).for_each(|n| span.set(&format!("{thread}.{n}"), n)))
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().expect("it ends well"));
    assert_eq!(traced().trace(&context).len(), 0, "it has not ended yet");
    drop(span);
    let received = traced().span(&context);
    assert_eq!(received.attributes.len(), 80);
}

#[test]
fn it_is_entered_on_two_threads_at_once_and_both_reach_it() {
    let span = root("shared").share();
    let context = span.context();
    let both = Barrier::new(2);
    std::thread::scope(|scope| {
        for key in ["a", "b"] {
            let (span, both) = (span.clone(), &both);
            scope.spawn(move || {
                let _entered = span.enter();
                both.wait();
                // Another thread may be writing at this moment; then this one is told so.
                let reached = (0..1_000_000).any(|_| current(|span| span.set(key, true)).is_some());
                span!(key).end();
                both.wait();
                assert!(reached, "{key}");
            });
        }
    });
    span.end();
    let found = tree(&context);
    assert!(found == "shared+a+b(a b)" || found == "shared+b+a(a b)", "{found}");
}

#[test]
fn explicit_end_is_the_only_one() {
    let span = root("shared").share();
    let (context, other) = (span.context(), span.clone());
    let entered = other.enter();
    span.set("before", true);
    span.end();
    other.set("after", true);
    other.end();
    assert_eq!(current(|span| span.set("after", true)), None);
    assert_eq!(
        Context::current(),
        context,
        "its ids stay current until the guard is dropped"
    );
    span!("child").end();
    drop(entered);
    drop((span, other));
    assert_eq!(tree(&context), "shared+before(child)");
}

#[test]
fn shared_span_ends_with_its_last_handle_whatever_order_its_guards_end_in() {
    let (one, two) = (root("one").share(), root("two").share());
    let contexts = [one.context(), two.context()];
    let (entered_one, entered_two) = (one.enter(), two.enter());
    drop(entered_one);
    assert_eq!(current(|span| span.context()), Some(contexts[1].clone()));
    drop(entered_two);
    drop(two);
    assert_eq!(tree(&contexts[1]), "two", "it has ended");
    let last = one.enter();
    drop(one);
    assert_eq!(current(|span| span.set("kept.by", "its guard")), Some(()));
    drop(last);
    assert_eq!(tree(&contexts[0]), "one+kept.by");
    assert_eq!(Context::current(), Context::root());
}

#[test]
fn shared_span_runs_a_closure_and_is_a_parent() {
    let span = root("shared").share();
    let context = span.context();
    let value = span.in_scope(|| {
        current(|span| span.set("inside", true));
        span!("child").end();
        7
    });
    assert_eq!((value, current(|_| ())), (7, None));
    span!(parent: &span, "named child").end();
    span.end();
    assert_eq!(tree(&context), "shared+inside(child named child)");
}

#[test]
fn span_that_does_nothing_leaves_the_context_alone_also_when_shared() {
    let outer = root("outer").enter();
    let context = outer.context();
    let nothing = throughline::Span::none().share();
    nothing.in_scope(|| assert_eq!(Context::current(), context));
    let entered = nothing.enter();
    assert_eq!(Context::current(), context);
    assert_eq!(current(|span| span.set("reached", true)), Some(()));
    drop((entered, outer));
    assert_eq!(tree(&context), "outer+reached");
}
