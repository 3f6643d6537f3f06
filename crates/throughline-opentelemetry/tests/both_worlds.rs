//! However native spans and contexts of the API lie inside each other, whatever becomes current last is the parent of what starts, and
//! what is written and read.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{FutureExt, Span, TraceContextExt, Tracer, TracerProvider, get_active_span};
use opentelemetry::{Context, ContextGuard, KeyValue, global};
use proptest::prelude::*;
use throughline::{inject, span, testing};
use throughline_opentelemetry::to_throughline;
use tracing_subscriber::layer::SubscriberExt;

fn tracer() -> throughline_opentelemetry::Tracer {
    throughline_opentelemetry::install();
    throughline_opentelemetry::TracerProvider::new().tracer("library")
}

fn native_id() -> Option<String> {
    throughline::Context::current().span_id().map(|id| id.to_string())
}

fn api_id() -> Option<String> {
    let context = Context::current();
    let span = context.span();
    let span = span.span_context();
    span.is_valid().then(|| span.span_id().to_string())
}

#[test]
fn spans_of_both_make_one_tree() {
    let capture = testing::capture();
    let tracer = tracer();
    span!("native").in_scope(|| {
        tracer.in_span("api", |context| {
            context.span().set_attribute(KeyValue::new("k", "v"));
            let _inner = span!("inner native").enter();
            global::tracer("another").in_span("inner api", |_| span!("leaf").end());
        });
        span!("sibling").end();
    });
    capture.assert_tree("native\n  api {k=v}\n    inner native\n      inner api\n        leaf\n  sibling");
    assert_eq!((native_id(), api_id()), (None, None));
}

#[test]
fn active_span_of_the_api_reaches_the_native_span() {
    let capture = testing::capture();
    tracer();
    let elsewhere = span!("native").in_scope(|| {
        get_active_span(|span| {
            assert!(span.is_recording() && span.span_context().is_sampled());
            span.set_attribute(KeyValue::new("set", 1));
            span.add_event("happened", vec![KeyValue::new("n", 2)]);
            span.set_status(opentelemetry::trace::Status::error("failed"));
            span.update_name("renamed");
            // It is somebody else's to end.
            span.end();
            assert!(span.is_recording());
        });
        Context::current()
    });
    elsewhere.span().set_attribute(KeyValue::new("too", "late"));
    assert!(!elsewhere.span().is_recording());
    capture.assert_tree("renamed ! {set=1}");
    assert_eq!(capture.span("renamed").view().events().count(), 1);
}

/// Writes to the current span as native code does.
fn write(key: &str) {
    throughline::current(|span| span.set(key, true)).expect("it is reached");
    throughline::event!("happened", from = key);
}

#[test]
fn native_code_reaches_the_active_span_of_the_api() {
    let capture = testing::capture();
    let tracer = tracer();
    global::tracer("another").in_span("in_span", |context| {
        write("here");
        context.span().set_attribute(KeyValue::new("by the api", true));
        let there = context.clone();
        let thread = std::thread::spawn(move || {
            let _attached = there.attach();
            write("on a thread");
        });
        thread.join().expect("it does not panic");
        to_throughline(&context).in_scope(|| write("by a native context"));
        futures::executor::block_on(async { write("in a future") }.with_context(context.clone()));
        span!("native").in_scope(|| write("in a native span"));
        context.span().end();
        assert_eq!(throughline::current(|_| ()), None, "it has ended");
    });
    {
        let _active = opentelemetry::trace::mark_span_as_active(tracer.start("active"));
        write("here");
        get_active_span(|_| write("while the API lends it"));
    }
    let detached = Context::new().with_span(tracer.start("detached"));
    assert_eq!(throughline::current(|_| ()), None, "it is not current");
    drop(detached);
    capture.assert_tree(
        "in_span {by a native context=true, by the api=true, here=true, in a future=true, on a thread=true}\n  \
         native {in a native span=true}\n\
         active {here=true, while the API lends it=true}\n\
         detached",
    );
    let events = |name| capture.span(name).view().events().count();
    assert_eq!((events("in_span"), events("native"), events("active")), (4, 1, 2));
}

