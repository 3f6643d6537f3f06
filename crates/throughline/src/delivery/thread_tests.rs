use std::collections::VecDeque;
use std::net::TcpListener;
use std::task::{Context, Poll, Wake, Waker};

use http::HeaderMap;
use throughline_testkit::{Answer, Receiver, Request as Received, sample};

use super::*;
use crate::config::{Endpoint, Otlp};
use crate::delivery::report::Accounts;
use crate::delivery::source::{Batch, BatchLimits, Owner, Pending};
use crate::destination::{BearerToken, TokenSource};

const SECOND: Duration = Duration::from_secs(1);
/// How much later than its time a thing may be seen to end: far less than what it would wait for if it were wrong.
const LATE: Duration = Duration::from_secs(5);

/// A spool in memory: spans are names.
#[derive(Clone, Default)]
struct List(Arc<Mutex<Spans>>);

#[derive(Default)]
struct Spans {
    own: VecDeque<String>,
    /// Of processes that have died: found when looked for.
    orphans: VecDeque<String>,
    adopted: VecDeque<String>,
    delivered: u64,
    rejected: u64,
    rejected_bodies: Vec<Vec<u8>>,
    /// So many calls of `next_batch` panic.
    panics: u32,
    /// Whether a call came where tracing is not suppressed.
    traced: bool,
    /// `next_batch` takes so long: a disk that hangs.
    stall: Duration,
}

impl List {
    fn of(count: usize) -> Self {
        let list = Self::default();
        list.add(count);
        list
    }

