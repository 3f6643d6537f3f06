//! What is said of backends that speak OTLP: the `OTEL_EXPORTER_OTLP_*` variables, and choices made in code.
//! Specification, "OpenTelemetry Protocol Exporter".

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderMap, header};

use super::Settings;
use super::certificates::{Certificates, ClientFiles};
use super::endpoint::Endpoint;
use super::exporter::STAY_LOCAL;
use super::headers;
use super::masked::masked;
use super::otlp::Otlp;
use super::proxy::{self, Proxy};
use super::variables::{Variables, boolean, milliseconds};
use crate::destination::{Compression, OtlpDestination, Protocol, ProxyChoice};

/// The two names of an option, the stronger one first: the variable of traces and that of all
/// signals.
macro_rules! otlp {
    ($($option:ident)*) => {$(
        const $option: [&str; 2] = [
            concat!("OTEL_EXPORTER_OTLP_TRACES_", stringify!($option)),
            concat!("OTEL_EXPORTER_OTLP_", stringify!($option)),
        ];
    )*};
}

otlp! { CERTIFICATE CLIENT_CERTIFICATE CLIENT_KEY COMPRESSION ENDPOINT HEADERS INSECURE PROTOCOL TIMEOUT }

/// The backend that the environment and the builder's own methods name, if they name one. `is_asked_for`: OTLP was asked for by name, also without an
/// endpoint.
pub(super) fn from_environment(
    settings: &Settings,
    is_asked_for: bool,
    variables: &mut Variables<'_>,
) -> Option<Box<Otlp>> {
    let headers = request_headers(settings, variables);
    let timeout = settings.timeout.map_or_else(|| timeout(variables), time_limit);
    let compression = compression(variables);
    let protocol = protocol(variables);
    let endpoint = chosen_endpoint(settings, protocol, is_asked_for, variables)?;
    let certificates = certificates(&endpoint, variables);
    let proxy = proxy::from_environment(&endpoint, variables);
    Some(Box::new(Otlp {
        protocol,
        compression,
        certificates,
        proxy,
        ..Otlp::new(endpoint, headers, timeout)
    }))
}

/// The shorter one of what the exporter's and the batch processor's variables say: one request is one export.
fn timeout(variables: &mut Variables<'_>) -> Option<Duration> {
    let of_request = variables.first(&TIMEOUT, "using 10000", milliseconds);
    let of_request = time_limit(of_request.unwrap_or(DEFAULT_TIMEOUT));
    let of_export = variables.first(&["OTEL_BSP_EXPORT_TIMEOUT"], "it limits nothing", milliseconds);
    let of_export = of_export.and_then(time_limit);
    of_request.into_iter().chain(of_export).min()
}

/// One that was made in code, with nothing of the environment: its headers are for another backend.
pub(super) fn from_code(destination: &OtlpDestination, variables: &mut Variables<'_>) -> Option<Otlp> {
    let endpoint = match base(destination.endpoint.trim(), destination.protocol, false) {
        Ok(endpoint) => endpoint,
        Err(problem) => {
            variables.say(
                "destination",
                &masked(&destination.endpoint),
                &problem,
                "it gets nothing",
            );
            return None;
        }
    };
    let mut all = HeaderMap::new();
    add_headers(&mut all, &destination.headers, variables);
    let certificates = Certificates {
        authorities: destination.authorities.clone(),
        client: destination.client.clone().map(ClientFiles::from),
    };
    if certificates != Certificates::default() && !endpoint.is_tls() {
        let problem = "has certificates, and is no endpoint with https://";
        variables.say("destination", &endpoint.to_string(), problem, "they are not used");
    }
    let proxy = match &destination.proxy {
        ProxyChoice::AsEnvironment => proxy::from_environment(&endpoint, variables),
        ProxyChoice::None => None,
        ProxyChoice::Named(url) => match Proxy::parse(url.trim()) {
            Ok(proxy) => Some(proxy),
            Err(problem) => {
                variables.say("proxy", &masked(url), &problem, "its destination gets nothing");
                return None;
            }
        },
    };
    if destination.token.is_some() {
        all.remove(header::AUTHORIZATION);
    }
    Some(Otlp {
        protocol: destination.protocol,
        compression: destination.compression,
        certificates,
        proxy,
        token: destination.token.clone(),
        ..Otlp::new(
            endpoint,
            all,
            time_limit(destination.timeout.unwrap_or(DEFAULT_TIMEOUT)),
        )
    })
}

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// "0 means no timeout (infinite)."
fn time_limit(set: Duration) -> Option<Duration> {
    (!set.is_zero()).then_some(set)
}

