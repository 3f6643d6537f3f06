//! Any bytes are a file of OTLP protobuf up to where they are none: its parts are those of the request that they are.
#![no_main]

#[path = "../../crates/throughline-cli/src/input/protobuf.rs"]
mod protobuf;

use std::io::BufReader;

use libfuzzer_sys::fuzz_target;
use protobuf::Parts;
use throughline_wire::{json, request};

/// So little is read at a time that most fields lie in several pieces, in bytes.
const BUFFER: usize = 3;

fuzz_target!(|bytes: &[u8]| {
    let mut file = BufReader::with_capacity(BUFFER, bytes);
    let mut parts = Parts::new(&mut file);
    let (mut joined, mut last, mut is_whole) = (Vec::new(), None, true);
    while let Some(part) = parts.next().expect("memory can be read") {
        assert!(is_whole, "nothing is read behind what is no part");
        assert!(last < Some(parts.offset()) && parts.offset() < bytes.len() as u64);
        last = Some(parts.offset());
        is_whole = part.is_ok();
        if is_whole {
            assert_eq!(request::resource_spans(parts.part()).count(), 1);
            joined.extend_from_slice(parts.part());
        }
    }
    let (mut expected, mut found) = (String::new(), String::new());
    if is_whole && json::write_request(&mut expected, bytes).is_ok() {
        json::write_request(&mut found, &joined).expect("it is a part of what was written");
        assert_eq!(found, expected);
    }
});
