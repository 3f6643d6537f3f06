//! Libraries that are instrumented with the OpenTelemetry API: their spans in Throughline's spool, and in the SDK's queue.
//!
//! Both sides get the same calls, through the types of their tracers. The SDK has its batch processor, whose thread hands the spans to
//! an exporter that discards them: nobody encodes or keeps them. Throughline's are encoded and committed, as everywhere in this crate.
//! The last rows say what the shared current context costs native spans, and are compared with those of a program without it.

use std::hint::black_box;
use std::path::Path;

use opentelemetry::trace::{Span as _, TraceContextExt as _, Tracer, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider, SpanData, SpanExporter};
use throughline::span;

use super::opentelemetry::five_attributes;
use super::{Entry, Order, native};
use crate::measure::{CHILDREN, Case};

/// The cases, each in a process of its own: the current context is shared in all or in none.
pub const CASES: &[Entry] = &[
    Entry {
        name: "api/bare child",
        native: None,
        own_process: true,
        prepare: |home| bare(installed(home)),
    },
    Entry {
        name: "sdk batch/bare child",
        native: Some("api/bare child"),
        own_process: true,
        prepare: |_| bare(sdk()),
    },
    Entry {
        name: "api/5 attributes",
        native: None,
        own_process: true,
        prepare: |home| attributes(installed(home)),
    },
    Entry {
        name: "sdk batch/5 attributes",
        native: Some("api/5 attributes"),
        own_process: true,
        prepare: |_| attributes(sdk()),
    },
    Entry {
        name: "api/in_span",
        native: None,
        own_process: true,
        prepare: |home| current(installed(home)),
    },
    Entry {
        name: "sdk batch/in_span",
        native: Some("api/in_span"),
        own_process: true,
        prepare: |_| current(sdk()),
    },
    Entry {
        name: "native/bare child, context not shared",
        native: None,
        own_process: true,
        prepare: |home| {
            native::record(home);
            Case::new(|| native_child(|| drop(black_box(span!("child")))))
        },
    },
    Entry {
        name: "native/bare child, context shared",
        native: Some("native/bare child, context not shared"),
        own_process: true,
        prepare: |home| {
            drop(installed(home));
            Case::new(|| native_child(|| drop(black_box(span!("child")))))
        },
    },
    Entry {
        name: "native/entered child, context not shared",
        native: None,
        own_process: true,
        prepare: |home| {
            native::record(home);
            Case::new(|| native_child(|| drop(black_box(span!("child").enter()))))
        },
    },
    Entry {
        name: "native/entered child, context shared",
        native: Some("native/entered child, context not shared"),
        own_process: true,
        prepare: |home| {
            drop(installed(home));
            Case::new(|| native_child(|| drop(black_box(span!("child").enter()))))
        },
    },
];

fn installed(home: &Path) -> throughline_opentelemetry::Tracer {
    native::record(home);
    throughline_opentelemetry::install();
    throughline_opentelemetry::TracerProvider::new().tracer("bench")
}

fn sdk() -> opentelemetry_sdk::trace::SdkTracer {
    // So large that nothing is dropped, which would be cheaper.
    let config = BatchConfigBuilder::default().with_max_queue_size(1 << 20).build();
    let processor = BatchSpanProcessor::builder(Discard).with_batch_config(config).build();
    let provider = SdkTracerProvider::builder().with_span_processor(processor).build();
    let tracer = provider.tracer("bench");
    // Its thread lives as long as the process.
    std::mem::forget(provider);
    tracer
}

#[derive(Debug)]
struct Discard;

impl SpanExporter for Discard {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        drop(black_box(batch));
        Ok(())
    }
}

fn bare<T: Tracer + 'static>(tracer: T) -> Case
where
    T::Span: Send + Sync + 'static,
{
    under_root(tracer, |tracer, parent| {
        black_box(tracer.start_with_context("child", parent)).end();
    })
}

fn attributes<T: Tracer + 'static>(tracer: T) -> Case
where
    T::Span: Send + Sync + 'static,
{
    let order = Order::new();
    under_root(tracer, move |tracer, parent| {
        let attributes: [KeyValue; 5] = five_attributes(&order);
        let builder = tracer.span_builder("child").with_attributes(attributes);
        black_box(builder.start_with_context(tracer, parent)).end();
    })
}

fn current<T: Tracer + 'static>(tracer: T) -> Case
where
    T::Span: Send + Sync + 'static,
{
    Case::new(move || {
        tracer.in_span("root", |_| {
            for _ in 0..CHILDREN {
                tracer.in_span("child", |context| drop(black_box(context)));
            }
        });
    })
}

fn under_root<T: Tracer + 'static>(tracer: T, mut child: impl FnMut(&T, &Context) + 'static) -> Case
where
    T::Span: Send + Sync + 'static,
{
    Case::new(move || {
        let root = tracer.start_with_context("root", &Context::new());
        let parent = Context::new().with_span(root);
        for _ in 0..CHILDREN {
            child(&tracer, &parent);
        }
    })
}

fn native_child(mut child: impl FnMut()) {
    let _root = span!("root").enter();
    for _ in 0..CHILDREN {
        child();
    }
}
