//! Where the spans that were started here are kept until they end: numbered slots, which are reused and never freed.
//!
//! What a thread needs to enter a span is read without a lock, and starting and ending one takes none. Each slot has a lock of its own
//! for all the rest; it is held while a span is written to, never while code of the user's runs.

use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, UNIX_EPOCH};

use throughline::seam::{self, Restart, SpanCell};
use throughline::{Context, Span};
use throughline_context::{Ids, Relay};
use tracing_core::Metadata;

use crate::callsite::Callsite;
use crate::fields::Fields;
use crate::locks::lock;

const CHUNK: usize = 256;
/// A million spans are open at once, at most; more are not recorded.
const CHUNKS: usize = 4096;

static SLOTS: [OnceLock<Box<[Slot; CHUNK]>>; CHUNKS] = [const { OnceLock::new() }; CHUNKS];
/// Slots that were in use once or more: `0 <= USED <= CHUNK * CHUNKS`, but for attempts to go beyond.
static USED: AtomicU32 = AtomicU32::new(0);
/// Free slots that no thread holds.
static FREE: Mutex<Vec<u32>> = Mutex::new(Vec::new());

thread_local! {
    static NEAR: RefCell<Magazine> = const { RefCell::new(Magazine(Vec::new())) };
}

/// Free slots at hand.
struct Magazine(Vec<u32>);

/// More are handed on.
const MAGAZINE: usize = 64;

/// The parent of a span that has one of these may still be set.
const FRESH: u8 = 0;
/// Somebody has seen the span's ids.
const SEEN: u8 = 1;
/// A parent is being set: the span is started anew, and still has the ids of the old one.
const CHANGING: u8 = 2;
/// The new ids are being written, under the lock.
const WRITING: u8 = 3;

/// Bits of `Slot::bits` above the W3C flags.
const REMOTE: u32 = 1 << 8;
const RELAYS: u32 = 1 << 9;
const RECORDING: u32 = 1 << 10;
const HOLDS: u32 = 1 << 11;

/// A span, or the ids that stand for one.
#[derive(Default)]
pub(crate) struct Slot {
    /// Counts the spans of the slot.
    uses: AtomicU32,
    state: AtomicU8,
    /// Whether a span is known to have this one as its parent.
    has_child: AtomicBool,
    /// The number of the span's callsite.
    callsite: AtomicU32,
    /// Handles of the span, where nobody else counts them.
    handles: AtomicU32,
    bits: AtomicU32,
    trace_id: [AtomicU64; 2],
    span_id: AtomicU64,
    /// When the span was last left, if it has children; nanoseconds since the Unix epoch. Else 0.
    left_unix_nano: AtomicU64,
    /// The span, if it is recorded. Whoever holds the lock may have taken it out for a while.
    span: SpanCell,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    relay: Option<Arc<Relay>>,
    /// What the last exception said, as a hash, and of which use of the slot that was.
    exception: (u32, u64),
    /// Whether `held` counts.
    holds: bool,
    /// The fields of a root that is not recorded, in case that a parent is set which is. Kept for the slot's next root.
    held: Option<Box<Fields>>,
}

/// A slot and its use: it reaches one span, and nothing when that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handle {
    slot: u32,
    uses: u32,
}

#[inline]
fn slot(number: u32) -> Option<&'static Slot> {
    let number = number as usize;
    Some(&SLOTS.get(number / CHUNK)?.get()?[number % CHUNK])
}

/// Keeps a span. `None`: there are too many.
#[inline]
pub(crate) fn keep(span: Span, callsite: &Callsite) -> Option<Handle> {
    let ids = span.ids();
    match ids.has_relay() {
        false => keep_as(span, ids, None, callsite),
        true => {
            let context = span.context();
            keep_as(span, ids, seam::relay(&context).cloned(), callsite)
        }
    }
}

