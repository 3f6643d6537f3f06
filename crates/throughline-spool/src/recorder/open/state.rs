//! The private side of an open span: its slot, and what is known of it in this process.

use std::cell::UnsafeCell;
use std::ptr::NonNull;

use throughline_wire::span_prefix;

use super::Start;
use super::notes::{Notes, Rare};
use crate::format::record::MAX_BODY;
use crate::recorder::entered::Gate;
use crate::recorder::fork_number;
use crate::recorder::slot::{self, Slot};
use crate::store::lease::Body;

/// The private side of an open span; pooled, never freed.
///
/// Nobody makes a `&mut Open`: stale pointers read the gate at any time.
#[repr(align(64))]
pub(crate) struct Open {
    pub gate: Gate,
    state: UnsafeCell<State>,
}

impl Open {
    /// An `Open` of this fork number for ever: a forked child makes its own.
    pub fn new(slot: Slot, fork_number: u32) -> Self {
        Self {
            gate: Gate::default(),
            state: UnsafeCell::new(State {
                slot,
                used: 0,
                len: 0,
                source: 0,
                fork_number,
                recorded: fork_number::NEVER,
                start: 0,
                has_overflow: false,
                trace_id: [0; 16],
                span_id: [0; 8],
                start_unix_nano: 0,
                flags: 0,
                notes: Notes::default(),
            }),
        }
    }

    /// # Safety
    ///
    /// The caller owns the span, or has passed its gate, and while the reference lives nobody makes another one.
    #[inline(always)]
    pub unsafe fn state_mut<'a>(open: NonNull<Self>) -> &'a mut State {
        // SAFETY: an `Open` is never freed, and all of it may be shared: the gate is made of cells. What is in the cell is
        // exclusive by the contract.
        unsafe { &mut *open.as_ref().state.get() }
    }

    /// # Safety
    ///
    /// The caller owns the span, and while the reference lives nobody makes a mutable one.
    #[inline(always)]
    pub unsafe fn state<'a>(open: NonNull<Self>) -> &'a State {
        // SAFETY: as in `state_mut`.
        unsafe { &*open.as_ref().state.get() }
    }
}

/// What its owner, or whoever has passed the gate, knows and writes of a span.
pub(crate) struct State {
    pub slot: Slot,
    /// Spans that have been in the slot, this one included; wraps.
    pub used: u32,
    /// Of the body, its prefix included.
    pub(super) len: u32,
    pub(super) source: u32,
    /// That of the process that made it; another one means that it was inherited over a fork.
    fork_number: u32,
    /// The same when the span is recorded, else `NEVER`: one comparison tells whether it is to be committed.
    pub(super) recorded: u32,
    /// Where the body begins in the slot: a root leaves the empty parent out.
    start: u8,
    pub(super) has_overflow: bool,
    /// What is read back: the same as in the prefix, at the width it is read with.
    pub(super) trace_id: [u8; 16],
    pub(super) span_id: [u8; 8],
    pub(super) start_unix_nano: u64,
    pub(super) flags: u32,
    pub(super) notes: Notes,
}

impl State {
    /// Whether this process started the span; it did not when it was inherited over a fork.
    #[inline]
    pub fn is_ours(&self) -> bool {
        self.fork_number == fork_number::current()
    }

    /// Whether it was made by [`OpenSpan::pass_on`].
    #[inline]
    pub fn is_passing(&self) -> bool {
        self.fork_number == fork_number::NEVER
    }

