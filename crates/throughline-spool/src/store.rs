//! The store: one writer's directory of segments. It knows nothing of threads, spans or other processes' directories.

pub(crate) mod allocator;
pub(crate) mod batch;
pub(crate) mod chunk;
pub(crate) mod crc;
pub(crate) mod index;
pub(crate) mod lease;
pub(crate) mod ledger;
pub(crate) mod memory;
pub(crate) mod quota;
pub(crate) mod segment;
pub(crate) mod stock;
#[allow(clippy::module_inception)]
mod store;
pub(crate) mod sync;
pub(crate) mod tail;
#[cfg(test)]
mod tests;
pub(crate) mod tier;

pub use store::{Account, Position, Store, StoreSettings};
pub(crate) use store::{LEDGER, SEGMENTS, lock, segments_name};
