//! The results as a table for eyes and as JSON for programs.

use std::fmt;

use serde_json::{Value, json};

use super::figures::Figures;
use super::library::Library;
use super::situation::Case;
use super::targets;
use crate::machine::machine;
use crate::verdict::{self, Verdict};

/// What was measured of one case.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The case.
    pub case: Case,
    /// The medians over the rounds.
    pub figures: Figures,
    /// System calls of the calling thread per 1,000 spans, where they were counted.
    pub system_calls: Option<f64>,
}

/// All results of a run.
#[derive(Clone, Debug)]
pub struct Table {
    rows: Vec<Row>,
    rounds: usize,
    complaint: Option<String>,
}

impl Table {
    /// A table of these rows; `complaint` says why system calls are missing.
    #[must_use]
    pub fn new(rows: Vec<Row>, rounds: usize, complaint: Option<String>) -> Self {
        Self {
            rows,
            rounds,
            complaint,
        }
    }

    /// The figures of the case, if it was run.
    #[must_use]
    pub fn figures(&self, case: Case) -> Option<&Figures> {
        self.rows.iter().find(|row| row.case == case).map(|row| &row.figures)
    }

    /// Our mean over a peer's in the same situation.
    #[must_use]
    pub fn native_over(&self, peer: Case) -> Option<f64> {
        let native = peer.in_library(Library::Native);
        if native == peer {
            return None;
        }
        Some(self.figures(native)?.mean / self.figures(peer)?.mean)
    }

    /// The results as a JSON document, with a newline at its end.
    #[must_use]
    pub fn json(&self) -> String {
        let case = |row: &Row| {
            let mut object = row.figures.json();
            object["name"] = json!(row.case.name());
            object["system_calls_per_1000"] = json!(row.system_calls);
            object["native_over_this"] = json!(self.native_over(row.case));
            object
        };
        let document = json!({
            "machine": machine(),
            "rounds": self.rounds,
            "cases": self.rows.iter().map(case).collect::<Vec<Value>>(),
            "targets": targets::verdicts(self).iter().map(Verdict::json).collect::<Vec<Value>>(),
        });
        format!("{document:#}\n")
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}; median of {} rounds", machine(), self.rounds)?;
        let marks = || self.rows.iter().map(|row| row.figures.mark);
        writeln!(
            f,
            "nanoseconds per span, {:.1} to {:.1} for reading the timer ({}) subtracted from each;\n\
             page faults and system calls of the calling thread, and spans lost, per 1,000 spans; preemptions per run\n",
            marks().fold(f64::INFINITY, f64::min),
            marks().fold(0.0, f64::max),
            if fastant::is_tsc_available() {
                "the time stamp counter"
            } else {
                "the system's clock"
            },
        )?;
        writeln!(
            f,
            "{:<38} {:>7} {:>6} {:>7} {:>8} {:>9} {:>7} {:>7} {:>6} {:>7} {:>9}",
            "", "mean", "p50", "p99", "p99.9", "slowest", "faults", "calls", "lost", "preempt", "native/it"
        )?;
        for row in &self.rows {
            let figures = &row.figures;
            writeln!(
                f,
                "{:<38} {:>7.1} {:>6.0} {:>7.0} {:>8.0} {:>9.0} {:>7.2} {:>7} {:>6.1} {:>7} {:>9}",
                row.case.name(),
                figures.mean,
                figures.p50,
                figures.p99,
                figures.p999,
                figures.slowest,
                figures.faults,
                row.system_calls.map_or("n/a".to_owned(), |calls| format!("{calls:.2}")),
                figures.lost,
                figures.preempted,
                self.native_over(row.case)
                    .map_or("-".to_owned(), |ratio| format!("{ratio:.2}")),
            )?;
        }
        if let Some(complaint) = &self.complaint {
            writeln!(f, "{complaint}")?;
        }
        verdict::write_all(f, &targets::verdicts(self))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A table of all cases, in which each figure of each is this one.
    pub(crate) fn table(figure: impl Fn(&Case) -> f64) -> Table {
        let row = |case: Case| {
            let figure = figure(&case);
            let figures = Figures {
                mean: figure,
                p50: figure,
                p99: figure,
                p999: figure,
                slowest: figure,
                faults: figure,
                lost: figure,
                preempted: figure,
                mark: figure,
            };
            Row {
                case,
                figures,
                system_calls: None,
            }
        };
        Table::new(Case::all().into_iter().map(row).collect(), 1, None)
    }

    fn twice_as_fast() -> Table {
        table(|case| if case.library == Library::Native { 50.0 } else { 100.0 })
    }

    #[test]
    fn peer_stands_beside_the_native_case() {
        let text = twice_as_fast().to_string();
        let line = |start| {
            text.lines()
                .find(|line| line.starts_with(start))
                .expect("one line per case")
        };
        let words = |start| line(start).split_whitespace().rev().take(2).collect::<Vec<_>>();
        assert_eq!(words("sdk/bursts of 500"), ["0.50", "100"]);
        assert_eq!(words("native/bursts of 500"), ["-", "50"]);
    }

    #[test]
    fn json_has_what_the_table_has() {
        let document: Value = serde_json::from_str(&twice_as_fast().json()).expect("valid JSON");
        let peer = &document["cases"][1];
        assert_eq!(peer["name"], "sdk/bursts of 500, 5 attributes");
        assert_eq!(peer["mean"], 100.0);
        assert_eq!(peer["native_over_this"], 0.5);
        assert_eq!(peer["system_calls_per_1000"], Value::Null);
        assert_eq!(document["targets"][0]["met"], false);
    }
}