#[test]
fn native_code_reaches_spans_of_the_api_and_of_tracing() {
    let capture = testing::capture();
    let tracer = tracer();
    let subscriber = tracing_subscriber::registry().with(throughline_tracing::layer());
    tracing::subscriber::with_default(subscriber, || {
        tracing::info_span!("tracing").in_scope(|| {
            write("outside");
            tracer.in_span("api", |_| {
                write("in the API's");
                tracing::info_span!("inner tracing").in_scope(|| write("inside"));
                write("again");
            });
            write("after");
        });
    });
    capture.assert_tree(
        "tracing {after=true, outside=true}\n  \
         api {again=true, in the API's=true}\n    \
         inner tracing {inside=true}",
    );
    let events = |name| capture.span(name).view().events().count();
    assert_eq!((events("tracing"), events("api"), events("inner tracing")), (2, 2, 1));
}

/// While a span of the API is locked by the API, code of the user's runs.
#[test]
fn native_code_may_write_while_the_api_writes() {
    let capture = testing::capture();
    tracer().in_span("span", |context| {
        let attributes = (0..2).map(|n| {
            throughline::event!("made");
            KeyValue::new(format!("n{n}"), n)
        });
        context.span().set_attributes(attributes);
    });
    capture.assert_tree("span {n0=0, n1=1}");
    assert_eq!(capture.span("span").view().events().count(), 2);
}

#[test]
fn context_of_the_api_carries_a_native_span_to_a_thread() {
    let capture = testing::capture();
    let tracer = tracer();
    span!("native").in_scope(|| {
        let context = Context::current();
        let thread = std::thread::spawn(move || {
            let _attached = context.attach();
            span!("native there").end();
            tracer.start("api there").end();
        });
        thread.join().expect("it does not panic");
    });
    capture.assert_tree("native\n  native there\n  api there");
}

#[test]
fn baggage_and_suppression_are_those_of_both() {
    let capture = testing::capture();
    let tracer = tracer();
    let mut baggage = throughline::Baggage::default();
    baggage.insert("user", "J\u{fc}rgen, 7").expect("it is valid");
    throughline::Context::root().with_baggage(&baggage).in_scope(|| {
        let there = Context::current();
        assert_eq!(
            there.baggage().get("user").map(|value| value.as_str()),
            Some("J\u{fc}rgen, 7")
        );
        // Into the API, through one of its spans, and back.
        tracer.in_span("api", |_| {
            assert_eq!(throughline::Context::current().baggage(), baggage);
            let _attached = Context::current_with_baggage([KeyValue::new("plan", "a b")]).attach();
            assert_eq!(throughline::Context::current().baggage_header(), "plan=a%20b");
            let sent: HashMap<String, String> = inject(HashMap::new());
            assert_eq!(sent["baggage"], "plan=a%20b");
            assert!(sent["traceparent"].contains(&api_id().expect("a span")));
            let _native = span!("native").enter();
            assert_eq!(
                Context::current().baggage().get("plan").map(|value| value.as_str()),
                Some("a b")
            );
        });
        let _cleared = throughline::Context::root().enter();
        assert!(Context::current().baggage().is_empty());
        assert!(throughline::Context::current().is_empty());
    });
    {
        let _suppressed = Context::enter_telemetry_suppressed_scope();
        assert!(!span!("not recorded").is_recording());
        assert!(!tracer.start("not recorded").is_recording());
    }
    {
        let _suppressed = throughline_context::suppress();
        assert!(Context::is_current_telemetry_suppressed());
        assert!(!tracer.start("not recorded").is_recording());
    }
    capture.assert_tree("api\n  native");
}

#[test]
fn guards_may_be_dropped_in_any_order() {
    let capture = testing::capture();
    let tracer = tracer();
    let one = span!("one").enter();
    let two = Context::current_with_span(tracer.start("two")).attach();
    let three = span!("three").enter();
    drop(one);
    span!("below three").end();
    drop(two);
    tracer.start("below three too").end();
    drop(three);
    assert_eq!((native_id(), api_id()), (None, None));
    span!("root").end();
    let four = span!("four").enter();
    let empty = Context::new().attach();
    span!("root too").end();
    drop(four);
    assert_eq!(native_id(), None);
    drop(empty);
    capture.assert_tree("one\n  two\n    three\n      below three\n      below three too\nroot\nfour\nroot too");
}

