//! An OTLP request made by hand, from the messages of another crate.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message as _;

/// The trace id of every span of [`request`], in hex.
pub const TRACE_ID: &str = "5b8efff798038103d269b633813fc60c";

/// The span id of every span of [`request`], in hex.
pub const SPAN_ID: &str = "eee19b7ec3c1b174";

/// An `ExportTraceServiceRequest` in protobuf with a span of each of these names: server spans of
/// 250 ms, all with the same ids and with the attribute `order.items` = 3, under the service `orders`
/// and the scope `by hand`.
///
/// ```
/// use throughline_testkit::{Receiver, client, sample};
///
/// let receiver = Receiver::start()?;
/// client::post(&format!("{}/v1/traces", receiver.endpoint()), &sample::request(&["one", "two"]))?;
/// assert_eq!(receiver.spans()[1].name, "two");
/// # std::io::Result::Ok(())
/// ```
pub fn request(names: &[&str]) -> Vec<u8> {
    let spans = names.iter().map(|name| Span {
        trace_id: 0x5b8e_fff7_9803_8103_d269_b633_813f_c60c_u128.to_be_bytes().to_vec(),
        span_id: 0xeee1_9b7e_c3c1_b174_u64.to_be_bytes().to_vec(),
        name: (*name).to_owned(),
        kind: 2,
        start_time_unix_nano: 1_767_225_600_000_000_000,
        end_time_unix_nano: 1_767_225_600_250_000_000,
        attributes: vec![attribute("order.items", Value::IntValue(3))],
        ..Span::default()
    });
    let group = ResourceSpans {
        resource: Some(Resource {
            attributes: vec![attribute("service.name", Value::StringValue("orders".to_owned()))],
            ..Resource::default()
        }),
        scope_spans: vec![ScopeSpans {
            scope: Some(InstrumentationScope {
                name: "by hand".to_owned(),
                ..InstrumentationScope::default()
            }),
            spans: spans.collect(),
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![group],
    }
    .encode_to_vec()
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}
