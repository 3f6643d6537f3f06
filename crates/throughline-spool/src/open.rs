//! An open span: the owned handle through which a thread writes it.

use std::any::Any;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use throughline_wire::{encode, prefix};

use crate::epoch;
use crate::lease::Body;
use crate::record::MAX_BODY;
use crate::slot::{self, Slot};
use crate::thread;

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
    /// The index of the instrumentation scope, from [`crate::scope`].
    pub scope: u32,
}

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
    /// What few spans have.
    pub rare: Option<Box<Rare>>,
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
    /// What travels along with the context.
    pub relay: Option<Arc<dyn Any + Send + Sync>>,
    /// The whole body, once it has outgrown its slot.
    overflow: Vec<u8>,
}

/// The private side of an open span; pooled, never freed.
#[repr(align(64))]
pub(crate) struct Open {
    pub slot: Slot,
    /// Spans that have been in the slot, this one included; wraps.
    pub used: u32,
    /// Of the body, its prefix included.
    len: u32,
    scope: u32,
    /// The epoch it was made in; another one means that it was inherited over a fork.
    epoch: u32,
    is_recording: bool,
    /// Where the body begins in the slot: a root leaves the empty parent out.
    start: u8,
    has_overflow: bool,
    /// The number of the thread that may use the span without owning it, see `entered`; 0 = none.
    pub entered_on: AtomicU32,
    /// What was entered on the thread before this, see `entered`.
    pub entered_before: Option<NonNull<Open>>,
    /// What is read back: the same as in the prefix, at the width it is read with.
    trace_id: [u8; 16],
    span_id: [u8; 8],
    start_unix_nano: u64,
    flags: u32,
    notes: Notes,
}

impl Open {
    /// An `Open` of this epoch for ever: a forked child makes its own.
    pub fn new(slot: Slot, epoch: u32) -> Self {
        Self {
            slot,
            used: 0,
            len: 0,
            scope: 0,
            epoch,
            is_recording: false,
            start: 0,
            has_overflow: false,
            entered_on: AtomicU32::new(0),
            entered_before: None,
            trace_id: [0; 16],
            span_id: [0; 8],
            start_unix_nano: 0,
            flags: 0,
            notes: Notes::default(),
        }
    }

    /// Whether this process started the span; it did not when it was inherited over a fork.
    #[inline]
    pub fn is_ours(&self) -> bool {
        self.epoch == epoch::current()
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

    #[inline]
    pub fn scope(&self) -> u32 {
        self.scope
    }

    /// How much of the body stands in the slot.
    #[inline]
    pub fn len_in_slot(&self) -> usize {
        (self.len as usize).min(slot::CAPACITY)
    }

    #[cold]
    fn overflow(&self) -> &[u8] {
        self.notes.rare.as_ref().map_or(&[], |rare| &rare.overflow)
    }
}

/// A span that has started and not ended; owned by whoever ends it.
///
/// It is 8 bytes, may move between threads, and takes no lock. Dropping it without [`end`](Self::end) gives it up: it
/// leaves no record, and counts as dropped (`filtered`).
pub struct OpenSpan(NonNull<Open>);

// SAFETY: an `OpenSpan` is the only handle to its `Open` (see `entered` for the one exception and its proof), which holds
// nothing that belongs to a thread.
unsafe impl Send for OpenSpan {}
// SAFETY: `&OpenSpan` only reads.
unsafe impl Sync for OpenSpan {}

impl OpenSpan {
    /// Starts a span that will be recorded. `None` when tracing is off.
    #[inline]
    #[must_use]
    pub fn start(start: &Start, name: &str) -> Option<Self> {
        let mut open = thread::take(true)?;
        // SAFETY: `take` hands out an `Open` that nobody else holds.
        let this = unsafe { open.as_mut() };
        this.begin(start);
        this.is_recording = true;
        this.scope = start.scope;
        this.slot.set_scope(start.scope);
        this.slot.write_prefix(start);
        let mut span = Self(open);
        if name.len() < 0x80 {
            let len = prefix::LEN + this.slot.write_short_name(name);
            this.len = len as u32;
            this.slot.open(this.used, len);
        } else {
            this.slot.open(this.used, prefix::LEN);
            span.append(encode::text_len(name), |out| {
                encode::write_text(out, encode::tag::NAME, name);
            });
        }
        Some(span)
    }

