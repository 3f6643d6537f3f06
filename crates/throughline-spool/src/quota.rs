//! How much a spool may hold.

use std::time::Duration;

const MIB: u64 = 1 << 20;

/// How much one process directory may hold, in bytes and age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in all. When they are used up, the oldest history goes first, then the oldest spans that are pending still,
    /// which are counted as dropped. Default 256 MiB; 16 MiB where the spool lies in memory.
    pub total: u64,
    /// Bytes of history: what is delivered, or was never to be sent. Default 64 MiB. 0 keeps none.
    pub history: u64,
    /// How long a dead process's history is kept. Default 7 days.
    pub history_age: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            total: 256 * MIB,
            history: 64 * MIB,
            history_age: Duration::from_secs(7 * 24 * 3600),
        }
    }
}

/// How much a spool holds, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sizes {
    pub pending: u64,
    pub history: u64,
}

impl Limits {
    /// The limits where every byte is memory.
    #[must_use]
    pub fn in_memory(self) -> Self {
        Self {
            total: self.total.min(16 * MIB),
            history: self.history.min(8 * MIB),
            ..self
        }
    }

    pub(crate) fn room_for_files(&self, bytes: u64) -> u64 {
        self.total.saturating_sub(bytes)
    }

    pub(crate) fn exceeds_history(&self, sizes: Sizes) -> bool {
        sizes.history > self.history
    }

    pub(crate) fn exceeds_total(&self, sizes: Sizes, wanted: u64) -> bool {
        sizes.pending + sizes.history + wanted > self.total
    }
}
