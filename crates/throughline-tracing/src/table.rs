//! Where the spans of one registry are, by the ids that `tracing` gives them.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::locks::lock;
use crate::slot::{self, Handle};

const BITS: u32 = 12;
/// In the upper bits of an id a registry counts the uses of one of its own places (`sharded_slab::DefaultConfig`): without them a span
/// has the place here that the last one had, which is in the processor's cache. Were it otherwise, more would be in the crowd.
const GENERATION_BITS: u32 = 13;
/// No id: those of `tracing` are not zero.
const FREE: u64 = 0;
/// An id that a registry cannot reach.
const BUSY: u64 = u64::MAX;

/// The handles of spans by their ids: a lookup is one load while fewer are open than there are places.
pub(crate) struct Table {
    places: Box<[Place]>,
    /// Those whose place was taken.
    crowd: Mutex<HashMap<u64, Handle>>,
    crowd_len: AtomicUsize,
}

#[derive(Default)]
struct Place {
    id: AtomicU64,
    /// The handle, by its id: the slot alone may be another span's by the time it is looked at.
    handle: AtomicU64,
}

impl Table {
    pub fn new() -> Self {
        Self {
            places: (0..1 << BITS).map(|_| Place::default()).collect(),
            crowd: Mutex::default(),
            crowd_len: AtomicUsize::new(0),
        }
    }

    /// What tells this table from others while it lives.
    #[inline]
    pub fn key(&self) -> usize {
        self.places.as_ptr() as usize
    }

    /// The handle of a span. Neighbouring ids have places of their own.
    #[inline]
    pub fn find(&self, id: u64) -> Option<Handle> {
        let place = self.place(id);
        if place.id.load(Ordering::Acquire) == id {
            let handle = Handle::from_id(place.handle.load(Ordering::Acquire));
            // Of a span that has closed, the place may have become another's meanwhile.
            return (place.id.load(Ordering::Relaxed) == id).then_some(handle);
        }
        match self.crowd_len.load(Ordering::Acquire) {
            0 => None,
            _ => lock(&self.crowd)?.get(&id).copied(),
        }
    }

    /// Notes a span. `false`, and nothing is changed, where the id is there already.
    #[inline]
    pub fn insert(&self, id: u64, handle: Handle) -> bool {
        let place = self.place(id);
        let taken = place
            .id
            .compare_exchange(FREE, BUSY, Ordering::AcqRel, Ordering::Relaxed);
        match taken {
            Ok(_) => {
                place.handle.store(handle.id(), Ordering::Release);
                place.id.store(id, Ordering::Release);
                true
            }
            Err(other) => other != id && self.insert_in_crowd(id, handle),
        }
    }

    #[cold]
    fn insert_in_crowd(&self, id: u64, handle: Handle) -> bool {
        let Some(mut crowd) = lock(&self.crowd) else {
            return false;
        };
        if crowd.contains_key(&id) {
            return false;
        }
        crowd.insert(id, handle);
        self.crowd_len.store(crowd.len(), Ordering::Release);
        true
    }

    #[inline]
    pub fn remove(&self, id: u64) -> Option<Handle> {
        let place = self.place(id);
        if place.id.load(Ordering::Acquire) == id {
            let handle = Handle::from_id(place.handle.load(Ordering::Acquire));
            place.id.store(FREE, Ordering::Release);
            return Some(handle);
        }
        match self.crowd_len.load(Ordering::Acquire) {
            0 => None,
            _ => self.remove_from_crowd(id),
        }
    }

    #[cold]
    fn remove_from_crowd(&self, id: u64) -> Option<Handle> {
        let mut crowd = lock(&self.crowd)?;
        let handle = crowd.remove(&id);
        self.crowd_len.store(crowd.len(), Ordering::Release);
        handle
    }

    #[inline]
    fn place(&self, id: u64) -> &Place {
        // Fibonacci hashing spreads ids that count up.
        let hash = (id << GENERATION_BITS).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - BITS);
        &self.places[hash as usize]
    }
}

impl Drop for Table {
    /// Spans whose registry has gone have ended.
    fn drop(&mut self) {
        let crowd = lock(&self.crowd).map(|mut crowd| std::mem::take(&mut *crowd));
        let near = self
            .places
            .iter()
            .filter(|place| place.id.load(Ordering::Acquire) != FREE);
        let near = near.map(|place| Handle::from_id(place.handle.load(Ordering::Acquire)));
        near.chain(crowd.unwrap_or_default().into_values()).for_each(slot::end);
    }
}
