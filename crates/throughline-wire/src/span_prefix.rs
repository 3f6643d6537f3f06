//! The fixed beginning of every span: 64 bytes whose places never move.
//!
//! A span in progress keeps its buffer with these bytes at the front. The tags are written once,
//! when the buffer is made, and each value is stored at its own offset with its own width.
//! The parent comes first, so that a root leaves it out by starting at [`ROOT_START`].
//!
//! ```
//! use throughline_wire::{span_prefix, SpanView};
//!
//! let mut bytes = span_prefix::TEMPLATE;
//! bytes[span_prefix::TRACE_ID..][..16].copy_from_slice(&[1; 16]);
//! bytes[span_prefix::SPAN_ID..][..8].copy_from_slice(&[2; 8]);
//! bytes[span_prefix::KIND] = 1;
//! let root = SpanView::new(&bytes[span_prefix::ROOT_START..]);
//! assert_eq!(root.parent_span_id(), None);
//! assert_eq!(root.span_id().unwrap().to_string(), "0202020202020202");
//! ```

/// The length of the prefix, in bytes. What varies (name, attributes, …) follows it.
pub const LEN: usize = 64;
/// Where a span with no parent begins.
pub const ROOT_START: usize = 10;

/// `parent_span_id`, 8 bytes.
pub const PARENT_SPAN_ID: usize = 2;
/// `trace_id`, 16 bytes.
pub const TRACE_ID: usize = 12;
/// `span_id`, 8 bytes.
pub const SPAN_ID: usize = 30;
/// `start_time_unix_nano`, 8 bytes, little-endian.
pub const START_TIME: usize = 39;
/// `end_time_unix_nano`, 8 bytes, little-endian.
pub const END_TIME: usize = 48;
/// `flags`, 4 bytes, little-endian.
pub const FLAGS: usize = 58;
/// `kind`, one byte: [`SpanKind::number`](crate::SpanKind::number).
pub const KIND: usize = 63;

/// All tags and lengths in place, all values zero.
pub const TEMPLATE: [u8; LEN] = {
    let mut bytes = [0; LEN];
    bytes[PARENT_SPAN_ID - 2] = 0x22;
    bytes[PARENT_SPAN_ID - 1] = 8;
    bytes[TRACE_ID - 2] = 0x0a;
    bytes[TRACE_ID - 1] = 16;
    bytes[SPAN_ID - 2] = 0x12;
    bytes[SPAN_ID - 1] = 8;
    bytes[START_TIME - 1] = 0x39;
    bytes[END_TIME - 1] = 0x41;
    // Field 16 is the first whose tag takes two bytes.
    bytes[FLAGS - 2] = 0x85;
    bytes[FLAGS - 1] = 0x01;
    bytes[KIND - 1] = 0x30;
    bytes
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SpanKind, SpanView};

    #[test]
    fn every_offset_is_where_its_field_is() {
        let mut bytes = TEMPLATE;
        bytes[PARENT_SPAN_ID..][..8].copy_from_slice(&[1; 8]);
        bytes[TRACE_ID..][..16].copy_from_slice(&[2; 16]);
        bytes[SPAN_ID..][..8].copy_from_slice(&[3; 8]);
        bytes[START_TIME..][..8].copy_from_slice(&4_u64.to_le_bytes());
        bytes[END_TIME..][..8].copy_from_slice(&5_u64.to_le_bytes());
        bytes[FLAGS..][..4].copy_from_slice(&0x301_u32.to_le_bytes());
        bytes[KIND] = SpanKind::Consumer.number();
        let span = SpanView::new(&bytes);
        assert_eq!(span.parent_span_id().unwrap().to_bytes(), [1; 8]);
        assert_eq!(span.trace_id().unwrap().to_bytes(), [2; 16]);
        assert_eq!(span.span_id().unwrap().to_bytes(), [3; 8]);
        assert_eq!(span.start_time_unix_nano(), 4);
        assert_eq!(span.end_time_unix_nano(), 5);
        assert_eq!(span.flags(), 0x301);
        assert_eq!(span.kind(), SpanKind::Consumer);

        let root = SpanView::new(&bytes[ROOT_START..]);
        assert_eq!(root.parent_span_id(), None);
        assert_eq!(root.trace_id(), span.trace_id());
        assert_eq!(root.kind(), span.kind());
    }
}
