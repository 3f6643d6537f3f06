//! Following one process: its segments, its open spans, and its death.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use throughline_wire::SpanView;

use super::{CLOCK_STEP, NewSpan, OPEN_FOR, Show, Sources};
use crate::archive::layout::unix_nano;
use crate::archive::slots::Ids;
use crate::directory::{LONGEST_FILE, Life, ProcessDir, SLOTS};
use crate::files::{How, SharedFile, read_all, read_full};
use crate::format::header::{HEADER_LEN, Header, Sealed, Signal, UNIT};
use crate::format::record::{self, Found, Kind, Record};
use crate::format::recovery::{self, Records};
use crate::format::source::Source;
use crate::format::{slot, unfinished};
use crate::platform;
use crate::reader::State;
use crate::reader::process::read_until_it_stays;
use crate::store::SEGMENTS;

/// Places at which nothing is written that are looked at, per file and look.
const PLACES: usize = 512;
/// How much is read of a segment at a time, in bytes.
const PIECE: usize = 64 << 10;
/// What is no record yet may be in the middle of being written: it is given up after so many looks.
const TRIES: u32 = 20;
/// How often open spans are looked at, and whether the process lives.
const SLOTS_EVERY: Duration = Duration::from_secs(1);

/// A process and how far it was read.
#[derive(Debug)]
pub(super) struct Followed {
    directory: ProcessDir,
    /// When the directory had last changed when it was listed last.
    listed: Option<SystemTime>,
    files: BTreeMap<String, SegmentFile>,
    slot_files: Vec<String>,
    /// When the slots were last looked at.
    slots_seen: Option<SystemTime>,
    known: Known,
    is_over: bool,
}

/// What was read of a process, in its directory or in the archive.
#[derive(Debug, Default)]
struct Known {
    /// How far segments were read, by generation.
    read: HashMap<u64, usize>,
    sources: HashMap<u32, Arc<Source>>,
    /// The newest end of a span, in nanoseconds since 1970.
    known_alive: u64,
    /// Open spans that were shown as such.
    open: HashSet<Ids>,
    /// Those that were shown as unfinished, and will come as records.
    unfinished: HashSet<Ids>,
}

/// A file of segments, as it was seen last.
#[derive(Debug, Default)]
struct SegmentFile {
    len: u64,
    /// What stands where; together they cover the file.
    places: BTreeMap<u64, Place>,
    /// From where on places are looked at next.
    turn: u64,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    /// None: nothing was ever written there.
    header: Option<Header>,
    len: u64,
    /// Whether nothing will be written there in this generation.
    is_read: bool,
    tries: u32,
}

impl Place {
    fn generation(&self) -> u64 {
        self.header.map_or(0, |header| header.generation)
    }

    fn is_written(&self) -> bool {
        self.generation() != 0 && !self.is_read
    }
}

