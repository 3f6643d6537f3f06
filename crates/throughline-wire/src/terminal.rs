//! Text of others on a terminal.

use std::borrow::Cow;

/// `text` with everything escaped that could move the cursor, colour or reorder a terminal's line: control characters
/// (C0, DEL, C1), line and paragraph separators, marks of the bidirectional algorithm, and the byte order mark.
///
/// Span names, attributes and a backend's answers come from whoever could send them: print them with this.
///
/// ```
/// use throughline_wire::terminal::escaped;
///
/// assert_eq!(escaped("naïve"), "naïve");
/// assert_eq!(escaped("\x1b[31mred\n"), r"\u{1b}[31mred\n");
/// ```
#[must_use]
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unsafe(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_could_harm_a_terminal_is_escaped() {
        for (given, shown) in [
            ("plain ünïcode ✓ 漢字", "plain ünïcode ✓ 漢字"),
            ("two\nlines\r\t", "two\\nlines\\r\\t"),
            ("\x1b[31mred\x1b]0;title\x07", "\\u{1b}[31mred\\u{1b}]0;title\\u{7}"),
            ("c1 \u{9b}31m del \u{7f}", "c1 \\u{9b}31m del \\u{7f}"),
            (
                "bidi \u{202e}txt\u{2066}\u{200f}\u{61c}",
                "bidi \\u{202e}txt\\u{2066}\\u{200f}\\u{61c}",
            ),
            ("lines \u{2028}\u{2029}", "lines \\u{2028}\\u{2029}"),
            ("bom \u{feff}", "bom \\u{feff}"),
        ] {
            assert_eq!(escaped(given), shown);
        }
    }
}