#[test]
fn guards_that_a_scope_leaves_behind_end_with_it() {
    let capture = testing::capture();
    let tracer = tracer();
    let mut kept = Vec::new();
    span!("outer").in_scope(|| {
        span!("scope").in_scope(|| {
            kept.push(span!("left behind").enter());
            std::mem::forget(throughline::Context::root().enter());
            tracer.start("new trace").end();
        });
        tracer.start("below outer").end();
        assert_eq!(api_id(), native_id());
    });
    assert_eq!((native_id(), api_id()), (None, None));
    kept.clear();
    tracer.start("root").end();
    capture.assert_tree("outer\n  scope\n    left behind\n  below outer\nnew trace\nroot");
}

#[tokio::test]
async fn futures_of_both_hold_their_contexts() {
    use throughline::InSpanExt;

    let capture = testing::capture();
    let tracer = tracer();
    let step = async || {
        tokio::task::yield_now().await;
        span!("native step").end();
        tokio::task::yield_now().await;
        global::tracer("library").start("api step").end();
    };
    let api = Context::current_with_span(tracer.start("api"));
    let both = futures::future::join(
        async { step().in_span(span!("native in api")).await }.with_context(api.clone()),
        async {
            step()
                .with_context(Context::current_with_span(tracer.start("api in native")))
                .await;
        }
        .in_span(span!("native")),
    );
    both.await;
    drop(api);
    capture.assert_tree(
        "api\n  native in api\n    native step\n    api step\nnative\n  api in native\n    native step\n    api step",
    );
}

/// Starts a native span when it is dropped.
struct StartsWhenDropped(&'static str);

impl Drop for StartsWhenDropped {
    fn drop(&mut self) {
        let _ = Context::current();
        span!(self.0).end();
    }
}

#[test]
fn cancelled_futures_and_destructors_see_a_context() {
    use throughline::InSpanExt;

    let capture = testing::capture();
    let tracer = tracer();
    let context = Context::current_with_span(tracer.start("api"));
    let waits = async {
        let _held = StartsWhenDropped("cancelled");
        std::future::pending::<()>().await;
    };
    let mut cancelled = Box::pin(waits.in_context(to_throughline(&context)));
    let mut task = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(cancelled.as_mut().poll(&mut task).is_pending());
    drop(cancelled);
    drop(context);
    let outer = span!("outer").enter();
    let guard = Context::current().with_value(StartsWhenDropped("value")).attach();
    let native = span!("native").enter();
    // The last holder of the value is the native frame: it goes in its hook.
    drop(guard);
    drop(native);
    drop(outer);
    assert_eq!((native_id(), api_id()), (None, None));
    capture.assert_tree("api\n  cancelled\nouter\n  native\n  value");
}

/// Starts spans of both when a thread ends; the API's `current` panics then.
struct StartsAtTheEnd;

impl Drop for StartsAtTheEnd {
    fn drop(&mut self) {
        let native = span!("at the end").enter();
        let provider = throughline_opentelemetry::TracerProvider::new();
        drop(
            provider
                .tracer("library")
                .start_with_context("at the end", &Context::new()),
        );
        drop(native);
    }
}

thread_local! {
    static LAST: std::cell::RefCell<Vec<Box<dyn std::any::Any>>> = const { std::cell::RefCell::new(Vec::new()) };
}

#[test]
fn threads_end_with_guards_of_both() {
    let _capture = testing::capture();
    let tracer = tracer();
    for api_first in [false, true] {
        let tracer = tracer.clone();
        let thread = std::thread::spawn(move || {
            let keep = |value: Box<dyn std::any::Any>| LAST.with_borrow_mut(|last| last.push(value));
            // Dropped by the thread's destructors, before or behind those of the two stacks.
            if api_first {
                keep(Box::new(StartsAtTheEnd));
            }
            keep(Box::new(span!("native").enter()));
            keep(Box::new(Context::current_with_span(tracer.start("api"))));
            std::mem::forget(Context::current_with_span(tracer.start("leaked")).attach());
            std::mem::forget(span!("leaked").enter());
        });
        thread.join().expect("no destructor panics");
    }
}

#[test]
fn too_many_contexts_are_current_natively_all_the_same() {
    let _capture = testing::capture();
    let tracer = tracer();
    let guards: Vec<ContextGuard> = (0..u16::MAX).map(|_| Context::new().attach()).collect();
    let native = span!("native").enter();
    let id = native.context().span_id();
    assert_eq!(throughline::Context::current().span_id(), id);
    let child = tracer.start("child");
    assert_eq!(
        child.span_context().trace_id().to_string(),
        native.context().trace_id().expect("it has one").to_string()
    );
    drop((child, native, guards));
    assert_eq!((native_id(), api_id()), (None, None));
}

#[test]
fn native_span_inside_a_borrowed_context_harms_nobody() {
    let capture = testing::capture();
    let tracer = tracer();
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let outer = span!("outer").enter();
        Context::map_current(|_| {
            let _native = span!("native").enter();
            span!("inner").end();
            tracer.start("api").end();
        });
        Context::map_current(move |_| drop(outer));
        span!("root").end();
    }));
    std::panic::set_hook(before);
    assert!(outcome.is_ok());
    capture.assert_tree("outer\n  native\n    inner\n    api\nroot");
}

