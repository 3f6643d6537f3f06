//! A million spans over HTTP or gRPC to a process of its own, or to files.

use std::io;
use std::path::Path;

use super::case::Figure;
use super::new_root;
use super::receiver::Receiver;
use super::role::{Role, Setting};
use crate::measure::median;

/// How many spans are delivered.
pub const SPANS: u32 = 1_000_000;

/// How the spans are sent, and what is measured of that.
#[derive(Debug)]
pub struct Way {
    grpc: bool,
    gzip: bool,
    /// Written to files, instead of sent.
    files: bool,
    /// Processor time of the tracing process, less that of an empty one.
    pub cpu: &'static str,
    /// Peak memory of the tracing process.
    pub peak: &'static str,
    /// Spans that the backend has counted.
    pub arrived: &'static str,
    made: &'static str,
    ended: &'static str,
}

/// As they are.
pub const PLAIN: Way = Way {
    grpc: false,
    gzip: false,
    files: false,
    cpu: "1,000,000 spans over HTTP, CPU s beyond an empty program",
    peak: "1,000,000 spans over HTTP, peak resident MiB",
    arrived: "1,000,000 spans over HTTP, spans that arrive",
    made: "1,000,000 spans over HTTP, s to make them",
    ended: "1,000,000 spans over HTTP, s until the flush ends",
};

/// By a call over HTTP/2.
pub const GRPC: Way = Way {
    grpc: true,
    gzip: false,
    files: false,
    cpu: "1,000,000 spans over gRPC, CPU s beyond an empty program",
    peak: "1,000,000 spans over gRPC, peak resident MiB",
    arrived: "1,000,000 spans over gRPC, spans that arrive",
    made: "1,000,000 spans over gRPC, s to make them",
    ended: "1,000,000 spans over gRPC, s until the flush ends",
};

/// Compressed.
pub const GZIP: Way = Way {
    grpc: false,
    gzip: true,
    files: false,
    cpu: "1,000,000 spans by gzip, CPU s beyond an empty program",
    peak: "1,000,000 spans by gzip, peak resident MiB",
    arrived: "1,000,000 spans by gzip, spans that arrive",
    made: "1,000,000 spans by gzip, s to make them",
    ended: "1,000,000 spans by gzip, s until the flush ends",
};

/// As OTLP/JSON lines in a file.
pub const FILES: Way = Way {
    grpc: false,
    gzip: false,
    files: true,
    cpu: "1,000,000 spans to files, CPU s beyond an empty program",
    peak: "1,000,000 spans to files, peak resident MiB",
    arrived: "1,000,000 spans to files, spans that arrive",
    made: "1,000,000 spans to files, s to make them",
    ended: "1,000,000 spans to files, s until the flush ends",
};

/// Runs the case so many times; the figures are the medians, but of arrivals the fewest.
///
/// # Errors
///
/// If a process fails.
pub fn run(home: &Path, rounds: u32, way: &Way) -> io::Result<Vec<Figure>> {
    let (mut cpu, mut peak, mut make, mut all) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut arrived = u64::MAX;
    for round in 0..rounds {
        let receiver = match way {
            Way { files: true, .. } => None,
            Way { grpc: true, .. } => Some(Receiver::start_grpc()?),
            _ => Some(Receiver::start()?),
        };
        let root = new_root(home, &format!("delivery-{round}"))?;
        let files = way.files.then(|| root.join("traces"));
        let setting = Setting {
            root: Some(root.clone()),
            endpoint: receiver.as_ref().map(Receiver::endpoint),
            files: files.clone(),
            grpc: way.grpc,
            gzip: way.gzip,
            spans: SPANS,
            ..Setting::default()
        };
        let empty = Role::Empty.ask(&Setting::default())?;
        let answer = Role::Deliver.ask(&setting)?;
        cpu.push(answer["cpu_seconds"] - empty["cpu_seconds"]);
        peak.push(answer["peak_mib"]);
        make.push(answer["seconds_to_make"]);
        all.push(answer["seconds"]);
        arrived = arrived.min(match (receiver, files) {
            (Some(receiver), _) => receiver.stop()?,
            (None, Some(files)) => written(&files)?,
            (None, None) => 0,
        });
        std::fs::remove_dir_all(root)?;
    }
    let figure = |what, value: Option<f64>| Figure {
        what,
        value: value.unwrap_or_default(),
    };
    Ok(vec![
        figure(way.cpu, median(cpu)),
        figure(way.peak, median(peak)),
        figure(way.arrived, Some(arrived as f64)),
        figure(way.made, median(make)),
        figure(way.ended, median(all)),
    ])
}

/// Spans in files of OTLP/JSON: each says when it began.
fn written(directory: &Path) -> io::Result<u64> {
    let mut spans = 0;
    for entry in std::fs::read_dir(directory)? {
        let text = std::fs::read_to_string(entry?.path())?;
        spans += text.matches("\"startTimeUnixNano\":").count() as u64;
    }
    Ok(spans)
}
