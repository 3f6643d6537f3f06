//! Spans one after the other, from the spool or from files: OTLP/JSON lines or OTLP protobuf.
//!
//! No more is held than some blocks of lines, or one `ResourceSpans`, at a time. What cannot be read is said and counted, and the rest
//! is read all the same.

mod document;
mod lines;
mod protobuf;

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use throughline_wire::terminal::escaped;
use throughline_wire::{Malformed, SpanView, request};

use self::lines::{Block, Line};
use self::protobuf::Parts;
use crate::exit::{Failure, say};
use crate::filter::Filter;
use crate::in_order::InOrder;
use crate::origin::{Origin, Origins};
use crate::store;
use crate::text::count;

/// Room for reading ahead, in bytes.
const BUFFER: usize = 256 << 10;
/// Problems that are said one by one; of others only the number is.
const SAID: usize = 10;

/// The options that say where spans come from, and which of them.
#[derive(clap::Args, Debug)]
pub struct Input {
    /// Files of OTLP/JSON lines or OTLP protobuf, `-` for stdin [default: the spool]
    #[arg(value_name = "INPUT")]
    files: Vec<PathBuf>,

    /// What the files are [default: what they look like]
    #[arg(long, value_name = "FORMAT")]
    from: Option<Format>,

    /// Only spans of traces whose id begins like this
    #[arg(long, value_name = "ID", value_parser = parse_prefix)]
    trace: Option<String>,

    #[command(flatten)]
    filter: Filter,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One TracesData per line, or one that is the whole file
    OtlpJson,
    /// A TracesData or ExportTraceServiceRequest
    OtlpProtobuf,
}

/// Who is shown the spans.
pub trait Visitor {
    /// Looks at one span. An error ends the reading.
    fn span(&mut self, origin: &Arc<Origin>, span: SpanView<'_>) -> io::Result<()>;

    /// A line, or a `ResourceSpans`, has ended.
    fn end_of_part(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How much could not be read. A part is a line of JSON, or a `ResourceSpans` of protobuf.
#[derive(Debug, Default)]
#[must_use]
pub struct Bad {
    parts: usize,
    bad: usize,
}

impl Bad {
    /// Success, or how much could not be read.
    pub fn into_result(self) -> Result<u8, Failure> {
        match self.bad {
            0 => Ok(0),
            all if all == self.parts => Err(Failure::new(
                "no part of it could be read whole: is it a file of spans?",
            )),
            bad => Err(Failure::new(format_args!(
                "{bad} of {} could not be read whole; the others were",
                count(self.parts, "part")
            ))),
        }
    }

    fn note(&mut self, place: &str, problem: &dyn std::fmt::Display) {
        self.bad += 1;
        if self.bad <= SAID {
            say(&format!("{place}: {problem}"));
        } else if self.bad == SAID + 1 {
            say("more cannot be read; only their number is told from here on");
        }
    }
}

fn parse_prefix(text: &str) -> Result<String, String> {
    match (1..=32).contains(&text.len()) && text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("a trace id is 1 to 32 hexadecimal digits".to_owned()),
    }
}

impl Input {
    /// Shows a visitor all spans that are chosen. The error is the visitor's, or that of a file.
    pub fn read<V: Visitor + ?Sized>(
        &self,
        spool: Option<PathBuf>,
        visitor: &mut V,
    ) -> Result<io::Result<Bad>, Failure> {
        if self.files.is_empty() {
            let directory = store::directory(spool)?;
            return Ok(self.read_spool(&directory, visitor));
        }
        let mut reading = Reading {
            input: self,
            visitor,
            origins: Origins::default(),
            bad: Bad::default(),
        };
        for path in &self.files {
            let name = path.display().to_string();
            let name = escaped(&name);
            let ended = match path.as_os_str() == "-" {
                true => reading.read(&mut io::stdin().lock(), "stdin"),
                false => {
                    let file = File::open(path)
                        .map_err(|error| Failure::new(format_args!("{name}: cannot be opened: {error}")))?;
                    reading.read(&mut BufReader::with_capacity(BUFFER, file), &name)
                }
            };
            match ended {
                Ok(()) => {}
                Err(Ended::Visitor(error)) => return Ok(Err(error)),
                Err(Ended::Input(error)) => {
                    return Err(Failure::new(format_args!("{name}: cannot be read: {error}")));
                }
            }
        }
        Ok(Ok(reading.bad))
    }

    /// Open spans are left out: they have no end yet.
    fn read_spool<V: Visitor + ?Sized>(&self, directory: &Path, visitor: &mut V) -> io::Result<Bad> {
        let mut origins = Origins::default();
        let mut ended = Ok(());
        store::visit(directory, |span| {
            let view = SpanView::new(&span.body);
            if ended.is_ok() && span.state != store::State::Open {
                let origin = origins.of(&span.source);
                if self.chooses(&view, &origin) {
                    ended = visitor.span(&origin, view);
                }
            }
        });
        ended.and_then(|()| visitor.end_of_part()).map(|()| Bad::default())
    }

    fn chooses(&self, span: &SpanView<'_>, origin: &Origin) -> bool {
        let is_of_trace = |prefix: &String| span.trace_id().is_some_and(|id| id.to_string().starts_with(prefix));
        self.trace.as_ref().is_none_or(is_of_trace)
            && (self.filter.is_empty() || self.filter.matches(span, &origin.service, origin))
    }
}

/// Why the reading of a file has ended early.
enum Ended {
    Input(io::Error),
    Visitor(io::Error),
}

struct Reading<'a, V: ?Sized> {
    input: &'a Input,
    visitor: &'a mut V,
    origins: Origins,
    bad: Bad,
}

impl<V: Visitor + ?Sized> Reading<'_, V> {
    fn read(&mut self, file: &mut dyn BufRead, name: &str) -> Result<(), Ended> {
        let format = match self.input.from {
            Some(format) => format,
            None => looks_like(file.fill_buf().map_err(Ended::Input)?),
        };
        match format {
            Format::OtlpJson => self.read_json(file, name),
            Format::OtlpProtobuf => self.read_protobuf(file, name),
        }
    }

