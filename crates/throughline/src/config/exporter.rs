//! Where spans are sent: destinations made in code, and `OTEL_TRACES_EXPORTER`.

use std::ffi::OsString;

use super::Settings;
use super::console::Console;
use super::destination::Destination;
use super::files;
use super::otlp_settings;
use super::variables::{Variables, WrongSetting};
use crate::destination::{ConsoleFormat, ConsoleStream, Kind, OtlpDestination};

/// Where the settings send spans.
pub(super) enum Choice {
    /// Neither an endpoint nor an exporter was chosen: local history.
    NothingChosen,
    /// Something was chosen that is not sent: `none`, or what is not built yet. Local history too.
    StayLocal,
    /// At least one.
    Send(Vec<Destination>),
}

/// What becomes of spans where there is no destination.
pub(super) const STAY_LOCAL: &str = "spans stay in the local spool";

/// The cursors of a segment are for so many.
const MOST: usize = 8;

/// Reads everything that has to do with sending.
pub(super) fn choose(settings: &Settings, variables: &mut Variables<'_>) -> Choice {
    let mut all: Vec<Destination> = Vec::new();
    let first = match settings.endpoint.is_some() || settings.destinations.is_empty() {
        true => choose_by_variables(settings, variables),
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
    if !all.is_empty() {
        // Which is true only where there is no other destination.
        let stays = |wrong: &&mut WrongSetting| wrong.instead == STAY_LOCAL;
        for wrong in variables.wrong_settings.iter_mut().filter(stays) {
            wrong.instead = "nothing is sent there".to_owned();
        }
    }
    match (all.is_empty(), is_chosen) {
        (false, _) => Choice::Send(all),
        (true, true) => Choice::StayLocal,
        (true, false) => Choice::NothingChosen,
    }
}

/// One that was made in code, with nothing of the environment: its headers are for another backend.
fn from_code(destination: &crate::Destination, variables: &mut Variables<'_>) -> Option<Destination> {
    match &destination.kind {
        Kind::Console(console) => Some(Destination::Console(console.into())),
        Kind::Exporter(exporter) => Some(Destination::Exporter(exporter.into())),
        Kind::Files(files) => files::from_code(files, variables).map(Destination::Files),
        Kind::Otlp(otlp) => otlp_settings::from_code(otlp, variables).map(|otlp| Destination::Otlp(Box::new(otlp))),
    }
}

/// A single one, made in code; `environment` may name a proxy. The error says what is wrong with it.
pub(crate) fn one(
    otlp: &OtlpDestination,
    environment: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Destination, String> {
    let mut variables = Variables::new(environment, &[]);
    let found = otlp_settings::from_code(otlp, &mut variables);
    let wrong = |said: Vec<WrongSetting>| said.first().map(WrongSetting::to_string).unwrap_or_default();
    found
        .map(|otlp| Destination::Otlp(Box::new(otlp)))
        .ok_or_else(|| wrong(variables.wrong_settings))
}

/// Those that the environment and the builder's own methods name.
fn choose_by_variables(settings: &Settings, variables: &mut Variables<'_>) -> Choice {
    let exporters = match settings.endpoint {
        Some(_) => Some(vec![Exporter::Otlp]),
        None => exporters(variables),
    };
    let Some(exporters) = exporters else {
        return match otlp_settings::from_environment(settings, false, variables) {
            None => Choice::NothingChosen,
            Some(otlp) => Choice::Send(vec![Destination::Otlp(otlp)]),
        };
    };
    let mut all = Vec::new();
    let mut is_chosen = exporters.is_empty();
    for exporter in exporters {
        is_chosen |= exporter != Exporter::Otlp;
        match exporter {
            Exporter::Console(console) => all.push(Destination::Console(console)),
            Exporter::Files => all.extend(files::from_environment(EXPORTER, variables).map(Destination::Files)),
            Exporter::Otlp => {
                all.extend(otlp_settings::from_environment(settings, true, variables).map(Destination::Otlp));
            }
        }
    }
    match (all.is_empty(), is_chosen) {
        (false, _) => Choice::Send(all),
        (true, true) => Choice::StayLocal,
        (true, false) => Choice::NothingChosen,
    }
}

/// What an entry of the variable stands for.
#[derive(Clone, Copy, PartialEq)]
enum Exporter {
    Console(Console),
    Files,
    Otlp,
}

const EXPORTER: &str = "OTEL_TRACES_EXPORTER";

/// `OTEL_TRACES_EXPORTER`, one name or a list. `None` where nothing usable is said; empty: none is wanted.
fn exporters(variables: &mut Variables<'_>) -> Option<Vec<Exporter>> {
    let text = variables.text(EXPORTER)?;
    let mut chosen = None;
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let console = |stream, format| Some(Exporter::Console(Console { stream, format }));
        let exporter = match name.to_ascii_lowercase().as_str() {
            "otlp" => Some(Exporter::Otlp),
            "console" => console(ConsoleStream::Stderr, ConsoleFormat::Text),
            // The specification has no variable for files; in its configuration files they have the longer name.
            "otlp_file" | "otlp_file/development" => Some(Exporter::Files),
            "otlp/stdout" => console(ConsoleStream::Stdout, ConsoleFormat::OtlpJson),
            "none" => None,
            "zipkin" | "logging" => {
                variables.say(EXPORTER, name, "is not supported", STAY_LOCAL);
                None
            }
            _ => {
                variables.say(EXPORTER, name, "is not an exporter", "it is ignored");
                continue;
            }
        };
        let chosen: &mut Vec<_> = chosen.get_or_insert_default();
        chosen.extend(exporter.filter(|exporter| !chosen.contains(exporter)));
    }
    chosen
}
