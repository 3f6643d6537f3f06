//! What is said once for many spans: the resource and the instrumentation scope.

use crate::Value;
use crate::encode::{push_key_value, text_len, write_text};

/// The bytes of an OTLP `Resource` message with these attributes: who made the spans.
///
/// Encoded once when a program starts, and put in front of every batch by
/// [`append_resource_spans`](crate::request::append_resource_spans). Keys should be unique.
///
/// ```
/// use throughline_wire::{encode_resource, Value};
///
/// let resource = encode_resource(&[("service.name", Value::from("orders"))]);
/// assert_eq!(resource.len(), 26);
/// ```
#[must_use]
pub fn encode_resource<K: AsRef<str>>(attributes: &[(K, Value<'_>)]) -> Vec<u8> {
    let mut out = Vec::new();
    push_all(&mut out, 0x0a, attributes);
    out
}

/// The bytes of an OTLP `InstrumentationScope` message: which library made the spans. An empty
/// version is left out.
///
/// ```
/// use throughline_wire::{encode_scope, Value};
///
/// let scope = encode_scope("shop", "1.2", &[] as &[(&str, Value)]);
/// assert_eq!(scope, b"\x0a\x04shop\x12\x031.2");
/// ```
#[must_use]
pub fn encode_scope<K: AsRef<str>>(name: &str, version: &str, attributes: &[(K, Value<'_>)]) -> Vec<u8> {
    let mut out = vec![0; text_len(name) + text_len(version)];
    let (first, second) = out.split_at_mut(text_len(name));
    write_text(first, 0x0a, name);
    write_text(second, 0x12, version);
    push_all(&mut out, 0x1a, attributes);
    out
}

fn push_all<K: AsRef<str>>(out: &mut Vec<u8>, tag: u8, attributes: &[(K, Value<'_>)]) {
    for (key, value) in attributes {
        push_key_value(out, tag, key.as_ref(), value);
    }
}
