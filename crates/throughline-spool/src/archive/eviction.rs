//! Keeping the archive within its limits: the oldest files go, and what somebody was still to get of them is counted.

use std::collections::HashSet;
use std::io;
use std::time::SystemTime;

use crate::files::How;
use crate::format::header::MAX_DESTINATIONS;
use crate::store::ledger::Dropped;

use super::file::{self, Kind, Name};
use super::layout::unix_nano;
use super::ledger::{Evicted, Ledger};
use super::locked::Locked;
use super::walk::{Step, Walk};

/// What an eviction has done.
#[derive(Debug, Default)]
pub(crate) struct Made {
    /// Records that somebody was still to get.
    pub evicted: Evicted,
    /// Files that cannot be read; they stay.
    pub problems: Vec<String>,
}

impl Locked<'_> {
    /// Removes the oldest files that are over the limits of bytes or age. `live` bytes are taken up elsewhere.
    ///
    /// # Errors
    ///
    /// The archive cannot be listed or written.
    pub fn make_room(&mut self, live: u64, now: SystemTime) -> io::Result<Made> {
        let mut made = Made::default();
        if self.ledger.bytes == [0, 0] {
            return Ok(made);
        }
        // Of each kind, until the first file that may stay: strictly the oldest go.
        let mut is_done = [false; 2];
        let (names, others) = file::list(&*self.layout.files, &self.layout.directory)?;
        let others = others.iter().map(|name| name.path(&self.layout.directory));
        made.problems
            .extend(others.map(|path| format!("{}: it is no regular file", path.display())));
        for name in names {
            if is_done[name.kind as usize] {
                continue;
            }
            let quota = self.layout.quota(name.kind);
            let live = if name.kind == Kind::Pending { live } else { 0 };
            let is_over = self.ledger.bytes[name.kind as usize].saturating_add(live) > quota;
            let seen = match self.layout.files.look(&name.path(&self.layout.directory)) {
                Ok(seen) => seen,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let age = now.duration_since(seen.modified).unwrap_or_default();
            let reason = match (is_over, age > self.layout.age(name.kind)) {
                (true, _) => Dropped::Quota,
                (false, true) => Dropped::Age,
                (false, false) => {
                    is_done[name.kind as usize] = true;
                    continue;
                }
            };
            self.evict(name, seen.len, reason, now, &mut made)?;
        }
        Ok(made)
    }

    /// Removes the oldest file of history, where the disk is full. `false`: there is none.
    ///
    /// # Errors
    ///
    /// The archive cannot be listed or written.
    pub fn evict_history(&mut self, now: SystemTime) -> io::Result<bool> {
        let oldest = self.layout.list()?.into_iter().find(|name| name.kind == Kind::History);
        let Some(name) = oldest else { return Ok(false) };
        let len = self.layout.files.look(&name.path(&self.layout.directory))?.len;
        self.evict(name, len, Dropped::Quota, now, &mut Made::default())?;
        Ok(true)
    }

    fn evict(&mut self, name: Name, len: u64, reason: Dropped, now: SystemTime, made: &mut Made) -> io::Result<()> {
        let mut ledger = self.ledger.clone();
        let mut records = 0;
        if name.kind == Kind::Pending {
            records = match count(self, name, reason, &mut ledger) {
                Ok(records) => records,
                Err(error) => {
                    let path = name.path(&self.layout.directory);
                    made.problems.push(format!("{}: {error}", path.display()));
                    return Ok(());
                }
            };
        }
        if records > 0 && ledger.since == 0 {
            ledger.since = unix_nano(now);
        }
        let add = |evicted: &mut Evicted| match reason {
            Dropped::Age => evicted.age += records,
            _ => evicted.quota += records,
        };
        add(&mut ledger.evicted);
        self.remove(name, len, ledger)?;
        add(&mut made.evicted);
        Ok(())
    }
}

/// Counts what somebody is still to get of a file, for each destination; returns how many records that are.
fn count(locked: &Locked<'_>, name: Name, reason: Dropped, ledger: &mut Ledger) -> io::Result<u64> {
    let mut walk = Walk::whole(locked.layout.open(name, How::Read)?)?;
    let mut records = 0;
    while let Some(step) = walk.next()? {
        let Step::Segment(segment) = step else { continue };
        records += u64::from(segment.pending());
        ledger.add_lost(reason, segment.pending().into());
        let mut counted = HashSet::new();
        for destination in 0..segment.header.destinations.min(MAX_DESTINATIONS) {
            let identity = segment.header.identities[destination];
            if counted.insert(identity) {
                ledger.add_dropped_for(identity, reason, segment.pending_for(destination).into());
            }
        }
    }
    Ok(records)
}
