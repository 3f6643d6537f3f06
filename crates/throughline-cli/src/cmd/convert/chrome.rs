//! Trace events, as Perfetto and chrome://tracing load them: a process per resource, its spans on rows like threads.
//!
//! Spans of one row must nest, or the viewers lose some. A span goes on its parent's row where it fits in, else on a row
//! where nothing is going on.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::io::{self, Write};
use std::sync::Arc;

use throughline_wire::any_value::KeyValues;
use throughline_wire::{SpanFields, SpanId, SpanView, StatusCode};

use super::Converter;
use super::held::{Held, HeldSpan};
use crate::input::Visitor;
use crate::origin::Origin;
use crate::plain_json::{hex, list, number, string, value};

pub struct Chrome<'a> {
    out: &'a mut dyn Write,
    held: Held,
}

impl<'a> Chrome<'a> {
    pub fn new(out: &'a mut dyn Write) -> Self {
        let held = Held::default();
        Self { out, held }
    }
}

impl Visitor for Chrome<'_> {
    fn span(&mut self, origin: &Arc<Origin>, span: SpanView<'_>) -> io::Result<()> {
        self.held.add(origin, span);
        Ok(())
    }
}

impl Converter for Chrome<'_> {
    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.held.spans.sort_by_key(|span| (span.start, Reverse(span.end)));
        let held = &self.held;
        // Viewers hold times as doubles, which cannot tell nanoseconds since 1970 apart.
        let zero = held.spans.first().map_or(0, |span| span.start);
        let mut text = Vec::new();
        text.extend_from_slice(b"{\"displayTimeUnit\":\"ms\",\"otherData\":{\"startTimeUnixNano\":");
        string(&mut text, &zero.to_string());
        text.extend_from_slice(b"},\"traceEvents\":[");
        // Scopes of one resource are of one process.
        let mut processes = BTreeMap::new();
        let mut process_of = Vec::new();
        for origin in &held.origins {
            let next = processes.len() + 1;
            let process = *processes.entry(&origin.source.resource).or_insert(next);
            if process == next {
                text.extend_from_slice(if next > 1 { b",\n" } else { b"\n" });
                name_process(&mut text, process, origin);
            }
            process_of.push(process);
        }
        let mut rows: Vec<Rows> = processes.iter().map(|_| Rows::default()).collect();
        for held_span in &held.spans {
            self.out.write_all(&text)?;
            text.clear();
            let span = held.fields(held_span);
            let process = process_of[held_span.origin];
            let row = rows[process - 1].place(held_span, &span);
            text.extend_from_slice(b",\n");
            write_span(&mut text, held_span, &span, (process, row), zero);
        }
        text.extend_from_slice(b"\n]}\n");
        self.out.write_all(&text)
    }
}

