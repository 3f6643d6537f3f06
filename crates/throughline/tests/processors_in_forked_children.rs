//! A span that was inherited over a fork is its process's: the child asks no processor about it.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use fork::Fork;
use throughline::{AnyValueView, Content, Redaction, SpanProcessor, SpanView, Verdict, span};
use throughline_testkit::Spool;

/// Writes each span it sees at its end to a file.
struct Log(PathBuf);

impl SpanProcessor for Log {
    fn on_end(&self, span: &SpanView<'_>) -> Verdict {
        let attributes: Vec<_> = span
            .attributes()
            .map(|(key, value)| format!("{key}={value:?}"))
            .collect();
        let line = format!("{} {attributes:?}\n", span.name());
        let file = OpenOptions::new().append(true).create(true).open(&self.0);
        file.and_then(|mut file| file.write_all(line.as_bytes()))
            .expect("a private file");
        Verdict::Keep
    }
}

#[test]
fn child_shows_its_parents_span_to_nobody() {
    let spool = Spool::new().expect("a private directory");
    let log = spool.home().join("log");
    let _tracing = throughline::builder("parent")
        .spool_dir(spool.path())
        .processor(Log(log.clone()))
        .redact(|content: &Content<'_>| match content {
            Content::Attribute(_, AnyValueView::Str(text)) if text.contains("secret") => Redaction::Remove,
            _ => Redaction::Keep,
        })
        .init();
    let mut span = span!("inherited", n = 1);
    span.set("note", "secret");
    match fork::fork().expect("a child") {
        Fork::Child => {
            drop(span);
            // Without a word to the test's harness, which is the parent's.
            std::process::abort();
        }
        Fork::Parent(child) => {
            let _status = fork::waitpid(child);
            span.end();
        }
    }
    let seen = fs::read_to_string(log).expect("the parent's span has ended");
    assert_eq!(seen, "inherited [\"n=I64(1)\"]\n");
}
