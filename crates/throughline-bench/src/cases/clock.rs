//! The yardstick: two reads of a clock, which no span that knows its start and end can undercut.

use std::hint::black_box;
use std::time::{Instant, SystemTime};

use super::Entry;
use crate::measure::{CHILDREN, Case};
use crate::threads;

/// The name of the case that the others are divided by.
pub const YARDSTICK: &str = "clock/two native reads";

/// The clock cases; a pair of reads stands for a span.
pub const CASES: &[Entry] = &[
    Entry {
        name: "clock/empty loop",
        prepare: |_| Case::new(pairs(|| ())),
        ..NO_SPAN
    },
    Entry {
        name: YARDSTICK,
        prepare: |_| Case::new(pairs(native_read)),
        ..NO_SPAN
    },
    Entry {
        name: "clock/two native reads, two threads",
        prepare: |_| threads::two_at_once(|| pairs(native_read)),
        ..NO_SPAN
    },
    Entry {
        name: "clock/two Instant::now",
        prepare: |_| Case::new(pairs(Instant::now)),
        ..NO_SPAN
    },
    Entry {
        name: "clock/two SystemTime::now",
        prepare: |_| Case::new(pairs(SystemTime::now)),
        ..NO_SPAN
    },
];

const NO_SPAN: Entry = Entry {
    name: "",
    native: None,
    own_process: false,
    prepare: |_| Case::new(|| ()),
};

/// What is done instead of a root and its children.
fn pairs<T>(read: impl Fn() -> T) -> impl FnMut() {
    move || {
        for _ in 0..CHILDREN {
            black_box(read());
            black_box(read());
        }
    }
}

fn native_read() -> u64 {
    throughline::bench::clock_read()
}
