//! How much may be kept.

use std::time::Duration;

const MIB: u64 = 1 << 20;

/// How much the whole root may hold, whoever wrote it, in bytes and age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of records that some destination has not got. When they are used up the oldest go first, and are counted.
    /// Default 256 MiB; 16 MiB where the spool lies in memory.
    pub pending: u64,
    /// Bytes of history: what is delivered, or was never to be sent. Default 64 MiB; 8 MiB where the spool lies in memory. 0
    /// keeps none of a dead process.
    pub history: u64,
    /// How long a dead process's history is kept. Default 7 days.
    pub history_age: Duration,
    /// How long a dead process's undelivered records are kept. Default 30 days.
    pub pending_age: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        Self {
            pending: 256 * MIB,
            history: 64 * MIB,
            history_age: 7 * DAY,
            pending_age: 30 * DAY,
        }
    }
}

impl Limits {
    /// The limits where every byte is memory.
    #[must_use]
    pub fn in_memory(self) -> Self {
        Self {
            pending: self.pending.min(16 * MIB),
            history: self.history.min(8 * MIB),
            ..self
        }
    }

    /// Bytes in all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.pending.saturating_add(self.history)
    }
}
