//! All captured spans of this process, and which capture each belongs to.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use throughline_context::Ids;
use throughline_wire::SpanView;

use super::CapturedSpan;

/// The number of no capture.
pub(super) const STRAYS: u64 = 0;
/// So many strays are kept when there are twice as many.
const KEPT_STRAYS: usize = 1000;

/// Trace and span.
type Key = ([u8; 16], [u8; 8]);

/// One lock for all: it is held for as long as a span is copied, and tests are not in a hurry.
static REGISTRY: Mutex<Option<Registry>> = Mutex::new(None);

thread_local! {
    /// The captures that live on this thread, the innermost last.
    static CAPTURES: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

#[derive(Default)]
struct Registry {
    last_number: u64,
    /// The spans of each capture in the order in which they started. `None` stands for one that was dropped when it ended.
    spans: HashMap<u64, Vec<Option<CapturedSpan>>>,
    /// Where each span is: its capture, and its place there.
    places: HashMap<Key, (u64, usize)>,
    /// The capture that had the last span of each trace; no strays.
    traces: HashMap<[u8; 16], u64>,
}

/// Begins a capture on this thread, and gives its number.
pub(super) fn begin() -> u64 {
    let number = with(|registry| {
        registry.last_number += 1;
        registry.spans.insert(registry.last_number, Vec::new());
        registry.last_number
    });
    CAPTURES.with(|captures| captures.borrow_mut().push(number));
    number
}

/// Ends a capture. Spans of it that are still open are forgotten.
pub(super) fn end(number: u64) {
    let _gone = CAPTURES.try_with(|captures| captures.borrow_mut().retain(|other| *other != number));
    with(|registry| {
        registry.spans.remove(&number);
        registry.places.retain(|_, (capture, _)| *capture != number);
        registry.traces.retain(|_, capture| *capture != number);
    });
}

/// What a capture has so far, in the order in which it started.
pub(super) fn spans(number: u64) -> Vec<CapturedSpan> {
    with(|registry| match registry.spans.get(&number) {
        Some(spans) => spans.iter().flatten().cloned().collect(),
        None => Vec::new(),
    })
}

pub(super) fn start(span: &SpanView<'_>, parent: Ids) {
    // A sampler may want one recorded for processors only: it is not committed.
    let (Some(key), true) = (key(span), is_sampled(span)) else {
        return;
    };
    let of_thread = CAPTURES.try_with(|captures| captures.borrow().last().copied());
    let of_thread = of_thread.ok().flatten();
    with(|registry| {
        let of_parent = registry.places.get(&(parent.trace_id(), parent.span_id()));
        let of_parent = of_parent.map(|(capture, _)| *capture);
        let capture = of_parent
            .filter(|capture| *capture != STRAYS)
            .or(of_thread)
            .or_else(|| registry.traces.get(&key.0).copied())
            .unwrap_or(STRAYS);
        if capture != STRAYS {
            registry.traces.insert(key.0, capture);
        }
        let spans = registry.spans.entry(capture).or_default();
        registry.places.insert(key, (capture, spans.len()));
        spans.push(Some(CapturedSpan::new(span, false)));
        if capture == STRAYS && spans.len() >= 2 * KEPT_STRAYS {
            registry.forget_strays(KEPT_STRAYS);
        }
    });
}

pub(super) fn finish(span: &SpanView<'_>) {
    let ended = CapturedSpan::new(span, true);
    with(|registry| {
        if let Some(place) = registry.place(span) {
            *place = Some(ended);
        }
    });
}

/// The span was left out at its end.
pub(super) fn remove(span: &SpanView<'_>) {
    with(|registry| {
        if let Some(place) = registry.place(span) {
            *place = None;
        }
    });
}

impl Registry {
    fn place(&mut self, span: &SpanView<'_>) -> Option<&mut Option<CapturedSpan>> {
        let (capture, at) = self.places.get(&key(span)?)?;
        self.spans.get_mut(capture)?.get_mut(*at)
    }

    fn forget_strays(&mut self, number: usize) {
        if let Some(strays) = self.spans.get_mut(&STRAYS) {
            strays.drain(..number);
        }
        self.places
            .retain(|_, (capture, at)| *capture != STRAYS || *at >= number);
        for (capture, at) in self.places.values_mut() {
            if *capture == STRAYS {
                *at -= number;
            }
        }
    }
}

fn with<R>(f: impl FnOnce(&mut Registry) -> R) -> R {
    let mut registry: MutexGuard<'_, _> = REGISTRY.lock().unwrap_or_else(PoisonError::into_inner);
    f(registry.get_or_insert_default())
}

fn key(span: &SpanView<'_>) -> Option<Key> {
    Some((span.trace_id()?.to_bytes(), span.span_id()?.to_bytes()))
}

fn is_sampled(span: &SpanView<'_>) -> bool {
    span.flags() & 1 == 1
}
