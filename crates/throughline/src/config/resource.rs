//! Who made the spans: the resource that stands in front of every request.

use throughline_wire::Value;
use throughline_wire::encode::push_key_value;

use crate::value::ToValue;

/// The attributes of the resource, each key once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    attributes: Vec<Attribute>,
}

/// One attribute of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attribute {
    key: String,
    /// Of a text.
    text: Option<String>,
    /// The whole field of the OTLP message `Resource`.
    field: Vec<u8>,
}

impl Attribute {
    /// `Resource.attributes`.
    const TAG: u8 = 0x0a;

    pub(crate) fn new(key: &str, value: &Value<'_>) -> Self {
        let mut field = Vec::new();
        push_key_value(&mut field, Self::TAG, key, value);
        let text = match value {
            Value::Str(text) => Some((*text).to_owned()),
            _ => None,
        };
        Self {
            key: key.to_owned(),
            text,
            field,
        }
    }

    /// `None`: there is no value.
    pub(crate) fn of(key: &str, value: impl ToValue) -> Option<Self> {
        value.with_value(|value| Self::new(key, value))
    }
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
    pub(super) code: &'a [Attribute],
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
        resource.set("service.name", &default_name.map_or_else(unknown, str::to_owned));
        resource.set("telemetry.sdk.name", "throughline");
        resource.set("telemetry.sdk.language", "rust");
        resource.set("telemetry.sdk.version", env!("CARGO_PKG_VERSION"));
        for (key, value) in sources.environment {
            // An empty name names nothing.
            if key != "service.name" || !value.is_empty() {
                resource.set(&key, &value);
            }
        }
        if let Some(name) = sources.name {
            resource.set("service.name", &name);
        }
        for attribute in sources.code {
            resource.put(attribute.clone());
        }
        resource
    }

    /// The text of `key`.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|attribute| attribute.key == key)?;
        found.text.as_deref()
    }

    /// Never absent: there is always a name, if only `unknown_service`.
    pub(crate) fn service_name(&self) -> &str {
        self.get("service.name").unwrap_or("unknown_service")
    }

    /// Adds what nobody has said.
    pub(crate) fn add_detected(&mut self, detected: impl IntoIterator<Item = Attribute>) {
        for attribute in detected {
            if !self.attributes.iter().any(|known| known.key == attribute.key) {
                self.attributes.push(attribute);
            }
        }
    }

    /// The bytes of the OTLP message `Resource`.
    pub(crate) fn encode(&self) -> Vec<u8> {
        self.attributes
            .iter()
            .flat_map(|attribute| attribute.field.iter().copied())
            .collect()
    }

    fn set(&mut self, key: &str, value: &str) {
        self.put(Attribute::new(key, &Value::Str(value)));
    }

    fn put(&mut self, attribute: Attribute) {
        match self.attributes.iter_mut().find(|known| known.key == attribute.key) {
            Some(old) => *old = attribute,
            None => self.attributes.push(attribute),
        }
    }
}
