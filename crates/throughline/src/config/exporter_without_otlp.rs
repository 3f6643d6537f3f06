//! In a build without the feature `otlp` nothing is sent anywhere; whoever asks for that learns it.

use super::Settings;
use super::masked::masked;
use super::variables::Variables;
use crate::destination::Kind;

/// Where the settings send spans.
pub(super) enum Choice {
    /// Neither an endpoint nor an exporter was chosen: local history.
    NothingChosen,
    /// Something was chosen that cannot be done. Local history too.
    StayLocal,
    #[expect(dead_code, reason = "there are none")]
    Send(Vec<Destination>),
}

/// There is none.
#[derive(Clone, Debug)]
pub(crate) enum Destination {}

impl Destination {
    pub(crate) fn known_as(&self, _key: Option<&[u8; 32]>) -> throughline_spool::Destination {
        match *self {}
    }
}

/// Looks whether spans are to be sent.
pub(super) fn choose(settings: &Settings, variables: &mut Variables<'_>) -> Choice {
    let endpoint = settings.endpoint.iter().map(|url| ("endpoint", masked(url)));
    let in_code = endpoint.chain(settings.destinations.iter().map(|to| match &to.kind {
        Kind::Console(_) => ("destination", "console".to_owned()),
        Kind::Exporter(exporter) => ("exporter", exporter.name.clone()),
        Kind::Files(files) => ("files", files.path.display().to_string()),
        Kind::Otlp(otlp) => ("endpoint", masked(&otlp.endpoint)),
    }));
    let mut wanted: Vec<(String, String)> = in_code.map(|(what, to)| (what.to_owned(), to)).collect();
    for name in ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"] {
        wanted.extend(variables.text(name).map(|url| (name.to_owned(), masked(&url))));
    }
    let exporter = variables
        .text("OTEL_TRACES_EXPORTER")
        .filter(|names| names.contains("otlp") || names.contains("console"));
    wanted.extend(exporter.map(|name| ("OTEL_TRACES_EXPORTER".to_owned(), name)));
    for (setting, value) in &wanted {
        variables.say(
            setting,
            value,
            "needs the feature `otlp` of the crate throughline",
            "spans stay in the local spool",
        );
    }
    match wanted.is_empty() {
        true => Choice::NothingChosen,
        false => Choice::StayLocal,
    }
}
