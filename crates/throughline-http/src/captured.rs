//! Headers that are recorded: those that were asked for, and no others.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use throughline::{Span, StartAttributes, ToValue};

/// More values of one name are not recorded.
const MOST_VALUES: usize = 32;

/// Headers to be recorded, each with the keys of its attribute.
#[derive(Clone, Debug, Default)]
pub(crate) struct Captured(Vec<(HeaderName, [Box<str>; 3])>);

/// Whose names the attributes have.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Named {
    /// `http.request.header.{name}`
    Http = 0,
    /// `rpc.request.header.{name}`
    Rpc = 1,
    /// `rpc.response.trailer.{name}`
    RpcTrailer = 2,
}

/// Where attributes are set: on a span that starts, or one that is open.
pub(crate) trait Attributes {
    fn set_attribute(&mut self, key: &str, value: impl ToValue);
}

impl Attributes for StartAttributes<'_, '_> {
    #[inline]
    fn set_attribute(&mut self, key: &str, value: impl ToValue) {
        self.set(key, value);
    }
}

impl Attributes for Span {
    #[inline]
    fn set_attribute(&mut self, key: &str, value: impl ToValue) {
        self.set(key, value);
    }
}

impl Captured {
    /// `of`: `request` or `response`.
    pub fn add<N>(&mut self, names: impl IntoIterator<Item = N>, of: &str)
    where
        HeaderName: TryFrom<N>,
    {
        for name in names {
            // What is no name of a header is in no request.
            if let Ok(name) = HeaderName::try_from(name) {
                let keys = [
                    format!("http.{of}.header.{name}").into(),
                    format!("rpc.{of}.header.{name}").into(),
                    format!("rpc.{of}.trailer.{name}").into(),
                ];
                self.0.push((name, keys));
            }
        }
    }

    pub fn record(&self, headers: &HeaderMap, named: Named, span: &mut impl Attributes) {
        for (name, keys) in &self.0 {
            let key = &keys[named as usize];
            let mut values = headers.get_all(name).iter().take(MOST_VALUES);
            match (values.next(), values.next()) {
                (None, _) => {}
                (Some(only), None) => span.set_attribute(key, [&*text(only)].as_slice()),
                (Some(first), Some(second)) => {
                    let values: Vec<Cow<'_, str>> = [first, second].into_iter().chain(values).map(text).collect();
                    span.set_attribute(key, values);
                }
            }
        }
    }
}

fn text(value: &HeaderValue) -> Cow<'_, str> {
    match value.is_sensitive() {
        true => Cow::Borrowed("REDACTED"),
        false => String::from_utf8_lossy(value.as_bytes()),
    }
}
