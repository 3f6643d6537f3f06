//! The libraries, each set up as its users do.

use std::fmt;
use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::fastrace::collector::{Config, Reporter, SpanContext, SpanRecord};
use ::fastrace::local::LocalSpan;
use ::opentelemetry::Context;
use ::opentelemetry::trace::{Span as _, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, SpanData, SpanExporter};
use throughline::{Tracing, span};

use super::timeline::Timeline;
use crate::cases::{Order, fastrace, native, opentelemetry};

/// Who makes the spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// fastrace 0.7: `LocalSpan` under a local parent.
    Fastrace,
    /// Throughline, with a spool on disk and no backend.
    Native,
    /// opentelemetry_sdk 0.33 with its batch processor.
    Sdk,
}

impl Library {
    /// In the order of the table.
    pub const ALL: [Self; 3] = [Self::Native, Self::Sdk, Self::Fastrace];

    /// Starts the library in this process; once per process. `home` is for files.
    #[must_use]
    pub fn start(self, home: &Path, attributes: bool) -> Box<dyn Tracer> {
        let order = attributes.then(Order::new);
        match self {
            Self::Fastrace => Box::new(Fastrace::start(order)),
            Self::Native => Box::new(Native::start(home, order)),
            Self::Sdk => Box::new(Sdk::start(order)),
        }
    }
}

impl fmt::Display for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fastrace => "fastrace",
            Self::Native => "native",
            Self::Sdk => "sdk",
        })
    }
}

/// A library that was started.
pub trait Tracer {
    /// Makes a trace of so many spans: a root and its children. Each step takes one mark of the timeline: the root's
    /// beginning, every child, the root's end.
    fn trace(&mut self, spans: usize, timeline: &mut Timeline);

    /// How many spans of this process have arrived where they were to go.
    fn arrived(&mut self) -> u64;
}

/// Where the peers' spans arrive, to be discarded.
static ARRIVED: AtomicU64 = AtomicU64::new(0);

/// How long a library may take to deliver what it has when all is over.
const FLUSH: Duration = Duration::from_secs(10);

struct Native {
    tracing: Tracing,
    order: Option<Order>,
}

impl Native {
    fn start(home: &Path, order: Option<Order>) -> Self {
        let builder = throughline::builder("bursts").spool_dir(home.join("spool"));
        Self {
            tracing: builder.init(),
            order,
        }
    }
}

impl Tracer for Native {
    fn trace(&mut self, spans: usize, timeline: &mut Timeline) {
        let root = span!("root").enter();
        timeline.mark();
        match &self.order {
            None => timeline.each(1..spans, || drop(black_box(span!("child")))),
            Some(order) => timeline.each(1..spans, || drop(black_box(native::five_attributes(order)))),
        }
        drop(root);
        timeline.mark();
    }

    fn arrived(&mut self) -> u64 {
        let report = self.tracing.flush(FLUSH).wait();
        report.pending() + report.delivered()
    }
}

struct Sdk {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    order: Option<Order>,
}

impl Sdk {
    fn start(order: Option<Order>) -> Self {
        let provider = SdkTracerProvider::builder().with_batch_exporter(Discard).build();
        Self {
            tracer: provider.tracer("bursts"),
            provider,
            order,
        }
    }
}

impl Tracer for Sdk {
    fn trace(&mut self, spans: usize, timeline: &mut Timeline) {
        let root = self.tracer.start_with_context("root", &Context::new());
        let parent = Context::new().with_span(root);
        timeline.mark();
        match &self.order {
            None => timeline.each(1..spans, || {
                black_box(self.tracer.start_with_context("child", &parent)).end();
            }),
            Some(order) => timeline.each(1..spans, || {
                let builder = self.tracer.span_builder("child");
                let builder = builder.with_attributes(opentelemetry::five_attributes(order));
                black_box(builder.start_with_context(&self.tracer, &parent)).end();
            }),
        }
        drop(parent);
        timeline.mark();
    }

    /// What the batch processor had no room for is missing.
    fn arrived(&mut self) -> u64 {
        // Without an exporter that can fail it fails only when the processor has gone: then nothing arrives, which shows.
        let _ = self.provider.force_flush();
        ARRIVED.load(Ordering::Relaxed)
    }
}

struct Fastrace {
    order: Option<Order>,
}

impl Fastrace {
    fn start(order: Option<Order>) -> Self {
        ::fastrace::set_reporter(Discard, Config::default());
        Self { order }
    }
}

impl Tracer for Fastrace {
    fn trace(&mut self, spans: usize, timeline: &mut Timeline) {
        let root = ::fastrace::Span::root("root", SpanContext::random());
        let current = root.set_local_parent();
        timeline.mark();
        match &self.order {
            None => timeline.each(1..spans, || {
                drop(black_box(LocalSpan::enter_with_local_parent("child")));
            }),
            Some(order) => timeline.each(1..spans, || {
                let span = LocalSpan::enter_with_local_parent("child");
                drop(black_box(span.with_properties(|| fastrace::five_properties(order))));
            }),
        }
        drop(current);
        drop(root);
        timeline.mark();
    }

    fn arrived(&mut self) -> u64 {
        ::fastrace::flush();
        ARRIVED.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Discard;

impl SpanExporter for Discard {
    async fn export(&self, spans: Vec<SpanData>) -> OTelSdkResult {
        ARRIVED.fetch_add(spans.len() as u64, Ordering::Relaxed);
        drop(black_box(spans));
        Ok(())
    }
}

impl Reporter for Discard {
    fn report(&mut self, spans: Vec<SpanRecord>) {
        ARRIVED.fetch_add(spans.len() as u64, Ordering::Relaxed);
        drop(black_box(spans));
    }
}
