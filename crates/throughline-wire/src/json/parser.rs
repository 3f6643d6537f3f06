//! JSON itself (RFC 8259), read from left to right: strings, numbers, and what may be skipped.

use std::borrow::Cow;

use super::InvalidJson;

/// How deep objects and lists may be nested in what is skipped.
const DEEPEST: usize = 128;

/// A text and a place in it. Every method begins at the next thing that is no white space.
pub(super) struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn error(&self, problem: impl Into<Cow<'static, str>>) -> InvalidJson {
        InvalidJson {
            offset: self.at,
            problem: problem.into(),
        }
    }

    /// The next byte that is no white space, which is left to be read.
    pub(super) fn peek(&mut self) -> Option<u8> {
        let rest = self.text.get(self.at..)?;
        let blank = rest
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
        self.at += blank.count();
        self.text.get(self.at).copied()
    }

    /// Reads this byte, if it is the next.
    pub(super) fn take(&mut self, wanted: u8) -> bool {
        let is_next = self.peek() == Some(wanted);
        self.at += usize::from(is_next);
        is_next
    }

    /// Reads this word, if it is the next.
    pub(super) fn take_word(&mut self, word: &str) -> bool {
        self.peek();
        let is_next = self.text[self.at..].starts_with(word.as_bytes());
        self.at += if is_next { word.len() } else { 0 };
        is_next
    }

    /// Nothing but white space follows.
    pub(super) fn end(&mut self) -> Result<(), InvalidJson> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.error("there is more behind the end")),
        }
    }

    /// An object: `member` reads the value of each name.
    pub(super) fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, &str) -> Result<(), InvalidJson>,
    ) -> Result<(), InvalidJson> {
        if !self.take(b'{') {
            return Err(self.error("there is no object"));
        }
        if self.take(b'}') {
            return Ok(());
        }
        loop {
            let name = self.string()?;
            if !self.take(b':') {
                return Err(self.error("there is no colon"));
            }
            member(self, &name)?;
            if self.take(b'}') {
                return Ok(());
            }
            if !self.take(b',') {
                return Err(self.error("there is neither a comma nor a closing brace"));
            }
        }
    }

    /// A list: `item` reads each of its items.
    pub(super) fn list(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<(), InvalidJson>,
    ) -> Result<(), InvalidJson> {
        if !self.take(b'[') {
            return Err(self.error("there is no list"));
        }
        if self.take(b']') {
            return Ok(());
        }
        loop {
            item(self)?;
            if self.take(b']') {
                return Ok(());
            }
            if !self.take(b',') {
                return Err(self.error("there is neither a comma nor a closing bracket"));
            }
        }
    }

    pub(super) fn string(&mut self) -> Result<Cow<'a, str>, InvalidJson> {
        if !self.take(b'"') {
            return Err(self.error("there is no string"));
        }
        let plain = self.plain()?;
        if self.take_next(b'"') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = plain.to_owned();
        while !self.take_next(b'"') {
            text.push(self.escape()?);
            text.push_str(self.plain()?);
        }
        Ok(Cow::Owned(text))
    }

    /// A number, as it is written.
    pub(super) fn number(&mut self) -> Result<&'a str, InvalidJson> {
        self.peek();
        let rest = &self.text[self.at..];
        let len = number_len(rest).ok_or_else(|| self.error("there is no number"))?;
        self.at += len;
        // Digits and signs.
        Ok(std::str::from_utf8(&rest[..len]).unwrap_or_default())
    }

    /// Any value, of which nothing is kept.
    pub(super) fn skip(&mut self) -> Result<(), InvalidJson> {
        self.skip_within(DEEPEST)
    }

    fn skip_within(&mut self, depth: usize) -> Result<(), InvalidJson> {
        let Some(deeper) = depth.checked_sub(1) else {
            return Err(self.error("it is nested too deep"));
        };
        match self.peek() {
            Some(b'{') => self.object(|parser, _| parser.skip_within(deeper)),
            Some(b'[') => self.list(|parser| parser.skip_within(deeper)),
            Some(b'"') => self.string().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number().map(drop),
            _ if ["true", "false", "null"].iter().any(|word| self.take_word(word)) => Ok(()),
            _ => Err(self.error("there is no value")),
        }
    }

    /// Reads this byte, if it is the very next.
    fn take_next(&mut self, wanted: u8) -> bool {
        let is_next = self.text.get(self.at) == Some(&wanted);
        self.at += usize::from(is_next);
        is_next
    }

    /// What comes before the next quote or backslash.
    fn plain(&mut self) -> Result<&'a str, InvalidJson> {
        let rest = &self.text[self.at..];
        let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
        let Some(len) = rest.iter().position(is_special) else {
            return Err(self.error("a string does not end"));
        };
        if rest[len] < 0x20 {
            self.at += len;
            return Err(self.error("there is a control character in a string"));
        }
        let plain = std::str::from_utf8(&rest[..len]).map_err(|_| self.error("a string is not UTF-8"))?;
        self.at += len;
        Ok(plain)
    }

    /// What a backslash stands for.
    fn escape(&mut self) -> Result<char, InvalidJson> {
        let letter = self.text.get(self.at + 1).copied();
        let plain = match letter {
            Some(letter @ (b'"' | b'\\' | b'/')) => char::from(letter),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.code_point(),
            _ => return Err(self.error("there is no such escape")),
        };
        self.at += 2;
        Ok(plain)
    }

    /// `\uD83E\uDD80` is one character.
    fn code_point(&mut self) -> Result<char, InvalidJson> {
        let first = self.code_unit();
        let code = match first {
            Some(high @ 0xd800..0xdc00) => self
                .code_unit()
                .filter(|low| (0xdc00..0xe000).contains(low))
                .map(|low| 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)),
            unit => unit,
        };
        code.and_then(char::from_u32)
            .ok_or_else(|| self.error("there is no such character"))
    }

    /// `\u` and four digits.
    fn code_unit(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 6)?.strip_prefix(b"\\u")?;
        // It would take a sign.
        let digits = digits.iter().all(u8::is_ascii_hexdigit).then_some(digits)?;
        let unit = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        self.at += 6;
        Some(unit)
    }
}

/// Whether all of this is one number, as JSON writes them.
pub(super) fn is_number(text: &str) -> bool {
    number_len(text.as_bytes()) == Some(text.len())
}

/// The length of the number at the start of this.
fn number_len(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        (count > 0).then_some(from + count)
    };
    let begin = usize::from(text.first() == Some(&b'-'));
    let mut end = match text.get(begin)? {
        b'0' => begin + 1,
        _ => digits(begin)?,
    };
    if text.get(end) == Some(&b'.') {
        end = digits(end + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(end) {
        let has_sign = matches!(text.get(end + 1), Some(b'+' | b'-'));
        end = digits(end + 1 + usize::from(has_sign))?;
    }
    Some(end)
}
