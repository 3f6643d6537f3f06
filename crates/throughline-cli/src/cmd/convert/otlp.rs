//! OTLP: a `TracesData` per line as JSON, or one as protobuf.

use std::io::{self, Write};
use std::sync::Arc;

use throughline_wire::{SpanView, json};

use super::Converter;
use crate::input::Visitor;
use crate::origin::Origin;
use crate::otlp::TracesData;

/// Spans of a line, at most.
const MOST: usize = 512;

#[derive(Clone, Copy, Debug)]
pub enum Encoding {
    Json,
    Protobuf,
}

pub struct Otlp<'a> {
    out: &'a mut dyn Write,
    encoding: Encoding,
    data: TracesData,
    /// Kept for their memory.
    request: Vec<u8>,
    line: String,
}

impl<'a> Otlp<'a> {
    pub fn new(out: &'a mut dyn Write, encoding: Encoding) -> Self {
        Self {
            out,
            encoding,
            data: TracesData::default(),
            request: Vec::new(),
            line: String::new(),
        }
    }

    fn write(&mut self) -> io::Result<()> {
        if self.data.spans() == 0 {
            return Ok(());
        }
        self.request.clear();
        self.data.take_into(&mut self.request);
        match self.encoding {
            // Messages that lie behind each other are one.
            Encoding::Protobuf => self.out.write_all(&self.request),
            Encoding::Json => {
                self.line.clear();
                json::write_request(&mut self.line, &self.request).map_err(io::Error::other)?;
                self.line.push('\n');
                self.out.write_all(self.line.as_bytes())
            }
        }
    }
}

impl Visitor for Otlp<'_> {
    fn span(&mut self, origin: &Arc<Origin>, span: SpanView<'_>) -> io::Result<()> {
        self.data.add(&origin.source, span.as_bytes());
        match self.data.spans() >= MOST {
            true => self.write(),
            false => Ok(()),
        }
    }

    /// What came together stays together.
    fn end_of_part(&mut self) -> io::Result<()> {
        self.write()
    }
}

impl Converter for Otlp<'_> {
    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.write()
    }
}
