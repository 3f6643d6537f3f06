//! An open span: the owned handle of it, and the view through which it is written without being owned.

mod notes;
mod state;

use std::ptr::NonNull;

use throughline_wire::{encode, span_prefix};

pub use self::notes::{Notes, Rare};
pub(crate) use self::state::{Open, State};
use super::{fork_number, passing, slot, thread};

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
        state.begin_recorded(start);
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
        state.begin_recorded(start);
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
            state.write_end(end_unix_nano);
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
        state.write_end(end_unix_nano);
        thread::end(this.0);
    }

    /// Gives up a recorded span in whose place the caller has just started another one, on this thread: the two count as one.
    #[cold]
    pub fn replace(self) {
        thread::replace(std::mem::ManuallyDrop::new(self).0);
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
            /// `false`: the span would become longer than a record can be ([`MAX_BODY`](crate::MAX_BODY)), and is left as it is.
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
