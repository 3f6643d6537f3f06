//! An exporter of somebody else gets every span; one that fails, hangs or panics harms nobody.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use throughline::export::{ExportBatch, ExportError, SpanExporter};
use throughline::{Destination, span};
use throughline_testkit::Spool;

type Log = Arc<Mutex<Vec<String>>>;

/// Notes what comes, and answers as it is told.
struct Exporter<F> {
    log: Log,
    answer: F,
}

impl<F: FnMut() -> Result<(), ExportError> + Send> SpanExporter for Exporter<F> {
    fn export(&mut self, batch: ExportBatch<'_>) -> Result<(), ExportError> {
        // Tracing of what delivery does would never end.
        span!("of the exporter").end();
        let answer = (self.answer)();
        if answer.is_ok() {
            let mut log = self.log.lock().expect("nobody panics with it");
            for exported in batch.spans() {
                let service = exported.resource.resource_attributes().get("service.name");
                let service = service.and_then(|value| value.as_str().map(str::to_owned));
                log.push(format!("{} {}", service.unwrap_or_default(), exported.span.name()));
            }
        }
        answer
    }

    fn flush(&mut self) {
        self.log.lock().expect("nobody panics with it").push("flush".to_owned());
    }

    fn shutdown(&mut self) {
        self.log
            .lock()
            .expect("nobody panics with it")
            .push("shutdown".to_owned());
    }
}

fn exporter(name: &str, answer: impl FnMut() -> Result<(), ExportError> + Send + 'static) -> (Destination, Log) {
    let log = Log::default();
    let exporter = Exporter {
        log: log.clone(),
        answer,
    };
    (Destination::exporter(name, exporter), log)
}

#[test]
fn exporter_that_fails_hangs_or_panics_harms_nobody() {
    let spool = Spool::new().expect("a private directory");
    let (well, log) = exporter("well", || Ok(()));
    let (rejecting, _) = exporter("rejecting", || Err(ExportError::rejected("no such account")));
    let mut attempts = 0;
    let (retrying, retried) = exporter("retrying", move || {
        attempts += 1;
        match attempts {
            1 => Err(ExportError::retry_after("not yet", Duration::from_millis(50))),
            _ => Ok(()),
        }
    });
    let (panicking, _) = exporter("panicking", || panic!("as the test wants it"));
    let (slow, _) = exporter("slow", || {
        std::thread::sleep(Duration::from_secs(20));
        Ok(())
    });
    let (twice, unused) = exporter("well", || Ok(()));
    let mut builder = throughline::builder("shop").spool_dir(spool.path());
    for destination in [well, rejecting, retrying, panicking, slow, twice] {
        builder = builder.destination(destination);
    }
    let tracing = builder.init();
    (0..10).for_each(|_| span!("work").end());
    let began = Instant::now();
    let report = tracing.flush(Duration::from_secs(3)).wait();
    assert!(began.elapsed() < Duration::from_secs(6), "a deadline is one");
    let each: Vec<_> = report
        .destinations()
        .map(|to| (to.name(), to.delivered(), to.pending(), to.dropped()))
        .collect();
    assert_eq!(
        each,
        [
            ("exporter well", 10, 0, 0),
            ("exporter rejecting", 0, 0, 10),
            ("exporter retrying", 10, 0, 0),
            ("exporter panicking", 0, 0, 10),
            ("exporter slow", 0, 10, 0),
        ],
        "{report}"
    );
    assert_eq!(report.started(), 10, "what an exporter does is not traced");
    let troubles: Vec<_> = report
        .destinations()
        .map(|to| to.trouble().unwrap_or_default())
        .collect();
    assert_eq!(troubles[..4], ["", "no such account", "", "it has panicked"]);
    let took = log.lock().expect("nobody panics with it").clone();
    assert_eq!(took.iter().filter(|line| *line == "shop work").count(), 10);
    assert_eq!(took.last().map(String::as_str), Some("flush"));
    assert_eq!(retried.lock().expect("nobody panics with it").len(), 11);
    assert!(
        unused.lock().expect("nobody panics with it").is_empty(),
        "the second of a name gets nothing"
    );

    drop(tracing.shutdown(Duration::from_secs(2)).wait());
    assert_eq!(
        log.lock().expect("nobody panics with it").last().map(String::as_str),
        Some("shutdown")
    );
}
