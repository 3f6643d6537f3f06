//! What is in the spool when `throughline follow --since` begins: put in order of time before it is shown.
//!
//! Spans come process by process. A bounded part of them is held in memory, sorted, and put into a temporary file without a
//! name; in the end these parts are merged.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Seek as _, Write};
use std::sync::Arc;

use throughline_spool::{NewSpan, Source};
use throughline_wire::SpanView;

use crate::store::State;

/// What is held in memory, in bytes.
const MOST: usize = 32 << 20;
/// Room for reading and writing a part, in bytes.
const BUFFER: usize = 64 << 10;

/// Spans that are to be shown in order of time.
#[derive(Default)]
pub struct Backlog {
    held: Vec<Span>,
    bytes: usize,
    sources: Sources,
    /// Sorted parts that were too many to be held.
    parts: Vec<File>,
    /// What is held; `MOST`, but for tests.
    most: usize,
}

/// A span and the time that it is shown with.
struct Span {
    time: u64,
    source: u32,
    state: State,
    body: Box<[u8]>,
}

/// Sources, each once.
#[derive(Default)]
struct Sources {
    numbers: HashMap<Arc<Source>, u32>,
    sources: Vec<Arc<Source>>,
}

/// Who is shown the spans.
pub type Show<'a> = &'a mut dyn FnMut(&[u8], State, &Arc<Source>) -> io::Result<()>;

impl Backlog {
    pub fn new() -> Self {
        Self {
            most: MOST,
            ..Self::default()
        }
    }

    /// Takes a span.
    pub fn add(&mut self, new: NewSpan<'_>) -> io::Result<()> {
        let source = self.sources.number(new.source);
        self.take(Span {
            time: time_of(&SpanView::new(new.body), new.state),
            source,
            state: new.state,
            body: new.body.into(),
        })
    }

    /// Shows all spans, those of one time in the order in which they came.
    pub fn show(mut self, show: Show<'_>) -> io::Result<()> {
        self.held.sort_by_key(|span| span.time);
        let mut parts = Vec::new();
        for mut part in self.parts {
            part.rewind()?;
            parts.push(Part::File(BufReader::with_capacity(BUFFER, part)));
        }
        parts.push(Part::Memory(self.held.into_iter()));
        // The next of each part. Of one time, that of the earlier part comes first.
        let mut next = Vec::new();
        let mut times = BinaryHeap::new();
        for (number, part) in parts.iter_mut().enumerate() {
            let span = part.next()?;
            times.extend(span.as_ref().map(|span| Reverse((span.time, number))));
            next.push(span);
        }
        while let Some(Reverse((_, number))) = times.pop() {
            let following = parts[number].next()?;
            times.extend(following.as_ref().map(|span| Reverse((span.time, number))));
            if let Some(span) = std::mem::replace(&mut next[number], following) {
                show(&span.body, span.state, &self.sources.sources[span.source as usize])?;
            }
        }
        Ok(())
    }

    fn take(&mut self, span: Span) -> io::Result<()> {
        self.bytes += span.body.len() + size_of::<Span>();
        self.held.push(span);
        if self.bytes < self.most {
            return Ok(());
        }
        self.held.sort_by_key(|span| span.time);
        let mut out = BufWriter::with_capacity(BUFFER, tempfile::tempfile()?);
        for span in self.held.drain(..) {
            span.write(&mut out)?;
        }
        self.parts
            .push(out.into_inner().map_err(io::IntoInnerError::into_error)?);
        self.bytes = 0;
        Ok(())
    }
}

/// The time that a line shows: the end of a span, the start of one that is open.
pub fn time_of(span: &SpanView<'_>, state: State) -> u64 {
    match state {
        State::Open => span.start_time_unix_nano(),
        _ => span.end_time_unix_nano(),
    }
}

impl Span {
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let state = match self.state {
            State::Finished => 0,
            State::Unfinished => 1,
            State::Open => 2,
        };
        out.write_all(&self.time.to_le_bytes())?;
        out.write_all(&self.source.to_le_bytes())?;
        out.write_all(&[state])?;
        out.write_all(&(self.body.len() as u64).to_le_bytes())?;
        out.write_all(&self.body)
    }

    /// `None`: there is no more.
    fn read(file: &mut impl Read) -> io::Result<Option<Self>> {
        let time = match read_array(file) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            time => u64::from_le_bytes(time?),
        };
        let source = u32::from_le_bytes(read_array(file)?);
        let state = match read_array(file)? {
            [0] => State::Finished,
            [1] => State::Unfinished,
            _ => State::Open,
        };
        let len = u64::from_le_bytes(read_array(file)?);
        let mut body = Vec::new();
        file.take(len).read_to_end(&mut body)?;
        Ok(Some(Self {
            time,
            source,
            state,
            body: body.into(),
        }))
    }
}

fn read_array<const N: usize>(file: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

impl Sources {
    fn number(&mut self, source: &Arc<Source>) -> u32 {
        if let Some(number) = self.numbers.get(source) {
            return *number;
        }
        let number = self.sources.len() as u32;
        self.numbers.insert(source.clone(), number);
        self.sources.push(source.clone());
        number
    }
}

/// Sorted spans.
enum Part {
    File(BufReader<File>),
    Memory(std::vec::IntoIter<Span>),
}

impl Part {
    fn next(&mut self) -> io::Result<Option<Span>> {
        match self {
            Self::File(file) => Span::read(file),
            Self::Memory(spans) => Ok(spans.next()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backlog_is_in_order_of_time_however_little_is_held() {
        for most in [1, 200, 1000, MOST] {
            let mut backlog = Backlog {
                most,
                ..Backlog::default()
            };
            let source = backlog.sources.number(&Arc::default());
            // Three processes, each in order.
            let spans = (0..90_u8).map(|number| (u64::from(number % 30) * 10 + u64::from(number / 60), number));
            for (time, number) in spans.clone() {
                let span = Span {
                    time,
                    source,
                    state: State::Finished,
                    body: [number].into(),
                };
                backlog.take(span).unwrap();
            }
            let mut expected: Vec<_> = spans.collect();
            expected.sort_by_key(|(time, _)| *time);
            let mut shown = Vec::new();
            let show = |body: &[u8], state, _: &Arc<Source>| {
                assert_eq!(state, State::Finished);
                shown.push(body[0]);
                Ok(())
            };
            backlog.show(&mut { show }).unwrap();
            assert_eq!(shown, expected.iter().map(|(_, number)| *number).collect::<Vec<_>>());
        }
    }
}
