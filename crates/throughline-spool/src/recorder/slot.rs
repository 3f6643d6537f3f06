//! The slot of an open span, as its owner writes it: where the span is written while it lasts, so that its buffer is also
//! its live view. The layout, and reading it, is in `format::slot`.
//!
//! The owner stores the body first and the word last. Whoever looks while the owner is alive copies the slot and takes
//! the copy only when the word has not changed meanwhile; whoever looks after its death sees every store it made.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

#[cfg(all(test, loom))]
use loom::sync::atomic::fence;
#[cfg(not(all(test, loom)))]
use std::sync::atomic::fence;

use throughline_wire::span_prefix;

use super::open::Start;
use crate::format::slot::{BODY, CLOSING, GENERATION, LEN, OFFSET, OPEN, SOURCE, STATE, USE, USE_MASK};
use crate::store::crc::OVERRUN;

/// The longest body that stays in its slot: a copy of it reads on for some bytes.
pub(crate) const CAPACITY: usize = LEN - BODY - OVERRUN;

const fn word(state: u32, used: u32, len: usize) -> u32 {
    state << STATE | (used & USE_MASK) << USE | len as u32
}

/// One slot's memory, owned by the span that is written there.
#[derive(Clone, Copy)]
pub(crate) struct Slot(NonNull<u8>);

impl Slot {
    /// # Safety
    ///
    /// `base` points to `LEN` bytes, aligned to 64, that stay for the life of the process, and only the holder of this
    /// value writes there.
    pub unsafe fn new(base: NonNull<u8>) -> Self {
        Self(base)
    }

    /// Writes the fixed prefix: eight aligned words, so that the copy at the end loads each as it was stored.
    #[inline]
    pub fn write_prefix(self, start: &Start) {
        let parent = u64::from_le_bytes(start.parent_span_id);
        let trace = u128::from_le_bytes(start.trace_id);
        let (low, high) = (trace as u64, (trace >> 64) as u64);
        let span = u64::from_le_bytes(start.span_id);
        let time = start.start_unix_nano;
        let words = [
            0x0822 | parent << 16,
            parent >> 48 | 0x100a << 16 | low << 32,
            low >> 32 | high << 32,
            high >> 32 | 0x0812 << 32 | span << 48,
            span >> 16 | 0x39 << 48 | time << 56,
            time >> 8 | 0x41 << 56,
            0,
            0x0185 | u64::from(start.flags) << 16 | 0x30 << 48 | u64::from(start.kind) << 56,
        ];
        let body = self.body_mut();
        for (at, word) in words.into_iter().enumerate() {
            body[at * 8..at * 8 + 8].copy_from_slice(&word.to_le_bytes());
        }
    }

    /// Sets the end's time in the prefix.
    #[inline]
    pub fn write_end(self, unix_nano: u64) {
        self.body_mut()[span_prefix::END_TIME..span_prefix::END_TIME + 8].copy_from_slice(&unix_nano.to_le_bytes());
    }

    /// Writes the name's field behind the prefix and returns its length. The name has fewer than 128 bytes.
    ///
    /// Word by word as well; bytes behind the name in its last word are arbitrary.
    #[inline]
    pub fn write_short_name(self, name: &str) -> usize {
        let name = name.as_bytes();
        let (first, rest) = name.split_at(name.len().min(6));
        let out = &mut self.body_mut()[span_prefix::LEN..span_prefix::LEN + 136];
        let head = 0x2a | (name.len() as u64) << 8 | load_partial(first) << 16;
        out[..8].copy_from_slice(&head.to_le_bytes());
        let mut at = 8;
        let mut words = rest.chunks_exact(8);
        for word in &mut words {
            out[at..at + 8].copy_from_slice(word);
            at += 8;
        }
        let last = words.remainder();
        if !last.is_empty() {
            out[at..at + 8].copy_from_slice(&load_partial(last).to_le_bytes());
        }
        2 + name.len()
    }

    /// The body's whole room.
    #[inline]
    pub fn body_mut<'a>(self) -> &'a mut [u8; LEN - BODY] {
        // SAFETY: in range; exclusive by `new`'s contract, as callers hold the slot behind `&mut OpenSpan` while they use
        // the reference. Other processes only read the file (it is in a locked directory that only this user may enter).
        unsafe { self.0.add(BODY).cast().as_mut() }
    }