    fn read_json(&mut self, file: &mut dyn BufRead, name: &str) -> Result<(), Ended> {
        let mut parsed = InOrder::new(Block::parse);
        let mut next = 1;
        while let Some((block, behind)) = Block::read(file, next).map_err(Ended::Input)? {
            next = behind;
            if let Some(lines) = parsed.give(block) {
                self.read_lines(lines, name)?;
            }
        }
        while let Some(lines) = parsed.take() {
            self.read_lines(lines, name)?;
        }
        Ok(())
    }

    fn read_lines(&mut self, lines: Vec<Line>, name: &str) -> Result<(), Ended> {
        for (number, request) in lines {
            self.bad.parts += 1;
            let place = || number.map_or_else(|| name.to_owned(), |number| format!("{name}: line {number}"));
            match request {
                Ok(request) => self.read_request(&request, &place)?,
                Err(error) => self.bad.note(&place(), &error),
            }
        }
        Ok(())
    }

    fn read_protobuf(&mut self, file: &mut dyn BufRead, name: &str) -> Result<(), Ended> {
        let mut parts = Parts::new(file);
        while let Some(part) = parts.next().map_err(Ended::Input)? {
            self.bad.parts += 1;
            let offset = parts.offset();
            let place = || format!("{name}: byte {offset}");
            match part {
                Ok(()) => self.read_request(parts.part(), &place)?,
                Err(problem) => self.bad.note(&place(), &problem),
            }
        }
        Ok(())
    }

    fn read_request(&mut self, request: &[u8], place: &dyn Fn() -> String) -> Result<(), Ended> {
        for part in request::resource_spans(request) {
            if let Err(malformed) = self.read_resource_spans(part)? {
                self.bad.note(&place(), &malformed);
            }
        }
        self.visitor.end_of_part().map_err(Ended::Visitor)
    }

    fn read_resource_spans(
        &mut self,
        part: Result<request::ResourceSpansView<'_>, Malformed>,
    ) -> Result<Result<(), Malformed>, Ended> {
        let part = match part {
            Ok(part) => part,
            Err(malformed) => return Ok(Err(malformed)),
        };
        for scope in part.scope_spans() {
            let scope = match scope {
                Ok(scope) => scope,
                Err(malformed) => return Ok(Err(malformed)),
            };
            let origin = self.origins.of_parts(&part, &scope);
            for span in scope.spans() {
                match span {
                    Ok(span) if self.input.chooses(&span, &origin) => {
                        self.visitor.span(&origin, span).map_err(Ended::Visitor)?;
                    }
                    Ok(_) => {}
                    Err(malformed) => return Ok(Err(malformed)),
                }
            }
        }
        Ok(Ok(()))
    }
}

/// JSON, unless it begins as a protobuf message does that holds a list of `ResourceSpans`. Its first byte would be a line
/// break of JSON.
fn looks_like(beginning: &[u8]) -> Format {
    let is_field = |rest: &[u8]| matches!(rest.first(), None | Some(0x0a | 0x12 | 0x1a));
    let is_protobuf = beginning
        .strip_prefix(&[0x0a])
        .and_then(throughline_wire::varint::read)
        .is_some_and(|(_, rest)| is_field(rest));
    match is_protobuf {
        true => Format::OtlpProtobuf,
        false => Format::OtlpJson,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn format_is_known_by_the_first_bytes() {
        for (beginning, format) in [
            (&b"{\"resourceSpans\":[]}\n"[..], Format::OtlpJson),
            (b"\n{\"resourceSpans\"", Format::OtlpJson),
            (b"\n\n{\"resourceSpans\"", Format::OtlpJson),
            (b"", Format::OtlpJson),
            (b"\x0a\x05\x0a\x03abc", Format::OtlpProtobuf),
            (b"\x0a\x80\x02\x12\xfd\x01", Format::OtlpProtobuf),
            (b"\x0a\x00", Format::OtlpProtobuf),
            (b"garbage", Format::OtlpJson),
        ] {
            assert_eq!(looks_like(beginning), format, "{beginning:?}");
        }
    }
}
