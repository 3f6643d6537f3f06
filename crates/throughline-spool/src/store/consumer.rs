//! Reading a store's records while they are written, for one destination.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use super::ledger::Dropped;
use super::runs::{Run, Runs};
use super::segment::{Pin, Segment};
use super::store::{Position, Store, lock};
use crate::format::record::{self, Found};

/// One destination's reader of a store's records, oldest segment first. There is one at a time, see [`Store::consumer`].
pub struct Consumer {
    store: Arc<Store>,
    destination: usize,
    /// Segments that were looked at and may hold something that is not settled, oldest first.
    unsettled: VecDeque<Arc<Segment>>,
    /// Segments with this order number or a higher one were not looked at.
    next_order: u64,
    /// How much is read at a time.
    step: usize,
    /// Memory of a batch that was settled, for the next one.
    spare: Vec<u8>,
}

/// Records that were read and are not settled. As long as it lives they are not evicted.
pub struct Batch {
    runs: Runs,
    /// The number of the last run's source.
    last_source: Option<u32>,
    records: u64,
    damaged: u64,
    marks: Vec<Mark>,
}

/// How much of one segment a batch holds.
struct Mark {
    pin: Pin,
    end: u32,
    /// Items, and their bytes.
    records: u32,
    bytes: u32,
}

impl Consumer {
    pub(super) fn new(store: Arc<Store>, destination: usize) -> Self {
        Self {
            store,
            destination,
            unsettled: VecDeque::new(),
            next_order: 0,
            step: LEAST_STEP,
            spare: Vec::new(),
        }
    }

    /// Records, and their bytes, that are committed and not settled.
    #[must_use]
    pub fn pending(&self) -> (u64, u64) {
        self.store.pending(self.destination)
    }

    /// Where the records end that are committed at this moment and not settled, by segment.
    ///
    /// Batches come segment by segment, not in the order in which spans ended; so a number of records would not do.
    #[must_use]
    pub fn position(&self) -> Position {
        self.store.count();
        let index = lock(&self.store.index);
        let unsettled = index.active_from(0).filter_map(|segment| {
            let counted = segment.counted();
            let left = counted.records > segment.cursor(self.destination).settled;
            left.then_some((segment.order(), counted.to))
        });
        Position {
            // The youngest first: they are looked at last.
            segments: unsettled.collect::<Vec<_>>().into_iter().rev().collect(),
        }
    }

    /// Whether everything before that place is settled or evicted. What is is forgotten, so that the next call costs little.
    #[must_use]
    pub fn is_settled(&self, position: &mut Position) -> bool {
        let index = lock(&self.store.index);
        while let Some((order, end)) = position.segments.last() {
            let is_settled = index
                .active(*order)
                .is_none_or(|segment| segment.cursor(self.destination).offset >= *end);
            if !is_settled {
                return false;
            }
            position.segments.pop();
        }
        true
    }

    /// The oldest records that are not settled, up to a number and a size in bytes, but at least one. `None`: there are
    /// none.
    ///
    /// This peeks: the same records come again until they are settled.
    ///
    /// # Errors
    ///
    /// A segment cannot be read at this time, and of the others there is nothing left.
    pub fn next(&mut self, most_records: usize, most_bytes: usize) -> io::Result<Option<Batch>> {
        let mut batch = Batch {
            runs: Runs::new(std::mem::take(&mut self.spare)),
            last_source: None,
            records: 0,
            damaged: 0,
            marks: Vec::new(),
        };
        let mut at = 0;
        let mut trouble = None;
        loop {
            let Some(segment) = self.segment(at) else { break };
            if segment.is_settled_for(self.destination) {
                self.unsettled.remove(at);
                continue;
            }
            let Some(pin) = segment.pin() else {
                self.unsettled.remove(at);
                continue;
            };
            at += 1;
            match self.read(pin, &mut batch, most_records, most_bytes) {
                Ok(true) => break,
                Ok(false) => {}
                // What lies behind it can be delivered all the same.
                Err(error) => trouble = Some(error),
            }
        }
        if batch.records as usize >= most_records {
            self.step = (batch.runs.bytes.len() + batch.runs.bytes.len() / 8).clamp(LEAST_STEP, MOST_STEP);
        }
        if batch.records > 0 {
            return Ok(Some(batch));
        }
        // Of segments in which nothing (more) is to be delivered nobody will settle a batch.
        if !batch.marks.is_empty() {
            self.settle(batch, 0);
        }
        trouble.map_or(Ok(None), Err)
    }

    /// The nth of the segments that may hold something.
    fn segment(&mut self, at: usize) -> Option<Arc<Segment>> {
        if at >= self.unsettled.len() {
            let index = lock(&self.store.index);
            let next = index.active_from(self.next_order).next()?.clone();
            self.next_order = next.order() + 1;
            self.unsettled.push_back(next);
        }
        self.unsettled.get(at).cloned()
    }

