//! What the figures should be.

use crate::cases::clock::YARDSTICK;
use crate::cases::tracing::BASELINE;
use crate::table::Table;
use crate::verdict::Verdict;

/// The verdict on each target whose cases were run.
#[must_use]
pub fn verdicts(table: &Table) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let mut judge = |what: String, limit, measured: Option<f64>, at_least| {
        verdicts.extend(measured.map(|measured| Verdict {
            what,
            limit,
            measured,
            at_least,
        }));
    };

    for &(native, other, limit) in RATIOS {
        judge(format!("{native} / {other}"), limit, table.ratio(native, other), false);
    }
    for &(native, limit) in NET_OF_THE_LOOP {
        let net = || Some(table.nanoseconds(native)? - table.nanoseconds(EMPTY_LOOP)?);
        judge(format!("{native}, ns net of the loop"), limit, net(), false);
    }
    for &native in WITHOUT_ALLOCATION {
        let allocations = table.row(native).map(|row| row.allocations);
        judge(format!("{native}, allocations"), 0.0, allocations, false);
    }
    let relative = || Some(scaling(table, BARE)? / scaling(table, YARDSTICK)?);
    judge(
        "scaling to two threads / that of the clock".to_owned(),
        0.95,
        relative(),
        true,
    );
    verdicts
}

/// The verdicts on the bench `tracing`.
#[must_use]
pub fn of_tracing(table: &Table) -> Vec<Verdict> {
    let ratio = |&(ours, other, limit): &(&str, &str, f64)| {
        Some(Verdict {
            what: format!("{ours} / {other}"),
            limit,
            measured: table.ratio(ours, other)?,
            at_least: false,
        })
    };
    let allocations = |&ours: &&str| {
        Some(Verdict {
            what: format!("{ours}, allocations"),
            limit: 0.0,
            measured: table.row(ours)?.allocations,
            at_least: false,
        })
    };
    let ratios = RATIOS_OF_TRACING.iter().filter_map(ratio);
    ratios
        .chain(WITHOUT_ALLOCATION_IN_TRACING.iter().filter_map(allocations))
        .collect()
}

const RATIOS_OF_TRACING: &[(&str, &str, f64)] = &[
    ("layer, unsampled", BASELINE, 1.2),
    ("layer, sampled", "tracing-opentelemetry, sampled", 0.25),
    ("layer, sampled", "tracing-opentelemetry, leanest", 0.4),
    ("subscriber, sampled", BASELINE, 0.8),
    ("subscriber, unsampled", BASELINE, 0.3),
];

const WITHOUT_ALLOCATION_IN_TRACING: &[&str] = &[
    "layer, sampled",
    "layer, unsampled",
    "layer, unsampled roots",
    "subscriber, sampled",
    "subscriber, unsampled",
];

/// Appended to the name of a case for the same on two threads at once.
pub const ON_TWO_THREADS: &str = ", two threads";

/// The case that costs what every case costs.
pub const EMPTY_LOOP: &str = "clock/empty loop";

const BARE: &str = "native/bare child";

const RATIOS: &[(&str, &str, f64)] = &[
    (BARE, YARDSTICK, 1.5),
    (BARE, "fastrace/LocalSpan", 0.6),
    ("native/bare child, warm", "fastrace/LocalSpan, warm", 0.6),
    ("native/5 attributes", "sdk/5 attributes", 0.25),
    ("native/5 attributes", "fastrace/LocalSpan, 5 properties", 0.4),
];

const NET_OF_THE_LOOP: &[(&str, f64)] = &[("native/unsampled", 10.0), ("native/off", 2.0)];

const WITHOUT_ALLOCATION: &[&str] = &[
    BARE,
    "native/5 attributes",
    "native/ended on another thread",
    "native/unsampled",
    "native/off",
];

/// How many times as many spans two threads make in the time in which one makes one.
fn scaling(table: &Table, name: &str) -> Option<f64> {
    table.ratio(name, &format!("{name}{ON_TWO_THREADS}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases;
    use crate::table::tests::table;

    #[test]
    fn every_target_is_about_cases_that_there_are() {
        let all: Vec<_> = cases::all().map(|entry| (entry.name, 1.0)).collect();
        let targets = RATIOS.len() + NET_OF_THE_LOOP.len() + WITHOUT_ALLOCATION.len() + 1;
        assert_eq!(verdicts(&table(&all)).len(), targets);
    }

    #[test]
    fn target_is_judged_only_when_its_cases_were_run() {
        let whats = |times: &[_]| -> Vec<_> {
            verdicts(&table(times))
                .into_iter()
                .map(|verdict| (verdict.what.clone(), verdict.met()))
                .collect()
        };
        assert_eq!(whats(&[(YARDSTICK, 20.0)]), []);
        assert_eq!(
            whats(&[(YARDSTICK, 20.0), (BARE, 31.0)]),
            [
                ("native/bare child / clock/two native reads".to_owned(), false),
                ("native/bare child, allocations".to_owned(), true),
            ]
        );
    }

    #[test]
    fn two_threads_are_measured_against_what_the_machine_can_do() {
        // The clock reads scale by 1.9, the spans by 1.8.
        let table = table(&[
            (YARDSTICK, 19.0),
            ("clock/two native reads, two threads", 10.0),
            (BARE, 18.0),
            ("native/bare child, two threads", 10.0),
        ]);
        let verdict = verdicts(&table).pop().expect("the scaling comes last");
        assert!((verdict.measured - 1.8 / 1.9).abs() < 1e-9);
        assert!(!verdict.met());
    }
}
