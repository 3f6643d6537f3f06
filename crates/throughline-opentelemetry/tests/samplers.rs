//! Throughline's sampler decides on spans of the API, and may look around while the API lends its current context.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use opentelemetry::trace::{
    Link, Span, SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use throughline::{Decision, Sampler, SamplingInput, SamplingResult, ShouldSample, span};
use throughline_testkit::{Receiver, Spool};

/// Does what an attribute says.
struct AsTold;

impl ShouldSample for AsTold {
    fn should_sample(&self, span: &SamplingInput<'_>) -> SamplingResult {
        // Both worlds may be looked at, and entered, meanwhile.
        let _suppressed = throughline_context::suppress();
        drop(span!("not recorded").enter());
        span.parent
            .in_scope(|| assert_eq!(throughline::Context::current().span_id(), span.parent.span_id()));
        let told = span.attributes.get("told").and_then(|told| told.as_str());
        let decision = match told {
            Some("drop") => Decision::Drop,
            Some("record") => Decision::RecordOnly,
            _ => Decision::RecordAndSample,
        };
        let state = "s=1".parse().expect("it is valid");
        let links = i64::try_from(span.links.len()).unwrap_or(i64::MAX);
        SamplingResult::new(decision)
            .with_attribute("seen.links", links)
            .with_trace_state(state)
    }

    fn description(&self) -> Cow<'_, str> {
        "as told".into()
    }
}

#[test]
fn sampler_decides_on_spans_of_the_api() {
    let receiver = Receiver::start().expect("loopback has a free port");
    let spool = Spool::new().expect("a private directory");
    let tracing = throughline::builder("shop")
        .spool_dir(spool.path())
        .endpoint(receiver.endpoint())
        .sampler(Sampler::custom(AsTold))
        .init();
    throughline_opentelemetry::install();
    let panics = Arc::new(AtomicU32::new(0));
    let counted = panics.clone();
    std::panic::set_hook(Box::new(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
    }));
    let tracer = throughline_opentelemetry::TracerProvider::new().tracer("library");
    let linked = SpanContext::new(
        TraceId::from(7),
        SpanId::from(8),
        TraceFlags::SAMPLED,
        true,
        Default::default(),
    );
    // As libraries do: the API lends its current context while the span starts.
    let outer = span!("outer").enter();
    for (told, is_recording, is_sampled) in [("drop", false, false), ("record", true, false), ("all", true, true)] {
        let builder = tracer
            .span_builder("asked")
            .with_attributes([KeyValue::new("told", told)]);
        let span = builder
            .with_links(vec![Link::with_context(linked.clone())])
            .start(&tracer);
        assert_eq!(
            (span.is_recording(), span.span_context().is_sampled()),
            (is_recording, is_sampled),
            "{told}"
        );
        assert_eq!(span.span_context().trace_state().header(), "s=1");
        let _attached = Context::current_with_span(span).attach();
        assert_eq!(throughline::Context::current().trace_state(), "s=1");
    }
    drop(outer);
    drop(std::panic::take_hook());
    assert_eq!(
        panics.load(Ordering::Relaxed),
        0,
        "nobody tried to attach a context meanwhile"
    );
    assert!(!Context::current().has_active_span());
    let report = tracing.flush(Duration::from_secs(20)).wait();
    assert!(report.is_complete(), "{report}");
    let spans = receiver.spans();
    let names: Vec<_> = spans
        .iter()
        .map(|span| (&*span.name, span.attributes.len(), span.links.len()))
        .collect();
    assert!(
        names.contains(&("asked", 2, 1)) && names.contains(&("outer", 1, 0)),
        "{names:?}"
    );
    assert_eq!(names.len(), 2);
}
