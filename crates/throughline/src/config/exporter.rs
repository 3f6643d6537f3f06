//! Where spans are sent: destinations made in code, and `OTEL_TRACES_EXPORTER`.

use super::Settings;
use super::destination::Destination;
use super::files;
use super::otlp_settings::{self, Named};
use super::variables::Variables;
use crate::destination::Kind;

/// Where the settings send spans.
pub(super) enum Choice {
    /// Neither an endpoint nor an exporter was chosen: local history.
    NothingChosen,
    /// Something was chosen that is not sent: `none`, or what is not built yet. Local history too.
    StayLocal,
    /// At least one.
    Send(Vec<Destination>),
}

/// The cursors of a segment are for so many.
const MOST: usize = 8;

/// Reads everything that has to do with sending.
pub(super) fn choose(settings: &Settings, variables: &mut Variables<'_>) -> Choice {
    let mut all: Vec<Destination> = Vec::new();
    let first = match settings.endpoint.is_some() || settings.destinations.is_empty() {
        true => choose_one(settings, variables),
        false => Choice::NothingChosen,
    };
    let mut is_chosen = !matches!(first, Choice::NothingChosen);
    if let Choice::Send(first) = first {
        all.extend(first);
    }
    for destination in &settings.destinations {
        is_chosen = true;
        let Some(destination) = from_code(destination, variables) else {
            continue;
        };
        if all.iter().any(|other| other.is_same(&destination)) {
            let name = destination.name();
            variables.say("destination", &name, "is named twice", "it gets each span once");
        } else {
            all.push(destination);
        }
    }
    for left_out in all.iter().skip(MOST) {
        variables.say(
            "destination",
            &left_out.name(),
            "is the ninth or a later one, and there are 8 at most",
            "it gets nothing",
        );
    }
    all.truncate(MOST);
    match (all.is_empty(), is_chosen) {
        (false, _) => Choice::Send(all),
        (true, true) => Choice::StayLocal,
        (true, false) => Choice::NothingChosen,
    }
}

/// One that was made in code, with nothing of the environment: its headers are for another backend.
fn from_code(destination: &crate::Destination, variables: &mut Variables<'_>) -> Option<Destination> {
    match &destination.kind {
        Kind::Files(files) => files::from_code(files, variables).map(Destination::Files),
        Kind::Otlp(otlp) => otlp_settings::from_code(otlp, variables).map(|otlp| Destination::Otlp(Box::new(otlp))),
    }
}

/// The one that the environment and the builder's own methods name.
fn choose_one(settings: &Settings, variables: &mut Variables<'_>) -> Choice {
    let exporter = match settings.endpoint {
        Some(_) => Some(Exporter::Otlp),
        None => exporter(variables),
    };
    let is_asked_for = exporter == Some(Exporter::Otlp);
    match otlp_settings::from_environment(settings, is_asked_for, variables) {
        Named::Nothing => Choice::NothingChosen,
        Named::Backend(otlp) if exporter != Some(Exporter::Local) => Choice::Send(vec![Destination::Otlp(otlp)]),
        Named::Backend(_) | Named::Unusable => Choice::StayLocal,
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Exporter {
    Local,
    Otlp,
}

/// `OTEL_TRACES_EXPORTER`, one name or a list. `None` where nothing usable is said.
fn exporter(variables: &mut Variables<'_>) -> Option<Exporter> {
    const NAME: &str = "OTEL_TRACES_EXPORTER";
    let text = variables.text(NAME)?;
    let mut chosen = None;
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        match name.to_ascii_lowercase().as_str() {
            "otlp" => chosen = Some(Exporter::Otlp),
            "none" => chosen = chosen.or(Some(Exporter::Local)),
            "console" | "zipkin" | "logging" | "otlp/stdout" => {
                chosen = chosen.or(Some(Exporter::Local));
                variables.say(NAME, name, "is not built yet", "spans stay in the local spool");
            }
            _ => variables.say(NAME, name, "is not an exporter", "it is ignored"),
        }
    }
    chosen
}
