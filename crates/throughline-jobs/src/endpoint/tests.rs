//! What waits at an endpoint. A failure is one that never ends: only such a test takes time.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

use tempfile::TempDir;

use super::*;

/// Nothing takes as long as this, unless it never ends.
const TOO_LONG: Duration = Duration::from_secs(60);

/// An endpoint, and what is told at each look at its clock.
fn watched() -> (TempDir, Arc<Endpoint>, Receiver<()>) {
    let directory = tempfile::tempdir().unwrap();
    let (look, looks) = channel();
    let clock = Clock::new(move || {
        let _ = look.send(());
        Instant::now()
    });
    let builder = Endpoint::builder("report").max_attempts(2);
    let endpoint = builder.clock(clock).open(directory.path().join("queue")).unwrap();
    (directory, Arc::new(endpoint), looks)
}

/// Begins to wait for ever, and gives what tells of the end of it.
fn wait(endpoint: &Arc<Endpoint>) -> Receiver<()> {
    let (ends, ended) = channel();
    let endpoint = Arc::clone(endpoint);
    thread::spawn(move || {
        endpoint.wait(Duration::MAX).unwrap();
        ends.send(()).unwrap();
    });
    ended
}

/// The same, once the call has seen that nothing waits. It has the lock until it sleeps: what comes now has to wake it.
fn wait_in_vain(endpoint: &Arc<Endpoint>, looks: &Receiver<()>) -> Receiver<()> {
    looks.try_iter().for_each(drop);
    let ended = wait(endpoint);
    // When it began, whether there is a pause, and, as nothing waits, how much time is left.
    for _ in 0..3 {
        looks.recv_timeout(TOO_LONG).unwrap();
    }
    ended
}

#[test]
fn wait_ends_at_once_when_something_waits() {
    let (_directory, endpoint, _looks) = watched();
    endpoint.push(RequestKey::current(), b"").unwrap();
    wait(&endpoint).recv_timeout(TOO_LONG).unwrap();
}

#[test]
fn wait_ends_with_a_push() {
    let (_directory, endpoint, looks) = watched();
    let ended = wait_in_vain(&endpoint, &looks);
    endpoint.push(RequestKey::current(), b"").unwrap();
    ended.recv_timeout(TOO_LONG).unwrap();
}

#[test]
fn wait_ends_when_an_entry_waits_again_after_an_attempt() {
    let (_directory, endpoint, looks) = watched();
    endpoint.push(RequestKey::current(), b"").unwrap();
    let mut ended = None;
    let fails = |_: &Entry| {
        ended = Some(wait_in_vain(&endpoint, &looks));
        false
    };
    assert_eq!(endpoint.process_next(fails).unwrap(), Some(Processed::Retried));
    ended.unwrap().recv_timeout(TOO_LONG).unwrap();
}

#[test]
fn wait_ends_when_an_entry_is_put_back() {
    let (_directory, endpoint, looks) = watched();
    endpoint.push(RequestKey::current(), b"").unwrap();
    for _ in 0..2 {
        endpoint.process_next(|_| false).unwrap();
    }
    let ended = wait_in_vain(&endpoint, &looks);
    assert_eq!(endpoint.errors().reprocess(Select::All).unwrap(), 1);
    ended.recv_timeout(TOO_LONG).unwrap();
}
