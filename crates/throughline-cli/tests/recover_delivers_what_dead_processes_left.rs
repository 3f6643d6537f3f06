//! `throughline recover`: what processes left that could not deliver.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use common::terminal::Terminal;
use common::{only_span, run, throughline};
use serde_json::Value;
use throughline_spool::{Archive, Limits, Moment, Root};
use throughline_testkit::{Answer, Receiver, Spool};

/// A spool with a span that waits for this receiver, which is stopped, and one that is local.
fn left_for(receiver: &mut Receiver) -> Spool {
    let spool = Spool::new().unwrap();
    receiver.stop();
    run(&spool, &["run", "--service", "local", "true"]).expect_success();
    let program = throughline(&spool, &["run", "--service", "shop", "true"]);
    let program = program.env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint());
    program.run().unwrap().expect_success();
    spool
}

#[test]
fn recover_lists_what_is_left_and_for_which_backend() {
    let spool = Spool::new().unwrap();
    let nothing = run(&spool, &["recover"]).expect_success().stdout;
    assert!(
        nothing.starts_with("No undelivered spans of ended processes in"),
        "{nothing}"
    );

    let mut receiver = Receiver::start().unwrap();
    let spool = left_for(&mut receiver);
    let listed = run(&spool, &["recover"]).expect_success().stdout;
    assert!(listed.starts_with("1 span of ended processes"), "{listed}");
    assert!(listed.contains("shop") && !listed.contains("local "), "{listed}");
    assert!(
        listed.contains(&format!("{}/v1/traces", receiver.endpoint())),
        "{listed}"
    );

    let listed = run(&spool, &["recover", "--list", "--json"]).expect_success().stdout;
    let left: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(
        (&left["service"], &left["spans"], &left["processes"]),
        (&"shop".into(), &1.into(), &1.into())
    );
}

#[test]
fn lost_spans_are_told_by_ls_and_recover() {
    let mut receiver = Receiver::start().unwrap();
    let spool = left_for(&mut receiver);
    for arguments in [&["ls"][..], &["recover", "--list"]] {
        let told = run(&spool, arguments).expect_success().stdout;
        assert!(!told.contains("lost"), "{told}");
    }
    // Nothing may wait any more.
    let limits = Limits {
        pending: 0,
        ..Limits::default()
    };
    let mut archive = Archive::new(&Root::open(spool.path()).unwrap(), limits);
    while archive.step(Moment::now(), 16).unwrap().has_more {}
    for arguments in [&["ls"][..], &["recover", "--list"]] {
        let told = run(&spool, arguments).expect_success().stdout;
        let last = told.lines().last().unwrap();
        assert!(last.starts_with("1 span was lost since 20"), "{told}");
        assert!(last.ends_with(": 1 to keep the spool within its size."), "{told}");
    }
}

#[test]
fn recover_delivers_each_undelivered_span_once() {
    let mut receiver = Receiver::start().unwrap();
    let spool = left_for(&mut receiver);
    let span_id = only_span(&spool)["spanId"].as_str().unwrap().to_owned();
    receiver.restart().unwrap();
    for delivered in ["Delivered 1 span to ", "Delivered 0 spans to "] {
        let recovered = run(&spool, &["recover", "--to", &receiver.endpoint()]).expect_success();
        assert!(
            recovered.stdout.starts_with(delivered) && recovered.stderr.is_empty(),
            "{recovered}"
        );
    }
    let received: Vec<_> = receiver.spans().iter().map(|span| span.span_id()).collect();
    assert_eq!(received, [span_id]);
    let listed = run(&spool, &["recover", "--list"]).expect_success().stdout;
    assert!(listed.starts_with("No undelivered spans"), "{listed}");
}

#[test]
fn recover_tells_why_a_backend_takes_nothing() {
    let mut receiver = Receiver::start().unwrap();
    let spool = left_for(&mut receiver);
    let recovered = run(&spool, &["recover", "--to", &receiver.endpoint()]);
    assert_eq!(recovered.code, Some(1), "{recovered}");
    assert!(
        recovered.stdout.contains("\nNot delivered: 1 span: connection refused"),
        "{recovered}"
    );
}

