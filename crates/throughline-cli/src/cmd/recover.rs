//! `throughline recover`: what dead processes left undelivered.

pub mod listing;
mod progress;
mod rejected;

use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use throughline::Tracing;
use throughline_spool::{Destination, Life, ProcessReport};
use throughline_wire::terminal::escaped;

use self::listing::Group;
use self::progress::Progress;
use crate::exit::{FAILURE, Failure, USAGE, print};
use crate::store::{self, Watcher};
use crate::terminal::Terminal;
use crate::text::count;
use crate::time::ZoneOption;

/// How often it is looked how much is left, at most and at least.
const LOOK: Duration = Duration::from_millis(100);
const LOOK_AT_LEAST: Duration = Duration::from_secs(5);
/// A backend that does not work and takes nothing for so long is given up.
const PATIENCE: Duration = Duration::from_secs(3);
/// One with which nothing is wrong is waited for a little longer than the 30 s in which dead processes are looked for
/// again: another process may have had their spans in hand the first time.
const PATIENCE_WITHOUT_TROUBLE: Duration = Duration::from_secs(35);
/// How long the last report may take.
const REPORT: Duration = Duration::from_millis(200);

/// Deliver what processes that have ended could not, or list it.
///
/// A process whose backend cannot be reached leaves its spans in the spool. The next process that starts with the same
/// endpoint and headers delivers them; this command is one that does nothing else. Without an endpoint it lists what is
/// left and where it was to go.
///
/// With `--to` all of them go there, whatever backend they were meant for. Without it, by the standard variables, only those
/// that were to go to the same endpoint with the same headers; others stay. Spans of processes that had no backend are local
/// history and wait for nothing. It ends when all is delivered, or when a backend has failed and nothing was taken for 3
/// seconds; the exit code is 1 if something is left then. Of several destinations each is reported.
#[derive(clap::Args)]
#[command(after_help = "\
Fields of --json: service, destinations, processes, spans, sinceUnixNano.

Examples:
  throughline recover --list
  throughline recover --to http://localhost:4318
  throughline recover --to https://otel.example --header 'authorization=Bearer x'
  throughline recover --rejected --to http://localhost:4318")]
pub struct Recover {
    /// The endpoint, a base URL [default: $OTEL_EXPORTER_OTLP_ENDPOINT or its kin]
    #[arg(long, value_name = "URL", value_parser = parse_endpoint)]
    to: Option<String>,

    /// A header of each request; may be given again for others
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_header)]
    header: Vec<(String, String)>,

    /// Only list what is left, and how many spans were lost
    #[arg(long, conflicts_with_all = ["to", "header"])]
    list: bool,

    /// What a backend refused for good: lists it or, with --to, sends it again
    #[arg(long, conflicts_with = "json")]
    rejected: bool,

    /// The list as one JSON object per line; times in nanoseconds since 1970
    #[arg(long, conflicts_with_all = ["to", "header"])]
    json: bool,

    #[command(flatten)]
    zone: ZoneOption,
}

