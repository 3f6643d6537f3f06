//! What lies in the archive for whom: for people. It walks over all that somebody is still to get.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::time::SystemTime;

use crate::files::How;
use crate::format::manifest::{Destination, Manifest};

use super::Archive;
use super::file::Kind;
use super::layout::{Layout, from_unix_nano};
use super::walk::{Placed, Step, Walk};
use super::whose::Whose;

/// How much there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Processes that have left something.
    pub processes: u64,
    /// Records.
    pub records: u64,
    /// When the oldest of them began; `None` when that is not known.
    pub oldest: Option<SystemTime>,
}

/// What was left for one destination by the processes of one service.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Left {
    /// `service.name` of the processes.
    pub service: String,
    /// Their `service.namespace`.
    pub namespace: String,
    /// Whose it is; that of the first process, where processes have different credentials.
    pub destination: Destination,
    /// How much it is.
    pub summary: Summary,
}

/// What is told apart, and in which order it is shown.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    service: String,
    namespace: String,
    name: String,
    identity: [u8; 16],
}

/// A sum that knows which processes are in it.
#[derive(Default)]
struct Sum {
    processes: HashSet<String>,
    records: u64,
    oldest: u64,
}

impl Archive {
    /// How much is left for somebody.
    ///
    /// # Errors
    ///
    /// The archive cannot be listed, or a file not be read.
    pub fn pending(&self, whose: &Whose) -> io::Result<Summary> {
        let mut sum = Sum::default();
        visit(&self.layout, &mut |manifest, segment| {
            let ours = whose.of_header(&segment.header).into_iter();
            let records = ours
                .filter(|n| whose.is(manifest, *n))
                .map(|n| segment.pending_for(n))
                .max();
            sum.add(manifest, segment, records.unwrap_or(0));
        })?;
        Ok(sum.into_summary())
    }

    /// What is left for whom, by service and destination.
    ///
    /// # Errors
    ///
    /// The archive cannot be listed, or a file not be read.
    pub fn left(&self) -> io::Result<Vec<Left>> {
        let mut sums: BTreeMap<Key, (Destination, Sum)> = BTreeMap::new();
        visit(&self.layout, &mut |manifest, segment| {
            let unknown = Manifest::default();
            let known = manifest.unwrap_or(&unknown);
            for number in 0..segment.header.destinations {
                let destination = known.destinations.get(number).cloned().unwrap_or_default();
                let key = Key {
                    service: known.service.clone(),
                    namespace: known.namespace.clone(),
                    name: destination.name.clone(),
                    identity: destination.identity,
                };
                let records = segment.pending_for(number);
                if records > 0 {
                    let (_, sum) = sums.entry(key).or_insert_with(|| (destination, Sum::default()));
                    sum.add(manifest, segment, records);
                }
            }
        })?;
        let left = sums.into_iter().map(|(key, (destination, sum))| Left {
            service: key.service,
            namespace: key.namespace,
            destination,
            summary: sum.into_summary(),
        });
        Ok(left.collect())
    }
}

impl Sum {
    fn add(&mut self, manifest: Option<&Manifest>, segment: &Placed, records: u32) {
        if records == 0 {
            return;
        }
        self.records += u64::from(records);
        self.processes
            .insert(manifest.map(|manifest| manifest.directory.clone()).unwrap_or_default());
        let first = segment.sealed.first;
        if first != 0 && (self.oldest == 0 || first < self.oldest) {
            self.oldest = first;
        }
    }

    fn into_summary(self) -> Summary {
        Summary {
            processes: self.processes.len() as u64,
            records: self.records,
            oldest: (self.oldest != 0).then(|| from_unix_nano(self.oldest)),
        }
    }
}

/// Shows each segment that somebody is still to get, with the manifest of its process.
fn visit(layout: &Layout, visit: &mut dyn FnMut(Option<&Manifest>, &Placed)) -> io::Result<()> {
    let ledger = layout.read_ledger()?.unwrap_or_default();
    for name in layout.list()?.into_iter().filter(|name| name.kind == Kind::Pending) {
        let file = match layout.open(name, How::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened?,
        };
        let current = ledger.current[Kind::Pending as usize].filter(|current| current.number == name.number);
        let end = match current {
            Some(current) => current.len,
            None => file.look()?.len,
        };
        let mut walk = Walk::new(file, 0, end);
        while let Some(step) = walk.next()? {
            if let Step::Segment(segment) = step {
                if segment.is_pending() {
                    let manifest = walk.manifest(&segment)?;
                    visit(manifest.as_ref(), &segment);
                }
            }
        }
    }
    Ok(())
}
