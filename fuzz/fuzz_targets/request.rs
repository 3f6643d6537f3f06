//! Any bytes are a request or none, and an answer or none; writing it as JSON agrees.
#![no_main]

use libfuzzer_sys::fuzz_target;
use throughline_wire::{Malformed, json, request, response};

fuzz_target!(|bytes: &[u8]| {
    let mut text = String::new();
    let written = json::write_request(&mut text, bytes);
    assert_eq!(written, walk(bytes));
    assert_eq!(text.is_empty(), written.is_err());
    let _ = response::partial_success(bytes);
    let _ = response::rpc_status(bytes);
});

fn walk(bytes: &[u8]) -> Result<(), Malformed> {
    for resource_spans in request::resource_spans(bytes) {
        for scope_spans in resource_spans?.scope_spans() {
            for span in scope_spans?.spans() {
                span?;
            }
        }
    }
    Ok(())
}
