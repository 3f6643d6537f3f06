//! What the figures should be.

use super::figures::Figures;
use super::library::Library;
use super::situation::{Case, Situation};
use super::table::Table;
use crate::verdict::Verdict;

/// The verdict on each target whose cases were run.
#[must_use]
pub fn verdicts(table: &Table) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let mut judge = |what: String, limit, measured: Option<f64>| {
        verdicts.extend(measured.map(|measured| Verdict {
            what,
            limit,
            measured,
            at_least: false,
        }));
    };
    for &(case, what, limit, figure) in FIGURES {
        judge(
            format!("{}, {what}", case.name()),
            limit,
            table.figures(case).map(figure),
        );
    }
    for &(case, peer, limit) in RATIOS {
        let peer = case.in_library(peer);
        judge(
            format!("{} / {}", case.name(), peer.library),
            limit,
            table.native_over(peer),
        );
    }
    verdicts
}

const fn native(situation: Situation, attributes: bool) -> Case {
    Case {
        library: Library::Native,
        situation,
        attributes,
    }
}

const SHORT_RICH: Case = native(Situation::BurstsOf500, true);
const LONG_BARE: Case = native(Situation::BurstsOf2000, false);
const LONG_RICH: Case = native(Situation::BurstsOf2000, true);
const FIRST_BARE: Case = native(Situation::First100000, false);
const FIRST_RICH: Case = native(Situation::First100000, true);

const FAULTS: &str = "page faults per 1,000";

type Figure = fn(&Figures) -> f64;

const FIGURES: &[(Case, &str, f64, Figure)] = &[
    (SHORT_RICH, FAULTS, 1.0, |figures| figures.faults),
    (LONG_BARE, FAULTS, 1.0, |figures| figures.faults),
    (LONG_RICH, FAULTS, 1.0, |figures| figures.faults),
    (FIRST_BARE, FAULTS, 5.0, |figures| figures.faults),
    (FIRST_RICH, FAULTS, 5.0, |figures| figures.faults),
    (SHORT_RICH, "mean ns", 100.0, |figures| figures.mean),
    (SHORT_RICH, "p99 ns", 200.0, |figures| figures.p99),
    (SHORT_RICH, "p99.9 ns", 2_000.0, |figures| figures.p999),
    (SHORT_RICH, "slowest ns", 100_000.0, |figures| figures.slowest),
    (LONG_BARE, "mean ns", 60.0, |figures| figures.mean),
    (LONG_RICH, "mean ns", 100.0, |figures| figures.mean),
];

/// A mean over a peer's in the same situation.
const RATIOS: &[(Case, Library, f64)] = &[
    (SHORT_RICH, Library::Sdk, 0.4),
    (SHORT_RICH, Library::Fastrace, 0.4),
    (LONG_BARE, Library::Fastrace, 1.0),
    (LONG_RICH, Library::Fastrace, 1.0),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bursts::table::tests::table;

    #[test]
    fn every_target_is_about_a_case_that_there_is() {
        let verdicts = verdicts(&table(|_| 1.0));
        assert_eq!(verdicts.len(), FIGURES.len() + RATIOS.len());
    }

    #[test]
    fn targets_are_met_by_one_nanosecond_beside_slower_peers() {
        let missed = |native: f64| {
            let table = table(|case| {
                if case.library == Library::Native {
                    native
                } else {
                    1_000.0
                }
            });
            verdicts(&table).iter().filter(|verdict| !verdict.met()).count()
        };
        assert_eq!(missed(1.0), 0);
        assert_eq!(missed(1e6), FIGURES.len() + RATIOS.len());
    }

    #[test]
    fn targets_without_their_cases_are_not_judged() {
        assert!(verdicts(&Table::new(Vec::new(), 1, None)).is_empty());
    }
}
