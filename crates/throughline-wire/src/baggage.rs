//! Baggage: a program's own names and values that travel with a request (W3C Baggage).

pub(crate) mod percent;

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use crate::trace_state::trim;

/// The most members that are kept.
pub const MAX_MEMBERS: usize = 64;

/// The most bytes of the header that are kept, over all headers of a message together.
pub const MAX_BYTES: usize = 8192;

/// The members of the `baggage` headers of one message, in their order.
///
/// What was received is sent on byte by byte, properties and repeated keys included, so long as
/// nobody changes it. Members that are no `token=value` of printable ASCII are left out, one by
/// one; so are those beyond [`MAX_MEMBERS`] and [`MAX_BYTES`], always whole. The default is empty.
///
/// ```
/// use throughline_wire::Baggage;
///
/// let mut baggage = Baggage::parse_headers([&b"user=J%C3%BCrgen;tier=1, plan=pro"[..]]);
/// assert_eq!(baggage.get("user").unwrap(), "J\u{fc}rgen");
/// baggage.insert("order", "a b")?;
/// assert_eq!(baggage.to_header(), "user=J%C3%BCrgen;tier=1, plan=pro,order=a%20b");
/// # Ok::<(), throughline_wire::InvalidBaggage>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baggage {
    members: Vec<Raw>,
    /// `sum of raw.text.len() + 1 <= MAX_BYTES + 1`: the length of the header and one comma.
    bytes: usize,
}

impl Baggage {
    /// Reads the values of all `baggage` headers of a message in their order.
    #[must_use]
    pub fn parse_headers<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut baggage = Self::default();
        values.into_iter().for_each(|value| baggage.header(value));
        baggage
    }

    /// Whether there are no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The members in their order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Member<'_>> {
        self.members.iter().map(Raw::member)
    }

    /// The decoded value of this key, which is case-sensitive; of a repeated key the last.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Cow<'_, str>> {
        let mut members = self.iter().rev();
        members.find(|member| member.key == key).map(|member| member.value())
    }

    /// Sets a key to a value, which may be any text and is percent-encoded where needed. A member
    /// of that key is replaced where it stands, its properties go; a new one comes last.
    ///
    /// There is always room for one's own: if a limit would be passed, received members go to
    /// make room, the last first.
    ///
    /// # Errors
    /// [`InvalidBaggage`] if the key is not a token (RFC 9110, section 5.6.2), or if the members
    /// set by this function pass a limit alone. Nothing changes then.
    pub fn insert(&mut self, key: &str, value: &str) -> Result<(), InvalidBaggage> {
        if !is_token(key) {
            return Err(InvalidBaggage::Key);
        }
        let new = Raw {
            text: format!("{key}={}", percent::encode(value)),
            own: true,
        };
        let mut members = self.members.clone();
        match members.iter().position(|raw| raw.member().key == key) {
            Some(at) => {
                members[at] = new;
                let mut place = 0;
                members.retain(|raw| {
                    place += 1;
                    place <= at + 1 || raw.member().key != key
                });
            }
            None => members.push(new),
        }
        let mut bytes = members.iter().map(Raw::len).sum();
        while members.len() > MAX_MEMBERS || bytes > MAX_BYTES + 1 {
            let received = members.iter().rposition(|raw| !raw.own);
            bytes -= members.remove(received.ok_or(InvalidBaggage::Full)?).len();
        }
        *self = Self { members, bytes };
        Ok(())
    }

    /// Removes all members of this key; whether there were any.
    pub fn remove(&mut self, key: &str) -> bool {
        let before = self.members.len();
        self.members.retain(|raw| raw.member().key != key);
        self.bytes = self.members.iter().map(Raw::len).sum();
        self.members.len() < before
    }

    /// The header value to send: printable ASCII, at most [`MAX_BYTES`]; empty if there are no
    /// members.
    #[must_use]
    pub fn to_header(&self) -> String {
        let members: Vec<&str> = self.members.iter().map(|raw| raw.text.as_str()).collect();
        members.join(",")
    }

    /// Adds a member that came in another format, as far as there is room. One whose key is no token is left out.
    pub(crate) fn receive(&mut self, key: &str, value: &str) {
        if is_token(key) {
            self.header(format!("{key}={}", percent::encode(value)).as_bytes());
        }
    }

    /// Adds the members of another one, as far as there is room. Of a key that both have, only its members are kept.
    pub fn extend(&mut self, other: &Self) {
        for raw in &other.members {
            self.remove(raw.member().key);
        }
        for raw in &other.members {
            self.header(raw.text.as_bytes());
        }
    }

    /// Adds what one header says, as far as there is room.
    pub(crate) fn header(&mut self, value: &[u8]) {
        for text in trim(value).split(|&byte| byte == b',') {
            if self.members.len() == MAX_MEMBERS {
                return;
            }
            if self.bytes + text.len() <= MAX_BYTES {
                if let Some(raw) = Raw::parse(text) {
                    self.bytes += raw.len();
                    self.members.push(raw);
                }
            }
        }
    }
}

