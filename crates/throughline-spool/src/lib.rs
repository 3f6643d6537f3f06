//! A crash-safe queue of encoded spans in files.
//!
//! A span is written once, as OTLP bytes, into memory that is already the queue: while it is open into a *slot*
//! ([`OpenSpan`]), and when it ends into a *segment* of records. Both lie in files that are mapped shared, so what was
//! committed is the kernel's, and survives the process however it dies. `docs/spool-format.md` describes the files.
//!
//! Three parts, none of which knows the next:
//!
//! * `store`: one writer's directory of segments ([`Store`]). An ordinary value: there may be many in a process.
//! * `recorder`: this process's spans ([`Recorder`], [`OpenSpan`]): threads, open slots, forks. The only singleton.
//! * `archive`: what dead processes leave ([`Archive`], [`Undelivered`]), in one bounded place for the whole root.
//!
//! Below them lie `format` (bytes and what they mean, without any I/O), `files` (every system call on a file) and `directory`
//! (the user's [`Root`], and who lives), on `platform` (what differs from system to system). [`Reader`] shows everything and changes nothing.
//!
//! This is the one crate of Throughline that holds unsafe code: the mapped memory (`store::{memory, segment, lease, crc,
//! ledger}`), the handles that point into it (`recorder::{open, entered, thread, slot, slot_pool}`), what is never freed
//! (`recorder::{recorder, scopes}`), the time stamp counter ([`tsc`]), forks (`recorder::fork_number`) and calls of the system (`platform`). It knows nothing of
//! tracers, clocks, exporters or configuration.

mod archive;
mod directory;
mod files;
#[cfg(test)]
mod fixture;
mod format;
#[cfg(test)]
mod format_tests;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod platform;
mod reader;
mod recorder;
mod store;

/// What Throughline's other crates ask of the operating system. Not for others: it changes without notice.
#[doc(hidden)]
pub mod system {
    pub use crate::platform::{
        Directory, Listed, NO_STATE_DIRECTORY, StandardStream, is_removed, read_at, try_lock, unlock, write_to,
    };
}

pub use archive::{Archive, Evicted, Left, Moment, Portion, Progress, Stranger, Summary, Undelivered, Whose};
pub use directory::{Life, ProcessDir, Rejected, Root};
pub use format::header::Signal;
pub use format::manifest::{Destination, Identity, Manifest};
pub use format::record::{Kind, MAX_BODY};
pub use format::source::Source;
pub use platform::{state_directory, write_to_stderr};
pub use reader::{Contents, Follower, NewSpan, Place, ProcessReport, Reader, State, StoredSpan};
pub use recorder::entered::{EnteredHandle, EnteredSpan, with_entered};
pub use recorder::open::{LONGEST_TEXT, Notes, OpenSpan, Rare, Recording, Start, shortened};
pub use recorder::own_thread::spawn_without_signals;
pub use recorder::span_cell::SpanCell;
pub use recorder::tsc;
pub use recorder::{Recorder, Settings};
pub use store::consumer::{Batch, Consumer};
pub use store::ledger::Dropped;
pub use store::quota::Limits;
pub use store::runs::Run;
pub use store::tier::Tier;
pub use store::{Account, Position, Store, StoreSettings};

/// Whether tracing is on in this process.
#[inline]
#[must_use]
pub fn is_on() -> bool {
    recorder::fork_number::is_on()
}

/// The number of the source of an instrumentation scope (an encoded OTLP `InstrumentationScope`, and its schema URL or nothing) in
/// the records of this process.
///
/// It is the same for the life of the process, and in its forked children.
#[must_use]
pub fn scope(scope: &[u8], schema_url: &str) -> u32 {
    match Recorder::current() {
        Some(recorder) => recorder.scope(scope, schema_url),
        None => recorder::scopes::number(scope, schema_url),
    }
}

/// Changes in a forked child, whose random numbers must not be its parent's. 0 before tracing is switched on.
#[inline]
#[must_use]
pub fn fork_number() -> u32 {
    recorder::fork_number::current()
}
