//! opentelemetry_sdk 0.33 with a processor that discards.
//!
//! Children are started with an explicit parent context, which spares them the look at the current
//! one, and their attributes go in by the builder from an array, which is one allocation of the
//! right size.

use std::hint::black_box;
use std::time::Duration;

use opentelemetry::trace::{Span as _, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider, Span, SpanData, SpanProcessor};

use super::{Entry, Order};
use crate::measure::{CHILDREN, Case};

/// The cases of the OpenTelemetry SDK.
pub const CASES: &[Entry] = &[
    Entry {
        name: "sdk/bare child",
        native: Some("native/bare child"),
        own_process: false,
        prepare: |_| children(|tracer, parent| tracer.start_with_context("child", parent)),
    },
    Entry {
        name: "sdk/5 attributes",
        native: Some("native/5 attributes"),
        own_process: false,
        prepare: |_| {
            let order = Order::new();
            children(move |tracer, parent| {
                let builder = tracer.span_builder("child").with_attributes(five_attributes(&order));
                builder.start_with_context(tracer, parent)
            })
        },
    },
];

/// The five attributes, in one allocation of the right size when a builder takes them.
#[inline]
pub(crate) fn five_attributes(order: &Order) -> [KeyValue; 5] {
    [
        KeyValue::new("order.customer", order.customer.clone()),
        KeyValue::new("http.path", order.path.clone()),
        KeyValue::new("order.items", order.items),
        KeyValue::new("order.express", order.express),
        KeyValue::new("order.total", order.total),
    ]
}

/// A tracer whose spans go nowhere.
pub(crate) fn tracer(sampler: Sampler) -> SdkTracer {
    let provider = SdkTracerProvider::builder()
        .with_sampler(sampler)
        .with_span_processor(Discard);
    provider.build().tracer("bench")
}

fn children(mut child: impl FnMut(&SdkTracer, &Context) -> Span + 'static) -> Case {
    let tracer = tracer(Sampler::AlwaysOn);
    Case::new(move || {
        let root = tracer.start_with_context("root", &Context::new());
        let parent = Context::new().with_span(root);
        for _ in 0..CHILDREN {
            black_box(child(&tracer, &parent)).end();
        }
    })
}

#[derive(Debug)]
struct Discard;

impl SpanProcessor for Discard {
    fn on_start(&self, _span: &mut Span, _parent: &Context) {}

    fn on_end(&self, span: SpanData) {
        #[cfg(test)]
        tests::ENDED.set(tests::ENDED.get() + 1);
        drop(black_box(span));
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _timeout: Duration) -> OTelSdkResult {
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::measure::ROOTS;
    use std::cell::Cell;

    thread_local! {
        /// Spans that reached the processor from this thread.
        pub(in crate::cases) static ENDED: Cell<u32> = const { Cell::new(0) };
    }

    /// How many spans of a sample of each case reach the processor.
    pub(in crate::cases) fn ended(cases: &[Entry]) -> Vec<(&'static str, u32)> {
        let run = |entry: &Entry| {
            ENDED.set(0);
            (entry.prepare)(std::path::Path::new("")).sample();
            (entry.name, ENDED.get())
        };
        cases.iter().map(run).collect()
    }

    #[test]
    fn every_span_reaches_the_processor() {
        let all = ROOTS * (1 + CHILDREN);
        assert_eq!(ended(CASES), [("sdk/bare child", all), ("sdk/5 attributes", all)]);
    }
}
