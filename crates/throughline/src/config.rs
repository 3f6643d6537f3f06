//! The configuration: settings made in code and the standard environment variables, read once by
//! [`read`] into a [`Config`] that cannot be wrong.
//!
//! Code beats environment. A value that cannot be used is replaced as the specification says, and
//! each such case is a [`WrongSetting`]; nothing here fails, waits, or touches the real environment.

#[cfg(feature = "otlp")]
mod certificates;
#[cfg(feature = "otlp")]
mod console;
#[cfg(feature = "otlp")]
mod custom_exporter;
#[cfg(feature = "otlp")]
mod destination;
#[cfg(feature = "otlp")]
mod endpoint;
#[cfg(all(test, feature = "otlp"))]
mod every_variable_tests;
#[cfg(feature = "otlp")]
mod exporter;
#[cfg(not(feature = "otlp"))]
#[path = "config/exporter_without_otlp.rs"]
mod exporter;
#[cfg(feature = "otlp")]
mod files;
#[cfg(feature = "otlp")]
mod headers;
#[cfg(feature = "otlp")]
mod keyed_hash;
mod masked;
#[cfg(feature = "otlp")]
mod otlp;
#[cfg(feature = "otlp")]
mod otlp_settings;
mod pairs;
#[cfg(feature = "otlp")]
mod proxy;
#[cfg(all(test, feature = "otlp"))]
mod reference;
#[cfg(all(test, feature = "otlp"))]
mod reference_tests;
mod resource;
mod variables;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "otlp")]
pub(crate) use certificates::{Certificates, Identity, UnusableFile};
#[cfg(feature = "otlp")]
pub(crate) use console::Console;
#[cfg(feature = "otlp")]
pub(crate) use destination::Destination;
#[cfg(feature = "otlp")]
pub(crate) use endpoint::Endpoint;
use exporter::Choice;
#[cfg(not(feature = "otlp"))]
pub(crate) use exporter::Destination;
#[cfg(feature = "otlp")]
pub(crate) use exporter::one;
#[cfg(feature = "otlp")]
pub(crate) use files::Files;
pub(crate) use masked::masked;
#[cfg(feature = "otlp")]
pub(crate) use otlp::Otlp;
#[cfg(feature = "otlp")]
pub(crate) use proxy::Proxy;
pub(crate) use resource::{Attribute, Resource};
pub(crate) use variables::WrongSetting;
use variables::{Variables, boolean, count_from_0, milliseconds, positive};

use crate::propagation::{Propagator, Propagators};
use crate::sampler::Sampler;
use crate::span_limits::SpanLimits;

/// What a program chose in code. `None` and empty leave the choice to the environment.
#[derive(Clone, Default)]
pub(crate) struct Settings {
    /// The argument of `init`: weaker than `OTEL_SERVICE_NAME`.
    pub(crate) service_name: Option<String>,
    /// Behind the service's name, where one is given: `<name>-<instance>`.
    pub(crate) instance: Option<String>,
    /// Of variables that beat those without one; the last is the strongest.
    pub(crate) variable_prefixes: Vec<String>,
    /// A base URL, as `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub(crate) endpoint: Option<String>,
    /// Others beside it, or instead of what the environment says.
    pub(crate) destinations: Vec<crate::destination::Destination>,
    /// Added to those of the environment; the same name wins over it.
    pub(crate) headers: Vec<(String, String)>,
    /// For one request; zero is no limit.
    pub(crate) timeout: Option<Duration>,
    pub(crate) schedule_delay: Option<Duration>,
    pub(crate) batch_spans: Option<usize>,
    pub(crate) propagators: Option<Propagators>,
    pub(crate) sampler: Option<Sampler>,
    /// Those that are not said here come from the environment.
    pub(crate) limits: SpanLimits,
    pub(crate) resource: Vec<Attribute>,
    pub(crate) schema_url: String,
    pub(crate) spool_dir: Option<PathBuf>,
    /// `true` switches tracing on, `false` off, whatever a variable says.
    pub(crate) on: Option<bool>,
    /// A variable of the application's own that switches tracing off.
    pub(crate) switch_variable: Option<String>,
    /// Off unless an endpoint is set, in code or environment.
    pub(crate) only_with_endpoint: bool,
}

/// What holds for this process.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// `false`: context is still propagated; there is no file, thread, socket or span.
    pub(crate) enabled: bool,
    /// None: spans stay in the local history.
    pub(crate) destinations: Vec<Destination>,
    pub(crate) batch: BatchSettings,
    pub(crate) sampler: Sampler,
    pub(crate) limits: SpanLimits,
    pub(crate) propagators: Propagators,
    pub(crate) resource: Resource,
    /// Of the resource's attributes; empty: none.
    pub(crate) schema_url: String,
    /// `None`: the spool crate's default place.
    pub(crate) spool_dir: Option<PathBuf>,
    /// Whether nothing is to be said on stderr.
    pub(crate) is_silent: bool,
}

