//! Where spans go, and how it is recognised again by a later process.

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use ring::hmac;

use super::endpoint::Endpoint;
use super::headers::percent_decoded;

/// A backend that speaks OTLP as `http/protobuf`.
#[derive(Clone)]
pub(crate) struct Destination {
    pub(crate) endpoint: Endpoint,
    /// Sent with every request. The values are secrets.
    pub(crate) headers: HeaderMap,
    /// For one request, connecting included; `None` is no limit.
    pub(crate) timeout: Option<Duration>,
}

impl Destination {
    /// The kind's name, as `ls` and `doctor` show it.
    pub(crate) const KIND: &'static str = "otlp/http/protobuf";

    /// User and password in the URL become an `Authorization` header, unless there is one.
    pub(crate) fn new(endpoint: Endpoint, mut headers: HeaderMap, timeout: Option<Duration>) -> Self {
        if let Some(user_info) = endpoint.user_info()
            && !headers.contains_key(header::AUTHORIZATION)
            && let Some(decoded) = percent_decoded(user_info)
        {
            let value = format!("Basic {}", base64(&decoded));
            let mut value = HeaderValue::from_str(&value).expect("base64 has visible ASCII characters only");
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        Self {
            endpoint,
            headers,
            timeout,
        }
    }

    /// The names of the headers, in order, without their values.
    pub(crate) fn header_names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// What tells this destination from others: kind, endpoint, header names and values.
    ///
    /// `key` is the user's own, kept in the spool's root; without it nobody can try values against
    /// a stored fingerprint. The timeout does not belong to it.
    pub(crate) fn fingerprint(&self, key: &[u8; 32]) -> [u8; 32] {
        let mut mac = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
        let mut field = |bytes: &[u8]| {
            // With its length in front no two lists of fields have the same bytes.
            mac.update(&(bytes.len() as u64).to_le_bytes());
            mac.update(bytes);
        };
        field(Self::KIND.as_bytes());
        field(if self.endpoint.is_tls() { b"https" } else { b"http" });
        field(self.endpoint.host().to_ascii_lowercase().as_bytes());
        field(&self.endpoint.port().to_le_bytes());
        field(self.endpoint.target().as_str().as_bytes());
        for name in self.header_names() {
            field(name.as_bytes());
            field(self.headers.get(name).map_or(b"", HeaderValue::as_bytes));
        }
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(mac.sign().as_ref());
        fingerprint
    }
}

/// RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - group.len()));
        for digit in 0..4 {
            let index = bits >> (18 - 6 * digit) & 63;
            let padding = digit as usize > group.len();
            text.push(if padding {
                '='
            } else {
                char::from(ALPHABET[index as usize])
            });
        }
    }
    text
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Destination")
            .field("endpoint", &self.endpoint)
            .field("headers", &self.header_names())
            .field("timeout", &self.timeout)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(url: &str, headers: &[(&'static str, &'static str)]) -> Destination {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect();
        Destination::new(Endpoint::from_base(url).unwrap(), headers, None)
    }

    #[test]
    fn a_fingerprint_changes_with_each_part_and_with_nothing_else() {
        let key = [7; 32];
        let known = destination("http://h:1", &[("a", "1"), ("b", "2")]).fingerprint(&key);
        assert_eq!(
            known,
            destination("http://H:1/", &[("b", "2"), ("a", "1")]).fingerprint(&key)
        );
        let mut slow = destination("http://h:1", &[("a", "1"), ("b", "2")]);
        slow.timeout = Some(Duration::from_secs(1));
        assert_eq!(known, slow.fingerprint(&key));
        for other in [
            destination("https://h:1", &[("a", "1"), ("b", "2")]),
            destination("http://g:1", &[("a", "1"), ("b", "2")]),
            destination("http://h:2", &[("a", "1"), ("b", "2")]),
            destination("http://h:1/x", &[("a", "1"), ("b", "2")]),
            destination("http://u:p@h:1", &[("a", "1"), ("b", "2")]),
            destination("http://h:1", &[("a", "2"), ("b", "1")]),
            destination("http://h:1", &[("a", "1"), ("c", "2")]),
            destination("http://h:1", &[("a", "1")]),
            destination("http://h:1", &[]),
        ] {
            assert_ne!(known, other.fingerprint(&key), "{other:?}");
        }
        assert_ne!(
            known,
            destination("http://h:1", &[("a", "1"), ("b", "2")]).fingerprint(&[8; 32])
        );
    }

    #[test]
    fn user_and_password_in_the_url_become_a_header() {
        let sent = |d: &Destination| d.headers.get("authorization").cloned();
        let basic = destination("http://Aladdin:open%20sesame@h", &[]);
        assert_eq!(sent(&basic).unwrap(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        let chosen = destination("http://u:p@h", &[("authorization", "Bearer x")]);
        assert_eq!(sent(&chosen).unwrap(), "Bearer x");
        assert_eq!(sent(&destination("http://h", &[])), None);
    }

    #[test]
    fn base64_is_padded() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let shown = format!("{:?}", destination("http://u:s3cret@h/?k=s3cret", &[("x", "s3cret")]));
        assert!(shown.contains("authorization") && !shown.contains("s3cret"), "{shown}");
    }
}
