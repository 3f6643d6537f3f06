//! The one background thread: starts it, talks to it, and survives its faults.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::driver::Driver;
use super::flush::DestinationFlush;
use super::report::DestinationReport;
use super::source::Source;
use super::transport::Transport;
use super::waiting::{Purpose, Request, deadline};
use crate::config::{BatchSettings, Destination};
use crate::diagnostics::report_once;

/// At the end of a program a backend that is slow gets so long. What is left is in the spool.
const EXIT: Duration = Duration::from_millis(200);
/// And so long for what ended processes have left, the last batch of it included.
const LEFTOVERS: Duration = Duration::from_millis(400);
/// The thread is started again after a panic, unless this many come in a row ...
const PANICS: u32 = 3;
/// ... each within this time of the start before.
const IN_A_ROW: Duration = Duration::from_secs(60);

/// Delivers a source's spans to one destination, on a thread of its own. Dropping it ends the
/// thread without waiting for anything.
pub(crate) struct Delivery {
    shared: Arc<Shared>,
}

/// What the thread and its clients both see.
pub(super) struct Shared {
    inbox: Mutex<Inbox>,
    /// Wakes the thread; notified after every change of the inbox.
    pub(super) wake: Notify,
    /// The thread writes what it knows; who has no time left to ask it reads that.
    known: Arc<Mutex<DestinationReport>>,
}

#[derive(Default)]
struct Inbox {
    requests: Vec<Request>,
    /// The clients want the thread to end.
    stop: bool,
    /// There is no thread any more: requests are answered at once.
    ended: bool,
}

impl Delivery {
    /// Starts the thread. Where the system gives none that is a notice, and spans stay in the spool.
    pub(crate) fn start(destination: &Destination, batch: BatchSettings, source: Box<dyn Source>) -> Self {
        let name = destination.name();
        let transport = Transport::new(destination);
        let known = DestinationReport::new(name.clone(), Default::default(), None);
        let shared = Arc::new(Shared {
            inbox: Mutex::default(),
            wake: Notify::new(),
            known: Arc::new(Mutex::new(known)),
        });
        let driver = Driver::new(name, destination.batch(batch), source, shared.clone());
        let thread = std::thread::Builder::new().name("throughline".to_owned());
        if let Err(error) = throughline_spool::spawn_without_signals(thread, || run(driver, transport)) {
            report_once(format_args!(
                "no thread for delivery ({error}); spans stay in the local spool"
            ));
            shared.end();
        }
        Self { shared }
    }

    /// Delivers what has been committed until now.
    pub(crate) fn flush(&self, within: Duration) -> DestinationFlush {
        self.request(within, Purpose::Flush)
    }

    /// The same and [`leftovers`](Self::leftovers), and then the thread ends: what is committed later stays in the spool.
    pub(crate) fn shutdown(&self, within: Duration) -> DestinationFlush {
        self.request(within, Purpose::Shutdown)
    }

    /// As much of a flush as the end of a program allows: none where the backend is down, and at
    /// most 200 ms where it is slow. Delivery goes on, should the program.
    pub(crate) fn exit(&self) -> DestinationFlush {
        self.request(EXIT, Purpose::Exit)
    }

    /// At the end of a program, when its own spans are delivered: what ended processes have left, for a short time. Nothing where
    /// the backend has not taken anything of this process.
    pub(crate) fn leftovers(&self) -> DestinationFlush {
        self.request(LEFTOVERS, Purpose::Leftovers)
    }

    /// Makes the thread look at the spool.
    pub(crate) fn wake(&self) {
        self.shared.wake();
    }

    fn request(&self, within: Duration, purpose: Purpose) -> DestinationFlush {
        let deadline = deadline(Instant::now(), within);
        let (flush, waiter) = DestinationFlush::new(deadline, self.shared.known.clone());
        let mut inbox = self.shared.inbox();
        if inbox.ended {
            drop(inbox);
            let report = self.shared.known().clone();
            waiter.report(report.outdated("delivery has ended"));
        } else {
            inbox.requests.push(Request {
                waiter,
                deadline,
                purpose,
            });
            drop(inbox);
            self.shared.wake();
        }
        flush
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        self.shared.inbox().stop = true;
        self.shared.wake();
    }
}

impl Shared {
    /// Wakes the thread. A host that has closed descriptors which are not its own has taken away what wakes it, and the runtime
    /// panics: that must not reach whoever ends tracing.
    fn wake(&self) {
        let woken = catch_unwind(AssertUnwindSafe(|| self.wake.notify_one()));
        if woken.is_err() {
            report_once(format_args!(
                "delivery cannot be woken: somebody has closed descriptors of this process; spans stay in the local spool"
            ));
        }
    }

    /// The requests that have come since the last call, and whether to stop.
    pub(super) fn take_requests(&self) -> (Vec<Request>, bool) {
        let mut inbox = self.inbox();
        (std::mem::take(&mut inbox.requests), inbox.stop)
    }

    pub(super) fn known(&self) -> MutexGuard<'_, DestinationReport> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// No request will be seen by the thread from now on.
    fn end(&self) {
        let mut inbox = self.inbox();
        inbox.ended = true;
        let requests = std::mem::take(&mut inbox.requests);
        drop(inbox);
        let report = self.known().clone().outdated("delivery has ended");
        for request in requests {
            request.waiter.report(report.clone());
        }
    }

    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread's body.
fn run(mut driver: Driver, mut transport: Transport) {
    // All that delivery does runs on this thread: nothing of it may be traced and so delivered.
    let _untraced = throughline_context::suppress();
    let mut panics = 0;
    loop {
        let started = Instant::now();
        let done = catch_unwind(AssertUnwindSafe(|| run_once(&mut driver, &mut transport)));
        match done {
            Ok(Ok(())) => break,
            Ok(Err(error)) => {
                report_once(format_args!(
                    "delivery cannot start ({error}); spans stay in the local spool"
                ));
                break;
            }
            Err(_) => {
                panics = if started.elapsed() < IN_A_ROW { panics + 1 } else { 1 };
                if panics == PANICS {
                    report_once(format_args!(
                        "delivery has failed {PANICS} times in a row and ends: a bug of \
                         throughline, please report it; spans stay in the local spool"
                    ));
                    break;
                }
                report_once(format_args!("delivery has failed and begins again: please report this"));
            }
        }
    }
    // Whoever asks from now on is answered at once, and so is who waits already.
    let shared = driver.shared().clone();
    shared.end();
    let report = shared.known().clone().outdated("delivery has ended");
    // A source that panics when dropped is as little of the host's business as one that panics
    // when read.
    let waiters = driver.release_all();
    drop(catch_unwind(AssertUnwindSafe(|| drop(driver))));
    for waiter in waiters {
        waiter.report(report.clone());
    }
}

fn run_once(driver: &mut Driver, transport: &mut Transport) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        // Names are looked up there, and files written.
        .max_blocking_threads(2)
        .thread_name("throughline-io")
        .thread_keep_alive(Duration::from_secs(1))
        .build()?;
    let runtime = Background(Some(runtime));
    if let Some(runtime) = &runtime.0 {
        runtime.block_on(driver.run(transport));
    }
    Ok(())
}

/// A runtime whose end does not wait for a name to be resolved, also when it ends by a panic.
struct Background(Option<tokio::runtime::Runtime>);

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
#[path = "thread_tests.rs"]
mod tests;
