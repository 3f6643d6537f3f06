//! OTLP/JSON as protobuf.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use super::fields::{self, Kind, Message, Scalar};
use super::parser::{Parser, is_number};
use crate::any_value::MAX_DEPTH;
use crate::{hex, varint};

/// A text that is no OTLP/JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidJson {
    /// The byte at which that was noticed.
    pub(super) offset: usize,
    pub(super) problem: Cow<'static, str>,
}

impl InvalidJson {
    /// The byte of the text at which the problem was noticed.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }
}

impl fmt::Display for InvalidJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no OTLP/JSON at byte {}: {}", self.offset, self.problem)
    }
}

impl Error for InvalidJson {}

/// Reads `{"resourceSpans":[…]}`, a request or a line of a file, as the `ExportTraceServiceRequest` of protobuf.
///
/// It takes all that the proto3 JSON mapping and OTLP allow: ids in digits of either case and of any length, enums as integers, 64-bit
/// numbers as strings or numbers, `5.0` for 5, `"NaN"`, base64 of either alphabet with or without padding, `null` for a default. Names
/// that are not known are skipped. What it refuses: a field twice, two values in one, an enum by its name, numbers out of range,
/// half a surrogate, and values nested deeper than [`any_value::MAX_DEPTH`](crate::any_value::MAX_DEPTH).
///
/// The time it takes grows with the length of the text and with nothing else.
///
/// # Errors
///
/// Where the text is no such JSON, and why.
///
/// ```
/// use throughline_wire::{json, request};
///
/// let body = json::read_request(br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"charge"}]}]}]}"#)?;
/// assert_eq!(request::resource_spans(&body).count(), 1);
/// assert_eq!(json::read_request(b"{}")?, b"");
/// assert!(json::read_request(br#"{"resourceSpans":7}"#).is_err());
/// # Ok::<(), json::InvalidJson>(())
/// ```
pub fn read_request(text: &[u8]) -> Result<Vec<u8>, InvalidJson> {
    read(text, &fields::REQUEST)
}

/// Reads one span's object as the `Span` of protobuf.
///
/// # Errors
///
/// As [`read_request`].
pub fn read_span(text: &[u8]) -> Result<Vec<u8>, InvalidJson> {
    read(text, &fields::SPAN)
}

/// Reads what a backend answers to a request it took, for [`response::partial_success`](crate::response::partial_success).
///
/// # Errors
///
/// As [`read_request`].
///
/// ```
/// use throughline_wire::{json, response};
///
/// let body = json::read_response(br#"{"partialSuccess":{"rejectedSpans":"2","errorMessage":"late"}}"#)?;
/// assert_eq!(response::partial_success(&body).unwrap().unwrap().rejected_spans, 2);
/// # Ok::<(), json::InvalidJson>(())
/// ```
pub fn read_response(text: &[u8]) -> Result<Vec<u8>, InvalidJson> {
    read(text, &fields::RESPONSE)
}

/// Reads why a backend refused a request, for [`response::rpc_status`](crate::response::rpc_status).
///
/// # Errors
///
/// As [`read_request`].
pub fn read_status(text: &[u8]) -> Result<Vec<u8>, InvalidJson> {
    read(text, &fields::RPC_STATUS)
}

fn read(text: &[u8], message: &Message) -> Result<Vec<u8>, InvalidJson> {
    let mut parser = Parser::new(text);
    let mut out = Vec::with_capacity(text.len() / 2);
    read_message(&mut parser, &mut out, message, 0)?;
    parser.end()?;
    Ok(out)
}

