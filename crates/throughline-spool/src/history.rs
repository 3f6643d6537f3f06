//! What dead processes leave behind once it is delivered, or was never to be sent: kept for `ls` and `view`, within limits.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use crate::backlog::Backlog;
use crate::directory::{self, GONE, Life, NEW, ProcessDir, Root};
use crate::quota::Limits;
use crate::survey;

/// A directory under a name of passage is left over when it is older than this.
const PASSAGE: Duration = Duration::from_secs(3600);

/// The history of one dead process.
struct Kept {
    directory: ProcessDir,
    bytes: u64,
    last_used: SystemTime,
}

impl Root {
    /// Removes the oldest history of dead processes until it keeps the limits, by size and age, and what crashes have
    /// left half made or half removed. Returns how many directories of processes were removed.
    ///
    /// Spans that are pending for any destination are no history and stay, and so does whatever cannot be read. What
    /// stays is cut to the length that is in use.
    ///
    /// # Errors
    ///
    /// The spool cannot be listed. A directory that cannot be removed stays.
    pub fn prune_history(&self, limits: &Limits) -> io::Result<usize> {
        let now = SystemTime::now();
        self.remove_left_over(now)?;
        let mut history: Vec<Kept> = self.processes()?.into_iter().filter_map(measure).collect();
        history.sort_by_key(|kept| kept.last_used);
        let mut bytes: u64 = history.iter().map(|kept| kept.bytes).sum();
        let mut removed = 0;
        for kept in history {
            let is_old = now
                .duration_since(kept.last_used)
                .is_ok_and(|age| age > limits.history_age);
            if (is_old || bytes > limits.history) && remove(&kept.directory).is_ok() {
                bytes -= kept.bytes;
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn remove_left_over(&self, now: SystemTime) -> io::Result<()> {
        for entry in fs::read_dir(self.path())? {
            let entry = entry?;
            let name = entry.file_name();
            let begins = |prefix: &str| name.to_str().is_some_and(|name| name.starts_with(prefix));
            let is_old = || {
                let changed = entry.metadata().and_then(|seen| seen.modified());
                changed.is_ok_and(|changed| now.duration_since(changed).is_ok_and(|age| age > PASSAGE))
            };
            if begins(GONE) || begins(NEW) && is_old() {
                // Somebody else may be at it as well; the next call finds what is left.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        Ok(())
    }
}

/// The history of a directory, cut to its length; `None` when it is none, or in other hands.
fn measure(directory: ProcessDir) -> Option<Kept> {
    let backlog = adopt(&directory)?;
    if !is_history(&backlog) {
        return None;
    }
    let last_used = last_used(&directory).ok()?;
    trim(&backlog).ok()?;
    let bytes = bytes(&directory).ok()?;
    Some(Kept {
        directory,
        bytes,
        last_used,
    })
}

fn remove(directory: &ProcessDir) -> io::Result<()> {
    match adopt(directory).filter(is_history) {
        Some(backlog) => backlog.finish(false),
        None => Err(io::ErrorKind::WouldBlock.into()),
    }
}

fn adopt(directory: &ProcessDir) -> Option<Backlog> {
    // Asked first, so that nothing is written into the directories of the living.
    if !matches!(directory.life(), Ok(Life::Dead)) {
        return None;
    }
    Backlog::open(directory.adopt().ok()??).ok()
}

fn is_history(backlog: &Backlog) -> bool {
    (0..backlog.manifest().destinations.len()).all(|destination| backlog.is_settled(destination))
}

/// Cuts the chunks behind the last thing that is in them: they were allocated far ahead.
fn trim(backlog: &Backlog) -> io::Result<()> {
    let survey = backlog.survey();
    for (index, name) in survey.chunks.iter().enumerate() {
        let segments = survey.segments.iter().filter(|segment| segment.chunk == index);
        let damaged = survey.damaged.iter().filter(|damage| damage.chunk == index);
        let end = segments
            .map(|segment| segment.range.start + segment.end as usize)
            .chain(damaged.map(|damage| damage.range.end))
            .max()
            .unwrap_or(0)
            .next_multiple_of(4096) as u64;
        let file = directory::open_file(&backlog.directory().path().join(name))?;
        let seen = file.metadata()?;
        if seen.len() > end {
            file.set_len(end)?;
            file.set_modified(seen.modified()?)?;
        }
    }
    Ok(())
}

/// When a span was last written or delivered.
fn last_used(directory: &ProcessDir) -> io::Result<SystemTime> {
    let mut last = fs::symlink_metadata(directory.path().join(directory::MANIFEST))?.modified()?;
    for name in survey::chunk_files(directory)? {
        last = last.max(fs::symlink_metadata(directory.path().join(name))?.modified()?);
    }
    Ok(last)
}

/// What the files occupy.
fn bytes(directory: &ProcessDir) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory.path())? {
        bytes += entry?.metadata()?.blocks() * 512;
    }
    Ok(bytes)
}
