//! The comparison itself: which span of one trace is which of the other.

use std::collections::HashMap;

use throughline_wire::AnyValueView;

use crate::store::Stored;
use crate::trace::Trace;

/// A span of either trace, or of both: which of their spans it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compared {
    pub depth: usize,
    pub a: Option<usize>,
    pub b: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is only in the second.
    Added,
    /// It is only in the first.
    Removed,
    /// It is in both.
    Same,
}

impl Compared {
    pub fn change(&self) -> Change {
        match (self.a, self.b) {
            (Some(_), Some(_)) => Change::Same,
            (Some(_), None) => Change::Removed,
            (None, _) => Change::Added,
        }
    }
}

/// An attribute that two spans do not have in common.
#[derive(Debug)]
pub struct Difference<'a> {
    pub key: &'a str,
    pub a: Option<AnyValueView<'a>>,
    pub b: Option<AnyValueView<'a>>,
}

/// The spans of both traces as one tree. What was added comes behind its siblings. Not recursive: how deep traces are is
/// up to whoever sent them.
pub fn compare(a: &Trace, b: &Trace) -> Vec<Compared> {
    let (a, b) = (Tree::of(a), Tree::of(b));
    let mut waiting = matched(0, (&a, a.roots()), (&b, b.roots()));
    waiting.reverse();
    let mut all = Vec::new();
    while let Some((depth, row_a, row_b)) = waiting.pop() {
        all.push(Compared {
            depth,
            a: row_a.map(|row| a.trace.rows[row].span),
            b: row_b.map(|row| b.trace.rows[row].span),
        });
        let children_a = row_a.map_or(&[][..], |row| &a.children[row]);
        let children_b = row_b.map_or(&[][..], |row| &b.children[row]);
        let children = matched(depth + 1, (&a, children_a), (&b, children_b));
        waiting.extend(children.into_iter().rev());
    }
    all
}

/// A trace's rows, and below each the rows of its children.
struct Tree<'a> {
    trace: &'a Trace,
    /// By row; the last are the roots.
    children: Vec<Vec<usize>>,
}

impl<'a> Tree<'a> {
    fn of(trace: &'a Trace) -> Self {
        let mut children = vec![Vec::new(); trace.rows.len() + 1];
        let mut path: Vec<usize> = Vec::new();
        for (at, row) in trace.rows.iter().enumerate() {
            path.truncate(row.depth);
            let parent = path.last().copied().unwrap_or(trace.rows.len());
            children[parent].push(at);
            path.push(at);
        }
        Self { trace, children }
    }

    fn roots(&self) -> &[usize] {
        self.children.last().map_or(&[], Vec::as_slice)
    }

    fn key(&self, row: usize) -> (&'a str, &'a str) {
        let span = &self.trace.spans[self.trace.rows[row].span];
        (&span.service, span.view().name())
    }
}

/// A row of the merged tree that is to be placed: its depth, and the rows of the traces.
type Waiting = (usize, Option<usize>, Option<usize>);

/// Siblings by service, name, and which of that name they are.
fn matched(depth: usize, (a, rows_a): (&Tree<'_>, &[usize]), (b, rows_b): (&Tree<'_>, &[usize])) -> Vec<Waiting> {
    let mut unmatched: HashMap<_, Vec<usize>> = HashMap::new();
    for row in rows_b.iter().rev() {
        unmatched.entry(b.key(*row)).or_default().push(*row);
    }
    let mut all: Vec<_> = rows_a
        .iter()
        .map(|row| {
            let other = unmatched.get_mut(&a.key(*row)).and_then(Vec::pop);
            (depth, Some(*row), other)
        })
        .collect();
    let mut added: Vec<_> = unmatched.into_values().flatten().collect();
    added.sort_unstable();
    all.extend(added.into_iter().map(|row| (depth, None, Some(row))));
    all
}

/// The attributes in which they differ: first those of the first span, in its order.
pub fn attributes<'a>(a: &'a Stored, b: &'a Stored) -> Vec<Difference<'a>> {
    let (a, b) = (a.view().attributes(), b.view().attributes());
    let of_a = a.clone().map(|(key, value)| Difference {
        key,
        a: Some(value),
        b: b.get(key),
    });
    let of_b = b
        .clone()
        .filter(|(key, _)| a.get(key).is_none())
        .map(|(key, value)| Difference {
            key,
            a: None,
            b: Some(value),
        });
    // Encoded values need not be equal to be the same.
    let text = |value: &Option<AnyValueView<'_>>| value.as_ref().map(|value| format!("{value:?}"));
    of_a.chain(of_b)
        .filter(|difference| text(&difference.a) != text(&difference.b))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::tests::{Made, span, trace};

    fn s(id: u8, name: &str) -> Made {
        span(id, name, id.into(), 99)
    }

    #[test]
    fn spans_are_matched_by_service_name_and_position() {
        let outline = |a: Vec<Made>, b: Vec<Made>| {
            let (a, b) = (trace(a), trace(b));
            let line = |row: &Compared| {
                let (mark, span) = match row.change() {
                    Change::Added => ("+", &b.spans[row.b.unwrap()]),
                    Change::Removed => ("-", &a.spans[row.a.unwrap()]),
                    Change::Same => ("", &a.spans[row.a.unwrap()]),
                };
                format!("{}{mark}{}", ".".repeat(row.depth), span.view().name())
            };
            compare(&a, &b).iter().map(line).collect::<Vec<_>>().join(" ")
        };
        for (a, b, expected) in [
            (vec![], vec![], ""),
            (vec![s(1, "r")], vec![s(9, "r")], "r"),
            (vec![s(1, "r")], vec![s(1, "r").service("b")], "-r +r"),
            (
                vec![s(1, "r"), s(2, "x").child_of(1), s(3, "y").child_of(1)],
                vec![s(1, "r"), s(2, "y").child_of(1), s(3, "z").child_of(2)],
                "r .-x .y ..+z",
            ),
            (
                vec![
                    s(1, "r"),
                    s(2, "x").child_of(1),
                    s(3, "x").child_of(1),
                    s(4, "q").child_of(3),
                ],
                vec![s(1, "r"), s(2, "x").child_of(1)],
                "r .x .-x ..-q",
            ),
        ] {
            assert_eq!(outline(a, b), expected);
        }
    }

    #[test]
    fn attributes_differ_by_key_and_value() {
        let a = s(1, "r")
            .attribute("same", "1")
            .attribute("changed", "x")
            .attribute("gone", "y")
            .0;
        let b = s(1, "r")
            .attribute("new", "z")
            .attribute("changed", "w")
            .attribute("same", "1")
            .0;
        let found: Vec<_> = attributes(&a, &b)
            .iter()
            .map(|difference| {
                let text =
                    |value: &Option<AnyValueView<'_>>| value.as_ref().map(|value| value.as_str().unwrap().to_owned());
                (difference.key.to_owned(), text(&difference.a), text(&difference.b))
            })
            .collect();
        let expected = [
            ("changed", Some("x"), Some("w")),
            ("gone", Some("y"), None),
            ("new", None, Some("z")),
        ];
        let expected = expected.map(|(key, a, b)| (key.to_owned(), a.map(str::to_owned), b.map(str::to_owned)));
        assert_eq!(found, expected);
    }
}
