//! Hosts and ports, from where callers and proxies write them.

use std::net::SocketAddr;

use http::header::{HOST, HeaderName};
use http::{HeaderMap, Uri};

/// The other end of a connection, for `network.peer.address` and `network.peer.port`.
///
/// Put it into the extensions of a request or a response where the layer cannot see it. The layer knows axum's `ConnectInfo`
/// (feature `axum`).
///
/// ```
/// use throughline_http::PeerAddress;
///
/// let mut request = http::Request::new(());
/// request.extensions_mut().insert(PeerAddress(([127, 0, 0, 1], 4711).into()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddress(
    /// The address of the socket.
    pub SocketAddr,
);

/// A host, without the brackets of IPv6, and the port behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostPort<'a> {
    pub host: &'a str,
    pub port: Option<u16>,
}

impl<'a> HostPort<'a> {
    /// Reads `host`, `host:80`, `[::1]:80`, with or without a user in front. `None`: there is no host.
    pub fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim_ascii();
        // One pass over the bytes: a search for a `char` costs more than a short host, and every request has one.
        let (mut start, mut colon, mut colons) = (0, 0, 0);
        for (at, byte) in text.bytes().enumerate() {
            match byte {
                b'@' => (start, colons) = (at + 1, 0),
                b':' => (colon, colons) = (at, colons + 1),
                _ => {}
            }
        }
        let (host, port) = match text[start..].strip_prefix('[') {
            Some(v6) => {
                let (host, rest) = v6.split_once(']')?;
                (host, rest.strip_prefix(':'))
            }
            // More than one colon and no brackets: a bare IPv6 address.
            None if colons == 1 => (&text[start..colon], Some(&text[colon + 1..])),
            None => (&text[start..], None),
        };
        let port = port.filter(|port| port.bytes().all(|digit| digit.is_ascii_digit()));
        (!host.is_empty()).then(|| Self {
            host,
            port: port.and_then(|port| port.parse().ok()),
        })
    }

    /// Where a request goes, as it says itself: `:authority` or the URI, else `Host`.
    pub fn of_request(uri: &'a Uri, headers: &'a HeaderMap) -> Option<Self> {
        match uri.authority() {
            Some(authority) => Self::parse(authority.as_str()),
            None => Self::parse(text(headers, &HOST)?),
        }
    }

    /// The target of a gRPC channel ("gRPC Name Resolution"): `dns://1.2.3.4/grpc.io:50051`, `unix:///socket`, `http://host:80`.
    /// One that names several or unknown places is the address as a whole.
    pub fn of_target(target: &'a str) -> Self {
        let whole = Self {
            host: target,
            port: None,
        };
        let Some((scheme, rest)) = target.split_once(':') else {
            return whole;
        };
        let behind_authority = |text: &'a str| match text.strip_prefix("//") {
            Some(text) => text.split_once('/').map(|(_, endpoint)| endpoint),
            None => Some(text),
        };
        match scheme {
            "unix" => Self {
                host: rest.strip_prefix("//").unwrap_or(rest),
                port: None,
            },
            "dns" => behind_authority(rest).and_then(Self::parse).unwrap_or(whole),
            "http" | "https" => {
                let place = rest.trim_start_matches('/');
                let authority = place.split_once('/').map_or(place, |(authority, _)| authority);
                Self::parse(authority).unwrap_or(whole)
            }
            // `host:80`: what looks like a scheme is the host.
            _ if !rest.is_empty() && rest.bytes().all(|digit| digit.is_ascii_digit()) => {
                Self::parse(target).unwrap_or(whole)
            }
            _ => whole,
        }
    }
}

/// What the first proxy says of its caller: `Forwarded` (RFC 7239), else `X-Forwarded-*`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ForwardedFor<'a> {
    pub client: Option<HostPort<'a>>,
    pub host: Option<HostPort<'a>>,
    pub scheme: Option<&'a str>,
}

impl<'a> ForwardedFor<'a> {
    /// In one pass: four look-ups, mostly of what is not there, would cost more.
    pub fn of(headers: &'a HeaderMap) -> Self {
        let [mut forwarded, mut client_is, mut host_is, mut scheme_is] = [None; 4];
        for (name, value) in headers {
            let place = match name.as_str() {
                "forwarded" => &mut forwarded,
                "x-forwarded-for" => &mut client_is,
                "x-forwarded-host" => &mut host_is,
                "x-forwarded-proto" => &mut scheme_is,
                _ => continue,
            };
            // The first of several.
            *place = place.or_else(|| std::str::from_utf8(value.as_bytes()).ok());
        }
        if let Some(forwarded) = forwarded {
            return Self::parse(forwarded);
        }
        let first = |list: Option<&'a str>| list.and_then(|list| list.split(',').next());
        Self {
            client: first(client_is).and_then(client),
            host: first(host_is).and_then(HostPort::parse),
            scheme: first(scheme_is).and_then(scheme),
        }
    }

