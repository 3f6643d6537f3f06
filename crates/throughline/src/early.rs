//! Spans that start before tracing is switched on: they cost next to nothing, are not recorded, and are counted.

use std::sync::atomic::{AtomicU32, Ordering};

/// Beyond so many it is only told that there were more: a library in a program that never switches tracing on must not write to
/// memory of all threads for ever.
const MOST: u32 = 10_000;

static COUNT: AtomicU32 = AtomicU32::new(0);

/// A span starts while tracing is not on.
#[inline]
pub(crate) fn note() {
    if COUNT.load(Ordering::Relaxed) < MOST {
        COUNT.fetch_add(1, Ordering::Relaxed);
    }
}

/// It is decided whether tracing is on: nothing is counted any more. What was, in words; `None`: there was nothing.
pub(crate) fn end() -> Option<String> {
    match COUNT.swap(MOST, Ordering::Relaxed) {
        0 => None,
        1 => Some("1 span".to_owned()),
        MOST.. => Some(format!("{MOST} spans or more")),
        count => Some(format!("{count} spans")),
    }
}
