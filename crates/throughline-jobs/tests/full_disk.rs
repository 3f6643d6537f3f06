//! A durable endpoint whose file may not grow, by a limit of the operating system, until it may again.
#![cfg(all(unix, feature = "endpoint"))]

use std::collections::BTreeSet;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use throughline_jobs::RequestKey;
use throughline_jobs::endpoint::{Endpoint, EndpointError, Processed};
use throughline_testkit::{Program, Spool};

const LONG: Duration = Duration::from_secs(60);

/// The limit holds for a whole process, which must not be ended by its signal: so there is a process for it.
#[test]
fn endpoint_on_a_full_disk_keeps_what_it_has_and_goes_on() {
    let spool = Spool::new().expect("a private directory");
    let tests = std::env::current_exe().expect("the program of this test");
    let finished = Program::at("/bin/sh", &spool)
        .args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"])
        .arg(tests)
        .args(["--ignored", "--exact", "fill_and_go_on"])
        .run()
        .expect("it runs")
        .expect_success();
    assert!(finished.stdout.contains("1 passed"), "{}", finished.stdout);
}

#[test]
#[ignore = "it is run by the test above, in a process of its own"]
fn fill_and_go_on() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("queue");
    let endpoint = Endpoint::builder("report").open(&path).unwrap();
    let key = RequestKey::current();
    let mut stored = BTreeSet::new();
    stored.insert(endpoint.push(key, &[0; 20_000]).unwrap());

    let unlimited = getrlimit(Resource::Fsize);
    let size = std::fs::metadata(&path).unwrap().len();
    let current = Some(size);
    setrlimit(Resource::Fsize, Rlimit { current, ..unlimited }).unwrap();
    let error = loop {
        match endpoint.push(key, &[1; 20_000]) {
            Ok(id) => stored.insert(id),
            Err(error) => break error,
        };
    };
    assert!(matches!(error, EndpointError::Storage(_)), "{error}");
    assert!(endpoint.push(key, b"").is_err(), "there is a pause");
    assert_eq!(waiting(&endpoint), stored, "what was stored can be read");
    endpoint.wait(LONG).unwrap();
    assert!(
        endpoint.push(key, &[1; 1 << 20]).is_err(),
        "there is no more room than before"
    );
    assert_eq!(waiting(&endpoint), stored);

    setrlimit(Resource::Fsize, unlimited).unwrap();
    endpoint.wait(LONG).unwrap();
    stored.insert(endpoint.push(key, &[2; 1 << 20]).unwrap());
    assert_eq!(waiting(&endpoint), stored);
    drop(endpoint);
    let endpoint = Endpoint::builder("report").open(&path).unwrap();
    assert_eq!(waiting(&endpoint), stored);
    let mut seen = BTreeSet::new();
    while endpoint.process_next(|entry| seen.insert(entry.id())).unwrap() == Some(Processed::Succeeded) {}
    assert_eq!(seen, stored);
}

fn waiting(endpoint: &Endpoint) -> BTreeSet<u64> {
    let entries = endpoint.pending().expect("it can be read");
    entries.iter().map(|entry| entry.id()).collect()
}
