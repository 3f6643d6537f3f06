//! The sources that records name, each once.

use std::collections::HashMap;
use std::sync::Arc;

use super::lease::Lease;
use super::store::{Store, lock};
use crate::format::source::Source;

/// The sources that records of this store name.
#[derive(Default)]
pub(super) struct Sources {
    /// Each with its encoded form.
    by_number: Vec<(Arc<Source>, Arc<[u8]>)>,
    numbers: HashMap<Arc<Source>, u32>,
}

impl Store {
    /// The number of a source in the records of this store.
    pub fn source(&self, source: &Source) -> u32 {
        let mut sources = lock(&self.sources);
        if let Some(number) = sources.numbers.get(source) {
            return *number;
        }
        sources.add(source.clone())
    }

    /// The source of this number.
    #[must_use]
    pub fn source_of(&self, number: u32) -> Option<Arc<Source>> {
        let sources = lock(&self.sources);
        sources.by_number.get(number as usize).map(|(source, _)| source.clone())
    }

    /// How many sources are known.
    pub(crate) fn source_count(&self) -> u32 {
        lock(&self.sources).by_number.len() as u32
    }

    /// Makes a source known under the next number, also when it is known already.
    pub(crate) fn add_source(&self, source: Source) -> u32 {
        lock(&self.sources).add(source)
    }

    /// Appends a source's record to a lease that does not know it, if there is room for a body of `room` bytes behind it.
    pub(crate) fn append_source(&self, lease: &mut Lease, number: u32, room: usize) -> bool {
        let bytes = lock(&self.sources).encoded(number);
        // Nobody hands out other numbers; a record without a source is delivered without one.
        lease.append_source(number, bytes.as_deref().unwrap_or(&[]), room)
    }
}

impl Sources {
    /// The encoded form of a source.
    pub(super) fn encoded(&self, number: u32) -> Option<Arc<[u8]>> {
        self.by_number.get(number as usize).map(|(_, bytes)| bytes.clone())
    }

    fn add(&mut self, source: Source) -> u32 {
        let number = self.by_number.len() as u32;
        let source = Arc::new(source);
        self.by_number.push((source.clone(), source.to_bytes().into()));
        self.numbers.entry(source).or_insert(number);
        number
    }
}
