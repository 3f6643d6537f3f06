//! Takes secrets out of a command's arguments before they are recorded.
//!
//! Arguments are seen by whoever may read traces, who are more people than those who may run `ps`. What looks like a
//! secret is replaced. A rule can only guess: it rather takes a harmless value too much than a secret too little. What is
//! recognised, and what is not, is listed for users in `docs/run.md`.

const REDACTED: &str = "[redacted]";

/// Parts of names that tell of a secret, in lower case and without separators.
const TELLING_PARTS: [&str; 12] = [
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
    "sessionid",
    "token",
];
/// The same, but only as the last word of a name: as parts they are found in harmless ones (`author`, `bypass`).
const TELLING_WORDS: [&str; 12] = [
    "auth",
    "cookie",
    "jwt",
    "key",
    "otp",
    "pass",
    "pat",
    "pw",
    "pwd",
    "setcookie",
    "sig",
    "signature",
];
/// Last words of names whose values only tell where a secret is.
const HARMLESS_WORDS: [&str; 3] = ["file", "path", "stdin"];
/// How well-known keys begin; they are long.
const KEY_BEGINNINGS: [&str; 15] = [
    "AIza",
    "dop_v1_",
    "eyJ",
    "gho_",
    "ghp_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "hf_",
    "npm_",
    "pypi-",
    "sk-",
    "sk_live_",
    "xoxb-",
    "xoxp-",
];
const KEY_LENGTH: usize = 20;
const PEM: &str = "-----BEGIN";

/// The arguments, without what looks like a secret.
pub fn arguments(arguments: &[String]) -> Vec<String> {
    let mut scanner = Scanner::default();
    arguments.iter().map(|argument| scanner.argument(argument)).collect()
}

/// Goes from word to word, over the borders of arguments, since an option and its value are two words.
#[derive(Default)]
struct Scanner {
    next: Next,
    /// Of the last word that named a program with such options.
    options: Option<&'static ShortOptions>,
}

/// What the word before said about this one.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Next {
    #[default]
    Plain,
    Secret,
    /// `user:password`
    User,
}

/// What one-letter options of a program take a secret. They mean something else elsewhere: `docker run -p 80:80`.
struct ShortOptions {
    /// How the program's name begins.
    program: &'static str,
    /// The letters of options with a secret.
    secret: &'static str,
    /// Those with `user:password`.
    user: &'static str,
    /// Whether the value may be a word of its own. To mysql `-p` alone says that it should ask.
    is_value_apart: bool,
}

const fn of(program: &'static str, secret: &'static str, user: &'static str, is_value_apart: bool) -> ShortOptions {
    ShortOptions {
        program,
        secret,
        user,
        is_value_apart,
    }
}

const SHORT_OPTIONS: [ShortOptions; 15] = [
    of("7z", "p", "", false),
    of("curl", "b", "uU", true),
    of("ipmitool", "P", "", true),
    of("ldap", "w", "", true),
    of("login", "p", "", true),
    of("mariadb", "p", "", false),
    of("mongo", "p", "", true),
    of("mosquitto_", "P", "", true),
    of("mysql", "p", "", false),
    of("openssl", "kK", "", true),
    of("redis-cli", "a", "", true),
    of("sqlcmd", "P", "", true),
    of("sshpass", "p", "", true),
    of("unzip", "P", "", true),
    of("zip", "P", "", true),
];

impl Scanner {
    fn argument(&mut self, argument: &str) -> String {
        if let Some(shown) = self.whole(argument) {
            self.next = Next::Plain;
            return shown;
        }
        let without_pem = match argument.find(PEM) {
            Some(at) => format!("{}{REDACTED}", &argument[..at]),
            None => argument.to_owned(),
        };
        self.words(&without_assignments(&without_user_info(&without_pem)))
    }

    /// What is shown of an argument of which all, or all behind its name, is a secret, whatever characters that has.
    fn whole(&mut self, argument: &str) -> Option<String> {
        match self.next {
            Next::Secret if !is_option(argument) => return Some(REDACTED.to_owned()),
            Next::User if !is_option(argument) => {
                let (user, _) = argument.split_once(':')?;
                return Some(format!("{user}:{REDACTED}"));
            }
            _ => {}
        }
        if let Some((option @ ("--user" | "--proxy-user"), value)) = argument.split_once('=') {
            let (user, _) = value.split_once(':')?;
            return Some(format!("{option}={user}:{REDACTED}"));
        }
        if let Some((name, value)) = argument.split_once('=') {
            let is_begin = |c: char| c.is_alphabetic() || matches!(c, '-' | '_');
            let is_name = name.starts_with(is_begin) && name_at_end(name.trim_end()).0 == name.trim_end();
            // What begins with a quote is a script's: there the quotes tell where it ends.
            let is_all = !value.is_empty() && !value.trim_start().starts_with(['"', '\'', '\\']);
            if is_name && is_all && is_telling(name.trim_end()) {
                return Some(format!("{name}={REDACTED}"));
            }
        }
        // A value of its own follows in the next argument.
        if argument.len() > 2 {
            self.short_option(argument)
        } else {
            None
        }
    }

