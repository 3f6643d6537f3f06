//! Traces: spans sorted into trees.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use throughline_wire::{SpanId, StatusCode, TraceId};

use crate::otlp::TracesData;
use crate::store::{Place, State, Stored};

/// The spans of one trace, as a forest in order of their starts.
pub struct Trace {
    pub id: TraceId,
    pub spans: Vec<Stored>,
    /// In the order in which they are shown: each span before its children.
    pub rows: Vec<Row>,
    /// When the first span began, in nanoseconds since 1970.
    pub start: u64,
    /// When the last one ended, as far as is known.
    pub end: u64,
}

/// A span's place in its tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which of [`Trace::spans`].
    pub span: usize,
    /// How many ancestors it has here.
    pub depth: usize,
    /// Whether no sibling follows.
    pub is_last: bool,
    /// It has a parent that is not here: in another process's spool, not sent yet, or lost.
    pub is_orphan: bool,
}

/// All traces among these spans, in order of their ids. Spans without a valid id of their own or their trace are left out.
pub fn group(spans: impl IntoIterator<Item = Stored>) -> BTreeMap<TraceId, Vec<Stored>> {
    let mut traces: BTreeMap<TraceId, Vec<Stored>> = BTreeMap::new();
    for span in spans {
        if let (Some(trace), Some(_)) = (span.view().trace_id(), span.view().span_id()) {
            traces.entry(trace).or_default().push(span);
        }
    }
    traces
}

impl Trace {
    /// Puts the spans of one trace in order.
    pub fn new(id: TraceId, mut spans: Vec<Stored>) -> Self {
        spans.sort_by_cached_key(|span| (span.view().start_time_unix_nano(), span.view().span_id()));
        let start = spans
            .iter()
            .map(|span| span.view().start_time_unix_nano())
            .find(|start| *start > 0);
        let start = start.unwrap_or(0);
        let end = spans.iter().map(Stored::last_known).fold(start, u64::max);
        let rows = Rows::of(&spans);
        Self {
            id,
            spans,
            rows,
            start,
            end,
        }
    }

    /// The name of the root; of the first span whose parent is not here only if there is no root.
    pub fn name(&self) -> &str {
        let root = self.rows.iter().find(|row| row.depth == 0 && !row.is_orphan);
        let named = root.or(self.rows.first());
        named.map_or("", |row| self.spans[row.span].view().name())
    }

    /// The services that took part.
    pub fn services(&self) -> BTreeSet<&str> {
        self.spans.iter().map(|span| &*span.service).collect()
    }

    pub fn errors(&self) -> usize {
        // An unfinished span has the status too, but is no error of the program's own telling.
        self.count(|span| span.state != State::Unfinished && span.view().status().0 == StatusCode::Error)
    }

    pub fn unfinished(&self) -> usize {
        self.count(|span| span.state == State::Unfinished)
    }

    pub fn open(&self) -> usize {
        self.count(|span| span.state == State::Open)
    }

    pub fn pending(&self) -> usize {
        self.count(|span| span.place == Place::Pending)
    }

    fn count(&self, is_meant: impl Fn(&Stored) -> bool) -> usize {
        self.spans.iter().filter(|span| is_meant(span)).count()
    }

    /// The trace as an OTLP `TracesData` message.
    pub fn to_otlp(&self) -> Vec<u8> {
        let mut data = TracesData::default();
        for span in &self.spans {
            data.add(&span.source, &span.body);
        }
        let mut out = Vec::new();
        data.take_into(&mut out);
        out
    }
}

/// Sorts spans into rows: each once, whatever their ids and parents say.
struct Rows<'a> {
    spans: &'a [Stored],
    children: HashMap<SpanId, Vec<usize>>,
    is_placed: Vec<bool>,
    rows: Vec<Row>,
}

