//! What the tracer keeps with an open span.

use std::any::Any;
use std::sync::Arc;

/// Bits of `Notes::special`.
const HAS_RARE: u8 = 1;
const IS_PROCESSED: u8 = 2;

/// What the tracer keeps with an open span; nothing of it is stored.
#[derive(Debug, Default)]
pub struct Notes {
    /// The reading of the tracer's clock at the start.
    pub started: u64,
    /// One bit a key that was set, so that most keys are known to be new.
    pub keys: u64,
    /// Attributes, events and links so far, and those that were dropped.
    pub attributes: u32,
    /// The OTLP `StatusCode`.
    pub status: u8,
    /// Which clock `started` was read from.
    pub clock: u8,
    /// Bits that say what is special about the span; none of most.
    special: u8,
    /// Kept from one span to the next in the same slot, so that it is allocated once. Counts only where `special` says so.
    rare: Option<Box<Rare>>,
}

impl Notes {
    /// What few spans have, where this one has it.
    #[inline]
    #[must_use]
    pub fn rare(&self) -> Option<&Rare> {
        self.rare.as_deref().filter(|_| self.special & HAS_RARE != 0)
    }

    /// Whether there is nothing in [`rare`](Self::rare), and nobody wants to see the span before it is committed.
    #[inline]
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.special == 0
    }

    /// Whether processors are to see the span at its end.
    #[inline]
    #[must_use]
    pub fn is_processed(&self) -> bool {
        self.special & IS_PROCESSED != 0
    }

    /// Processors are to see the span at its end.
    #[inline]
    pub fn set_processed(&mut self) {
        self.special |= IS_PROCESSED;
    }

    pub(super) fn rare_mut(&mut self) -> &mut Rare {
        self.special |= HAS_RARE;
        self.rare.get_or_insert_default()
    }

    /// What is special about a span is over with it.
    #[cold]
    pub(super) fn reset(&mut self) {
        let had_rare = self.special & HAS_RARE != 0;
        self.special = 0;
        if let Some(rare) = self.rare.as_mut().filter(|_| had_rare) {
            rare.clear();
        }
    }
}

/// What few spans have.
#[derive(Debug, Default)]
pub struct Rare {
    /// The message of an error status.
    pub message: String,
    /// Events so far.
    pub events: u32,
    /// Links so far.
    pub links: u32,
    /// Attributes that were dropped.
    pub dropped_attributes: u32,
    /// Events that were dropped.
    pub dropped_events: u32,
    /// Links that were dropped.
    pub dropped_links: u32,
    /// Whether the span is to be given up at its end: it is for whoever looks at it before.
    pub is_record_only: bool,
    /// When the span has ended, while it is still being written to; 0 before.
    pub ended_unix_nano: u64,
    /// What travels along with the context.
    pub relay: Option<Arc<dyn Any + Send + Sync>>,
    /// The whole body, once it has outgrown its slot.
    pub(super) overflow: Vec<u8>,
}

impl Rare {
    /// As new, but with a little of its memory.
    fn clear(&mut self) {
        const KEPT_MESSAGE: usize = 256;
        const KEPT_OVERFLOW: usize = 4 << 10;
        let (mut message, mut overflow) = (std::mem::take(&mut self.message), std::mem::take(&mut self.overflow));
        message.clear();
        message.shrink_to(KEPT_MESSAGE);
        overflow.clear();
        overflow.shrink_to(KEPT_OVERFLOW);
        *self = Self {
            message,
            overflow,
            ..Self::default()
        };
    }
}