/// `depth` counts the values around this one.
fn read_message(
    parser: &mut Parser<'_>,
    out: &mut Vec<u8>,
    message: &Message,
    depth: usize,
) -> Result<(), InvalidJson> {
    let depth = depth + usize::from(message.is_one_of);
    if depth > MAX_DEPTH {
        return Err(parser.error("values are nested too deep"));
    }
    let mut seen = 0_u32;
    parser.object(|parser, name| {
        let Some(at) = message.fields.iter().position(|field| field.name == name) else {
            return parser.skip();
        };
        let field = &message.fields[at];
        // The others of its kind count as the same.
        let is_second = match message.is_one_of {
            true => seen != 0,
            false => seen & 1 << at != 0,
        };
        if parser.take_word("null") {
            return Ok(());
        }
        if is_second {
            return Err(parser.error(format!("{name} is set twice, or beside another value")));
        }
        seen |= 1 << at;
        match field.kind {
            Kind::One(inner) => nested(parser, out, field.number, inner, depth),
            Kind::Many(inner) => parser.list(|parser| nested(parser, out, field.number, inner, depth)),
            Kind::Scalar(scalar) => {
                let before = out.len();
                match read_scalar(parser, out, field.number, scalar) {
                    // A default is not written, but as a value.
                    Some(is_default) => {
                        if is_default && !message.is_one_of {
                            out.truncate(before);
                        }
                        Ok(())
                    }
                    None => Err(parser.error(format!("{name} is not {}", described(scalar)))),
                }
            }
        }
    })
}

/// A message within another one, behind its tag and its length.
fn nested(
    parser: &mut Parser<'_>,
    out: &mut Vec<u8>,
    number: u32,
    message: &Message,
    depth: usize,
) -> Result<(), InvalidJson> {
    tag(out, number, LENGTH);
    let at = out.len();
    out.push(0);
    read_message(parser, out, message, depth)?;
    let len = out.len() - at - 1;
    let room = varint::len(len as u64);
    // Most are short, and need no more room than they have.
    out.resize(out.len() + room - 1, 0);
    out.copy_within(at + 1..at + 1 + len, at + room);
    varint::write(&mut out[at..], len as u64);
    Ok(())
}

// Wire types.
const VARINT: u32 = 0;
const EIGHT_BYTES: u32 = 1;
const LENGTH: u32 = 2;
const FOUR_BYTES: u32 = 5;

fn tag(out: &mut Vec<u8>, number: u32, wire_type: u32) {
    varint::push(out, u64::from(number << 3 | wire_type));
}

/// Reads a value and writes it, with its tag. Returns whether it is the default; nothing if it is no such value.
fn read_scalar(parser: &mut Parser<'_>, out: &mut Vec<u8>, number: u32, scalar: Scalar) -> Option<bool> {
    match scalar {
        Scalar::Text => {
            let text = parser.string().ok()?;
            Some(bytes(out, number, text.as_bytes()))
        }
        Scalar::Hex => {
            let digits = parser.string().ok()?;
            Some(bytes(out, number, &hex::decode_any(digits.as_bytes())?))
        }
        Scalar::Base64 => {
            let digits = parser.string().ok()?;
            Some(bytes(out, number, &base64(digits.as_bytes())?))
        }
        Scalar::Bool => {
            let value = parser.take_word("true");
            if !value && !parser.take_word("false") {
                return None;
            }
            Some(varint(out, number, u64::from(value)))
        }
        Scalar::Double => {
            let value = read_double(parser)?;
            tag(out, number, EIGHT_BYTES);
            out.extend(value.to_le_bytes());
            // Minus zero is another number.
            Some(value.to_bits() == 0)
        }
        Scalar::Int64 => Some(varint(out, number, integer::<i64>(parser)? as u64)),
        Scalar::Enum => {
            if parser.peek() == Some(b'"') {
                return None;
            }
            Some(varint(out, number, i64::from(integer::<i32>(parser)?) as u64))
        }
        Scalar::Uint32 => Some(varint(out, number, u64::from(integer::<u32>(parser)?))),
        Scalar::Fixed32 => {
            let value = integer::<u32>(parser)?;
            tag(out, number, FOUR_BYTES);
            out.extend(value.to_le_bytes());
            Some(value == 0)
        }
        Scalar::Fixed64 => {
            let value = integer::<u64>(parser)?;
            tag(out, number, EIGHT_BYTES);
            out.extend(value.to_le_bytes());
            Some(value == 0)
        }
    }
}