    fn parse(forwarded: &'a str) -> Self {
        let mut found = Self::default();
        for pair in split(split(forwarded, ',').next().unwrap_or_default(), ';') {
            let Some((name, value)) = pair.split_once('=') else {
                continue;
            };
            let value = value.trim();
            let value = value
                .strip_prefix('"')
                .and_then(|value| value.strip_suffix('"'))
                .unwrap_or(value);
            match name.trim() {
                name if name.eq_ignore_ascii_case("for") => found.client = client(value),
                name if name.eq_ignore_ascii_case("host") => found.host = HostPort::parse(value),
                name if name.eq_ignore_ascii_case("proto") => found.scheme = scheme(value),
                _ => {}
            }
        }
        found
    }
}

fn client(value: &str) -> Option<HostPort<'_>> {
    // "unknown" (RFC 7239, section 6.2) is nobody.
    HostPort::parse(value).filter(|client| !client.host.eq_ignore_ascii_case("unknown"))
}

fn scheme(value: &str) -> Option<&str> {
    let value = value.trim();
    let is_scheme = |letter: char| letter.is_ascii_alphanumeric() || "+-.".contains(letter);
    (!value.is_empty() && value.len() <= 16 && value.chars().all(is_scheme)).then_some(value)
}

/// Splits outside of quotes.
fn split(text: &str, at: char) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    text.split(move |letter| {
        is_quoted ^= letter == '"';
        letter == at && !is_quoted
    })
}

/// The first header of a name, as text.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    std::str::from_utf8(headers.get(name)?.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(found: Option<HostPort<'_>>) -> String {
        match found {
            Some(HostPort { host, port: Some(port) }) => format!("{host} {port}"),
            Some(HostPort { host, port: None }) => host.to_owned(),
            None => "none".to_owned(),
        }
    }

    #[test]
    fn host_and_port_are_read_from_any_form() {
        for (text, expected) in [
            ("shop.example", "shop.example"),
            ("shop.example:8080", "shop.example 8080"),
            ("user:secret@shop.example:8080", "shop.example 8080"),
            ("[2001:db8::1]:443", "2001:db8::1 443"),
            ("[::1]", "::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("shop.example:", "shop.example"),
            ("shop.example:99999", "shop.example"),
            ("shop.example:+1", "shop.example"),
            ("", "none"),
            (":80", "none"),
            ("[::1", "none"),
        ] {
            assert_eq!(shown(HostPort::parse(text)), expected, "{text}");
        }
    }

    #[test]
    fn target_of_a_channel_is_the_logical_address() {
        for (target, expected) in [
            ("dns://1.2.3.4/grpc.io:50051", "grpc.io 50051"),
            ("dns:///grpc.io:50051", "grpc.io 50051"),
            ("dns:grpc.io", "grpc.io"),
            ("unix:///run/x.sock", "/run/x.sock"),
            ("unix:x.sock", "x.sock"),
            ("http://[::1]:50051/path", "::1 50051"),
            ("localhost:50051", "localhost 50051"),
            ("localhost", "localhost"),
            ("ipv4:1.2.3.4:1,5.6.7.8:2", "ipv4:1.2.3.4:1,5.6.7.8:2"),
        ] {
            assert_eq!(shown(Some(HostPort::of_target(target))), expected, "{target}");
        }
    }

    #[test]
    fn first_proxy_says_who_called() {
        #[rustfmt::skip]
        let cases: [(&str, &str, [&str; 3]); 9] = [
            ("forwarded", "for=192.0.2.60;proto=https;host=shop.example, for=10.0.0.1", ["192.0.2.60", "shop.example", "https"]),
            ("forwarded", r#"For="[2001:db8::1]:4711""#, ["2001:db8::1 4711", "none", "none"]),
            ("forwarded", r#"for="a,b;c";proto=http"#, ["a,b;c", "none", "http"]),
            ("forwarded", "for=unknown", ["none", "none", "none"]),
            ("forwarded", r#"for=";;==,,""#, [";;==,,", "none", "none"]),
            ("forwarded", "proto=a/b\tc", ["none", "none", "none"]),
            ("x-forwarded-for", "192.0.2.60, 10.0.0.1", ["192.0.2.60", "none", "none"]),
            ("x-forwarded-host", "shop.example:8443", ["none", "shop.example 8443", "none"]),
            ("x-forwarded-proto", "https,http", ["none", "none", "https"]),
        ];
        for (name, value, expected) in cases {
            let headers = HeaderMap::from_iter([(name.parse().unwrap(), value.parse().unwrap())]);
            let found = ForwardedFor::of(&headers);
            let found = [
                shown(found.client),
                shown(found.host),
                found.scheme.unwrap_or("none").to_owned(),
            ];
            assert_eq!(found, expected, "{value}");
        }
    }
}
