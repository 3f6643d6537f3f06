//! Starts: how long `init` takes, and whether the maintenance thread starts each time.

use std::io;
use std::path::Path;

use super::case::Figure;
use super::dead_directories::Originals;
use super::new_root;
use super::role::{Role, Setting};
use crate::measure::median;

/// How many dead processes have left their directories.
const DEAD: usize = 10_000;
/// How many of them really ran.
const ORIGINALS: usize = 200;

/// The quotient of the two times.
pub const DEAD_OVER_NONE: &str = "init, 10,000 dead directories / empty root";

/// Times `init` in so many processes with an empty root, and as many with dead directories, by turns.
///
/// # Errors
///
/// If a process fails or files cannot be written.
pub fn init(home: &Path, rounds: u32) -> io::Result<Vec<Figure>> {
    let microseconds = |root: &Path| {
        let setting = Setting {
            root: Some(root.to_owned()),
            ..Setting::default()
        };
        Ok::<_, io::Error>(Role::Init.ask(&setting)?["microseconds"])
    };
    let originals = Originals::make(home, ORIGINALS)?;
    let crowded = new_root(home, "crowded")?;
    originals.fill(&crowded, DEAD)?;
    // What was just written shall not be on its way to the disk while others are timed.
    rustix::fs::sync();

    let (mut none, mut dead) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        none.push(microseconds(&new_root(home, &format!("empty-{round}"))?)?);
        originals.fill(&crowded, DEAD)?;
        dead.push(microseconds(&crowded)?);
    }
    let (none, dead) = (median(none).unwrap_or_default(), median(dead).unwrap_or_default());
    let figure = |what, value| Figure { what, value };
    Ok(vec![
        figure("init, empty root, us", none),
        figure("init, 10,000 dead directories in the root, us", dead),
        figure(DEAD_OVER_NONE, dead / none),
    ])
}

/// How many of all starts.
pub const WITH_THREAD: &str = "starts with a maintenance thread after 20 ms, per cent";

/// Starts so many processes, one after another in one root, and counts those that have a maintenance thread.
///
/// # Errors
///
/// If a process fails.
pub fn threads(home: &Path, starts: u32) -> io::Result<Vec<Figure>> {
    let setting = Setting {
        root: Some(new_root(home, "threads")?),
        ..Setting::default()
    };
    let mut with_thread = 0;
    for _ in 0..starts {
        with_thread += u32::from(Role::Threads.ask(&setting)?["threads"] > 0.0);
    }
    let figure = |what, value| Figure { what, value };
    Ok(vec![
        figure("starts", f64::from(starts)),
        figure("starts with a maintenance thread after 20 ms", f64::from(with_thread)),
        figure(WITH_THREAD, f64::from(with_thread) * 100.0 / f64::from(starts)),
    ])
}
