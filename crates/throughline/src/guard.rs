//! Tracing as long as it is wanted: the guard that `init` returns.

use std::mem;
use std::time::{Duration, Instant};

use throughline_spool::Recorder;

use crate::accounts::accounts;
use crate::delivery::{DestinationFlush, DestinationReport, Flush};
use crate::{deliveries, housekeeping};

/// Tracing, as long as it is wanted; made by [`init`](crate::init). Dropping it flushes for a bounded time.
///
/// Dropping it does not end tracing: spans that end later are in the spool, and are delivered for as long as the process
/// lives, or by the next one.
#[derive(Debug)]
#[must_use = "dropping it flushes: keep it until the end of main, `let _tracing = throughline::init(..)`"]
pub struct Tracing {
    since: Instant,
    flushes_at_exit: bool,
}

impl Tracing {
    pub(crate) fn new(flushes_at_exit: bool) -> Self {
        Self {
            since: Instant::now(),
            flushes_at_exit,
        }
    }

    /// Sends all spans that have ended so far, and says what became of them.
    ///
    /// The result can be awaited in any runtime, or blocked on by [`wait`](Flush::wait). It ends when everything is settled,
    /// when nothing more can be done, or when the time is over, whatever the backend does. What is not delivered by then
    /// stays in the spool.
    ///
    /// ```no_run
    /// # use std::time::{Duration, Instant};
    /// # let tracing = throughline::init("orders");
    /// let report = tracing.flush(Duration::from_secs(2)).wait();
    /// println!("{report}");
    /// ```
    pub fn flush(&self, within: Duration) -> Flush {
        flush_of(deliveries::flush(within))
    }

    /// As [`flush`](Self::flush), and ends delivery. Spans that end later stay in the spool for the next process.
    ///
    /// It does not block: what has to be waited for is the result.
    pub fn shutdown(self, within: Duration) -> Flush {
        // What this finds the shutdown sends.
        housekeeping::look_once_more();
        let flush = flush_of(deliveries::shutdown(within));
        // Dropping it would wait.
        mem::forget(self);
        flush
    }
}

fn flush_of(parts: Option<Vec<DestinationFlush>>) -> Flush {
    let Some(recorder) = Recorder::current() else {
        return Flush::ended(Vec::new());
    };
    if let Some(parts) = parts {
        return Flush::new(parts);
    }
    let destinations = &recorder.settings().manifest.destinations;
    if destinations.is_empty() {
        return Flush::ended(vec![DestinationReport::local(accounts(recorder, 0))]);
    }
    // Nobody is there yet, or any more, to say what has been delivered.
    let reports = destinations.iter().enumerate().map(|(number, to)| {
        DestinationReport::new(to.name.clone(), accounts(recorder, number), None).outdated("delivery has not begun")
    });
    Flush::ended(reports.collect())
}

impl Drop for Tracing {
    /// Sends what has ended, for at most 200 ms with a backend that answers slowly, and not at all with one that is down. A backend
    /// that has taken all of it also gets what ended processes have left: batches are begun for 150 ms, and the last one may take 250 ms more.
    fn drop(&mut self) {
        if !self.flushes_at_exit {
            return;
        }
        if let Some(exits) = deliveries::exit() {
            exits.into_iter().for_each(|exit| drop(exit.wait()));
        }
        housekeeping::before_exit(self.since.elapsed());
        // A destination that has not got all by now is asked for nothing more.
        if let Some(leftovers) = deliveries::leftovers() {
            leftovers.into_iter().for_each(|left| drop(left.wait()));
        }
    }
}
