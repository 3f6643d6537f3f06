//! A span that nobody records allocates nothing, and asks its fields nothing.

use std::fmt;

use throughline::{Context, Sampler, SpanContext, SpanId, TraceFlags, TraceId};
use throughline_tracing::{SpanExt as _, layer, subscriber};
use tracing::{Dispatch, Span, dispatcher, info, info_span};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry;

struct Asked;

impl fmt::Debug for Asked {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("nobody is to ask")
    }
}

fn spans() {
    info_span!("child", number = 1, text = "text", asked = ?Asked).in_scope(|| {
        Span::current().record("number", 2);
        info!(asked = ?Asked, "event");
        info_span!("grandchild").in_scope(|| {});
    });
}

fn unsampled() -> Context {
    let ids = TraceId::from_bytes([7; 16]).zip(SpanId::from_bytes([8; 8]));
    let (trace_id, span_id) = ids.expect("they are not zero");
    Context::of(SpanContext::new(trace_id, span_id, TraceFlags::from_byte(0), true))
}

/// One process, and so one test: the allocator counts all of a thread, and the sampler is chosen once.
#[test]
fn spans_that_are_not_sampled_cost_no_allocation() {
    let directory = tempfile::tempdir().expect("a directory");
    let _tracing = throughline::builder("unsampled")
        .spool_dir(directory.path())
        .sampler(Sampler::parent_based(Sampler::always_off()))
        .init();
    for (how, dispatch) in [
        ("layer", Dispatch::new(registry().with(layer()))),
        ("subscriber", Dispatch::new(subscriber().no_lines())),
    ] {
        for (whose, context) in [("of a caller's trace", unsampled()), ("roots", Context::root())] {
            dispatcher::with_default(&dispatch, || {
                let work = || {
                    context.in_scope(|| {
                        info_span!("root", number = 1).in_scope(|| {
                            assert!(!Context::current().span_context().expect("a span").flags().is_sampled());
                            (0..10).for_each(|_| spans());
                        });
                    });
                };
                // Callsites, slots and thread-locals are made once.
                (0..3).for_each(|_| work());
                let counted = allocation_counter::measure(work);
                assert_eq!(counted.count_total, 0, "{how}, {whose}");
                // Nothing is kept of a child: its ancestor stands for it wherever it is entered.
                let (root, child) = context.in_scope(|| {
                    let root = info_span!("root", number = 1);
                    let child = root.in_scope(|| info_span!("child"));
                    info_span!("another").in_scope(|| {});
                    (root.context(), child)
                });
                let seen = std::thread::scope(|scope| {
                    let enter = || dispatcher::with_default(&dispatch, || child.in_scope(Context::current));
                    scope.spawn(enter).join().expect("it does not panic")
                });
                assert_eq!(seen, root, "{how}, {whose}");
            });
        }
    }
}
