//! Takes secrets out of a command's arguments before they are recorded.
//!
//! Arguments are seen by whoever may read traces, who are more people than those who may run `ps`. What looks like a
//! secret is replaced: values of options and assignments with a telling name (`--token x`, `PASSWORD=x`,
//! `Authorization: x`, `?api_key=x`), and whatever stands before the `@` of a URL. A rule can only guess: it takes a
//! harmless value too much rather than a secret too little, and does not know one-letter options, `-u` of curl apart.

const REDACTED: &str = "[redacted]";

/// Parts of names that tell of a secret, in lower case and without separators.
const TELLING_PARTS: [&str; 11] = [
    "accesskey",
    "apikey",
    "authorization",
    "bearer",
    "credential",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "secret",
    "token",
];
/// The same, but only as a whole name: as parts they are found in harmless ones (`author`, `bypass`).
const TELLING_NAMES: [&str; 7] = ["auth", "cookie", "key", "pass", "pw", "pwd", "setcookie"];

/// The arguments, without what looks like a secret.
pub fn arguments(arguments: &[String]) -> Vec<String> {
    let mut next_is_secret = false;
    let mut next_is_user = false;
    let redact = |argument: &String| {
        let is_option = argument.starts_with('-');
        if std::mem::take(&mut next_is_secret) && !is_option {
            return REDACTED.to_owned();
        }
        if std::mem::take(&mut next_is_user) {
            if let Some((user, _)) = argument.split_once(':') {
                return format!("{user}:{REDACTED}");
            }
        }
        next_is_secret = is_option && !argument.contains('=') && is_telling(argument);
        next_is_user = matches!(argument.as_str(), "-u" | "--user");
        without_assignments(&without_user_info(argument))
    };
    arguments.iter().map(redact).collect()
}

/// Replaces the values of `name=value` and `name: value` with a telling name.
fn without_assignments(argument: &str) -> String {
    let mut out = String::with_capacity(argument.len());
    let mut rest = argument;
    while let Some(at) = rest.find(['=', ':']) {
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        let name = before.rsplit(|c: char| !is_of_name(c)).next().unwrap_or_default();
        out.push_str(&rest[..=at]);
        rest = after;
        if !is_telling(name) {
            continue;
        }
        let is_header = argument.as_bytes()[argument.len() - rest.len() - 1] == b':';
        let value = match is_header {
            // A header's value holds spaces: `Authorization: Bearer x`.
            true => rest.len(),
            false => rest.find(['&', ';', ',', ' ', '\n']).unwrap_or(rest.len()),
        };
        if value > 0 {
            out.push_str(REDACTED);
        }
        rest = &rest[value..];
    }
    out + rest
}

/// Replaces what stands between `://` and the `@` of each URL.
fn without_user_info(argument: &str) -> String {
    let mut out = String::with_capacity(argument.len());
    let mut rest = argument;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let authority = after.find(['/', '?', '#', ' ']).unwrap_or(after.len());
        rest = match after[..authority].rfind('@') {
            Some(user_info) => {
                out.push_str(REDACTED);
                &after[user_info..]
            }
            None => after,
        };
    }
    out + rest
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '.')
}

fn is_telling(name: &str) -> bool {
    let letters = name.chars().filter(|c| c.is_alphanumeric());
    let name: String = letters.flat_map(char::to_lowercase).collect();
    TELLING_NAMES.contains(&name.as_str()) || TELLING_PARTS.iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_replaced_and_nothing_else() {
        for (given, kept) in [
            ("ls -l /tmp", "ls -l /tmp"),
            ("a --token x b", "a --token [redacted] b"),
            ("a --token=x b", "a --token=[redacted] b"),
            ("a --Api-Key x", "a --Api-Key [redacted]"),
            ("a --api_key x", "a --api_key [redacted]"),
            ("a --token --verbose x", "a --token --verbose x"),
            ("PGPASSWORD=x psql", "PGPASSWORD=[redacted] psql"),
            ("a password=x;user=y", "a password=[redacted];user=y"),
            ("a https://h/p?api_key=x&q=1", "a https://h/p?api_key=[redacted]&q=1"),
            ("git clone https://u:p@h/r.git", "git clone https://[redacted]@h/r.git"),
            ("a http://h/x@y http://p@h", "a http://h/x@y http://[redacted]@h"),
            ("curl -u me:x url", "curl -u me:[redacted] url"),
            ("a --author me --bypass x", "a --author me --bypass x"),
            ("a -p 80:80 --auth x", "a -p 80:80 --auth [redacted]"),
            ("a --password=", "a --password="),
        ] {
            let given: Vec<_> = given.split(' ').map(str::to_owned).collect();
            assert_eq!(arguments(&given).join(" "), kept);
        }
    }

    #[test]
    fn a_header_is_replaced_to_its_end() {
        let given = ["-H", "Authorization: Bearer x y", "X-Api-Key:x", "Host: h:80"].map(str::to_owned);
        let kept = ["-H", "Authorization:[redacted]", "X-Api-Key:[redacted]", "Host: h:80"];
        assert_eq!(arguments(&given), kept);
    }
}
