//! Attributes of the API as Throughline takes them.

use opentelemetry::{Array, KeyValue, Value};

/// Lends one value, without a copy.
pub(crate) fn with_value<R>(value: &Value, f: impl FnOnce(throughline::Value<'_>) -> R) -> R {
    match value {
        Value::Array(Array::String(texts)) => {
            let texts: Vec<&str> = texts.iter().map(|text| text.as_str()).collect();
            f(throughline::Value::StrArray(&texts))
        }
        value => f(plain(value)),
    }
}

/// Lends several at once, as events and links want them.
pub(crate) fn with_attributes<R>(attributes: &[KeyValue], f: impl FnOnce(&[(&str, throughline::Value<'_>)]) -> R) -> R {
    if attributes.is_empty() {
        return f(&[]);
    }
    let arrays: Vec<Vec<&str>> = attributes
        .iter()
        .filter_map(|attribute| texts(&attribute.value))
        .collect();
    let mut arrays = arrays.iter();
    let lent: Vec<_> = attributes
        .iter()
        .map(|attribute| {
            let value = match texts(&attribute.value).and_then(|_| arrays.next()) {
                Some(texts) => throughline::Value::StrArray(texts),
                None => plain(&attribute.value),
            };
            (attribute.key.as_str(), value)
        })
        .collect();
    f(&lent)
}

fn texts(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::Array(Array::String(texts)) => Some(texts.iter().map(|text| text.as_str()).collect()),
        _ => None,
    }
}

/// Any but an array of texts, which has to be gathered first.
fn plain(value: &Value) -> throughline::Value<'_> {
    match value {
        Value::Bool(value) => throughline::Value::Bool(*value),
        Value::I64(value) => throughline::Value::I64(*value),
        Value::F64(value) => throughline::Value::F64(*value),
        Value::String(value) => throughline::Value::Str(value.as_str()),
        Value::Array(Array::Bool(values)) => throughline::Value::BoolArray(values),
        Value::Array(Array::I64(values)) => throughline::Value::I64Array(values),
        Value::Array(Array::F64(values)) => throughline::Value::F64Array(values),
        // What a later version of the API adds has a place when this crate knows of it.
        _ => throughline::Value::Empty,
    }
}
