//! Text on a terminal: measured, cut to fit.

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

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

/// The text in lines of at most so many columns, divided between words. A word that is longer has a line of its own.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always one");
        if !line.is_empty() && width(line) + 1 + width(word) > columns {
            lines.push(word.to_owned());
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines
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
    fn text_is_cut_and_wrapped_by_columns() {
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
        for (given, columns, lines) in [
            ("", 5, &[""][..]),
            ("a bc def", 8, &["a bc def"]),
            ("a bc def", 7, &["a bc", "def"]),
            ("a bc def", 1, &["a", "bc", "def"]),
            ("漢字 漢字", 8, &["漢字", "漢字"]),
        ] {
            assert_eq!(wrap(given, columns), lines, "{given} in {columns}");
        }
        assert_eq!(fit("漢字漢字", 6), "漢字… ");
        assert_eq!(fit("ab", 4), "ab  ");
    }
}