/// Code, then the variable of traces, then that of all signals, then the default if `otlp` was
/// asked for by name.
fn chosen_endpoint(
    settings: &Settings,
    protocol: Protocol,
    is_asked_for: bool,
    variables: &mut Variables<'_>,
) -> Option<Endpoint> {
    let localhost = match protocol {
        Protocol::Grpc => "http://localhost:4317",
        Protocol::HttpProtobuf | Protocol::HttpJson => "http://localhost:4318",
    };
    let last_resort = || base(localhost, protocol, false).ok();
    let using_localhost = format!("using {localhost}");
    let instead = if is_asked_for { &*using_localhost } else { STAY_LOCAL };
    let is_insecure = is_insecure(variables);
    let mut from_code = None;
    if let Some(url) = &settings.endpoint {
        match base(url.trim(), protocol, is_insecure) {
            Ok(endpoint) => return Some(endpoint),
            Err(problem) => from_code = Some((masked(url), problem)),
        }
    }
    let [of_traces, of_all] = ENDPOINT;
    let said_before = variables.wrong_settings.len();
    let endpoint = variables
        .first(&[of_traces], instead, |url| exact(url, protocol, is_insecure))
        .or_else(|| variables.first(&[of_all], instead, |url| base(url, protocol, is_insecure)));
    for wrong_setting in &mut variables.wrong_settings[said_before..] {
        wrong_setting.value = masked(&wrong_setting.value);
        if let Some(endpoint) = &endpoint {
            wrong_setting.instead = format!("using {endpoint}");
        }
    }
    if let Some((url, problem)) = from_code {
        // A wrong URL in code sends nothing to where nobody asked for: no default.
        let instead = match &endpoint {
            Some(endpoint) => format!("using {endpoint}"),
            None => STAY_LOCAL.to_owned(),
        };
        variables.say("endpoint", &url, &problem, &instead);
        return endpoint;
    }
    endpoint.or_else(|| last_resort().filter(|_| is_asked_for))
}

/// "Any value that is not explicitly `true` is false": also where a weaker variable says otherwise.
fn is_insecure(variables: &mut Variables<'_>) -> bool {
    let set = INSECURE
        .into_iter()
        .find_map(|name| Some((name, variables.text(name)?)));
    let Some((name, text)) = set else { return false };
    boolean(&text).unwrap_or_else(|problem| {
        variables.say(name, &text, &problem, "TLS is used where the endpoint says no scheme");
        false
    })
}

/// A URL that stands for all signals, or that of a gRPC server.
fn base(url: &str, protocol: Protocol, is_insecure: bool) -> Result<Endpoint, String> {
    match protocol {
        Protocol::Grpc => Endpoint::of_grpc(url, is_insecure),
        Protocol::HttpProtobuf | Protocol::HttpJson => Endpoint::from_base(url),
    }
}

/// A URL that stands for traces alone, or that of a gRPC server.
fn exact(url: &str, protocol: Protocol, is_insecure: bool) -> Result<Endpoint, String> {
    match protocol {
        Protocol::Grpc => Endpoint::of_grpc(url, is_insecure),
        Protocol::HttpProtobuf | Protocol::HttpJson => Endpoint::exact(url),
    }
}

fn protocol(variables: &mut Variables<'_>) -> Protocol {
    let parse = |text: &str| match text.to_ascii_lowercase().as_str() {
        "grpc" => Ok(Protocol::Grpc),
        "http/protobuf" => Ok(Protocol::HttpProtobuf),
        "http/json" => Ok(Protocol::HttpJson),
        _ => Err("is not grpc, http/protobuf or http/json".to_owned()),
    };
    let found = variables.first(&PROTOCOL, "using http/protobuf", parse);
    found.unwrap_or_default()
}

fn compression(variables: &mut Variables<'_>) -> Compression {
    let parse = |text: &str| match text.to_ascii_lowercase().as_str() {
        "none" => Ok(Compression::None),
        "gzip" => Ok(Compression::Gzip),
        _ => Err("is not gzip or none".to_owned()),
    };
    let found = variables.first(&COMPRESSION, "requests are sent uncompressed", parse);
    found.unwrap_or_default()
}

fn request_headers(settings: &Settings, variables: &mut Variables<'_>) -> HeaderMap {
    let mut all = HeaderMap::new();
    for name in HEADERS {
        if let Some(text) = variables.text(name) {
            let (found, problems) = headers::parse(&text);
            for problem in problems {
                variables.say(name, "***", &problem, "that entry is ignored");
            }
            all = found;
            break;
        }
    }
    add_headers(&mut all, &settings.headers, variables);
    all
}

fn add_headers(all: &mut HeaderMap, given: &[(String, String)], variables: &mut Variables<'_>) {
    for (name, value) in given {
        match headers::header(name, value.as_bytes()) {
            Ok((name, value)) => {
                all.insert(name, value);
            }
            Err(problem) => variables.say("header", "***", &problem, "it is ignored"),
        }
    }
}

/// The files that the variables name. What is wrong in them shows when a connection is made.
fn certificates(endpoint: &Endpoint, variables: &mut Variables<'_>) -> Certificates {
    let path = |names: [&'static str; 2]| {
        let set = names.into_iter().find_map(|name| Some((name, variables.raw(name)?)));
        set.map(|(name, path)| (name, PathBuf::from(path)))
    };
    let [authorities, certificate, key] = [CERTIFICATE, CLIENT_CERTIFICATE, CLIENT_KEY].map(path);
    if !endpoint.is_tls() {
        for (name, path) in [authorities, certificate, key].into_iter().flatten() {
            let problem = format!("is for an endpoint with https://, and {endpoint} is none");
            variables.say(name, &path.to_string_lossy(), &problem, "it is not used");
        }
        return Certificates::default();
    }
    let mut useless = |(name, path): (&str, PathBuf), needs: &str| {
        let problem = format!("is of no use without {needs}");
        variables.say(name, &path.to_string_lossy(), &problem, "no certificate is shown");
        None
    };
    let client = match (certificate, key) {
        (Some((_, certificate)), Some((_, key))) => Some((certificate, key).into()),
        (Some(alone), None) => useless(alone, CLIENT_KEY[1]),
        (None, Some(alone)) => useless(alone, CLIENT_CERTIFICATE[1]),
        (None, None) => None,
    };
    Certificates {
        authorities: authorities.map(|(_, path)| path),
        client,
    }
}
