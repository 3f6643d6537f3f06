//! The `tracestate` header (W3C Trace Context Level 2, section 3.3).

use std::error::Error;
use std::fmt;
use std::str::FromStr;

/// The most members a list may have; a longer one is discarded as a whole.
pub const MAX_MEMBERS: usize = 32;

/// What a vendor may expect to be sent on at least, in bytes: a sensible limit for
/// [`TraceState::truncated`].
pub const MIN_PROPAGATED: usize = 512;

/// A list of vendors' own keys and values that travels with a trace, the latest first.
///
/// Always valid, so it can be sent as it stands: each key matches
/// `[a-z0-9][a-z0-9_*/@-]{0,255}` and occurs once, each value is 1 to 256 printable ASCII
/// characters without `,` and `=` that do not end in a space, and there are at most
/// [`MAX_MEMBERS`]. The default is empty.
///
/// ```
/// use throughline_wire::TraceState;
///
/// let mut state: TraceState = "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7".parse()?;
/// assert_eq!(state.get("rojo"), Some("00f067aa0ba902b7"));
/// state.insert("rojo", "1")?;
/// assert_eq!(state.as_str(), "rojo=1,congo=t61rcWkgMzE");
/// # Ok::<(), throughline_wire::InvalidTraceState>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TraceState {
    /// Members joined by commas with nothing around them: a valid header value.
    header: String,
}

impl TraceState {
    /// Reads the values of all `tracestate` headers of a message in their order, which are one
    /// list together. White space around members and empty members are left out, and of a
    /// repeated key the first member, which is the latest, is kept.
    ///
    /// # Errors
    /// [`InvalidTraceState`] if any member is not valid or there are more than [`MAX_MEMBERS`]:
    /// then all of it is to be discarded.
    pub fn parse_headers<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, InvalidTraceState> {
        let mut builder = Builder::default();
        values.into_iter().for_each(|value| builder.header(value));
        builder.finish()
    }

    /// The header value; empty if there are no members.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.header
    }

    /// Whether there are no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.header.is_empty()
    }

    /// Keys and values, the latest first.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.members().filter_map(|member| member.split_once('='))
    }

    /// The value of this key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find(|(found, _)| *found == key).map(|(_, value)| value)
    }

    /// Sets a key and moves it to the front, as the specification asks. If that makes one member
    /// too many, the last is dropped.
    ///
    /// # Errors
    /// [`InvalidTraceState`] if key or value are not valid; nothing changes then.
    pub fn insert(&mut self, key: &str, value: &str) -> Result<(), InvalidTraceState> {
        if !is_key(key.as_bytes()) || !is_value(value.as_bytes()) {
            return Err(InvalidTraceState(()));
        }
        let mut header = format!("{key}={value}");
        let others = self.iter().filter(|(found, _)| *found != key);
        for (key, value) in others.take(MAX_MEMBERS - 1) {
            header.extend([",", key, "=", value]);
        }
        self.header = header;
        Ok(())
    }

    /// Removes a key; whether it was there.
    pub fn remove(&mut self, key: &str) -> bool {
        let found = self.get(key).is_some();
        if found {
            self.keep(|member| member.split_once('=').is_none_or(|(found, _)| found != key));
        }
        found
    }

    /// The same list in at most `max` bytes. Only whole members go: first those of more than 128
    /// bytes, then any, from the end in both cases (section 3.3.1.5).
    #[must_use]
    pub fn truncated(&self, max: usize) -> Self {
        let mut members: Vec<&str> = self.members().collect();
        // Counting a comma for every member, so one more than there are.
        let mut len = self.header.len() + 1;
        for smallest in [129, 0] {
            let mut at = members.len();
            while len > max.saturating_add(1) && at > 0 {
                at -= 1;
                if members[at].len() >= smallest {
                    len -= members.remove(at).len() + 1;
                }
            }
        }
        Self {
            header: members.join(","),
        }
    }

    fn members(&self) -> impl Iterator<Item = &str> {
        self.header.split(',').filter(|member| !member.is_empty())
    }

    fn keep(&mut self, wanted: impl Fn(&str) -> bool) {
        let members: Vec<&str> = self.members().filter(|member| wanted(member)).collect();
        self.header = members.join(",");
    }
}

/// Reads one header value: [`TraceState::parse_headers`].
impl FromStr for TraceState {
    type Err = InvalidTraceState;

    fn from_str(value: &str) -> Result<Self, InvalidTraceState> {
        Self::parse_headers([value.as_bytes()])
    }
}

impl fmt::Display for TraceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.header)
    }
}

