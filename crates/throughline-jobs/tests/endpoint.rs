//! The durable endpoint in one process: attempts, errors, metadata, limits.
#![cfg(feature = "endpoint")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;
use throughline::testing::{Capture, CapturedSpan, capture};
use throughline::{SpanId, SpanKind, TraceId, span};
use throughline_jobs::endpoint::{Endpoint, EndpointError, Entry, Metadata, Middleware, Processed, Select};
use throughline_jobs::{Request, RequestKey};

const KEY: &str = "4bf92f35-77b3-4da6-a3ce-929d0e0e4736:00f067aa0ba902b7";
const OTHER: &str = "11111111-2222-4333-8444-555555555555:1111111111111111";

fn key() -> RequestKey {
    KEY.parse().expect("a key")
}

fn file() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("queue");
    (directory, path)
}

fn processed(capture: &Capture) -> Vec<CapturedSpan> {
    capture
        .spans()
        .into_iter()
        .filter(|span| span.name() == "process report")
        .collect()
}

fn links(span: &CapturedSpan) -> Vec<SpanId> {
    span.links().filter_map(|link| link.span_id()).collect()
}

fn number(span: &CapturedSpan, key: &str) -> Option<i64> {
    span.attribute(key)?.as_i64()
}

fn text(span: &CapturedSpan, key: &str) -> Option<String> {
    Some(span.attribute(key)?.as_str()?.to_owned())
}

