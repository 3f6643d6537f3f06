//! The spans of processes that have died, one process at a time.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use throughline_spool::{Backlog, Destination, Limits, Portion, ProcessDir, Root};

use crate::notice::notice;

/// Directories of dead processes whose spans were to go where ours go.
pub(crate) struct Adopted {
    root: Root,
    whose: Whose,
    limits: Limits,
    /// When history was last brought within its limits.
    pruned: Option<Instant>,
    /// Directories that may have something, oldest first.
    candidates: VecDeque<ProcessDir>,
    /// The one that is being delivered, and the number that our destination has there.
    current: Option<(Backlog, usize)>,
    /// Names of those that have nothing more for us.
    done: HashSet<String>,
}

/// Whose spans are sent here.
#[derive(Clone, PartialEq)]
pub(crate) enum Whose {
    /// Those that were to go to any backend: the user has said so.
    Anybodys,
    /// Those that were to go to this destination, by its fingerprint; where that is empty, nobody's.
    Of(Vec<u8>),
}

impl Whose {
    fn are_to_go_to(&self, destination: &Destination) -> bool {
        match self {
            Self::Anybodys => true,
            Self::Of(fingerprint) => !fingerprint.is_empty() && destination.fingerprint == *fingerprint,
        }
    }
}

impl Adopted {
    /// How often history is brought within its limits.
    const PRUNE: Duration = Duration::from_secs(600);

    pub(crate) fn new(root: Root, whose: Whose, limits: Limits) -> Self {
        let (candidates, current, done, pruned) = (VecDeque::new(), None, HashSet::new(), None);
        Self {
            root,
            whose,
            limits,
            pruned,
            candidates,
            current,
            done,
        }
    }

    /// Looks which directories there are. Living processes' are among them; they are skipped when their turn comes.
    pub(crate) fn look(&mut self) {
        let found = match self.root.processes() {
            Ok(found) => found,
            Err(error) => return notice(format_args!("the spool cannot be listed: {error}")),
        };
        let mut found: Vec<_> = found
            .into_iter()
            .filter(|directory| !self.done.contains(directory.name()))
            .filter_map(|directory| {
                let manifest = directory.manifest().ok()?;
                let is_ours = manifest.destinations.iter().any(|to| self.whose.are_to_go_to(to));
                is_ours.then_some((manifest.created, directory))
            })
            .collect();
        found.sort();
        self.candidates = found.into_iter().map(|(_, directory)| directory).collect();
    }

    /// The oldest records that are not settled; what they are of is [`backlog`](Self::backlog). Peeks.
    pub(crate) fn next(&mut self, most_records: usize, most_bytes: usize) -> Option<Portion> {
        loop {
            if let Some((backlog, destination)) = &mut self.current {
                if let Some(portion) = backlog.next(*destination, most_records, most_bytes) {
                    return Some(portion);
                }
                self.finish();
            }
            match self.candidates.pop_front() {
                Some(directory) => self.current = self.open(&directory),
                None => {
                    // Only now: whoever prunes has the directories in hand that somebody else wants to adopt.
                    self.prune();
                    return None;
                }
            }
        }
    }

    /// The dead process that [`next`](Self::next) has read from.
    pub(crate) fn backlog(&self) -> Option<&Backlog> {
        self.current.as_ref().map(|(backlog, _)| backlog)
    }

    pub(crate) fn settle(&mut self, portion: &Portion, rejected: u64) {
        let Some((backlog, _)) = &mut self.current else { return };
        if let Err(error) = backlog.settle(portion, rejected) {
            notice(format_args!(
                "what was delivered cannot be marked so, and may be delivered again: {error}"
            ));
        }
    }

    /// `None` when the owner lives, somebody else has it, or it cannot be read.
    fn open(&mut self, directory: &ProcessDir) -> Option<(Backlog, usize)> {
        let adoption = directory.adopt().ok()??;
        match Backlog::open(adoption) {
            Ok(backlog) => {
                let destinations = backlog.manifest().destinations.iter().enumerate();
                let mut ours = destinations
                    .filter(|(_, to)| self.whose.are_to_go_to(to))
                    .map(|(number, _)| number);
                let first = ours.next()?;
                let destination = ours.find(|number| backlog.pending(*number) > 0 && backlog.pending(first) == 0);
                Some((backlog, destination.unwrap_or(first)))
            }
            Err(error) => {
                self.done.insert(directory.name().to_owned());
                notice(format_args!(
                    "the spool of a dead process ({}) cannot be read: {error}",
                    directory.name()
                ));
                None
            }
        }
    }

    /// The current one has nothing more for us.
    fn finish(&mut self) {
        let Some((backlog, destination)) = self.current.take() else {
            return;
        };
        if backlog.is_settled(destination) {
            self.done.insert(backlog.directory().name().to_owned());
        }
        // Where another destination has not got everything, or something cannot be read, it stays for a later adopter.
        let _ = backlog.finish(self.limits.history > 0);
    }

    fn prune(&mut self) {
        if self.pruned.is_none_or(|pruned| pruned.elapsed() >= Self::PRUNE) {
            self.pruned = Some(Instant::now());
            if let Err(error) = self.root.prune_history(&self.limits) {
                notice(format_args!("old history cannot be removed: {error}"));
            }
        }
    }
}