impl<'a> Rows<'a> {
    fn of(spans: &'a [Stored]) -> Vec<Row> {
        let ids: HashSet<_> = spans.iter().filter_map(|span| span.view().span_id()).collect();
        let mut children: HashMap<_, Vec<_>> = HashMap::new();
        let mut roots = Vec::new();
        for (index, span) in spans.iter().enumerate() {
            match span.view().parent_span_id() {
                Some(parent) if ids.contains(&parent) => children.entry(parent).or_default().push(index),
                _ => roots.push(index),
            }
        }
        let is_placed = vec![false; spans.len()];
        let mut sorter = Self {
            spans,
            children,
            is_placed,
            rows: Vec::new(),
        };
        for root in roots {
            sorter.place_tree(root);
        }
        // What is left has no root: parents in a circle. It is entered where it began.
        for index in 0..spans.len() {
            sorter.place_tree(index);
        }
        sorter.rows
    }

    /// Places a span and all below it. Not recursive: how deep it goes is up to whoever sent the spans.
    fn place_tree(&mut self, root: usize) {
        let mut waiting = vec![Row {
            span: root,
            depth: 0,
            is_last: true,
            is_orphan: self.spans[root].view().parent_span_id().is_some(),
        }];
        while let Some(row) = waiting.pop() {
            if std::mem::replace(&mut self.is_placed[row.span], true) {
                continue;
            }
            let id = self.spans[row.span].view().span_id();
            // Taken out: of two spans with the same id, the first has the children.
            let children = id.and_then(|id| self.children.remove(&id)).unwrap_or_default();
            let below = children.into_iter().filter(|child| !self.is_placed[*child]).rev();
            waiting.extend(below.enumerate().map(|(from_last, span)| Row {
                span,
                depth: row.depth + 1,
                is_last: from_last == 0,
                is_orphan: false,
            }));
            self.rows.push(row);
        }
    }
}

#[cfg(test)]
pub mod tests {
    use std::sync::Arc;

    use throughline_spool::Source;
    use throughline_wire::encode::{self, tag};

    use super::*;

    /// A span under construction: `span(1).child_of(..)…`.
    #[derive(Clone)]
    pub struct Made(pub Stored);

    /// A finished local span of service `a` with this id, from millisecond `start` to `end`.
    pub fn span(id: u8, name: &str, start: u64, end: u64) -> Made {
        let mut body = vec![0x0a, 16];
        body.extend([7; 16]);
        body.extend([0x12, 8]);
        body.extend([id; 8]);
        text(&mut body, tag::NAME, name);
        for (tag, millis) in [(0x39, start), (0x41, end)] {
            body.push(tag);
            body.extend((1_000_000_000 + millis * 1_000_000).to_le_bytes());
        }
        Made(Stored {
            body: body.into(),
            source: Arc::default(),
            service: "a".into(),
            state: State::Finished,
            place: Place::Local,
        })
    }

    impl Made {
        pub fn child_of(self, parent: u8) -> Self {
            let mut field = vec![0x22, 8];
            field.extend([parent; 8]);
            self.with(&field)
        }

        pub fn service(mut self, name: &str) -> Self {
            self.0.service = name.into();
            self
        }

        pub fn state(mut self, state: State) -> Self {
            self.0.state = state;
            self
        }

        pub fn error(self, message: &str) -> Self {
            let mut field = vec![0; encode::status_len(StatusCode::Error, message)];
            encode::write_status(&mut field, StatusCode::Error, message);
            self.with(&field)
        }

        pub fn attribute(self, key: &str, value: &str) -> Self {
            let value = throughline_wire::Value::from(value);
            let mut field = vec![0; encode::attribute_len(key, &value)];
            encode::write_attribute(&mut field, key, &value);
            self.with(&field)
        }

        /// With these bytes behind those it has.
        pub fn with(mut self, field: &[u8]) -> Self {
            self.0.body = [&self.0.body, field].concat().into();
            self
        }
    }