#[test]
fn attempts_are_children_of_the_request_and_linked_to_each_other() {
    let capture = capture();
    let (_directory, path) = file();
    let endpoint = Endpoint::builder("report").max_attempts(2).open(path).unwrap();
    Request::new(key(), "report.create")
        .serve()
        .run(|| endpoint.push(key(), b"42"))
        .unwrap();
    assert_eq!(
        endpoint.process_next(|_| Err::<(), _>("disk full")).unwrap(),
        Some(Processed::Retried)
    );
    assert_eq!(
        endpoint.process_next(|entry| entry.data() == b"42").unwrap(),
        Some(Processed::Succeeded)
    );
    assert_eq!(endpoint.process_next(|_| ()).unwrap(), None);
    capture.assert_tree("report.create\n  process report !\n  process report");
    let (request, attempts) = (capture.span("report.create"), processed(&capture));
    assert_eq!(request.kind(), SpanKind::Server);
    assert_eq!(request.trace_id().to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(request.parent_span_id(), Some(key().span_id()));
    assert_eq!(links(&attempts[0]), [request.span_id()]);
    assert_eq!(links(&attempts[1]), [request.span_id(), attempts[0].span_id()]);
    for (index, (attempt, success)) in attempts.iter().zip([false, true]).enumerate() {
        assert_eq!(attempt.kind(), SpanKind::Consumer);
        assert_eq!(number(attempt, "request.retries"), Some(index as i64));
        assert_eq!(number(attempt, "throughline.job.attempt"), Some(index as i64 + 1));
        assert_eq!(attempt.attribute("process.success").unwrap().as_bool(), Some(success));
        assert_eq!(
            text(attempt, "request.trace_id").as_deref(),
            Some("4bf92f35-77b3-4da6-a3ce-929d0e0e4736")
        );
        assert_eq!(text(attempt, "request.span_id").as_deref(), Some("00f067aa0ba902b7"));
        assert!(
            attempt
                .attribute("throughline.job.queue_wait")
                .unwrap()
                .as_f64()
                .unwrap()
                >= 0.0
        );
    }
}

#[test]
fn attempt_falls_back_to_the_request_key() {
    let capture = capture();
    let (_directory, path) = file();
    let endpoint = Endpoint::builder("report").open(path).unwrap();
    endpoint.push(key(), b"").unwrap();
    endpoint.process_next(|_| ()).unwrap();
    let attempt = capture.span("process report");
    assert_eq!(
        (attempt.trace_id(), attempt.parent_span_id()),
        (key().trace_id(), Some(key().span_id()))
    );
}

/// A file as somebody else may have left it: without, or with hostile metadata.
#[test]
fn metadata_that_is_hostile_or_absent_falls_back_to_the_request_key() {
    struct Hostile(&'static str);
    impl Middleware for Hostile {
        fn before_push(&self, _: RequestKey, _: &[u8]) -> Metadata {
            [("traceparent", self.0), ("throughline-job", "a=x")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into()
        }
    }
    let capture = capture();
    for hostile in ["00-zz", "", "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"] {
        let (_directory, path) = file();
        let endpoint = Endpoint::builder("report")
            .middleware(Hostile(hostile))
            .open(path)
            .unwrap();
        endpoint.push(key(), b"").unwrap();
        assert_eq!(endpoint.process_next(|_| ()).unwrap(), Some(Processed::Succeeded));
    }
    assert!(
        processed(&capture)
            .iter()
            .all(|attempt| attempt.parent_span_id() == Some(key().span_id()))
    );
}

#[test]
fn entry_survives_reopening_with_context_metadata_and_attempts() {
    let capture = capture();
    let (_directory, path) = file();
    let build = || {
        Endpoint::builder("report")
            .max_attempts(2)
            .middleware(Tenant("a"))
            .middleware(Tenant("b"))
    };
    {
        let endpoint = build().open(&path).unwrap();
        span!("receive").in_scope(|| endpoint.push(key(), b"42").unwrap());
        endpoint.process_next(|_| false).unwrap();
    }
    {
        let endpoint = build().open(&path).unwrap();
        let seen = Mutex::new(Vec::new());
        endpoint
            .process_next(|entry| {
                seen.lock().unwrap().push(entry.clone());
                false
            })
            .unwrap();
        let seen = seen.into_inner().unwrap();
        assert_eq!(
            (
                seen[0].metadata()["tenant"].as_str(),
                seen[0].metadata()["of a"].as_str()
            ),
            ("b", "yes")
        );
        assert_eq!(
            (seen[0].key(), seen[0].retries(), seen[0].context().attempts()),
            (key(), 1, 1)
        );
    }
    {
        let endpoint = build().open(&path).unwrap();
        let failed = endpoint.errors().inspect(Select::All).unwrap();
        assert_eq!(failed[0].reason(), Some("max attempts reached: _OTHER"));
        assert_eq!(failed[0].metadata()["tenant"], "b");
        assert_eq!(endpoint.errors().reprocess(Select::Key(key())).unwrap(), 1);
        endpoint.process_next(|_| true).unwrap();
    }
    capture.assert_tree("receive\n  process report !\n  process report !\n  process report");
    let attempts = processed(&capture);
    let numbers: Vec<_> = attempts
        .iter()
        .map(|span| number(span, "throughline.job.attempt").unwrap())
        .collect();
    let retries: Vec<_> = attempts
        .iter()
        .map(|span| number(span, "request.retries").unwrap())
        .collect();
    assert_eq!((numbers, retries), (vec![1, 2, 3], vec![0, 1, 0]));
    let expected = [
        capture.span("receive").span_id(),
        attempts[0].span_id(),
        attempts[1].span_id(),
    ];
    assert_eq!(links(&attempts[2]), expected);
    assert_eq!(
        text(&attempts[1], "throughline.job.reason").as_deref(),
        Some("max_attempts")
    );
}

struct Tenant(&'static str);

impl Middleware for Tenant {
    fn before_push(&self, _: RequestKey, _: &[u8]) -> Metadata {
        Metadata::from([
            ("tenant".to_owned(), self.0.to_owned()),
            (format!("of {}", self.0), "yes".to_owned()),
        ])
    }
}

#[test]
fn middlewares_see_each_attempt_in_its_span_and_may_panic() {
    type Seen = (String, Option<TraceId>);
    #[derive(Clone, Default)]
    struct Watch(Arc<Mutex<Vec<Seen>>>);
    impl Middleware for Watch {
        fn before_process(&self, entry: &Entry) {
            let trace = throughline::Context::current().trace_id();
            self.0
                .lock()
                .unwrap()
                .push((format!("before {}", entry.retries()), trace));
        }

        fn after_process(&self, _: &Entry, success: bool) {
            let trace = throughline::Context::current().trace_id();
            self.0.lock().unwrap().push((format!("after {success}"), trace));
        }
    }
    struct Panics;
    impl Middleware for Panics {
        fn before_push(&self, _: RequestKey, _: &[u8]) -> Metadata {
            panic!("before push")
        }

        fn before_process(&self, _: &Entry) {
            panic!("before process")
        }
    }
    struct Huge;
    impl Middleware for Huge {
        fn before_push(&self, _: RequestKey, _: &[u8]) -> Metadata {
            Metadata::from([("huge".to_owned(), "x".repeat(1 << 20))])
        }
    }
    let _capture = capture();
    let (_directory, path) = file();
    let watch = Watch::default();
    let builder = Endpoint::builder("report")
        .middleware(Panics)
        .middleware(Huge)
        .middleware(watch.clone());
    let endpoint = builder.open(path).unwrap();
    endpoint.push(key(), b"").unwrap();
    assert_eq!(
        endpoint.pending().unwrap()[0].metadata().len(),
        2,
        "the context, and nothing huge"
    );
    endpoint.process_next(|_| ()).unwrap();
    let trace = Some(key().trace_id());
    assert_eq!(
        *watch.0.lock().unwrap(),
        [("before 0".to_owned(), trace), ("after true".to_owned(), trace)]
    );
}

#[test]
fn error_queue_is_inspected_popped_cleared_and_reprocessed_one_or_all() {
    let _capture = capture();
    let (_directory, path) = file();
    let endpoint = Endpoint::builder("report").open(path).unwrap();
    let fill = || {
        for (key, data) in [(KEY, "1"), (OTHER, "2"), (KEY, "3")] {
            endpoint.push(key.parse().unwrap(), data.as_bytes()).unwrap();
            endpoint.process_next(|_| false).unwrap();
        }
        endpoint.errors().inspect(Select::All).unwrap()
    };
    let data = |entries: &[Entry]| -> Vec<String> {
        entries
            .iter()
            .map(|entry| String::from_utf8_lossy(entry.data()).into_owned())
            .collect()
    };
    let errors = endpoint.errors();

    let failed = fill();
    assert_eq!(data(&failed), ["1", "2", "3"]);
    assert_eq!(data(&errors.inspect(Select::Id(failed[1].id())).unwrap()), ["2"]);
    assert_eq!(data(&errors.inspect(Select::Key(key())).unwrap()), ["1", "3"]);
    assert_eq!(data(&errors.pop(Select::Id(failed[1].id())).unwrap()), ["2"]);
    assert_eq!(data(&errors.pop(Select::Id(failed[1].id())).unwrap()), [""; 0]);
    assert_eq!(data(&errors.pop(Select::All).unwrap()), ["1", "3"]);

    let failed = fill();
    assert_eq!(errors.clear(Select::Id(failed[0].id())).unwrap(), 1);
    assert_eq!(errors.clear(Select::All).unwrap(), 2);
    assert_eq!(endpoint.counts().unwrap().errors, 0);

    let failed = fill();
    assert_eq!(errors.reprocess(Select::Id(failed[2].id())).unwrap(), 1);
    assert_eq!(data(&endpoint.pending().unwrap()), ["3"]);
    assert_eq!(errors.reprocess(Select::All).unwrap(), 2);
    assert_eq!(data(&endpoint.pending().unwrap()), ["3", "1", "2"]);
    let counts = endpoint.counts().unwrap();
    assert_eq!((counts.pending, counts.errors), (3, 0));
}

#[test]
fn full_endpoint_refuses_and_full_error_queue_evicts_both_counted() {
    let _capture = capture();
    let (_directory, path) = file();
    let endpoint = Endpoint::builder("report")
        .capacity(2)
        .error_capacity(1)
        .max_bytes(3)
        .open(path)
        .unwrap();
    assert!(matches!(
        endpoint.push(key(), b"1234"),
        Err(EndpointError::TooLarge { bytes: 4, max: 3 })
    ));
    endpoint.push(key(), b"1").unwrap();
    endpoint.push(key(), b"2").unwrap();
    assert!(matches!(
        endpoint.push(key(), b"3"),
        Err(EndpointError::Full { capacity: 2 })
    ));
    assert_eq!(endpoint.counts().unwrap().refused, 2);
    for _ in 0..2 {
        endpoint.process_next(|_| false).unwrap();
    }
    let counts = endpoint.counts().unwrap();
    assert_eq!((counts.pending, counts.errors, counts.evicted), (0, 1, 1));
    assert_eq!(
        endpoint.errors().inspect(Select::All).unwrap()[0].data(),
        b"2",
        "the oldest goes"
    );
    endpoint.push(key(), b"4").unwrap();
    endpoint.push(key(), b"5").unwrap();
    assert_eq!(
        endpoint.errors().reprocess(Select::All).unwrap(),
        0,
        "no room: it stays"
    );
    assert_eq!(endpoint.counts().unwrap().errors, 1);
}

#[test]
fn newest_failure_stays_whichever_was_pushed_first() {
    let _capture = capture();
    let (_directory, path) = file();
    let builder = Endpoint::builder("report").error_capacity(1);
    let endpoint = builder.open(path).unwrap();
    endpoint.push(key(), b"first").unwrap();
    endpoint.push(key(), b"second").unwrap();
    // The second one fails while the first is still at work.
    let fails_late = |_: &Entry| {
        assert_eq!(endpoint.process_next(|_| false).unwrap(), Some(Processed::Failed));
        false
    };
    assert_eq!(endpoint.process_next(fails_late).unwrap(), Some(Processed::Failed));
    let failed = endpoint.errors().inspect(Select::All).unwrap();
    assert_eq!((failed.len(), failed[0].data()), (1, &b"first"[..]));
    assert_eq!(endpoint.counts().unwrap().evicted, 1);
}

#[test]
fn counts_of_refused_and_evicted_survive_a_restart() {
    let _capture = capture();
    let (_directory, path) = file();
    let build = || Endpoint::builder("report").capacity(1).error_capacity(1).max_bytes(3);
    for round in 1..=3 {
        let endpoint = build().open(&path).unwrap();
        for _ in 0..2 {
            endpoint.push(key(), b"1").unwrap();
            assert!(endpoint.push(key(), b"2").is_err(), "it is full");
            assert!(endpoint.push(key(), b"long").is_err(), "it is too large");
            endpoint.process_next(|_| false).unwrap();
        }
        let counts = endpoint.counts().unwrap();
        assert_eq!((counts.refused, counts.evicted), (4 * round, 2 * round - 1));
    }
}

#[test]
fn handler_that_panics_has_failed_and_the_worker_goes_on() {
    let capture = capture();
    let (_directory, path) = file();
    let endpoint = Endpoint::builder("report").max_attempts(2).open(path).unwrap();
    endpoint.push(key(), b"").unwrap();
    let worker = catch_unwind(AssertUnwindSafe(|| endpoint.process_next::<()>(|_| panic!("broken"))));
    assert_eq!(worker.unwrap().unwrap(), Some(Processed::Retried));
    assert_eq!(
        endpoint.process_next::<()>(|_| panic!("broken")).unwrap(),
        Some(Processed::Failed)
    );
    let failed = endpoint.errors().inspect(Select::All).unwrap();
    assert_eq!(failed[0].reason(), Some("max attempts reached: the handler panicked"));
    assert!(processed(&capture).iter().all(CapturedSpan::is_error));
    assert_eq!(
        processed(&capture)[0].attribute("process.success").unwrap().as_bool(),
        Some(false)
    );
}

#[test]
fn several_threads_process_each_entry_once() {
    let _capture = capture();
    let (_directory, path) = file();
    let endpoint = Endpoint::builder("report").open(path).unwrap();
    for number in 0..20_u8 {
        endpoint.push(key(), &[number]).unwrap();
    }
    let seen = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while endpoint
                    .process_next(|entry| seen.lock().unwrap().push(entry.data()[0]))
                    .unwrap()
                    .is_some()
                {}
            });
        }
    });
    let mut seen = seen.into_inner().unwrap();
    seen.sort_unstable();
    assert_eq!(seen, (0..20).collect::<Vec<_>>());
}

#[test]
fn second_process_is_refused_with_a_message() {
    let _capture = capture();
    let (_directory, path) = file();
    let _first = Endpoint::builder("report").open(&path).unwrap();
    let second = Endpoint::builder("report").open(&path).unwrap_err();
    assert!(second.to_string().contains("already open"), "{second}");
}
