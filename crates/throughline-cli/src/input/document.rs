//! A JSON document over several lines, told from a line that is whole, or broken, by itself.

/// Whether a first line opens more than it closes, and nothing follows what is open: `{`, or `{"resourceSpans": [`.
///
/// A line that was cut off in the middle does so too, but for one that ends in a member or an element: then it is a bad line,
/// which costs no other.
pub fn is_beginning(line: &[u8]) -> bool {
    let (mut depth, mut is_in_string, mut is_escaped) = (0_i64, false, false);
    for byte in line {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_in_string => is_escaped = true,
            b'"' => is_in_string = !is_in_string,
            b'{' | b'[' if !is_in_string => depth += 1,
            b'}' | b']' if !is_in_string => depth -= 1,
            _ => {}
        }
    }
    depth > 0 && !is_in_string && matches!(line.trim_ascii_end().last(), Some(b'{' | b'[' | b','))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_over_several_lines_is_told_from_a_line() {
        for (line, expected) in [
            ("{\n", true),
            ("{\"resourceSpans\": [\n", true),
            ("{\"a\": 1,\r\n", true),
            ("{\"resourceSpans\":[]}\n", false),
            ("{\"resourceSpans\":[{\"sco\n", false),
            ("{\"resourceSpans\":[{\"a\":\"{\n", false),
            ("{\"a\":\"\\\"{\"}\n", false),
            ("nonsense\n", false),
            ("", false),
        ] {
            assert_eq!(is_beginning(line.as_bytes()), expected, "{line}");
        }
    }
}