    fn text(out: &mut Vec<u8>, tag: u8, text: &str) {
        let at = out.len();
        out.resize(at + encode::text_len(text), 0);
        encode::write_text(&mut out[at..], tag, text);
    }

    pub fn trace(spans: impl IntoIterator<Item = Made>) -> Trace {
        let spans = spans.into_iter().map(|made| made.0).collect();
        Trace::new(TraceId::from_bytes([7; 16]).unwrap(), spans)
    }

    /// The rows as indented names, orphans with a question mark.
    fn outline(trace: &Trace) -> String {
        let line = |row: &Row| {
            let mark = if row.is_orphan { "?" } else { "" };
            format!("{}{}{mark}", ".".repeat(row.depth), trace.spans[row.span].view().name())
        };
        trace.rows.iter().map(line).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn every_span_has_one_row_whatever_the_parents_say() {
        let s = |id: u8, start: u64| span(id, &id.to_string(), start, start + 1);
        for (spans, outlined) in [
            (vec![], ""),
            (vec![s(1, 0)], "1"),
            (vec![s(3, 2).child_of(1), s(2, 1).child_of(1), s(1, 0)], "1 .2 .3"),
            (
                vec![s(1, 0), s(2, 1).child_of(1), s(3, 2).child_of(2), s(4, 3).child_of(1)],
                "1 .2 ..3 .4",
            ),
            (vec![s(2, 5).child_of(9), s(1, 6)], "2? 1"),
            (vec![s(1, 0).child_of(1)], "1?"),
            (
                vec![s(1, 0).child_of(2), s(2, 1).child_of(1), s(3, 2).child_of(2)],
                "1? .2 ..3",
            ),
            (vec![s(1, 0), s(1, 1), s(2, 2).child_of(1)], "1 .2 1"),
        ] {
            let count = spans.len();
            let trace = trace(spans);
            assert_eq!(outline(&trace), outlined);
            assert_eq!(trace.rows.len(), count);
        }
    }

    #[test]
    fn root_names_the_trace_rather_than_an_earlier_orphan() {
        let orphan = || span(1, "orphan", 0, 9).child_of(99);
        let root = || span(2, "root", 5, 6);
        for (spans, name) in [
            (vec![], ""),
            (vec![orphan(), root()], "root"),
            (vec![orphan(), span(3, "later", 7, 8).child_of(98)], "orphan"),
        ] {
            assert_eq!(trace(spans).name(), name);
        }
    }

    #[test]
    fn deep_trace_does_not_overflow_the_stack() {
        let ids = |n: u64| SpanId::from_bytes((n + 1).to_be_bytes()).unwrap().to_bytes();
        let spans = (0..100_000u64).map(|n| {
            let mut made = span(1, "deep", n, n + 1);
            let mut field = vec![0x12, 8];
            field.extend(ids(n));
            if n > 0 {
                field.extend([0x22, 8]);
                field.extend(ids(n - 1));
            }
            made.0.body = [&made.0.body, &field[..]].concat().into();
            made
        });
        let trace = trace(spans);
        assert_eq!(trace.rows.last().unwrap().depth, 99_999);
    }

    #[test]
    fn trace_as_otlp_has_each_resource_and_scope_once() {
        let other = |mut made: Made| {
            made.0.source = Arc::new(Source {
                scope: b"\x0a\x01x"[..].into(),
                ..Source::default()
            });
            made
        };
        let trace = trace([span(1, "1", 0, 1), other(span(2, "2", 0, 1)), span(3, "3", 0, 1)]);
        let mut json = String::new();
        throughline_wire::json::write_request(&mut json, &trace.to_otlp()).unwrap();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let scopes = json["resourceSpans"][0]["scopeSpans"].as_array().unwrap();
        assert_eq!(json["resourceSpans"].as_array().unwrap().len(), 1);
        assert_eq!(
            scopes
                .iter()
                .map(|s| s["spans"].as_array().unwrap().len())
                .collect::<Vec<_>>(),
            [2, 1]
        );
    }
}
