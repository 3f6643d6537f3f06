//! The spans of processes that have died, one process at a time.

use std::collections::{HashSet, VecDeque};

use throughline_spool::{Backlog, Portion, ProcessDir, Root};

use crate::notice::notice;

/// Directories of dead processes whose spans were to go where ours go.
pub(crate) struct Adopted {
    root: Root,
    /// What has to be equal for their spans to be sent here.
    fingerprint: Vec<u8>,
    keep_history: bool,
    /// Directories that may have something, oldest first.
    candidates: VecDeque<ProcessDir>,
    /// The one that is being delivered, and the number that our destination has there.
    current: Option<(Backlog, usize)>,
    /// Names of those that have nothing more for us.
    done: HashSet<String>,
}

impl Adopted {
    /// `fingerprint` is our destination's; where it is empty nothing can be known to belong there.
    pub(crate) fn new(root: Root, fingerprint: Vec<u8>, keep_history: bool) -> Self {
        let (candidates, current, done) = (VecDeque::new(), None, HashSet::new());
        Self {
            root,
            fingerprint,
            keep_history,
            candidates,
            current,
            done,
        }
    }

    /// Looks which directories there are. Living processes' are among them; they are skipped when their turn comes.
    pub(crate) fn look(&mut self) {
        if self.fingerprint.is_empty() {
            return;
        }
        let found = match self.root.processes() {
            Ok(found) => found,
            Err(error) => return notice(format_args!("the spool cannot be listed: {error}")),
        };
        let mut found: Vec<_> = found
            .into_iter()
            .filter(|directory| !self.done.contains(directory.name()))
            .filter_map(|directory| {
                let manifest = directory.manifest().ok()?;
                let is_ours = manifest
                    .destinations
                    .iter()
                    .any(|to| to.fingerprint == self.fingerprint);
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
            let directory = self.candidates.pop_front()?;
            self.current = self.open(&directory);
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
                let mut destinations = backlog.manifest().destinations.iter();
                let destination = destinations.position(|to| to.fingerprint == self.fingerprint)?;
                Some((backlog, destination))
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
        let _ = backlog.finish(self.keep_history);
    }
}
