//! `OTEL_EXPORTER_OTLP_HEADERS`, and headers that are given in code.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::pairs::percent_decoded;

/// Headers that describe the message itself: they are the client's to set.
const OURS: [HeaderName; 10] = [
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    http::header::CONNECTION,
    http::header::CONTENT_ENCODING,
    http::header::CONTENT_LENGTH,
    http::header::CONTENT_TYPE,
    http::header::HOST,
    http::header::TE,
    http::header::TRANSFER_ENCODING,
    http::header::UPGRADE,
];

/// `OTEL_EXPORTER_OTLP_HEADERS`: "W3C Baggage format", values percent-encoded, without properties.
///
/// Returns the usable headers, and for each other entry its number and what is wrong with it. Nothing of an entry is repeated:
/// a comma or `=` that was not encoded may have made a name of a part of the secret.
pub(super) fn parse(text: &str) -> (HeaderMap, Vec<String>) {
    let mut headers = HeaderMap::new();
    let mut problems = Vec::new();
    for (index, entry) in text.split(',').enumerate() {
        if entry.trim().is_empty() {
            continue;
        }
        match header_of(entry) {
            Ok((name, value)) => {
                headers.insert(name, value);
            }
            Err(problem) => problems.push(format!("{problem} in entry {}", index + 1)),
        }
    }
    (headers, problems)
}

fn header_of(entry: &str) -> Result<(HeaderName, HeaderValue), &'static str> {
    const BAD_VALUE: &str = "has a value that cannot be in a header";
    let (name, value) = entry.split_once('=').ok_or("has no `=`")?;
    let value = percent_decoded(value.trim()).ok_or(BAD_VALUE)?;
    let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| "has something that is no header's name")?;
    if OURS.contains(&name) {
        return Err("has a header that cannot be chosen");
    }
    Ok((name, secret(&value).ok_or(BAD_VALUE)?))
}

/// A header's value that is never shown.
fn secret(value: &[u8]) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_bytes(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// One header that was given in code, its value marked as a secret.
pub(super) fn header(name: &str, value: &[u8]) -> Result<(HeaderName, HeaderValue), String> {
    let checked =
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("has {name:?}, which is not a header's name"))?;
    if OURS.contains(&checked) {
        return Err(format!("has {checked}, which cannot be chosen"));
    }
    let value = secret(value).ok_or_else(|| format!("has a value for {} that cannot be in a header", name.trim()))?;
    Ok((checked, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_lists_are_read_as_the_specification_says() {
        for (text, expected, problems) in [
            ("a=b", vec![("a", "b")], 0),
            (" A = b , c=d ", vec![("a", "b"), ("c", "d")], 0),
            ("authorization=Bearer%20x==", vec![("authorization", "Bearer x==")], 0),
            ("authorization=Basic dTpw", vec![("authorization", "Basic dTpw")], 0),
            ("a=1,,b=2,", vec![("a", "1"), ("b", "2")], 0),
            ("empty=", vec![("empty", "")], 0),
            ("a=first,a=last", vec![("a", "last")], 0),
            ("bad,a=1", vec![("a", "1")], 1),
            ("a=%zz,b=%4", vec![], 2),
            ("a=%0d%0aX-Injected: 1,b=ok", vec![("b", "ok")], 1),
            ("two words=1", vec![], 1),
            ("=1", vec![], 1),
            ("Content-Length=5,host=other", vec![], 2),
            ("Keep-Alive=5,upgrade=h2c,proxy-connection=close", vec![], 3),
        ] {
            let (headers, found) = parse(text);
            let headers: Vec<_> = headers.iter().map(|(k, v)| (k.as_str(), v.to_str().unwrap())).collect();
            assert_eq!(headers, expected, "{text:?}");
            assert_eq!(found.len(), problems, "{text:?}: {found:?}");
        }
    }

    #[test]
    fn problem_with_a_header_tells_the_entry_and_nothing_of_it() {
        for (text, expected) in [
            ("s3cret", "has no `=` in entry 1"),
            ("a=b,x=s3cret%0a", "has a value that cannot be in a header in entry 2"),
            ("s3cret%zz=%zz", "has a value that cannot be in a header in entry 1"),
            ("content-type=s3cret", "has a header that cannot be chosen in entry 1"),
            (
                "a=b,,s3cret with words==",
                "has something that is no header's name in entry 3",
            ),
            (
                "a=b, s3c\u{e9}ret=1",
                "has something that is no header's name in entry 2",
            ),
        ] {
            let (_, problems) = parse(text);
            assert_eq!(problems, [expected], "{text}");
        }
    }
}
