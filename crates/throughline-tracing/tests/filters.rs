//! What is filtered out leaves no orphans; several layers and several dispatchers get on.

use throughline::{Context, span, testing};
use throughline_tracing::{SpanExt as _, layer};
use tracing::instrument::WithSubscriber as _;
use tracing::subscriber::with_default;
use tracing::{Dispatch, Instrument as _, Level, debug_span, dispatcher, enabled, info, info_span};
use tracing_subscriber::filter::{EnvFilter, LevelFilter, Targets};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{fmt, registry, reload};

/// A layer beside ours that wants everything, and says nothing.
fn verbose<S>() -> impl tracing_subscriber::Layer<S>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    fmt::layer().with_span_events(FmtSpan::FULL).with_writer(std::io::sink)
}

fn filtered_subscribers() -> Vec<(&'static str, Dispatch)> {
    let info: Targets = "info".parse().expect("directives");
    let own = layer().filter(move |metadata| info.would_enable(metadata.target(), metadata.level()));
    let (reloaded, handle) = reload::Layer::new(LevelFilter::TRACE);
    let reloaded = Dispatch::new(registry().with(layer().with_filter(reloaded)).with(verbose()));
    handle
        .modify(|level| *level = LevelFilter::INFO)
        .expect("the subscriber lives");
    vec![
        ("its own filter", Dispatch::new(registry().with(own).with(verbose()))),
        (
            "with_filter",
            Dispatch::new(registry().with(layer().with_filter(LevelFilter::INFO)).with(verbose())),
        ),
        (
            "env filter",
            Dispatch::new(
                registry()
                    .with(layer().with_filter(EnvFilter::new("info")))
                    .with(verbose()),
            ),
        ),
        ("reload of a filter", reloaded),
    ]
}

#[test]
fn child_of_a_filtered_span_is_that_of_its_nearest_kept_ancestor() {
    for (how, dispatch) in filtered_subscribers() {
        let capture = testing::capture();
        dispatcher::with_default(&dispatch, || {
            let kept = info_span!("kept").entered();
            let filtered = debug_span!("filtered");
            filtered.in_scope(|| {
                info_span!("contextual").in_scope(|| {});
                info!("of the kept one");
            });
            info_span!(parent: &filtered, "explicit").in_scope(|| {});
            assert_eq!(filtered.context(), kept.context(), "{how}");
            // On a thread where nothing of ours is current.
            let dispatch = dispatch.clone();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    dispatcher::with_default(&dispatch, || {
                        filtered.in_scope(|| info_span!("elsewhere").in_scope(|| {}));
                    });
                });
            });
            let effect = info_span!("effect");
            effect.follows_from(&filtered);
            kept.exit();
        });
        capture.assert_tree("kept\n  contextual\n  explicit\n  elsewhere\n  effect");
        assert_eq!(capture.span("kept").events().count(), 1, "{how}");
        assert!(capture.spans().iter().all(testing::CapturedSpan::has_ended), "{how}");
    }
}

#[test]
fn child_of_a_filtered_span_in_a_native_one_is_that_of_the_native_one() {
    for (how, dispatch) in filtered_subscribers() {
        let capture = testing::capture();
        dispatcher::with_default(&dispatch, || {
            info_span!("kept").in_scope(|| {
                span!("native").in_scope(|| {
                    let filtered = debug_span!("filtered");
                    for _ in 0..2 {
                        filtered.in_scope(|| {
                            info!("of the native one");
                            debug_span!("filtered too").in_scope(|| info_span!("child").in_scope(|| {}));
                        });
                    }
                    span!("another").end();
                });
                info_span!("sibling").in_scope(|| {});
            });
        });
        capture.assert_tree("kept\n  native\n    child\n    child\n    another\n  sibling");
        assert_eq!(capture.span("native").events().count(), 2, "{how}");
    }
}

/// tokio-rs/tracing#2519: with `with_filter`, the span after the check is lost beside a layer that is more verbose.
#[test]
fn own_filter_loses_no_span_after_an_enabled_check() {
    let capture = testing::capture();
    let own = layer().filter(|metadata| *metadata.level() <= Level::INFO);
    with_default(registry().with(own).with(verbose()), || {
        for _ in 0..3 {
            let _ = enabled!(Level::DEBUG);
            info_span!("a").in_scope(|| {});
        }
    });
    capture.assert_tree("a\na\na");
}

