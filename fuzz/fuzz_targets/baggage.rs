//! What is kept is within the limits and is read back as it was sent on; one's own member has
//! room. Headers are separated by line breaks.
#![no_main]

use libfuzzer_sys::fuzz_target;
use throughline_wire::Baggage;

fuzz_target!(|bytes: &[u8]| {
    let mut baggage = Baggage::parse_headers(bytes.split(|&byte| byte == b'\n'));
    let header = baggage.to_header();
    assert!(header.len() <= 8192 && baggage.iter().count() <= 64);
    let again = Baggage::parse_headers([header.as_bytes()]);
    assert!(again.iter().eq(baggage.iter()));

    // At most 7200 bytes once it is encoded, so it fits.
    let value = String::from_utf8_lossy(&bytes[..bytes.len().min(800)]);
    baggage.insert("key", &value).unwrap();
    assert_eq!(baggage.get("key").unwrap(), value);
    let header = baggage.to_header();
    assert!(header.len() <= 8192 && header.is_ascii());
    let again = Baggage::parse_headers([header.as_bytes()]);
    assert_eq!(again.get("key").unwrap(), value);
});
