//! The deliveries of this process, one for each destination; a forked child has its own.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread;
use std::time::Duration;

use throughline_spool::Recorder;

use crate::config;
use crate::delivery::{Delivery, DestinationFlush};
use crate::otlp_endpoint;
use crate::spool_source::SpoolSource;

/// Where spans are sent, and how; kept for forked children.
pub(crate) struct Plan {
    pub destinations: Vec<config::Destination>,
    pub batch: config::BatchSettings,
    /// Whether what was meant for other backends goes there too: to the first.
    pub is_for_all: bool,
}

static PLAN: OnceLock<Plan> = OnceLock::new();
/// By the fork number of the process, so that a forked child never meets a lock that a thread of its parent held. Where more than 64
/// processes have forked out of each other, one may.
static DELIVERIES: [Mutex<Vec<Delivery>>; 64] = [const { Mutex::new(Vec::new()) }; 64];

fn own() -> &'static Mutex<Vec<Delivery>> {
    &DELIVERIES[throughline_spool::fork_number() as usize % DELIVERIES.len()]
}

/// Starts them. The first call decides.
pub(crate) fn start(recorder: &'static Recorder, plan: Plan) {
    otlp_endpoint::set(plan.destinations.iter().find_map(config::Destination::otlp_endpoint));
    if PLAN.set(plan).is_err() {
        return;
    }
    if let Some(mut deliveries) = lock() {
        *deliveries = started(recorder);
    }
}

fn started(recorder: &'static Recorder) -> Vec<Delivery> {
    let Some(plan) = PLAN.get() else { return Vec::new() };
    let destinations = plan.destinations.iter().enumerate();
    destinations
        .map(|(number, to)| {
            let source = SpoolSource::new(recorder, number, to.adopts(), plan.is_for_all && number == 0);
            Delivery::start(to, plan.batch, Box::new(source))
        })
        .collect()
}

/// A span has started or ended while a delivery thread rests.
pub(crate) fn wake() {
    // Whoever has the lock now is about to wake the threads as well.
    if let Ok(deliveries) = own().try_lock() {
        deliveries.iter().for_each(Delivery::wake);
    }
}

/// The parent's deliveries are the parent's: their threads are not here, and their locks are as the fork found them.
pub(crate) fn start_in_child(recorder: &'static Recorder) {
    if let Some(mut deliveries) = lock() {
        *deliveries = started(recorder);
    }
}

/// Asks each for a flush. `None`: there is none, and spans stay in the local history.
pub(crate) fn flush(within: Duration) -> Option<Vec<DestinationFlush>> {
    ask(|delivery| delivery.flush(within))
}

/// The same, and then they end.
pub(crate) fn shutdown(within: Duration) -> Option<Vec<DestinationFlush>> {
    ask(|delivery| delivery.shutdown(within))
}

/// As much of a flush as the end of a program allows.
pub(crate) fn exit() -> Option<Vec<DestinationFlush>> {
    ask(Delivery::exit)
}

/// What ended processes have left, for a short time.
pub(crate) fn leftovers() -> Option<Vec<DestinationFlush>> {
    ask(Delivery::leftovers)
}

fn ask(ask: impl FnMut(&Delivery) -> DestinationFlush) -> Option<Vec<DestinationFlush>> {
    // In a forked child that has not traced yet this makes its own.
    Recorder::current()?;
    let deliveries = lock()?;
    (!deliveries.is_empty()).then(|| deliveries.iter().map(ask).collect())
}

/// `None`: in a child so deep that its lock may have been an ancestor's, somebody seems to hold it for good.
fn lock() -> Option<MutexGuard<'static, Vec<Delivery>>> {
    if (throughline_spool::fork_number() as usize) < DELIVERIES.len() {
        return Some(own().lock().unwrap_or_else(PoisonError::into_inner));
    }
    for _ in 0..1000 {
        match own().try_lock() {
            Ok(deliveries) => return Some(deliveries),
            Err(TryLockError::Poisoned(deliveries)) => return Some(deliveries.into_inner()),
            Err(TryLockError::WouldBlock) => thread::yield_now(),
        }
    }
    None
}