#[test]
fn global_propagator_speaks_for_both() {
    let capture = testing::capture();
    let tracer = tracer();
    let id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let incoming = HashMap::from([
        ("traceparent".to_owned(), format!("00-{id}-00f067aa0ba902b7-01")),
        ("tracestate".to_owned(), "v=1".to_owned()),
        ("baggage".to_owned(), "k=v;p=1".to_owned()),
    ]);
    let context = global::get_text_map_propagator(|propagator| propagator.extract(&incoming));
    assert_eq!(context.baggage().to_string(), "k=v;p=1");
    assert_eq!(context.span().span_context().trace_state().header(), "v=1");
    let span = tracer.start_with_context("server", &context);
    let span_id = span.span_context().span_id().to_string();
    let _attached = context.with_span(span).attach();
    let native = span!("native").enter();
    let native_id = native.context().span_id().expect("it has one").to_string();
    for (context, parent) in [
        (Context::current(), native_id),
        (context, "00f067aa0ba902b7".to_owned()),
    ] {
        let mut sent = HashMap::new();
        global::get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut sent));
        assert_eq!(sent["traceparent"], format!("00-{id}-{parent}-01"));
        assert_eq!((&*sent["tracestate"], &*sent["baggage"]), ("v=1", "k=v;p=1"));
    }
    drop(native);
    let mut sent = HashMap::new();
    global::get_text_map_propagator(|propagator| propagator.inject(&mut sent));
    assert!(sent["traceparent"].contains(&span_id));
    let propagator = throughline_opentelemetry::Propagator::new();
    assert_eq!(
        propagator.fields().collect::<Vec<_>>(),
        ["traceparent", "tracestate", "baggage"]
    );
    // What is not there leaves the context as it was.
    let same = propagator.extract(&HashMap::from([("traceparent".to_owned(), "bad".to_owned())]));
    assert_eq!(same.span().span_context(), Context::current().span().span_context());
    let baggage = propagator.extract(&HashMap::from([("baggage".to_owned(), "x=y".to_owned())]));
    assert_eq!(baggage.baggage().to_string(), "x=y");
    assert_eq!(baggage.span().span_context(), Context::current().span().span_context());
    drop((capture, _attached));
}

/// One thing a program may do.
#[derive(Clone, Debug)]
enum Step {
    EnterNative,
    AttachApi,
    AttachEmpty,
    EnterRoot,
    AttachBaggage,
    /// Drops one of the guards.
    Leave(prop::sample::Index),
    Start {
        native: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::EnterNative),
        3 => Just(Step::AttachApi),
        1 => Just(Step::AttachEmpty),
        1 => Just(Step::EnterRoot),
        1 => Just(Step::AttachBaggage),
        4 => any::<prop::sample::Index>().prop_map(Step::Leave),
        4 => any::<bool>().prop_map(|native| Step::Start { native }),
    ]
}

