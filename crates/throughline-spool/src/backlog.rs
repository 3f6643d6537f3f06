//! What a dead process left behind, for whoever delivers it in its place.

use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::directory::{self, Adoption, LEDGER, Life, ProcessDir, SCOPES};
use crate::ledger::{Dropped, Ledger};
use crate::manifest::Manifest;
use crate::quarantine;
use crate::recovered::{self, Making, STEPS, Step};
use crate::recovery;
use crate::scopes;
use crate::segment::{Cursor, HEADER_LEN, MAX_DESTINATIONS};
use crate::survey::{RECOVERED, Survey, survey};

/// The spans of a dead process, under an [`Adoption`].
///
/// Opening it makes records of the spans that were open, so that they are delivered like the others. Then, for each
/// destination that is also one's own (by its [fingerprint](crate::Destination::fingerprint)): [`next`](Self::next),
/// deliver, [`settle`](Self::settle), until there is nothing left; at the end [`finish`](Self::finish). It may be dropped
/// at any point: what is not settled comes again for the next adopter.
pub struct Backlog {
    adoption: Adoption,
    manifest: Manifest,
    scopes: Vec<Arc<[u8]>>,
    ledger: Option<Ledger>,
    survey: Survey,
    /// Records that are not settled, by destination.
    pending: [u64; MAX_DESTINATIONS],
    /// Why the spans that were open could not be made into records.
    unrecovered: Option<io::Error>,
    /// The segment that was read last, by its index, and its bytes.
    recent: Option<(usize, Vec<u8>)>,
}

/// Records that one destination has not got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Portion {
    runs: Vec<ScopeRun>,
    records: u64,
    destination: usize,
    /// Segments by their index, and up to where each is read.
    marks: Vec<(usize, u32)>,
}

/// Consecutive records of one instrumentation scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeRun {
    /// An OTLP `InstrumentationScope` message; empty when it is not known.
    pub scope: Arc<[u8]>,
    /// `spans` fields of an OTLP `ScopeSpans`, one behind the other.
    pub payload: Vec<u8>,
    /// How many they are.
    pub records: u64,
}

impl Backlog {
    /// Reads what is there, and makes records of the spans that were open.
    ///
    /// Where those cannot be written (a full disk), the rest can be delivered all the same, and
    /// [`finish`](Self::finish) leaves the directory for a later adopter.
    ///
    /// # Errors
    ///
    /// The directory cannot be read, or its manifest is damaged or of a newer format.
    pub fn open(adoption: Adoption) -> io::Result<Self> {
        Self::open_by(adoption, &STEPS)
    }

    fn open_by(adoption: Adoption, steps: &[Step]) -> io::Result<Self> {
        let directory = adoption.directory();
        let manifest = directory.manifest()?;
        let ledger = Ledger::open(&directory.path().join(LEDGER)).ok();
        let scopes = scopes::read(&directory.read(SCOPES).unwrap_or_default());
        let mut pending = [0; MAX_DESTINATIONS];
        let mut survey = survey_and_count(directory, &mut pending)?;
        let mut unrecovered = None;
        if survey.chunks.iter().any(|name| name == RECOVERED) {
            unrecovered = recovered::remove_slots(directory).err();
        } else if !survey.open.is_empty() || !survey.damaged.is_empty() {
            let making = Making::new(directory, ledger.as_ref(), &survey);
            unrecovered = steps.iter().try_for_each(|step| step(&making)).err();
            survey = survey_and_count(directory, &mut pending)?;
        }
        Ok(Self {
            manifest,
            scopes: scopes.into_iter().map(Arc::from).collect(),
            ledger,
            survey,
            pending,
            unrecovered,
            recent: None,
            adoption,
        })
    }

    /// The dead process's directory.
    #[must_use]
    pub fn directory(&self) -> &ProcessDir {
        self.adoption.directory()
    }

    /// Who the process was, of what resource, and where its spans are to go.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Records that a destination (by its number in the manifest) has not got.
    #[must_use]
    pub fn pending(&self, destination: usize) -> u64 {
        if destination < self.destinations() {
            self.pending[destination]
        } else {
            0
        }
    }

    /// Places that hold something of which nothing can be made.
    #[must_use]
    pub fn damaged(&self) -> usize {
        self.survey.damaged.len()
    }

    /// The oldest records that a destination has not got, up to a number and a size in bytes, but at least one. `None`:
    /// there are none, or they cannot be read at this time.
    ///
    /// This peeks: the same records come again until they are settled.
    pub fn next(&mut self, destination: usize, most_records: usize, most_bytes: usize) -> Option<Portion> {
        if destination >= self.destinations() {
            return None;
        }
        let mut portion = Portion {
            runs: Vec::new(),
            records: 0,
            destination,
            marks: Vec::new(),
        };
        let mut bytes = 0;
        for index in 0..self.survey.segments.len() {
            let segment = &self.survey.segments[index];
            let (start, generation) = (segment.cursors[destination].offset, segment.generation);
            if start >= segment.end || self.read_segment(index).is_err() {
                continue;
            }
            let Some((_, content)) = &self.recent else { continue };
            let mut records = recovery::records(content, generation, start as usize);
            let mut end = start;
            while let Some((_, record)) = records.next() {
                let len = record.payload.len();
                if portion.records > 0 && (portion.records as usize >= most_records || bytes + len > most_bytes) {
                    portion.mark(index, start, end);
                    return Some(portion);
                }
                bytes += len;
                end = records.at() as u32;
                let scope = self.scopes.get(record.scope as usize).cloned().unwrap_or_default();
                portion.push(scope, record.payload);
            }
            portion.mark(index, start, end);
        }
        (portion.records > 0).then_some(portion)
    }

