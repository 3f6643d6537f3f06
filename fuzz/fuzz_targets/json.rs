//! Any bytes are OTLP/JSON or none; what is read as protobuf is the same once written as JSON and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use throughline_wire::json;

fuzz_target!(|bytes: &[u8]| {
    let _ = json::read_response(bytes);
    let _ = json::read_status(bytes);
    let Ok(request) = json::read_request(bytes) else { return };
    let mut text = String::new();
    json::write_request(&mut text, &request).expect("what was read is a request");
    let again = json::read_request(text.as_bytes()).expect("what was written can be read");
    let mut second = String::new();
    json::write_request(&mut second, &again).expect("what was read is a request");
    assert_eq!(text, second);
});