#[test]
fn two_layers_of_one_subscriber_record_once() {
    let capture = testing::capture();
    with_default(registry().with(layer()).with(layer()), || {
        let a = info_span!("a", n = 1).entered();
        info_span!("b").in_scope(|| {});
        a.exit();
        info_span!("c").in_scope(|| {});
    });
    capture.assert_tree("a {n=1}\n  b\nc");
}

#[test]
fn layer_exchanged_by_reload_goes_on() {
    let capture = testing::capture();
    let (layer_, handle) = reload::Layer::new(layer());
    with_default(registry().with(layer_), || {
        info_span!("before").in_scope(|| info_span!("child").in_scope(|| {}));
        handle.reload(layer().level(true)).expect("the subscriber lives");
        info_span!("after").in_scope(|| {
            info_span!("child").in_scope(|| {});
        });
    });
    capture.assert_tree("before\n  child\nafter {level=INFO}\n  child {level=INFO}");
}

#[test]
fn layer_switched_on_and_off_by_reload_leaves_nothing_open() {
    let capture = testing::capture();
    let (layer_, handle) = reload::Layer::new(None::<throughline_tracing::Layer>);
    with_default(registry().with(layer_), || {
        info_span!("before").in_scope(|| {
            handle.reload(Some(layer())).expect("the subscriber lives");
            info_span!("on").in_scope(|| {});
        });
        let open = info_span!("open").entered();
        handle
            .reload(None::<throughline_tracing::Layer>)
            .expect("the subscriber lives");
        open.exit();
        info_span!("after").in_scope(|| {});
    });
    assert!(
        capture.spans().iter().all(testing::CapturedSpan::has_ended),
        "{}",
        capture.tree()
    );
    capture.assert_tree("on\nopen");
}

#[test]
fn ids_of_two_dispatchers_do_not_meet() {
    let capture = testing::capture();
    let (one, two) = (
        Dispatch::new(registry().with(layer())),
        Dispatch::new(registry().with(layer())),
    );
    let in_one = |f: &dyn Fn()| dispatcher::with_default(&one, f);
    let in_two = |f: &dyn Fn()| dispatcher::with_default(&two, f);
    let a = dispatcher::with_default(&one, || info_span!("a"));
    let b = dispatcher::with_default(&two, || info_span!("b"));
    assert_eq!(
        a.id().map(|id| id.into_u64()),
        b.id().map(|id| id.into_u64()),
        "they have the same number"
    );
    assert_ne!(a.context(), b.context());
    in_one(&|| b.in_scope(|| info_span!("of b").in_scope(|| {})));
    in_two(&|| a.in_scope(|| info_span!("of a").in_scope(|| {})));
    let (a, b) = (a.entered(), b.entered());
    in_one(&|| info_span!("of b too").in_scope(|| {}));
    a.exit();
    in_one(&|| info_span!("of b still").in_scope(|| {}));
    b.exit();
    assert!(Context::current().is_empty());
    capture.assert_tree("a\n  of a\nb\n  of b\n  of b too\n  of b still");
}

#[tokio::test]
async fn future_with_a_subscriber_of_its_own_stays_in_the_tree() {
    let capture = testing::capture();
    let inner = registry().with(layer());
    let outer = registry().with(layer());
    async {
        async {
            tokio::task::yield_now().await;
            info_span!("inner").in_scope(|| {});
        }
        .with_subscriber(inner)
        .instrument(info_span!("outer"))
        .await;
    }
    .with_subscriber(outer)
    .await;
    capture.assert_tree("outer\n  inner");
}

#[test]
fn other_layers_may_stand_on_either_side() {
    let capture = testing::capture();
    with_default(
        registry()
            .with(verbose())
            .with(layer())
            .with(EnvFilter::new("filters=info")),
        || {
            info_span!("a").in_scope(|| debug_span!("filtered").in_scope(|| info_span!("b").in_scope(|| {})));
        },
    );
    capture.assert_tree("a\n  b");
}
