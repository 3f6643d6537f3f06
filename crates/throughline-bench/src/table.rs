//! The results as a table for eyes and as JSON for programs.

use std::fmt;

use serde_json::{Value, json};

use crate::Bench;
use crate::machine::machine;
use crate::measure::Time;
use crate::verdict::{self, Verdict};

/// What was measured of one case. All figures are per span.
#[derive(Clone, Debug)]
pub struct Row {
    /// The case.
    pub name: &'static str,
    /// The native case that does the same.
    pub native: Option<&'static str>,
    /// Nanoseconds.
    pub time: Time,
    /// Allocations and reallocations.
    pub allocations: f64,
    /// Instructions, where they were counted.
    pub instructions: Option<f64>,
}

/// All results of a run.
#[derive(Clone, Debug)]
pub struct Table {
    bench: &'static Bench,
    rows: Vec<Row>,
    complaint: Option<String>,
}

impl Table {
    /// A bench's table of these rows; `complaint` says why instructions are missing.
    #[must_use]
    pub fn new(bench: &'static Bench, rows: Vec<Row>, complaint: Option<String>) -> Self {
        Self { bench, rows, complaint }
    }

    /// The row of that name, if the case was run.
    #[must_use]
    pub fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// Nanoseconds per span of the case of that name.
    #[must_use]
    pub fn nanoseconds(&self, name: &str) -> Option<f64> {
        self.row(name)?.time.nanoseconds
    }

    /// The quotient of two cases' times.
    #[must_use]
    pub fn ratio(&self, name: &str, to: &str) -> Option<f64> {
        Some(self.nanoseconds(name)? / self.nanoseconds(to)?)
    }

    /// The results as a JSON document, with a newline at its end.
    #[must_use]
    pub fn json(&self) -> String {
        let cases = self.rows.iter().map(|row| {
            json!({
                "name": row.name,
                "nanoseconds": row.time.nanoseconds,
                "samples_kept": row.time.kept,
                "samples_taken": row.time.taken,
                "allocations": row.allocations,
                "instructions": row.instructions,
                "over_yardstick": self.ratio(row.name, self.bench.yardstick.0),
                "native_over_this": self.native_over(row),
            })
        });
        let targets = (self.bench.verdicts)(self);
        let document = json!({
            "machine": machine(),
            "cases": cases.collect::<Vec<Value>>(),
            "targets": targets.iter().map(Verdict::json).collect::<Vec<Value>>(),
        });
        format!("{document:#}\n")
    }

    fn native_over(&self, row: &Row) -> Option<f64> {
        self.ratio(row.native?, row.name)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}; per span, {} children per root\n",
            machine(),
            crate::measure::CHILDREN
        )?;
        writeln!(
            f,
            "{:<34} {:>9} {:>9} {:>9} {:>7} {:>7} {:>9}",
            "", "ns", self.bench.yardstick.1, "native/it", "allocs", "instrs", "samples"
        )?;
        for row in &self.rows {
            writeln!(
                f,
                "{:<34} {:>9} {:>9} {:>9} {:>7.2} {:>7} {:>9}",
                row.name,
                figure(row.time.nanoseconds, 1),
                figure(self.ratio(row.name, self.bench.yardstick.0), 2),
                figure(self.native_over(row), 2),
                row.allocations,
                figure(row.instructions, 0),
                format!("{}/{}", row.time.kept, row.time.taken),
            )?;
        }
        if let Some(complaint) = &self.complaint {
            writeln!(f, "{complaint}")?;
        }

        verdict::write_all(f, &(self.bench.verdicts)(self))
    }
}

/// A figure, or a dash where there is none.
pub(crate) fn figure(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.decimals$}"))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::HOT_PATH;
    use crate::cases::clock::YARDSTICK;

    /// A table of these times, in nanoseconds.
    pub(crate) fn table(times: &[(&'static str, f64)]) -> Table {
        let row = |&(name, nanoseconds): &(&'static str, f64)| Row {
            name,
            native: name.starts_with("sdk").then_some("native/bare child"),
            time: Time {
                nanoseconds: Some(nanoseconds),
                kept: 3,
                taken: 4,
            },
            allocations: 0.0,
            instructions: None,
        };
        Table::new(&HOT_PATH, times.iter().map(row).collect(), None)
    }

    #[test]
    fn peer_stands_beside_the_native_case_and_two_clock_reads() {
        let table = table(&[
            (YARDSTICK, 20.0),
            ("native/bare child", 25.0),
            ("sdk/bare child", 200.0),
        ]);
        let text = table.to_string();
        let line = text
            .lines()
            .find(|line| line.starts_with("sdk"))
            .expect("one line a case");
        let words: Vec<_> = line.split_whitespace().skip(2).collect();
        assert_eq!(words, ["200.0", "10.00", "0.12", "0.00", "-", "3/4"]);
    }

    #[test]
    fn json_has_what_the_table_has() {
        let table = table(&[
            (YARDSTICK, 20.0),
            ("native/bare child", 25.0),
            ("sdk/bare child", 200.0),
        ]);
        let document: Value = serde_json::from_str(&table.json()).expect("valid JSON");
        let peer = &document["cases"][2];
        assert_eq!(peer["native_over_this"], 0.125);
        assert_eq!(peer["over_yardstick"], 10.0);
        assert_eq!(peer["instructions"], Value::Null);
        assert_eq!(document["targets"][0]["met"], true);
    }
}
