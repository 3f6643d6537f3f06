//! Delivering what dead processes have left: the records that somebody is still to get, oldest file first.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::files::{How, SharedFile};
use crate::format::header::{Cursor, HEADER_LEN, Header};
use crate::format::record::Kind as RecordKind;
use crate::format::recovery;
use crate::format::source::Source;

use super::file::{Kind, Name};
use super::layout::Layout;
use super::locked::Locked;
use super::portion::{Mark, Portion};
use super::settled::Settled;
use super::walk::{Placed, Step, Walk};
use super::whose::Whose;

/// So often, a millisecond apart, the ledger's lock is asked for before what was settled is left uncounted.
const LAST_ATTEMPTS: u32 = 100;

/// More destinations are not locked, should somebody have left for so many.
const MOST_LOCKS: usize = 64;

/// What dead processes have left for one destination, or for all.
///
/// [`next`](Self::next), deliver, [`settle`](Self::settle), and so on until there is nothing left. It may be dropped at any
/// point: what is not settled comes again.
#[derive(Debug)]
pub struct Undelivered {
    layout: Layout,
    whose: Whose,
    locks: Locks,
    /// The files in which something may be pending, by their numbers.
    files: BTreeMap<u64, Known>,
    /// The file that was read last.
    walk: Option<(u64, Walk)>,
    /// For whom there is something that is not to be delivered here, of the segments that were looked at for that.
    strangers: BTreeSet<Stranger>,
    /// Segments that may still be looked at for that.
    looks_left: u32,
    /// Segments for others that may still be passed in search of something, where that is limited.
    passes_left: Option<u32>,
}

/// Segments of others that are looked at for whose they are: it is for people, and must not read all there is.
const MOST_LOOKS: u32 = 16;

/// For whom a dead process has left something that a [`Undelivered`] does not deliver, although it has to do with its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Stranger {
    /// The destination's name.
    pub destination: String,
    /// `service.name` of the process.
    pub service: String,
    /// Whether it is the same service, and another destination; else it is the same destination, with other credentials.
    pub is_same_service: bool,
}

/// What is known of a pending file.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    /// Nothing before this is to be delivered.
    from: u64,
    /// Where this call of `next` goes on reading.
    at: u64,
    /// Where the file, or what is committed of it, ends.
    end: u64,
    /// Whether somebody else is to get something of what was passed.
    is_for_others: bool,
    /// Whether it is appended to.
    is_current: bool,
    /// Whether it was said that it cannot be read.
    is_said: bool,
}

/// Whether a portion can take more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    Full,
    Left,
}

