//! Whole batches of records that somebody else has made: what a relay stores.

use std::io;

use super::lease::Lease;
use super::store::{Store, lock};
use crate::format::record::{MAX_BODY, stride};
use crate::format::source::Source;

/// The size of the segments that batches are written to, in bytes.
const SEGMENT: usize = 1 << 20;

/// The segment that batches are appended to.
#[derive(Default)]
pub(crate) struct BatchWriter {
    lease: Option<Lease>,
}

impl Store {
    /// Appends records of one source: all of them, or none. Once this has returned they survive the death of the process; a
    /// power cut they survive once [`sync`](Self::sync) has returned.
    ///
    /// A store that gets whole batches is best made with tier [`Written`](crate::Tier::Written): each batch is then one write,
    /// and memory that is prepared for single spans would be synced twice.
    ///
    /// # Errors
    ///
    /// * `InvalidInput`: a body is longer than [`MAX_BODY`], or the batch as a whole longer than 2 MiB.
    /// * `StorageFull`: there is no room, and nothing can (or, by the settings, may) make way.
    pub fn append_batch<'a, B>(&self, source: &Source, bodies: B) -> io::Result<()>
    where
        B: IntoIterator<Item = &'a [u8]>,
    {
        // Asked for once, and not under a lock: whose iterator it is may do what it wants.
        let bodies: Vec<_> = bodies.into_iter().collect();
        let mut bytes = 0;
        for body in &bodies {
            if body.len() > MAX_BODY {
                let text = format!("a record of {} bytes is longer than {MAX_BODY}", body.len());
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
            bytes += stride(body.len());
        }
        // The batch is measured as if it were one record.
        if bytes > MAX_BODY {
            let text = format!("a batch of {bytes} bytes is longer than {MAX_BODY}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let number = self.source(source);
        let mut writer = lock(&self.batch_writer);
        let has_room =
            |lease: &mut Lease| self.append_source(lease, number, bytes) && lease.place(number, bytes).is_some();
        if let Some(full) = writer.lease.take_if(|lease| !has_room(lease)) {
            self.close(&full);
        }
        if writer.lease.is_none() {
            writer.lease = self.lease(number, bytes, SEGMENT);
        }
        let Some(lease) = &mut writer.lease else {
            return Err(io::Error::new(
                io::ErrorKind::StorageFull,
                "the store has no room for the batch",
            ));
        };
        lease.append_all(number, &bodies);
        Ok(())
    }

    /// Ends the segment that batches are appended to, so that it can become history or be archived.
    pub fn seal(&self) {
        if let Some(lease) = lock(&self.batch_writer).lease.take() {
            self.close(&lease);
        }
        self.seal_closed();
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.seal();
        self.ledger.write();
    }
}