/// Keeps the ids that are current on this thread, which stand for a span that is not recorded.
#[inline]
pub(crate) fn keep_current(current: Ids, callsite: &Callsite) -> Option<Handle> {
    let relay = match current.has_relay() {
        false => None,
        true => seam::relay(&Context::current()).cloned(),
    };
    keep_as(Span::none(), current, relay, callsite)
}

/// Keeps a span that is in no trace.
pub(crate) fn keep_nothing(callsite: &Callsite) -> Option<Handle> {
    keep_as(Span::none(), Ids::default(), None, callsite)
}

#[inline]
fn keep_as(span: Span, ids: Ids, relay: Option<Arc<Relay>>, callsite: &Callsite) -> Option<Handle> {
    let number = take()?;
    let slot = slot(number)?;
    slot.state.store(FRESH, Ordering::Relaxed);
    slot.has_child.store(false, Ordering::Relaxed);
    slot.callsite.store(callsite.number, Ordering::Relaxed);
    slot.handles.store(1, Ordering::Relaxed);
    slot.left_unix_nano.store(0, Ordering::Relaxed);
    let is_recording = span.is_recording();
    slot.set_ids(ids, is_recording);
    if relay.is_some() {
        lock(&slot.inner)?.relay = relay;
    }
    // What is not recorded is over: its ids are all that is needed.
    if is_recording {
        slot.span.put(span);
    }
    Some(Handle {
        slot: number,
        uses: slot.uses.load(Ordering::Relaxed),
    })
}

/// Ends the span of a slot, when it was left last if it has been held open by its children since, and frees the slot.
#[inline]
pub(crate) fn end(handle: Handle) {
    let Some(slot) = handle.slot() else { return };
    let bits = slot.bits.load(Ordering::Relaxed);
    // From now on nobody writes to it who has not begun to.
    let uses = slot.uses.load(Ordering::Relaxed).wrapping_add(1);
    slot.uses.store(uses, Ordering::Release);
    let span = match bits & RECORDING {
        0 => None,
        _ => slot.span.take().or_else(|| slot.take_from_writer()),
    };
    if bits & (RELAYS | HOLDS) != 0 {
        slot.clear();
    }
    let left = slot.left_unix_nano.load(Ordering::Relaxed);
    give(handle.slot);
    match span {
        Some(span) if left != 0 => span.end_at(UNIX_EPOCH + Duration::from_nanos(left)),
        span => drop(span),
    }
}

thread_local! {
    /// The span that was closed last on this thread: what a formatter says of its end comes after it.
    static CLOSED: Cell<Closed> = const { Cell::new(Closed { id: 0, callsite: 0, ids: Ids::new([0; 16], [0; 8], 0) }) };
}

#[derive(Clone, Copy)]
struct Closed {
    id: u64,
    /// Ids of several registries are the same: as far as can be seen, this tells their spans apart.
    callsite: u32,
    ids: Ids,
}

/// Ends the span of this id; see [`end`].
#[inline]
pub(crate) fn close(id: u64, handle: Handle) {
    if let Some(slot) = handle.slot() {
        let span = Closed {
            id,
            callsite: slot.callsite.load(Ordering::Relaxed),
            ids: slot.ids().0,
        };
        let _ = CLOSED.try_with(|closed| closed.set(span));
    }
    end(handle);
}

/// The ids of the span that was closed last on this thread, if it had this id and was made at this callsite.
pub(crate) fn closed(id: u64, metadata: &'static Metadata<'static>) -> Option<Ids> {
    let closed = CLOSED.try_with(Cell::get).ok()?;
    let is_it = || Callsite::metadata_of(closed.callsite).is_some_and(|own| std::ptr::eq(own, metadata));
    (closed.id == id && is_it()).then_some(closed.ids)
}

/// Why the parent of a span cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Ended,
    Seen,
}

