//! A child that only stands for its parent may get another parent, as long as nobody has seen for whom it stands.

use throughline::{Context, Sampler, extract};
use throughline_tracing::{SetParentError, SpanExt as _, layer, subscriber};
use tracing::{Dispatch, Span, dispatcher, info_span};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry;

const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

type Use = fn(&Span);

const USES: [(&str, Use); 3] = [
    ("entered", |span| drop(span.enter())),
    ("has a child", |span| drop(info_span!(parent: span, "child"))),
    ("asked for its context", |span| drop(span.context())),
];

/// One process, and so one test: the sampler is chosen once.
#[test]
fn parent_of_an_unsampled_child_is_set_or_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let _tracing = throughline::builder("stand-ins")
        .spool_dir(directory.path())
        .sampler(Sampler::always_off().parent_based())
        .init();
    for (how, dispatch) in [
        ("layer", Dispatch::new(registry().with(layer()))),
        ("subscriber", Dispatch::new(subscriber().no_lines())),
    ] {
        dispatcher::with_default(&dispatch, || {
            let parent = info_span!("parent").entered();
            let set = |span: &Span| span.set_parent(extract([("traceparent", VALID)]));
            for (what, use_it) in USES {
                let child = info_span!("child");
                use_it(&child);
                assert_eq!(set(&child), Err(SetParentError::TooLate), "{how}: {what}");
                assert_eq!(child.context(), parent.context(), "{how}: {what}");
            }
            let child = info_span!("child");
            assert_eq!(set(&child), Ok(()), "{how}");
            child.in_scope(|| {
                assert!(
                    Context::current()
                        .trace_id()
                        .is_some_and(|id| VALID.contains(&id.to_string())),
                    "{how}"
                );
                assert_eq!(Span::current().id(), child.id(), "{how}");
            });
            let child = info_span!("child that is entered twice");
            let caller = extract([("traceparent", VALID)]).expect("it is valid");
            caller.in_scope(|| {
                child.in_scope(|| {
                    child.in_scope(|| assert_eq!(Context::current(), parent.context(), "{how}"));
                    assert_eq!(Context::current(), parent.context(), "{how}");
                });
                assert_eq!(Context::current(), caller, "{how}");
            });
            let child = info_span!("another child");
            child.in_scope(|| {
                let current = Span::current();
                assert_eq!(
                    current.metadata().map(|metadata| metadata.name()),
                    Some("another child"),
                    "{how}"
                );
                assert_eq!(Context::current(), parent.context(), "{how}");
            });
        });
    }
}