fn described(scalar: Scalar) -> &'static str {
    match scalar {
        Scalar::Text => "a string",
        Scalar::Hex => "a string of pairs of hexadecimal digits",
        Scalar::Base64 => "a string in base64",
        Scalar::Bool => "true or false",
        Scalar::Double => "a number",
        Scalar::Int64 => "a whole number of 64 bits",
        Scalar::Enum => "a whole number of 32 bits, without quotes",
        Scalar::Uint32 | Scalar::Fixed32 => "a whole number of 32 bits above or at 0",
        Scalar::Fixed64 => "a whole number of 64 bits above or at 0",
    }
}

fn bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) -> bool {
    tag(out, number, LENGTH);
    varint::push(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
    bytes.is_empty()
}

fn varint(out: &mut Vec<u8>, number: u32, value: u64) -> bool {
    tag(out, number, VARINT);
    varint::push(out, value);
    value == 0
}

/// A number, with or without quotes.
fn number<'a>(parser: &mut Parser<'a>) -> Option<Cow<'a, str>> {
    match parser.peek() {
        Some(b'"') => parser.string().ok(),
        _ => parser.number().ok().map(Cow::Borrowed),
    }
}

/// A whole number, which may be written as `5.0` or `1e2`.
fn integer<T: TryFrom<i128>>(parser: &mut Parser<'_>) -> Option<T> {
    let text = number(parser).filter(|text| is_number(text))?;
    // Times and counts are mere digits, and fit into 64 bits.
    let plain = || text.parse::<u64>().ok().map(i128::from);
    T::try_from(plain().or_else(|| exact(&text))?).ok()
}

/// The value of a number as JSON writes them, if it is whole. Not by a double, which would round it.
fn exact(text: &str) -> Option<i128> {
    let (digits, exponent) = match text.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse::<i64>().ok()),
        None => (text, Some(0)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = [whole, fraction].concat();
    // Without zeroes at its end: how many there were is in the exponent.
    let kept = all.trim_end_matches('0');
    if matches!(kept, "" | "-") {
        return Some(0);
    }
    let removed = i64::try_from(all.len() - kept.len()).ok()?;
    let zeroes = exponent?
        .checked_sub(i64::try_from(fraction.len()).ok()?)?
        .checked_add(removed)?;
    // One that is longer is in nobody's range.
    let zeroes = u32::try_from(zeroes).ok().filter(|zeroes| *zeroes <= 38)?;
    kept.parse::<i128>().ok()?.checked_mul(10_i128.pow(zeroes))
}

fn read_double(parser: &mut Parser<'_>) -> Option<f64> {
    match &*number(parser)? {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        text if is_number(text) => text.parse().ok().filter(|value: &f64| value.is_finite()),
        _ => None,
    }
}

/// Either alphabet of RFC 4648, padded or not.
pub(crate) fn base64(digits: &[u8]) -> Option<Vec<u8>> {
    let is_padding = |digit: &&u8| **digit == b'=';
    let padding = digits.iter().rev().take_while(is_padding).count();
    let padded = digits.len();
    let digits = &digits[..padded - padding];
    // Padding fills up a group of four; one digit alone stands for nothing.
    if padding > 2 || padding > 0 && padded % 4 != 0 || digits.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    for group in digits.chunks(4) {
        let mut bits = 0_u32;
        for digit in group {
            let value = match digit {
                b'A'..=b'Z' => digit - b'A',
                b'a'..=b'z' => digit - b'a' + 26,
                b'0'..=b'9' => digit - b'0' + 52,
                b'+' | b'-' => 62,
                b'/' | b'_' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        bits <<= 6 * (4 - group.len());
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(bytes)
}