impl Handle {
    #[inline]
    fn slot(self) -> Option<&'static Slot> {
        let slot = slot(self.slot)?;
        (slot.uses.load(Ordering::Acquire) == self.uses).then_some(slot)
    }

    /// The span of an id that [`id`](Self::id) gave.
    #[inline]
    pub fn from_id(id: u64) -> Self {
        Self {
            slot: (id as u32).wrapping_sub(1),
            uses: (id >> 32) as u32,
        }
    }

    /// An id for the span, unlike that of any other span that lives; not 0.
    #[inline]
    pub fn id(self) -> u64 {
        u64::from(self.slot + 1) | u64::from(self.uses) << 32
    }

    /// One handle more. `false`: the span has ended.
    #[inline]
    pub fn add_handle(self) -> bool {
        let slot = self.slot();
        slot.map(|slot| slot.handles.fetch_add(1, Ordering::Relaxed)).is_some()
    }

    /// One handle less. With the last one the span ends.
    #[inline]
    pub fn drop_handle(self) -> bool {
        let Some(slot) = self.slot() else { return false };
        // Where there is one there is nobody who could make another from it meanwhile.
        let was_last = slot.handles.load(Ordering::Acquire) == 1 || slot.handles.fetch_sub(1, Ordering::AcqRel) == 1;
        if was_last {
            end(self);
        }
        was_last
    }

    pub fn metadata(self) -> Option<&'static Metadata<'static>> {
        Callsite::metadata_of(self.slot()?.callsite.load(Ordering::Relaxed))
    }

    /// Whether the span has this metadata.
    pub fn is_made_at(self, metadata: &'static Metadata<'static>) -> bool {
        self.metadata().is_some_and(|own| std::ptr::eq(own, metadata))
    }

    /// Whether what is written is kept.
    #[inline]
    pub fn is_recording(self) -> bool {
        self.slot()
            .is_some_and(|slot| slot.bits.load(Ordering::Relaxed) & RECORDING != 0)
    }

    /// The span's ids, and what travels along. From now on its parent stands.
    #[inline(always)]
    pub fn see(self) -> Option<(Ids, Option<Arc<Relay>>)> {
        let slot = self.slot()?;
        slot.see();
        let (ids, has_relay) = slot.ids();
        let relay = match has_relay {
            false => None,
            true => lock(&slot.inner)?.relay.clone(),
        };
        // It may have ended meanwhile: then these are another's.
        (slot.uses.load(Ordering::Acquire) == self.uses).then_some((ids, relay))
    }

    /// The same, as the parent of a new span.
    pub fn context_for_child(self) -> Option<Context> {
        self.note_child();
        let (ids, relay) = self.see()?;
        Some(seam::context(ids, relay))
    }

    #[inline]
    pub fn note_child(self) {
        if let Some(slot) = self.slot() {
            slot.has_child.store(true, Ordering::Relaxed);
        }
    }

    /// The span was left: where children may hold it open, that is when it ends unless it is entered again.
    #[inline]
    pub fn note_left(self) {
        if let Some(slot) = self.slot().filter(|slot| slot.has_child.load(Ordering::Relaxed)) {
            self.write(|span| slot.left_unix_nano.store(seam::now(span), Ordering::Relaxed));
        }
    }

    /// Writes to the span, if it is recorded. `write` runs under its lock.
    #[inline]
    pub fn write(self, write: impl FnOnce(&mut Span)) {
        self.with(|_, span| span.as_mut().map(write));
    }

    /// The same, for one exception of this hash: not when it was the last one already.
    pub fn write_exception(self, hash: u64, write: impl FnOnce(&mut Span, bool)) {
        self.with(|inner, span| {
            let exception = (self.uses, hash);
            let is_new = std::mem::replace(&mut inner.exception, exception) != exception;
            if let Some(span) = span {
                write(span, is_new);
            }
        });
    }

    /// Whether fields are held for it, and its parent may still be set.
    pub fn is_held(self) -> bool {
        let is_seen = |slot: &Slot| slot.state.load(Ordering::Relaxed) == SEEN;
        if self.slot().is_none_or(is_seen) {
            return false;
        }
        self.with(|inner, _| inner.holds).unwrap_or(false)
    }

    /// Adds to the fields that are held for it.
    pub fn hold(self, fields: &mut Fields) {
        let Some(slot) = self.slot() else { return };
        self.with(|inner, _| {
            slot.bits.fetch_or(HOLDS, Ordering::Relaxed);
            let held = inner.held.get_or_insert_default();
            if !std::mem::replace(&mut inner.holds, true) {
                held.clear();
            }
            held.extend(fields);
        });
    }

    /// Begins to start the span anew under another parent: the caller does so, under no lock, and calls
    /// [`finish_change`](Self::finish_change).
    pub fn begin_change(self) -> Result<Change, Refused> {
        let slot = self.slot().ok_or(Refused::Ended)?;
        let begun = self.with(|inner, span| {
            slot.exchange_state(FRESH, CHANGING).then(|| Change {
                restart: span.as_ref().and_then(Span::to_restart),
                held: inner.take_held().unwrap_or_default(),
            })
        });
        begun.ok_or(Refused::Ended)?.ok_or(Refused::Seen)
    }

    /// Puts the new span in the place of the old one, unless somebody has seen the old one's ids meanwhile: then nothing changes.
    /// `write` writes fields that have come since then.
    pub fn finish_change(
        self,
        new: Span,
        mut held: Box<Fields>,
        write: impl FnOnce(&Fields, &mut Span),
    ) -> Result<(), Refused> {
        let slot = self.slot();
        let mut unused = Some(new);
        let is_done = self.with(|inner, span| {
            let slot = slot.filter(|slot| slot.exchange_state(CHANGING, WRITING))?;
            let mut new = unused.take()?;
            let context = new.context();
            let is_recording = new.is_recording();
            slot.set_ids(seam::ids(&context), is_recording);
            inner.relay = seam::relay(&context).cloned();
            if let Some(old) = span.take() {
                new.take_over(old);
            }
            let later = inner.take_held();
            match is_recording {
                true => {
                    if let Some(later) = later {
                        write(&later, &mut new);
                    }
                    *span = Some(new);
                }
                false => {
                    if let Some(mut later) = later {
                        held.extend(&mut later);
                    }
                    slot.bits.fetch_or(HOLDS, Ordering::Relaxed);
                    inner.holds = true;
                }
            }
            inner.held = Some(held);
            slot.exchange_state(WRITING, FRESH);
            Some(())
        });
        unused.into_iter().for_each(Span::take_back);
        is_done.ok_or(Refused::Ended)?.ok_or(Refused::Seen)
    }

    /// Calls `f` under the lock, with the span if it is recorded.
    #[inline]
    fn with<R>(self, f: impl FnOnce(&mut Inner, &mut Option<Span>) -> R) -> Option<R> {
        let slot = self.slot()?;
        let mut inner = lock(&slot.inner)?;
        let mut taken = Taken {
            slot,
            span: slot.span.take(),
        };
        // It may have ended before the span was there: then this one is another's.
        (slot.uses.load(Ordering::Acquire) == self.uses).then(|| f(&mut inner, &mut taken.span))
    }
}

