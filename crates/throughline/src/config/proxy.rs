//! Proxies on the way to a backend: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`.

use std::fmt;
use std::net::IpAddr;

use super::endpoint::Endpoint;
use super::masked::masked;
use super::otlp::basic_authorization;
use super::variables::Variables;

/// An HTTP proxy. Its `Debug` and `Display` show no secret.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Proxy {
    endpoint: Endpoint,
}

impl Proxy {
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let problem = || "is not the URL of an HTTP proxy, such as http://proxy:3128".to_owned();
        // Most programs take one without a scheme as well.
        let url = match url.contains("://") {
            true => url.to_owned(),
            false => format!("http://{url}"),
        };
        let endpoint = Endpoint::exact(&url).map_err(|_| problem())?;
        match endpoint.is_tls() || endpoint.socket().is_some() {
            true => Err(problem()),
            false => Ok(Self { endpoint }),
        }
    }

    pub(crate) fn host(&self) -> &str {
        self.endpoint.host()
    }

    pub(crate) fn port(&self) -> u16 {
        self.endpoint.port()
    }

    /// The value of `Proxy-Authorization`, a secret.
    pub(crate) fn authorization(&self) -> Option<String> {
        self.endpoint.user_info().and_then(basic_authorization)
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "proxy {}", self.endpoint.authority())
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The proxy that the environment names for this endpoint, as curl and most other programs read it: names in lower case first. This
/// machine itself and socket files are never reached through one.
pub(super) fn from_environment(endpoint: &Endpoint, variables: &mut Variables<'_>) -> Option<Proxy> {
    const NO_PROXY: [&str; 2] = ["no_proxy", "NO_PROXY"];
    if endpoint.socket().is_some() || is_this_machine(endpoint.host()) {
        return None;
    }
    let names: &[&'static str] = match endpoint.is_tls() {
        true => &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
        // In a CGI program HTTP_PROXY is what a client sent in the header `Proxy`.
        false if variables.raw("REQUEST_METHOD").is_some() => &["http_proxy", "all_proxy", "ALL_PROXY"],
        false => &["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
    };
    let said_before = variables.wrong_settings.len();
    let proxy = variables.first(names, "requests are sent without a proxy", Proxy::parse);
    for wrong_setting in &mut variables.wrong_settings[said_before..] {
        wrong_setting.value = masked(&wrong_setting.value);
    }
    let exceptions = NO_PROXY
        .into_iter()
        .find_map(|name| variables.text(name))
        .unwrap_or_default();
    proxy.filter(|_| !is_excepted(&exceptions, endpoint))
}

fn is_this_machine(host: &str) -> bool {
    let host = host.trim_end_matches('.');
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Whether a list such as `example.com,.internal,10.0.0.0/8,host:4318` names the endpoint. A name stands for all below it as well, `*` for
/// everything.
fn is_excepted(list: &str, endpoint: &Endpoint) -> bool {
    let host = endpoint.host().to_ascii_lowercase();
    let address = host.parse::<IpAddr>().ok();
    list.split(',')
        .map(|entry| entry.trim().to_ascii_lowercase())
        .filter(|entry| !entry.is_empty())
        .any(|entry| {
            if entry == "*" {
                return true;
            }
            if let (Some(address), Some((network, bits))) = (address, entry.split_once('/')) {
                return is_in_network(address, network, bits);
            }
            let bare = entry.trim_start_matches('[').trim_end_matches(']');
            if address.is_some() && bare.parse::<IpAddr>().ok() == address {
                return true;
            }
            let (name, port) = match entry.rsplit_once(':') {
                Some((name, port)) if !name.contains(':') => (name, Some(port)),
                _ => (&*entry, None),
            };
            let name = name.trim_start_matches("*.").trim_start_matches('.');
            let is_below = || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
            let is_port = port.is_none_or(|port| port.parse() == Ok(endpoint.port()));
            !name.is_empty() && is_port && (host == name || address.is_none() && is_below())
        })
}

fn is_in_network(address: IpAddr, network: &str, bits: &str) -> bool {
    let (Ok(network), Ok(bits)) = (network.parse::<IpAddr>(), bits.parse::<u32>()) else {
        return false;
    };
    let same =
        |a: u128, b: u128, width: u32| bits <= width && (bits == 0 || a >> (width - bits) == b >> (width - bits));
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(a.to_bits().into(), b.to_bits().into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.to_bits(), b.to_bits(), 128),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn chosen(endpoint: &str, environment: &[(&str, &str)]) -> (Option<String>, usize) {
        let lookup = |name: &str| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        };
        let mut variables = Variables::new(&lookup, &[]);
        let proxy = from_environment(&Endpoint::from_base(endpoint).unwrap(), &mut variables);
        let shown = format!("{:?}", variables.wrong_settings);
        assert!(!shown.contains("s3cret"), "{shown}");
        (proxy.map(|proxy| proxy.to_string()), variables.wrong_settings.len())
    }

    #[test]
    fn proxy_is_that_of_the_endpoint() {
        let http = ("HTTP_PROXY", "http://plain:3128");
        let https = ("https_proxy", "tls:1");
        let all = ("ALL_PROXY", "http://u:s3cret@any:2/");
        let shown = |name: &str| Some(format!("proxy {name}"));
        for (endpoint, environment, expected, wrong_settings) in [
            ("http://h:4318", &[][..], None, 0),
            ("http://h:4318", &[http, https, all], shown("plain:3128"), 0),
            ("https://h", &[http, https, all], shown("tls:1"), 0),
            ("https://h", &[http, all], shown("any:2"), 0),
            ("http://h", &[http, ("http_proxy", "lower:3")], shown("lower:3"), 0),
            ("http://h", &[http, ("REQUEST_METHOD", "GET")], None, 0),
            ("http://localhost:4318", &[http], None, 0),
            ("http://127.0.0.2:4318", &[http], None, 0),
            ("http://[::1]:4318", &[http], None, 0),
            ("http://LOCALHOST.:4318", &[http], None, 0),
            ("http://[::ffff:127.0.0.1]:4318", &[http], None, 0),
            ("unix:/run/otel.sock", &[all], None, 0),
            ("http://h", &[("HTTP_PROXY", "socks5://u:s3cret@h:1")], None, 1),
            ("http://h", &[("HTTP_PROXY", "https://h:1")], None, 1),
            ("http://h", &[("HTTP_PROXY", "")], None, 0),
        ] {
            assert_eq!(
                chosen(endpoint, environment),
                (expected, wrong_settings),
                "{endpoint} {environment:?}"
            );
        }
    }

    #[test]
    fn no_proxy_names_what_is_reached_without_one() {
        for (list, endpoint, expected) in [
            ("", "http://h.example.com", false),
            ("*", "http://h.example.com", true),
            ("example.com", "http://h.example.com", true),
            (".example.com", "http://h.example.com", true),
            ("*.example.com", "http://h.example.com", true),
            ("EXAMPLE.com", "http://H.example.com", true),
            ("ample.com", "http://h.example.com", false),
            ("a, example.com ,b", "http://example.com", true),
            ("example.com:4318", "http://example.com:4318", true),
            ("example.com:4317", "http://example.com:4318", false),
            ("10.0.0.0/8", "http://10.1.2.3", true),
            ("10.0.0.0/8", "http://11.1.2.3", false),
            ("10.1.2.3", "http://10.1.2.3", true),
            ("2.3", "http://10.1.2.3", false),
            ("10.0.0.0/99", "http://10.1.2.3", false),
            ("fd00::/8", "http://[fd12::1]", true),
            ("[fd12::1]", "http://[fd12::1]", true),
            ("0.0.0.0/0", "http://10.1.2.3", true),
        ] {
            let endpoint = Endpoint::from_base(endpoint).unwrap();
            assert_eq!(is_excepted(list, &endpoint), expected, "{list} {endpoint}");
        }
    }
}
