//! Spans of the API that may be current, by their ids: so that native code reaches them there.
//!
//! They are in numbered places, which are reused and never freed. A span's id says which place it has; where that is taken, it has one in
//! the next table, which is larger. So nothing is allocated for a span, and no two threads wait for one lock unless they write to the
//! same span.

use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

use opentelemetry::trace::SpanId;
use throughline::{Span, seam};

/// The first table has 1,024 places, each other four times as many as the one before. The last one has a million.
const FIRST_BITS: u32 = 10;
const MORE_BITS: u32 = 2;
const MOST_TABLES: usize = 6;

/// No span has this id.
const FREE: u64 = 0;

static PLACES: Places = Places::new();

struct Places {
    tables: [OnceLock<Box<[Place]>>; MOST_TABLES],
    /// Held while a table is made: a forked child does not wait for one that never will be.
    growing: Mutex<()>,
}

#[derive(Debug, Default)]
struct Place {
    /// Of the span that has the place. It is set before the span is there, and taken back under the lock.
    span_id: AtomicU64,
    span: Mutex<Option<Span>>,
}

/// The place of a span, for as long as that has it.
#[derive(Debug)]
pub(crate) struct Kept(&'static Place);

/// From now on native code reaches this span where it is current. `None`, and the span stays where it is: about a million are open, or this
/// is a forked child that cannot have the lock.
pub(crate) fn keep(span_id: SpanId, span: &mut Span) -> Option<Kept> {
    PLACES.keep(number(span_id.to_bytes()), span)
}

impl Kept {
    /// `None` in a forked child that cannot have the lock.
    pub fn with<R>(&self, f: impl FnOnce(&mut Span) -> R) -> Option<R> {
        seam::lock(&self.0.span)?.as_mut().map(f)
    }

    /// Native code reaches it no more.
    pub fn take(self) -> Option<Span> {
        let mut span = seam::lock(&self.0.span)?;
        let taken = span.take();
        self.0.span_id.store(FREE, Ordering::Release);
        taken
    }
}

/// Lets `throughline::current` and its like reach these spans.
pub(crate) struct Bridge;

impl seam::CurrentSpans for Bridge {
    fn with(&self, span_id: [u8; 8], write: &mut dyn FnMut(&mut Span)) -> bool {
        PLACES.with(number(span_id), write)
    }
}

fn number(span_id: [u8; 8]) -> u64 {
    u64::from_le_bytes(span_id)
}

impl Places {
    const fn new() -> Self {
        Self {
            tables: [const { OnceLock::new() }; MOST_TABLES],
            growing: Mutex::new(()),
        }
    }

    fn keep(&'static self, span_id: u64, span: &mut Span) -> Option<Kept> {
        let place = (0..MOST_TABLES).find_map(|number| {
            let table = self.tables[number].get().map(|table| &**table);
            place(table.or_else(|| self.grow(number))?, span_id).claim(span_id)
        })?;
        *seam::lock(&place.span)? = Some(mem::replace(span, Span::none()));
        Some(Kept(place))
    }

    fn with(&self, span_id: u64, write: &mut dyn FnMut(&mut Span)) -> bool {
        let mut places = self.tables().map(|table| place(table, span_id));
        let Some(place) = places.find(|place| place.is_of(span_id)) else {
            return false;
        };
        let Some(mut span) = seam::lock(&place.span) else {
            return false;
        };
        // The place may have become another's before it was locked.
        match span.as_mut().filter(|_| place.is_of(span_id)) {
            Some(span) => {
                write(span);
                true
            }
            None => false,
        }
    }

    fn tables(&self) -> impl Iterator<Item = &[Place]> {
        self.tables.iter().filter_map(|table| Some(&**table.get()?))
    }

    #[cold]
    fn grow(&self, number: usize) -> Option<&[Place]> {
        let _growing = seam::lock(&self.growing)?;
        let len = 1_usize << bits(number);
        Some(self.tables[number].get_or_init(|| (0..len).map(|_| Place::default()).collect()))
    }
}

impl Place {
    fn claim(&self, span_id: u64) -> Option<&Self> {
        let claimed = self
            .span_id
            .compare_exchange(FREE, span_id, Ordering::Acquire, Ordering::Relaxed);
        claimed.is_ok().then_some(self)
    }

    fn is_of(&self, span_id: u64) -> bool {
        self.span_id.load(Ordering::Acquire) == span_id
    }
}

const fn bits(table: usize) -> u32 {
    FIRST_BITS + MORE_BITS * table as u32
}

/// The place in a table, whose length is a power of two.
fn place(table: &[Place], span_id: u64) -> &Place {
    // Fibonacci hashing: also ids that are not random have places of their own. Those that meet in one table do not in the next.
    let spread = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(2 * table.len() as u64 + 1);
    let hash = span_id.wrapping_mul(spread) >> (u64::BITS - table.len().trailing_zeros());
    &table[hash as usize]
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::thread;

    use throughline::{span, testing};
    use throughline_context::Ids;

    use super::*;

    fn places() -> &'static Places {
        Box::leak(Box::new(Places::new()))
    }

    /// A span, and the id that the test gives it: it need not be the span's own.
    fn kept(places: &'static Places, span_id: u64) -> Kept {
        let mut span = span!("span");
        places.keep(span_id, &mut span).expect("there is a place")
    }

    /// Ids with the same place in the first table.
    fn rivals(places: &Places) -> impl Iterator<Item = u64> {
        let table = places.tables[0].get().expect("there is one");
        let first = place(table, 1);
        (1..).filter(move |id| std::ptr::eq(place(table, *id), first))
    }

    #[test]
    fn place_is_free_again_when_its_span_is_taken() {
        let _alone = crate::ALONE.lock();
        let _capture = testing::capture();
        let places = places();
        let mut open = VecDeque::new();
        for id in 1..=20_000 {
            open.push_back((id, kept(places, id)));
            if open.len() > 100 {
                let (id, first) = open.pop_front().expect("it is there");
                drop(first.take().expect("it is there"));
                assert!(!places.with(id, &mut |_| panic!("it has been taken")));
            }
        }
        open.into_iter().for_each(|(_, kept)| drop(kept.take()));
        assert!(places.tables().count() <= 3, "{}", places.tables().count());
        let is_free = |place: &Place| place.is_of(FREE);
        assert!(places.tables().flatten().all(is_free));
    }

    #[test]
    fn spans_of_one_place_are_each_reached() {
        let _alone = crate::ALONE.lock();
        let capture = testing::capture();
        let places = places();
        kept(places, 1).take();
        let open: Vec<_> = rivals(places).take(3).map(|id| (id, kept(places, id))).collect();
        assert!(places.tables().count() > 1);
        for (id, _) in &open {
            let is_reached = places.with(*id, &mut |span| {
                span.set("id", *id as i64);
            });
            assert!(is_reached);
        }
        let expected: Vec<_> = open.iter().map(|(id, _)| format!("span {{id={id}}}")).collect();
        open.into_iter().for_each(|(_, kept)| drop(kept.take()));
        capture.assert_tree(&format!("span\n{}", expected.join("\n")));
    }

    #[test]
    fn span_without_a_place_stays_where_it_is() {
        let _alone = crate::ALONE.lock();
        let _capture = testing::capture();
        let places = places();
        kept(places, 1).take();
        let open: Vec<_> = (0..MOST_TABLES).map(|_| kept(places, 1)).collect();
        let mut span = span!("one too many");
        assert!(places.keep(1, &mut span).is_none());
        assert!(span.is_recording());
        open.into_iter().for_each(|kept| drop(kept.take()));
        assert!(places.keep(1, &mut span).is_some());
    }

    #[test]
    fn stale_id_never_reaches_the_next_span_of_the_place() {
        let _alone = crate::ALONE.lock();
        let _capture = testing::capture();
        let places = places();
        kept(places, 1).take();
        // The trace says whose a span is.
        let ids: Vec<(u64, [u8; 16])> = rivals(places).take(2).zip([[1; 16], [2; 16]]).collect();
        thread::scope(|scope| {
            let write = |id: u64, trace_id: [u8; 16]| {
                let mut reached = 0;
                while reached < 1_000 {
                    places.with(id, &mut |span| {
                        reached += 1;
                        assert_eq!(span.ids().trace_id(), trace_id);
                    });
                }
            };
            let writers: Vec<_> = ids
                .iter()
                .map(|(id, trace_id)| scope.spawn(move || write(*id, *trace_id)))
                .collect();
            while !writers.iter().all(thread::ScopedJoinHandle::is_finished) {
                for (id, trace_id) in &ids {
                    let parent = seam::context(Ids::new(*trace_id, [1; 8], 1), None);
                    let mut span = span!(parent: &parent, "span");
                    places.keep(*id, &mut span).expect("there is a place").take();
                }
            }
        });
        assert_eq!(places.tables().count(), 1, "both had one place");
    }
}
