//! Makes the recorder and starts delivery, once in a process.

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use throughline_spool::system::NO_STATE_DIRECTORY;
use throughline_spool::{Limits, Manifest, Recorder, Root, Settings};

use crate::config::{Config, Resource};
use crate::deliveries::{self, Plan};
use crate::diagnostics::report_once;
use crate::spool_dir::default_spool_dir;
use crate::{clock, detectors, housekeeping};

/// Where spans are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Storage {
    /// In memory only, as it is meant to be.
    Memory,
    /// In the spool's directory; in memory where there is none.
    Spool,
}

/// Makes the recorder and starts delivery, unless that was done before.
pub(crate) fn start(
    config: Config,
    storage: Storage,
    limits: Limits,
    sync_every: Option<Duration>,
    delivers_all: bool,
) {
    let root = match storage {
        Storage::Memory => None,
        Storage::Spool => config
            .spool_dir
            .or_else(default_spool_dir)
            .map_or_else(no_root, |path| open_root(&path)),
    };
    let key = root.as_ref().filter(|_| !config.destinations.is_empty()).map(Root::key);
    let known_key = key.as_ref().and_then(|key| key.as_ref().ok());
    let resource = &config.resource;
    let manifest = Manifest {
        service: resource.service_name().to_owned(),
        namespace: resource.get("service.namespace").unwrap_or_default().to_owned(),
        destinations: config.destinations.iter().map(|to| to.known_as(known_key)).collect(),
        ..Manifest::default()
    };
    let settings = Settings {
        root,
        manifest,
        resource: encoded_resource(&config.resource),
        resource_of_child: || RESOURCE.get().map(encoded_resource),
        schema_url: config.schema_url.into(),
        limits,
        tier: None,
        sync_every,
        tick: housekeeping::tick,
        resting: clock::rest,
        is_busy: housekeeping::is_busy,
        woken: deliveries::wake,
        forked: deliveries::start_in_child,
    };
    // A forked child says the same of itself, but for what is found out.
    let _first = RESOURCE.set(config.resource);
    let Ok(recorder) = Recorder::install(settings) else {
        return report_once(format_args!(
            "tracing was switched on before in this process: the first call decides"
        ));
    };
    // One cause, one line: where nothing can be written there is no key either.
    match (recorder.refusal(), &key) {
        (Some(refusal), _) => report_once(format_args!(
            "the spool directory cannot be written: {refusal}; {IN_MEMORY}"
        )),
        (None, Some(Err(error))) => report_once(format_args!(
            "the spool's key cannot be read: {error}; no other process delivers this one's spans"
        )),
        (None, _) => {}
    }
    if let Some(error) = recorder.maintenance_error() {
        report_once(format_args!(
            "the system gives no thread for maintenance ({error}); spans cost more, and what ended processes left stays"
        ));
    }
    deliveries::start(
        recorder,
        Plan {
            destinations: config.destinations,
            batch: config.batch,
            is_for_all: delivers_all,
        },
    );
}

/// What was said of this process and its ancestors.
static RESOURCE: OnceLock<Resource> = OnceLock::new();

fn encoded_resource(said: &Resource) -> Arc<[u8]> {
    let mut resource = said.clone();
    resource.add_detected(detectors::detect());
    resource.encode().into()
}

pub(crate) const IN_MEMORY: &str = "spans are kept in memory, and die with the process";

fn no_root() -> Option<Root> {
    report_once(format_args!("{NO_STATE_DIRECTORY}: {IN_MEMORY}"));
    None
}

fn open_root(path: &Path) -> Option<Root> {
    Root::open(path)
        .inspect_err(|error| {
            report_once(format_args!(
                "the spool directory {} cannot be used: {error}; {IN_MEMORY}",
                path.display()
            ));
        })
        .ok()
}
