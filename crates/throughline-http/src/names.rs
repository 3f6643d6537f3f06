//! Span names: a method and a template, never a path.

use std::borrow::Cow;
use std::cell::Cell;

/// The route of a request, as a template: `/orders/{id}`.
///
/// Put it into the extensions of a request (before the layer) or of a response, where the router's own template is not to be seen:
/// it becomes `http.route`, and the span is named `{method} {route}`. For code that runs below the layer there is
/// [`set_route`](crate::set_route).
///
/// ```
/// use throughline_http::Route;
///
/// let mut response = http::Response::new("hello");
/// response.extensions_mut().insert(Route::new("/hello/{name}"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route(pub(crate) Cow<'static, str>);

/// The template of the URL that a client calls: `/orders/{id}`.
///
/// Put it into the extensions of a request: it becomes `url.template`, and the span is named `{method} {template}`.
///
/// ```
/// use throughline_http::UrlTemplate;
///
/// let mut request = http::Request::get("http://localhost/orders/7").body(()).unwrap();
/// request.extensions_mut().insert(UrlTemplate::new("/orders/{id}"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlTemplate(pub(crate) Cow<'static, str>);

/// The name of a span, in place of the one that the conventions give it. Few and fixed: a class of requests, not one request.
///
/// Put it into the extensions of a request, or of a server's response.
///
/// ```
/// use throughline_http::SpanName;
///
/// let mut request = http::Request::get("http://localhost/orders/7").body(()).unwrap();
/// request.extensions_mut().insert(SpanName::new("fetch order"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanName(pub(crate) Cow<'static, str>);

macro_rules! texts {
    ($($type:ident)*) => {$(
        impl $type {
            /// A text that is fixed, or made at run time.
            #[must_use]
            pub fn new(text: impl Into<Cow<'static, str>>) -> Self {
                Self(text.into())
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
    )*};
}
texts!(Route SpanName UrlTemplate);

thread_local! {
    static BUFFER: Cell<String> = const { Cell::new(String::new()) };
}

/// A long URL is not to keep its memory.
const LONGEST_KEPT: usize = 8 << 10;

/// Lends a text that `write` puts together, in memory that this thread keeps.
///
/// Two short copies: less than any look-up of a text that was put together before.
pub(crate) fn with_text<R>(write: impl FnOnce(&mut String), use_it: impl FnOnce(&str) -> R) -> R {
    // Taken and not borrowed: a sampler may send a request of its own.
    let mut text = BUFFER.try_with(Cell::take).unwrap_or_default();
    text.clear();
    write(&mut text);
    let result = use_it(&text);
    if text.capacity() <= LONGEST_KEPT {
        let _gone_with_its_thread = BUFFER.try_with(|buffer| buffer.set(text));
    }
    result
}

/// Lends `{method} {template}`, or what there is of it.
pub(crate) fn with_name<R>(method: &str, template: Option<&str>, use_it: impl FnOnce(&str) -> R) -> R {
    let Some(template) = template else {
        return use_it(method);
    };
    let write = |name: &mut String| {
        name.push_str(method);
        name.push(' ');
        name.push_str(template);
    };
    with_text(write, use_it)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_is_the_method_and_the_template() {
        for (method, template, expected) in [
            ("GET", None, "GET"),
            ("GET", Some("/orders/{id}"), "GET /orders/{id}"),
            ("HTTP", Some("/"), "HTTP /"),
        ] {
            with_name(method, template, |name| assert_eq!(name, expected));
        }
    }

    #[test]
    fn name_can_be_made_while_another_is_lent() {
        with_name("GET", Some("/outer"), |outer| {
            with_name("POST", Some("/inner"), |inner| {
                assert_eq!((outer, inner), ("GET /outer", "POST /inner"));
            });
        });
    }
}
