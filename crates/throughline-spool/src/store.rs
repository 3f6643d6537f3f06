//! The store: one writer's directory of segments. It knows nothing of threads, spans or other processes' directories.

mod account;
pub(crate) mod allocator;
pub(crate) mod batch;
pub(crate) mod chunk;
pub(crate) mod consumer;
pub(crate) mod crc;
mod eviction;
pub(crate) mod index;
pub(crate) mod lease;
mod leasing;
pub(crate) mod ledger;
mod maintenance;
pub(crate) mod memory;
pub(crate) mod quota;
pub(crate) mod runs;
pub(crate) mod segment;
mod segment_files;
mod sources;
pub(crate) mod stock;
#[allow(clippy::module_inception)]
mod store;
pub(crate) mod sync;
#[cfg(test)]
mod tests;
pub(crate) mod tier;

pub use account::Account;
pub(crate) use store::{LEDGER, SEGMENTS, lock, segments_name};
pub use store::{Position, Store, StoreSettings};
