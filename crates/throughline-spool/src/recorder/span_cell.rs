//! A place for an open span that several threads can reach.

use std::fmt;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};

use super::open::{Open, OpenSpan};

/// Holds an open span, or none: whoever takes it out owns it.
///
/// To put a span in costs no more than a store, and to take it out one exchange: half of what a mutex takes.
#[derive(Default)]
pub struct SpanCell(AtomicPtr<Open>);

impl SpanCell {
    /// An empty one.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// Puts a span into an empty cell.
    ///
    /// It is for the caller to know that the cell is empty, and that nobody else puts one in meanwhile: of two spans one would never
    /// end.
    #[inline]
    pub fn put(&self, span: OpenSpan) {
        debug_assert!(self.0.load(Ordering::Relaxed).is_null(), "a cell holds one span");
        self.0.store(span.into_ptr().as_ptr(), Ordering::Release);
    }

    /// Takes the span out. `None`: there is none, or another thread has taken it.
    #[inline]
    pub fn take(&self) -> Option<OpenSpan> {
        let open = NonNull::new(self.0.swap(ptr::null_mut(), Ordering::AcqRel))?;
        // SAFETY: it came from `into_ptr` in `put`, and the exchange gives each that was put in to one taker.
        Some(unsafe { OpenSpan::from_ptr(open) })
    }
}

impl Drop for SpanCell {
    fn drop(&mut self) {
        drop(self.take());
    }
}

impl fmt::Debug for SpanCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_empty = self.0.load(Ordering::Relaxed).is_null();
        f.write_str(if is_empty {
            "SpanCell(empty)"
        } else {
            "SpanCell(a span)"
        })
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::Start;

    fn span(id: u8) -> OpenSpan {
        OpenSpan::pass_on(&Start {
            trace_id: [1; 16],
            span_id: [id; 8],
            parent_span_id: [0; 8],
            flags: 0,
            kind: 0,
            start_unix_nano: 0,
            source: 0,
        })
    }

    #[test]
    fn span_in_a_cell_goes_to_one_of_those_who_take_it() {
        let cell = SpanCell::new();
        for id in 1..=50 {
            cell.put(span(id));
            let takers: usize = thread::scope(|scope| {
                let take = || cell.take().map(|span| assert_eq!(span.span_id(), [id; 8]));
                let takers = [scope.spawn(take), scope.spawn(take)];
                takers
                    .map(|taker| usize::from(taker.join().unwrap().is_some()))
                    .iter()
                    .sum()
            });
            assert_eq!(takers, 1);
            assert!(cell.take().is_none());
        }
    }

    #[test]
    fn cell_that_is_dropped_gives_its_span_up() {
        let cell = SpanCell::default();
        cell.put(span(1));
        assert_eq!(format!("{cell:?}"), "SpanCell(a span)");
        drop(cell);
    }
}
