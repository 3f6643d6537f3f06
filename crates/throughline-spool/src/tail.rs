//! Reading this process's own records while its threads write on.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::ledger::Dropped;
use crate::segment::Segment;
use crate::spool::Spool;

/// One destination's reader of this process's records, oldest segment first.
pub struct Tail {
    spool: &'static Spool,
    destination: usize,
    /// By generation, so that counting looks at each record once.
    counted: HashMap<u64, Counted>,
    copy: Vec<u8>,
}

/// What is known of one segment.
#[derive(Clone, Copy)]
struct Counted {
    /// Everything before this is counted.
    to: u32,
    records: u64,
    bytes: u64,
    /// Of these, settled.
    settled_records: u64,
    settled_bytes: u64,
}

/// Consecutive records of one scope.
#[derive(Debug)]
pub struct Run {
    /// The scope's number, see [`Spool::scopes`].
    pub scope: u32,
    /// Their payloads: `spans` fields of an OTLP `ScopeSpans`.
    pub payload: Vec<u8>,
}

/// Records that were read and are not settled. As long as it lives they are not evicted.
pub struct Unsettled {
    runs: Vec<Run>,
    records: u64,
    damaged: u64,
    marks: Vec<Mark>,
}

/// How much of one segment a batch holds.
struct Mark {
    segment: Arc<Segment>,
    range: Range<u32>,
    records: u64,
}

impl Tail {
    /// The reader for one destination, by its number in the manifest.
    #[must_use]
    pub fn new(spool: &'static Spool, destination: usize) -> Self {
        Self {
            spool,
            destination,
            counted: HashMap::new(),
            copy: Vec::new(),
        }
    }

    /// Records, and their bytes, that are committed and not settled.
    pub fn pending(&mut self) -> (u64, u64) {
        let segments = self.pinned();
        let mut known = HashMap::with_capacity(segments.len());
        let mut pending = (0, 0);
        for Pinned(segment) in &segments {
            let counted = self.counted.get(&segment.generation()).copied();
            let mut counted = counted.unwrap_or_else(|| Counted::from(segment.cursor(self.destination)));
            for (at, next) in segment.committed(counted.to) {
                counted.records += 1;
                counted.bytes += (next - at) as u64;
                counted.to = next as u32;
            }
            pending.0 += counted.records - counted.settled_records;
            pending.1 += counted.bytes - counted.settled_bytes;
            known.insert(segment.generation(), counted);
        }
        self.counted = known;
        pending
    }

    /// What is committed and not settled at this moment: by segment, up to where.
    ///
    /// Batches come segment by segment, not in the order in which spans ended; so a number of records would not do.
    pub fn mark(&mut self) -> Vec<(u64, u32)> {
        self.pending();
        let is_pending = |counted: &Counted| counted.records > counted.settled_records;
        let pending = self.counted.iter().filter(|(_, counted)| is_pending(counted));
        pending.map(|(generation, counted)| (*generation, counted.to)).collect()
    }

    /// Whether all that was marked is settled, or evicted.
    #[must_use]
    pub fn is_settled(&self, mark: &[(u64, u32)]) -> bool {
        let catalog = self.spool.catalog();
        let is_settled = |(generation, to): &(u64, u32)| {
            let segment = catalog
                .segments()
                .iter()
                .find(|segment| segment.generation() == *generation);
            segment.is_none_or(|segment| segment.cursor(self.destination) >= *to)
        };
        mark.iter().all(is_settled)
    }

    /// The oldest records that are not settled, up to a number and a size in bytes, but at least one. `None`: there are
    /// none.
    ///
    /// This peeks: the same records come again until they are settled.
    pub fn next(&mut self, most_records: usize, most_bytes: usize) -> Option<Unsettled> {
        let mut batch = Unsettled {
            runs: Vec::new(),
            records: 0,
            damaged: 0,
            marks: Vec::new(),
        };
        let mut bytes = 0;
        for Pinned(segment) in &self.pinned() {
            let start = segment.cursor(self.destination);
            let mut mark = Mark {
                segment: segment.clone(),
                range: start..start,
                records: 0,
            };
            let mut is_full = false;
            while let Some((record, next)) = segment.copy(mark.range.end as usize, &mut self.copy) {
                let len = next - mark.range.end as usize;
                is_full = batch.records > 0 && (batch.records as usize >= most_records || bytes + len > most_bytes);
                if is_full {
                    break;
                }
                bytes += len;
                batch.records += 1;
                mark.records += 1;
                mark.range.end = next as u32;
                match record {
                    None => batch.damaged += 1,
                    Some(record) => match batch.runs.last_mut().filter(|run| run.scope == record.scope) {
                        Some(run) => run.payload.extend_from_slice(record.payload),
                        None => batch.runs.push(Run {
                            scope: record.scope,
                            payload: record.payload.to_vec(),
                        }),
                    },
                }
            }
            if mark.records > 0 {
                segment.pin();
                batch.marks.push(mark);
            }
            if is_full {
                break;
            }
        }
        (batch.records > 0).then_some(batch)
    }

    /// Settles what was read: the destination has got all of it but `rejected` records.
    pub fn settle(&mut self, batch: &Unsettled, rejected: u64) {
        let delivered = batch.records.saturating_sub(rejected + batch.damaged);
        let ledger = &self.spool.ledger;
        ledger.add_delivered(self.destination, delivered);
        ledger.add_dropped(Dropped::Rejected, batch.records - batch.damaged - delivered);
        ledger.add_dropped(Dropped::Damaged, batch.damaged);
        for mark in &batch.marks {
            mark.segment.set_cursor(self.destination, mark.range.end);
            if let Some(counted) = self.counted.get_mut(&mark.segment.generation()) {
                // What was read may not have been counted yet.
                let settled_bytes = u64::from(mark.range.end - mark.range.start);
                if counted.to < mark.range.end {
                    counted.records = counted.settled_records + mark.records;
                    counted.bytes = counted.settled_bytes + settled_bytes;
                    counted.to = mark.range.end;
                }
                counted.settled_records += mark.records;
                counted.settled_bytes += settled_bytes;
            }
        }
    }

    /// All segments, oldest first, none of which is evicted as long as the list lives.
    fn pinned(&self) -> Vec<Pinned> {
        let catalog = self.spool.catalog();
        catalog
            .segments()
            .iter()
            .map(|segment| Pinned::new(segment.clone()))
            .collect()
    }
}

impl Counted {
    /// Nothing is counted before the cursor.
    fn from(cursor: u32) -> Self {
        Self {
            to: cursor,
            records: 0,
            bytes: 0,
            settled_records: 0,
            settled_bytes: 0,
        }
    }
}

impl Unsettled {
    /// The payloads, by runs of one scope.
    #[must_use]
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Records, damaged ones included.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }
}

impl Drop for Unsettled {
    fn drop(&mut self) {
        self.marks.iter().for_each(|mark| mark.segment.unpin());
    }
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tail")
            .field("destination", &self.destination)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Unsettled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unsettled")
            .field("records", &self.records)
            .finish_non_exhaustive()
    }
}

/// A segment that is not evicted as long as this lives. Made under the catalog's lock.
struct Pinned(Arc<Segment>);

impl Pinned {
    fn new(segment: Arc<Segment>) -> Self {
        segment.pin();
        Self(segment)
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.0.unpin();
    }
}
