//! The stock of warm memory, as those who lease find it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{DIRECTORY, SEGMENTS, disk, settings, source, store};
use crate::format::header::UNIT;

/// Small leases that were made ahead once counted as stock for those who want large ones, and nobody filled it up.
#[test]
fn stock_is_filled_up_for_whoever_wants_larger_leases_than_were_prepared() {
    let files = disk();
    let store = store(&files, settings(1, 64 << 20, 0));
    let is_asked = Arc::new(AtomicBool::new(false));
    store.on_low_stock({
        let is_asked = is_asked.clone();
        move || is_asked.store(true, Ordering::Relaxed)
    });
    let number = store.source(&source(0));
    let mut now = Instant::now();
    let mut wanted = UNIT;
    let mut cold = 0;
    for _ in 0..100 {
        let before = files.calls();
        let lease = store.lease(number, 100, wanted).expect("there is room");
        // What is warm is taken without a call to the system.
        cold += u32::from(files.calls() > before);
        wanted = lease.segment().len() * 4;
        store.close(&lease);
        now += Duration::from_secs(1);
        if is_asked.swap(false, Ordering::Relaxed) {
            store.maintain(now);
        }
    }
    // What is used up when the second file is made.
    assert!(cold <= 2, "{cold} of 100 leases were cold");
}

/// The largest stock is a part of the limits, and the size of a file follows the stock.
#[test]
fn files_are_whole_units_whatever_the_limits_are() {
    for (pending, history) in [(1_000_000, 64 << 20), (12_345_678, 1), (1 << 20, 999_999), (0, 0)] {
        let files = disk();
        let store = store(&files, settings(1, pending, history));
        let number = store.source(&source(0));
        let mut now = Instant::now();
        for _ in 0..50 {
            let lease = store.lease(number, 100, 1 << 20).expect("something makes way");
            store.close(&lease);
            now += Duration::from_millis(1);
            store.maintain(now);
        }
        for name in files.names(DIRECTORY).iter().filter(|name| name.starts_with(SEGMENTS)) {
            let len = files.content(format!("{DIRECTORY}/{name}")).expect("a file").len();
            assert_eq!(len % UNIT, 0, "{name} with limits of {pending} and {history} bytes");
        }
    }
}
