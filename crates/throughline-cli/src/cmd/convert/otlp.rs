//! OTLP: a `TracesData` per line as JSON, or one as protobuf.

use std::io::{self, Write};
use std::sync::Arc;

use throughline_wire::{SpanView, json};

use super::Converter;
use crate::in_order::InOrder;
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
    data: TracesData,
    /// Requests that wait for being written, of about `BLOCK` bytes.
    requests: Vec<Vec<u8>>,
    waiting: usize,
    texts: InOrder<Vec<Vec<u8>>, io::Result<Vec<u8>>>,
}

/// How much is encoded at a time, in bytes.
const BLOCK: usize = 64 << 10;

impl<'a> Otlp<'a> {
    pub fn new(out: &'a mut dyn Write, encoding: Encoding) -> Self {
        Self {
            out,
            data: TracesData::default(),
            requests: Vec::new(),
            waiting: 0,
            texts: InOrder::new(match encoding {
                // Messages that lie behind each other are one.
                Encoding::Protobuf => |requests| Ok(requests.concat()),
                Encoding::Json => json_lines,
            }),
        }
    }

    fn end_request(&mut self) -> io::Result<()> {
        if self.data.spans() == 0 {
            return Ok(());
        }
        let mut request = Vec::new();
        self.data.take_into(&mut request);
        self.waiting += request.len();
        self.requests.push(request);
        match self.waiting >= BLOCK {
            true => self.encode(),
            false => Ok(()),
        }
    }

    fn encode(&mut self) -> io::Result<()> {
        self.waiting = 0;
        match self.texts.give(std::mem::take(&mut self.requests)) {
            Some(text) => self.out.write_all(&text?),
            None => Ok(()),
        }
    }
}

fn json_lines(requests: Vec<Vec<u8>>) -> io::Result<Vec<u8>> {
    let mut lines = String::new();
    for request in requests {
        json::write_request(&mut lines, &request).map_err(io::Error::other)?;
        lines.push('\n');
    }
    Ok(lines.into_bytes())
}

impl Visitor for Otlp<'_> {
    fn span(&mut self, origin: &Arc<Origin>, span: SpanView<'_>) -> io::Result<()> {
        self.data.add(&origin.source, span.as_bytes());
        match self.data.spans() >= MOST {
            true => self.end_request(),
            false => Ok(()),
        }
    }

    /// What came together stays together.
    fn end_of_part(&mut self) -> io::Result<()> {
        self.end_request()
    }
}

impl Converter for Otlp<'_> {
    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.end_request()?;
        self.encode()?;
        while let Some(text) = self.texts.take() {
            self.out.write_all(&text?)?;
        }
        Ok(())
    }
}
