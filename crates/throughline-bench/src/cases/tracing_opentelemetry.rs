//! `tracing` with tracing-opentelemetry 0.34 over the SDK of [`super::opentelemetry`].
//!
//! The layer's extra attributes (location, thread, target, idle times) are off: a span records
//! what it was given. Children find their parent as `tracing` users have it, by the entered root.

use std::hint::black_box;

use opentelemetry_sdk::trace::Sampler;
use tracing::{Dispatch, Span, dispatcher, info_span};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt as _;

use super::{Entry, Order, opentelemetry};
use crate::measure::{CHILDREN, Case};

/// The cases of tracing-opentelemetry.
pub const CASES: &[Entry] = &[
    Entry {
        name: "tracing/bare child",
        native: Some("native/bare child"),
        own_process: false,
        prepare: |_| children(Sampler::AlwaysOn, || info_span!("child")),
    },
    Entry {
        name: "tracing/5 fields",
        native: Some("native/5 attributes"),
        own_process: false,
        prepare: |_| {
            let order = Order::new();
            children(Sampler::AlwaysOn, move || {
                info_span!(
                    "child",
                    order.customer = order.customer.as_str(),
                    http.path = order.path.as_str(),
                    order.items = order.items,
                    order.express = order.express,
                    order.total = order.total,
                )
            })
        },
    },
    Entry {
        name: "tracing/unsampled",
        native: Some("native/unsampled"),
        own_process: false,
        prepare: |_| children(Sampler::AlwaysOff, || info_span!("child")),
    },
];

fn children(sampler: Sampler, mut child: impl FnMut() -> Span + 'static) -> Case {
    let layer = tracing_opentelemetry::layer()
        .with_tracer(opentelemetry::tracer(sampler))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false);
    let dispatch = Dispatch::new(Registry::default().with(layer));
    Case::of_roots(move |roots| {
        dispatcher::with_default(&dispatch, || {
            for _ in 0..roots {
                let _root = info_span!("root").entered();
                for _ in 0..CHILDREN {
                    drop(black_box(child()));
                }
            }
        });
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::ROOTS;

    #[test]
    fn every_sampled_span_reaches_the_processor() {
        let all = ROOTS * (1 + CHILDREN);
        assert_eq!(
            opentelemetry::tests::ended(CASES),
            [
                ("tracing/bare child", all),
                ("tracing/5 fields", all),
                ("tracing/unsampled", 0)
            ]
        );
    }
}
