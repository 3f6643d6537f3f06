//! A process at rest after a burst, with and without a backend.

use std::io;
use std::path::Path;
use std::thread;

use super::case::Figure;
use super::new_root;
use super::receiver::Receiver;
use super::role::{Role, Setting};

/// Without a backend.
pub const LOCAL: &str = "idle without a backend, wake-ups per s";
/// With one that answers.
pub const DELIVERING: &str = "idle with a backend, wake-ups per s";

/// Runs both processes at once: they mostly sleep.
///
/// # Errors
///
/// If a process fails.
pub fn run(home: &Path, quick: bool) -> io::Result<Vec<Figure>> {
    let receiver = Receiver::start()?;
    let local = Setting {
        root: Some(new_root(home, "local")?),
        spans: 2000,
        settle: if quick { 5 } else { 10 },
        rest: if quick { 5 } else { 20 },
        ..Setting::default()
    };
    let delivering = Setting {
        root: Some(new_root(home, "delivering")?),
        endpoint: Some(receiver.endpoint()),
        ..local.clone()
    };
    let figure = |what, setting: &Setting| {
        let wake_ups = Role::Idle.ask(setting)?["wake_ups"];
        Ok::<_, io::Error>(Figure {
            what,
            value: wake_ups / setting.rest as f64,
        })
    };
    thread::scope(|scope| {
        let delivering = scope.spawn(|| figure(DELIVERING, &delivering));
        let local = figure(LOCAL, &local)?;
        let delivering = delivering
            .join()
            .map_err(|_| io::Error::other("a thread of the bench panicked"))?;
        Ok(vec![local, delivering?])
    })
}
