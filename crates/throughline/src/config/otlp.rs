//! A backend that speaks OTLP: where it is, what it is sent, and how a later process recognises it.

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};

use super::certificates::Certificates;
use super::endpoint::Endpoint;
use super::keyed_hash::KeyedHash;
use super::pairs::percent_decoded;
use super::proxy::Proxy;
use crate::destination::{Compression, Protocol, TokenSource};

/// A backend that speaks OTLP.
#[derive(Clone)]
pub(crate) struct Otlp {
    pub(crate) endpoint: Endpoint,
    /// Sent with every request. The values are secrets.
    pub(crate) headers: HeaderMap,
    /// For one request, connecting included; `None` is no limit.
    pub(crate) timeout: Option<Duration>,
    pub(crate) protocol: Protocol,
    pub(crate) compression: Compression,
    pub(crate) certificates: Certificates,
    pub(crate) proxy: Option<Proxy>,
    /// Fetches what replaces `Authorization`.
    pub(crate) token: Option<TokenSource>,
}

impl Otlp {
    /// User and password in the URL become an `Authorization` header, unless there is one.
    pub(crate) fn new(endpoint: Endpoint, mut headers: HeaderMap, timeout: Option<Duration>) -> Self {
        let user_info = endpoint
            .user_info()
            .filter(|_| !headers.contains_key(header::AUTHORIZATION));
        if let Some(value) = user_info.and_then(basic_authorization) {
            let mut value = HeaderValue::from_str(&value).expect("base64 has visible ASCII characters only");
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        Self {
            endpoint,
            headers,
            timeout,
            protocol: Protocol::default(),
            compression: Compression::None,
            certificates: Certificates::default(),
            proxy: None,
            token: None,
        }
    }

    /// Whether both are the same account of the same backend.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.endpoint.to_string() == other.endpoint.to_string()
            && self.endpoint.target() == other.endpoint.target()
            && self.headers == other.headers
            && self.certificates.client == other.certificates.client
            && self.token.is_some() == other.token.is_some()
    }

    /// How later processes know it: by what tells it from others, without its secrets. Without a key it is known to nobody.
    pub(crate) fn known_as(&self, key: Option<&[u8; 32]>) -> throughline_spool::Destination {
        // As `ls` and `recover --list` show it.
        let protocol = match self.protocol {
            Protocol::HttpProtobuf => "otlp/http/protobuf",
            Protocol::HttpJson => "otlp/http/json",
            Protocol::Grpc => "otlp/grpc",
        };
        let mut name = format!("{protocol} {}", self.endpoint);
        let headers = self.header_names();
        if !headers.is_empty() {
            name = format!("{name} ({})", headers.join(", "));
        }
        throughline_spool::Destination {
            name,
            identity: key.map(|key| self.identity(key)).unwrap_or_default(),
            credentials: key.map(|key| self.credentials(key)).unwrap_or_default(),
        }
    }

