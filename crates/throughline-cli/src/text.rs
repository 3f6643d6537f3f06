//! Text from elsewhere on a terminal: made harmless, measured, cut to fit.

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

/// `text` with everything escaped that could move the cursor, colour or reorder a terminal's line: control characters
/// (C0, DEL, C1), line and paragraph separators, and marks of the bidirectional algorithm.
///
/// Span names and attributes come from whoever could send a span: they are never printed without this.
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

/// How many columns a terminal gives it.
pub fn width(text: &str) -> usize {
    text.width()
}

/// The text in at most so many columns; when it is cut, an ellipsis says so.
pub fn cut(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    // What is seen as one character is kept whole: a letter with its accents, a flag, a family.
    let mut used = 0;
    let kept = text.graphemes(true).take_while(|grapheme| {
        used += width(grapheme);
        used < columns
    });
    let mut kept: String = kept.collect();
    if columns > 0 {
        kept.push('…');
    }
    Cow::Owned(kept)
}

/// The text in exactly so many columns: cut, or followed by spaces.
pub fn fit(text: &str, columns: usize) -> String {
    let text = cut(text, columns);
    let missing = columns.saturating_sub(width(&text));
    format!("{text}{:missing$}", "")
}

/// `1 span`, `2 spans`.
pub fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
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
                "bidi \u{202e}txt\u{2066}\u{200f}",
                "bidi \\u{202e}txt\\u{2066}\\u{200f}",
            ),
        ] {
            assert_eq!(escaped(given), shown);
        }
    }

    #[test]
    fn text_is_cut_by_columns_between_graphemes() {
        for (given, columns, shown) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("abcd", 1, "…"),
            ("abcd", 0, ""),
            ("漢字漢字", 8, "漢字漢字"),
            ("漢字漢字", 7, "漢字漢…"),
            ("漢字漢字", 6, "漢字…"),
            // Combining characters, and emoji of several code points.
            ("e\u{301}e\u{301}e\u{301}", 3, "e\u{301}e\u{301}e\u{301}"),
            ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…"),
            ("👩\u{200d}👩\u{200d}👧 ab", 5, "👩\u{200d}👩\u{200d}👧 ab"),
            ("👩\u{200d}👩\u{200d}👧 ab", 4, "👩\u{200d}👩\u{200d}👧 …"),
            ("🇦🇹🇦🇹", 3, "🇦🇹…"),
            ("❤\u{fe0f}❤\u{fe0f}", 3, "❤\u{fe0f}…"),
        ] {
            assert_eq!(cut(given, columns), shown, "{given} in {columns}");
            assert!(width(&cut(given, columns)) <= columns);
        }
        assert_eq!(fit("漢字漢字", 6), "漢字… ");
        assert_eq!(fit("ab", 4), "ab  ");
    }
}
