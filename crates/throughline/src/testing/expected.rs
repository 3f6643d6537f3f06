//! The tree that a test expects, as it is written.

use throughline_wire::AnyValueView;

use super::{CapturedSpan, text};

/// A tree as a test writes it.
#[derive(Debug)]
pub(super) struct Expected {
    lines: Vec<Line>,
    roots: Vec<usize>,
}

/// One span of it.
#[derive(Debug)]
pub(super) struct Line {
    /// As it is written, without the indentation.
    pub text: String,
    /// As it is written: it may be in quotes.
    name: String,
    /// As [`text::mark`] gives it.
    mark: &'static str,
    attributes: Option<Attributes>,
    /// Their places among the lines.
    pub children: Vec<usize>,
}

#[derive(Debug, Default)]
struct Attributes {
    /// Values as they are written.
    pairs: Vec<(String, String)>,
    /// Whether there may be others.
    and_others: bool,
}

impl Expected {
    /// What cannot be read is said in words.
    pub fn parse(tree: &str) -> Result<Self, String> {
        let mut expected = Self {
            lines: Vec::new(),
            roots: Vec::new(),
        };
        // The lines that this one may be below, with their indentation.
        let mut above: Vec<(usize, usize)> = Vec::new();
        for (number, line) in tree.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let text = line.trim();
            let indentation = line.len() - line.trim_start().len();
            let is_below_last = above.last().is_some_and(|(_, last)| indentation > *last);
            while above.last().is_some_and(|(_, last)| *last > indentation) {
                above.pop();
            }
            match above.last() {
                Some((_, last)) if *last == indentation => {
                    above.pop();
                }
                None => {}
                Some(_) if is_below_last => {}
                // The first line stands behind a quote, wherever that is: this one is of its level.
                Some((0, 0)) => above.clear(),
                Some(_) => {
                    return Err(format!(
                        "line {} is indented by {indentation} spaces, and no line above it is",
                        number + 1
                    ));
                }
            }
            let at = expected.lines.len();
            match above.last() {
                Some((parent, _)) => expected.lines[*parent].children.push(at),
                None => expected.roots.push(at),
            }
            above.push((at, indentation));
            let line = Line::parse(text).map_err(|problem| format!("line {}: {problem}: `{text}`", number + 1))?;
            expected.lines.push(line);
        }
        Ok(expected)
    }

    pub fn roots(&self) -> &[usize] {
        &self.roots
    }

    pub fn line(&self, at: usize) -> &Line {
        &self.lines[at]
    }
}

impl Line {
    fn parse(text: &str) -> Result<Self, String> {
        let (name, rest) = match text.starts_with('"') {
            true => text.split_at(end_of_quotes(text).ok_or("the quotes are not closed")?),
            false => text.split_at(text.find(" {").unwrap_or(text.len())),
        };
        // The mark stands behind the name.
        let (name, mark, rest) = match (name.strip_suffix(" !"), name.strip_suffix(" ~")) {
            (Some(name), _) => (name, " !", rest),
            (_, Some(name)) => (name, " ~", rest),
            _ => match (rest.strip_prefix(" !"), rest.strip_prefix(" ~")) {
                (Some(rest), _) => (name, " !", rest),
                (_, Some(rest)) => (name, " ~", rest),
                _ => (name, "", rest),
            },
        };
        let rest = rest.trim();
        let attributes = match rest.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(inner) => Some(Attributes::parse(inner)?),
            None if rest.is_empty() => None,
            None => return Err("behind the name comes `!` or `~`, and then `{key=value}`".to_owned()),
        };
        Ok(Self {
            text: text.to_owned(),
            name: name.trim().to_owned(),
            mark,
            attributes,
            children: Vec::new(),
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn is_named(&self, name: &str) -> bool {
        self.name == name || self.name == text::name(name)
    }

    pub fn has_attributes(&self) -> bool {
        self.attributes.is_some()
    }

    /// Whether it is about this span, but for its children.
    pub fn matches(&self, span: &CapturedSpan) -> bool {
        let attributes_match = || {
            self.attributes
                .as_ref()
                .is_none_or(|expected| expected.match_those(span))
        };
        self.is_named(span.name()) && self.mark == text::mark(span) && attributes_match()
    }
}

impl Attributes {
    fn parse(inner: &str) -> Result<Self, String> {
        let mut attributes = Self::default();
        for part in split_at_commas(inner) {
            match part.split_once('=') {
                _ if attributes.and_others => return Err("`..` comes last".to_owned()),
                None if part == ".." => attributes.and_others = true,
                Some((key, value)) => attributes.pairs.push((key.trim().to_owned(), value.trim().to_owned())),
                None => return Err(format!("`{part}` is no attribute: `key=value`")),
            }
        }
        Ok(attributes)
    }

    fn match_those(&self, span: &CapturedSpan) -> bool {
        let all_are_there = self.pairs.iter().all(|(key, expected)| {
            let found = span.attribute(key);
            found.is_some_and(|found| is_written_as(&found, expected))
        });
        all_are_there && (self.and_others || span.attributes().count() == self.pairs.len())
    }
}

/// Any text may be in quotes.
fn is_written_as(value: &AnyValueView<'_>, written: &str) -> bool {
    let quoted = value.as_str().map(|text| format!("{text:?}"));
    text::value(value) == written || quoted.is_some_and(|quoted| quoted == written)
}

/// Where the text in quotes ends that this begins with.
fn end_of_quotes(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let is_end = *c == '"' && !is_escaped;
        is_escaped = *c == '\\' && !is_escaped;
        is_end
    });
    end.map(|(at, _)| at + 1)
}

