//! Reading an archive file segment by segment, in pieces of bounded size.

use std::io;
use std::ops::Range;

use crate::directory::LONGEST_FILE;
use crate::files::{SharedFile, read_full};
use crate::format::header::{ARCHIVE_UNIT, Cursor, HEADER_LEN, Header, MAX_DESTINATIONS, Sealed};
use crate::format::manifest::Manifest;
use crate::format::record::{self, Found, Kind};
use crate::format::recovery;

/// How much is read at a time, unless a segment is longer.
const WINDOW: usize = 64 << 10;

/// A walk from segment to segment.
#[derive(Debug)]
pub(crate) struct Walk {
    file: SharedFile,
    /// Where the next segment begins.
    at: u64,
    /// Where the file, or what is committed of it, ends.
    end: u64,
    /// A piece of the file, and where it begins.
    window: Vec<u8>,
    window_at: u64,
}

/// What stands at one place of the file.
#[expect(
    clippy::large_enum_variant,
    reason = "it is looked at where it is returned, and never kept"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Segment(Placed),
    /// Nothing can be made of these bytes.
    Damaged(Range<u64>),
}

/// A segment and its place in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub header: Header,
    pub at: u64,
    /// Less than the header says where the file was cut off.
    pub len: usize,
    /// What the header says of the records.
    pub sealed: Sealed,
    /// How far each destination has got.
    pub cursors: [Cursor; MAX_DESTINATIONS],
}

impl Placed {
    pub fn end(&self) -> u64 {
        self.at + self.len as u64
    }

    /// Items that a destination has not got.
    pub fn pending_for(&self, destination: usize) -> u32 {
        let cursor = &self.cursors[destination];
        match cursor.offset < self.sealed.end {
            true => self.sealed.records.saturating_sub(cursor.settled),
            false => 0,
        }
    }

    /// Items that somebody has not got: the most of any destination.
    pub fn pending(&self) -> u32 {
        (0..self.header.destinations)
            .map(|n| self.pending_for(n))
            .max()
            .unwrap_or(0)
    }

    /// Whether somebody is to get something, if only to learn that it is damaged.
    pub fn is_pending(&self) -> bool {
        (0..self.header.destinations).any(|n| self.is_pending_for(n))
    }

    pub fn is_pending_for(&self, destination: usize) -> bool {
        self.cursors[destination].offset < self.sealed.end
    }
}

impl Walk {
    /// Walks from one place to another; what lies behind is not looked at.
    pub fn new(file: SharedFile, from: u64, end: u64) -> Self {
        Self {
            file,
            at: from,
            end,
            window: Vec::new(),
            window_at: 0,
        }
    }

    /// Walks the whole file.
    pub fn whole(file: SharedFile) -> io::Result<Self> {
        let len = file.look()?.len;
        Ok(Self::new(file, 0, len))
    }

    /// Goes on from another place.
    pub fn go_to(&mut self, at: u64, end: u64) {
        (self.at, self.end) = (at, end);
    }

    /// The next segment in use, or the next damaged range.
    ///
    /// # Errors
    ///
    /// The file cannot be read; the walk can be gone on with later.
    pub fn next(&mut self) -> io::Result<Option<Step>> {
        while self.at < self.end {
            let at = self.at;
            let rest = self.end - at;
            let head = self.piece(at, HEADER_LEN)?;
            let header = Header::from_bytes(head).or_else(|| Header::mend(head));
            // A header's checksum proves no good will: nobody has ever written a segment of that length.
            match header.filter(|header| header.len as u64 <= LONGEST_FILE) {
                Some(header) => {
                    let sealed = Sealed::read(head, header.generation);
                    let mut placed = Placed {
                        header,
                        at,
                        len: rest.min(header.len as u64) as usize,
                        sealed: sealed.unwrap_or_default(),
                        cursors: Cursor::read_all(head, &header),
                    };
                    if sealed.is_none() && header.generation != 0 {
                        placed.sealed = self.count(&placed)?;
                    }
                    self.at = placed.end();
                    if header.generation != 0 {
                        return Ok(Some(Step::Segment(placed)));
                    }
                }
                None => {
                    let end = self.find_header(at + ARCHIVE_UNIT as u64)?;
                    self.at = end;
                    if at < end {
                        return Ok(Some(Step::Damaged(at..end)));
                    }
                }
            }
        }
        Ok(None)
    }