    fn add(&self, count: usize) {
        let mut spans = self.lock();
        for index in 0..count {
            spans.own.push_back(format!("own {index}"));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Spans> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source for List {
    fn pending(&mut self) -> Pending {
        self.lock().traced |= !throughline_context::ids().is_suppressed();
        let spans = self.lock().own.len() as u64;
        Pending {
            spans,
            bytes: spans * 100,
        }
    }

    fn accounts(&mut self) -> Accounts {
        let spans = self.lock();
        let rejected = Some(("rejected", spans.rejected)).filter(|(_, count)| *count > 0);
        Accounts {
            delivered: spans.delivered,
            pending: spans.own.len() as u64,
            in_memory: 0,
            dropped: rejected.into_iter().collect(),
        }
    }

    fn next_batch(&mut self, of: Owner, limits: &BatchLimits) -> Option<Batch> {
        let mut spans = self.lock();
        if spans.panics > 0 {
            spans.panics -= 1;
            panic!("ordered by the test");
        }
        let stall = spans.stall;
        let own = of == Owner::Own;
        let queue = if own { &spans.own } else { &spans.adopted };
        let names: Vec<&str> = queue.iter().take(limits.spans).map(String::as_str).collect();
        let batch = (!names.is_empty()).then(|| Batch {
            body: sample::request(&names),
            spans: names.len() as u64,
            token: own.into(),
        });
        drop(spans);
        std::thread::sleep(stall);
        batch
    }

    fn delivered(&mut self, batch: &Batch, rejected: u64) {
        let mut spans = self.lock();
        let count = batch.spans as usize;
        if batch.token == 1 {
            spans.own.drain(..count);
            spans.delivered += batch.spans - rejected;
            spans.rejected += rejected;
        } else {
            spans.adopted.drain(..count);
        }
    }

    fn rejected(&mut self, batch: &Batch, _reason: &str) {
        let mut spans = self.lock();
        spans.own.drain(..batch.spans as usize);
        spans.rejected += batch.spans;
        spans.rejected_bodies.push(batch.body.clone());
    }

    fn adopt(&mut self) {
        let mut spans = self.lock();
        let orphans = std::mem::take(&mut spans.orphans);
        spans.adopted.extend(orphans);
    }
}

fn delivery(endpoint: &str, list: &List) -> Delivery {
    let endpoint = Endpoint::from_base(endpoint).unwrap();
    let destination = Destination::Otlp(Box::new(Otlp::new(endpoint, HeaderMap::new(), Some(10 * SECOND))));
    Delivery::start(&destination, BatchSettings::default(), Box::new(list.clone()))
}

fn refusing() -> String {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    format!("http://{address}")
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let started = Instant::now();
    let result = work();
    (result, started.elapsed())
}

/// Awaits with no runtime at all.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[test]
fn flush_delivers_everything_with_and_without_any_runtime() {
    let current = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let multi = |workers| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(workers)
            .build()
            .unwrap()
    };
    type Way = (&'static str, Box<dyn Fn(&Delivery) -> DestinationReport>);
    let ways: Vec<Way> = vec![
        ("blocking, no runtime", Box::new(|d| d.flush(5 * SECOND).wait())),
        ("awaited, no runtime", Box::new(|d| block_on(d.flush(5 * SECOND)))),
        (
            "blocking inside current_thread",
            Box::new(move |d| current().block_on(async { d.flush(5 * SECOND).wait() })),
        ),
        (
            "awaited inside current_thread",
            Box::new(move |d| current().block_on(d.flush(5 * SECOND))),
        ),
        (
            "blocking in a task of the only worker",
            Box::new(move |d| {
                let flush = d.flush(5 * SECOND);
                let runtime = multi(1);
                runtime.block_on(runtime.spawn(async { flush.wait() })).unwrap()
            }),
        ),
        (
            "awaited in a task of many workers",
            Box::new(move |d| {
                let flush = d.flush(5 * SECOND);
                let runtime = multi(4);
                runtime.block_on(runtime.spawn(flush)).unwrap()
            }),
        ),
        (
            "after a runtime was dropped",
            Box::new(move |d| {
                let runtime = current();
                let inside = runtime.enter();
                let flush = d.flush(5 * SECOND);
                drop(inside);
                drop(runtime);
                flush.wait()
            }),
        ),
    ];
    for (name, way) in ways {
        let receiver = Receiver::start().unwrap();
        let list = List::of(10);
        let report = way(&delivery(&receiver.endpoint(), &list));
        assert_eq!((report.delivered(), report.pending()), (10, 0), "{name}: {report}");
        assert!(report.is_complete(), "{name}");
        assert_eq!(receiver.spans().len(), 10, "{name}");
    }
}

#[test]
fn delivery_started_inside_a_runtime_outlives_it() {
    let receiver = Receiver::start().unwrap();
    let list = List::default();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let delivery = runtime.block_on(async { delivery(&receiver.endpoint(), &list) });
    drop(runtime);
    list.add(10);
    assert!(delivery.flush(5 * SECOND).wait().is_complete());
}

#[test]
fn flush_does_not_hold_up_the_runtime_it_is_awaited_in() {
    let receiver = Receiver::with(|request| Answer::to(request).delay(SECOND / 5)).unwrap();
    let delivery = delivery(&receiver.endpoint(), &List::of(1));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let ticks = std::rc::Rc::new(std::cell::Cell::new(0));
    let local = tokio::task::LocalSet::new();
    let counted = ticks.clone();
    let report = local.block_on(&runtime, async {
        tokio::task::spawn_local(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(5)).await;
                counted.set(counted.get() + 1);
            }
        });
        delivery.flush(5 * SECOND).await
    });
    assert!(report.is_complete());
    assert!(ticks.get() > 5, "{} ticks", ticks.get());
}

#[test]
fn spans_are_delivered_with_nobody_waiting() {
    let receiver = Receiver::start().unwrap();
    let list = List::default();
    let _delivery = delivery(&receiver.endpoint(), &list);
    list.add(10);
    // The first spans go at once.
    assert_eq!(receiver.wait_for(10, 3 * SECOND).unwrap().len(), 10);
}

#[test]
fn flush_ends_when_all_is_settled_not_when_its_time_is_up() {
    let receiver = Receiver::start().unwrap();
    let list = List::of(1000);
    let (report, took) = timed(|| delivery(&receiver.endpoint(), &list).flush(600 * SECOND).wait());
    assert!(report.is_complete(), "{report}");
    assert!(took < 60 * SECOND, "{took:?}");
}

