//! What waits at an endpoint, and what nobody can read. To fail is to wait for ever: only then does a test take time.

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

#[test]
fn unreadable_entries_are_bounded_shown_and_cleared() {
    let directory = tempfile::tempdir().unwrap();
    let builder = Endpoint::builder("report").error_capacity(3);
    let endpoint = builder.open(directory.path().join("queue")).unwrap();
    let push = |data: &[u8]| endpoint.push(RequestKey::current(), data).unwrap();
    let counts = || {
        let counts = endpoint.counts().unwrap();
        (counts.pending, counts.errors, counts.unreadable, counts.evicted)
    };
    let errors = endpoint.errors();

    endpoint.store.insert_unreadable("pending", b"1");
    push(b"bad");
    endpoint.store.insert_unreadable("pending", b"2");
    push(b"good");
    assert_eq!(endpoint.pending().unwrap().len(), 2);
    endpoint.process_next(|_| false).unwrap();
    endpoint
        .process_next(|entry| assert_eq!(entry.data(), b"good"))
        .unwrap();
    assert_eq!(endpoint.process_next(|_| ()).unwrap(), None);
    assert_eq!(
        (counts(), errors.unreadable().unwrap()),
        ((0, 1, 2, 0), vec![b"1".to_vec(), b"2".to_vec()])
    );

    endpoint.store.insert_unreadable("errors", b"3");
    assert_eq!(errors.inspect(Select::All).unwrap().len(), 1);
    assert_eq!(counts(), (0, 2, 2, 0));
    assert_eq!(errors.reprocess(Select::All).unwrap(), 1);
    assert_eq!(counts(), (1, 0, 3, 0));
    endpoint.store.insert_unreadable("errors", b"4");
    assert_eq!(errors.clear(Select::All).unwrap(), 0);
    assert_eq!(
        (counts(), &errors.unreadable().unwrap()[0]),
        ((1, 0, 3, 1), &b"2".to_vec())
    );

    assert_eq!(errors.clear_unreadable().unwrap(), 3);
    assert_eq!((counts(), errors.unreadable().unwrap().len()), ((1, 0, 0, 1), 0));
}
