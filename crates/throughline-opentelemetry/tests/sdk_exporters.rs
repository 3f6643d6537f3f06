//! Exporters of `opentelemetry_sdk` are destinations of Throughline.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState, Tracer, TracerProvider,
};
use opentelemetry::{Array, InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use throughline::{Destination, Scope, extract};
use throughline_opentelemetry::SdkExporter;
use throughline_testkit::Spool;

#[derive(Debug, Default)]
struct Seen {
    spans: Vec<SpanData>,
    resources: Vec<Resource>,
    calls: Vec<&'static str>,
    /// What the next exports answer.
    errors: Vec<OTelSdkError>,
}

#[derive(Clone, Debug, Default)]
struct Exporter(Arc<Mutex<Seen>>);

impl Exporter {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Is woken from another thread, once.
#[derive(Default)]
struct WokenElsewhere(bool);

impl Future for WokenElsewhere {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        let waker = task.waker().clone();
        std::thread::spawn(move || waker.wake());
        Poll::Pending
    }
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        assert!(opentelemetry::Context::is_current_telemetry_suppressed());
        WokenElsewhere::default().await;
        // What needs tokio's timers finds them.
        tokio::time::sleep(Duration::from_millis(1)).await;
        let mut seen = self.seen();
        if let Some(error) = seen.errors.pop() {
            return Err(error);
        }
        seen.spans.extend(batch);
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        self.seen().calls.push("shutdown");
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.seen().calls.push("flush");
        Ok(())
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.seen().resources.push(resource.clone());
    }
}

#[test]
fn sdk_exporter_gets_all_fields_and_its_errors_count() {
    let spool = Spool::new().expect("a private directory");
    let exporter = Exporter::default();
    exporter.seen().errors = vec![OTelSdkError::InternalFailure("connection refused".into())];
    let adapter = SdkExporter::new(exporter.clone()).rejecting(|error| error.to_string().contains("400"));
    let tracing = throughline::builder("shop")
        .spool_dir(spool.path())
        .resource("tills", 3)
        .schema_url("https://example.com/resource")
        .destination(Destination::exporter("theirs", adapter))
        .init();
    throughline_opentelemetry::install();

    let remote = extract([
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("tracestate", "v=1"),
    ])
    .expect("it is valid");
    let scope = Scope::named("native library", "1.2")
        .with_attribute("k", "v")
        .with_schema_url("https://example.com/scope");
    let mut span = throughline::Span::builder("native")
        .kind(throughline::SpanKind::Server)
        .scope(&scope)
        .parent(&remote)
        .link_with(&remote, |link| {
            link.set("n", 1);
        })
        .start();
    span.set("texts", ["a", "b"]);
    span.set("numbers", [1, 2]);
    span.set("bytes", [0_u8, 255]);
    span.set(
        "mixed",
        throughline::Value::Array(&[throughline::Value::I64(1), throughline::Value::Str("\"x\"\n")]),
    );
    span.set(
        "map",
        throughline::Value::Map(&[
            ("a", throughline::Value::Bool(true)),
            ("b", throughline::Value::F64(0.5)),
        ]),
    );
    span.event("happened", [("k", throughline::Value::I64(7))]);
    span.status_error("failed");
    let ids = span.context().span_context().expect("it has one");
    drop(span);
    let other = SpanContext::new(
        TraceId::from(7),
        SpanId::from(8),
        TraceFlags::SAMPLED,
        true,
        TraceState::NONE,
    );
    let tracer = throughline_opentelemetry::TracerProvider::new().tracer("api library");
    let mut api = tracer.span_builder("api").with_kind(SpanKind::Producer).start(&tracer);
    api.add_link(other.clone(), vec![]);
    api.set_status(Status::Ok);
    drop(api);

    let report = tracing.flush(Duration::from_secs(20)).wait();
    assert_eq!(
        (report.delivered(), report.is_complete()),
        (2, true),
        "it came again after the error: {report}"
    );
    let spans = std::mem::take(&mut exporter.seen().spans);
    let find = |name: &str| spans.iter().find(|span| span.name == name).expect("it came");
    let native = find("native");
    let text = |text: &str| Value::String(text.to_owned().into());
    let state = TraceState::from_key_value([("v", "1")]).expect("it is valid");
    let parent = SpanId::from(0x00f0_67aa_0ba9_02b7);
    assert_eq!(
        native.span_context,
        SpanContext::new(
            TraceId::from_bytes(ids.trace_id().to_bytes()),
            SpanId::from_bytes(ids.span_id().to_bytes()),
            TraceFlags::SAMPLED,
            false,
            state.clone()
        )
    );
    assert_eq!((native.parent_span_id, native.parent_span_is_remote), (parent, true));
    assert_eq!(
        (&native.span_kind, &native.status),
        (&SpanKind::Server, &Status::error("failed"))
    );
    assert!(native.start_time <= native.end_time && native.start_time.elapsed().is_ok());
    assert_eq!(
        native.attributes,
        [
            KeyValue::new("texts", Value::Array(Array::String(vec!["a".into(), "b".into()]))),
            KeyValue::new("numbers", Value::Array(Array::I64(vec![1, 2]))),
            KeyValue::new("bytes", text("00ff")),
            KeyValue::new("mixed", text("[1,\"\\\"x\\\"\\u000a\"]")),
            KeyValue::new("map", text("{\"a\":true,\"b\":0.5}")),
        ]
    );
    assert_eq!((native.events.len(), &*native.events[0].name), (1, "happened"));
    assert_eq!(native.events[0].attributes, [KeyValue::new("k", 7)]);
    assert!(native.start_time <= native.events[0].timestamp && native.events[0].timestamp <= native.end_time);
    let link = &native.links[0];
    assert_eq!(
        link.span_context,
        SpanContext::new(native.span_context.trace_id(), parent, TraceFlags::SAMPLED, true, state)
    );
    assert_eq!(link.attributes, [KeyValue::new("n", 1)]);
    let scope = InstrumentationScope::builder("native library")
        .with_version("1.2")
        .with_schema_url("https://example.com/scope")
        .with_attributes([KeyValue::new("k", "v")]);
    assert_eq!(native.instrumentation_scope, scope.build());
    let api = find("api");
    assert_eq!(
        (&api.span_kind, &api.status, api.parent_span_id),
        (&SpanKind::Producer, &Status::Ok, SpanId::INVALID)
    );
    assert_eq!(api.links[0].span_context, other);
    assert_eq!(api.instrumentation_scope.name(), "api library");
    {
        let seen = exporter.seen();
        let resource = seen.resources.last().expect("it was told");
        assert_eq!(resource.get(&"service.name".into()), Some("shop".into()));
        assert_eq!(resource.get(&"tills".into()), Some(3.into()));
        assert_eq!(resource.schema_url(), Some("https://example.com/resource"));
        assert_eq!(
            (seen.resources.len(), seen.calls.as_slice()),
            (1, &["flush"][..]),
            "once each"
        );
    }
    exporter.seen().errors = vec![OTelSdkError::InternalFailure("400 bad request".into())];
    throughline::span!("refused").end();
    let report = tracing.shutdown(Duration::from_secs(20)).wait();
    assert_eq!((report.delivered(), report.dropped()), (2, 1), "{report}");
    assert_eq!(exporter.seen().calls.last(), Some(&"shutdown"));
}
