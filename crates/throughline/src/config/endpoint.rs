//! Where requests are posted: a URL that has been checked and taken apart once.

use std::fmt;
use std::path::{Path, PathBuf};

use http::Uri;
use http::uri::PathAndQuery;

/// An `http` or `https` URL with a host. Its `Debug` and `Display` show no secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    tls: bool,
    /// A name or an address, an IPv6 one without its brackets.
    host: String,
    port: u16,
    /// The value of the `Host` header: host and port as they were written.
    authority: String,
    /// Path and query as they are sent; begins with `/`.
    target: PathAndQuery,
    /// `user:password`, as written.
    user_info: Option<String>,
    /// A Unix socket, which takes the place of host and port.
    socket: Option<PathBuf>,
}

impl Endpoint {
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`: a base URL, to which `v1/traces` is appended.
    pub(crate) fn from_base(url: &str) -> Result<Self, String> {
        let mut endpoint = Self::parse(url)?;
        if endpoint.socket.is_some() {
            return Ok(endpoint);
        }
        let path = endpoint.target.path();
        let slash = if path.ends_with('/') { "" } else { "/" };
        let query = endpoint
            .target
            .query()
            .map(|query| format!("?{query}"))
            .unwrap_or_default();
        let target = format!("{path}{slash}v1/traces{query}");
        endpoint.target = target.parse().map_err(|_| not_a_url())?;
        Ok(endpoint)
    }

    /// `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`: "used as-is"; only a missing path becomes `/`.
    pub(crate) fn exact(url: &str) -> Result<Self, String> {
        Self::parse(url)
    }

    /// An endpoint for gRPC, whose path is not the user's: with a scheme, or `host:port`, which `is_insecure` gives one.
    pub(crate) fn of_grpc(url: &str, is_insecure: bool) -> Result<Self, String> {
        let has_scheme = url.contains("://") || url.starts_with(UNIX);
        let scheme = if is_insecure { "http" } else { "https" };
        let parsed = match has_scheme {
            true => Self::parse(url),
            false => Self::parse(&format!("{scheme}://{url}")),
        };
        let mut endpoint =
            parsed.map_err(|_| "is not a URL such as http://localhost:4317, nor host:port".to_owned())?;
        endpoint.target = PathAndQuery::from_static("/");
        Ok(endpoint)
    }

    /// The path of the Unix socket, where the endpoint is one.
    pub(crate) fn socket(&self) -> Option<&Path> {
        self.socket.as_deref()
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.tls
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    pub(crate) fn target(&self) -> &PathAndQuery {
        &self.target
    }

    /// As a URL that another process can use: without its user, password and query.
    pub(crate) fn without_secrets(&self) -> String {
        match &self.socket {
            Some(_) => self.to_string(),
            None if self.target == "/" => self.origin(),
            None => format!("{}{}", self.origin(), self.target.path()),
        }
    }

    /// Scheme, host and port.
    fn origin(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.authority)
    }

    pub(super) fn user_info(&self) -> Option<&str> {
        self.user_info.as_deref()
    }

    fn parse(url: &str) -> Result<Self, String> {
        if let Some(path) = url.strip_prefix(UNIX) {
            return Self::of_socket(path);
        }
        let uri: Uri = url.parse().map_err(|_| not_a_url())?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(not_a_url()),
        };
        let authority = uri.authority().ok_or_else(not_a_url)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let (user_info, host_and_port) = match authority.as_str().rsplit_once('@') {
            Some((user_info, rest)) => (Some(user_info.to_owned()), rest),
            None => (None, authority.as_str()),
        };
        let has_port = host_and_port.len() > authority.host().len();
        if host.is_empty() || (has_port && authority.port_u16().is_none_or(|port| port == 0)) {
            return Err("has no usable host and port".to_owned());
        }
        Ok(Self {
            tls,
            host: host.to_owned(),
            port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            authority: host_and_port.to_owned(),
            target: uri.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/")),
            user_info,
            socket: None,
        })
    }

    /// `unix:/run/otel.sock`, or with `//` in front of the path. What is spoken there is HTTP without TLS.
    fn of_socket(path: &str) -> Result<Self, String> {
        let path = path.strip_prefix("//").unwrap_or(path);
        if !path.starts_with('/') || path.ends_with('/') {
            return Err("is not the path of a socket, such as unix:/run/otel.sock".to_owned());
        }
        Ok(Self {
            tls: false,
            host: "localhost".to_owned(),
            port: 0,
            authority: "localhost".to_owned(),
            target: PathAndQuery::from_static("/v1/traces"),
            user_info: None,
            socket: Some(PathBuf::from(path)),
        })
    }
}

const UNIX: &str = "unix:";