    /// A span that is not recorded, but whose ids travel on. `None` when tracing is off.
    #[inline]
    #[must_use]
    pub fn carry(start: &Start) -> Option<Self> {
        let mut open = thread::take(false)?;
        // SAFETY: `take` hands out an `Open` that nobody else holds.
        let this = unsafe { open.as_mut() };
        this.begin(start);
        this.is_recording = false;
        Some(Self(open))
    }

    /// Whether what is set on this span is kept.
    #[inline]
    #[must_use]
    pub fn is_recording(&self) -> bool {
        self.open().is_recording
    }

    /// The trace's id.
    #[inline]
    #[must_use]
    pub fn trace_id(&self) -> [u8; 16] {
        self.open().trace_id
    }

    /// The span's id.
    #[inline]
    #[must_use]
    pub fn span_id(&self) -> [u8; 8] {
        self.open().span_id
    }

    /// The OTLP flags.
    #[inline]
    #[must_use]
    pub fn flags(&self) -> u32 {
        self.open().flags
    }

    /// Nanoseconds since the Unix epoch.
    #[inline]
    #[must_use]
    pub fn start_unix_nano(&self) -> u64 {
        self.open().start_unix_nano
    }

    /// What the tracer keeps with the span.
    #[inline]
    #[must_use]
    pub fn notes(&self) -> &Notes {
        &self.open().notes
    }

    /// What the tracer keeps with the span.
    #[inline]
    pub fn notes_mut(&mut self) -> &mut Notes {
        &mut self.open_mut().notes
    }

    /// What few spans have, made when first asked for.
    pub fn rare_mut(&mut self) -> &mut Rare {
        self.open_mut().notes.rare.get_or_insert_default()
    }

    /// The encoded fields behind the fixed prefix.
    #[inline]
    #[must_use]
    pub fn fields(&self) -> &[u8] {
        let open = self.open();
        if open.has_overflow {
            return &open.overflow()[prefix::LEN..];
        }
        &open.slot.body()[prefix::LEN..open.len as usize]
    }

    /// The slot's bytes, where in them the next field goes, and where they end; for writing several fields in one go.
    ///
    /// What is written there counts with [`wrote_to`](Self::wrote_to). When the two places are equal, nothing can be written
    /// here any more: [`append`](Self::append) finds room elsewhere.
    #[inline(always)]
    pub fn room(&mut self) -> (&mut [u8], usize, usize) {
        let open = self.open_mut();
        let at = open.len as usize;
        let end = if open.has_overflow || !open.is_ours() {
            at
        } else {
            slot::CAPACITY
        };
        (&mut open.slot.body_mut()[..], at, end)
    }

    /// Counts what was written into [`room`](Self::room) up to this place, and shows it to others.
    #[inline(always)]
    pub fn wrote_to(&mut self, at: usize) {
        let open = self.open_mut();
        let len = at.min(slot::CAPACITY);
        open.len = len as u32;
        open.slot.open(open.used, len);
    }

    /// Appends a field of `len` bytes, which `write` fills wholly.
    ///
    /// `false`: the span would become longer than a record can be ([`MAX_BODY`]), and is left as it is.
    #[inline]
    pub fn append(&mut self, len: usize, write: impl FnOnce(&mut [u8])) -> bool {
        let (room, at, end) = self.room();
        if at + len <= end && at < end {
            write(&mut room[at..at + len]);
            self.wrote_to(at + len);
            return true;
        }
        // Inherited over a fork, it takes nothing any more.
        !self.open().is_ours() || self.append_to_overflow(len, write)
    }

