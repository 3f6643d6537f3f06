//! A crash-safe queue of encoded spans in mapped files.
//!
//! A span is written once, as OTLP bytes, into memory that is already the queue: while it is open into a *slot*
//! ([`OpenSpan`]), and when it ends into a *segment* of records. Both lie in files that are mapped shared, so what was
//! committed is the kernel's, and survives the process however it dies. `docs/spool-format.md` describes the files.
//!
//! This is the one crate of Throughline that holds unsafe code: the mapped memory (`memory`, `chunk`, `segment`, `lease`,
//! `slot`, `ledger`), the handles that point into it (`open`, `entered`, `thread`, `depot`), the time stamp counter
//! ([`counter`]) and the fork hook (`epoch`). It knows nothing of tracers, clocks, exporters or configuration.

mod backlog;
mod catalog;
mod chunk;
pub mod counter;
mod crc;
mod depot;
mod directory;
mod entered;
mod epoch;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod format_tests;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod history;
mod keeper;
mod lease;
mod ledger;
mod manifest;
mod memory;
mod open;
mod quarantine;
mod quota;
mod reader;
mod record;
mod recovered;
mod recovery;
mod scopes;
mod segment;
mod slot;
mod spool;
mod survey;
mod tail;
mod thread;
mod tier;
mod unfinished;

pub use backlog::{Backlog, Portion, ScopeRun};
pub use directory::{Adoption, Life, ProcessDir, Root};
pub use entered::{EnteredSpan, with_entered, without_entered};
pub use ledger::Dropped;
pub use manifest::{Destination, Identity, Manifest};
pub use open::{Notes, OpenSpan, Rare, Start};
pub use quota::Limits;
pub use reader::{Contents, Place, ProcessReport, Reader, State, StoredSpan};
pub use record::{Kind, MAX_BODY, Record};
pub use spool::{Account, Settings, Spool};
pub use tail::{Run, Tail, Unsettled};
pub use tier::Tier;

/// Whether tracing is on in this process.
#[inline]
#[must_use]
pub fn is_on() -> bool {
    epoch::current() != epoch::OFF
}

/// The number of an instrumentation scope (an encoded OTLP `InstrumentationScope`) in the records of this process.
///
/// It is the same for the life of the process, and in its forked children.
#[must_use]
pub fn scope(scope: &[u8]) -> u32 {
    match Spool::current() {
        Some(spool) => spool.scope(scope),
        None => scopes::number(scope),
    }
}

/// Changes in a forked child, whose random numbers must not be its parent's. 0 before tracing is switched on.
#[inline]
#[must_use]
pub fn generation() -> u32 {
    epoch::current()
}
