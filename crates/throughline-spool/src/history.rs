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

    /// Removes history of some dead processes, when there are more than `most` directories of processes: of up to `at_once`
    /// of them, wherever the list is begun. Returns how many were removed.
    ///
    /// It is made to be called at the start of every process, where [`prune_history`](Self::prune_history) would take too
    /// long: it holds up a start by little, and removes more than one start adds.
    ///
    /// # Errors
    ///
    /// The spool cannot be listed.
    pub fn thin_out(&self, most: usize, at_once: usize) -> io::Result<usize> {
        let mut processes = self.processes()?;
        if processes.len() <= most {
            return Ok(0);
        }
        // Some may have to stay; every start begins elsewhere.
        let begin = std::process::id() as usize % processes.len();
        processes.rotate_left(begin);
        let candidates = processes.into_iter().take(at_once);
        Ok(candidates.filter(|directory| remove(directory).is_ok()).count())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Fixture, segment, slot, span};
    use crate::reader::Reader;
    use crate::segment::UNIT;

    /// A chunk of 1 MiB with one span.
    fn chunk() -> Vec<u8> {
        let mut chunk = segment(1, UNIT, &[span(1, "a span")]);
        chunk.resize(1 << 20, 0);
        chunk
    }

    #[test]
    fn the_history_of_very_many_processes_is_thinned_out_start_by_start() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let root = Root::open(directory.path().join("spool")).expect("it can be made");
        for _ in 0..5 {
            drop(
                root.create_process(&crate::fixture::manifest(0))
                    .expect("it can be made"),
            );
        }
        assert_eq!(
            root.thin_out(5, 3).expect("it can be listed"),
            0,
            "there are not too many"
        );
        assert_eq!(root.thin_out(4, 3).expect("it can be listed"), 3);
        assert_eq!(root.processes().expect("it can be listed").len(), 2);
    }

    fn limits(history: u64, days: u64) -> Limits {
        Limits {
            history,
            history_age: Duration::from_secs(days * 24 * 3600),
            ..Limits::default()
        }
    }

    fn age(directory: &ProcessDir, days: u64) {
        for name in [directory::MANIFEST, "chunk-0000"] {
            let file = directory::open_file(&directory.path().join(name)).expect("it is there");
            let then = SystemTime::now() - Duration::from_secs(days * 24 * 3600);
            file.set_modified(then).expect("it is ours");
        }
    }

    fn left(fixture: &Fixture) -> Vec<ProcessDir> {
        let mut left = fixture.root.processes().expect("it can be listed");
        left.sort();
        left
    }

    #[test]
    fn the_oldest_history_goes_first_and_what_is_pending_stays() {
        let fixture = Fixture::new();
        let chunk = chunk();
        let [pending, old, newer] = [(1, 9), (0, 3), (0, 1)].map(|(destinations, days)| {
            let directory = fixture.dead(destinations, &[("chunk-0000", &chunk)]);
            age(&directory, days);
            directory
        });
        let all = [pending.clone(), old.clone(), newer.clone()];
        let sorted = |mut all: Vec<ProcessDir>| {
            all.sort();
            all
        };
        for (limits, expected) in [
            (limits(1 << 20, 7), &all[..]),
            (limits(1 << 20, 2), &[pending.clone(), newer.clone()]),
            (limits(0, 7), std::slice::from_ref(&pending)),
        ] {
            fixture.root.prune_history(&limits).expect("it can be listed");
            assert_eq!(left(&fixture), sorted(expected.to_vec()), "{limits:?}");
        }
    }

    #[test]
    fn size_counts_what_is_in_use_and_time_is_kept() {
        let fixture = Fixture::new();
        let directory = fixture.dead(
            0,
            &[("chunk-0000", &chunk()), ("open-0000", &slot(&span(2, "open"), None))],
        );
        age(&directory, 3);
        let before = Reader::new(fixture.root.path()).read().spans.len();
        assert_eq!(
            fixture
                .root
                .prune_history(&limits(1 << 20, 7))
                .expect("it can be listed"),
            0
        );
        let len = fs::metadata(directory.path().join("chunk-0000"))
            .expect("it is there")
            .len();
        assert_eq!(len, 4096);
        assert_eq!(Reader::new(fixture.root.path()).read().spans.len(), before);
        assert_eq!(
            fixture
                .root
                .prune_history(&limits(1 << 20, 2))
                .expect("it can be listed"),
            1
        );
    }

    #[test]
    fn what_a_crash_has_left_half_made_or_half_removed_goes() {
        let fixture = Fixture::new();
        let path = fixture.root.path();
        let old = [".gone-1-0123456789abcdef", ".new-1-0123456789abcdef"];
        for name in old {
            fs::create_dir(path.join(name)).expect("it can be made");
        }
        fixture
            .root
            .prune_history(&Limits::default())
            .expect("it can be listed");
        assert!(!path.join(old[0]).exists());
        assert!(path.join(old[1]).exists(), "it may be in the making");
        let made = fs::File::open(path.join(old[1])).expect("it is there");
        made.set_modified(SystemTime::now() - 2 * PASSAGE).expect("it is ours");
        fixture
            .root
            .prune_history(&Limits::default())
            .expect("it can be listed");
        assert!(!path.join(old[1]).exists());
    }
}