    /// Replaces `fields()[range]` by `len` bytes, which `write` fills wholly.
    ///
    /// `false`: the span would become longer than a record can be, and is left as it is.
    pub fn splice(&mut self, range: std::ops::Range<usize>, len: usize, write: impl FnOnce(&mut [u8])) -> bool {
        let range = range.start + prefix::LEN..range.end + prefix::LEN;
        let open = self.open_mut();
        if !open.is_ours() {
            return true;
        }
        let old = open.len as usize;
        // `len` is that of the whole body only as long as the body is in the slot.
        if open.has_overflow || old - range.len() + len > slot::CAPACITY {
            self.move_to_overflow();
            let overflow = &mut self.rare_mut().overflow;
            if overflow.len() - range.len() + len > MAX_BODY - prefix::LEN {
                return false;
            }
            let start = range.start;
            overflow.splice(range, std::iter::repeat_n(0, len));
            write(&mut overflow[start..start + len]);
            return true;
        }
        let new = old - range.len() + len;
        let body = open.slot.body_mut();
        // While bytes move the slot shows the prefix only: a reader must not see half a field.
        open.slot.open(open.used, prefix::LEN);
        body.copy_within(range.end..old, range.start + len);
        write(&mut body[range.start..range.start + len]);
        open.len = new as u32;
        open.slot.open(open.used, new);
        true
    }

    /// Commits the span: once this has returned, it survives the death of the process. One that is not recorded is over.
    #[inline]
    pub fn end(self, end_unix_nano: u64) {
        let mut this = std::mem::ManuallyDrop::new(self);
        let open = this.open_mut();
        if !open.is_ours() || !open.is_recording {
            return thread::give_up(this.0);
        }
        open.slot.write_end(end_unix_nano);
        if open.has_overflow {
            let end = prefix::END_TIME..prefix::END_TIME + 8;
            this.rare_mut().overflow[end].copy_from_slice(&end_unix_nano.to_le_bytes());
        }
        thread::end(this.0);
    }

    #[inline]
    fn open(&self) -> &Open {
        // SAFETY: the handle owns the `Open`, which is never freed.
        unsafe { self.0.as_ref() }
    }

    #[inline]
    pub(crate) fn open_mut(&mut self) -> &mut Open {
        // SAFETY: as in `open`, and `&mut self` excludes other users of the handle.
        unsafe { self.0.as_mut() }
    }

    #[cold]
    fn append_to_overflow(&mut self, len: usize, write: impl FnOnce(&mut [u8])) -> bool {
        self.move_to_overflow();
        let overflow = &mut self.rare_mut().overflow;
        let at = overflow.len();
        if at + len > MAX_BODY - prefix::LEN {
            return false;
        }
        overflow.resize(at + len, 0);
        write(&mut overflow[at..]);
        true
    }

    #[cold]
    fn move_to_overflow(&mut self) {
        if !self.open().has_overflow {
            let body = self.open().slot.body()[..self.open().len as usize].to_vec();
            self.rare_mut().overflow = body;
            self.open_mut().has_overflow = true;
        }
    }

    #[inline]
    pub(crate) fn as_ptr(&self) -> NonNull<Open> {
        self.0
    }

    /// A second handle, for `entered`.
    ///
    /// # Safety
    ///
    /// Nobody uses another handle to the span while this one lives, and it is not dropped.
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

impl std::fmt::Debug for OpenSpan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenSpan")
            .field("is_recording", &self.is_recording())
            .finish_non_exhaustive()
    }
}

impl Open {
    #[inline]
    fn begin(&mut self, start: &Start) {
        self.trace_id = start.trace_id;
        self.span_id = start.span_id;
        self.start_unix_nano = start.start_unix_nano;
        self.flags = start.flags;
        self.start = if start.parent_span_id == [0; 8] {
            prefix::ROOT_START as u8
        } else {
            0
        };
        self.used = self.used.wrapping_add(1);
        self.len = prefix::LEN as u32;
        self.notes.keys = 0;
        self.notes.attributes = 0;
        self.notes.status = 0;
    }

    /// Makes the `Open` ready for the next span. Its slot is free already, or was never in use.
    #[inline]
    pub fn reset(&mut self) {
        if self.notes.rare.is_some() {
            self.reset_rare();
        }
    }

    #[cold]
    fn reset_rare(&mut self) {
        self.notes.rare = None;
        self.has_overflow = false;
    }

    #[inline]
    pub fn is_recording(&self) -> bool {
        self.is_recording
    }
}
