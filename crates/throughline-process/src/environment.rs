//! What a child process is told of tracing by its environment variables.

use std::ffi::OsString;

use throughline::environment::EnvWriter;
use throughline::{Context, Protocol, otlp_endpoint};

/// What a child process is told of tracing: the trace context, and where and how to send its spans.
///
/// A child inherits the environment of its parent, and with it `OTEL_*` variables that were not meant for it. This makes them
/// fit, and adds what the parent was told in code:
///
/// | variables | the child gets |
/// |---|---|
/// | `TRACEPARENT`, `TRACESTATE`, `BAGGAGE` | the [context](Self::context), by default the current one; stale ones are removed |
/// | `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, `OTEL_EXPORTER_OTLP_ENDPOINT` | the [endpoint](Self::endpoint), by default the first of this process that speaks OTLP, whether code or a variable has named it |
/// | `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL`, `OTEL_EXPORTER_OTLP_PROTOCOL` | the protocol of that endpoint, since SDKs differ in their default |
/// | `OTEL_TRACES_EXPORTER` | `otlp` |
/// | `OTEL_METRICS_EXPORTER`, `OTEL_LOGS_EXPORTER` | `none`; what this process was told stays, unless the endpoint is another one |
/// | `OTEL_SERVICE_NAME` | the [service name](Self::service_name); without one it is removed, for a child is not its parent |
/// | `OTEL_RESOURCE_ATTRIBUTES` | as here, without `service.name`, `service.version` and `service.instance.id` |
/// | OTLP headers, client certificates and their keys | removed, unless [secrets](Self::secrets) are asked for |
///
/// Where this process sends nothing over OTLP and no endpoint is given, the middle three rows are left as they are.
///
/// ```
/// use std::process::Command;
/// use throughline_process::{ChildEnvironment, CommandExt};
///
/// let mut daemon = Command::new("buildkitd");
/// daemon.pass_environment(&ChildEnvironment::new().service_name("buildkitd"));
///
/// // A container inherits nothing: it is given all there is.
/// let mut docker = Command::new("docker");
/// docker.arg("run");
/// for (name, value) in ChildEnvironment::new().service_name("worker").for_container() {
///     docker.arg("--env").arg(format!("{name}={value}"));
/// }
/// ```
#[derive(Clone, Debug)]
#[must_use = "it is used by `CommandExt::pass_environment`"]
pub struct ChildEnvironment {
    context: Context,
    endpoint: Option<Endpoint>,
    service_name: Option<String>,
    passes_secrets: bool,
}

/// Where the child sends its spans.
#[derive(Clone, Debug)]
struct Endpoint {
    /// That of traces, as it is used.
    url: String,
    protocol: Protocol,
    /// Whether it is another one than that of this process.
    is_replaced: bool,
}

/// Of all signals and of each: they stand for an account with the backend.
const SECRETS: [&str; 3] = ["HEADERS", "CLIENT_CERTIFICATE", "CLIENT_KEY"];
const SIGNALS: [&str; 4] = ["", "TRACES_", "METRICS_", "LOGS_"];

impl Default for ChildEnvironment {
    fn default() -> Self {
        Self::new()
    }
}

impl ChildEnvironment {
    /// The current context, and the endpoint of this process.
    pub fn new() -> Self {
        Self {
            context: Context::current(),
            endpoint: otlp_endpoint().map(|endpoint| Endpoint {
                url: endpoint.url().to_owned(),
                protocol: endpoint.protocol(),
                is_replaced: false,
            }),
            service_name: None,
            passes_secrets: false,
        }
    }

    /// The context that the child continues.
    pub fn context(mut self, context: Context) -> Self {
        self.context = context;
        self
    }

    /// Another endpoint than that of this process, such as a relay: a base URL, `http://127.0.0.1:4318`, to which `/v1/traces`
    /// is appended but for gRPC. Secrets of this process are not for it, also when they are asked for.
    pub fn endpoint(mut self, url: impl Into<String>, protocol: Protocol) -> Self {
        let mut url = url.into();
        if protocol != Protocol::Grpc && !url.starts_with("unix:") {
            url.truncate(url.trim_end_matches('/').len());
            url.push_str(TRACES_PATH);
        }
        self.endpoint = Some(Endpoint {
            url,
            protocol,
            is_replaced: true,
        });
        self
    }

    /// The child's `service.name`. Default: none, so that the child has the name it gives itself.
    pub fn service_name(mut self, name: impl Into<String>) -> Self {
        self.service_name = Some(name.into());
        self
    }

