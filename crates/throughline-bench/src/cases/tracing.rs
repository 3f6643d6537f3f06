//! Spans of `tracing` by several subscribers: each child has two fields and is entered once.
//!
//! The baseline is a registry with a layer that does nothing: a registry alone never frees a span.

use std::hint::black_box;
use std::path::Path;

use opentelemetry_sdk::trace::Sampler;
use throughline::{Context, SpanContext, SpanId, TraceFlags, TraceId};
use tracing::{Dispatch, Subscriber, dispatcher, info_span};
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry;

use super::{Entry, native, opentelemetry};
use crate::measure::{CHILDREN, Case};

/// The registry with an empty layer.
pub const BASELINE: &str = "registry and empty layer";

/// The cases of the bench `tracing`.
pub const CASES: &[Entry] = &[
    case(BASELINE, |_| children(registry().with(Empty), None)),
    case("layer, sampled", |home| {
        native::record(home);
        children(registry().with(throughline_tracing::layer()), None)
    }),
    case("layer, unsampled", |home| {
        native::record(home);
        children(registry().with(throughline_tracing::layer()), Some(unsampled()))
    }),
    case("layer, unsampled roots", |home| {
        native::record(home);
        roots(registry().with(throughline_tracing::layer()), unsampled())
    }),
    case("subscriber, sampled", |home| {
        native::record(home);
        children(throughline_tracing::subscriber().no_lines(), None)
    }),
    case("subscriber, unsampled", |home| {
        native::record(home);
        children(throughline_tracing::subscriber().no_lines(), Some(unsampled()))
    }),
    case("tracing-opentelemetry, sampled", |_| {
        let layer = tracing_opentelemetry::layer().with_tracer(opentelemetry::tracer(Sampler::AlwaysOn));
        children(registry().with(layer), None)
    }),
    case("tracing-opentelemetry, unsampled", |_| {
        let layer = tracing_opentelemetry::layer().with_tracer(opentelemetry::tracer(Sampler::AlwaysOff));
        children(registry().with(layer), None)
    }),
    case("tracing-opentelemetry, leanest", |_| lean(Sampler::AlwaysOn)),
    case("tracing-opentelemetry, leanest, unsampled", |_| {
        lean(Sampler::AlwaysOff)
    }),
];

const fn case(name: &'static str, prepare: fn(&Path) -> Case) -> Entry {
    Entry {
        name,
        native: None,
        own_process: false,
        prepare,
    }
}

struct Empty;

impl<S: Subscriber> Layer<S> for Empty {}

fn lean(sampler: Sampler) -> Case {
    let layer = tracing_opentelemetry::layer()
        .with_tracer(opentelemetry::tracer(sampler))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_level(false)
        .with_target(false)
        .with_context_activation(false);
    children(registry().with(layer), None)
}

/// A context whose trace nobody records.
fn unsampled() -> Context {
    let ids = TraceId::from_bytes([7; 16]).zip(SpanId::from_bytes([8; 8]));
    let of = |(trace_id, span_id)| Context::of(SpanContext::new(trace_id, span_id, TraceFlags::from_byte(0), true));
    ids.map(of).expect("they are not zero")
}

fn children(subscriber: impl Subscriber + Send + Sync, context: Option<Context>) -> Case {
    let dispatch = Dispatch::new(subscriber);
    let text = black_box(String::from("ada.lovelace"));
    Case::of_roots(move |roots| {
        let _context = context.as_ref().map(Context::enter);
        dispatcher::with_default(&dispatch, || {
            for _ in 0..roots {
                let _root = info_span!("root").entered();
                for number in 0..CHILDREN {
                    drop(black_box(info_span!("child", number, text = text.as_str()).entered()));
                }
            }
        });
    })
}

/// Each span begins a trace of its own here.
fn roots(subscriber: impl Subscriber + Send + Sync, context: Context) -> Case {
    let dispatch = Dispatch::new(subscriber);
    let text = black_box(String::from("ada.lovelace"));
    Case::of_roots(move |roots| {
        let _context = context.enter();
        dispatcher::with_default(&dispatch, || {
            for number in 0..roots * CHILDREN {
                drop(black_box(info_span!("child", number, text = text.as_str()).entered()));
            }
        });
    })
}