impl Undelivered {
    pub(super) fn open(layout: Layout, whose: Whose) -> io::Result<Option<Self>> {
        match layout.files.create_dir(&layout.directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let mut locks = Locks::default();
        let is_ours = match &whose {
            Whose::Anybody => locks.take_named(&layout, "all")?,
            Whose::Of { destination, .. } => locks.take(&layout, destination.short_identity())?,
        };
        Ok(is_ours.then(|| Self {
            layout,
            whose,
            locks,
            files: BTreeMap::new(),
            walk: None,
            strangers: BTreeSet::new(),
            looks_left: 0,
            passes_left: None,
        }))
    }

    /// The oldest records that are not settled, of whatever processes, up to a number and a size in bytes, but at least one.
    /// `None`: there are none at this time. Later calls find what is archived later.
    ///
    /// This peeks: the same records come again until they are settled.
    ///
    /// # Errors
    ///
    /// A file cannot be read at this time, and there is nothing else; that is said once for each file.
    pub fn next(&mut self, most_records: usize, most_bytes: usize) -> io::Result<Option<Portion>> {
        let mut portion = Portion::new();
        let filled = self.fill(&mut portion, most_records, most_bytes);
        if portion.records() == 0 && !portion.marks.is_empty() {
            // All of it is damaged by now: nobody will get it.
            self.settle(&portion, 0)?;
        }
        let handed_over = self.hand_over_settled_files();
        match filled.and(handed_over) {
            // What is there is delivered first; the error comes again.
            Err(error) if portion.records() == 0 => Err(error),
            _ => Ok((portion.records() > 0).then_some(portion)),
        }
    }

    /// Adds records of all files. The first error is returned in the end.
    fn fill(&mut self, portion: &mut Portion, most_records: usize, most_bytes: usize) -> io::Result<()> {
        let mut result = Ok(());
        let mut is_fresh = false;
        self.files.values_mut().for_each(|known| known.at = known.from);
        loop {
            let Some((&number, known)) = self.files.iter().find(|(_, known)| known.at < known.end) else {
                if is_fresh {
                    return result;
                }
                is_fresh = true;
                self.refresh()?;
                continue;
            };
            let mut known = *known;
            let read = self.read(number, &mut known, portion, most_records, most_bytes);
            let is_full = matches!(read, Ok(Room::Full));
            if let Err(error) = read {
                // The other files go on.
                known.at = known.end;
                if portion.records() == 0 && !std::mem::replace(&mut known.is_said, true) {
                    result = result.and(Err(error));
                }
            }
            self.files.insert(number, known);
            if is_full {
                return result;
            }
        }
    }

    /// Settles what was read: the destination has got all of it but `rejected` records.
    ///
    /// The cursors move before the ledger counts: a crash in between leaves records settled and not counted, and none is
    /// counted twice.
    ///
    /// # Errors
    ///
    /// A cursor cannot be stored, and those records come again; or the ledger cannot be written, and counts later.
    pub fn settle(&mut self, portion: &Portion, rejected: u64) -> io::Result<()> {
        let mut settled = Settled::default();
        let mut result = Ok(());
        let mut file: Option<(u64, SharedFile)> = None;
        for mark in &portion.marks {
            let moved = self.file_of(mark, &mut file).and_then(|file| match file {
                Some(file) => self.move_cursors(mark, &file, &mut settled),
                // It was evicted meanwhile, and counted as such.
                None => Ok(()),
            });
            result = result.and(moved);
        }
        settled.reject(rejected);
        self.layout.uncounted.add(&settled);
        result.and(self.count(1))
    }

    /// Adds what was settled to the ledger. If somebody else keeps its lock, that is done the next time.
    fn count(&mut self, attempts: u32) -> io::Result<()> {
        for attempt in 0..attempts {
            if self.layout.uncounted.is_empty() {
                return Ok(());
            }
            if attempt > 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            if let Some(mut locked) = Locked::take(&self.layout)? {
                return locked.count_settled();
            }
        }
        Ok(())
    }

    /// The file of a mark, also when it has become history meanwhile.
    fn file_of(&self, mark: &Mark, last: &mut Option<(u64, SharedFile)>) -> io::Result<Option<SharedFile>> {
        if let Some((number, file)) = last {
            if *number == mark.number {
                return Ok(Some(file.clone()));
            }
        }
        for kind in Kind::ALL {
            let name = Name {
                number: mark.number,
                kind,
            };
            match self.layout.open(name, How::Write) {
                Ok(file) => {
                    *last = Some((mark.number, file.clone()));
                    return Ok(Some(file));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Moves the cursors of one segment, as far as they are not there yet.
    fn move_cursors(&mut self, mark: &Mark, file: &SharedFile, settled: &mut Settled) -> io::Result<()> {
        let mut head = [0; HEADER_LEN];
        let read = crate::files::read_full(&**file, &mut head, mark.at)?;
        if read < HEADER_LEN || Header::from_bytes(&head).or_else(|| Header::mend(&head)) != Some(mark.header) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a segment of the archive is not there any more",
            ));
        }
        for &destination in &mark.destinations {
            let cursor = Cursor::read(&head, destination, mark.header.generation, mark.header.len);
            if cursor.offset >= mark.end {
                continue;
            }
            let items = mark.items.iter().filter(|at| **at >= cursor.offset).count() as u32;
            // The last of it: where damage has swallowed records, the header knows.
            let swallowed = match mark.end >= mark.sealed.end {
                true => mark.sealed.records.saturating_sub(cursor.settled.saturating_add(items)),
                false => 0,
            };
            let moved = cursor.moved(mark.end, items + swallowed);
            let at = mark.at + moved.position(destination) as u64;
            let bytes = moved.to_bytes(mark.header.generation);
            file.write_at(&bytes, at)?;
            if let Some((_, walk)) = self.walk.as_mut().filter(|(number, _)| *number == mark.number) {
                walk.patch(&bytes, at);
            }
            settled.add(mark.header.identities[destination], items.into(), swallowed.into());
        }
        Ok(())
    }

    /// Looks which files there are, and how far they go.
    fn refresh(&mut self) -> io::Result<()> {
        let ledger = match self.layout.read_ledger()? {
            Some(ledger) => ledger,
            None if self.layout.list()?.is_empty() => return Ok(()),
            // It is lost or damaged: then it is made anew.
            None => match Locked::take(&self.layout)? {
                Some(locked) => locked.ledger.clone(),
                None => return Ok(()),
            },
        };
        let mut files = BTreeMap::new();
        for name in self.layout.list()? {
            // What is not committed may be cut off again.
            if name.kind != Kind::Pending || name.number >= ledger.next {
                continue;
            }
            let current = ledger.current[Kind::Pending as usize].filter(|current| current.number == name.number);
            let end = match current {
                Some(current) => current.len,
                None => match self.layout.files.look(&name.path(&self.layout.directory)) {
                    Ok(seen) => seen.len,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                },
            };
            let mut known = self.files.get(&name.number).copied().unwrap_or_default();
            known.at = known.at.max(known.from);
            known.end = end;
            known.is_current = current.is_some();
            files.insert(name.number, known);
        }
        self.files = files;
        Ok(())
    }

    /// Adds records of one file.
    fn read(
        &mut self,
        number: u64,
        known: &mut Known,
        portion: &mut Portion,
        most_records: usize,
        most_bytes: usize,
    ) -> io::Result<Room> {
        let mut walk = match self.walk.take() {
            Some((last, walk)) if last == number => walk,
            _ => {
                let name = Name {
                    number,
                    kind: Kind::Pending,
                };
                match self.layout.open(name, How::Read) {
                    Ok(file) => Walk::new(file, 0, 0),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        // Everybody has got it, or it was evicted.
                        *known = Known {
                            is_for_others: true,
                            from: known.end,
                            at: known.end,
                            ..*known
                        };
                        return Ok(Room::Left);
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        walk.go_to(known.at, known.end);
        let mut room = Room::Left;
        while room == Room::Left {
            let Some(step) = walk.next()? else {
                known.at = known.end;
                break;
            };
            let is_first = known.at == known.from;
            let (end, is_passed) = match step {
                Step::Damaged(range) => (range.end, true),
                Step::Segment(segment) => {
                    let (destinations, is_passed) = self.destinations(&mut walk, &segment)?;
                    if !destinations.is_empty() {
                        room = take(
                            &mut walk,
                            number,
                            &segment,
                            &destinations,
                            portion,
                            most_records,
                            most_bytes,
                        )?;
                    } else if is_first && is_passed && segment.is_pending() {
                        known.is_for_others = true;
                        self.look_whose(&mut walk, &segment)?;
                    }
                    if destinations.is_empty() && !self.may_pass() {
                        known.at = known.end;
                        break;
                    }
                    (segment.end(), is_passed)
                }
            };
            if room == Room::Left {
                known.at = end;
                if is_first && is_passed {
                    known.from = end;
                }
            }
        }
        self.walk = Some((number, walk));
        Ok(room)
    }

    /// The destinations for whom something of a segment is to be delivered, and whether it need not be looked at again.
    fn destinations(&mut self, walk: &mut Walk, segment: &Placed) -> io::Result<(Vec<usize>, bool)> {
        let mut destinations = self.whose.of_header(&segment.header);
        destinations.retain(|n| segment.is_pending_for(*n));
        if destinations.is_empty() {
            return Ok((destinations, true));
        }
        if self.whose == Whose::Anybody {
            let mut ours = Vec::new();
            for destination in destinations {
                if self.locks.take(&self.layout, segment.header.identities[destination])? {
                    ours.push(destination);
                }
            }
            // Whoever delivers to the others may leave something.
            return Ok((ours, false));
        }
        let manifest = walk.manifest(segment)?;
        destinations.retain(|n| self.whose.is(manifest.as_ref(), *n));
        let is_passed = destinations.is_empty();
        Ok((destinations, is_passed))
    }

    /// For whoever has little time: from here on no more than so many segments that are not delivered are passed; what lies behind
    /// them is not found.
    pub fn limit_search(&mut self, segments: u32) {
        self.passes_left = Some(segments);
    }

    /// Whether one more segment may be passed.
    fn may_pass(&mut self) -> bool {
        let Some(left) = &mut self.passes_left else { return true };
        *left = left.saturating_sub(1);
        *left > 0
    }

    /// For whoever may not live to settle what it sends: notes that it begins. `false` if somebody noted that in the last ten minutes, and
    /// has not [ended](Self::end_hasty): what it sent may have arrived, and nobody is to send it again and again.
    ///
    /// # Errors
    ///
    /// The note cannot be read or written.
    pub fn begin_hasty(&mut self, now: SystemTime) -> io::Result<bool> {
        const REMEMBERED: u64 = 600;
        let Some(lock) = self.locks.held().next() else {
            return Ok(false);
        };
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut noted = [0; 8];
        let read = crate::files::read_full(&**lock, &mut noted, 0)?;
        let noted = if read == noted.len() {
            u64::from_le_bytes(noted)
        } else {
            0
        };
        if noted != 0 && noted <= now && now - noted < REMEMBERED {
            return Ok(false);
        }
        lock.write_at(&now.to_le_bytes(), 0)?;
        Ok(true)
    }

    /// All that was sent is settled, or known to have failed.
    ///
    /// # Errors
    ///
    /// The note cannot be written.
    pub fn end_hasty(&mut self) -> io::Result<()> {
        match self.locks.held().next() {
            Some(lock) => lock.write_at(&0_u64.to_le_bytes(), 0),
            None => Ok(()),
        }
    }

    /// Finds [`strangers`](Self::strangers) from here on, which reads a few segments that are not delivered: people are told
    /// who they are, once.
    pub fn look_for_strangers(&mut self) {
        self.looks_left = MOST_LOOKS;
    }

    /// For whom something lies here that has to do with the own destination or service, and is not delivered: what was found
    /// out on the way, if it was [to be](Self::look_for_strangers).
    pub fn strangers(&self) -> impl Iterator<Item = &Stranger> {
        self.strangers.iter()
    }

    fn look_whose(&mut self, walk: &mut Walk, segment: &Placed) -> io::Result<()> {
        let Whose::Of {
            destination,
            service,
            namespace,
        } = &self.whose
        else {
            return Ok(());
        };
        let Some(looks_left) = self.looks_left.checked_sub(1) else {
            return Ok(());
        };
        self.looks_left = looks_left;
        let Some(manifest) = walk.manifest(segment)? else {
            return Ok(());
        };
        let is_same_service = !service.is_empty() && *service == manifest.service && *namespace == manifest.namespace;
        for (number, other) in manifest.destinations.iter().enumerate() {
            let is_pending = number < segment.header.destinations && segment.is_pending_for(number);
            let is_same_destination = destination.identity != [0; 16] && destination.identity == other.identity;
            if is_pending && (is_same_service || is_same_destination) {
                self.strangers.insert(Stranger {
                    destination: other.name.clone(),
                    service: manifest.service.clone(),
                    is_same_service: !is_same_destination,
                });
            }
        }
        Ok(())
    }

    /// Makes history of the files of which everybody has got everything. One that is appended to stays until it is half
    /// full: otherwise every short process would leave a file of its own.
    fn hand_over_settled_files(&mut self) -> io::Result<()> {
        let worth = self.layout.file_size(Kind::Pending) / 2;
        let keeps_history = self.layout.limits.history > 0;
        let is_settled = |known: &Known| {
            known.from == known.end
                && known.end > 0
                && !known.is_for_others
                && (!known.is_current || known.end >= worth || !keeps_history)
        };
        let settled = self.files.iter().filter(|(_, known)| is_settled(known));
        let settled: Vec<u64> = settled.map(|(number, _)| *number).collect();
        if settled.is_empty() {
            return Ok(());
        }
        let Some(mut locked) = Locked::take(&self.layout)? else {
            return Ok(());
        };
        for number in settled {
            let name = Name {
                number,
                kind: Kind::Pending,
            };
            match locked.settle_if_nobody_waits(name) {
                Ok(true) => {
                    self.files.remove(&number);
                }
                // More has come meanwhile.
                Ok(false) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Drop for Undelivered {
    fn drop(&mut self) {
        // What cannot be counted now is, by the next step in this process; it is no more than a count.
        let _ = self.count(LAST_ATTEMPTS);
        // Where this fails, they are given back when the handles are closed.
        self.locks.held().for_each(|lock| drop(lock.unlock()));
    }
}

/// Adds records of one segment.
fn take(
    walk: &mut Walk,
    number: u64,
    segment: &Placed,
    destinations: &[usize],
    portion: &mut Portion,
    most_records: usize,
    most_bytes: usize,
) -> io::Result<Room> {
    let signal = *portion.signal.get_or_insert(segment.header.signal);
    if signal != segment.header.signal {
        return Ok(Room::Full);
    }
    let cursors = destinations.iter().map(|n| segment.cursors[*n].offset);
    let from = cursors.min().unwrap_or(segment.sealed.end);
    let mut mark = Mark {
        number,
        at: segment.at,
        header: segment.header,
        sealed: segment.sealed,
        destinations: destinations.to_vec(),
        end: segment.sealed.end,
        items: Vec::new(),
    };
    let mut room = Room::Left;
    let mut sources = Sources::default();
    let bytes = walk.bytes(segment)?;
    for (at, record) in recovery::records(bytes, segment.header.generation, 0) {
        if record.kind == RecordKind::Source {
            sources.add(record.source, record.body());
        }
        if !record.kind.is_item() || at < from as usize {
            continue;
        }
        if !portion.has_room(record.payload.len(), most_records, most_bytes) {
            room = Room::Full;
            mark.end = at as u32;
            break;
        }
        portion.push(sources.of(record.source), record.payload);
        mark.items.push(at as u32);
    }
    if room == Room::Left || !mark.items.is_empty() {
        portion.marks.push(mark);
    }
    Ok(room)
}

/// The sources of a segment; those that are named are decoded.
#[derive(Default)]
struct Sources<'a> {
    bodies: HashMap<u32, &'a [u8]>,
    decoded: HashMap<u32, Arc<Source>>,
}

impl<'a> Sources<'a> {
    fn add(&mut self, number: u32, body: &'a [u8]) {
        self.bodies.insert(number, body);
    }

    /// The source of this number; an empty one when it is damaged.
    fn of(&mut self, number: u32) -> &Arc<Source> {
        self.decoded.entry(number).or_insert_with(|| {
            let body = self.bodies.get(&number);
            Arc::new(body.and_then(|body| Source::from_bytes(body)).unwrap_or_default())
        })
    }
}

/// The locks of the destinations that one delivers to.
#[derive(Debug, Default)]
struct Locks {
    named: Vec<SharedFile>,
    /// Whether they could be had.
    held: HashMap<u64, Option<SharedFile>>,
}

impl Locks {
    fn take_named(&mut self, layout: &Layout, name: &str) -> io::Result<bool> {
        let lock = lock(layout, name)?;
        let is_ours = lock.is_some();
        self.named.extend(lock);
        Ok(is_ours)
    }

    /// Takes the lock of a destination, unless somebody else delivers to it.
    fn take(&mut self, layout: &Layout, identity: u64) -> io::Result<bool> {
        if let Some(Some(_)) = self.held.get(&identity) {
            return Ok(true);
        }
        if self.held.len() >= MOST_LOCKS {
            return Ok(true);
        }
        let lock = lock(layout, &format!("{identity:016x}"))?;
        let is_ours = lock.is_some();
        self.held.insert(identity, lock);
        Ok(is_ours)
    }

    fn held(&self) -> impl Iterator<Item = &SharedFile> {
        self.named.iter().chain(self.held.values().flatten())
    }
}

fn lock(layout: &Layout, name: &str) -> io::Result<Option<SharedFile>> {
    let path = layout.directory.join(format!("deliver-{name}.lock"));
    let file = layout.files.open(&path, How::NewOrWrite)?;
    Ok(file.try_lock()?.then_some(file))
}

#[cfg(test)]
#[path = "undelivered_tests.rs"]
mod tests;
