//! A parent that is set while other threads use the span.

use std::borrow::Cow;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, Once};
use std::thread;
use std::time::Duration;

use throughline::{Decision, Sampler, SamplingInput, SamplingResult, ShouldSample, builder, extract, testing};
use throughline_tracing::{SetParentError, SpanExt as _, layer, subscriber};
use tracing::{Dispatch, Span, dispatcher, field, info_span};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry;

const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// Long enough for any machine; it passes only where a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the sampler tells that it is asked about a span with a caller, and waits.
static WAITING: Mutex<Option<(Sender<()>, Receiver<()>)>> = Mutex::new(None);

struct Waits;

impl ShouldSample for Waits {
    fn should_sample(&self, span: &SamplingInput<'_>) -> SamplingResult {
        if span.parent.span_id().is_some() {
            let (asked, go_on) = WAITING.lock().expect("nobody panics").take().expect("one at a time");
            asked.send(()).expect("the test waits");
            go_on.recv_timeout(PATIENCE).expect("the test answers");
        }
        SamplingResult::new(Decision::RecordAndSample)
    }

    fn description(&self) -> Cow<'_, str> {
        "Waits".into()
    }
}

/// Sets a parent; `use_it` gets the span on another thread, while the new span is being started.
fn set_parent_while(use_it: impl FnOnce(&Span) + Send, span: &Span) -> Result<(), SetParentError> {
    let ((asked, is_asked), (go, go_on)) = (channel(), channel());
    *WAITING.lock().expect("nobody panics") = Some((asked, go_on));
    thread::scope(|scope| {
        scope.spawn(move || {
            is_asked.recv_timeout(PATIENCE).expect("the sampler is asked");
            use_it(span);
            go.send(()).expect("the sampler waits");
        });
        span.set_parent(extract([("traceparent", CALLER)]))
    })
}

fn each_subscriber(test: impl Fn(&str)) {
    static ONCE: Once = Once::new();
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONCE.call_once(|| std::mem::forget(builder("parents").capturing().sampler(Sampler::custom(Waits)).init()));
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for (how, dispatch) in [
        ("layer", Dispatch::new(registry().with(layer()))),
        ("subscriber", Dispatch::new(subscriber().no_lines())),
    ] {
        dispatcher::with_default(&dispatch, || test(how));
    }
}

#[test]
fn parent_set_while_the_ids_are_seen_is_refused_and_changes_nothing() {
    each_subscriber(|how| {
        let capture = testing::capture();
        let span = info_span!("request", own = 1);
        let seen = Mutex::new(None);
        let set = set_parent_while(
            |span| *seen.lock().expect("nobody panics") = Some(span.context()),
            &span,
        );
        assert_eq!(set, Err(SetParentError::TooLate), "{how}");
        assert_eq!(seen.into_inner().expect("nobody panics"), Some(span.context()), "{how}");
        let shown = span.context().trace_id();
        drop(span);
        capture.assert_tree("request {own=1}");
        assert_eq!(Some(capture.span("request").trace_id()), shown, "{how}");
    });
}

#[test]
fn field_recorded_while_a_parent_is_set_is_kept() {
    each_subscriber(|how| {
        let capture = testing::capture();
        let span = info_span!("request", own = 1, late = field::Empty);
        let set = set_parent_while(|span| _ = span.record("late", 2), &span);
        assert_eq!(set, Ok(()), "{how}");
        drop(span);
        let request = capture.span("request");
        assert_eq!(
            request.trace_id().to_string(),
            "4bf92f3577b34da6a3ce929d0e0e4736",
            "{how}"
        );
        capture.assert_tree("request {own=1, late=2}");
    });
}
