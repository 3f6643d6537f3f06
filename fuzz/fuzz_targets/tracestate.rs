//! What is accepted is valid for good, also after it was cut. Headers are separated by line breaks.
#![no_main]

use libfuzzer_sys::fuzz_target;
use throughline_wire::TraceState;

fuzz_target!(|bytes: &[u8]| {
    let headers = bytes.split(|&byte| byte == b'\n');
    if let Ok(mut state) = TraceState::parse_headers(headers) {
        assert_eq!(state.as_str().parse(), Ok(state.clone()));
        for max in [0, 20, 512] {
            let cut = state.truncated(max);
            assert!(cut.as_str().len() <= max);
            assert_eq!(cut.as_str().parse(), Ok(cut));
        }
        state.insert("key", "value").unwrap();
        assert_eq!(state.get("key"), Some("value"));
        assert_eq!(state.as_str().parse(), Ok(state));
    }
});
