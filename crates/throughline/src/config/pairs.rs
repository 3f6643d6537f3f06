//! Lists of `key=value` pairs as the OTEL_* variables hold them, and the percent coding in them.

/// `OTEL_RESOURCE_ATTRIBUTES`: keys and values percent-encoded. "In case of any error the entire
/// environment variable value SHOULD be discarded."
pub(super) fn attributes(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut pairs = Vec::new();
    for (index, entry) in text.split(',').enumerate() {
        // A comma too many at the end is the one slip that cannot be misread.
        if entry.trim().is_empty() {
            continue;
        }
        let decoded = |part: &str| String::from_utf8(percent_decoded(part.trim())?).ok();
        let pair = entry.split_once('=').and_then(|(key, value)| {
            // A second bare `=` is an error: "The `,` and `=` characters ... MUST be percent encoded".
            let value = Some(value).filter(|value| !value.contains('='))?;
            Some((decoded(key).filter(|key| !key.is_empty())?, decoded(value)?))
        });
        pairs.push(pair.ok_or_else(|| {
            format!(
                "has an entry (number {}) that is not key=value, percent-encoded",
                index + 1
            )
        })?);
    }
    Ok(pairs)
}

/// The bytes behind `%XX`; `None` where `%` is not followed by two hexadecimal digits.
pub(super) fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            decoded.push((high * 16 + low) as u8);
        } else {
            decoded.push(byte);
        }
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resource_attributes_are_all_or_nothing() {
        let pairs = |list: &[(&str, &str)]| {
            Some(
                list.iter()
                    .map(|(k, v)| (k.to_string(), v.to_string()))
                    .collect::<Vec<_>>(),
            )
        };
        for (text, expected) in [
            ("a=b", pairs(&[("a", "b")])),
            (" a = b c , d=", pairs(&[("a", "b c"), ("d", "")])),
            ("a%2Cb=c%3Dd%2C%25", pairs(&[("a,b", "c=d,%")])),
            ("name=%E2%9C%93", pairs(&[("name", "✓")])),
            ("a=b,", pairs(&[("a", "b")])),
            ("a=b=c", None),
            ("a=b,c", None),
            ("a=b,=c", None),
            ("a=b,c=%", None),
            ("a=b,c=%g0", None),
            ("a=b,c=%ff", None),
        ] {
            assert_eq!(attributes(text).ok(), expected, "{text:?}");
        }
    }
}
