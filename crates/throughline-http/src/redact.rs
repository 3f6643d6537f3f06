//! URLs without credentials and signatures (HTTP spans, `url.full` and `url.query`).

use std::borrow::Cow;

pub(crate) const REDACTED: &str = "REDACTED";

/// The list of the conventions, case-sensitive.
const SENSITIVE: [&str; 7] = [
    "AWSAccessKeyId",
    "Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "X-Amz-Signature",
    "X-Goog-Signature",
    "sig",
];

/// The keys of a query whose values are not shown.
#[derive(Clone, Debug)]
pub(crate) enum SensitiveKeys {
    Standard,
    Listed(Vec<Box<str>>),
}

impl SensitiveKeys {
    pub fn listed<K: AsRef<str>>(keys: impl IntoIterator<Item = K>) -> Self {
        Self::Listed(keys.into_iter().map(|key| key.as_ref().into()).collect())
    }

    fn contains(&self, key: &[u8]) -> bool {
        // What a server decodes is the same key.
        let decoded = match key.contains(&b'%') {
            true => Cow::Owned(percent_decoded(key)),
            false => Cow::Borrowed(key),
        };
        match self {
            Self::Standard => SENSITIVE.iter().any(|key| key.as_bytes() == &*decoded),
            Self::Listed(keys) => keys.iter().any(|key| key.as_bytes() == &*decoded),
        }
    }

    /// The query, with `REDACTED` in place of the values that are not shown. Copied only where there are some.
    pub fn redacted<'a>(&self, query: &'a str) -> Cow<'a, str> {
        // Of bytes, since a search for a `char` costs more than a short query.
        let is_hidden = |pair: &[u8]| {
            let key = pair.iter().position(|byte| *byte == b'=').map(|end| &pair[..end]);
            key.is_some_and(|key| self.contains(key))
        };
        if !query.as_bytes().split(|byte| *byte == b'&').any(is_hidden) {
            return Cow::Borrowed(query);
        }
        let mut shown = String::with_capacity(query.len());
        for (at, pair) in query.split('&').enumerate() {
            if at > 0 {
                shown.push('&');
            }
            match pair.split_once('=') {
                Some((key, _)) if self.contains(key.as_bytes()) => {
                    shown.push_str(key);
                    shown.push('=');
                    shown.push_str(REDACTED);
                }
                _ => shown.push_str(pair),
            }
        }
        Cow::Owned(shown)
    }
}

/// Writes an authority without its user and password.
pub(crate) fn push_authority(url: &mut String, authority: &str) {
    let Some((user, host)) = authority.rsplit_once('@') else {
        return url.push_str(authority);
    };
    url.push_str(REDACTED);
    if user.contains(':') {
        url.push(':');
        url.push_str(REDACTED);
    }
    url.push('@');
    url.push_str(host);
}

/// What is no valid escape stays.
pub(crate) fn percent_decoded(bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).filter(|_| byte == b'%');
        let escaped = digits.and_then(hexadecimal);
        decoded.push(escaped.unwrap_or(byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    decoded
}

fn hexadecimal(digits: &[u8]) -> Option<u8> {
    let value = |digit: &u8| char::from(*digit).to_digit(16);
    let (high, low) = (value(digits.first()?)?, value(digits.get(1)?)?);
    u8::try_from(high << 4 | low).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_keeps_its_keys_and_hides_sensitive_values() {
        let listed = SensitiveKeys::listed(["token"]);
        for (keys, query, expected) in [
            (&SensitiveKeys::Standard, "", ""),
            (&SensitiveKeys::Standard, "a=1&b=2", "a=1&b=2"),
            (&SensitiveKeys::Standard, "sig=x&a=1", "sig=REDACTED&a=1"),
            (
                &SensitiveKeys::Standard,
                "a=1&X-Amz-Signature=x=y",
                "a=1&X-Amz-Signature=REDACTED",
            ),
            (&SensitiveKeys::Standard, "Sig=x&sig", "Sig=x&sig"),
            (
                &SensitiveKeys::Standard,
                "%73ig=x&s%69%67=y&%zz=1&%7=",
                "%73ig=REDACTED&s%69%67=REDACTED&%zz=1&%7=",
            ),
            (&SensitiveKeys::Standard, "&sig=x&&sig=y", "&sig=REDACTED&&sig=REDACTED"),
            (&listed, "sig=x&token=y", "sig=x&token=REDACTED"),
        ] {
            assert_eq!(keys.redacted(query), expected, "{query}");
        }
        assert!(matches!(SensitiveKeys::Standard.redacted("a=%41"), Cow::Borrowed(_)));
        for key in SENSITIVE {
            assert_eq!(
                SensitiveKeys::Standard.redacted(&format!("{key}=secret")),
                format!("{key}=REDACTED")
            );
        }
    }

    #[test]
    fn authority_shows_no_credentials() {
        for (authority, expected) in [
            ("localhost:80", "localhost:80"),
            ("user:secret@host", "REDACTED:REDACTED@host"),
            ("user@host:1", "REDACTED@host:1"),
            ("a@b:c@host", "REDACTED:REDACTED@host"),
            ("@host", "REDACTED@host"),
        ] {
            let mut url = String::new();
            push_authority(&mut url, authority);
            assert_eq!(url, expected);
        }
    }
}
