//! What users meet instead of a warm steady state: bursts after rests, and the first spans of a process.
//!
//! ```text
//! cargo bench -p throughline-bench --bench bursts
//! cargo bench -p throughline-bench --bench bursts -- --quick --case fastrace
//! ```
//!
//! Every [situation] is run by every [library] in a process of its own, and the processes take
//! turns, round after round; each figure is the median over the rounds. Nothing is warmed up.
//!
//! * **Time**: every span is timed, and what reading the timer costs is subtracted; see [`timeline`].
//! * **Page faults** of the calling thread, minor and major, by `/proc/thread-self/stat`.
//! * **Preemptions** of the calling thread per run: on a machine that is busy otherwise these make the slowest spans.
//! * **System calls** of the calling thread, counted in one further run under strace; see [`system_calls`].
//!
//! # What makes the comparison fair
//!
//! * Each library is set up as in life, not for the bench: Throughline with a spool on the disk that this program lies on,
//!   kept as local history; the OpenTelemetry SDK with its batch processor; fastrace with its collector at the interval
//!   that is its default. The exporters of both peers discard what they get.
//! * A library that drops spans is not stopped from it: how many of 1,000 did not arrive is in the table. The SDK's queue
//!   of 2,048 spans overflows where nothing rests.
//! * Each trace is a root and its children, as many as the burst has spans. All are timed, the root with its beginning and
//!   its end together.

pub mod figures;
pub mod library;
pub mod options;
pub mod page_faults;
pub mod preemptions;
pub mod situation;
pub mod system_calls;
pub mod table;
pub mod targets;
pub mod timeline;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use self::figures::Figures;
use self::options::Options;
use self::situation::Case;
use self::table::{Row, Table};
use crate::{allocations, beside_the_program, command_line, process};

/// The bench's entry point: reads the command line, measures, prints, and says whether it worked.
///
/// A target that is not met is no failure: the table says so.
pub fn main() -> ExitCode {
    command_line::end("bursts", run(&Options::from_command_line()))
}

fn run(options: &Options) -> io::Result<()> {
    let all = Case::all();
    if let Some(name) = &options.callee {
        let case = all.iter().find(|case| case.name() == *name);
        return be_called(case.ok_or_else(|| io::Error::other("no such case"))?);
    }

    let cases = chosen(all, options.wishes.case.as_deref())?;
    let mut rounds = vec![Vec::new(); cases.len()];
    for _ in 0..options.rounds() {
        for (case, figures) in cases.iter().zip(&mut rounds) {
            let mut command = process::again(&[])?;
            let answer = process::answer_within(LIMIT, command.args(["--callee", &case.name()]))?;
            figures.push(Figures::from_json(&answer)?);
        }
    }
    let mut counter = system_calls::Counter::new(options.no_system_calls);
    let mut rows = Vec::with_capacity(cases.len());
    for (case, figures) in cases.iter().zip(&rounds) {
        rows.push(Row {
            case: *case,
            figures: Figures::median(figures),
            system_calls: counter.per_thousand(case)?,
        });
    }
    let table = Table::new(rows, options.rounds(), counter.complaint());

    options.wishes.show(&table, || table.json())
}

/// How long a single run of a case may take, under strace too.
const LIMIT: Duration = Duration::from_secs(120);

/// The cases whose names contain the wish; without a wish, all.
fn chosen(mut cases: Vec<Case>, wish: Option<&str>) -> io::Result<Vec<Case>> {
    let wish = wish.unwrap_or_default();
    let known: Vec<_> = cases.iter().map(Case::name).collect();
    cases.retain(|case| case.name().contains(wish));
    if cases.is_empty() {
        let message = format!("no case's name contains {wish:?}; there are:\n  {}", known.join("\n  "));
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    Ok(cases)
}

/// What a process does that the bench has started, instead of a whole bench: one run of a case.
fn be_called(case: &Case) -> io::Result<()> {
    let home = tempfile::tempdir_in(beside_the_program()?)?;
    let figures = allocations::uncounted(|| case.run(home.path()))?;
    writeln!(io::stdout(), "{}", figures.json())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wish_that_no_case_fulfils_names_those_there_are() {
        let error = chosen(Case::all(), Some("bursts of 7")).expect_err("there is none");
        assert!(
            error.to_string().contains("native/bursts of 500, 5 attributes"),
            "{error}"
        );
    }

    #[test]
    fn wish_chooses_by_part_of_the_name() {
        let cases = chosen(Case::all(), Some("bursts of 500")).expect("there are");
        let names: Vec<_> = cases.iter().map(Case::name).collect();
        assert_eq!(
            names,
            ["native", "sdk", "fastrace"].map(|library| format!("{library}/bursts of 500, 5 attributes"))
        );
    }
}