    /// The text without secrets that are words, as in `sh -c 'x --token y'`.
    fn words(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        loop {
            let space = rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len());
            out.push_str(&rest[..space]);
            rest = &rest[space..];
            if rest.is_empty() {
                return out;
            }
            let word = &rest[..value_end(rest, char::is_whitespace)];
            let (shown, length) = self.word(word, rest);
            out.push_str(&shown);
            rest = &rest[length..];
        }
    }

    /// What is shown of the next word, and how much of the text it stands for. A word that begins with a quote goes on
    /// to the next one when it is a secret; otherwise what is quoted is looked at word for word.
    fn word(&mut self, quoted: &str, rest: &str) -> (String, usize) {
        let plain_length = rest.find(char::is_whitespace).unwrap_or(rest.len());
        let plain = &rest[..plain_length];
        match std::mem::take(&mut self.next) {
            Next::Secret if !is_option(plain) => return (REDACTED.to_owned(), quoted.len()),
            Next::User => {
                if let Some((user, _)) = plain.split_once(':') {
                    return (format!("{user}:{REDACTED}"), quoted.len().max(plain_length));
                }
            }
            Next::Plain | Next::Secret => {}
        }
        let core = plain.trim_matches(|c: char| "\"'`()$;{}[],".contains(c));
        if is_known_key(core) {
            return (plain.replace(core, REDACTED), plain_length);
        }
        if let Some((option @ ("--user" | "--proxy-user"), value)) = core.split_once('=') {
            if let Some((user, _)) = value.split_once(':') {
                return (format!("{option}={user}:{REDACTED}"), plain_length);
            }
        }
        if let Some(shown) = self.short_option(core) {
            let before = plain.find(core).unwrap_or(0);
            // The value, behind two letters, may be quoted with spaces in it: all of it goes.
            let value = before + 2;
            let length = value + value_end(&rest[value..], char::is_whitespace);
            return (format!("{}{shown}", &plain[..before]), length);
        }
        let is_named = is_option(core) && !core.contains('=') && is_telling(core);
        if is_named || core.eq_ignore_ascii_case("bearer") {
            self.next = Next::Secret;
        } else if matches!(core, "-u" | "--user" | "--proxy-user") {
            self.next = Next::User;
        }
        let name = core.rsplit('/').next().unwrap_or(core);
        if let Some(options) = SHORT_OPTIONS.iter().find(|options| name.starts_with(options.program)) {
            self.options = Some(options);
        }
        (plain.to_owned(), plain_length)
    }

    /// A one-letter option of a known program: with its value in the same word, what is shown of that.
    fn short_option(&mut self, word: &str) -> Option<String> {
        let options = self.options?;
        let letter = word.strip_prefix('-')?.chars().next().filter(char::is_ascii)?;
        let (option, value) = word.split_at(2);
        let (is_secret, is_user) = (options.secret.contains(letter), options.user.contains(letter));
        match (value, is_secret, is_user) {
            ("", true, _) if options.is_value_apart => self.next = Next::Secret,
            ("", _, true) => self.next = Next::User,
            ("", ..) => {}
            (_, true, _) => return Some(format!("{option}{REDACTED}")),
            (_, _, true) => {
                let (user, _) = value.split_once(':')?;
                return Some(format!("{option}{user}:{REDACTED}"));
            }
            _ => {}
        }
        None
    }
}

