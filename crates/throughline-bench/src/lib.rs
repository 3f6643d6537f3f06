//! Throughline's hot path beside its peers', measured in one run on one machine.
//!
//! ```text
//! cargo bench -p throughline-bench --bench hot_path
//! cargo bench -p throughline-bench --bench hot_path -- --quick --no-instructions --case fastrace
//! ```
//!
//! Every case makes roots with [`CHILDREN`](measure::CHILDREN) children each; its figures are per
//! child, the root's own cost spread over its children. Three things are measured:
//!
//! * **Time** ([`measure`]): all cases take turns, round after round, so that a slow minute of the
//!   machine hits all alike, and samples taken in a slow phase are thrown away.
//! * **Allocations** ([`allocations`]): counted by the global allocator, exact.
//! * **Instructions** ([`instructions`]): counted by callgrind in processes of their own.
//!
//! # What makes the comparison fair
//!
//! * Each peer has the configuration its documentation recommends for speed, and is spared what
//!   Throughline is not: the OpenTelemetry SDK's processor and fastrace's reporter discard what
//!   they get, so nobody encodes, queues or stores a span but Throughline, whose spans are encoded
//!   and committed to a spool of real files.
//! * fastrace's collector thread, which would compete for the processor, is kept asleep during a
//!   sample and drained after it; see [`cases::fastrace`] for how its drops are ruled out.
//! * tracing-opentelemetry records neither location, thread, target nor idle time.
//! * The five attributes are the same for all: two strings known only at run time, an integer, a
//!   boolean and a double. Each library gets them by its fastest documented way, and borrows or
//!   owns the strings as it must; the caller keeps its own. fastrace knows string values only, so
//!   it has to format the numbers, as its users do.
//! * No child is made current, unless its name says so: each row is the library's cheapest span.
//!
//! * Between two samples of a case all others have run, as a program's own work would have. Where
//!   that matters most there is a second row, called warm, whose samples follow upon another of
//!   their own.
//!
//! What the figures are not: the cost of exporting, which a thread of its own pays everywhere; and
//! what users meet where memory is not warm. Two further benches measure that: [`bursts`], and
//! [`life`] for whole processes from their start to what they leave behind.

pub mod allocations;
pub mod bursts;
pub mod cases;
pub mod command_line;
pub mod http;
pub mod instructions;
pub mod life;
pub mod machine;
pub mod measure;
pub mod options;
pub mod process;
pub mod table;
pub mod targets;
pub mod threads;
pub mod verdict;

use std::io;
use std::path::Path;
use std::process::ExitCode;

use crate::cases::Entry;
use crate::cases::clock::YARDSTICK;
use crate::instructions::Counter;
use crate::options::Options;
use crate::table::{Row, Table};
use crate::verdict::Verdict;

/// A bench: what it measures and what is expected of it.
#[derive(Debug)]
pub struct Bench {
    /// As Cargo knows it.
    pub name: &'static str,
    /// Every case, in the order of the table.
    pub cases: fn() -> Vec<&'static Entry>,
    /// The case that all are compared with, and what that is called for short.
    pub yardstick: (&'static str, &'static str),
    /// What is judged.
    pub verdicts: fn(&Table) -> Vec<Verdict>,
}

/// Spans in Throughline and its peers.
pub static HOT_PATH: Bench = Bench {
    name: "hot_path",
    cases: || cases::all().collect(),
    yardstick: (YARDSTICK, "/2 clock"),
    verdicts: targets::verdicts,
};

/// Spans of `tracing`, by several subscribers.
pub static TRACING: Bench = Bench {
    name: "tracing",
    cases: || cases::tracing::CASES.iter().collect(),
    yardstick: (cases::tracing::BASELINE, "/base"),
    verdicts: targets::of_tracing,
};

/// Spans of libraries that are instrumented with the OpenTelemetry API: Throughline below it, beside the SDK.
pub static OPENTELEMETRY: Bench = Bench {
    name: "opentelemetry",
    cases: || cases::of_the_api().collect(),
    yardstick: (YARDSTICK, "/2 clock"),
    verdicts: targets::verdicts,
};

/// The entry point of a bench: reads the command line, measures, prints, and says whether it worked.
///
/// A target that is not met is no failure: the table says so.
pub fn main(bench: &'static Bench) -> ExitCode {
    command_line::end(bench.name, run(bench, &Options::from_command_line()))
}

fn run(bench: &'static Bench, options: &Options) -> io::Result<()> {
    let home = tempfile::tempdir_in(beside_the_program()?)?;
    if let Some(name) = &options.callee {
        return be_called(bench, name, options, home.path());
    }

    let entries = chosen(bench, options.wishes.case.as_deref())?;
    let mut counter = Counter::new(options, home.path());
    let prepare = |entry: &&Entry| match entry.own_process {
        true => process::elsewhere(entry.name),
        false => Ok((entry.prepare)(home.path())),
    };
    let mut cases = entries.iter().map(prepare).collect::<io::Result<Vec<_>>>()?;
    let times = measure::in_turns(&mut cases, options.rounds());
    let rows = entries
        .iter()
        .zip(&mut cases)
        .zip(times)
        .map(|((entry, case), time)| Row {
            name: entry.name,
            native: entry.native,
            time,
            allocations: allocations::per_span(case),
            instructions: case.alone.then(|| counter.per_span(entry.name)).flatten(),
        });
    let table = Table::new(bench, rows.collect(), counter.complaint());

    options.wishes.show(&table, || table.json())
}

/// The cases whose names contain the wish, and always the yardstick; without a wish, all.
fn chosen(bench: &Bench, wish: Option<&str>) -> io::Result<Vec<&'static Entry>> {
    let wish = wish.unwrap_or_default();
    let wished = |entry: &&Entry| entry.name.contains(wish);
    let all = (bench.cases)();
    if !all.iter().any(wished) {
        let known: Vec<_> = all.iter().map(|entry| entry.name).collect();
        let message = format!("no case's name contains {wish:?}; there are:\n  {}", known.join("\n  "));
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let is_chosen = |entry: &&Entry| wished(entry) || entry.name == bench.yardstick.0;
    Ok(all.into_iter().filter(is_chosen).collect())
}

/// What a process does that the bench has started, instead of a whole bench.
fn be_called(bench: &Bench, name: &str, options: &Options, home: &Path) -> io::Result<()> {
    let entry = (bench.cases)().into_iter().find(|entry| entry.name == name);
    let entry = entry.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no such case"))?;
    let mut case = (entry.prepare)(home);
    if options.answer {
        process::answer(&mut case, io::stdin().lock(), io::stdout().lock())
    } else {
        instructions::be_counted(&mut case, options.samples);
        Ok(())
    }
}

/// Where Cargo put this program: on a disk, where a system's temporary directory often is not.
pub(crate) fn beside_the_program() -> io::Result<std::path::PathBuf> {
    let program = std::env::current_exe()?;
    Ok(program.parent().unwrap_or(Path::new(".")).to_path_buf())
}
