//! Any bytes are slots; what becomes of an open span is a span with its mark.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| throughline_spool::fuzzing::slots(bytes));
