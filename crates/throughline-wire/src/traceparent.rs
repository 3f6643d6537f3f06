//! The `traceparent` header (W3C Trace Context Level 2, section 3.2).
//!
//! Strict where the specification is: lower-case digits, fixed places, nothing after version `00`.

use crate::hex::{self, Case};
use crate::{SpanContext, SpanId, TraceFlags, TraceId};

/// The length of a version `00` header, in bytes.
pub const LEN: usize = 55;

/// Reads the value of a `traceparent` header, without white space around it. The result is
/// [remote](SpanContext::is_remote).
///
/// `None` for anything that is not valid. Of a later version the four parts that version `00`
/// knows are used, if they end the value or a dash follows them; version `ff` is refused.
///
/// ```
/// use throughline_wire::traceparent;
///
/// let context = traceparent::parse(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01").unwrap();
/// assert!(context.is_sampled() && context.is_remote());
/// assert_eq!(traceparent::parse(b"00-0-0-01"), None);
/// ```
#[must_use]
pub fn parse(value: &[u8]) -> Option<SpanContext> {
    let (known, rest) = value.split_at_checked(LEN)?;
    let [version] = hex::decode(&known[..2], Case::Lower)?;
    if known[2] != b'-' || known[35] != b'-' || known[52] != b'-' {
        return None;
    }
    match version {
        0x00 if !rest.is_empty() => return None,
        // "Version ff is invalid."
        0xff => return None,
        // "Vendors MUST check that the 2 characters are either the end of the string or a dash."
        _ if !rest.is_empty() && rest[0] != b'-' => return None,
        _ => {}
    }
    let trace_id = TraceId::from_hex(&known[3..35], Case::Lower)?;
    let span_id = SpanId::from_hex(&known[36..52], Case::Lower)?;
    let [flags] = hex::decode(&known[53..], Case::Lower)?;
    let flags = TraceFlags::from_byte(flags);
    Some(SpanContext::new(trace_id, span_id, flags, true))
}

/// Writes a version `00` header value, in ASCII.
///
/// ```
/// use throughline_wire::traceparent;
///
/// let value = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03";
/// assert_eq!(&traceparent::format(&traceparent::parse(value).unwrap()), value);
/// ```
#[must_use]
pub fn format(context: &SpanContext) -> [u8; LEN] {
    let mut value = [b'-'; LEN];
    value[..2].copy_from_slice(b"00");
    hex::encode(&context.trace_id().to_bytes(), &mut value[3..35]);
    hex::encode(&context.span_id().to_bytes(), &mut value[36..52]);
    hex::encode(&[context.flags().to_byte()], &mut value[53..]);
    value
}

/// [`format()`] as a string.
#[must_use]
pub fn to_string(context: &SpanContext) -> String {
    String::from_utf8(format(context).to_vec()).expect("format writes ASCII only")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "12345678901234567890123456789012";
    const SPAN: &str = "1234567890123456";

    /// The cases of the W3C harness (`test/test.py`, class `TraceContextTest`) that are a
    /// question of parsing, by the name of its test.
    #[test]
    fn w3c_harness_agrees() {
        let zeros = "0".repeat(32);
        #[rustfmt::skip]
        let cases = [
            ("traceparent_included", format!("00-{TRACE}-{SPAN}-01"), true),
            ("propagates_random_flag", format!("00-{TRACE}-{SPAN}-02"), true),
            ("version_0x00", format!("00-{TRACE}-{SPAN}-01."), false),
            ("version_0x00", format!("00-{TRACE}-{SPAN}-01-what-the-future-will-be-like"), false),
            ("version_0xcc", format!("cc-{TRACE}-{SPAN}-01"), true),
            ("version_0xcc", format!("cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like"), true),
            ("version_0xcc", format!("cc-{TRACE}-{SPAN}-01.what-the-future-will-not-be-like"), false),
            ("version_0xff", format!("ff-{TRACE}-{SPAN}-01"), false),
            ("version_illegal_characters", format!(".0-{TRACE}-{SPAN}-01"), false),
            ("version_illegal_characters", format!("0.-{TRACE}-{SPAN}-01"), false),
            ("version_too_long", format!("000-{TRACE}-{SPAN}-01"), false),
            ("version_too_long", format!("0000-{TRACE}-{SPAN}-01"), false),
            ("version_too_short", format!("0-{TRACE}-{SPAN}-01"), false),
            ("trace_id_all_zero", format!("00-{zeros}-{SPAN}-01"), false),
            ("trace_id_illegal_characters", format!("00-.{}-{SPAN}-01", &TRACE[1..]), false),
            ("trace_id_illegal_characters", format!("00-{}.-{SPAN}-01", &TRACE[1..]), false),
            ("trace_id_too_long", format!("00-{TRACE}3-{SPAN}-01"), false),
            ("trace_id_too_short", format!("00-{}-{SPAN}-01", &TRACE[1..]), false),
            ("parent_id_all_zero", format!("00-{TRACE}-{}-01", &zeros[16..]), false),
            ("parent_id_illegal_characters", format!("00-{TRACE}-.{}-01", &SPAN[1..]), false),
            ("parent_id_illegal_characters", format!("00-{TRACE}-{}.-01", &SPAN[1..]), false),
            ("parent_id_too_long", format!("00-{TRACE}-{SPAN}7-01"), false),
            ("parent_id_too_short", format!("00-{TRACE}-{}-01", &SPAN[1..]), false),
            ("trace_flags_illegal_characters", format!("00-{TRACE}-{SPAN}-.0"), false),
            ("trace_flags_illegal_characters", format!("00-{TRACE}-{SPAN}-0."), false),
            ("trace_flags_too_long", format!("00-{TRACE}-{SPAN}-001"), false),
            ("trace_flags_too_short", format!("00-{TRACE}-{SPAN}-1"), false),
            // Beyond the harness: upper case, signs, separators, nothing at all.
            ("upper case id", format!("00-{}-{SPAN}-01", "A".repeat(32)), false),
            ("upper case version", format!("CC-{TRACE}-{SPAN}-01"), false),
            ("sign", format!("00-{TRACE}-+{}-01", &SPAN[1..]), false),
            ("separator", format!("00_{TRACE}-{SPAN}-01"), false),
            ("separator", format!("00-{TRACE}_{SPAN}-01"), false),
            ("separator", format!("00-{TRACE}-{SPAN}_01"), false),
            ("dash", format!("00-{TRACE}-{SPAN}-01-"), false),
            ("flags of a later version", format!("01-{TRACE}-{SPAN}-0x-more"), false),
            ("empty", String::new(), false),
        ];
        for (name, value, valid) in cases {
            let context = parse(value.as_bytes());
            assert_eq!(context.is_some(), valid, "{name}: {value}");
            if let Some(context) = context {
                assert_eq!(context.trace_id().to_string(), TRACE);
                assert_eq!(context.span_id().to_string(), SPAN);
                assert!(context.is_remote());
                let reply = to_string(&context);
                assert_eq!(reply, format!("00{}", &value[2..LEN]), "{name}");
            }
        }
    }

    #[test]
    fn unknown_flags_are_not_sent_on() {
        let context = parse(format!("00-{TRACE}-{SPAN}-ff").as_bytes()).unwrap();
        assert_eq!(to_string(&context), format!("00-{TRACE}-{SPAN}-03"));
    }
}