#[test]
fn flush_ends_by_its_deadline_whatever_the_backend_does() {
    let within = SECOND / 2;
    let silent = Receiver::with(|_| Answer::hang()).unwrap();
    let slow = Receiver::with(|request| Answer::to(request).delay(60 * SECOND)).unwrap();
    let failing = Receiver::with(|_| Answer::status(503)).unwrap();
    let resetting = Receiver::with(|_| Answer::reset()).unwrap();
    for (name, endpoint) in [
        ("silent", silent.endpoint()),
        ("slow", slow.endpoint()),
        ("failing", failing.endpoint()),
        ("resetting", resetting.endpoint()),
        ("refusing", refusing()),
        ("unknown", "http://name.invalid".to_owned()),
    ] {
        for blocking in [true, false] {
            let delivery = delivery(&endpoint, &List::of(10));
            let (report, took) = timed(|| match blocking {
                true => delivery.flush(within).wait(),
                false => block_on(delivery.flush(within)),
            });
            assert!(took <= within + LATE, "{name}: {took:?}");
            assert_eq!((report.delivered(), report.pending()), (0, 10), "{name}: {report}");
            assert!(!report.is_complete());
            let (report, took) = timed(|| delivery.shutdown(within).wait());
            assert!(took <= within + LATE, "{name}: {took:?}");
            assert_eq!(report.pending(), 10, "{name}: {report}");
        }
    }
}

#[test]
fn report_says_why_spans_are_pending() {
    let silent = Receiver::with(|_| Answer::hang()).unwrap();
    for (endpoint, why) in [
        (refusing(), "connection refused: nothing listens on this port"),
        (silent.endpoint(), "no answer yet"),
    ] {
        let delivery = delivery(&endpoint, &List::of(3));
        assert_eq!(
            delivery.flush(SECOND / 5).wait().to_string(),
            format!("0 spans delivered to {endpoint}/v1/traces, 3 pending in the local spool: {why}")
        );
    }
}

#[test]
fn flush_waits_for_a_backend_that_comes_back_in_time() {
    let mut receiver = Receiver::start().unwrap();
    receiver.stop();
    let delivery = delivery(&receiver.endpoint(), &List::of(10));
    let flush = delivery.flush(10 * SECOND);
    receiver.restart().unwrap();
    let report = flush.wait();
    assert!(report.is_complete(), "{report}");
}

#[test]
fn token_source_that_blocks_holds_up_no_flush_and_is_asked_once() {
    let receiver = Receiver::start().unwrap();
    let asked = Arc::new(Mutex::new(0));
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let source = {
        let (asked, wait) = (asked.clone(), Arc::new(Mutex::new(wait)));
        TokenSource::new(move || {
            let (asked, wait) = (asked.clone(), wait.clone());
            async move {
                *asked.lock().unwrap() += 1;
                // Not as it should be in an async block.
                let _told = wait.lock().unwrap().recv();
                Ok::<_, std::io::Error>(BearerToken::new("late"))
            }
        })
    };
    let otlp = Otlp {
        token: Some(source),
        ..Otlp::new(
            Endpoint::from_base(&receiver.endpoint()).unwrap(),
            HeaderMap::new(),
            Some(SECOND / 4),
        )
    };
    let to = Destination::Otlp(Box::new(otlp));
    let delivery = Delivery::start(&to, BatchSettings::default(), Box::new(List::of(3)));
    let (report, took) = timed(|| block_on(delivery.flush(SECOND / 2)));
    assert!(took < SECOND / 2 + LATE, "{took:?}");
    assert_eq!((report.pending(), *asked.lock().unwrap()), (3, 1), "{report}");
    go_on.send(()).unwrap();
    let report = delivery.flush(LATE).wait();
    assert!(report.is_complete(), "{report}");
    assert_eq!(*asked.lock().unwrap(), 1);
    assert_eq!(receiver.requests()[0].header("authorization"), Some("Bearer late"));
}