impl Followed {
    pub fn new(directory: ProcessDir) -> Self {
        Self {
            directory,
            listed: None,
            files: BTreeMap::new(),
            slot_files: Vec::new(),
            slots_seen: None,
            known: Known::default(),
            is_over: false,
        }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    #[cfg(test)]
    pub fn known_segments(&self) -> usize {
        self.known.read.len()
    }

    /// Shows what has come; with `skips` only takes note of it.
    pub fn look(&mut self, skips: bool, now: SystemTime, sources: &mut Sources, show: Show<'_>) -> io::Result<()> {
        if self.is_over {
            return Ok(());
        }
        self.list(now)?;
        let is_due = self
            .slots_seen
            .is_none_or(|seen| now.duration_since(seen).is_ok_and(|ago| ago >= SLOTS_EVERY));
        // First, so that all that a dead process has written is read after that.
        let life = if is_due { self.directory.life() } else { Life::Living };
        let mut names: Vec<_> = self.files.keys().cloned().collect();
        while let Some(name) = names.pop() {
            match self.directory.files.open(&self.directory.path().join(&name), How::Read) {
                Ok(file) => self.look_at_file(&name, &file, skips, sources, show)?,
                // Removed, or archived.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        if is_due {
            self.slots_seen = Some(now);
            self.look_at_slots(life, skips, now, show)?;
            self.is_over = life == Life::Dead;
        }
        Ok(())
    }

    /// Takes note of new files.
    fn list(&mut self, now: SystemTime) -> io::Result<()> {
        let modified = self.directory.files.look(self.directory.path())?.modified;
        let is_settled = now.duration_since(modified).is_ok_and(|ago| ago > CLOCK_STEP);
        if self.listed == Some(modified) && is_settled {
            return Ok(());
        }
        if self.listed.is_none() {
            // A newer format is left alone, and said.
            match self.directory.manifest() {
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    self.is_over = true;
                    return Err(error);
                }
                _ => {}
            }
        }
        for name in self.directory.numbered(SEGMENTS)? {
            self.files.entry(name).or_default();
        }
        self.slot_files = self.directory.numbered(SLOTS)?;
        self.listed = Some(modified);
        Ok(())
    }

    fn look_at_file(
        &mut self,
        name: &str,
        file: &SharedFile,
        skips: bool,
        sources: &mut Sources,
        show: Show<'_>,
    ) -> io::Result<()> {
        let Some(segments) = self.files.get_mut(name) else {
            return Ok(());
        };
        let len = file.look()?.len.min(LONGEST_FILE);
        if len > segments.len {
            let place = Place {
                header: None,
                len: len - segments.len,
                is_read: false,
                tries: 0,
            };
            segments.places.insert(segments.len, place);
            segments.len = len;
        }
        let mut looking = Looking {
            file,
            segments,
            known: &mut self.known,
            skips,
            sources,
            show,
        };
        for at in looking.due() {
            looking.look_at_place(at)?;
        }
        Ok(())
    }

    fn look_at_slots(&mut self, life: Life, skips: bool, now: SystemTime, show: Show<'_>) -> io::Result<()> {
        let (mut open, now) = (HashSet::new(), unix_nano(now));
        let old_enough = now.saturating_sub(u64::try_from(OPEN_FOR.as_nanos()).unwrap_or(u64::MAX));
        if life == Life::Dead {
            // Slots of another boot are what happened to be written back.
            let owner = self
                .directory
                .manifest()
                .map(|manifest| manifest.owner)
                .unwrap_or_default();
            if !platform::is_this_boot(&owner.boot_id) {
                return Ok(());
            }
        }
        for name in &self.slot_files {
            let file = match self.directory.files.open(&self.directory.path().join(name), How::Read) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let bytes = read_all(&*file, LONGEST_FILE)?;
            for (number, bytes) in bytes.chunks_exact(slot::LEN).enumerate() {
                let Some(seen) = slot::read(bytes) else { continue };
                let ids = Ids::of(&SpanView::new(seen.body));
                match life {
                    Life::Dead => self.known.show_unfinished(&seen, ids, skips, now, show),
                    Life::Living if SpanView::new(seen.body).start_time_unix_nano() > old_enough => {}
                    Life::Living if self.known.open.contains(&ids) => {
                        open.insert(ids);
                    }
                    Life::Living => {
                        let settled = read_until_it_stays(&file, bytes, number)?;
                        let seen = slot::read(&settled).filter(|seen| seen.closing.is_none());
                        if let Some((body, source)) =
                            seen.and_then(|seen| Some((unfinished::so_far(seen.body)?, seen.source)))
                        {
                            let source = self.known.sources.get(&source).cloned().unwrap_or_default();
                            open.insert(Ids::of(&SpanView::new(body)));
                            show(NewSpan {
                                body,
                                state: State::Open,
                                source: &source,
                            });
                        }
                    }
                }
            }
        }
        self.known.open = open;
        Ok(())
    }

    /// Shows the records of an archived segment that were not read before.
    pub fn read_archived(&mut self, header: &Header, records: &mut Records<'_>, sources: &mut Sources, show: Show<'_>) {
        let read = self.known.read.get(&header.generation).copied().unwrap_or(0);
        for (offset, record) in records.by_ref() {
            let is_new = offset >= read;
            self.known.take(&record, header.signal, !is_new, sources, show);
        }
        let end = records.at().max(read);
        self.known.read.insert(header.generation, end);
    }
}

impl Known {
    /// Takes note of a record, and shows it if it is a span.
    fn take(&mut self, record: &Record<'_>, signal: Signal, skips: bool, sources: &mut Sources, show: Show<'_>) {
        if record.kind == Kind::Source {
            self.sources.insert(record.source, sources.of(record.body()));
        }
        if !record.kind.is_item() || signal != Signal::Traces {
            return;
        }
        let view = SpanView::new(record.body());
        self.known_alive = self.known_alive.max(view.end_time_unix_nano());
        let state = match record.kind {
            Kind::Unfinished => State::Unfinished,
            _ => State::Finished,
        };
        let was_shown = || state == State::Unfinished && self.unfinished.contains(&Ids::of(&view));
        if skips || was_shown() {
            return;
        }
        let none = Arc::default();
        show(NewSpan {
            body: record.body(),
            state,
            source: self.sources.get(&record.source).unwrap_or(&none),
        });
    }

