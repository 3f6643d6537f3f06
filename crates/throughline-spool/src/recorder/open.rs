//! An open span: the owned handle of it, and the view through which it is written without being owned.

use std::any::Any;
use std::cell::UnsafeCell;
use std::ptr::NonNull;
use std::sync::Arc;

use throughline_wire::{encode, span_prefix};

use super::entered::Gate;
use super::slot::{self, Slot};
use super::{fork_number, passing, thread};
use crate::format::record::MAX_BODY;
use crate::store::lease::Body;

/// What a span starts with.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// The trace's id; not all zero.
    pub trace_id: [u8; 16],
    /// The span's id; not all zero.
    pub span_id: [u8; 8],
    /// The parent's id, all zero for a root.
    pub parent_span_id: [u8; 8],
    /// The OTLP flags: W3C trace flags in bits 0-7, `0x100` and `0x200` for the parent's origin.
    pub flags: u32,
    /// The OTLP `SpanKind`.
    pub kind: u8,
    /// Nanoseconds since the Unix epoch.
    pub start_unix_nano: u64,
    /// The number of the source, from [`crate::scope`].
    pub source: u32,
}

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

    fn rare_mut(&mut self) -> &mut Rare {
        self.special |= HAS_RARE;
        self.rare.get_or_insert_default()
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
    overflow: Vec<u8>,
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
    len: u32,
    source: u32,
    /// That of the process that made it; another one means that it was inherited over a fork.
    fork_number: u32,
    /// The same when the span is recorded, else `NEVER`: one comparison tells whether it is to be committed.
    recorded: u32,
    /// Where the body begins in the slot: a root leaves the empty parent out.
    start: u8,
    has_overflow: bool,
    /// What is read back: the same as in the prefix, at the width it is read with.
    trace_id: [u8; 16],
    span_id: [u8; 8],
    start_unix_nano: u64,
    flags: u32,
    notes: Notes,
}

/// A span that has started and not ended; owned by whoever ends it.
///
/// It is 8 bytes, may move between threads, and takes no lock. Dropping it without [`end`](Self::end) gives it up: it
/// leaves no record, and counts as dropped (`filtered`).
pub struct OpenSpan(NonNull<Open>);

// SAFETY: an `OpenSpan` owns its `Open` (see `entered` for the one other way to it and the proof that the two exclude each
// other), which holds nothing that belongs to a thread.
unsafe impl Send for OpenSpan {}
// SAFETY: `&OpenSpan` only reads.
unsafe impl Sync for OpenSpan {}

/// A span as somebody writes it who does not own it: the borrow of an [`OpenSpan`], or of the one that is entered.
///
/// It cannot be kept, nor exchanged for the view of another span:
///
/// ```compile_fail
/// throughline_spool::with_entered([1; 8], |mut outer| {
///     throughline_spool::with_entered([2; 8], |mut inner| std::mem::swap(&mut outer, &mut inner));
/// });
/// ```
pub struct Recording<'a>(&'a mut State);

/// The longest name or message of a span, in bytes: what is longer would leave too little room for the rest, or none.
pub const LONGEST_TEXT: usize = 64 << 10;

/// As much of a name or a message as a span may have, cut between two characters.
#[must_use]
pub fn shortened(text: &str) -> &str {
    let fits = |end: &usize| text.is_char_boundary(*end);
    match text.len() <= LONGEST_TEXT {
        true => text,
        false => &text[..(0..=LONGEST_TEXT).rev().find(fits).unwrap_or(0)],
    }
}

