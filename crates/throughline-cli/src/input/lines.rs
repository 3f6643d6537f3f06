//! A file of OTLP/JSON lines, read in blocks of whole lines.

use std::io::{self, BufRead};

use throughline_wire::json::{self, InvalidJson};

use super::document;

/// A block has at least so many bytes, unless the file ends.
const BLOCK: usize = 256 << 10;

/// Whole lines.
pub struct Block {
    bytes: Vec<u8>,
    /// The number of the first line; nothing for a document over several lines.
    first: Option<u64>,
}

/// A line's number, and its request or why it is none.
pub type Line = (Option<u64>, Result<Vec<u8>, InvalidJson>);

impl Block {
    /// Reads the block that begins with that line. Returns it, and the number of the line behind it; `None` at the end.
    pub fn read(file: &mut dyn BufRead, first: u64) -> io::Result<Option<(Self, u64)>> {
        let (mut bytes, mut next) = (Vec::new(), first);
        while bytes.len() < BLOCK {
            if file.read_until(b'\n', &mut bytes)? == 0 {
                break;
            }
            if next == 1 && document::is_beginning(&bytes) {
                // No line of a file of lines: a document over several.
                file.read_to_end(&mut bytes)?;
                return Ok(Some((Self { bytes, first: None }, next)));
            }
            next += 1;
        }
        let first = Some(first);
        Ok((!bytes.is_empty()).then_some((Self { bytes, first }, next)))
    }

    /// Reads what the lines say; empty ones are left out.
    pub fn parse(self) -> Vec<Line> {
        let Some(first) = self.first else {
            return vec![(None, json::read_request(&self.bytes))];
        };
        let lines = (first..).zip(self.bytes.split(|byte| *byte == b'\n'));
        lines
            .filter(|(_, line)| !line.trim_ascii().is_empty())
            .map(|(number, line)| (Some(number), json::read_request(line)))
            .collect()
    }
}