/// What it takes to start a span anew under another parent.
pub(crate) struct Change {
    /// Of a span that is recorded.
    pub restart: Option<Restart>,
    /// The fields of one that is not.
    pub held: Box<Fields>,
}

/// A span that is out of its slot, under the slot's lock, for as long as this lives.
struct Taken<'a> {
    slot: &'a Slot,
    span: Option<Span>,
}

impl Drop for Taken<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(span) = self.span.take() {
            self.slot.span.put(span);
        }
    }
}

impl Inner {
    fn take_held(&mut self) -> Option<Box<Fields>> {
        self.held.take_if(|_| std::mem::take(&mut self.holds))
    }
}

impl Slot {
    #[inline]
    fn set_ids(&self, ids: Ids, is_recording: bool) {
        // By way of a number: an array that is written in halves and read whole waits for memory.
        let trace_id = u128::from_le_bytes(ids.trace_id());
        // Released: who reads one of them sees that the slot is in use anew.
        self.trace_id[0].store(trace_id as u64, Ordering::Release);
        self.trace_id[1].store((trace_id >> 64) as u64, Ordering::Release);
        self.span_id.store(u64::from_le_bytes(ids.span_id()), Ordering::Release);
        let bit = |is_set: bool, bit: u32| if is_set { bit } else { 0 };
        let bits = u32::from(ids.flags())
            | bit(ids.is_remote(), REMOTE)
            | bit(ids.has_relay(), RELAYS)
            | bit(is_recording, RECORDING);
        self.bits.store(bits, Ordering::Release);
    }

