//! Which directories are to be archived: those of dead processes, found a few at a time.

use std::collections::{HashMap, HashSet};
use std::io;
use std::time::{Duration, Instant};

use crate::directory::liveness::Lock;
use crate::directory::{GONE, Life, NEW, ProcessDir, Root, is_process_name};
use crate::files::EntryKind;

/// How many directories are looked at in one step, beyond those that are archived.
const LOOKS: usize = 64;
/// How many left-over directories are removed in one step.
const LEFT_OVER: usize = 16;
/// One whose owner lives is looked at again after this time.
const LIVING: Duration = Duration::from_secs(5);
/// One that cannot be archived is tried again after this time, which doubles each time.
const RETRY: Duration = Duration::from_secs(30);
const LONGEST_RETRY: Duration = Duration::from_secs(3600);
/// No more names are kept in mind.
const MOST_KNOWN: usize = 20_000;

/// What is known of the directories of a root.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    known: HashMap<String, Known>,
    /// What the files of those that live take beyond their history, in bytes, as far as they were looked at.
    bytes: u64,
    /// The name of this process's own directory, which is left out of that.
    own: String,
    /// Whether the last search has seen all there is.
    has_seen_all: bool,
}

#[derive(Debug, Default)]
struct Known {
    /// Not before.
    look_at: Option<Instant>,
    /// Since when its lock has been seen free.
    free_since: Option<Instant>,
    pause: Duration,
    /// What its files took when it was looked at and its owner lived, in bytes.
    bytes: u64,
    /// What was said of it last.
    said: Option<String>,
}

/// What a search has found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Directories of dead processes, oldest first.
    pub dead: Vec<ProcessDir>,
    /// Names of directories that were left half made or half removed.
    pub left_over: Vec<String>,
}

impl Candidates {
    /// Finds up to `most` directories of dead processes. Each that lives may hold so many bytes of history.
    ///
    /// # Errors
    ///
    /// The root cannot be listed.
    pub fn find(&mut self, root: &Root, now: Instant, most: usize, history: u64) -> io::Result<Found> {
        let mut found = Found::default();
        let names = self.list(root, now, LOOKS + most, &mut found.left_over)?;
        let mut looks = LOOKS;
        for name in names {
            if found.dead.len() == most || looks == 0 {
                self.has_seen_all = false;
                break;
            }
            let directory = ProcessDir::new(root.path().join(&name), root.files.clone());
            let is_own = name == self.own;
            let known = self.known.entry(name).or_default();
            let life = known.life(&directory, now);
            // What is about to be archived takes its place in the archive: nothing makes way for it twice.
            let bytes = match life {
                Life::Living if !is_own => directory.bytes().saturating_sub(history),
                Life::Living | Life::Dead => 0,
            };
            self.bytes = self.bytes + bytes - known.bytes;
            known.bytes = bytes;
            match life {
                Life::Dead => found.dead.push(directory),
                Life::Living => {
                    known.look_at = Some(now + LIVING);
                    looks -= 1;
                }
            }
        }
        Ok(found)
    }

    /// The names of directories that are to be looked at now, oldest first; no more than `most`.
    fn list(&mut self, root: &Root, now: Instant, most: usize, left_over: &mut Vec<String>) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        let mut seen = HashSet::new();
        self.has_seen_all = true;
        if self.known.len() > MOST_KNOWN {
            self.known.clear();
            self.bytes = 0;
        }
        root.files.entries(root.path(), &mut |name, kind| {
            if kind != EntryKind::Directory {
                return true;
            }
            if is_process_name(name) {
                let known = self.known.get(name);
                if known.is_some() {
                    seen.insert(name.to_owned());
                }
                if known.is_none_or(|known| known.look_at.is_none_or(|at| at <= now)) {
                    names.push(name.to_owned());
                }
            } else if (name.starts_with(GONE) || name.starts_with(NEW)) && left_over.len() < LEFT_OVER {
                left_over.push(name.to_owned());
            }
            self.has_seen_all = names.len() < most;
            self.has_seen_all
        })?;
        if self.has_seen_all {
            self.known.retain(|name, _| seen.contains(name));
            self.bytes = self.known.values().map(|known| known.bytes).sum();
        }
        names.sort();
        Ok(names)
    }

    /// Whether there may be more to do at once.
    pub fn has_more(&self) -> bool {
        !self.has_seen_all
    }

    /// A directory cannot be archived now. Returns what is to be said, unless it was said before.
    pub fn put_off(&mut self, name: &str, now: Instant, problem: String) -> Option<String> {
        let known = self.known.entry(name.to_owned()).or_default();
        known.pause = (known.pause * 2).clamp(RETRY, LONGEST_RETRY);
        known.look_at = Some(now + known.pause);
        if known.said.as_ref() == Some(&problem) {
            return None;
        }
        known.said = Some(problem.clone());
        Some(problem)
    }

    /// A directory is gone.
    pub fn forget(&mut self, name: &str) {
        let known = self.known.remove(name);
        self.bytes -= known.map_or(0, |known| known.bytes);
    }

    /// This process's own directory.
    pub fn set_own(&mut self, name: &str) {
        name.clone_into(&mut self.own);
    }

    /// What the directories of living processes take beyond their history, but for the own one, in bytes; as far as they were
    /// looked at.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Known {
    fn life(&mut self, directory: &ProcessDir, now: Instant) -> Life {
        let free_for = self
            .free_since
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let facts = directory.facts(free_for);
        if facts.lock != Lock::Free {
            self.free_since = None;
            return crate::directory::liveness::life(&crate::directory::liveness::Facts {
                free_for: Duration::ZERO,
                ..facts
            });
        }
        self.free_since.get_or_insert(now);
        crate::directory::liveness::life(&facts)
    }
}