/// A text is no `tracestate`, or no key or value of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidTraceState(());

impl fmt::Display for InvalidTraceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "not a tracestate: expected at most 32 members such as vendor=value, keys in lower \
             case, values in printable ASCII without comma and equals sign",
        )
    }
}

impl Error for InvalidTraceState {}

/// A list that grows header by header.
#[derive(Clone, Debug, Default)]
pub(crate) struct Builder {
    state: TraceState,
    members: usize,
    invalid: bool,
}

impl Builder {
    pub(crate) fn header(&mut self, value: &[u8]) {
        for member in value.split(|&byte| byte == b',') {
            if self.invalid {
                return;
            }
            let member = trim(member);
            if !member.is_empty() {
                self.invalid = self.member(member).is_none();
            }
        }
    }

    pub(crate) fn finish(self) -> Result<TraceState, InvalidTraceState> {
        if self.invalid {
            return Err(InvalidTraceState(()));
        }
        Ok(self.state)
    }

    /// `None` if the list is not valid with this member.
    fn member(&mut self, member: &[u8]) -> Option<()> {
        self.members += 1;
        let (key, value) = std::str::from_utf8(member).ok()?.split_once('=')?;
        if self.members > MAX_MEMBERS || !is_key(key.as_bytes()) || !is_value(value.as_bytes()) {
            return None;
        }
        if self.state.get(key).is_none() {
            let comma = if self.state.is_empty() { "" } else { "," };
            self.state.header.extend([comma, key, "=", value]);
        }
        Some(())
    }
}

/// Without the optional white space (`OWS`) around it: spaces and tabs.
pub(crate) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// `key = ( lcalpha / DIGIT ) 0*255 ( keychar )`
fn is_key(key: &[u8]) -> bool {
    let first = key.first().is_some_and(|first| !b"_-*/@".contains(first));
    first
        && key.len() <= 256
        && key
            .iter()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@'))
}