    /// The ids, and whether something travels along.
    #[inline(always)]
    fn ids(&self) -> (Ids, bool) {
        let bits = self.bits.load(Ordering::Acquire);
        let half = |at: usize| u128::from(self.trace_id[at].load(Ordering::Acquire));
        let trace_id = (half(0) | half(1) << 64).to_le_bytes();
        let ids = Ids::new(trace_id, self.span_id.load(Ordering::Acquire).to_le_bytes(), bits as u8);
        let ids = if bits & REMOTE != 0 { ids.remote() } else { ids };
        (ids, bits & RELAYS != 0)
    }

    #[inline]
    fn see(&self) {
        loop {
            match self.state.load(Ordering::Acquire) {
                SEEN => return,
                WRITING => return self.see_what_was_written(),
                before if self.exchange_state(before, SEEN) => return,
                _ => {}
            }
        }
    }

    /// The ids are written under the lock: they are whole once it was free, and nobody may go by `SEEN` before.
    #[cold]
    fn see_what_was_written(&self) {
        let _whole = lock(&self.inner);
        self.state.store(SEEN, Ordering::Release);
    }

    /// Whether it was in the one state, and is now in the other.
    #[inline]
    fn exchange_state(&self, from: u8, to: u8) -> bool {
        let exchanged = self
            .state
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed);
        exchanged.is_ok()
    }

    /// The span, when whoever writes to it is done.
    #[cold]
    fn take_from_writer(&self) -> Option<Span> {
        let _inner = lock(&self.inner)?;
        self.span.take()
    }

    #[cold]
    fn clear(&self) {
        if let Some(mut inner) = lock(&self.inner) {
            inner.relay = None;
            inner.holds = false;
        }
    }
}

#[inline]
fn take() -> Option<u32> {
    let near = NEAR.try_with(|near| near.try_borrow_mut().ok()?.0.pop());
    near.ok().flatten().or_else(take_slowly)
}

#[cold]
fn take_slowly() -> Option<u32> {
    if let Some(mut free) = lock(&FREE) {
        let at = free.len().saturating_sub(MAGAZINE / 2);
        let _ = NEAR.try_with(|near| near.try_borrow_mut().map(|mut near| near.0.extend(free.drain(at..))));
        if let Some(number) = free
            .pop()
            .or_else(|| NEAR.try_with(|near| near.try_borrow_mut().ok()?.0.pop()).ok()?)
        {
            return Some(number);
        }
    }
    let number = USED.fetch_add(1, Ordering::Relaxed);
    let Some(chunk) = SLOTS.get(number as usize / CHUNK) else {
        USED.fetch_sub(1, Ordering::Relaxed);
        return None;
    };
    chunk.get_or_init(|| Box::new(std::array::from_fn(|_| Slot::default())));
    Some(number)
}

#[inline]
fn give(number: u32) {
    let near = NEAR.try_with(|near| {
        let Ok(mut near) = near.try_borrow_mut() else {
            return false;
        };
        if near.0.len() >= MAGAZINE {
            hand_on(&mut near.0, MAGAZINE / 2);
        }
        near.0.push(number);
        true
    });
    if near != Ok(true) {
        hand_on(&mut vec![number], 0);
    }
}

#[cold]
fn hand_on(from: &mut Vec<u32>, kept: usize) {
    if let Some(mut free) = lock(&FREE) {
        free.extend(from.drain(kept..));
    }
}

impl Drop for Magazine {
    fn drop(&mut self) {
        hand_on(&mut self.0, 0);
    }
}
