//! The results as a table for eyes and as JSON for programs.

use std::fmt;

use serde_json::{Value, json};

use super::case::Figure;
use super::targets;
use crate::machine::machine;
use crate::verdict::{self, Verdict};

/// All results of a run.
#[derive(Clone, Debug)]
pub struct Table {
    figures: Vec<Figure>,
}

impl Table {
    /// A table of these figures.
    #[must_use]
    pub fn new(figures: Vec<Figure>) -> Self {
        Self { figures }
    }

    /// The value of the figure of that name, if it was measured.
    #[must_use]
    pub fn value(&self, what: &str) -> Option<f64> {
        let figure = self.figures.iter().find(|figure| figure.what == what);
        figure.map(|figure| figure.value)
    }

    /// The results as a JSON document, with a newline at its end.
    #[must_use]
    pub fn json(&self) -> String {
        let figure = |figure: &Figure| json!({ "what": figure.what, "value": figure.value });
        let document = json!({
            "machine": machine(),
            "figures": self.figures.iter().map(figure).collect::<Vec<Value>>(),
            "targets": targets::verdicts(self).iter().map(Verdict::json).collect::<Vec<Value>>(),
        });
        format!("{document:#}\n")
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", machine())?;
        for figure in &self.figures {
            writeln!(f, "{:<62} {:>21.2}", figure.what, figure.value)?;
        }
        verdict::write_all(f, &targets::verdicts(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::life::delivery::PLAIN;

    #[test]
    fn figure_stands_in_table_and_json_with_its_verdict() {
        let table = Table::new(vec![Figure {
            what: PLAIN.peak,
            value: 210.25,
        }]);
        let text = table.to_string();
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with(PLAIN.peak)).collect();
        assert!(lines[0].ends_with(" 210.25"), "{text}");
        assert!(lines[1].ends_with("NOT MET"), "{text}");
        let document: Value = serde_json::from_str(&table.json()).expect("valid JSON");
        assert_eq!(document["figures"][0]["value"], 210.25);
        assert_eq!(document["targets"][0]["met"], false);
    }
}