    /// The bytes of the OTLP `Span`.
    #[inline]
    pub fn body(&self) -> Body<'_> {
        let start = usize::from(self.start);
        if self.has_overflow {
            return Body::new(&self.overflow()[start..]);
        }
        Body::within(self.slot.body(), start, self.len as usize)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        let start = usize::from(self.start);
        match self.has_overflow {
            true => &self.overflow()[start..],
            false => &self.slot.body()[start..self.len as usize],
        }
    }

    #[inline]
    pub fn source(&self) -> u32 {
        self.source
    }

    /// How much of the body stands in the slot.
    #[inline]
    pub fn len_in_slot(&self) -> usize {
        (self.len as usize).min(slot::CAPACITY)
    }

    #[cold]
    pub(super) fn overflow(&self) -> &[u8] {
        self.notes.rare().map_or(&[], |rare| &rare.overflow)
    }

    pub(super) fn rare_mut(&mut self) -> &mut Rare {
        self.notes.rare_mut()
    }

    #[inline]
    pub(super) fn fields(&self) -> &[u8] {
        if self.has_overflow {
            return &self.overflow()[span_prefix::LEN..];
        }
        &self.slot.body()[span_prefix::LEN..self.len as usize]
    }

    #[inline(always)]
    pub(super) fn room(&mut self) -> (&mut [u8], usize, usize) {
        let at = self.len as usize;
        let end = if self.has_overflow || !self.is_ours() {
            at
        } else {
            slot::CAPACITY
        };
        (&mut self.slot.body_mut()[..], at, end)
    }

    #[inline(always)]
    pub(super) fn wrote_to(&mut self, at: usize) {
        let len = at.min(slot::CAPACITY);
        self.len = len as u32;
        self.slot.open(self.used, len);
    }

    #[inline]
    pub(super) fn append(&mut self, len: usize, write: impl FnOnce(&mut [u8])) -> bool {
        let (room, at, end) = self.room();
        if at + len <= end && at < end {
            write(&mut room[at..at + len]);
            self.wrote_to(at + len);
            return true;
        }
        // Inherited over a fork, it takes nothing any more.
        !self.is_ours() || self.append_to_overflow(len, write)
    }

    pub(super) fn splice(&mut self, range: std::ops::Range<usize>, len: usize, write: impl FnOnce(&mut [u8])) -> bool {
        let range = range.start + span_prefix::LEN..range.end + span_prefix::LEN;
        if !self.is_ours() {
            return true;
        }
        let old = self.len as usize;
        // `len` is that of the whole body only as long as the body is in the slot.
        if self.has_overflow || old - range.len() + len > slot::CAPACITY {
            self.move_to_overflow();
            let overflow = &mut self.rare_mut().overflow;
            if overflow.len() - range.len() + len > MAX_BODY - span_prefix::LEN {
                return false;
            }
            let start = range.start;
            overflow.splice(range, std::iter::repeat_n(0, len));
            write(&mut overflow[start..start + len]);
            return true;
        }
        let new = old - range.len() + len;
        let body = self.slot.body_mut();
        // While bytes move the slot shows the prefix only: a reader must not see half a field.
        self.slot.open(self.used, span_prefix::LEN);
        body.copy_within(range.end..old, range.start + len);
        write(&mut body[range.start..range.start + len]);
        self.len = new as u32;
        self.slot.open(self.used, new);
        true
    }

    #[cold]
    fn append_to_overflow(&mut self, len: usize, write: impl FnOnce(&mut [u8])) -> bool {
        self.move_to_overflow();
        let overflow = &mut self.rare_mut().overflow;
        let at = overflow.len();
        if at + len > MAX_BODY - span_prefix::LEN {
            return false;
        }
        overflow.resize(at + len, 0);
        write(&mut overflow[at..]);
        true
    }

    #[cold]
    pub(super) fn move_to_overflow(&mut self) {
        if !self.has_overflow {
            let len = self.len as usize;
            let slot = self.slot;
            self.rare_mut().overflow.extend_from_slice(&slot.body()[..len]);
            self.has_overflow = true;
        }
    }

    #[inline]
    pub(super) fn begin(&mut self, start: &Start) {
        self.trace_id = start.trace_id;
        self.span_id = start.span_id;
        self.start_unix_nano = start.start_unix_nano;
        self.flags = start.flags;
        self.start = if start.parent_span_id == [0; 8] {
            span_prefix::ROOT_START as u8
        } else {
            0
        };
        self.used = self.used.wrapping_add(1);
        self.len = span_prefix::LEN as u32;
        self.notes.keys = 0;
        self.notes.attributes = 0;
        self.notes.status = 0;
    }

    #[inline]
    pub(super) fn begin_recorded(&mut self, start: &Start) {
        self.begin(start);
        self.recorded = self.fork_number;
        self.source = start.source;
        self.slot.set_source(start.source);
        self.slot.write_prefix(start);
    }

    #[inline]
    pub(super) fn write_end(&mut self, end_unix_nano: u64) {
        self.slot.write_end(end_unix_nano);
        if self.has_overflow {
            let end = span_prefix::END_TIME..span_prefix::END_TIME + 8;
            self.rare_mut().overflow[end].copy_from_slice(&end_unix_nano.to_le_bytes());
        }
    }

    /// Makes the state ready for the next span. Its slot is free already, or was never in use.
    #[inline]
    pub fn reset(&mut self) {
        if !self.notes.is_plain() {
            self.notes.reset();
            self.has_overflow = false;
        }
    }

    /// Whether what is written is kept. It is not in a forked child that has inherited the span: the parent goes on writing to the same
    /// memory, so that the child must not even read it.
    #[inline]
    pub fn is_recording(&self) -> bool {
        self.recorded == fork_number::current()
    }
}