/// `value = 0*255(chr) nblk-chr`, `chr` being printable ASCII but `,` and `=`.
fn is_value(value: &[u8]) -> bool {
    let last = value.last().is_some_and(|&last| last != b' ');
    last && value.len() <= 256
        && value
            .iter()
            .all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b',' | b'='))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(numbers: impl Iterator<Item = usize>) -> String {
        let members: Vec<_> = numbers.map(|n| format!("bar{n:02}={n:02}")).collect();
        members.join(",")
    }

    /// The cases of the W3C harness (`test/test.py`, classes `TraceContextTest` and
    /// `AdvancedTest`) that are a question of parsing, by the name of its test. What is expected
    /// to be sent, or nothing for a list that is discarded.
    #[test]
    fn w3c_harness_agrees() {
        let (z240, z14, long) = ("z".repeat(240), "v".repeat(14), "z".repeat(256));
        let (half, other) = (members(1..=16), members(17..=32));
        let all_keys = "abcdefghijklmnopqrstuvwxyz0123456789_-*/=value".to_owned();
        let value: String = (0x20..=0x7e_u8).map(char::from).collect();
        let all_values = format!("foo={}", value.replace([',', '='], ""));
        #[rustfmt::skip]
        let cases: Vec<(&str, Vec<&str>, Option<&str>)> = vec![
            ("included", vec!["foo=1,bar=2"], Some("foo=1,bar=2")),
            ("empty_header", vec!["foo=1", ""], Some("foo=1")),
            ("empty_header", vec!["", "foo=1"], Some("foo=1")),
            ("empty_header", vec![""], Some("")),
            ("multiple_headers_different_keys", vec!["foo=1,", "bar=2"], Some("foo=1,bar=2")),
            ("multiple_headers_different_keys", vec!["foo=1,bar=2", "rojo=1,congo=2", "baz=3"],
                Some("foo=1,bar=2,rojo=1,congo=2,baz=3")),
            ("duplicated_keys", vec!["foo=1,foo=1"], Some("foo=1")),
            ("duplicated_keys", vec!["foo=1,foo=2"], Some("foo=1")),
            ("duplicated_keys", vec!["foo=1", "foo=2"], Some("foo=1")),
            ("all_allowed_characters", vec![&all_keys], Some(&all_keys)),
            ("all_allowed_characters", vec![&all_values], Some(&all_values)),
            ("ows_handling", vec!["foo=1 \t , \t bar=2, \t baz=3"], Some("foo=1,bar=2,baz=3")),
            ("ows_handling", vec!["foo=1\t \t,\t \tbar=2,\t \tbaz=3"], Some("foo=1,bar=2,baz=3")),
            ("ows_handling", vec![" foo=1", "\tbar=2\t"], Some("foo=1,bar=2")),
            ("key_illegal_characters", vec!["foo =1"], None),
            ("key_illegal_characters", vec!["FOO=1"], None),
            ("key_illegal_characters", vec!["foo.bar=1"], None),
            ("key_illegal_vendor_format", vec!["foo@=1,bar=2"], Some("foo@=1,bar=2")),
            ("key_illegal_vendor_format", vec!["@foo=1,bar=2"], None),
            ("key_illegal_vendor_format", vec!["foo@@bar=1,bar=2"], Some("foo@@bar=1,bar=2")),
            ("key_illegal_vendor_format", vec!["foo@bar@baz=1,bar=2"], Some("foo@bar@baz=1,bar=2")),
            ("member_count_limit", vec![&half, &other], Some("32 members")),
            ("member_count_limit", vec![&half, &other, "bar33=33"], None),
            ("value_illegal_characters", vec!["foo=bar=baz"], None),
            ("value_illegal_characters", vec!["foo=,bar=3"], None),
            ("value_illegal_characters", vec!["foo=\u{7f}"], None),
            ("value_illegal_characters", vec!["foo=b\u{e4}r"], None),
            ("no value at all", vec!["foo"], None),
            ("no key", vec!["=1"], None),
            ("other keys that may not come first", vec!["_foo=1"], None),
            ("empty members", vec![",foo=1,, ,bar=2,"], Some("foo=1,bar=2")),
        ];
        for (name, headers, expected) in cases {
            let parsed = TraceState::parse_headers(headers.iter().map(|value| value.as_bytes()));
            match expected {
                Some("32 members") => assert_eq!(parsed.unwrap().as_str(), members(1..=32)),
                Some(expected) => assert_eq!(parsed.unwrap().as_str(), expected, "{name}"),
                None => assert!(parsed.is_err(), "{name}: {headers:?}"),
            }
        }
        for (key, valid) in [
            (long.clone(), true),
            (long + "z", false),
            (format!("t{z240}@{z14}"), true),
            (format!("t{z240}@{z14}v"), false),
        ] {
            let parsed = format!("foo=1,{key}=1").parse::<TraceState>();
            assert_eq!(parsed.is_ok(), valid, "key_length_limit: {}", key.len());
        }
        let long = "v".repeat(256);
        assert!(format!("foo={long}").parse::<TraceState>().is_ok());
        assert!(format!("foo={long}v").parse::<TraceState>().is_err());
    }

    #[test]
    fn changed_member_comes_first_and_a_new_one_may_push_out_the_last() {
        let mut state: TraceState = members(1..=32).parse().unwrap();
        state.insert("bar07", "x").unwrap();
        assert_eq!(state.iter().count(), 32);
        assert_eq!(state.iter().next(), Some(("bar07", "x")));
        state.insert("new", "y").unwrap();
        assert_eq!(state.iter().count(), 32);
        assert_eq!(state.get("bar32"), None);
        assert!(state.remove("new") && !state.remove("new"));
        assert_eq!(state.iter().next(), Some(("bar07", "x")));
        assert!(state.as_str().parse::<TraceState>() == Ok(state));
    }

    #[test]
    fn what_is_not_valid_is_not_inserted() {
        let mut state: TraceState = "a=1".parse().unwrap();
        for (key, value) in [
            ("A", "1"),
            ("", "1"),
            ("b", ""),
            ("b", "x "),
            ("b", "1,c=2"),
            ("b", "\r\n"),
        ] {
            assert!(state.insert(key, value).is_err(), "{key}={value}");
        }
        assert_eq!(state.as_str(), "a=1");
    }

    #[test]
    fn long_members_go_first_and_then_the_last() {
        let (long, edge) = (format!("l={}", "v".repeat(127)), format!("e={}", "v".repeat(126)));
        let state: TraceState = format!("a=1,{long},b=2,{edge},c=3").parse().unwrap();
        let cases = [
            (usize::MAX, state.as_str().to_owned()),
            (state.as_str().len(), state.as_str().to_owned()),
            (state.as_str().len() - 1, format!("a=1,b=2,{edge},c=3")),
            (edge.len() + 11, format!("a=1,b=2,{edge}")),
            (edge.len(), "a=1,b=2".to_owned()),
            (7, "a=1,b=2".to_owned()),
            (6, "a=1".to_owned()),
            (3, "a=1".to_owned()),
            (2, String::new()),
            (0, String::new()),
        ];
        for (max, expected) in cases {
            assert_eq!(state.truncated(max).as_str(), expected, "{max}");
        }
    }
}
