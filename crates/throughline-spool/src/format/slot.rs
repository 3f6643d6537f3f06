//! The slot of an open span, as whoever looks at it reads it. Its owner writes it, see `recorder::slot`.
//!
//! ```text
//! offset  0  word         u32   state << 30 | use << 12 | length of the body so far, in bytes; 0 = free
//! offset  4  source       u32   number of a source record in one of the segments
//! offset  8  generation   u64   of the segment that a closing span is being committed to
//! offset 16  offset       u32   of that record in its segment
//! offset 64  body               an OTLP Span from its fixed prefix on (`throughline_wire::span_prefix`)
//! ```
//!
//! State 1 is an open span, state 2 one that is closing; `use` counts the spans that have been in the slot.

use throughline_wire::span_prefix;

use super::record::{read_u32, read_u64};

/// Bytes of a slot.
pub(crate) const LEN: usize = 1024;
/// Where the body begins.
pub(crate) const BODY: usize = 64;

pub(crate) const SOURCE: usize = 4;
pub(crate) const GENERATION: usize = 8;
pub(crate) const OFFSET: usize = 16;

pub(crate) const STATE: u32 = 30;
pub(crate) const USE: u32 = 12;
pub(crate) const LENGTH_MASK: u32 = (1 << USE) - 1;
pub(crate) const USE_MASK: u32 = (1 << (STATE - USE)) - 1;

pub(crate) const OPEN: u32 = 1;
pub(crate) const CLOSING: u32 = 2;

/// What a slot says, read by somebody who does not own it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen<'a> {
    pub source: u32,
    /// The OTLP `Span` so far; a root's begins behind the empty parent.
    pub body: &'a [u8],
    /// Where the span was being committed, if it was closing: generation and offset.
    pub closing: Option<(u64, u32)>,
}

/// Reads the bytes of one slot; `None` when it is free or makes no sense. Total: any bytes will do.
pub(crate) fn read(slot: &[u8]) -> Option<Seen<'_>> {
    let word = read_u32(slot, 0)?;
    let len = (word & LENGTH_MASK) as usize;
    let body = slot.get(BODY..BODY.checked_add(len)?)?;
    if len < span_prefix::LEN {
        return None;
    }
    let closing = match word >> STATE {
        OPEN => None,
        CLOSING => Some((read_u64(slot, GENERATION)?, read_u32(slot, OFFSET)?)),
        _ => return None,
    };
    let parent = &body[span_prefix::PARENT_SPAN_ID..span_prefix::PARENT_SPAN_ID + 8];
    let start = if parent == [0; 8] { span_prefix::ROOT_START } else { 0 };
    Some(Seen {
        source: read_u32(slot, SOURCE)?,
        body: &body[start..],
        closing,
    })
}

#[cfg(test)]
mod tests {
    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = super::read(&bytes);
        }
    }
}