    /// The names of the headers, in order, without their values.
    pub(crate) fn header_names(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// What tells this destination from others: scheme, host, port, path, and the headers that carry no credentials. The
    /// timeout does not belong to it, nor the protocol.
    ///
    /// `key` is the user's own, kept in the spool's root; without it nobody can try values against what is stored.
    pub(crate) fn identity(&self, key: &[u8; 32]) -> [u8; 16] {
        let mut hash = KeyedHash::new(key);
        match self.endpoint.socket() {
            Some(socket) => {
                hash.field(b"unix");
                hash.field(socket.as_os_str().as_encoded_bytes());
            }
            None => {
                hash.field(if self.endpoint.is_tls() { b"https" } else { b"http" });
                hash.field(self.endpoint.host().to_ascii_lowercase().as_bytes());
            }
        }
        hash.field(&self.endpoint.port().to_le_bytes());
        hash.field(self.endpoint.target().path().as_bytes());
        self.add_headers(&mut hash, |name| !is_credential(name));
        hash.finish()
    }

    /// What chooses the account that pays and sees: headers with credentials, and the query.
    pub(crate) fn credentials(&self, key: &[u8; 32]) -> [u8; 16] {
        let mut hash = KeyedHash::new(key);
        hash.field(self.endpoint.target().query().unwrap_or_default().as_bytes());
        self.add_headers(&mut hash, is_credential);
        // By the name of its file: what is in it changes often, and for the same account.
        if let Some(client) = &self.certificates.client {
            hash.field(client.certificate.as_os_str().as_encoded_bytes());
        }
        // Tokens change, and are for the same account.
        if self.token.is_some() {
            hash.field(b"bearer token");
        }
        hash.finish()
    }

    fn add_headers(&self, hash: &mut KeyedHash, is_meant: fn(&str) -> bool) {
        for name in self.header_names().into_iter().filter(|name| is_meant(name)) {
            hash.field(name.as_bytes());
            hash.field(self.headers.get(name).map_or(b"", HeaderValue::as_bytes));
        }
    }
}

/// Whether a header of this name, in lower case, carries what nobody else may know.
fn is_credential(name: &str) -> bool {
    const PARTS: [&str; 8] = [
        "auth",
        "cookie",
        "credential",
        "key",
        "password",
        "secret",
        "signature",
        "token",
    ];
    // An API key by another name.
    name == "x-honeycomb-team" || PARTS.iter().any(|part| name.contains(part))
}

/// What `user:password` of a URL becomes as a header (RFC 7617).
pub(super) fn basic_authorization(user_info: &str) -> Option<String> {
    percent_decoded(user_info).map(|decoded| format!("Basic {}", base64(&decoded)))
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

impl fmt::Debug for Otlp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Otlp")
            .field("endpoint", &self.endpoint)
            .field("headers", &self.header_names())
            .field("timeout", &self.timeout)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(url: &str, headers: &[(&'static str, &'static str)]) -> Otlp {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect();
        Otlp::new(Endpoint::from_base(url).unwrap(), headers, None)
    }

    #[test]
    fn identity_changes_with_the_endpoint_and_credentials_with_the_account() {
        let key = [7; 32];
        let both = |destination: &Otlp| (destination.identity(&key), destination.credentials(&key));
        let known = both(&destination(
            "http://h:1",
            &[("a", "1"), ("b", "2"), ("x-api-key", "k")],
        ));
        let same = destination("http://H:1/", &[("b", "2"), ("x-api-key", "k"), ("a", "1")]);
        assert_eq!(known, both(&same));
        let mut slow = same.clone();
        slow.timeout = Some(Duration::from_secs(1));
        assert_eq!(known, both(&slow));
        let mut shown = same.clone();
        shown.certificates.client = Some(("/a.pem", "/a.key").into());
        assert!(!shown.is_same(&same));
        let with = |url: &str, headers: &[(&'static str, &'static str)]| both(&destination(url, headers));
        const KEY: (&str, &str) = ("x-api-key", "k");
        for (other, changes_identity, changes_credentials) in [
            (with("https://h:1", &[("a", "1"), ("b", "2"), KEY]), true, false),
            (with("http://g:1", &[("a", "1"), ("b", "2"), KEY]), true, false),
            (with("http://h:2", &[("a", "1"), ("b", "2"), KEY]), true, false),
            (with("http://h:1/x", &[("a", "1"), ("b", "2"), KEY]), true, false),
            (with("http://h:1", &[("a", "2"), ("b", "1"), KEY]), true, false),
            (with("http://h:1", &[("a", "1"), ("c", "2"), KEY]), true, false),
            (with("http://h:1", &[("a", "1"), KEY]), true, false),
            (with("http://u:p@h:1", &[("a", "1"), ("b", "2"), KEY]), false, true),
            (
                with("http://h:1", &[("a", "1"), ("b", "2"), ("x-api-key", "l")]),
                false,
                true,
            ),
            (with("http://h:1", &[("a", "1"), ("b", "2")]), false, true),
            (both(&shown), false, true),
        ] {
            assert_eq!(
                (other.0 != known.0, other.1 != known.1),
                (changes_identity, changes_credentials)
            );
        }
        assert_ne!(known.0, same.identity(&[8; 32]));
    }

    #[test]
    fn headers_with_credentials_are_known_by_their_names() {
        for (name, expected) in [
            ("authorization", true),
            ("dd-api-key", true),
            ("x-honeycomb-team", true),
            ("lightstep-access-token", true),
            ("cookie", true),
            ("x-honeycomb-dataset", false),
            ("x-scope-orgid", false),
        ] {
            assert_eq!(is_credential(name), expected, "{name}");
        }
    }

    #[test]
    fn user_and_password_in_the_url_become_a_header() {
        let sent = |d: &Otlp| d.headers.get("authorization").cloned();
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