    /// Whether the child gets the OTLP headers, client certificates and keys that this process's environment names. Default: no,
    /// since whoever can read the child's environment or its container's description can use them. What was set in code is
    /// never handed down.
    pub fn secrets(mut self, are_passed: bool) -> Self {
        self.passes_secrets = are_passed;
        self
    }

    /// The variables in which the child's environment differs from that of this process; `None` is to be removed.
    #[must_use]
    pub fn changes(&self) -> Vec<(String, Option<String>)> {
        self.changes_from(&|name| std::env::var_os(name))
    }

    /// All variables that a process needs which inherits none: [`changes`](Self::changes), and the other `OTEL_*` variables of
    /// this process, sorted by name. Those whose value is not UTF-8 are left out.
    #[must_use]
    pub fn for_container(&self) -> Vec<(String, String)> {
        let changes = self.changes();
        let inherited = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            let is_ours = name.starts_with("OTEL_") && !changes.iter().any(|(changed, _)| *changed == name);
            is_ours.then_some((name, value.into_string().ok()?))
        });
        let mut all: Vec<_> = inherited.collect();
        all.extend(
            changes
                .iter()
                .filter_map(|(name, value)| Some((name.clone(), value.clone()?))),
        );
        all.sort();
        all
    }

    pub(crate) fn handed_down(&self) -> &Context {
        &self.context
    }

    /// The changes but for those of the context.
    pub(crate) fn settings(&self) -> Vec<(String, Option<String>)> {
        self.settings_from(&|name| std::env::var_os(name))
    }

    fn changes_from(&self, environment: &dyn Fn(&str) -> Option<OsString>) -> Vec<(String, Option<String>)> {
        let mut changes = context_changes(&self.context);
        changes.extend(self.settings_from(environment));
        changes
    }

    fn settings_from(&self, environment: &dyn Fn(&str) -> Option<OsString>) -> Vec<(String, Option<String>)> {
        let mut changes = vec![("OTEL_SERVICE_NAME".into(), self.service_name.clone())];
        if let Some(attributes) = environment(RESOURCE_ATTRIBUTES).and_then(|value| value.into_string().ok()) {
            let rest = without_identity(&attributes);
            changes.push((RESOURCE_ATTRIBUTES.into(), (!rest.is_empty()).then_some(rest)));
        }
        let is_replaced = self.endpoint.as_ref().is_some_and(|endpoint| endpoint.is_replaced);
        if let Some(endpoint) = &self.endpoint {
            changes.extend(endpoint.changes());
            let unset = |name: &&str| is_replaced || environment(name).is_none_or(|value| value.is_empty());
            let off = ["OTEL_METRICS_EXPORTER", "OTEL_LOGS_EXPORTER"]
                .into_iter()
                .filter(unset);
            changes.extend(off.map(|name| (name.to_owned(), Some("none".to_owned()))));
        }
        if is_replaced || !self.passes_secrets {
            let all = SIGNALS
                .iter()
                .flat_map(|signal| SECRETS.map(|secret| format!("OTEL_EXPORTER_OTLP_{signal}{secret}")));
            changes.extend(all.map(|name| (name, None)));
        }
        changes
    }
}

impl Endpoint {
    fn changes(&self) -> [(String, Option<String>); 5] {
        // Some programs send traces only where the variable of all signals is set.
        let base = match self.protocol {
            Protocol::Grpc => Some(&*self.url),
            _ if self.url.starts_with("unix:") => Some(&*self.url),
            _ => self.url.strip_suffix(TRACES_PATH),
        };
        let protocol = match self.protocol {
            Protocol::Grpc => "grpc",
            Protocol::HttpJson => "http/json",
            _ => "http/protobuf",
        };
        [
            ("OTEL_TRACES_EXPORTER", Some("otlp")),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", Some(&*self.url)),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", base),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", Some(protocol)),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", Some(protocol)),
        ]
        .map(|(name, value)| (name.to_owned(), value.map(str::to_owned)))
    }
}

const TRACES_PATH: &str = "/v1/traces";
const RESOURCE_ATTRIBUTES: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// The variables that hand a context down. None where there is no context, as when tracing is off: that of whoever called
/// this process stays.
pub(crate) fn context_changes(context: &Context) -> Vec<(String, Option<String>)> {
    let mut changes = Vec::new();
    if !context.is_empty() {
        context.inject(EnvWriter(|name: &str, value: Option<&str>| {
            changes.push((name.to_owned(), value.map(str::to_owned)));
        }));
    }
    changes
}