    /// Shows a span that a dead process had open, unless it is in a record.
    fn show_unfinished(&mut self, seen: &slot::Seen<'_>, ids: Ids, skips: bool, now: u64, show: Show<'_>) {
        let is_committed = seen.closing.is_some_and(|(generation, offset)| {
            // A segment that is not known was evicted since.
            self.read.get(&generation).is_none_or(|read| *read > offset as usize)
        });
        if is_committed || !self.unfinished.insert(ids) || skips {
            return;
        }
        if let Some(body) = unfinished::close(seen.body, self.known_alive.min(now)) {
            let source = self.sources.get(&seen.source).cloned().unwrap_or_default();
            show(NewSpan {
                body: &body,
                state: State::Unfinished,
                source: &source,
            });
        }
    }
}

/// One look at a file of segments.
struct Looking<'a> {
    file: &'a SharedFile,
    segments: &'a mut SegmentFile,
    known: &'a mut Known,
    skips: bool,
    sources: &'a mut Sources,
    show: Show<'a>,
}

impl Looking<'_> {
    /// The places to look at: those that are written, and some of the others in turn.
    fn due(&mut self) -> Vec<u64> {
        let places = &self.segments.places;
        let mut due: Vec<_> = places
            .iter()
            .filter(|(_, place)| place.is_written())
            .map(|(at, _)| *at)
            .collect();
        let others = places
            .range(self.segments.turn..)
            .chain(places.range(..self.segments.turn));
        let others = others.filter(|(_, place)| !place.is_written()).map(|(at, _)| *at);
        let others: Vec<_> = others.take(PLACES).collect();
        self.segments.turn = others.last().map_or(0, |last| last + 1);
        due.extend(others);
        due
    }

    /// Looks at what stands at one place, and at those that it was divided into.
    fn look_at_place(&mut self, at: u64) -> io::Result<()> {
        let mut next = Some(at);
        while let Some(at) = next.take() {
            // It may have become a part of another since.
            let Some(known) = self.segments.places.get(&at).copied() else {
                return Ok(());
            };
            let mut head = [0; HEADER_LEN];
            let read = read_full(&**self.file, &mut head, at)?;
            let Some(header) = Header::from_bytes(&head[..read]) else {
                return Ok(());
            };
            let is_same = known
                .header
                .is_some_and(|old| (old.generation, old.len) == (header.generation, header.len));
            if !is_same {
                next = self.replace(at, header);
            }
            if header.generation != 0 {
                let sealed = Sealed::read(&head, header.generation);
                self.read_segment(at, &header, sealed)?;
            }
        }
        Ok(())
    }

    /// Puts a new segment in the place of what was there. Returns where something else now begins that is not known.
    fn replace(&mut self, at: u64, header: Header) -> Option<u64> {
        let places = &mut self.segments.places;
        let file_end = self.segments.len;
        let end = (at + header.len as u64).next_multiple_of(UNIT as u64).min(file_end);
        let covered: Vec<_> = places.range(at..end).map(|(at, place)| (*at, *place)).collect();
        let mut old_end = end;
        for (at, place) in covered {
            places.remove(&at);
            old_end = old_end.max(at + place.len);
            // What was there has been evicted.
            self.known.read.remove(&place.generation());
        }
        let place = |header: Option<Header>, len: u64| Place {
            header,
            len,
            is_read: false,
            tries: 0,
        };
        places.insert(at, place(Some(header), end - at));
        if end < old_end {
            places.insert(end, place(None, old_end - end));
        }
        (end < old_end).then_some(end)
    }

    fn read_segment(&mut self, at: u64, header: &Header, sealed: Option<Sealed>) -> io::Result<()> {
        let generation = header.generation;
        let len = header
            .len
            .min(usize::try_from(self.segments.len - at).unwrap_or(usize::MAX));
        let end = sealed.map_or(len, |sealed| (sealed.end as usize).min(len));
        let read = self.known.read.get(&generation).copied().unwrap_or(HEADER_LEN);
        if read >= end {
            self.mark_read(at);
            return Ok(());
        }
        if self.skips && sealed.is_some() {
            self.known.read.insert(generation, end);
            self.mark_read(at);
            return Ok(());
        }
        let is_torn = self.read_records(at, header, read, end)?;
        let read = self.known.read.get(&generation).copied().unwrap_or(read);
        let tries = match self.segments.places.get_mut(&at) {
            Some(place) if is_torn || sealed.is_some() && read < end => {
                place.tries += 1;
                place.tries
            }
            _ => 0,
        };
        if tries > TRIES {
            // It is damaged: what can be read behind it is.
            let mut bytes = vec![0; end];
            let there = read_full(&**self.file, &mut bytes, at)?;
            let mut records = recovery::records(&bytes[..there], generation, read);
            for (_, record) in records.by_ref() {
                self.known
                    .take(&record, header.signal, self.skips, self.sources, self.show);
            }
            self.known.read.insert(generation, records.at().max(read));
            if sealed.is_some() {
                self.known.read.insert(generation, end);
            }
        }
        if sealed.is_some() && self.known.read.get(&generation).is_some_and(|read| *read >= end) {
            self.mark_read(at);
        }
        Ok(())
    }

    /// Takes the records from one place of a segment on, as far as they are there. Returns whether something follows that is no
    /// record.
    fn read_records(&mut self, at: u64, header: &Header, mut from: usize, end: usize) -> io::Result<bool> {
        let (generation, mut piece) = (header.generation, PIECE);
        loop {
            let mut bytes = vec![0; piece.min(end - from)];
            let read = read_full(&**self.file, &mut bytes, at + from as u64)?;
            let (part, mut done) = (&bytes[..read], 0);
            let follows = loop {
                match record::read_part(part, done, from, generation) {
                    Found::Record(record, next) => {
                        self.known
                            .take(&record, header.signal, self.skips, self.sources, self.show);
                        done = next;
                    }
                    Found::Nothing => break part.len() < done + 4,
                    Found::Torn => break true,
                }
            };
            from += done;
            self.known.read.insert(generation, from);
            let is_whole = from + (read - done) >= end;
            match follows {
                false => return Ok(false),
                true if is_whole => return Ok(from < end),
                // The piece ends in the middle of a record; one that is longer than a piece needs all there is.
                true if done == 0 && piece > PIECE => return Ok(true),
                true if done == 0 => piece = end,
                true => piece = PIECE,
            }
        }
    }

    fn mark_read(&mut self, at: u64) {
        if let Some(place) = self.segments.places.get_mut(&at) {
            place.is_read = true;
        }
    }
}