/// Here, and not as delivery does it: that would use the endpoint of the environment instead.
fn parse_endpoint(text: &str) -> Result<String, String> {
    let by_grpc = |name| env::var(name).is_ok_and(|protocol| protocol.trim().eq_ignore_ascii_case("grpc"));
    let may_be_bare = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"]
        .into_iter()
        .any(by_grpc);
    let begins = |scheme: &&str| {
        text.get(..scheme.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
    };
    let scheme = ["http://", "https://", "unix:"].into_iter().find(begins);
    match scheme {
        Some(scheme) if text.len() > scheme.len() => Ok(text.to_owned()),
        None if may_be_bare && !text.is_empty() => Ok(text.to_owned()),
        _ => Err("it is not a URL such as http://localhost:4318".to_owned()),
    }
}

pub fn parse_header(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = pair.ok_or("a header has to be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Recover {
    pub fn execute(self, spool: Option<PathBuf>) -> Result<u8, Failure> {
        let spool = store::directory(spool)?;
        if self.rejected {
            return match &self.to {
                Some(to) => rejected::send(&spool, to, &self.header),
                None => rejected::list(&spool, &self.zone.zone(), Terminal::of_stdout()),
            };
        }
        let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        let by_endpoint = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]
            .into_iter()
            .any(is_set);
        let exporters = env::var("OTEL_TRACES_EXPORTER").unwrap_or_default();
        let by_variable = match exporters.trim() {
            "" => by_endpoint,
            chosen => !chosen.eq_ignore_ascii_case("none"),
        };
        if !self.header.is_empty() && self.to.is_none() && !by_variable {
            let message = "--header is given without an endpoint: add --to URL, or set OTEL_EXPORTER_OTLP_ENDPOINT";
            return Err(Failure::with_code(USAGE, message));
        }
        if self.list || self.json || self.to.is_none() && !by_variable {
            let contents = store::contents(&spool);
            let zone = self.zone.zone();
            let lost = store::lost(&spool, &contents, &zone);
            let groups = listing::group(&left(contents.processes));
            return match self.json {
                true => print(&groups.iter().map(Group::json_line).collect::<String>()),
                false => print(&(listing::text(&groups, &spool, &zone, Terminal::of_stdout()) + &lost)),
            };
        }
        self.deliver(&spool)
    }

    /// Tracing delivers for dead processes as soon as it is on; here it has nothing else to do.
    fn deliver(&self, spool: &Path) -> Result<u8, Failure> {
        let mut builder = throughline::builder("throughline-recover").spool_dir(spool);
        if let Some(to) = &self.to {
            builder = builder.endpoint(to).deliver_all();
        }
        for (name, value) in &self.header {
            builder = builder.header(name, value);
        }
        // Looked at first: delivery begins at once.
        let mut watcher = Watcher::of(spool);
        let left = left(watcher.processes());
        let tracing = builder.init();
        let ours = own_destinations(&mut watcher);
        if ours.is_empty() {
            return Err(Failure::new(
                "nothing can be delivered: tracing is off (OTEL_SDK_DISABLED), or the spool cannot be used (--spool DIR names another)",
            ));
        }
        let takes_all = self.to.is_some();
        let rest_of = |process: &ProcessReport| ours.iter().map(|to| rest(process, to, takes_all)).collect::<Vec<_>>();
        let (for_us, for_others): (Vec<_>, Vec<_>) = left
            .into_iter()
            .partition(|process| rest_of(process).iter().any(|rest| *rest > 0));
        let before = sums(for_us.iter().map(rest_of), ours.len());
        let others = total(&for_others);
        let names: BTreeSet<_> = for_us.into_iter().map(|process| process.name).collect();

        let mut look = || {
            let processes = watcher.processes();
            let named = processes.iter().filter(|process| names.contains(&process.name));
            sums(named.map(rest_of), ours.len())
        };
        let rest = wait(&mut look, before.clone(), &tracing);
        let report = tracing.shutdown(REPORT).wait();
        let mut out = String::new();
        for (at, to) in ours.iter().enumerate() {
            out.push_str(&format!(
                "Delivered {} to {}.\n",
                spans(before[at].saturating_sub(rest[at])),
                escaped(&to.name)
            ));
            if rest[at] > 0 {
                let trouble = report.destinations().nth(at).and_then(|report| report.trouble());
                let trouble = trouble.unwrap_or("not all could be read in time; run this command again");
                out.push_str(&format!("Not delivered: {}: {}.\n", spans(rest[at]), escaped(trouble)));
            }
        }
        if others > 0 {
            out.push_str(&format!(
                "For other destinations: {}; `throughline recover --list` shows which.\n",
                spans(others)
            ));
        }
        print(&out)?;
        Ok(if rest.iter().any(|rest| *rest > 0) { FAILURE } else { 0 })
    }
}

/// Waits until nothing is left for any destination, or for too long nothing has become less. Returns what is left for each.
fn wait(look: &mut dyn FnMut() -> Vec<u64>, before: Vec<u64>, tracing: &Tracing) -> Vec<u64> {
    let began = Instant::now();
    let sum = |rest: &[u64]| rest.iter().sum::<u64>();
    let progress = Progress::of(sum(&before));
    let mut rest = before;
    let mut changed = began;
    let mut pause = LOOK;
    while sum(&rest) > 0 {
        progress.show(sum(&rest), began.elapsed());
        sleep(pause);
        let looked = Instant::now();
        let now = look();
        pause = pause_after(looked.elapsed());
        if sum(&now) < sum(&rest) {
            changed = Instant::now();
        }
        rest = now;
        let waited = changed.elapsed();
        let is_over = waited > PATIENCE && tracing.flush(Duration::ZERO).wait().trouble().is_some();
        if is_over || waited > PATIENCE_WITHOUT_TROUBLE {
            break;
        }
    }
    rest
}

/// A look reads the whole spool. However large that is, looking takes a twentieth of the time, the rest is delivery's.
fn pause_after(look: Duration) -> Duration {
    (look * 20).clamp(LOOK, LOOK_AT_LEAST)
}

/// Where this process delivers, as its own directory in the spool says.
fn own_destinations(watcher: &mut Watcher<'_>) -> Vec<Destination> {
    let own = |process: &ProcessReport| process.life == Life::Living && process.owner.pid == std::process::id();
    let process = watcher.processes().into_iter().find(own);
    process.map_or_else(Vec::new, |process| process.destinations)
}

/// Spans of a process that this destination of ours is to get: all that wait, or those that were to go there.
fn rest(process: &ProcessReport, ours: &Destination, takes_all: bool) -> u64 {
    let is_same = |to: &Destination| to.identity == ours.identity && to.credentials == ours.credentials;
    match process.destinations.iter().position(is_same) {
        _ if takes_all => waiting(process),
        Some(number) => waiting_for(process, number),
        None => 0,
    }
}

/// Of figures for each destination the sums.
fn sums(figures: impl Iterator<Item = Vec<u64>>, destinations: usize) -> Vec<u64> {
    figures.fold(vec![0; destinations], |mut sums, figures| {
        sums.iter_mut().zip(figures).for_each(|(sum, figure)| *sum += figure);
        sums
    })
}

/// The dead processes of which spans wait for a backend.
fn left(processes: Vec<ProcessReport>) -> Vec<ProcessReport> {
    let is_left = |process: &ProcessReport| process.life == Life::Dead && waiting(process) > 0;
    processes.into_iter().filter(is_left).collect()
}

/// Spans that a backend has not got; those that were open when the process died are delivered as unfinished ones.
fn waiting(process: &ProcessReport) -> u64 {
    if process.destinations.is_empty() {
        0
    } else {
        process.pending + process.open
    }
}

/// The same for one of the destinations of the process; where it is not known which has got what, all of them.
fn waiting_for(process: &ProcessReport, destination: usize) -> u64 {
    let is_known = process.waiting.iter().any(|waiting| *waiting > 0);
    match process.waiting.get(destination) {
        Some(waiting) if is_known => waiting + process.open,
        _ => waiting(process),
    }
}

fn total(processes: &[ProcessReport]) -> u64 {
    processes.iter().map(waiting).sum()
}

fn spans(number: u64) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), "span")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pause_between_looks_grows_with_the_spool() {
        for (look, pause) in [(0, 100), (5, 100), (50, 1000), (1000, 5000)] {
            assert_eq!(pause_after(Duration::from_millis(look)), Duration::from_millis(pause));
        }
    }
}
