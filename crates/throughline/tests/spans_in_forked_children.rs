//! A span that was inherited over a fork is its process's: what the child sets is ignored, and nothing of it is read.

#![cfg(unix)]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};

use fork::Fork;
use throughline::{StatusCode, span};
use throughline_testkit::{Receiver, Spool};

#[test]
fn child_sets_nothing_on_a_span_that_its_parent_goes_on_writing() {
    let spool = Spool::new().expect("a private directory");
    let receiver = Receiver::start().expect("loopback has a free port");
    let tracing = throughline::builder("parent")
        .spool_dir(spool.path())
        .endpoint(receiver.endpoint())
        .init();
    let said = spool.home().join("said");
    let (mut parents, mut childs) = UnixStream::pair().expect("two ends");
    let mut span = span!("inherited", a = "x", b = "x".repeat(60));
    match fork::fork().expect("a child") {
        Fork::Child => {
            // The parent has written: what the child knows of the span's length holds no more.
            let _ = childs.read_exact(&mut [0]);
            let result = catch_unwind(AssertUnwindSafe(|| {
                span.set("b", "the child's");
                span.set("c", "the child's");
                span.rename("the child's");
                span.event("the child's", []);
                span.status_error("the child's");
                span.is_recording()
            }));
            let _ = fs::write(&said, format!("{result:?}"));
            // Without a word to the test's harness, which is the parent's.
            std::process::abort();
        }
        Fork::Parent(child) => {
            span.set("a", "y".repeat(40));
            span.set("b", "y");
            parents.write_all(&[1]).expect("the child waits");
            let _status = fork::waitpid(child);
        }
    }
    span.end();
    drop(tracing);
    assert_eq!(fs::read_to_string(said).expect("the child says it"), "Ok(false)");
    let spans = receiver.spans();
    assert_eq!(spans.len(), 1);
    assert_eq!((spans[0].name.as_str(), spans[0].events.len()), ("inherited", 0));
    let status = spans[0].status.as_ref().map_or(0, |status| status.code);
    assert_eq!(status, StatusCode::Unset as i32);
}
