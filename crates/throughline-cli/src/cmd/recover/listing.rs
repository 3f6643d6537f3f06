//! What is left, as a list: one line per service and backend.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use throughline_spool::ProcessReport;
use throughline_wire::terminal::escaped;

use super::{spans, waiting, waiting_for};
use crate::table::Table;
use crate::terminal::{Style, Terminal};
use crate::time::Zone;

/// What processes of one service left for the same backends.
pub struct Group {
    service: String,
    /// Kind and endpoint of each backend that has not got all of them.
    destinations: Vec<String>,
    processes: usize,
    spans: u64,
    /// When the first of the processes began, in nanoseconds since 1970.
    since: u64,
}

/// The groups, the one with the oldest process first.
pub fn group(left: &[ProcessReport]) -> Vec<Group> {
    let mut groups: BTreeMap<_, Group> = BTreeMap::new();
    for process in left {
        let with_numbers = process.destinations.iter().enumerate();
        let left = with_numbers.filter(|(number, _)| waiting_for(process, *number) > 0);
        let destinations: Vec<_> = left.map(|(_, to)| to.name.clone()).collect();
        let key = (process.service.clone(), destinations.clone());
        let group = groups.entry(key).or_insert_with(|| Group {
            service: process.service.clone(),
            destinations,
            processes: 0,
            spans: 0,
            since: u64::MAX,
        });
        group.processes += 1;
        group.spans += waiting(process);
        group.since = group.since.min(unix_nano(process.created));
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by_key(|group| group.since);
    groups
}

impl Group {
    pub fn json_line(&self) -> String {
        format!("{}\n", self.json())
    }

    pub fn json(&self) -> Value {
        json!({
            "service": self.service,
            "destinations": self.destinations,
            "processes": self.processes,
            "spans": self.spans,
            "sinceUnixNano": self.since.to_string(),
        })
    }
}

/// The groups for people.
pub fn text(groups: &[Group], spool: &Path, zone: &Zone, terminal: Terminal) -> String {
    let place = spool.display().to_string();
    let place = escaped(&place);
    if groups.is_empty() {
        return format!("No undelivered spans of ended processes in {place}.\n");
    }
    let since = format!("since{}", zone.heading_suffix());
    let mut table = Table::new(["spans", "processes", "service", &since, "for"])
        .right_aligned(0)
        .right_aligned(1)
        .shrinking(4, 20);
    for group in groups {
        // Of a backend that speaks OTLP the endpoint says enough.
        let endpoint = |name: &str| match name.split_once(' ') {
            Some((protocol, rest)) if protocol.starts_with("otlp") => rest.split(' ').next().unwrap_or(rest).to_owned(),
            _ => name.to_owned(),
        };
        let endpoints = group.destinations.iter().map(|name| endpoint(name));
        let endpoints: Vec<_> = endpoints.collect();
        table.row(
            Style::Plain,
            [
                group.spans.to_string(),
                group.processes.to_string(),
                escaped(&group.service).into_owned(),
                zone.moment(group.since),
                escaped(&endpoints.join(", ")).into_owned(),
            ],
        );
    }
    format!(
        "{} of ended processes, waiting for delivery in {place}:\n\n{}\n\
         `throughline recover` with the variables of their programs delivers them, and so does the next start of these;\n\
         `throughline recover --to URL` sends all of them to one backend instead.\n",
        spans(groups.iter().map(|group| group.spans).sum()),
        table.draw(terminal)
    )
}

fn unix_nano(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