fn not_a_url() -> String {
    "is not a URL such as http://localhost:4318".to_owned()
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(socket) = &self.socket {
            return write!(f, "{UNIX}{}", socket.display());
        }
        let query = if self.target.query().is_some() { "?***" } else { "" };
        write!(f, "{}{}{query}", self.origin(), self.target.path())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_url_gets_the_path_of_traces_and_an_exact_one_is_left_alone() {
        for (url, base, exact) in [
            ("http://h:4318", "/v1/traces", "/"),
            ("http://h:4318/", "/v1/traces", "/"),
            ("http://h/x", "/x/v1/traces", "/x"),
            ("http://h/x/", "/x/v1/traces", "/x/"),
            ("https://h/x?k=v", "/x/v1/traces?k=v", "/x?k=v"),
            ("http://h/v1/traces", "/v1/traces/v1/traces", "/v1/traces"),
        ] {
            assert_eq!(Endpoint::from_base(url).unwrap().target(), base, "{url}");
            assert_eq!(Endpoint::exact(url).unwrap().target(), exact, "{url}");
        }
    }

    #[test]
    fn url_without_secrets_reaches_the_same_backend() {
        for (url, expected) in [
            ("http://h:4318", "http://h:4318"),
            ("http://u:p@h/x/?key=secret", "http://h/x/"),
            ("https://[::1]:4318/v1/traces", "https://[::1]:4318/v1/traces"),
            ("unix:///run/otel.sock", "unix:/run/otel.sock"),
        ] {
            assert_eq!(Endpoint::exact(url).unwrap().without_secrets(), expected, "{url}");
        }
    }

    #[test]
    fn url_is_taken_apart() {
        for (url, tls, host, port, authority) in [
            ("http://h", false, "h", 80, "h"),
            ("https://h", true, "h", 443, "h"),
            ("HTTPS://h:8443", true, "h", 8443, "h:8443"),
            ("http://[::1]:4318", false, "::1", 4318, "[::1]:4318"),
            ("http://u:p@h:1/x", false, "h", 1, "h:1"),
        ] {
            let endpoint = Endpoint::exact(url).unwrap();
            assert_eq!(endpoint.is_tls(), tls, "{url}");
            assert_eq!(endpoint.host(), host, "{url}");
            assert_eq!(endpoint.port(), port, "{url}");
            assert_eq!(endpoint.authority(), authority, "{url}");
        }
    }

    #[test]
    fn socket_stands_for_host_and_port() {
        for url in ["unix:/run/otel.sock", "unix:///run/otel.sock"] {
            for endpoint in [
                Endpoint::from_base(url),
                Endpoint::exact(url),
                Endpoint::of_grpc(url, false),
            ] {
                let endpoint = endpoint.unwrap();
                assert_eq!(endpoint.to_string(), "unix:/run/otel.sock");
                assert_eq!(endpoint.socket(), Some(Path::new("/run/otel.sock")));
                assert!(!endpoint.is_tls());
            }
        }
        for url in ["unix:", "unix:otel.sock", "unix:/run/", "unix://host"] {
            assert!(Endpoint::from_base(url).is_err(), "{url}");
        }
    }

    #[test]
    fn endpoint_of_grpc_may_leave_its_scheme_out_and_has_no_path() {
        for (url, is_insecure, expected) in [
            ("http://h:4317", false, "http://h:4317/"),
            ("https://h:4317/", true, "https://h:4317/"),
            ("http://h:4317/v1/traces", false, "http://h:4317/"),
            ("h:4317", true, "http://h:4317/"),
            ("h:4317", false, "https://h:4317/"),
            ("localhost", true, "http://localhost/"),
        ] {
            assert_eq!(
                Endpoint::of_grpc(url, is_insecure).unwrap().to_string(),
                expected,
                "{url}"
            );
        }
        for url in ["ftp://h", "", "h:port", "http://"] {
            assert!(Endpoint::of_grpc(url, true).is_err(), "{url}");
        }
    }

    #[test]
    fn what_is_not_an_http_url_is_refused() {
        for url in [
            "localhost:4318",
            "//h",
            "/v1/traces",
            "ftp://h",
            "grpc://h:4317",
            "http://",
            "http://:4318",
            "http://h:0",
            "http://h:99999",
            "http://h:port",
            "http://a b",
            "http:h",
            "*",
            "http://u:p@",
        ] {
            assert!(Endpoint::from_base(url).is_err(), "{url}");
        }
    }

    #[test]
    fn no_secret_of_a_url_is_shown() {
        let endpoint = Endpoint::exact("http://u:s3cret@h/x?key=s3cret").unwrap();
        assert_eq!(format!("{endpoint} {endpoint:?}"), "http://h/x?*** http://h/x?***");
        assert_eq!(endpoint.user_info(), Some("u:s3cret"));
    }
}