#[test]
fn where_waiting_is_no_use_a_flush_does_not_wait() {
    for answer in [Answer::status(401), Answer::status(429).retry_after(60 * SECOND)] {
        let receiver = Receiver::with(move |_| answer.clone()).unwrap();
        let delivery = delivery(&receiver.endpoint(), &List::of(1));
        let (report, took) = timed(|| delivery.flush(60 * SECOND).wait());
        assert!(took < 60 * SECOND - LATE, "{took:?}");
        assert_eq!(report.pending(), 1, "{report}");
        assert_eq!(receiver.requests().len(), 1);
    }
}

#[test]
fn end_of_a_program_is_held_up_no_longer_than_is_worth_it() {
    let healthy = Receiver::start().unwrap();
    let slow = Receiver::with(|request| Answer::to(request).delay(60 * SECOND)).unwrap();
    let failing = Receiver::with(|_| Answer::status(503)).unwrap();
    let at_once = LATE;
    for (name, endpoint, longest, pending) in [
        ("healthy", healthy.endpoint(), at_once, 0),
        ("slow", slow.endpoint(), at_once, 10),
        ("failing", failing.endpoint(), at_once, 10),
        ("refusing", refusing(), at_once, 10),
    ] {
        let delivery = delivery(&endpoint, &List::of(10));
        let (report, took) = timed(|| delivery.exit().wait());
        assert!(took <= longest, "{name}: {took:?}");
        assert_eq!(report.pending(), pending, "{name}: {report}");
        // Known to be down: no further attempt.
        if name == "failing" {
            let (_, took) = timed(|| delivery.exit().wait());
            assert!(took <= at_once, "{name}: {took:?}");
            assert_eq!(failing.requests().len(), 1);
        }
    }
}

#[test]
fn spans_that_come_during_a_flush_do_not_prolong_it() {
    let list = List::of(512);
    let more = list.clone();
    let receiver = Receiver::with(move |request: &Received| {
        more.add(512);
        Answer::to(request)
    })
    .unwrap();
    let report = delivery(&receiver.endpoint(), &list).flush(5 * SECOND).wait();
    // The thread may have begun before it was asked to: then there were 1024 spans at that moment.
    assert!([512, 1024].contains(&report.delivered()), "{report}");
    assert!(report.pending() >= 512, "{report}");
}

#[test]
fn what_the_backend_refuses_is_counted_and_kept_aside_and_does_not_block_the_rest() {
    let answers = |request: &Received| match request.number {
        1 => Answer::status(400).message("bad"),
        2 => Answer::partial(5, "late"),
        _ => Answer::to(request),
    };
    let receiver = Receiver::with(answers).unwrap();
    let list = List::of(1500);
    let report = delivery(&receiver.endpoint(), &list).flush(5 * SECOND).wait();
    assert_eq!((report.delivered(), report.pending(), report.dropped()), (983, 0, 517));
    assert_eq!(report.dropped_by_reason().collect::<Vec<_>>(), [("rejected", 517)]);
    let requests = receiver.requests();
    assert_eq!(requests.len(), 3);
    assert_eq!(list.lock().rejected_bodies, [requests[0].body.to_vec()]);
}

#[test]
fn batch_that_is_too_large_arrives_in_parts() {
    let answers = |request: &Received| match request.body.len() {
        0..4000 => Answer::to(request),
        _ => Answer::status(413),
    };
    let receiver = Receiver::with(answers).unwrap();
    let report = delivery(&receiver.endpoint(), &List::of(512)).flush(5 * SECOND).wait();
    assert_eq!(report.delivered(), 512, "{report}");
    assert_eq!(receiver.spans().len(), 512);
}

#[test]
fn spans_of_dead_processes_follow_the_own_ones() {
    let receiver = Receiver::start().unwrap();
    let list = List::of(1);
    list.lock().orphans = (0..600).map(|index| format!("orphan {index}")).collect();
    let delivery = delivery(&receiver.endpoint(), &list);
    let spans = receiver.wait_for(601, 5 * SECOND).unwrap();
    assert_eq!(spans[0].name, "own 0");
    let report = delivery.flush(SECOND).wait();
    assert_eq!(report.delivered(), 1, "another process's spans are not this one's");
}

