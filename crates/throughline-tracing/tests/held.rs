//! The fields of a root that is not sampled, which are kept in case that its parent is set.

use throughline::{Sampler, builder, extract, testing};
use throughline_tracing::{SpanExt as _, layer, subscriber};
use tracing::{Dispatch, dispatcher, field, info_span};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry;

const SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const NOT_SAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

fn subscribers() -> [(&'static str, Dispatch); 2] {
    // The sampler of a process is chosen once.
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let sampler = Sampler::always_off().parent_based();
        std::mem::forget(builder("held").capturing().sampler(sampler).init());
    });
    [
        ("layer", Dispatch::new(registry().with(layer()))),
        ("subscriber", Dispatch::new(subscriber().no_lines())),
    ]
}

#[test]
fn fields_are_those_of_their_own_span() {
    for (how, dispatch) in subscribers() {
        let capture = testing::capture();
        dispatcher::with_default(&dispatch, || {
            let refused = info_span!("refused", theirs = 1);
            refused
                .set_parent(extract([("traceparent", NOT_SAMPLED)]))
                .expect("it is new");
            drop(refused);
            // It has the same slot.
            let wanted = info_span!("wanted", own = 2);
            wanted
                .set_parent(extract([("traceparent", SAMPLED)]))
                .expect("it is new");
        });
        let wanted = capture.span("wanted");
        let attributes: Vec<_> = wanted.attributes().map(|(key, _)| key.to_owned()).collect();
        assert_eq!(attributes, ["own"], "{how}");
    }
}

#[test]
fn fields_are_kept_over_a_parent_that_was_not_sampled() {
    for (how, dispatch) in subscribers() {
        let capture = testing::capture();
        dispatcher::with_default(&dispatch, || {
            let span = info_span!("span", own = 1, message = "words");
            for parent in [NOT_SAMPLED, SAMPLED] {
                span.set_parent(extract([("traceparent", parent)])).expect("it is new");
            }
        });
        let span = capture.span("span");
        let has = |key: &str| span.attribute(key).is_some();
        assert!(has("own") && has("message"), "{how}");
    }
}

#[test]
fn fields_of_a_span_that_was_entered_are_kept_no_longer() {
    for (how, dispatch) in subscribers() {
        dispatcher::with_default(&dispatch, || {
            let span = info_span!("span", n = 0, text = field::Empty).entered();
            let counted = allocation_counter::measure(|| {
                for n in 0..1_000 {
                    span.record("n", n).record("text", "some text");
                }
            });
            assert_eq!(counted.count_total, 0, "{how}");
        });
    }
}

#[test]
fn fields_that_are_recorded_again_and_again_take_no_more_memory() {
    for (how, dispatch) in subscribers() {
        let capture = testing::capture();
        dispatcher::with_default(&dispatch, || {
            let span = info_span!("span", n = 0, text = field::Empty);
            let counted = allocation_counter::measure(|| {
                for n in 0..20_000 {
                    span.record("n", n).record("text", format_args!("text {n}").to_string());
                }
            });
            assert!(counted.bytes_max < 100_000, "{how}: {}", counted.bytes_max);
            span.set_parent(extract([("traceparent", SAMPLED)])).expect("it is new");
        });
        let span = capture.span("span");
        let text = span.attribute("text").and_then(|text| text.as_str());
        assert_eq!(text, Some("text 19999"), "{how}");
        let n = span.attribute("n").and_then(|n| n.as_i64());
        assert_eq!((n, span.attributes().count()), (Some(19_999), 2), "{how}");
    }
}