/// One member of a [`Baggage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    key: &'a str,
    value: &'a str,
    properties: &'a str,
}

impl<'a> Member<'a> {
    /// The key.
    #[must_use]
    pub fn key(&self) -> &'a str {
        self.key
    }

    /// The value, percent-decoded; what is not valid UTF-8 then is replaced by U+FFFD.
    #[must_use]
    pub fn value(&self) -> Cow<'a, str> {
        percent::decode(self.value)
    }

    /// What follows the first semicolon, as it stands; empty if there is nothing.
    #[must_use]
    pub fn properties(&self) -> &'a str {
        self.properties
    }
}

/// Why a member cannot be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidBaggage {
    /// The members set by this program pass 64 or 8192 bytes.
    Full,
    /// The key is not a token.
    Key,
}

impl fmt::Display for InvalidBaggage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "baggage is full: at most 64 members and 8192 bytes can be sent",
            Self::Key => "not a baggage key: expected letters, digits and !#$%&'*+-.^_`|~ only",
        })
    }
}

impl Error for InvalidBaggage {}

/// A member as it goes over the wire, with the white space around it if it was received.
#[derive(Clone, Debug)]
struct Raw {
    /// Printable ASCII and tabs without a comma: a token, `=`, the rest, and white space anywhere.
    text: String,
    /// Set by this program, so never dropped to make room.
    own: bool,
}

/// Equal if the same is sent.
impl PartialEq for Raw {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Raw {}

impl Raw {
    fn parse(text: &[u8]) -> Option<Self> {
        let printable = text.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t'));
        let text = std::str::from_utf8(text).ok().filter(|_| printable)?;
        let (key, _) = text.split_once('=')?;
        is_token(key.trim_ascii()).then(|| Self {
            text: text.to_owned(),
            own: false,
        })
    }

    fn member(&self) -> Member<'_> {
        let (member, properties) = self.text.split_once(';').unwrap_or((&self.text, ""));
        let (key, value) = member.split_once('=').unwrap_or((member, ""));
        Member {
            key: key.trim_ascii(),
            value: value.trim_ascii(),
            properties: properties.trim_ascii(),
        }
    }