    /// The bytes of a segment.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn bytes(&mut self, segment: &Placed) -> io::Result<&[u8]> {
        self.piece(segment.at, segment.len)
    }

    /// The manifest in a segment's process record; `None` when it is damaged.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn manifest(&mut self, segment: &Placed) -> io::Result<Option<Manifest>> {
        Ok(process_record(self.bytes(segment)?, segment.header.generation)
            .and_then(|body| Manifest::from_bytes(body).ok()))
    }

    /// What a header whose seal is damaged would say.
    fn count(&mut self, segment: &Placed) -> io::Result<Sealed> {
        let mut records = recovery::records(self.bytes(segment)?, segment.header.generation, 0);
        let items = records.by_ref().filter(|(_, record)| record.kind.is_item()).count();
        Ok(Sealed {
            end: records.at() as u32,
            records: items as u32,
            ..Sealed::default()
        })
    }

    /// The file, to write to.
    pub fn file(&self) -> &SharedFile {
        &self.file
    }

    /// Takes note of what was written to the file.
    pub fn patch(&mut self, bytes: &[u8], at: u64) {
        let Some(at) = at.checked_sub(self.window_at) else {
            return;
        };
        if let Some(place) = self
            .window
            .get_mut(at as usize..)
            .and_then(|rest| rest.get_mut(..bytes.len()))
        {
            place.copy_from_slice(bytes);
        }
    }

    /// Where the next header stands, or the end.
    fn find_header(&mut self, from: u64) -> io::Result<u64> {
        let mut at = from;
        while at < self.end {
            if Header::from_bytes(self.piece(at, HEADER_LEN)?).is_some() {
                return Ok(at);
            }
            at += ARCHIVE_UNIT as u64;
        }
        Ok(self.end)
    }

    /// `len` bytes of the file, or fewer where it ends.
    fn piece(&mut self, at: u64, len: usize) -> io::Result<&[u8]> {
        let wanted = (self.end.saturating_sub(at)).min(len as u64) as usize;
        let is_there =
            |walk: &Self| at >= walk.window_at && at + wanted as u64 <= walk.window_at + walk.window.len() as u64;
        if !is_there(self) {
            let more = self.end.saturating_sub(at).min(len.max(WINDOW) as u64) as usize;
            self.window.clear();
            self.window.resize(more, 0);
            self.window_at = at;
            let read = read_full(&*self.file, &mut self.window, at);
            // What was not read is not kept: the next call tries again.
            self.window.truncate(*read.as_ref().unwrap_or(&0));
            if read? < wanted {
                self.end = self.end.min(at + self.window.len() as u64);
            }
        }
        let start = (at - self.window_at) as usize;
        let end = (start + wanted).min(self.window.len());
        Ok(&self.window[start.min(end)..end])
    }
}

/// The body of a segment's first process record.
pub(crate) fn process_record(segment: &[u8], generation: u64) -> Option<&[u8]> {
    // It is the first of all records; where it is damaged, no later one can be of help.
    match record::read(segment, HEADER_LEN, generation) {
        Found::Record(record, _) if record.kind == Kind::Process => Some(record.body()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::{How, os};
    use crate::fixture::{segment, span};

    fn walk(bytes: &[u8]) -> Vec<Step> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("file");
        std::fs::write(&path, bytes).expect("it can be written");
        let file = os::files().open(&path, How::Read).expect("it is there");
        let mut walk = Walk::whole(file).expect("it can be looked at");
        let mut steps = Vec::new();
        let mut end = 0;
        while let Some(step) = walk.next().expect("it can be read") {
            let range = match &step {
                Step::Segment(placed) => placed.at..placed.end(),
                Step::Damaged(range) => range.clone(),
            };
            assert!(range.start >= end && range.end > range.start && range.end <= bytes.len() as u64);
            end = range.end;
            steps.push(step);
        }
        steps
    }

    fn three() -> Vec<u8> {
        let bodies: Vec<Vec<u8>> = (1..5).map(|id| span(id, "a span")).collect();
        [1, 2, 3].map(|generation| segment(generation, 1024, &bodies)).concat()
    }

    #[test]
    fn lost_header_costs_its_segment_and_no_other() {
        let mut bytes = three();
        bytes[1024..1056].fill(0xee);
        let steps = walk(&bytes);
        let generations: Vec<_> = steps
            .iter()
            .map(|step| match step {
                Step::Segment(placed) => placed.header.generation,
                Step::Damaged(_) => 0,
            })
            .collect();
        assert_eq!(generations, [1, 0, 3]);
        assert_eq!(steps[1], Step::Damaged(1024..2048));
    }

    #[test]
    fn lost_seal_is_made_up_for_by_counting() {
        let Step::Segment(placed) = &walk(&three())[0] else {
            panic!("it is whole")
        };
        assert_eq!(placed.sealed.records, 4);
        assert!(placed.sealed.end > HEADER_LEN as u32 && placed.sealed.end <= 1024);
    }

    #[test]
    fn segment_longer_than_any_is_damage() {
        let mut bytes = three();
        bytes[..HEADER_LEN].copy_from_slice(&crate::fixture::header(1, u32::MAX as usize / 64 * 64).to_bytes());
        assert_eq!(walk(&bytes)[0], Step::Damaged(0..1024));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_walked_without_a_panic(
            changes in proptest::collection::vec((0_usize..3072, 0_u8..), 0..20),
            len in 0_usize..3072,
        ) {
            let mut bytes = three();
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            walk(&bytes[..len]);
        }
    }
}
