//! An OTLP protobuf file, one `ResourceSpans` at a time.

use std::io::{self, BufRead, Read as _};

use throughline_wire::varint;

/// The tag of a `ResourceSpans` in a request.
const RESOURCE_SPANS: u8 = 0x0a;
/// No part is longer, in bytes: what says so is damaged.
const LONGEST: u64 = 1 << 30;

/// The parts of a file.
pub struct Parts<'a> {
    file: &'a mut dyn BufRead,
    /// Where the part begins, and where the next one does.
    offset: u64,
    next: u64,
    /// The part as a request that holds nothing else.
    part: Vec<u8>,
    has_ended: bool,
}

impl<'a> Parts<'a> {
    pub fn new(file: &'a mut dyn BufRead) -> Self {
        Self {
            file,
            offset: 0,
            next: 0,
            part: Vec::new(),
            has_ended: false,
        }
    }

    /// Where the part that was read last begins, in bytes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The part that was read last: a request.
    pub fn part(&self) -> &[u8] {
        &self.part
    }

    /// Reads the next part. `None`: there is none. What is no part is told once, and nothing is read behind it.
    pub fn next(&mut self) -> io::Result<Option<Result<(), &'static str>>> {
        while !self.has_ended {
            self.offset = self.next;
            if self.file.fill_buf()?.is_empty() {
                return Ok(None);
            }
            match self.read_field()? {
                Some(true) => return Ok(Some(Ok(()))),
                Some(false) => {}
                None => {
                    self.has_ended = true;
                    let problem = "no OTLP protobuf from there on: a field is cut off or has an impossible tag";
                    return Ok(Some(Err(problem)));
                }
            }
        }
        Ok(None)
    }

    /// Whether the next field is a part; `None` if it cannot be read.
    fn read_field(&mut self) -> io::Result<Option<bool>> {
        let Some(tag) = self.read_varint()? else {
            return Ok(None);
        };
        self.part.clear();
        let len = match tag & 7 {
            _ if tag >> 3 == 0 => return Ok(None),
            0 => return Ok(self.read_varint()?.map(|_| false)),
            1 => 8,
            2 => match self.read_varint()? {
                Some(len) if len <= LONGEST => len,
                _ => return Ok(None),
            },
            5 => 4,
            _ => return Ok(None),
        };
        self.part.push(RESOURCE_SPANS);
        varint::push(&mut self.part, len);
        let head = self.part.len();
        (&mut *self.file).take(len).read_to_end(&mut self.part)?;
        let read = (self.part.len() - head) as u64;
        self.next += read;
        Ok((read == len).then_some(tag == u64::from(RESOURCE_SPANS)))
    }

    fn read_varint(&mut self) -> io::Result<Option<u64>> {
        let (mut bytes, mut len) = ([0; 10], 0);
        while len < bytes.len() {
            if self.file.read(&mut bytes[len..=len])? == 0 {
                return Ok(None);
            }
            self.next += 1;
            len += 1;
            if bytes[len - 1] < 0x80 {
                return Ok(varint::read(&bytes[..len]).map(|(value, _)| value));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The offsets of the parts, and that of what is none.
    fn parts(mut bytes: &[u8]) -> (Vec<(u64, usize)>, Option<u64>) {
        let mut parts = Parts::new(&mut bytes);
        let mut found = Vec::new();
        while let Some(part) = parts.next().unwrap() {
            match part {
                Ok(()) => found.push((parts.offset(), parts.part().len())),
                Err(_) => return (found, Some(parts.offset())),
            }
        }
        (found, None)
    }

    #[test]
    fn parts_are_read_one_by_one_up_to_what_is_none() {
        for (name, bytes, expected) in [
            ("nothing", &b""[..], (vec![], None)),
            ("two", b"\x0a\x01a\x0a\x02bc", (vec![(0, 3), (3, 4)], None)),
            (
                "others between",
                b"\x0a\x00\x10\x01\x1a\x01x\x0a\x00",
                (vec![(0, 2), (7, 2)], None),
            ),
            ("cut off", b"\x0a\x01a\x0a\x05bc", (vec![(0, 3)], Some(3))),
            ("cut tag", b"\x0a\x00\x80", (vec![(0, 2)], Some(2))),
            ("impossible tag", b"\x0f", (vec![], Some(0))),
            ("impossible length", b"\x0a\xff\xff\xff\xff\xff\x01", (vec![], Some(0))),
        ] {
            assert_eq!(parts(bytes), expected, "{name}");
        }
    }
}
