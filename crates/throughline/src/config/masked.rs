//! URLs as they may be shown.

/// `url` as it may be shown, whether or not it can be parsed: without user, password and query.
pub(crate) fn masked(url: &str) -> String {
    let (scheme, rest) = url.split_at(url.find("://").map_or(0, |end| end + 3));
    // The last `@` first: a password may hold any character that nobody encoded.
    let (user, rest) = match rest.rsplit_once('@') {
        Some((_, rest)) => ("***@", rest),
        None => ("", rest),
    };
    let (rest, query) = match rest.split_once(['?', '#']) {
        Some((rest, _)) => (rest, "?***"),
        None => (rest, ""),
    };
    format!("{scheme}{user}{rest}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masked_url_holds_no_secret() {
        for (url, shown) in [
            ("http://h:1/x", "http://h:1/x"),
            ("http://u:s3cret@h:1/x", "http://***@h:1/x"),
            ("http://u:s3/cr@et@h:1/x", "http://***@h:1/x"),
            ("https://h/x?key=s3cret", "https://h/x?***"),
            ("http://u:s3?cr#et@h/x?key=s3cret", "http://***@h/x?***"),
            ("u:s3cret@h", "***@h"),
            ("", ""),
        ] {
            assert_eq!(masked(url), shown);
        }
    }
}
