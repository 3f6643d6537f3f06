//! The recorder: this process's spans, from their start to the store. It is the only singleton, and knows nothing of other
//! processes.

pub(crate) mod entered;
pub(crate) mod fork_number;
mod maintenance;
pub(crate) mod open;
pub(crate) mod own_thread;
mod passing;
#[allow(clippy::module_inception)]
mod recorder;
pub(crate) mod scopes;
pub(crate) mod slot;
mod slot_pool;
pub(crate) mod span_cell;
mod thread;
pub mod tsc;

pub use recorder::{Recorder, Settings};