/// How spans are gathered into requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchSettings {
    /// A span waits at most this long for others. `OTEL_BSP_SCHEDULE_DELAY`, default 5 s.
    pub(crate) schedule_delay: Duration,
    /// Spans in one request. `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`, default 512, at least 1.
    pub(crate) spans: usize,
    /// Bytes of one request: 2 MiB, since stock receivers refuse 4 MiB.
    pub(crate) bytes: usize,
}

/// The configuration, and what there is to say about settings that could not be used.
///
/// `environment` looks a variable up; `executable` is the program's file name.
pub(crate) fn read(
    settings: &Settings,
    environment: &dyn Fn(&str) -> Option<OsString>,
    executable: Option<&str>,
) -> (Config, Vec<WrongSetting>) {
    let mut variables = Variables::new(environment, &settings.variable_prefixes);
    // A switched-off library has nothing to say about its other settings, only about its switch
    // and what still works.
    let switched_on = switched_on(settings, &mut variables);
    let propagators = settings
        .propagators
        .clone()
        .unwrap_or_else(|| propagators(&mut variables));
    let is_silent = variables
        .first(&["OTEL_LOG_LEVEL"], "using info", log_level)
        .unwrap_or(false);
    let mut rest = Variables::new(environment, &settings.variable_prefixes);
    let destination = exporter::choose(settings, &mut rest);
    let enabled = switched_on && !(settings.only_with_endpoint && matches!(destination, Choice::NothingChosen));
    let config = Config {
        enabled,
        destinations: match destination {
            Choice::Send(destinations) if enabled => destinations,
            _ => Vec::new(),
        },
        batch: batch(settings, &mut rest),
        sampler: sampler(settings, &mut rest),
        limits: limits(settings, &mut rest),
        propagators,
        resource: resource(settings, &mut rest, executable),
        schema_url: settings.schema_url.clone(),
        spool_dir: settings
            .spool_dir
            .clone()
            .or_else(|| rest.raw("THROUGHLINE_SPOOL_DIR").map(PathBuf::from)),
        is_silent,
    };
    let mut wrong_settings = variables.wrong_settings;
    if switched_on {
        wrong_settings.append(&mut rest.wrong_settings);
    }
    (config, wrong_settings)
}

impl Default for BatchSettings {
    fn default() -> Self {
        Self {
            schedule_delay: Duration::from_secs(5),
            spans: 512,
            bytes: 2 << 20,
        }
    }
}

/// "Any of them off" for the variables; code beats them all.
fn switched_on(settings: &Settings, variables: &mut Variables<'_>) -> bool {
    if let Some(on) = settings.on {
        return on;
    }
    let own_switch_off = settings
        .switch_variable
        .as_ref()
        .is_some_and(|name| variables.first(&[name], "it is ignored", off_switch).unwrap_or(false));
    let disabled = variables
        .first(&["OTEL_SDK_DISABLED"], "tracing stays on", boolean)
        .unwrap_or(false);
    !own_switch_off && !disabled
}

/// An application's own variable is a word of its users, so more words are understood than the
/// specification allows its own variables. Returns whether tracing is off.
fn off_switch(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "0" | "false" | "no" | "none" | "off" => Ok(true),
        "1" | "true" | "yes" | "on" => Ok(false),
        _ => Err("is neither on nor off".to_owned()),
    }
}

/// Whether nothing is to be said. All that is ever said are warnings and errors, so that the other levels differ in nothing.
fn log_level(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "none" | "off" => Ok(true),
        "error" | "warn" | "warning" | "info" | "debug" | "trace" | "verbose" | "all" => Ok(false),
        _ => Err("is no level".to_owned()),
    }
}

fn batch(settings: &Settings, variables: &mut Variables<'_>) -> BatchSettings {
    let default = BatchSettings::default();
    let delay = settings
        .schedule_delay
        .or_else(|| variables.first(&["OTEL_BSP_SCHEDULE_DELAY"], "using 5000", milliseconds));
    // Validated and no more: the spool is the queue, and has limits of its own.
    variables.first(&["OTEL_BSP_MAX_QUEUE_SIZE"], "the spool's quota holds anyway", positive);
    let spans = settings.batch_spans.or_else(|| {
        let spans = variables.first(&["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"], "using 512", positive);
        spans.map(|n| usize::try_from(n).unwrap_or(usize::MAX))
    });
    BatchSettings {
        schedule_delay: delay.unwrap_or(default.schedule_delay),
        spans: spans.unwrap_or(default.spans),
        ..default
    }
}