#[expect(dead_code, reason = "guards are there to be dropped")]
enum Guard {
    Native(throughline::Entered),
    Context(throughline::EnteredContext),
    Api(ContextGuard),
}

proptest! {
#[test]
    fn any_nesting_yields_the_right_parents(steps in proptest::collection::vec(step(), 0..40)) {
        let capture = testing::capture();
        let tracer = tracer();
        // The model: what is current, the last one on top, each with the id of its span.
        let mut model: Vec<(Guard, Option<String>)> = Vec::new();
        let top = |model: &[(Guard, Option<String>)]| model.last().and_then(|(_, id)| id.clone());
        let mut expected = Vec::new();
        for (n, step) in steps.into_iter().enumerate() {
            let parent = top(&model);
            let name = format!("span {n}");
            match step {
                Step::EnterNative => {
                    let span = throughline::Span::builder(&name).start();
                    expected.push((name, parent));
                    let id = span.context().span_id().map(|id| id.to_string());
                    model.push((Guard::Native(span.enter()), id));
                }
                Step::AttachApi => {
                    let span = tracer.start(name.clone());
                    expected.push((name, parent));
                    let id = Some(span.span_context().span_id().to_string());
                    model.push((Guard::Api(Context::current_with_span(span).attach()), id));
                }
                Step::AttachEmpty => model.push((Guard::Api(Context::new().attach()), None)),
                Step::EnterRoot => model.push((Guard::Context(throughline::Context::root().enter()), None)),
                Step::AttachBaggage => {
                    let guard = Context::current_with_baggage([KeyValue::new("n", n.to_string())]).attach();
                    model.push((Guard::Api(guard), parent));
                    let context = throughline::Context::current();
                    prop_assert_eq!(context.baggage_header(), format!("n={n}"));
                }
                Step::Leave(at) => if !model.is_empty() {
                    let at = at.index(model.len());
                    drop(model.remove(at));
                },
                Step::Start { native: true } => {
                    drop(throughline::Span::builder(&name).start());
                    expected.push((name, parent));
                }
                Step::Start { native: false } => {
                    drop(tracer.start(name.clone()));
                    expected.push((name, parent));
                }
            }
            prop_assert_eq!(native_id(), top(&model));
            prop_assert_eq!(api_id(), top(&model));
        }
        drop(model);
        prop_assert_eq!((native_id(), api_id()), (None, None));
        let spans = capture.spans();
        for (name, parent) in expected {
            let span = spans.iter().find(|span| span.name() == name).expect("it was recorded");
            prop_assert_eq!(span.view().parent_span_id().map(|id| id.to_string()), parent, "{}", name);
        }
    }
}

#[test]
fn tracestate_that_the_api_cannot_hold_goes_on_in_its_trace_only() {
    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let _capture = testing::capture();
    throughline_opentelemetry::install();
    let propagator = throughline_opentelemetry::Propagator::new();
    let headers = HashMap::from([
        ("traceparent".to_owned(), PARENT.to_owned()),
        // The grammar of Level 2; the API's is that of Level 1.
        ("tracestate".to_owned(), "foo@@bar=1".to_owned()),
    ]);
    let incoming = propagator.extract(&headers);
    assert_eq!(incoming.span().span_context().trace_state().header(), "");
    let tracer = global::tracer("test");
    let child = incoming.with_span(tracer.start_with_context("child", &incoming));
    for context in [&incoming, &child] {
        let mut sent = HashMap::new();
        propagator.inject_context(context, &mut sent);
        assert_eq!(sent["tracestate"], "foo@@bar=1");
    }
    let other = "00-11111111111111111111111111111111-2222222222222222-01";
    let other = propagator.extract(&HashMap::from([("traceparent".to_owned(), other.to_owned())]));
    let moved = child.with_remote_span_context(other.span().span_context().clone());
    let mut sent = HashMap::new();
    propagator.inject_context(&moved, &mut sent);
    assert!(!sent.contains_key("tracestate"), "it is that of another trace");
}
