//! Locks that a forked child never waits for in vain.

pub(crate) use throughline::seam::lock;
