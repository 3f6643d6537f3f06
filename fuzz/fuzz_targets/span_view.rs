//! Any bytes are a span that can be read to its last corner: JSON visits every field.
#![no_main]

use libfuzzer_sys::fuzz_target;
use throughline_wire::{SpanView, json};

fuzz_target!(|bytes: &[u8]| {
    let span = SpanView::new(bytes);
    let mut text = String::new();
    json::write_span(&mut text, &span);
    assert!(text.starts_with('{') && text.ends_with('}') && !text.contains('\n'));
    for (key, _) in span.attributes() {
        assert!(span.attribute(key).is_some());
    }
});
