//! `throughline doctor`: whether spans would arrive, and how the spool is.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use throughline::{Check, CheckedDestination};
use throughline_spool::{Archive, Life, Limits, Root, Tier};
use throughline_wire::terminal::escaped;

use super::recover::listing;
use crate::exit::{FAILURE, Failure, print};
use crate::store;
use crate::terminal::{Style, Terminal};
use crate::text::wrap;
use crate::time::{ZoneOption, duration};

/// Find out whether spans would arrive: settings, each destination over the whole path, the spool.
///
/// The settings are those of this shell's variables, as a program that is started here reads them. Each destination gets a
/// request without spans, through names, proxies, TLS and keys. The exit code is 1 when a setting cannot be used, a destination
/// does not take spans, or the spool cannot be used.
#[derive(clap::Args)]
#[command(after_help = "\
Fields of --json: on, wrongSettings, destinations (name, problem, warning, millis), spool (path, problem, tier,
pendingBytes, pendingLimit, historyBytes, historyLimit, processes), waiting, good.

Examples:
  throughline doctor
  OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318 throughline doctor
  throughline doctor --to https://otel.example --header 'authorization=Bearer x'")]
pub struct Doctor {
    /// The endpoint, a base URL [default: what the variables say]
    #[arg(long, value_name = "URL", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    to: Option<String>,

    /// A header of each request; may be given again for others
    #[arg(long, value_name = "NAME=VALUE", value_parser = super::recover::parse_header)]
    header: Vec<(String, String)>,

    /// How many seconds each destination may take
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,

    /// All of it as one JSON object
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    zone: ZoneOption,
}

/// How the spool is.
struct SpoolState {
    path: PathBuf,
    /// Why it cannot be used.
    problem: Option<String>,
    tier: Tier,
    /// Bytes of what some destination is still to get, and of history.
    bytes: (u64, u64),
    /// Processes that live.
    processes: usize,
}

impl Doctor {
    pub fn execute(self, spool: Option<PathBuf>) -> Result<u8, Failure> {
        let directory = store::directory(spool)?;
        let mut builder = throughline::builder("throughline-doctor").spool_dir(&directory);
        if let Some(to) = &self.to {
            builder = builder.endpoint(to);
        }
        for (name, value) in &self.header {
            builder = builder.header(name, value);
        }
        let check = builder.check(Duration::from_secs(self.timeout));
        let contents = store::contents(&directory);
        let zone = self.zone.zone();
        let lost = store::lost(&directory, &contents, &zone);
        let living = contents
            .processes
            .iter()
            .filter(|process| process.life == Life::Living)
            .count();
        let state = SpoolState::of(&directory, living);
        let waiting = contents
            .processes
            .into_iter()
            .filter(|process| process.life == Life::Dead);
        let groups = listing::group(
            &waiting
                .filter(|process| !process.destinations.is_empty() && process.pending > 0)
                .collect::<Vec<_>>(),
        );

        let is_good = check.is_good() && state.problem.is_none();
        if self.json {
            let waiting: Vec<Value> = groups.iter().map(listing::Group::json).collect();
            print(&format!("{}\n", json(&check, &state, &waiting, is_good)))?;
        } else {
            let terminal = Terminal::of_stdout();
            let mut said = settings(&check, terminal) + &destinations(&check, terminal) + &state.text(terminal);
            if !groups.is_empty() {
                said += &format!("\n{}", listing::text(&groups, &directory, &zone, terminal));
            }
            print(&(said + &lost))?;
        }
        Ok(if is_good { 0 } else { FAILURE })
    }
}

/// Columns of the mark, and of what a line is about.
const MARK: usize = 4;
const WHAT: usize = 12;
/// What is said has so many columns at least, however narrow the terminal is.
const SAID: usize = 20;

/// A mark, what it is about, and what is to be said of it; in several lines where the terminal is too narrow for one.
fn line(terminal: Terminal, is_good: bool, what: &str, said: &str) -> String {
    let (style, mark) = match is_good {
        true => (Style::Plain, "ok"),
        false => (Style::Error, "BAD"),
    };
    let said = escaped(said);
    let indent = MARK + 1 + WHAT + 1;
    let lines = match terminal.is_limit {
        true => wrap(&said, terminal.columns.saturating_sub(indent).max(SAID)),
        false => vec![said.into_owned()],
    };
    let mark = terminal.paint(style, &format!("{mark:<MARK$}"));
    format!("{mark} {what:<WHAT$} {}\n", lines.join(&format!("\n{:indent$}", "")))
}