/// Replaces the values of `name=value`, `name: value` and `"name":"value"` with a telling name.
fn without_assignments(argument: &str) -> String {
    let mut out = String::with_capacity(argument.len());
    let mut rest = argument;
    while let Some(at) = rest.find(['=', ':']) {
        let done = argument.len() - rest.len();
        let (before, sign) = (&argument[..done + at], rest.as_bytes()[at]);
        out.push_str(&rest[..=at]);
        rest = &rest[at + 1..];
        if sign == b':' && rest.starts_with(':') {
            // `auth::login` is a path.
            out.push(':');
            rest = &rest[1..];
            continue;
        }
        let (name, is_quoted) = name_at_end(before);
        if !is_telling(name) {
            continue;
        }
        let space = rest.find(|c: char| c != ' ').unwrap_or(rest.len());
        let length = match (sign, is_quoted) {
            // JSON, also in a string of a shell or of a program.
            (_, true) => space + value_end(&rest[space..], |c| ",}] \n".contains(c)),
            // A header's value holds spaces: `Authorization: Bearer x`. It ends with its quotes, or not at all.
            (b':', false) => header_end(before, name, rest),
            _ => value_end(rest, |c| "&;, \n\"')".contains(c)),
        };
        if length > 0 {
            out.push_str(REDACTED);
        }
        rest = &rest[length..];
    }
    out + rest
}

/// The name that the text ends with, and whether a quote follows it.
fn name_at_end(text: &str) -> (&str, bool) {
    let trimmed = text.trim_end();
    let unquoted = trimmed.trim_end_matches(['"', '\'', '\\']);
    let is_quoted = unquoted.len() < trimmed.len();
    let text = if is_quoted { unquoted } else { text };
    let is_of_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    (text.rsplit(|c| !is_of_name(c)).next().unwrap_or_default(), is_quoted)
}

/// Where a value ends: at the first place that `is_end`, but for what is quoted or escaped. One that begins with a bracket or
/// with a command of a shell goes on to the end of the text.
fn value_end(text: &str, is_end: impl Fn(char) -> bool) -> usize {
    if text.starts_with(['{', '[', '(', '`']) || text.starts_with("$(") {
        return text.len();
    }
    let mut at = 0;
    while let Some(next) = text[at..].chars().next() {
        let rest = &text[at..];
        match quoted_len(rest) {
            Some(len) => at += len,
            None if is_end(next) => return at,
            None => at += next.len_utf8(),
        }
    }
    text.len()
}

/// The length of what is quoted at the start of this, quotes included, or of a character behind a backslash.
fn quoted_len(text: &str) -> Option<usize> {
    let unescaped = text.trim_start_matches('\\');
    let escapes = text.len() - unescaped.len();
    let first = unescaped.chars().next();
    let Some(quote) = first.filter(|c| matches!(c, '"' | '\'' | '`')) else {
        // A backslash keeps the character behind it from ending anything.
        return (escapes > 0).then(|| escapes + first.map_or(0, char::len_utf8));
    };
    let closing = format!("{}{quote}", &text[..escapes]);
    let mut at = escapes + 1;
    while let Some(found) = text[at..].find(&closing) {
        at += found + closing.len();
        let is_escaped = text[..at - closing.len()].ends_with('\\');
        if !is_escaped {
            return Some(at);
        }
    }
    // It never closes.
    Some(text.len())
}

/// Where a header's value ends: with the quote that its name began with, or at the end.
fn header_end(before: &str, name: &str, value: &str) -> usize {
    let quote = before[..before.len() - name.len()].chars().next_back();
    let quote = quote.filter(|c| matches!(c, '"' | '\''));
    quote.and_then(|quote| value.find(quote)).unwrap_or(value.len())
}

/// Replaces what stands between `://` and the `@` of each URL.
fn without_user_info(argument: &str) -> String {
    let mut out = String::with_capacity(argument.len());
    let mut rest = argument;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end_of = |is_end: fn(char) -> bool| after.find(is_end).unwrap_or(after.len());
        let authority = end_of(|c| matches!(c, '/' | '?' | '#') || c.is_whitespace());
        // A password may hold what would end the authority, had it been encoded.
        let word = end_of(|c| matches!(c, '"' | '\'' | '`') || c.is_whitespace());
        let has_password = after[..authority].contains(':');
        let user_info = after[..authority].rfind('@').or_else(|| match has_password {
            true => after[..word].rfind('@'),
            false => None,
        });
        rest = match user_info {
            Some(user_info) => {
                out.push_str(REDACTED);
                &after[user_info..]
            }
            None => after,
        };
    }
    out + rest
}

/// `-x` or `--long-name`, maybe with a value; not a secret that happens to begin with `-`.
fn is_option(word: &str) -> bool {
    let name = word.split('=').next().unwrap_or_default();
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    match name.strip_prefix("--") {
        Some(long) => long.starts_with(|c: char| c.is_ascii_alphabetic()) && long.chars().all(is_of_name),
        // One letter, or a long name as Go and Java programs have them.
        None => name
            .strip_prefix('-')
            .is_some_and(|name| name.chars().all(|c| c.is_ascii_alphabetic() || c == '-') && !name.starts_with('-')),
    }
}

