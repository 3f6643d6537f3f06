//! Who made the spans: the resource that stands in front of every request.

use throughline_wire::{Value, encode_resource};

/// The attributes of the resource, each key once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    attributes: Vec<(String, String)>,
}

/// Where the name of the service may come from, and the other attributes.
pub(super) struct Sources<'a> {
    /// The name that the program gave to `init`: better than nothing, weaker than the environment.
    pub(super) default_name: Option<&'a str>,
    /// `OTEL_SERVICE_NAME`.
    pub(super) name: Option<String>,
    /// `OTEL_RESOURCE_ATTRIBUTES`.
    pub(super) environment: Vec<(String, String)>,
    /// The builder's attributes.
    pub(super) code: &'a [(String, String)],
    /// The file name of the program.
    pub(super) executable: Option<&'a str>,
}

impl Resource {
    /// Merges by the specification's rules ("Resource SDK", Merge): what is said in code wins over
    /// the environment, that over the defaults; `OTEL_SERVICE_NAME` over a `service.name` in
    /// `OTEL_RESOURCE_ATTRIBUTES`.
    pub(super) fn merge(sources: Sources<'_>) -> Self {
        let unknown = || match sources.executable {
            Some(executable) => format!("unknown_service:{executable}"),
            None => "unknown_service".to_owned(),
        };
        let default_name = sources.default_name.filter(|name| !name.is_empty());
        let mut resource = Self { attributes: Vec::new() };
        resource.set("service.name", default_name.map_or_else(unknown, str::to_owned));
        resource.set("telemetry.sdk.name", "throughline".to_owned());
        resource.set("telemetry.sdk.language", "rust".to_owned());
        resource.set("telemetry.sdk.version", env!("CARGO_PKG_VERSION").to_owned());
        for (key, value) in sources.environment {
            // An empty name names nothing.
            if key != "service.name" || !value.is_empty() {
                resource.set(&key, value);
            }
        }
        if let Some(name) = sources.name {
            resource.set("service.name", name);
        }
        for (key, value) in sources.code {
            resource.set(key, value.clone());
        }
        resource
    }

    /// The value of `key`.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, value)| value.as_str())
    }

    /// Never absent: there is always a name, if only `unknown_service`.
    pub(crate) fn service_name(&self) -> &str {
        self.get("service.name").unwrap_or("unknown_service")
    }

    /// The bytes of the OTLP message `Resource`.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let attributes: Vec<_> = self
            .attributes
            .iter()
            .map(|(key, value)| (key, Value::Str(value)))
            .collect();
        encode_resource(&attributes)
    }

    fn set(&mut self, key: &str, value: String) {
        match self.attributes.iter_mut().find(|(k, _)| k == key) {
            Some((_, old)) => *old = value,
            None => self.attributes.push((key.to_owned(), value)),
        }
    }
}