impl OpenSpan {
    /// Starts a span that will be recorded. `None` when tracing is off.
    #[inline]
    #[must_use]
    pub fn start(start: &Start, name: &str) -> Option<Self> {
        let mut span = Self(thread::take(true)?);
        let state = span.state_mut();
        state.begin(start);
        state.recorded = state.fork_number;
        state.source = start.source;
        state.slot.set_source(start.source);
        state.slot.write_prefix(start);
        if name.len() < 0x80 {
            let len = span_prefix::LEN + state.slot.write_short_name(name);
            state.len = len as u32;
            state.slot.open(state.used, len);
        } else {
            state.slot.open(state.used, span_prefix::LEN);
            let name = shortened(name);
            state.append(encode::text_len(name), |out| {
                encode::write_text(out, encode::tag::NAME, name);
            });
        }
        Some(span)
    }

    /// As [`start`](Self::start), but what is written stays in this process's private memory: others see no more of the open
    /// span than its ids, kind and start, and what [`show`](Self::show) lets them see.
    #[must_use]
    pub fn start_private(start: &Start, name: &str) -> Option<Self> {
        let mut span = Self::start_unseen(start, name)?;
        let state = span.state_mut();
        state.slot.open(state.used, span_prefix::LEN);
        Some(span)
    }

    /// As [`start_private`](Self::start_private), but nobody sees that there is a span, also not after a crash.
    #[must_use]
    pub fn start_unseen(start: &Start, name: &str) -> Option<Self> {
        let mut span = Self(thread::take(true)?);
        let state = span.state_mut();
        state.begin(start);
        state.recorded = state.fork_number;
        state.source = start.source;
        state.slot.set_source(start.source);
        state.slot.write_prefix(start);
        state.move_to_overflow();
        let name = shortened(name);
        state.append(encode::text_len(name), |out| {
            encode::write_text(out, encode::tag::NAME, name);
        });
        Some(span)
    }

    /// Shows those of these encoded fields for which there is room to whoever looks at the open span, once. For a span that was
    /// started by [`start_private`](Self::start_private).
    pub fn show<'a>(&mut self, fields: impl IntoIterator<Item = &'a [u8]>) {
        let state = self.state_mut();
        if !state.has_overflow || !state.is_ours() || state.len as usize != span_prefix::LEN {
            return;
        }
        let mut at = span_prefix::LEN;
        for field in fields {
            let end = at + field.len();
            if end <= slot::CAPACITY {
                state.slot.body_mut()[at..end].copy_from_slice(field);
                at = end;
            }
        }
        state.len = at as u32;
        state.slot.open(state.used, at);
    }

    /// Whether this process started the span; it did not when it was inherited over a fork.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.state().is_ours()
    }

    /// Sets the end's time, so that [`body`](Self::body) shows it before the span is committed.
    pub fn set_end(&mut self, end_unix_nano: u64) {
        let state = self.state_mut();
        if state.is_recording() && state.is_ours() {
            state.slot.write_end(end_unix_nano);
            if state.has_overflow {
                let end = span_prefix::END_TIME..span_prefix::END_TIME + 8;
                state.rare_mut().overflow[end].copy_from_slice(&end_unix_nano.to_le_bytes());
            }
        }
    }

    /// A span that is not recorded, but whose ids travel on. `None` when tracing is off.
    #[inline]
    #[must_use]
    pub fn carry(start: &Start) -> Option<Self> {
        let mut span = Self(thread::take(false)?);
        let state = span.state_mut();
        state.begin(start);
        state.recorded = fork_number::NEVER;
        Some(span)
    }

    /// A span of a program whose tracing is off: it holds the ids that `start` names, so that they are passed on.
    #[cold]
    #[must_use]
    pub fn pass_on(start: &Start) -> Self {
        let mut span = Self(passing::take());
        let state = span.state_mut();
        state.begin(start);
        span
    }

    /// Commits the span: once this has returned, it survives the death of the process. One that is not recorded is over.
    #[inline]
    pub fn end(self, end_unix_nano: u64) {
        let mut this = std::mem::ManuallyDrop::new(self);
        let state = this.state_mut();
        if state.recorded != fork_number::current() {
            return thread::give_up(this.0);
        }
        state.slot.write_end(end_unix_nano);
        if state.has_overflow {
            let end = span_prefix::END_TIME..span_prefix::END_TIME + 8;
            state.rare_mut().overflow[end].copy_from_slice(&end_unix_nano.to_le_bytes());
        }
        thread::end(this.0);
    }

    #[inline]
    fn state(&self) -> &State {
        // SAFETY: the handle owns the span, and `&self` excludes writers.
        unsafe { Open::state(self.0) }
    }

    #[inline]
    fn state_mut(&mut self) -> &mut State {
        // SAFETY: the handle owns the span, and `&mut self` excludes all others.
        unsafe { Open::state_mut(self.0) }
    }

    /// Makes the handle the owner no more.
    #[inline]
    pub(crate) fn into_ptr(self) -> NonNull<Open> {
        std::mem::ManuallyDrop::new(self).0
    }

    #[inline]
    pub(crate) fn as_ptr(&self) -> NonNull<Open> {
        self.0
    }

    /// # Safety
    ///
    /// The caller gives the ownership of the span away: it comes from [`into_ptr`](Self::into_ptr), once.
    #[inline]
    pub(crate) unsafe fn from_ptr(open: NonNull<Open>) -> Self {
        Self(open)
    }
}