fn is_known_key(word: &str) -> bool {
    word.len() >= KEY_LENGTH && KEY_BEGINNINGS.iter().any(|beginning| word.starts_with(beginning))
}

fn is_telling(name: &str) -> bool {
    let words = words_of(name);
    let last = words.last().map_or("", String::as_str);
    let whole = words.concat();
    !HARMLESS_WORDS.contains(&last)
        && (TELLING_WORDS.contains(&last)
            || TELLING_WORDS.contains(&whole.as_str())
            || TELLING_PARTS.iter().any(|part| whole.contains(part)))
}

/// The words of `DB_PASSWORD`, `api-key` or `clientSecret`, in lower case.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || was_lower && c.is_uppercase() {
            words.push(String::new());
        }
        was_lower = c.is_lowercase();
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is recorded of arguments, which are given with `|` between them.
    fn recorded(given: &str) -> String {
        let given: Vec<_> = given.split('|').map(str::to_owned).collect();
        arguments(&given).join("|")
    }

    #[test]
    fn secrets_are_replaced_and_nothing_else() {
        for (given, kept) in [
            // Options and their values.
            ("a|--token|hunter2|b", "a|--token|[redacted]|b"),
            ("a|--token=hunter2|b", "a|--token=[redacted]|b"),
            ("a|--Api-Key|hunter2", "a|--Api-Key|[redacted]"),
            ("a|--apiKey|hunter2", "a|--apiKey|[redacted]"),
            ("a|-p|80:80|--auth|hunter2", "a|-p|80:80|--auth|[redacted]"),
            ("a|--password|-hunter2", "a|--password|[redacted]"),
            ("a|--password|-- hunter2", "a|--password|[redacted]"),
            (
                "a|--private-key|-----BEGIN X-----\nhunter2",
                "a|--private-key|[redacted]",
            ),
            ("a|-----BEGIN X-----\nhunter2", "a|[redacted]"),
            // Assignments.
            ("PGPASSWORD=hunter2|psql", "PGPASSWORD=[redacted]|psql"),
            (
                "STRIPE_KEY=hunter2|GITHUB_PAT=hunter2",
                "STRIPE_KEY=[redacted]|GITHUB_PAT=[redacted]",
            ),
            (
                "-eDB_PASS=hunter2|-DdbPass=hunter2",
                "-eDB_PASS=[redacted]|-DdbPass=[redacted]",
            ),
            // A password may hold whatever separates things elsewhere.
            ("a|password=x;hunter2", "a|password=[redacted]"),
            ("--password=x&hunter2", "--password=[redacted]"),
            ("--password=x, hunter2)", "--password=[redacted]"),
            ("env|PGPASSWORD=correct hunter2|true", "env|PGPASSWORD=[redacted]|true"),
            ("password = hunter2", "password =[redacted]"),
            ("user=y;password=hunter2;q=1", "user=y;password=[redacted];q=1"),
            ("PASSWORD=\"x\"\"hunter2\" y", "PASSWORD=[redacted] y"),
            ("password='x'hunter2", "password=[redacted]"),
            ("--set-json=auth={\"a\":\"hunter2\"}", "--set-json=auth=[redacted]"),
            ("-u|me:x hunter2", "-u|me:[redacted]"),
            ("--user=me:x hunter2", "--user=me:[redacted]"),
            ("sshpass|-px hunter2|true", "sshpass|-p[redacted]|true"),
            (
                "sh|-c|export TOKEN=$(echo hunter2); true",
                "sh|-c|export TOKEN=[redacted]",
            ),
            (
                "sh|-c|x; PASSWORD=x\\ hunter2 true",
                "sh|-c|x; PASSWORD=[redacted] true",
            ),
            ("a|password=\"x hunter2\" user=y", "a|password=[redacted] user=y"),
            // URLs.
            ("https://h/p?api_key=hunter2&q=1", "https://h/p?api_key=[redacted]&q=1"),
            (
                "https://h/?X-Amz-Signature=hunter2&q=1",
                "https://h/?X-Amz-Signature=[redacted]&q=1",
            ),
            ("https://h/?sv=1&sig=hunter2", "https://h/?sv=1&sig=[redacted]"),
            (
                "git|clone|https://u:hunter2@h/r.git",
                "git|clone|https://[redacted]@h/r.git",
            ),
            ("a|http://h/x@y|http://hunter2@h", "a|http://h/x@y|http://[redacted]@h"),
            ("postgres://u:x/hunter2@h/d", "postgres://[redacted]@h/d"),
            ("postgres://u:x?hunter2#@h/d", "postgres://[redacted]@h/d"),
            ("http://h:80/p http://h:80/q", "http://h:80/p http://h:80/q"),
            // Headers.
            ("-H|Authorization: Bearer hunter2 y", "-H|Authorization:[redacted]"),
            ("X-Api-Key:hunter2|Host: h:80", "X-Api-Key:[redacted]|Host: h:80"),
            ("Bearer hunter2", "Bearer [redacted]"),
            // JSON.
            (
                r#"-d|{"password":"hunter2","q":1}"#,
                r#"-d|{"password":[redacted],"q":1}"#,
            ),
            (
                r#"{"password" : "x hunter2", "q":1}"#,
                r#"{"password" :[redacted], "q":1}"#,
            ),
            (r#"{"token":"x\"hunter2","q":1}"#, r#"{"token":[redacted],"q":1}"#),
            (
                r#"{\"token\":\"x hunter2\",\"q\":1}"#,
                r#"{\"token\":[redacted],\"q\":1}"#,
            ),
            ("{'pin':1,'secret':hunter2}", "{'pin':1,'secret':[redacted]}"),
            // Scripts.
            ("sh|-c|x --password hunter2", "sh|-c|x --password [redacted]"),
            ("sh|-c|x --password 'a hunter2' b", "sh|-c|x --password [redacted] b"),
            (
                "sh|-c|x \"--password\" \"a hunter2\"",
                "sh|-c|x \"--password\" [redacted]",
            ),
            ("sh|-c|TOKEN='a hunter2' x; y", "sh|-c|TOKEN=[redacted] x; y"),
            ("sh|-c|sh -c 'x --token hunter2'", "sh|-c|sh -c 'x --token [redacted]"),
            (
                "sh|-c|curl -H 'Authorization: Bearer hunter2' h",
                "sh|-c|curl -H 'Authorization:[redacted]' h",
            ),
            ("sh|-c|mysql -phunter2 db", "sh|-c|mysql -p[redacted] db"),
            ("sh|-c|/bin/mysql -p'a hunter2' db", "sh|-c|/bin/mysql -p[redacted] db"),
            // One-letter options.
            ("mysql|-phunter2|db", "mysql|-p[redacted]|db"),
            (
                "sudo|/usr/bin/mysqldump|-phunter2",
                "sudo|/usr/bin/mysqldump|-p[redacted]",
            ),
            ("mysql|-p|db", "mysql|-p|db"),
            ("curl|-u|me:hunter2|url", "curl|-u|me:[redacted]|url"),
            ("curl|-ume:hunter2|url", "curl|-ume:[redacted]|url"),
            ("curl|--user=me:hunter2", "curl|--user=me:[redacted]"),
            ("docker|login|-u|me|-p|hunter2", "docker|login|-u|me|-p|[redacted]"),
            ("redis-cli|-a|hunter2|ping", "redis-cli|-a|[redacted]|ping"),
            ("openssl|-passin|pass:hunter2", "openssl|-passin|pass:[redacted]"),
            // Keys that are known by their beginning.
            ("gh|ghp_0123456789abcdefhunter2", "gh|[redacted]"),
            // What is no secret.
            ("ls|-l|/tmp", "ls|-l|/tmp"),
            ("a|--token|--verbose|x", "a|--token|--verbose|x"),
            ("a|--author|me|--bypass|x", "a|--author|me|--bypass|x"),
            ("a|--password=", "a|--password="),
            ("docker|login|--password-stdin|h", "docker|login|--password-stdin|h"),
            ("docker|run|-p|80:80", "docker|run|-p|80:80"),
            ("cargo|test|auth::login", "cargo|test|auth::login"),
            ("git|commit|-m|it's a new token", "git|commit|-m|it's a new token"),
            ("mkdir|-p|x", "mkdir|-p|x"),
        ] {
            let recorded = recorded(given);
            assert!(!recorded.contains("hunter2"), "{given}: {recorded}");
            assert_eq!(recorded, kept);
        }
    }

    #[test]
    fn arguments_of_any_shape_do_no_harm() {
        // Quotes, signs and multi-byte characters in every order.
        let parts = [
            "'", "\"", "\\", "=", ":", " ", "-", "é", "token", "://", "@", "-p", "mysql",
        ];
        for first in parts {
            for second in parts {
                for third in parts {
                    recorded(&[first, second, third].concat());
                    recorded(&[first, second, "|", third, first].concat());
                }
            }
        }
    }
}
