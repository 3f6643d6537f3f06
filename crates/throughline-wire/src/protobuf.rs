//! A forward-only reader of protobuf fields: the one place that knows wire types.

use std::error::Error;
use std::fmt;

use crate::varint;

/// Bytes that are not the protobuf message they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("malformed protobuf: a field is cut off or has an impossible tag")
    }
}

impl Error for Malformed {}

/// One field as it lies on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    /// Deprecated and in no OTLP message: skipped with all that is in it.
    Group,
    Fixed32(u32),
}

impl<'a> Field<'a> {
    pub(crate) fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Text; what is not valid UTF-8, and all that follows it, is left out.
    pub(crate) fn text(self) -> Option<&'a str> {
        self.bytes().map(text)
    }

    pub(crate) fn varint(self) -> Option<u64> {
        match self {
            Self::Varint(value) => Some(value),
            _ => None,
        }
    }

    /// Protobuf truncates a varint to the width of its field.
    pub(crate) fn uint32(self) -> Option<u32> {
        self.varint().map(|value| value as u32)
    }

    /// As [`uint32`](Self::uint32), for `int32` and open enums.
    pub(crate) fn int32(self) -> Option<i32> {
        self.varint().map(|value| value as i32)
    }

    pub(crate) fn fixed64(self) -> Option<u64> {
        match self {
            Self::Fixed64(value) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn fixed32(self) -> Option<u32> {
        match self {
            Self::Fixed32(value) => Some(value),
            _ => None,
        }
    }
}

/// These bytes as [`Field::text`].
pub(crate) fn text(bytes: &[u8]) -> &str {
    // Nearly all text is whole, and checked much faster so.
    std::str::from_utf8(bytes).unwrap_or_else(|_| bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid()))
}

/// The fields of one message in their order. The first that cannot be read is an error, and the
/// last item.
#[derive(Clone, Debug)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// What has not been read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Field<'a>), Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        // Most fields have a tag of one byte, and a short value.
        if let [tag @ 0x08..0x80, after @ ..] = self.rest {
            let found = match (tag & 7, after) {
                (0, [value @ ..0x80, rest @ ..]) => Some((Field::Varint(u64::from(*value)), rest)),
                (1, after) => after
                    .split_first_chunk()
                    .map(|(bytes, rest)| (Field::Fixed64(u64::from_le_bytes(*bytes)), rest)),
                (2, [len @ ..0x80, rest @ ..]) => short(rest, usize::from(*len)),
                (2, [low, high @ ..0x80, rest @ ..]) => short(rest, usize::from(*high) << 7 | usize::from(low & 0x7f)),
                _ => None,
            };
            if let Some((field, rest)) = found {
                self.rest = rest;
                return Some(Ok((u32::from(*tag >> 3), field)));
            }
        }
        self.next_any()
    }
}

#[inline]
fn short(rest: &[u8], len: usize) -> Option<(Field<'_>, &[u8])> {
    let (bytes, rest) = rest.split_at_checked(len)?;
    Some((Field::Bytes(bytes), rest))
}

impl<'a> Fields<'a> {
    /// Any field, whatever it is.
    fn next_any(&mut self) -> Option<Result<(u32, Field<'a>), Malformed>> {
        if self.rest.is_empty() {
            return None;
        }
        // The flags of a span, which most have: a tag of two bytes, wire type 5.
        if let [0x85, high @ 0x01..0x80, after @ ..] = self.rest {
            if let Some((bytes, rest)) = after.split_first_chunk() {
                self.rest = rest;
                return Some(Ok((u32::from(*high) << 4, Field::Fixed32(u32::from_le_bytes(*bytes)))));
            }
        }
        let read = read(self.rest);
        self.rest = read.map_or(&[], |(_, _, rest)| rest);
        Some(read.map(|(number, field, _)| (number, field)).ok_or(Malformed))
    }
}

/// All occurrences of field `number`, as far as the message can be read.
pub(crate) fn all<'a>(message: &'a [u8], number: u32) -> impl Iterator<Item = Field<'a>> + Clone {
    Fields::new(message)
        .map_while(Result::ok)
        .filter(move |(found, _)| *found == number)
        .map(|(_, field)| field)
}

/// "Parsers should take the last value they see": of the occurrences with the right wire type.
pub(crate) fn last<'a, T>(message: &'a [u8], number: u32, convert: impl Fn(Field<'a>) -> Option<T>) -> Option<T> {
    all(message, number).filter_map(convert).last()
}

/// How deep groups may lie in each other before they count as malformed.
const MAX_GROUPS: usize = 64;