/// The resource attributes without those that say which service a process is.
fn without_identity(attributes: &str) -> String {
    let is_identity = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default().trim();
        matches!(name, "service.name" | "service.version" | "service.instance.id")
    };
    let rest: Vec<_> = attributes.split(',').filter(|pair| !is_identity(pair)).collect();
    rest.join(",")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const GIVEN: &str = "http://127.0.0.1:4318";

    fn changes(environment: &ChildEnvironment, variables: &[(&str, &str)]) -> HashMap<String, Option<String>> {
        let find = |name: &str| {
            variables
                .iter()
                .find(|(set, _)| *set == name)
                .map(|(_, value)| value.into())
        };
        environment.changes_from(&find).into_iter().collect()
    }

    fn is_removed(changes: &HashMap<String, Option<String>>, name: &str) -> bool {
        changes.get(name) == Some(&None)
    }

    #[test]
    fn protocol_is_pinned_and_other_signals_are_off() {
        let cases = [
            (
                GIVEN,
                Protocol::HttpProtobuf,
                "http/protobuf",
                "http://127.0.0.1:4318/v1/traces",
                GIVEN,
            ),
            (
                "http://127.0.0.1:4318/",
                Protocol::HttpJson,
                "http/json",
                "http://127.0.0.1:4318/v1/traces",
                GIVEN,
            ),
            (GIVEN, Protocol::Grpc, "grpc", GIVEN, GIVEN),
            (
                "unix:/run/otel.sock",
                Protocol::HttpProtobuf,
                "http/protobuf",
                "unix:/run/otel.sock",
                "unix:/run/otel.sock",
            ),
        ];
        for (url, protocol, name, of_traces, of_all) in cases {
            let environment = ChildEnvironment::new().endpoint(url, protocol);
            let changes = changes(&environment, &[("OTEL_METRICS_EXPORTER", "prometheus")]);
            for (variable, expected) in [
                ("OTEL_TRACES_EXPORTER", "otlp"),
                ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", of_traces),
                ("OTEL_EXPORTER_OTLP_ENDPOINT", of_all),
                ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", name),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", name),
                ("OTEL_METRICS_EXPORTER", "none"),
                ("OTEL_LOGS_EXPORTER", "none"),
            ] {
                assert_eq!(
                    changes[variable].as_deref(),
                    Some(expected),
                    "{variable} for {url} and {protocol:?}"
                );
            }
        }
    }

    #[test]
    fn secrets_are_removed_unless_asked_for_and_never_given_to_another_endpoint() {
        let plain = ChildEnvironment::new();
        let cases = [
            (plain.clone(), true),
            (plain.clone().secrets(true), false),
            (
                plain.clone().endpoint(GIVEN, Protocol::HttpProtobuf).secrets(true),
                true,
            ),
        ];
        for (environment, are_removed) in cases {
            let changes = changes(&environment, &[("OTEL_EXPORTER_OTLP_HEADERS", "x-api-key=secret")]);
            for name in [
                "OTEL_EXPORTER_OTLP_HEADERS",
                "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
                "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
                "OTEL_EXPORTER_OTLP_CLIENT_KEY",
                "OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE",
            ] {
                assert_eq!(is_removed(&changes, name), are_removed, "{name} of {environment:?}");
            }
        }
    }

    #[test]
    fn child_is_not_its_parent() {
        let said = [
            ("OTEL_SERVICE_NAME", "parent"),
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "service.name=parent,deployment.environment.name=test, service.version=3,a=b",
            ),
        ];
        let unnamed = changes(&ChildEnvironment::new(), &said);
        assert!(is_removed(&unnamed, "OTEL_SERVICE_NAME"));
        let kept = unnamed["OTEL_RESOURCE_ATTRIBUTES"].as_deref();
        assert_eq!(kept, Some("deployment.environment.name=test,a=b"));

        let named = changes(
            &ChildEnvironment::new().service_name("child"),
            &[("OTEL_RESOURCE_ATTRIBUTES", "service.name=parent")],
        );
        assert_eq!(named["OTEL_SERVICE_NAME"].as_deref(), Some("child"));
        assert!(is_removed(&named, "OTEL_RESOURCE_ATTRIBUTES"));
    }

    #[test]
    fn context_replaces_a_stale_one_and_none_leaves_it_alone() {
        let header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let parent = throughline::extract([("traceparent", header)]).expect("it is valid");
        let given = changes(&ChildEnvironment::new().context(parent), &[]);
        assert_eq!(given["TRACEPARENT"].as_deref(), Some(header));
        assert!(
            is_removed(&given, "TRACESTATE"),
            "that of an earlier trace is not for this one"
        );

        let none = changes(&ChildEnvironment::new().context(Context::root()), &[]);
        assert!(!none.contains_key("TRACEPARENT"));
    }
}