    #[inline]
    pub fn body<'a>(self) -> &'a [u8; LEN - BODY] {
        // SAFETY: as in `body_mut`, but shared.
        unsafe { self.0.add(BODY).cast().as_ref() }
    }

    #[inline]
    pub fn set_source(self, source: u32) {
        // SAFETY: in range and aligned; exclusive by `new`'s contract.
        unsafe { self.0.add(SOURCE).cast::<u32>().write(source.to_le()) };
    }

    /// The span is open and its body has this length. `used` counts the spans of this slot.
    #[inline]
    pub fn open(self, used: u32, len: usize) {
        publish(self.word(), word(OPEN, used, len));
    }

    /// The span is about to be committed there.
    #[inline]
    pub fn closing(self, used: u32, len: usize, generation: u64, offset: u32) {
        // SAFETY: in range and aligned; exclusive by `new`'s contract.
        unsafe {
            self.0.add(GENERATION).cast::<u64>().write(generation.to_le());
            self.0.add(OFFSET).cast::<u32>().write(offset.to_le());
        }
        publish(self.word(), word(CLOSING, used, len));
    }

    #[inline]
    pub fn free(self) {
        publish(self.word(), 0);
    }

    #[inline]
    fn word<'a>(self) -> &'a AtomicU32 {
        // SAFETY: in range and aligned; the word is only ever accessed atomically.
        unsafe { AtomicU32::from_ptr(self.0.as_ptr().cast()) }
    }
}

/// The word of a slot, as the owner and those who look share it.
pub(crate) trait Word {
    #[cfg(all(test, loom))]
    fn load(&self, order: Ordering) -> u32;
    fn store(&self, value: u32, order: Ordering);
}

impl Word for AtomicU32 {
    #[cfg(all(test, loom))]
    fn load(&self, order: Ordering) -> u32 {
        u32::from_le(self.load(order))
    }

    #[inline]
    fn store(&self, value: u32, order: Ordering) {
        self.store(value.to_le(), order);
    }
}

/// Makes all that the owner has stored before count.
///
/// The fence keeps what the owner stores *later* from being seen under an earlier word.
#[inline]
fn publish(word: &impl Word, value: u32) {
    word.store(value, Ordering::Release);
    fence(Ordering::Release);
}

/// Copies a slot while its owner may write on; `false` when the copy does not hold together.
#[cfg(all(test, loom))]
fn copy_if_still(word: &impl Word, copy: impl FnOnce()) -> bool {
    let before = word.load(Ordering::Acquire);
    copy();
    fence(Ordering::Acquire);
    before != 0 && before == word.load(Ordering::Relaxed)
}