fn name_process(out: &mut Vec<u8>, process: usize, origin: &Origin) {
    let pid = origin.resource_attributes().get("process.pid");
    let name = match pid.and_then(|pid| pid.as_i64()) {
        Some(pid) => format!("{} ({pid})", origin.service),
        None => origin.service.to_string(),
    };
    out.extend_from_slice(b"{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":");
    number(out, process as u64);
    out.extend_from_slice(b",\"args\":{\"name\":");
    string(out, &name);
    out.extend_from_slice(b"}}");
}

fn write_span(out: &mut Vec<u8>, held: &HeldSpan, span: &SpanFields<'_>, (process, row): (usize, usize), zero: u64) {
    out.extend_from_slice(b"{\"ph\":\"X\",\"name\":");
    string(out, span.name());
    out.extend_from_slice(b",\"cat\":\"span\",\"ts\":");
    micros(out, held.start - zero);
    out.extend_from_slice(b",\"dur\":");
    micros(out, held.end - held.start);
    place(out, process, row);
    out.extend_from_slice(b",\"args\":{");
    if let Some(id) = span.trace_id() {
        out.extend_from_slice(b"\"trace_id\":");
        hex(out, &id.to_bytes());
        out.push(b',');
    }
    for (name, id) in [
        (&b"\"span_id\":"[..], span.span_id()),
        (b"\"parent_span_id\":", span.parent_span_id()),
    ] {
        if let Some(id) = id {
            out.extend_from_slice(name);
            hex(out, &id.to_bytes());
            out.push(b',');
        }
    }
    let (code, message) = span.status();
    if code == StatusCode::Error {
        out.extend_from_slice(b"\"error\":");
        string(out, message);
        out.push(b',');
    }
    out.extend_from_slice(b"\"attributes\":");
    attributes(out, span.attributes());
    out.extend_from_slice(b"}}");
    for event in span.events() {
        out.extend_from_slice(b",\n{\"ph\":\"i\",\"s\":\"t\",\"name\":");
        string(out, event.name());
        out.extend_from_slice(b",\"ts\":");
        micros(out, event.time_unix_nano().saturating_sub(zero));
        place(out, process, row);
        out.extend_from_slice(b",\"args\":");
        attributes(out, event.attributes());
        out.push(b'}');
    }
}

fn attributes(out: &mut Vec<u8>, attributes: KeyValues<'_>) {
    list(out, b"{}", attributes, |out, (key, any)| {
        string(out, key);
        out.push(b':');
        value(out, &any);
    });
}

fn place(out: &mut Vec<u8>, process: usize, row: usize) {
    out.extend_from_slice(b",\"pid\":");
    number(out, process as u64);
    out.extend_from_slice(b",\"tid\":");
    number(out, row as u64);
}

/// Nanoseconds as microseconds with three decimals.
fn micros(out: &mut Vec<u8>, nanos: u64) {
    number(out, nanos / 1000);
    let rest = nanos % 1000;
    let digits = [rest / 100, rest / 10 % 10, rest % 10].map(|digit| b'0' + digit as u8);
    out.push(b'.');
    out.extend_from_slice(&digits);
}

/// The rows of one process. Spans come in the order of their starts, the longer ones first.
#[derive(Default)]
struct Rows {
    rows: Vec<Row>,
    /// When the outermost span of a row ends.
    busy: BinaryHeap<Reverse<(u64, usize)>>,
    free: BTreeSet<usize>,
    /// The rows of the spans that came since their row was free.
    row_of: HashMap<Id, usize>,
}

/// A trace and one of its spans.
type Id = ([u8; 16], SpanId);

#[derive(Default)]
struct Row {
    /// The ends of the spans that go on, the innermost last.
    ends: Vec<u64>,
    /// The spans that came since it was free.
    spans: Vec<Id>,
}

impl Rows {
    /// The number of the span's row, from 1.
    fn place(&mut self, held: &HeldSpan, span: &SpanFields<'_>) -> usize {
        while let Some(Reverse((_, row))) = self.busy.peek().copied().filter(|Reverse((end, _))| *end <= held.start) {
            self.busy.pop();
            self.set_free(row);
        }
        let parent = span.parent_span_id();
        let parents = parent.and_then(|parent| self.row_of.get(&(held.trace, parent)).copied());
        let row = match parents.filter(|row| self.fits_in(*row, held)) {
            Some(row) => row,
            None => self.take_free(held.end),
        };
        self.rows[row].ends.push(held.end);
        if let Some(id) = span.span_id() {
            self.rows[row].spans.push((held.trace, id));
            self.row_of.insert((held.trace, id), row);
        }
        row + 1
    }

    /// Whether the span lies in the innermost one that goes on in a row.
    fn fits_in(&mut self, row: usize, span: &HeldSpan) -> bool {
        let ends = &mut self.rows[row].ends;
        while ends.len() > 1 && ends.last().is_some_and(|end| *end <= span.start) {
            ends.pop();
        }
        ends.last().is_some_and(|end| span.end <= *end)
    }

    /// Nothing goes on in a row any more: what comes later fits in none of its spans.
    fn set_free(&mut self, row: usize) {
        self.rows[row].ends.clear();
        for id in self.rows[row].spans.drain(..) {
            if self.row_of.get(&id) == Some(&row) {
                self.row_of.remove(&id);
            }
        }
        self.free.insert(row);
    }

    fn take_free(&mut self, end: u64) -> usize {
        let row = self.free.pop_first().unwrap_or_else(|| {
            self.rows.push(Row::default());
            self.rows.len() - 1
        });
        self.busy.push(Reverse((end, row)));
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::tests::{Made, span};

    #[test]
    fn spans_of_one_row_nest() {
        let rows = |spans: Vec<Made>| {
            let mut held = Held::default();
            let origin = Arc::new(Origin::new(throughline_spool::Source::default()));
            spans.iter().for_each(|made| held.add(&origin, made.0.view()));
            held.spans.sort_by_key(|span| (span.start, Reverse(span.end)));
            let mut rows = Rows::default();
            let spans = held.spans.iter();
            spans
                .map(|span| rows.place(span, &held.fields(span)))
                .collect::<Vec<_>>()
        };
        let s = |id: u8, start: u64, end: u64| span(id, "s", start, end);
        for (name, spans, expected) in [
            (
                "children in their parent",
                vec![s(1, 0, 9), s(2, 1, 3).child_of(1), s(3, 3, 9).child_of(1)],
                [1, 1, 1],
            ),
            (
                "children at once",
                vec![s(1, 0, 9), s(2, 1, 5).child_of(1), s(3, 2, 6).child_of(1)],
                [1, 1, 2],
            ),
            (
                "child that outlives its parent",
                vec![s(1, 0, 5), s(2, 1, 8).child_of(1), s(3, 6, 7)],
                [1, 2, 1],
            ),
            ("strangers", vec![s(1, 0, 9), s(2, 1, 3), s(3, 4, 5)], [1, 2, 2]),
            (
                "grandchild",
                vec![s(1, 0, 9), s(2, 0, 9).child_of(1), s(3, 0, 9).child_of(2)],
                [1, 1, 1],
            ),
        ] {
            assert_eq!(rows(spans), expected, "{name}");
        }
    }
}