/// "Span limit if set, else the general one if set, else the span's default": common, "Attribute Limits".
fn limits(settings: &Settings, variables: &mut Variables<'_>) -> SpanLimits {
    let mut limits = SpanLimits::default();
    let mut count = |names: &[&str], set: fn(SpanLimits, u32) -> SpanLimits| {
        if let Some(most) = variables.first(names, "using 128", count_from_0) {
            limits = set(limits, u32::try_from(most).unwrap_or(u32::MAX));
        }
    };
    const GENERAL: &str = "OTEL_ATTRIBUTE_COUNT_LIMIT";
    count(&["OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", GENERAL], SpanLimits::attributes);
    count(&["OTEL_SPAN_EVENT_COUNT_LIMIT"], SpanLimits::events);
    count(&["OTEL_SPAN_LINK_COUNT_LIMIT"], SpanLimits::links);
    count(
        &["OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", GENERAL],
        SpanLimits::event_attributes,
    );
    count(
        &["OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", GENERAL],
        SpanLimits::link_attributes,
    );
    let lengths = [
        "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    ];
    if let Some(most) = variables.first(&lengths, "values may have any length", count_from_0) {
        limits = limits.value_length(usize::try_from(most).unwrap_or(usize::MAX));
    }
    settings.limits.or(limits)
}

fn sampler(settings: &Settings, variables: &mut Variables<'_>) -> Sampler {
    let default = "using parentbased_always_on";
    if let Some(sampler) = &settings.sampler {
        return sampler.clone();
    }
    let name = variables.first(&["OTEL_TRACES_SAMPLER"], default, |text| {
        match text.to_ascii_lowercase().as_str() {
            name @ ("always_on"
            | "always_off"
            | "traceidratio"
            | "parentbased_always_on"
            | "parentbased_always_off"
            | "parentbased_traceidratio") => Ok(name.to_owned()),
            "jaeger_remote" | "parentbased_jaeger_remote" | "xray" => Err("is not supported".to_owned()),
            _ => Err("is not a sampler".to_owned()),
        }
    });
    let Some(name) = name else { return Sampler::default() };
    let (parent_based, root) = match name.strip_prefix("parentbased_") {
        Some(root) => (true, root),
        None => (false, name.as_str()),
    };
    let sampler = match root {
        "always_off" => Sampler::always_off(),
        // "Invalid or unrecognized input MUST be logged and MUST be otherwise ignored, i.e. the
        // implementation MUST behave as if OTEL_TRACES_SAMPLER_ARG is not set": 1.0.
        "traceidratio" => variables
            .first(&["OTEL_TRACES_SAMPLER_ARG"], "using 1.0", |text| {
                let problem = || "is not a number from 0 to 1".to_owned();
                let share = text.parse().map_err(|_| problem())?;
                Sampler::ratio(share).map_err(|_| problem())
            })
            .unwrap_or_else(|| Sampler::ratio(1.0).expect("1 is in 0..=1")),
        _ => Sampler::always_on(),
    };
    if parent_based { sampler.parent_based() } else { sampler }
}

/// `OTEL_PROPAGATORS`. "Values MUST be deduplicated in order to register a `Propagator` only once."
fn propagators(variables: &mut Variables<'_>) -> Propagators {
    const NAME: &str = "OTEL_PROPAGATORS";
    let Some(text) = variables.text(NAME) else {
        return Propagators::default();
    };
    let mut chosen = Vec::new();
    let mut is_usable = false;
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let lower = name.to_ascii_lowercase();
        let propagator = Propagator::named(&lower);
        if propagator.is_some() || lower == "none" {
            is_usable = true;
            chosen.extend(propagator);
        } else {
            variables.say(NAME, name, "is not a propagator", "it is ignored");
        }
    }
    // Where nothing that was named can be used the variable counts as not set.
    if is_usable {
        chosen.into_iter().collect()
    } else {
        Propagators::default()
    }
}

fn resource(settings: &Settings, variables: &mut Variables<'_>, executable: Option<&str>) -> Resource {
    let environment = variables.first(&["OTEL_RESOURCE_ATTRIBUTES"], "all of it is ignored", pairs::attributes);
    let default_name = match (&settings.service_name, &settings.instance) {
        (Some(name), Some(instance)) if !name.is_empty() && !instance.is_empty() => Some(format!("{name}-{instance}")),
        (name, _) => name.clone(),
    };
    Resource::merge(resource::Sources {
        default_name: default_name.as_deref(),
        name: variables.text("OTEL_SERVICE_NAME"),
        environment: environment.unwrap_or_default(),
        code: &settings.resource,
        executable,
    })
}

#[cfg(test)]
mod tests;