/// Up to 7 bytes as the low end of a word.
#[inline]
fn load_partial(bytes: &[u8]) -> u64 {
    match bytes {
        [] => 0,
        [a] => u64::from(*a),
        [a, b] => u64::from(u16::from_le_bytes([*a, *b])),
        [a, b, c] => u64::from(u32::from_le_bytes([*a, *b, *c, 0])),
        [a, b, c, d, rest @ ..] => {
            let low = u64::from(u32::from_le_bytes([*a, *b, *c, *d]));
            match rest {
                [] => low,
                // The last four bytes, which overlap the first four.
                [.., _] => {
                    let end: [u8; 4] = bytes[bytes.len() - 4..].try_into().expect("four bytes");
                    low | u64::from(u32::from_le_bytes(end)) << ((bytes.len() - 4) * 8)
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::slot::read;
    use crate::store::memory::Region;

    fn slot() -> (Region, Slot) {
        let region = Region::heap(LEN);
        // SAFETY: the region has `LEN` bytes and outlives every use in a test.
        let slot = unsafe { Slot::new(region.base()) };
        (region, slot)
    }

    fn start(parent: u8) -> Start {
        Start {
            trace_id: *b"0123456789abcdef",
            span_id: *b"ABCDEFGH",
            parent_span_id: [parent; 8],
            flags: 0x1234_5678,
            kind: 5,
            start_unix_nano: 0x1122_3344_5566_7788,
            source: 0,
        }
    }

    #[test]
    fn prefix_says_what_the_span_started_with() {
        let (_region, slot) = slot();
        slot.write_prefix(&start(9));
        slot.write_end(0x2122_3344_5566_7788);
        let body = slot.body();
        let view = throughline_wire::SpanView::new(&body[..span_prefix::LEN]);
        assert_eq!(view.parent_span_id().expect("a parent").to_bytes(), [9; 8]);
        assert_eq!(view.trace_id().expect("a trace").to_bytes(), *b"0123456789abcdef");
        assert_eq!(view.span_id().expect("a span").to_bytes(), *b"ABCDEFGH");
        assert_eq!(view.start_time_unix_nano(), 0x1122_3344_5566_7788);
        assert_eq!(view.end_time_unix_nano(), 0x2122_3344_5566_7788);
        assert_eq!((view.flags(), view.kind().number()), (0x1234_5678, 5));
        for at in [0, 10, 28, 38, 47, 56, 62] {
            assert_eq!(body[at], span_prefix::TEMPLATE[at], "the tag at {at}");
        }
    }

    #[test]
    fn short_names_of_every_length_are_written_whole() {
        let (_region, slot) = slot();
        let text: String = ('!'..='~').chain('!'..='~').collect();
        for len in 0..128 {
            let name = &text[..len];
            let written = slot.write_short_name(name);
            let view = throughline_wire::SpanView::new(&slot.body()[span_prefix::LEN..span_prefix::LEN + written]);
            assert_eq!((view.name(), written), (name, len + 2));
        }
    }

    fn bytes(region: &Region) -> Vec<u8> {
        // SAFETY: the region's bytes are initialised and nobody writes them now.
        unsafe { std::slice::from_raw_parts(region.base().as_ptr(), LEN) }.to_vec()
    }

    #[test]
    fn slot_says_whether_it_is_free_open_or_closing() {
        let (region, slot) = slot();
        assert_eq!(read(&bytes(&region)), None);
        slot.write_prefix(&start(0));
        slot.set_source(3);
        slot.open(1, span_prefix::LEN);
        let seen = bytes(&region);
        let seen = read(&seen).expect("it is open");
        assert_eq!(
            (seen.source, seen.closing, seen.body.len()),
            (3, None, span_prefix::LEN - span_prefix::ROOT_START)
        );
        slot.write_prefix(&start(1));
        slot.closing(1, span_prefix::LEN, 9, 320);
        let seen = bytes(&region);
        let seen = read(&seen).expect("it is closing");
        assert_eq!((seen.closing, seen.body.len()), (Some((9, 320)), span_prefix::LEN));
        slot.free();
        assert_eq!(read(&bytes(&region)), None);
    }
}

/// Every interleaving of an owner and somebody who looks: `RUSTFLAGS="--cfg loom" cargo test -p throughline-spool loom`.
#[cfg(all(test, loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicU32 as LoomU32;
    use loom::thread;

    use super::*;

    impl Word for LoomU32 {
        fn load(&self, order: Ordering) -> u32 {
            self.load(order)
        }

        fn store(&self, value: u32, order: Ordering) {
            self.store(value, order);
        }
    }

    #[test]
    fn copy_that_holds_together_is_of_one_span() {
        loom::model(|| {
            let slot = Arc::new((LoomU32::new(0), [LoomU32::new(0), LoomU32::new(0)]));
            let owner = slot.clone();
            let owner = thread::spawn(move || {
                let (shared, body) = &*owner;
                for used in 1..=2 {
                    for part in body {
                        part.store(used, Ordering::Relaxed);
                    }
                    publish(shared, word(OPEN, used, 2));
                    publish(shared, 0);
                }
            });
            let (shared, body) = &*slot;
            let mut seen = [0; 2];
            let mut used = 0;
            let is_whole = copy_if_still(shared, || {
                used = shared.load(Ordering::Relaxed) >> USE & USE_MASK;
                seen = [0, 1].map(|at| body[at].load(Ordering::Relaxed));
            });
            if is_whole {
                assert_eq!(seen, [used; 2]);
            }
            owner.join().expect("the owner ends well");
        });
    }
}