fn read(bytes: &[u8]) -> Option<(u32, Field<'_>, &[u8])> {
    let (number, wire_type, rest) = read_tag(bytes)?;
    let (field, rest) = read_value(wire_type, rest)?;
    match field {
        // Start of a group: nothing in it is of interest, only where it ends.
        None if wire_type == 3 => Some((number, Field::Group, skip_group(number, rest)?)),
        None => None,
        Some(field) => Some((number, field, rest)),
    }
}

fn read_tag(bytes: &[u8]) -> Option<(u32, u8, &[u8])> {
    let (tag, rest) = varint::read(bytes)?;
    let tag = u32::try_from(tag).ok()?;
    let number = tag >> 3;
    (number != 0).then_some((number, tag as u8 & 7, rest))
}

/// `None` inside for the start and the end of a group, which have no value.
fn read_value(wire_type: u8, bytes: &[u8]) -> Option<(Option<Field<'_>>, &[u8])> {
    match wire_type {
        0 => varint::read(bytes).map(|(value, rest)| (Some(Field::Varint(value)), rest)),
        1 => bytes
            .split_first_chunk()
            .map(|(value, rest)| (Some(Field::Fixed64(u64::from_le_bytes(*value))), rest)),
        2 => {
            let (len, rest) = varint::read(bytes)?;
            let (value, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
            Some((Some(Field::Bytes(value)), rest))
        }
        3 | 4 => Some((None, bytes)),
        5 => bytes
            .split_first_chunk()
            .map(|(value, rest)| (Some(Field::Fixed32(u32::from_le_bytes(*value))), rest)),
        _ => None,
    }
}

/// What follows the end of group `number`, which began just before `bytes`.
fn skip_group(number: u32, mut bytes: &[u8]) -> Option<&[u8]> {
    let mut open = [0; MAX_GROUPS];
    open[0] = number;
    let mut depth = 1;
    while depth > 0 {
        let (number, wire_type, rest) = read_tag(bytes)?;
        let (_, rest) = read_value(wire_type, rest)?;
        bytes = rest;
        match wire_type {
            3 => {
                *open.get_mut(depth)? = number;
                depth += 1;
            }
            4 if open[depth - 1] == number => depth -= 1,
            4 => return None,
            _ => {}
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wire_type_is_read() {
        let bytes = [
            &[0x08, 0x96, 0x01][..],
            &[0x11, 1, 0, 0, 0, 0, 0, 0, 0],
            &[0x1a, 2, b'h', b'i'],
            &[0x23, 0x08, 0x01, 0x2b, 0x2c, 0x24],
            &[0x2d, 2, 0, 0, 0],
            &[0x85, 0x01, 3, 0, 0, 0],
            &[0x80, 0x01, 4],
        ]
        .concat();
        let fields: Result<Vec<_>, _> = Fields::new(&bytes).collect();
        assert_eq!(
            fields.unwrap(),
            [
                (1, Field::Varint(150)),
                (2, Field::Fixed64(1)),
                (3, Field::Bytes(b"hi")),
                (4, Field::Group),
                (5, Field::Fixed32(2)),
                (16, Field::Fixed32(3)),
                (16, Field::Varint(4)),
            ]
        );
    }

    #[test]
    fn what_cannot_be_read_is_one_error_and_the_end() {
        let deep = [vec![0x0b; MAX_GROUPS + 1], vec![0x0c; MAX_GROUPS + 1]].concat();
        let cases: [(&str, &[u8]); 10] = [
            ("field zero", &[0x00, 0x00]),
            ("cut tag", &[0x80]),
            ("cut varint", &[0x08, 0x80]),
            ("cut fixed64", &[0x09, 0, 0, 0]),
            ("cut bytes", &[0x0a, 5, b'x']),
            (
                "impossible length",
                &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            ),
            ("wire type 6", &[0x0e]),
            ("end of a group that is not open", &[0x0c]),
            ("group ended by another", &[0x0b, 0x14]),
            ("groups too deep", &deep),
        ];
        for (name, bytes) in cases {
            let read: Vec<_> = Fields::new(bytes).collect();
            assert_eq!(read, [Err(Malformed)], "{name}");
        }
    }

    #[test]
    fn text_ends_where_it_stops_being_text() {
        assert_eq!(Field::Bytes(b"ab\xffcd").text(), Some("ab"));
        assert_eq!(Field::Bytes(b"\xff").text(), Some(""));
        assert_eq!(Field::Bytes(b"").text(), Some(""));
        assert_eq!(Field::Varint(1).text(), None);
    }
}
