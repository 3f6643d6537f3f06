//! The helper thread: makes chunks ready before they are needed. It never writes into a segment.
//!
//! It polls, because waking it would cost the thread that ends a span more than the span itself.

use std::thread;
use std::time::Duration;

use crate::epoch;
use crate::spool::Spool;

const SHORTEST: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_secs(1);

/// Starts the helper of this spool. It ends with the process, or when that forks, in the child.
pub(crate) fn start(spool: &'static Spool) {
    // Miri has no clock to sleep by that other threads would wait for.
    if cfg!(miri) {
        return;
    }
    let run = move || {
        let mut pause = SHORTEST;
        let mut generation = 0;
        while epoch::current() == spool.epoch() {
            spool.prepare_chunk();
            spool.tick();
            let now = spool.catalog().generation();
            pause = if now == generation {
                (pause * 2).min(LONGEST)
            } else {
                SHORTEST
            };
            generation = now;
            thread::sleep(pause);
        }
    };
    // Without it everything still works, with more page faults in the threads that end spans.
    let _ = thread::Builder::new()
        .name("throughline-keeper".into())
        .stack_size(256 << 10)
        .spawn(run);
}
