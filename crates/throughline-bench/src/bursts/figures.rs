//! What one run of a case shows, and the median of several.

use std::io;

use serde_json::{Value, json};

use super::timeline::Timeline;
use crate::measure::median;

/// The figures of a case. Times are nanoseconds per span.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// The mean.
    pub mean: f64,
    /// The median.
    pub p50: f64,
    /// The time that 99 of 100 spans do not exceed.
    pub p99: f64,
    /// The time that 999 of 1,000 spans do not exceed.
    pub p999: f64,
    /// The slowest span's.
    pub slowest: f64,
    /// Page faults of the calling thread per 1,000 spans.
    pub faults: f64,
    /// Spans per 1,000 that did not arrive.
    pub lost: f64,
    /// How often the calling thread had to leave the processor to others.
    pub preempted: f64,
    /// What was subtracted from each time.
    pub mark: f64,
}

/// What happened to the calling thread in a run, and to its spans.
#[derive(Clone, Copy, Debug, Default)]
pub struct Events {
    /// Page faults.
    pub faults: u64,
    /// Times at which it had to leave the processor to others.
    pub preempted: u64,
    /// Spans that did not arrive.
    pub lost: u64,
}

impl Figures {
    /// The figures of a run.
    #[must_use]
    pub fn new(timeline: &Timeline, events: Events) -> Self {
        Self::of(timeline.nanoseconds(), Timeline::mark_nanoseconds(), events)
    }

    fn of(mut times: Vec<u64>, mark: f64, events: Events) -> Self {
        times.sort_unstable();
        let spans = times.len() as f64;
        let net = |nanoseconds: f64| (nanoseconds - mark).max(0.0);
        let at = |per_mille| net(percentile(&times, per_mille) as f64);
        Self {
            mean: net(times.iter().sum::<u64>() as f64 / spans),
            p50: at(500),
            p99: at(990),
            p999: at(999),
            slowest: at(1000),
            faults: events.faults as f64 * 1000.0 / spans,
            lost: events.lost as f64 * 1000.0 / spans,
            preempted: events.preempted as f64,
            mark,
        }
    }

    /// Of each figure the median over the runs.
    #[must_use]
    pub fn median(runs: &[Self]) -> Self {
        let mut result = Self::default();
        for (_, field) in FIELDS {
            let values = runs.iter().copied().map(|mut run| *field(&mut run)).collect();
            *field(&mut result) = median(values).unwrap_or_default();
        }
        result
    }

    /// The figures as a JSON object.
    #[must_use]
    pub fn json(mut self) -> Value {
        let mut object = json!({});
        for (name, field) in FIELDS {
            object[name] = json!(*field(&mut self));
        }
        object
    }

    /// Reads what [`json`](Self::json) has written.
    ///
    /// # Errors
    ///
    /// If it is not that.
    pub fn from_json(text: &str) -> io::Result<Self> {
        let object: Value = serde_json::from_str(text)?;
        let mut result = Self::default();
        for (name, field) in FIELDS {
            let figure = object[name].as_f64();
            *field(&mut result) = figure.ok_or_else(|| io::Error::other(format!("no figure {name} in {text}")))?;
        }
        Ok(result)
    }
}

type Field = fn(&mut Figures) -> &mut f64;

const FIELDS: [(&str, Field); 9] = [
    ("mean", |figures| &mut figures.mean),
    ("p50", |figures| &mut figures.p50),
    ("p99", |figures| &mut figures.p99),
    ("p99.9", |figures| &mut figures.p999),
    ("slowest", |figures| &mut figures.slowest),
    ("page_faults_per_1000", |figures| &mut figures.faults),
    ("lost_per_1000", |figures| &mut figures.lost),
    ("preempted", |figures| &mut figures.preempted),
    ("subtracted", |figures| &mut figures.mark),
];

/// The smallest of the sorted values that so many of 1,000 do not exceed (the nearest rank).
fn percentile(sorted: &[u64], per_mille: usize) -> u64 {
    let rank = (sorted.len() * per_mille).div_ceil(1000);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentile_is_the_value_of_the_nearest_rank() {
        let thousand: Vec<u64> = (1..=1000).collect();
        for (per_mille, value) in [(0, 1), (500, 500), (990, 990), (999, 999), (1000, 1000)] {
            assert_eq!(percentile(&thousand, per_mille), value, "{per_mille}");
        }
        for (sorted, value) in [(vec![], 0), (vec![7], 7), (vec![7, 8], 8), (vec![7, 8, 9], 9)] {
            assert_eq!(percentile(&sorted, 999), value, "{sorted:?}");
        }
        assert_eq!(percentile(&[7, 8, 9], 500), 8);
    }

    #[test]
    fn mark_is_subtracted_from_every_time() {
        let events = Events {
            faults: 2,
            preempted: 3,
            lost: 1,
        };
        let figures = Figures::of(vec![100, 50, 5, 45], 10.0, events);
        assert_eq!((figures.mean, figures.p50, figures.slowest), (40.0, 35.0, 90.0));
        assert_eq!((figures.faults, figures.lost), (500.0, 250.0));
        assert_eq!((figures.preempted, figures.mark), (3.0, 10.0));
        assert_eq!(Figures::of(vec![5; 9], 10.0, Events::default()).mean, 0.0);
    }

    #[test]
    fn each_figure_has_a_median_of_its_own() {
        let run = |mean, slowest| Figures {
            mean,
            slowest,
            ..Figures::default()
        };
        let runs = [run(1.0, 30.0), run(3.0, 10.0), run(2.0, 20.0)];
        assert_eq!(Figures::median(&runs), run(2.0, 20.0));
    }

    #[test]
    fn figures_survive_their_way_between_processes() {
        let figures = Figures::of((0..1000).collect(), 3.25, Events::default());
        let read = Figures::from_json(&figures.json().to_string()).expect("what was written can be read");
        assert_eq!(read, figures);
        assert!(Figures::from_json(r#"{"mean": 1}"#).is_err());
        assert!(Figures::from_json("").is_err());
    }
}