#[test]
fn end_of_a_program_sends_what_dead_ones_left_where_the_backend_has_taken_its_own() {
    for (own, shuts_down) in [(1, false), (1, true), (0, false), (0, true)] {
        let receiver = Receiver::start().unwrap();
        let list = List::of(own);
        list.lock().orphans = (0..100).map(|index| format!("orphan {index}")).collect();
        let delivery = delivery(&receiver.endpoint(), &list);
        let reports = match shuts_down {
            true => [delivery.shutdown(LATE).wait()].to_vec(),
            false => [delivery.flush(LATE).wait(), delivery.leftovers().wait()].to_vec(),
        };
        assert!(reports.iter().all(DestinationReport::is_complete), "{reports:?}");
        assert_eq!(
            receiver.spans().len(),
            if own > 0 { 101 } else { 0 },
            "{own} {shuts_down}"
        );
    }
}

#[test]
fn shutdown_waits_for_what_dead_ones_left_only_shortly() {
    let receiver = Receiver::with(|request| match request.number {
        1 => Answer::to(request),
        _ => Answer::hang(),
    });
    let receiver = receiver.unwrap();
    let list = List::of(1);
    list.lock().orphans = (0..600).map(|index| format!("orphan {index}")).collect();
    let (report, took) = timed(|| delivery(&receiver.endpoint(), &list).shutdown(60 * SECOND).wait());
    assert!(report.is_complete(), "its own are there: {report}");
    assert!(took < LATE, "{took:?}");
}

#[test]
fn after_a_shutdown_the_thread_is_gone_and_a_flush_says_so() {
    let receiver = Receiver::start().unwrap();
    let list = List::of(1);
    let delivery = delivery(&receiver.endpoint(), &list);
    assert!(delivery.shutdown(5 * SECOND).wait().is_complete());
    let (report, took) = timed(|| delivery.flush(60 * SECOND).wait());
    assert!(took < 60 * SECOND - LATE, "{took:?}");
    assert!(report.trouble().is_some(), "{report}");
}

#[test]
fn nothing_on_the_thread_is_traced() {
    let receiver = Receiver::start().unwrap();
    let list = List::of(1);
    // A panic in between must not end the suppression.
    list.lock().panics = 1;
    assert!(
        delivery(&receiver.endpoint(), &list)
            .flush(5 * SECOND)
            .wait()
            .is_complete()
    );
    assert!(!list.lock().traced);
}

#[test]
fn panic_on_the_thread_is_survived() {
    let receiver = Receiver::start().unwrap();
    let list = List::of(10);
    list.lock().panics = PANICS - 1;
    let report = delivery(&receiver.endpoint(), &list).flush(5 * SECOND).wait();
    assert!(report.is_complete(), "{report}");
}

#[test]
fn when_every_attempt_panics_the_waiters_are_told_and_nobody_hangs() {
    let receiver = Receiver::start().unwrap();
    let list = List::of(10);
    list.lock().panics = u32::MAX;
    let delivery = delivery(&receiver.endpoint(), &list);
    for blocking in [true, false] {
        let (report, took) = timed(|| match blocking {
            true => delivery.flush(60 * SECOND).wait(),
            false => block_on(delivery.flush(60 * SECOND)),
        });
        assert!(took < 60 * SECOND - LATE, "{took:?}");
        assert_eq!(report.trouble(), Some("delivery has ended"), "{report}");
    }
}

#[test]
fn thread_that_is_stuck_does_not_keep_a_blocked_caller() {
    let receiver = Receiver::start().unwrap();
    let list = List::of(10);
    list.lock().stall = 2 * SECOND;
    let delivery = delivery(&receiver.endpoint(), &list);
    let within = SECOND / 5;
    let (report, took) = timed(|| delivery.flush(within).wait());
    assert!(took <= within + LATE, "{took:?}");
    assert_eq!(report.trouble(), Some("the delivery thread did not answer in time"));
}

#[test]
fn endless_deadlines_are_no_overflow() {
    let receiver = Receiver::start().unwrap();
    let report = delivery(&receiver.endpoint(), &List::of(1)).flush(Duration::MAX).wait();
    assert!(report.is_complete());
}
