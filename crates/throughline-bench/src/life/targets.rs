//! What the figures should be.

use super::table::Table;
use super::{delivery, disk, idle, outage, start};
use crate::verdict::Verdict;

/// The verdict on each target whose figure was measured.
#[must_use]
pub fn verdicts(table: &Table) -> Vec<Verdict> {
    let verdict = |&(what, limit, at_least): &(&str, f64, bool)| {
        Some(Verdict {
            what: what.to_owned(),
            limit,
            measured: table.value(what)?,
            at_least,
        })
    };
    TARGETS.iter().filter_map(verdict).collect()
}

/// A figure, its limit, and whether that is a lower one.
const TARGETS: &[(&str, f64, bool)] = &[
    (delivery::PLAIN.cpu, 0.4, false),
    (delivery::PLAIN.peak, 64.0, false),
    (delivery::PLAIN.arrived, delivery::SPANS as f64, true),
    (delivery::GRPC.cpu, 0.45, false),
    (delivery::GRPC.peak, 64.0, false),
    (delivery::GRPC.arrived, delivery::SPANS as f64, true),
    (delivery::GZIP.cpu, 2.0, false),
    (delivery::GZIP.peak, 64.0, false),
    (delivery::GZIP.arrived, delivery::SPANS as f64, true),
    (delivery::FILES.cpu, 1.0, false),
    (delivery::FILES.peak, 64.0, false),
    (delivery::FILES.arrived, delivery::SPANS as f64, true),
    // The same time: what lies beyond is the directory's own lookup, and noise.
    (start::DEAD_OVER_NONE, 1.2, false),
    (start::WITH_THREAD, 100.0, true),
    (idle::LOCAL, 0.2, false),
    (idle::DELIVERING, 0.2, false),
    (disk::PER_PROCESS, 2.0, false),
    (outage::SIZE, 1.0, false),
    (outage::UNACCOUNTED, 0.0, false),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::life::case::Figure;

    #[test]
    fn each_target_is_judged_when_its_figure_was_measured() {
        let figures = TARGETS.iter().map(|&(what, limit, _)| Figure { what, value: limit });
        let table = Table::new(figures.collect());
        assert_eq!(verdicts(&table).len(), TARGETS.len());
        assert!(verdicts(&table).iter().all(Verdict::met));
        assert!(verdicts(&Table::new(Vec::new())).is_empty());
    }
}