    /// What it takes of a header, with a comma.
    fn len(&self) -> usize {
        self.text.len() + 1
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys, values and properties.
    type Members<'a> = &'a [(&'a str, &'a str, &'a str)];

    fn parse(values: &[&str]) -> Baggage {
        Baggage::parse_headers(values.iter().map(|value| value.as_bytes()))
    }

    #[test]
    fn what_is_received_is_sent_on_byte_by_byte() {
        #[rustfmt::skip]
        let cases: [(&[&str], &str, Members<'_>); 13] = [
            (&["a=1"], "a=1", &[("a", "1", "")]),
            (&["a=1, b=2 ,c=3"], "a=1, b=2 ,c=3", &[("a", "1", ""), ("b", "2", ""), ("c", "3", "")]),
            (&["a=1", "b=2"], "a=1,b=2", &[("a", "1", ""), ("b", "2", "")]),
            (&[" a = 1 ; p ; q = 2 "], "a = 1 ; p ; q = 2", &[("a", "1", "p ; q = 2")]),
            (&["a=x=y=="], "a=x=y==", &[("a", "x=y==", "")]),
            (&["a="], "a=", &[("a", "", "")]),
            (&["a=%41%e4%bd%a0%2C"], "a=%41%e4%bd%a0%2C", &[("a", "A\u{4f60},", "")]),
            (&["a=%ff%4"], "a=%ff%4", &[("a", "\u{fffd}%4", "")]),
            (&["a=1+2"], "a=1+2", &[("a", "1+2", "")]),
            (&["a=1,a=2;p"], "a=1,a=2;p", &[("a", "1", ""), ("a", "2", "p")]),
            (&["A=1,a=2"], "A=1,a=2", &[("A", "1", ""), ("a", "2", "")]),
            (&["a=1,,novalue,=v,k k=v,b=2;"], "a=1,b=2;", &[("a", "1", ""), ("b", "2", "")]),
            (&["a=\u{e4},b=\r\n,c=\u{0},d=4"], "d=4", &[("d", "4", "")]),
        ];
        for (headers, sent, members) in cases {
            let baggage = parse(headers);
            assert_eq!(baggage.to_header(), sent);
            let read: Vec<_> = baggage.iter().map(|m| (m.key(), m.value(), m.properties())).collect();
            let expected: Vec<_> = members
                .iter()
                .map(|&(key, value, more)| (key, Cow::Borrowed(value), more))
                .collect();
            assert_eq!(read, expected, "{headers:?}");
        }
    }

    #[test]
    fn any_text_survives_a_round_trip() {
        for text in ["", "plain", "a b,c;d=e%", "\"\\", "\u{0}\r\n", "\u{fffd}\u{1f980}"] {
            let mut baggage = Baggage::default();
            baggage.insert("key", text).unwrap();
            let header = baggage.to_header();
            assert!(header.bytes().all(|byte| byte.is_ascii_graphic()), "{header}");
            assert_eq!(parse(&[&header]).get("key").unwrap(), text);
        }
    }

    #[test]
    fn limits_are_over_all_headers_and_members_stay_whole() {
        let members: Vec<_> = (0..70).map(|n| format!("k{n}=v")).collect();
        let baggage = parse(&[&members[..40].join(","), &members[40..].join(",")]);
        assert_eq!(baggage.to_header(), members[..64].join(","));

        let big = format!("big={}", "x".repeat(4000));
        let fits = format!("f={}", "x".repeat(MAX_BYTES - 2 - 4005));
        let baggage = parse(&[&big, &big.replace("big", "too"), &fits, "z=1"]);
        assert_eq!(baggage.to_header(), format!("{big},too={},z=1", "x".repeat(4000)));
        let baggage = parse(&[&big, &fits, "z=1"]);
        assert_eq!(baggage.to_header(), format!("{big},{fits}"));
        assert_eq!(baggage.to_header().len(), MAX_BYTES);
        assert!(parse(&[&"x".repeat(1 << 20)]).is_empty());
    }

    #[test]
    fn there_is_room_for_ones_own_member() {
        let members: Vec<_> = (0..64).map(|n| format!("k{n}=v")).collect();
        let mut baggage = parse(&[&members.join(",")]);
        baggage.insert("own", "1").unwrap();
        assert_eq!(baggage.to_header(), format!("{},own=1", members[..63].join(",")));

        baggage.insert("big", &"x".repeat(MAX_BYTES - 10)).unwrap();
        assert_eq!(baggage.iter().map(|m| m.key()).collect::<Vec<_>>(), ["own", "big"]);
        let before = baggage.clone();
        assert_eq!(baggage.insert("one", "more"), Err(InvalidBaggage::Full));
        assert_eq!(baggage, before);
        for key in ["", "a b", "a=b", "\u{e4}"] {
            assert_eq!(baggage.insert(key, ""), Err(InvalidBaggage::Key));
        }
    }

    #[test]
    fn repeated_key_is_replaced_where_it_first_stood() {
        let mut baggage = parse(&["a=1;p,b=2,a=3"]);
        assert_eq!(baggage.get("a").unwrap(), "3");
        baggage.insert("a", "4").unwrap();
        assert_eq!(baggage.to_header(), "a=4,b=2");
        assert!(baggage.remove("a") && !baggage.remove("a"));
        assert_eq!(baggage.to_header(), "b=2");
    }
}