    /// Settles what was read: the destination has got all of it but `rejected` records.
    ///
    /// The cursors are stored before the counts: a crash in between leaves the records delivered and not counted.
    ///
    /// # Errors
    ///
    /// A cursor cannot be stored. The records do not come again here, but may for the next adopter.
    pub fn settle(&mut self, portion: &Portion, rejected: u64) -> io::Result<()> {
        let mut result = Ok(());
        for (index, end) in &portion.marks {
            result = result.and(self.set_cursor(*index, portion.destination, *end));
        }
        let pending = &mut self.pending[portion.destination];
        *pending = pending.saturating_sub(portion.records);
        let rejected = rejected.min(portion.records);
        if let Some(ledger) = &self.ledger {
            ledger.add_delivered(portion.destination, portion.records - rejected);
            ledger.add_dropped(Dropped::Rejected, rejected);
        }
        result
    }

    /// Whether a destination (by its number in the manifest) has everything.
    #[must_use]
    pub fn is_settled(&self, destination: usize) -> bool {
        self.pending(destination) == 0 && self.unrecovered.is_none()
    }

    /// Ends the adoption of a directory from which every destination has everything: keeps it as history, or removes it.
    ///
    /// What could not be read is copied to the quarantine first.
    ///
    /// # Errors
    ///
    /// Spans are pending, something cannot be read or kept, or the directory cannot be removed. It stays for the next
    /// adopter.
    pub fn finish(self, keep_history: bool) -> io::Result<()> {
        if let Some(error) = self.unrecovered {
            return Err(error);
        }
        if let Some(destination) = (0..self.destinations()).find(|destination| !self.is_settled(*destination)) {
            let name = &self.manifest.destinations[destination].name;
            return Err(io::Error::other(format!("spans for {name} are pending")));
        }
        if keep_history {
            return Ok(());
        }
        if let Some((name, error)) = self.survey.unreadable.first() {
            return Err(io::Error::new(error.kind(), format!("{name} cannot be read: {error}")));
        }
        for damage in &self.survey.damaged {
            let name = &self.survey.chunks[damage.chunk];
            let bytes = self.directory().read(name)?;
            // It is cut off where somebody has made the file shorter since.
            let range = damage.range.start.min(bytes.len())..damage.range.end.min(bytes.len());
            quarantine::keep(self.directory(), name, range.start, &bytes[range])?;
        }
        self.adoption.remove()
    }

    pub(crate) fn survey(&self) -> &Survey {
        &self.survey
    }

    /// How many destinations there are cursors for.
    fn destinations(&self) -> usize {
        self.manifest.destinations.len().min(MAX_DESTINATIONS)
    }

    fn set_cursor(&mut self, index: usize, destination: usize, offset: u32) -> io::Result<()> {
        let segment = &mut self.survey.segments[index];
        let sequence = segment.cursors[destination].sequence.wrapping_add(1);
        let cursor = Cursor { offset, sequence };
        segment.cursors[destination] = cursor;
        let at = segment.range.start + Cursor::position(destination, sequence);
        let bytes = cursor.to_bytes(segment.generation);
        let path = self
            .adoption
            .directory()
            .path()
            .join(&self.survey.chunks[segment.chunk]);
        directory::open_file(&path)?.write_all_at(&bytes, at as u64)
    }

    fn read_segment(&mut self, index: usize) -> io::Result<()> {
        if self.recent.as_ref().is_some_and(|(recent, _)| *recent == index) {
            return Ok(());
        }
        let segment = &self.survey.segments[index];
        let path = self
            .adoption
            .directory()
            .path()
            .join(&self.survey.chunks[segment.chunk]);
        let mut bytes = vec![0; segment.range.len()];
        directory::open_to_read(&path)?.read_exact_at(&mut bytes, segment.range.start as u64)?;
        self.recent = Some((index, bytes));
        Ok(())
    }
}

impl Portion {
    /// The records, by runs of one scope.
    #[must_use]
    pub fn runs(&self) -> &[ScopeRun] {
        &self.runs
    }

    /// How many records there are.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    fn push(&mut self, scope: Arc<[u8]>, payload: &[u8]) {
        self.records += 1;
        match self.runs.last_mut().filter(|run| run.scope == scope) {
            Some(run) => {
                run.payload.extend_from_slice(payload);
                run.records += 1;
            }
            None => self.runs.push(ScopeRun {
                scope,
                payload: payload.to_vec(),
                records: 1,
            }),
        }
    }

    fn mark(&mut self, segment: usize, start: u32, end: u32) {
        if end > start {
            self.marks.push((segment, end));
        }
    }
}

impl std::fmt::Debug for Backlog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Backlog")
            .field("path", &self.directory().path())
            .field("pending", &&self.pending[..self.destinations()])
            .finish_non_exhaustive()
    }
}

fn survey_and_count(directory: &ProcessDir, pending: &mut [u64; MAX_DESTINATIONS]) -> io::Result<Survey> {
    *pending = [0; MAX_DESTINATIONS];
    survey(directory, Life::Dead, |segment, offset, _| {
        for (pending, cursor) in pending.iter_mut().zip(segment.cursors) {
            *pending += u64::from(offset >= (cursor.offset as usize).max(HEADER_LEN));
        }
    })
}

#[cfg(test)]
#[path = "backlog_tests.rs"]
mod tests;