    /// Adds records of one segment. `true`: the batch is full.
    fn read(&mut self, pin: Pin, batch: &mut Batch, most_records: usize, most_bytes: usize) -> io::Result<bool> {
        let segment = pin.segment().clone();
        let from = segment.cursor(self.destination).offset;
        let mut mark = Mark {
            pin,
            end: from,
            records: 0,
            bytes: 0,
        };
        let mut result = Ok(false);
        while let Ok(false) = result {
            let start = batch.runs.bytes.len();
            let room = most_bytes.saturating_sub(start);
            match segment.read(mark.end, room.min(self.step), &mut batch.runs.bytes) {
                Ok(end) if end == mark.end => break,
                Ok(_) => {}
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
            let is_full = self.take(&segment, start, batch, &mut mark, most_records, most_bytes);
            result = Ok(is_full);
        }
        if mark.end > from {
            batch.marks.push(mark);
        }
        result
    }

    /// Takes up what was read behind `start` of the batch's bytes, as far as it goes in. `true`: the batch is full.
    fn take(
        &self,
        segment: &Segment,
        start: usize,
        batch: &mut Batch,
        mark: &mut Mark,
        most_records: usize,
        most_bytes: usize,
    ) -> bool {
        let from = mark.end as usize;
        let mut at = start;
        let mut is_full = false;
        while at < batch.runs.bytes.len() {
            let part = &batch.runs.bytes[start..];
            let found = record::read_part(part, at - start, from, segment.generation());
            let next = match &found {
                Found::Record(_, next) => start + next,
                // What is there is no record of ours: somebody has changed the file. It is skipped by its length.
                Found::Torn | Found::Nothing => record::read_u32(part, at - start)
                    .and_then(|commit| record::check_commit_word(commit, at - start, part.len()))
                    .map_or(batch.runs.bytes.len(), |(_, _, next)| start + next),
            };
            let is_item = !matches!(&found, Found::Record(record, _) if !record.kind.is_item());
            let is_too_much = batch.records as usize >= most_records || next > most_bytes;
            if is_item && batch.records > 0 && is_too_much {
                is_full = true;
                break;
            }
            match found {
                Found::Record(record, _) if record.kind.is_item() => {
                    // The payload follows the 12 bytes of commit word, CRC and source.
                    let payload = at + record::HEADER..at + record::HEADER + record.payload.len();
                    let number = record.source;
                    batch.push(&self.store, number, payload);
                }
                Found::Record(..) => {}
                Found::Torn | Found::Nothing => batch.damaged += 1,
            }
            if is_item {
                batch.records += 1;
                mark.records += 1;
                mark.bytes += (next - at) as u32;
            }
            at = next;
        }
        batch.runs.bytes.truncate(at);
        mark.end = (from + at - start) as u32;
        is_full
    }

    /// Settles what was read: the destination has got all of it but `rejected` records.
    ///
    /// The cursors move before the ledger counts: a crash in between leaves records settled and not counted, and none is
    /// counted twice.
    pub fn settle(&mut self, batch: Batch, rejected: u64) {
        let mut totals = lock(&self.store.totals);
        let mut damaged = batch.damaged;
        for mark in &batch.marks {
            let segment = mark.pin.segment();
            totals.count(segment);
            let before = segment.cursor(self.destination).settled;
            let (mut settled, mut bytes) = (mark.records, mark.bytes);
            let counted = segment.counted();
            if segment.closed().is_some_and(|end| mark.end >= end) {
                // The last of it: where damage has swallowed records, the count knows.
                let swallowed = counted.records.saturating_sub(before + settled);
                settled += swallowed;
                damaged += u64::from(swallowed);
                bytes = counted.bytes.saturating_sub(segment.settled_bytes(self.destination));
            }
            segment.set_cursor(self.destination, mark.end, settled, bytes);
            let own = &mut totals.by_destination[self.destination];
            own.settled += u64::from(settled);
            own.settled_bytes += u64::from(bytes);
            self.store.settle_segment(segment);
        }
        let delivered = batch.records.saturating_sub(rejected + batch.damaged);
        let ledger = &self.store.ledger;
        ledger.add_delivered(self.destination, delivered);
        ledger.add_dropped_for(
            self.destination,
            Dropped::Rejected,
            batch.records - batch.damaged - delivered,
        );
        ledger.add_dropped_for(self.destination, Dropped::Damaged, damaged);
        drop(totals);
        ledger.write();
        let mut bytes = batch.runs.bytes;
        bytes.clear();
        bytes.shrink_to(2 * MOST_STEP);
        self.spare = bytes;
    }
}

/// How much is read of a segment at a time, in bytes: about as much as the batches before took.
const LEAST_STEP: usize = 16 << 10;
const MOST_STEP: usize = 512 << 10;

impl Drop for Consumer {
    fn drop(&mut self) {
        self.store.give_consumer_back(self.destination);
    }
}

impl Batch {
    fn push(&mut self, store: &Store, number: u32, payload: Range<usize>) {
        // Asked once for each run, not for each record.
        if self.last_source.replace(number) != Some(number) {
            self.runs.begin(store.source_of(number).unwrap_or_default());
        }
        self.runs.add(payload);
    }

    /// The records, by runs of one source.
    pub fn runs(&self) -> impl Iterator<Item = Run<'_>> {
        self.runs.iter()
    }

    /// Records, damaged ones included.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }
}

impl std::fmt::Debug for Consumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consumer")
            .field("destination", &self.destination)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch")
            .field("records", &self.records)
            .finish_non_exhaustive()
    }
}