fn settings(check: &Check, terminal: Terminal) -> String {
    let mut said: String = check
        .wrong_settings
        .iter()
        .map(|said| line(terminal, false, "setting", said))
        .collect();
    if !check.is_on {
        said += &line(
            terminal,
            true,
            "settings",
            "tracing is switched off: spans are not recorded, context is passed on",
        );
    } else if said.is_empty() {
        said += &line(terminal, true, "settings", "all that are set can be used");
    }
    said
}

fn destinations(check: &Check, terminal: Terminal) -> String {
    if check.destinations.is_empty() && check.is_on {
        let said = "none: spans stay in local history; OTEL_EXPORTER_OTLP_ENDPOINT names one";
        return line(terminal, true, "destination", said);
    }
    let of = |to: &CheckedDestination| match (&to.problem, &to.warning) {
        (Some(problem), _) => line(
            terminal,
            false,
            "destination",
            &format!("cannot deliver to {}: {problem}", to.name),
        ),
        (None, warning) => {
            let took = duration(u64::try_from(to.took.as_nanos()).unwrap_or(u64::MAX));
            let warning = warning
                .as_ref()
                .map_or(String::new(), |warning| format!("; it warns: {warning}"));
            line(
                terminal,
                true,
                "destination",
                &format!("{} takes spans ({took}){warning}", to.name),
            )
        }
    };
    check.destinations.iter().map(of).collect()
}

impl SpoolState {
    fn of(directory: &Path, processes: usize) -> Self {
        let mut state = Self {
            path: directory.to_owned(),
            problem: None,
            tier: Tier::Memory,
            bytes: (0, 0),
            processes,
        };
        match Root::open(directory) {
            Ok(root) => {
                state.tier = root.tier();
                match Archive::new(&root, Limits::default()).bytes() {
                    Ok(bytes) => state.bytes = bytes,
                    Err(error) => state.problem = Some(format!("its ledger cannot be read: {error}")),
                }
            }
            Err(error) => {
                state.problem = Some(format!(
                    "it cannot be used: {error}; spans are kept in memory, and die with the process"
                ));
            }
        }
        state
    }

    fn text(&self, terminal: Terminal) -> String {
        let path = self.path.display();
        if let Some(problem) = &self.problem {
            return line(terminal, false, "spool", &format!("{path}: {problem}"));
        }
        let tier = match self.tier {
            Tier::Mapped => "mapped: a span survives its process as soon as it has ended",
            Tier::Written => {
                "written (this file system does not map files safely): a span costs a system call, and survives its process"
            }
            _ => "in memory: spans die with their process",
        };
        let limits = Limits::default();
        let of = |bytes: u64, limit: u64| format!("{} of {}", mib(bytes), mib(limit));
        let quota = format!(
            "{} of spans of ended processes wait, {} are history; {} now",
            of(self.bytes.0, limits.pending),
            of(self.bytes.1, limits.history),
            match self.processes {
                1 => "1 process traces".to_owned(),
                number => format!("{number} processes trace"),
            },
        );
        line(terminal, true, "spool", &format!("{path}, {tier}")) + &line(terminal, true, "", &quota)
    }
}

fn mib(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    match bytes {
        0 => "0".to_owned(),
        bytes if bytes % MIB == 0 => format!("{} MiB", bytes / MIB),
        bytes => format!("{:.1} MiB", bytes as f64 / MIB as f64),
    }
}

fn json(check: &Check, state: &SpoolState, waiting: &[Value], is_good: bool) -> Value {
    let destinations = check.destinations.iter().map(|to| {
        json!({
            "name": to.name,
            "problem": to.problem,
            "warning": to.warning,
            "millis": to.took.as_secs_f64() * 1000.0,
        })
    });
    let limits = Limits::default();
    json!({
        "on": check.is_on,
        "wrongSettings": check.wrong_settings,
        "destinations": destinations.collect::<Vec<_>>(),
        "spool": {
            "path": state.path.display().to_string(),
            "problem": state.problem,
            "tier": state.tier.name(),
            "pendingBytes": state.bytes.0,
            "pendingLimit": limits.pending,
            "historyBytes": state.bytes.1,
            "historyLimit": limits.history,
            "processes": state.processes,
        },
        "waiting": waiting,
        "good": is_good,
    })
}