impl Drop for OpenSpan {
    fn drop(&mut self) {
        thread::give_up(self.0);
    }
}

impl<'a> Recording<'a> {
    /// # Safety
    ///
    /// As for [`Open::state_mut`], for as long as the view lives.
    #[inline]
    pub(crate) unsafe fn from_ptr(open: NonNull<Open>) -> Self {
        // SAFETY: by the contract.
        Self(unsafe { Open::state_mut(open) })
    }

    #[inline]
    fn state(&self) -> &State {
        self.0
    }

    #[inline]
    fn state_mut(&mut self) -> &mut State {
        self.0
    }
}

/// What can be read and written, for each type through which an open span can be reached.
macro_rules! span_methods {
    ($type:ty, $name:literal) => {
        impl $type {
            /// A view to write through, for as long as this is borrowed.
            #[inline]
            pub fn recording(&mut self) -> Recording<'_> {
                Recording(self.state_mut())
            }

            /// Whether what is set on this span is kept.
            #[inline]
            #[must_use]
            pub fn is_recording(&self) -> bool {
                self.state().is_recording()
            }

            /// The trace's id.
            #[inline]
            #[must_use]
            pub fn trace_id(&self) -> [u8; 16] {
                self.state().trace_id
            }

            /// The span's id.
            #[inline]
            #[must_use]
            pub fn span_id(&self) -> [u8; 8] {
                self.state().span_id
            }

            /// The OTLP flags.
            #[inline]
            #[must_use]
            pub fn flags(&self) -> u32 {
                self.state().flags
            }

            /// Nanoseconds since the Unix epoch.
            #[inline]
            #[must_use]
            pub fn start_unix_nano(&self) -> u64 {
                self.state().start_unix_nano
            }

            /// What the tracer keeps with the span.
            #[inline]
            #[must_use]
            pub fn notes(&self) -> &Notes {
                &self.state().notes
            }

            /// What the tracer keeps with the span.
            #[inline]
            pub fn notes_mut(&mut self) -> &mut Notes {
                &mut self.state_mut().notes
            }

            /// What few spans have, made when first asked for.
            pub fn rare_mut(&mut self) -> &mut Rare {
                self.state_mut().rare_mut()
            }

            /// The encoded fields behind the fixed prefix.
            #[inline]
            #[must_use]
            pub fn fields(&self) -> &[u8] {
                self.state().fields()
            }

            /// The whole encoded `Span`, as far as it is written.
            #[must_use]
            pub fn body(&self) -> &[u8] {
                self.state().bytes()
            }

            /// The slot's bytes, where in them the next field goes, and where they end; for writing several fields in one
            /// go.
            ///
            /// What is written there counts with [`wrote_to`](Self::wrote_to). When the two places are equal, nothing can be
            /// written here any more: [`append`](Self::append) finds room elsewhere.
            #[inline(always)]
            pub fn room(&mut self) -> (&mut [u8], usize, usize) {
                self.state_mut().room()
            }

            /// Counts what was written into [`room`](Self::room) up to this place, and shows it to others.
            #[inline(always)]
            pub fn wrote_to(&mut self, at: usize) {
                self.state_mut().wrote_to(at);
            }

            /// Appends a field of `len` bytes, which `write` fills wholly.
            ///
            /// `false`: the span would become longer than a record can be ([`MAX_BODY`]), and is left as it is.
            #[inline]
            pub fn append(&mut self, len: usize, write: impl FnOnce(&mut [u8])) -> bool {
                self.state_mut().append(len, write)
            }

            /// Replaces `fields()[range]` by `len` bytes, which `write` fills wholly.
            ///
            /// `false`: the span would become longer than a record can be, and is left as it is.
            pub fn splice(&mut self, range: std::ops::Range<usize>, len: usize, write: impl FnOnce(&mut [u8])) -> bool {
                self.state_mut().splice(range, len, write)
            }
        }

        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct($name)
                    .field("is_recording", &self.is_recording())
                    .finish_non_exhaustive()
            }
        }
    };
}

