//! Delivery: takes committed spans from the spool to the backend, on one thread of its own.
//!
//! [`machine`] decides, without a clock or a socket; [`http`] and [`connect`] carry bytes;
//! [`driver`] is the loop between them, on the [`thread`] that survives its faults; [`flush`] and
//! [`report`] are what a program sees of it. Spans come through the [`Source`] trait, which the
//! spool implements.

mod connect;
mod driver;
mod flush;
mod http;
mod machine;
mod outcome;
mod report;
mod source;
mod thread;
mod waiting;

pub(crate) use flush::DestinationFlush;
pub use flush::Flush;
pub use report::{DestinationReport, Report};
pub(crate) use source::{Accounts, Batch, BatchLimits, Mark, Owner, Pending, Source};
pub(crate) use thread::Delivery;