/// The parts between commas that are in no quotes and brackets.
fn split_at_commas(text: &str) -> Vec<&str> {
    let (mut parts, mut begin, mut depth) = (Vec::new(), 0, 0);
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let mut next = at + c.len_utf8();
        match c {
            '"' => next = end_of_quotes(&text[at..]).map_or(text.len(), |end| at + end),
            '[' | '{' => depth += 1,
            ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[begin..at]);
                begin = next;
            }
            _ => {}
        }
        at = next;
    }
    parts.push(&text[begin..]);
    parts
        .into_iter()
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(tree: &str) -> String {
        Expected::parse(tree).expect_err("it cannot be read")
    }

    #[test]
    fn expected_tree_is_read_by_its_indentation() {
        let expected = Expected::parse(
            "\n  order\n      charge ! {a=1, ..}\n        \"odd {name} !\" ~\n      ship {}\n  GET /orders/{id}\n",
        )
        .expect("it can be read");
        let names: Vec<_> = expected.lines.iter().map(|line| (&*line.name, line.mark)).collect();
        assert_eq!(
            names,
            [
                ("order", ""),
                ("charge", " !"),
                ("\"odd {name} !\"", " ~"),
                ("ship", ""),
                ("GET /orders/{id}", "")
            ]
        );
        assert_eq!(expected.roots, [0, 4]);
        assert_eq!(expected.lines[0].children, [1, 3]);
        assert_eq!(expected.lines[1].children, [2]);
    }

    #[test]
    fn first_line_may_stand_behind_a_quote() {
        let expected = Expected::parse("a\n      b\n    c\n      d").expect("it can be read");
        assert_eq!(expected.roots, [0, 2]);
        assert_eq!(expected.lines[0].children, [1]);
        assert_eq!(expected.lines[2].children, [3]);
    }

    #[test]
    fn attributes_are_split_outside_quotes_and_brackets() {
        assert_eq!(
            split_at_commas(r#"a=1, b="x, \"y", c=[1, 2], d={e=1, f=2}, .."#),
            ["a=1", r#"b="x, \"y""#, "c=[1, 2]", "d={e=1, f=2}", ".."]
        );
        assert!(split_at_commas("").is_empty());
    }

    #[test]
    fn unreadable_expected_tree_is_explained() {
        assert_eq!(
            problem("x\n  a\n      b\n    c"),
            "line 4 is indented by 4 spaces, and no line above it is"
        );
        assert_eq!(problem("a {b}"), "line 1: `b` is no attribute: `key=value`: `a {b}`");
        assert_eq!(problem("a {.., b=1}"), "line 1: `..` comes last: `a {.., b=1}`");
        assert_eq!(problem("\"a"), "line 1: the quotes are not closed: `\"a`");
        assert_eq!(
            problem("\"a\" ?"),
            "line 1: behind the name comes `!` or `~`, and then `{key=value}`: `\"a\" ?`"
        );
    }
}