span_methods!(OpenSpan, "OpenSpan");
span_methods!(Recording<'_>, "Recording");

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

    fn bytes(&self) -> &[u8] {
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
    fn overflow(&self) -> &[u8] {
        self.notes.rare().map_or(&[], |rare| &rare.overflow)
    }

    fn rare_mut(&mut self) -> &mut Rare {
        self.notes.rare_mut()
    }

    #[inline]
    fn fields(&self) -> &[u8] {
        if self.has_overflow {
            return &self.overflow()[span_prefix::LEN..];
        }
        &self.slot.body()[span_prefix::LEN..self.len as usize]
    }

    #[inline(always)]
    fn room(&mut self) -> (&mut [u8], usize, usize) {
        let at = self.len as usize;
        let end = if self.has_overflow || !self.is_ours() {
            at
        } else {
            slot::CAPACITY
        };
        (&mut self.slot.body_mut()[..], at, end)
    }

    #[inline(always)]
    fn wrote_to(&mut self, at: usize) {
        let len = at.min(slot::CAPACITY);
        self.len = len as u32;
        self.slot.open(self.used, len);
    }

    #[inline]
    fn append(&mut self, len: usize, write: impl FnOnce(&mut [u8])) -> bool {
        let (room, at, end) = self.room();
        if at + len <= end && at < end {
            write(&mut room[at..at + len]);
            self.wrote_to(at + len);
            return true;
        }
        // Inherited over a fork, it takes nothing any more.
        !self.is_ours() || self.append_to_overflow(len, write)
    }

    fn splice(&mut self, range: std::ops::Range<usize>, len: usize, write: impl FnOnce(&mut [u8])) -> bool {
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
    fn move_to_overflow(&mut self) {
        if !self.has_overflow {
            let len = self.len as usize;
            let slot = self.slot;
            self.rare_mut().overflow.extend_from_slice(&slot.body()[..len]);
            self.has_overflow = true;
        }
    }

    #[inline]
    fn begin(&mut self, start: &Start) {
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

    /// Makes the state ready for the next span. Its slot is free already, or was never in use.
    #[inline]
    pub fn reset(&mut self) {
        if self.notes.special != 0 {
            self.reset_special();
        }
    }

    #[cold]
    fn reset_special(&mut self) {
        let had_rare = self.notes.special & HAS_RARE != 0;
        self.notes.special = 0;
        self.has_overflow = false;
        if let Some(rare) = self.notes.rare.as_mut().filter(|_| had_rare) {
            rare.clear();
        }
    }

    #[inline]
    pub fn is_recording(&self) -> bool {
        self.recorded != fork_number::NEVER
    }
}
