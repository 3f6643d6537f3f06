//! The difference between the tree that is expected and the one that was captured.

use std::fmt::Write;

use super::expected::Expected;
use super::tree::Tree;
use super::{CapturedSpan, text};

/// `None` when there is none. Expected lines that were not captured begin with `-`, captured ones that were not expected with `+`.
pub(super) fn difference(expected: &Expected, captured: &Tree, strays: &[CapturedSpan]) -> Option<String> {
    let mut comparison = Comparison {
        expected,
        captured,
        strays,
        lines: String::new(),
        notes: Vec::new(),
        is_equal: true,
    };
    comparison.compare(expected.roots(), captured.roots(), 0);
    if comparison.is_equal {
        return None;
    }
    comparison.notes.dedup();
    Some(comparison.lines + &comparison.notes.concat())
}

struct Comparison<'a> {
    expected: &'a Expected,
    captured: &'a Tree,
    strays: &'a [CapturedSpan],
    lines: String,
    notes: Vec<String>,
    is_equal: bool,
}

impl Comparison<'_> {
    /// Siblings with siblings, in whatever order they started.
    fn compare(&mut self, expected: &[usize], captured: &[usize], depth: usize) {
        let mut pairs = self.exact_pairs(expected, captured);
        // Of the rest, those of one name: then the difference is in the line itself, or below.
        let mut left: Vec<_> = captured.iter().filter(|at| !pairs.contains(&Some(**at))).collect();
        for (line, pair) in expected.iter().zip(&mut pairs).filter(|(_, pair)| pair.is_none()) {
            let line = self.expected.line(*line);
            let same_name = |at: &&usize| line.is_named(self.captured.node(**at).span.name());
            let found = left.iter().position(|at| {
                let span = &self.captured.node(**at).span;
                line.matches(span)
            });
            if let Some(at) = found.or_else(|| left.iter().position(same_name)) {
                *pair = Some(*left.remove(at));
            }
        }
        for (line, pair) in expected.iter().zip(pairs) {
            match pair {
                Some(at) => self.compare_two(*line, at, depth),
                None => self.missing(*line, depth),
            }
        }
        for at in left {
            self.unexpected(*at, depth);
        }
    }

    fn compare_two(&mut self, line: usize, at: usize, depth: usize) {
        let (line, node) = (self.expected.line(line), self.captured.node(at));
        if line.matches(&node.span) {
            self.write(' ', depth, &line.text);
        } else {
            self.write('-', depth, &line.text);
            self.write_captured(&node.span, depth, line.has_attributes());
        }
        self.compare(&line.children, &node.children, depth + 2);
    }

    fn missing(&mut self, line: usize, depth: usize) {
        let line = self.expected.line(line);
        self.write('-', depth, &line.text);
        if self.strays.iter().any(|stray| line.is_named(stray.name())) {
            self.notes.push(format!(
                "note: `{}` started on a thread without a capture, and without a parent: hand the context on\n",
                line.name()
            ));
        }
        for child in &line.children {
            self.missing(*child, depth + 2);
        }
    }

    fn unexpected(&mut self, at: usize, depth: usize) {
        let node = self.captured.node(at);
        self.write_captured(&node.span, depth, false);
        for child in &node.children {
            self.unexpected(*child, depth + 2);
        }
    }

    fn write_captured(&mut self, span: &CapturedSpan, depth: usize, with_attributes: bool) {
        self.write('+', depth, &text::line(span, with_attributes));
        let (_, message) = span.status();
        if span.is_error() && !message.is_empty() {
            self.notes.push(format!("note: `{}` failed: {message}\n", span.name()));
        }
    }

    fn write(&mut self, sign: char, depth: usize, text: &str) {
        self.is_equal &= sign == ' ';
        writeln!(self.lines, "{sign} {:depth$}{text}", "").expect("text can be appended to");
    }

    /// For each expected line the captured span that it stands for, with all that is below; as many as there can be.
    fn exact_pairs(&self, expected: &[usize], captured: &[usize]) -> Vec<Option<usize>> {
        let mut pairs = vec![None; expected.len()];
        let mut free: Vec<_> = (0..captured.len()).collect();
        let mut owners = vec![None; captured.len()];
        for (number, line) in expected.iter().enumerate() {
            if let Some(place) = free.iter().position(|at| self.is_equal(*line, captured[*at])) {
                let at = free.remove(place);
                owners[at] = Some(number);
            } else {
                let mut tried = vec![false; captured.len()];
                self.take_from_others(number, expected, captured, &mut owners, &mut tried);
                free.retain(|at| owners[*at].is_none());
            }
        }
        for (at, owner) in owners.into_iter().enumerate() {
            if let Some(number) = owner {
                pairs[number] = Some(captured[at]);
            }
        }
        pairs
    }

    /// A line that fits a span which another line has: that one may do with another span (augmenting paths of bipartite matching).
    fn take_from_others(
        &self,
        number: usize,
        expected: &[usize],
        captured: &[usize],
        owners: &mut [Option<usize>],
        tried: &mut [bool],
    ) -> bool {
        for at in 0..captured.len() {
            if tried[at] || !self.is_equal(expected[number], captured[at]) {
                continue;
            }
            tried[at] = true;
            let can_have = match owners[at] {
                None => true,
                Some(other) => self.take_from_others(other, expected, captured, owners, tried),
            };
            if can_have {
                owners[at] = Some(number);
                return true;
            }
        }
        false
    }

    /// Whether a line and all below it stand for a span and all below it.
    fn is_equal(&self, line: usize, at: usize) -> bool {
        let (line, node) = (self.expected.line(line), self.captured.node(at));
        line.children.len() == node.children.len()
            && line.matches(&node.span)
            && self
                .exact_pairs(&line.children, &node.children)
                .iter()
                .all(Option::is_some)
    }
}
