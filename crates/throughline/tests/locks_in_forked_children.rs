//! A lock that another thread holds at a fork is held for ever in the child: nothing there waits for it.

#![cfg(unix)]

use std::fs;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use fork::Fork;
use throughline::{seam, testing};
use throughline_testkit::Spool;

#[test]
fn lock_held_at_a_fork_is_given_up_in_the_child() {
    static HELD: Mutex<()> = Mutex::new(());
    static FREE: Mutex<()> = Mutex::new(());
    let spool = Spool::new().expect("a private directory");
    // A child may know that it is one, or not, where tracing is off.
    for is_on in [false, true] {
        let _capture = is_on.then(testing::capture);
        let result = spool.home().join(format!("tracing is on: {is_on}"));
        let (release, released) = mpsc::channel::<()>();
        let (hold, held) = mpsc::channel();
        let holder = thread::spawn(move || {
            let _guard = seam::lock(&HELD);
            hold.send(()).expect("it is waited for");
            let _ = released.recv();
        });
        held.recv().expect("it is told");
        match fork::fork().expect("a child") {
            Fork::Child => {
                thread::spawn(|| {
                    thread::sleep(Duration::from_secs(20));
                    std::process::abort();
                });
                let locked = (seam::lock(&HELD).is_some(), seam::lock(&FREE).is_some());
                let _ = fs::write(result, format!("{locked:?}"));
                // Without a word to the test's harness, which is the parent's.
                std::process::abort();
            }
            Fork::Parent(child) => {
                let _status = fork::waitpid(child);
            }
        }
        let seen = fs::read_to_string(result).expect("the child did not wait");
        assert_eq!(seen, "(false, true)");
        drop(release);
        holder.join().expect("it does not panic");
        assert!(seam::lock(&HELD).is_some());
    }
}
