//! What is accepted is sent on with the same ids.
#![no_main]

use libfuzzer_sys::fuzz_target;
use throughline_wire::traceparent;

fuzz_target!(|bytes: &[u8]| {
    if let Some(context) = traceparent::parse(bytes) {
        let sent = traceparent::format(&context);
        assert_eq!(traceparent::parse(&sent), Some(context));
        assert_eq!(sent[2..53], bytes[2..53]);
    }
});
