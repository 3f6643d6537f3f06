//! Folded stacks, as flame graphs are made of: a line per stack, with the microseconds spent in its last frame itself.
//!
//! A frame is a span's name; where the service changes, that is a frame too. What a span's children cover of its time is
//! not its own, however many of them were at work at once.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use throughline_wire::{SpanId, SpanView, TraceId};

use super::Converter;
use crate::input::Visitor;
use crate::origin::Origin;

pub struct Folded<'a> {
    out: &'a mut dyn Write,
    names: Names,
    spans: Vec<Span>,
}

/// What is needed of a span.
#[derive(Clone, Copy, Debug)]
struct Span {
    trace: Option<TraceId>,
    id: Option<SpanId>,
    parent: Option<SpanId>,
    start: u64,
    end: u64,
    service: usize,
    name: usize,
}

/// Texts, each once.
#[derive(Default)]
struct Names {
    numbers: HashMap<Box<str>, usize>,
    names: Vec<Box<str>>,
}

/// Stacks that begin alike, as a tree.
#[derive(Default)]
struct Stacks {
    children: HashMap<(Option<usize>, usize), usize>,
    frames: Vec<Frame>,
}

struct Frame {
    parent: Option<usize>,
    name: usize,
    nanos: u64,
}

impl<'a> Folded<'a> {
    pub fn new(out: &'a mut dyn Write) -> Self {
        Self {
            out,
            names: Names::default(),
            spans: Vec::new(),
        }
    }
}

impl Visitor for Folded<'_> {
    fn span(&mut self, origin: &Arc<Origin>, span: SpanView<'_>) -> io::Result<()> {
        let span = span.fields();
        let start = span.start_time_unix_nano();
        self.spans.push(Span {
            trace: span.trace_id(),
            id: span.span_id(),
            parent: span.parent_span_id(),
            start,
            end: span.end_time_unix_nano().max(start),
            service: self.names.number(&origin.service),
            name: self.names.number(span.name()),
        });
        Ok(())
    }
}

impl Converter for Folded<'_> {
    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.spans.sort_by_key(|span| (span.trace, span.start));
        let mut stacks = Stacks::default();
        for trace in self.spans.chunk_by(|a, b| a.trace == b.trace) {
            stacks.add(trace);
        }
        let mut lines = Vec::new();
        for frame in stacks.frames.iter().filter(|frame| frame.nanos >= 1000) {
            let mut path = vec![frame.name];
            let mut above = frame.parent;
            while let Some(frame) = above.map(|above| &stacks.frames[above]) {
                path.push(frame.name);
                above = frame.parent;
            }
            let path: Vec<_> = path.iter().rev().map(|name| &*self.names.names[*name]).collect();
            lines.push(format!("{} {}\n", path.join(";"), frame.nanos / 1000));
        }
        lines.sort();
        lines.iter().try_for_each(|line| self.out.write_all(line.as_bytes()))
    }
}

impl Names {
    fn number(&mut self, name: &str) -> usize {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.names.len();
        self.numbers.insert(name.into(), number);
        // A semicolon ends a frame, and a line break a stack.
        let is_special = |letter: char| letter == ';' || letter.is_control();
        self.names.push(name.replace(is_special, "_").into());
        number
    }
}

impl Stacks {
    /// Adds the spans of one trace, in the order of their starts. Each is counted once, whatever the parents say.
    fn add(&mut self, spans: &[Span]) {
        let ids = spans.iter().enumerate().rev();
        let by_id: HashMap<_, _> = ids.filter_map(|(at, span)| Some((span.id?, at))).collect();
        let parent_of = |span: &Span| span.parent.and_then(|parent| by_id.get(&parent).copied());
        let mut children = vec![Vec::new(); spans.len()];
        let mut roots = Vec::new();
        for (at, span) in spans.iter().enumerate() {
            match parent_of(span) {
                Some(parent) if parent != at => children[parent].push(at),
                _ => roots.push(at),
            }
        }
        let mut is_counted = vec![false; spans.len()];
        // What is left behind the roots are parents in a circle. It is entered where it began.
        for root in roots.into_iter().chain(0..spans.len()) {
            let mut waiting = vec![(root, None)];
            while let Some((at, above)) = waiting.pop() {
                if std::mem::replace(&mut is_counted[at], true) {
                    continue;
                }
                let span = &spans[at];
                let changes = above.is_none_or(|(_, service)| service != span.service);
                let above = above.map(|(frame, _)| frame);
                let above = if changes {
                    Some(self.frame(above, span.service))
                } else {
                    above
                };
                let frame = self.frame(above, span.name);
                self.frames[frame].nanos += own_time(span, children[at].iter().map(|child| &spans[*child]));
                waiting.extend(children[at].iter().map(|child| (*child, Some((frame, span.service)))));
            }
        }
    }

    fn frame(&mut self, parent: Option<usize>, name: usize) -> usize {
        *self.children.entry((parent, name)).or_insert_with(|| {
            self.frames.push(Frame { parent, name, nanos: 0 });
            self.frames.len() - 1
        })
    }
}

/// A span's duration without what its children cover, which come in the order of their starts.
fn own_time<'a>(span: &Span, children: impl Iterator<Item = &'a Span>) -> u64 {
    let (mut own, mut at) = (0, span.start);
    for child in children {
        own += child.start.min(span.end).saturating_sub(at);
        at = at.max(child.end.min(span.end));
    }
    own + span.end.saturating_sub(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::tests::{Made, span};

    fn folded(spans: &[Made]) -> String {
        let mut out = Vec::new();
        let mut folded = Folded::new(&mut out);
        for made in spans {
            let service = throughline_wire::Value::from(&*made.0.service);
            let origin = Origin::new(throughline_spool::Source {
                resource: throughline_wire::encode_resource(&[("service.name", service)]).into(),
                ..Default::default()
            });
            folded.span(&Arc::new(origin), made.0.view()).unwrap();
        }
        Box::new(folded).finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn stacks_have_the_time_that_is_their_own() {
        let s = |id: u8, name: &str, start: u64, end: u64| span(id, name, start, end);
        for (name, spans, expected) in [
            ("nothing", vec![], ""),
            ("one", vec![s(1, "a;b\n", 0, 5)], "a;a_b_ 5000\n"),
            (
                "children at once",
                vec![
                    s(1, "r", 0, 10),
                    s(2, "c", 1, 5).child_of(1),
                    s(3, "c", 3, 7).child_of(1),
                ],
                "a;r 4000\na;r;c 8000\n",
            ),
            (
                "another service, longer than its parent",
                vec![s(1, "r", 0, 4), s(2, "c", 2, 9).child_of(1).service("b")],
                "a;r 2000\na;r;b;c 7000\n",
            ),
            ("orphan", vec![s(1, "r", 0, 4).child_of(9)], "a;r 4000\n"),
            (
                "parents in a circle",
                vec![s(1, "r", 0, 4).child_of(2), s(2, "c", 1, 2).child_of(1)],
                "a;r 3000\n",
            ),
            ("its own parent", vec![s(1, "r", 0, 4).child_of(1)], "a;r 4000\n"),
        ] {
            assert_eq!(folded(&spans), expected, "{name}");
        }
    }
}
