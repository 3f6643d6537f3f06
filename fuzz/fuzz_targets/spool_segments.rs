//! Any bytes are a file of segments that can be walked, in bounded time; what is found lies in it, in order, and verifies.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| throughline_spool::fuzzing::segments(bytes));