#[test]
fn recover_says_a_problem_once_however_often_it_looks() {
    let mut receiver = Receiver::start().unwrap();
    let spool = left_for(&mut receiver);
    let damaged = spool.path().join("20260101T000000.000Z-1-0123456789abcdef");
    fs::create_dir(&damaged).unwrap();
    fs::set_permissions(&damaged, fs::Permissions::from_mode(0o700)).unwrap();
    for file in ["lock", "manifest"] {
        fs::write(damaged.join(file), "no manifest").unwrap();
        fs::set_permissions(damaged.join(file), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let recovered = run(&spool, &["recover", "--to", &receiver.endpoint()]);
    let told = recovered
        .stderr
        .lines()
        .filter(|line| line.contains("0123456789abcdef"));
    assert_eq!(told.count(), 1, "{recovered}");
}

#[test]
fn recover_shows_progress_on_a_terminal() {
    let mut receiver = Receiver::start().unwrap();
    let spool = left_for(&mut receiver);
    let arguments = ["recover", "--to", &receiver.endpoint()];
    let (code, shown) = Terminal::run(&spool, env!("CARGO_BIN_EXE_throughline"), &arguments).finish();
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("\r0 of 1 span delivered\x1b[K"), "{shown:?}");
}

#[test]
fn recover_refuses_a_header_without_an_endpoint() {
    let spool = Spool::new().unwrap();
    let refused = run(&spool, &["recover", "--header", "a=b"]);
    assert_eq!((refused.code, &*refused.stdout), (Some(2), ""), "{refused}");
    assert!(
        refused
            .stderr
            .contains("--header is given without an endpoint: add --to URL"),
        "{refused}"
    );
}

#[test]
fn recover_sends_to_another_backend_only_when_told() {
    let mut receiver = Receiver::start().unwrap();
    let spool = left_for(&mut receiver);
    let other = Receiver::start().unwrap();
    // By the variables a process sends what was meant for its own endpoint and headers.
    let recovered = throughline(&spool, &["recover"])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", other.endpoint())
        .run()
        .unwrap()
        .expect_success();
    assert!(
        recovered
            .stdout
            .contains("\nFor other destinations: 1 span; `throughline recover --list` shows which"),
        "{recovered}"
    );
    assert!(other.spans().is_empty());

    let recovered = run(&spool, &["recover", "--to", &other.endpoint()]).expect_success();
    assert!(recovered.stdout.starts_with("Delivered 1 span to "), "{recovered}");
    assert_eq!(other.spans().len(), 1);
}

#[test]
fn recover_delivers_to_destinations_that_the_exporter_variable_names() {
    let spool = Spool::new().unwrap();
    let files = spool.home().join("traces");
    let with = |program: throughline_testkit::Program| {
        let program = program.env("OTEL_TRACES_EXPORTER", "otlp_file");
        program.env("THROUGHLINE_FILES_DIR", files.display().to_string())
    };
    fs::write(&files, "in the way").unwrap();
    let made = with(throughline(&spool, &["run", "--service", "shop", "true"]));
    made.run().unwrap().expect_success();
    fs::remove_file(&files).unwrap();
    let recovered = with(throughline(&spool, &["recover"])).run().unwrap().expect_success();
    assert!(recovered.stdout.starts_with("Delivered 1 span to files"), "{recovered}");
    assert_eq!(fs::read_dir(&files).unwrap().count(), 1);
    // Without a destination there is nobody to deliver to.
    let listed = throughline(&spool, &["recover"]).env("OTEL_TRACES_EXPORTER", "none");
    let listed = listed.run().unwrap().expect_success().stdout;
    assert!(listed.starts_with("No undelivered spans"), "{listed}");
}

#[test]
fn rejected_spans_are_listed_and_sent_again() {
    let spool = Spool::new().unwrap();
    let nothing = run(&spool, &["recover", "--rejected"]).expect_success().stdout;
    assert!(nothing.starts_with("No rejected spans"), "{nothing}");

    let refusing = Receiver::with(|_| Answer::status(400)).unwrap();
    let program = throughline(&spool, &["run", "--service", "shop", "true"]);
    let program = program.env("OTEL_EXPORTER_OTLP_ENDPOINT", refusing.endpoint());
    program.run().unwrap().expect_success();
    let listed = run(&spool, &["recover", "--rejected"]).expect_success().stdout;
    assert!(listed.starts_with("Rejected and kept in"), "{listed}");
    assert!(listed.contains("the answer is 400"), "{listed}");

    let again = run(&spool, &["recover", "--rejected", "--to", &refusing.endpoint()]);
    assert_eq!(again.code, Some(1));
    assert!(
        again.stdout.contains("Not delivered: 1 span: the answer is 400"),
        "{}",
        again.stdout
    );

    let well = Receiver::start().unwrap();
    let sent = run(&spool, &["recover", "--rejected", "--to", &well.endpoint()])
        .expect_success()
        .stdout;
    assert_eq!(sent, "Delivered 1 span that had been rejected.\n");
    assert_eq!(well.spans().len(), 1);
    let nothing = run(&spool, &["recover", "--rejected"]).expect_success().stdout;
    assert!(nothing.starts_with("No rejected spans"), "{nothing}");
}

/// A spool with so many payloads of one span that a backend has refused.
fn refused(payloads: usize) -> Spool {
    let spool = Spool::new().unwrap();
    let refusing = Receiver::with(|_| Answer::status(400)).unwrap();
    for _ in 0..payloads {
        let program = throughline(&spool, &["run", "true"]);
        let program = program.env("OTEL_EXPORTER_OTLP_ENDPOINT", refusing.endpoint());
        program.run().unwrap().expect_success();
    }
    spool
}

#[test]
fn rejected_spans_are_not_sent_on_where_no_request_is_taken() {
    let spool = refused(3);
    let failing = Receiver::with(|_| Answer::status(503)).unwrap();
    let sent = run(&spool, &["recover", "--rejected", "--to", &failing.endpoint()]);
    assert_eq!(sent.code, Some(1), "{sent}");
    assert!(
        sent.stdout.contains("\nNot delivered: 1 span: the answer is 503"),
        "{sent}"
    );
    let untried = "\nNot tried: 2 spans in 2 payloads, since a request without spans fails in the same way.\n";
    assert!(sent.stdout.contains(untried), "{sent}");
    // One with spans, and one without.
    assert_eq!(failing.requests().len(), 2);
}

#[test]
fn rejected_spans_are_all_tried_where_only_spans_are_refused() {
    let spool = refused(3);
    let picky = Receiver::with(|request| match request.body.is_empty() {
        true => Answer::to(request),
        false => Answer::status(400),
    });
    let sent = run(&spool, &["recover", "--rejected", "--to", &picky.unwrap().endpoint()]);
    assert!(
        sent.stdout.contains("\nNot delivered: 3 spans: the answer is 400"),
        "{sent}"
    );
    assert!(!sent.stdout.contains("Not tried"), "{sent}");
}

#[test]
fn each_destination_is_listed_and_reported_for_itself() {
    let spool = Spool::new().unwrap();
    let mut receiver = Receiver::start().unwrap();
    receiver.stop();
    let files = spool.home().join("files");
    let both = |arguments: &[&str]| {
        throughline(&spool, arguments)
            .env("OTEL_TRACES_EXPORTER", "otlp,otlp_file")
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())
            .env("THROUGHLINE_FILES_DIR", &files)
            .run()
            .unwrap()
    };
    let waits_for = |arguments: &[&str]| {
        let listed = run(&spool, arguments).expect_success().stdout;
        let listed = listed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        listed
            .flat_map(|group| group["destinations"].as_array().unwrap().clone())
            .count()
    };
    // No place for files: both wait.
    fs::write(&files, "").unwrap();
    both(&["run", "true"]).expect_success();
    assert_eq!(waits_for(&["recover", "--json"]), 2);

    fs::remove_file(&files).unwrap();
    let recovered = both(&["recover"]);
    assert_eq!(recovered.code, Some(1), "{recovered}");
    let lines: Vec<_> = recovered.stdout.lines().collect();
    assert!(lines[0].starts_with("Delivered 0 spans to otlp"), "{recovered}");
    assert!(
        lines[1].starts_with("Not delivered: 1 span: connection refused"),
        "{recovered}"
    );
    assert!(lines[2].starts_with("Delivered 1 span to files"), "{recovered}");
    assert_eq!(waits_for(&["recover", "--json"]), 1);
    let listed = run(&spool, &["recover", "--list"]).expect_success().stdout;
    assert!(!listed.contains("files"), "{listed}");
}
