//! Reads environment variables by the rules that hold for all of them: specification,
//! "Environment variable specification" and "Common".
//!
//! Empty is unset. A value that cannot be used is never guessed at: it counts as not set, so that
//! the next source applies, and a [`WrongSetting`] says so.

use std::ffi::OsString;
use std::fmt;
use std::time::Duration;

/// The reader: a lookup, and what there is to say about the values found so far.
pub(super) struct Variables<'a> {
    lookup: &'a dyn Fn(&str) -> Option<OsString>,
    /// What stands in front of the names of variables that beat those without it, the strongest last.
    prefixes: &'a [String],
    pub(super) wrong_settings: Vec<WrongSetting>,
}

/// One setting that could not be used as it was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WrongSetting {
    /// The variable, or the builder's method.
    pub(crate) setting: String,
    /// The value as it was given, secrets masked.
    pub(crate) value: String,
    /// What is wrong with it; continues the sentence `<setting>=<value> ...`.
    pub(crate) problem: String,
    /// What happens instead.
    pub(crate) instead: String,
}

impl<'a> Variables<'a> {
    pub(super) fn new(lookup: &'a dyn Fn(&str) -> Option<OsString>, prefixes: &'a [String]) -> Self {
        Self {
            lookup,
            prefixes,
            wrong_settings: Vec::new(),
        }
    }

    /// The value as the system has it, for paths. Empty is unset.
    pub(super) fn raw(&self, name: &str) -> Option<OsString> {
        self.set(name).next().map(|(_, value)| value)
    }

    /// Those of its variables that are set, the strongest first, and their values.
    fn set(&self, name: &str) -> impl Iterator<Item = (String, OsString)> + use<'a> {
        let lookup = self.lookup;
        let prefixes = self.prefixes.iter().rev().map(String::as_str);
        let names: Vec<String> = prefixes.chain([""]).map(|prefix| format!("{prefix}{name}")).collect();
        names.into_iter().filter_map(move |name| {
            let value = lookup(&name).filter(|value| !value.is_empty())?;
            Some((name, value))
        })
    }

    /// The trimmed text. Empty is unset; what is not UTF-8 too, and said to be wrong.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        let (name, value) = self.set(name).next()?;
        self.as_text(&name, value)
    }

    fn as_text(&mut self, name: &str, value: OsString) -> Option<String> {
        match value.into_string() {
            Ok(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Err(raw) => {
                // The value is not shown: it may hold a secret, and what part of it cannot be told.
                self.say(name, &format!("<{} bytes>", raw.len()), "is not UTF-8", "it is ignored");
                None
            }
        }
    }

    /// The first of `names` that holds a usable value, read by `parse`, whose error says what is
    /// wrong. `otherwise` is what applies when none does.
    pub(super) fn first<T>(
        &mut self,
        names: &[&str],
        otherwise: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let said_before = self.wrong_settings.len();
        let mut found = None;
        for (name, value) in names.iter().flat_map(|name| self.set(name)).collect::<Vec<_>>() {
            let Some(text) = self.as_text(&name, value) else {
                continue;
            };
            match parse(&text) {
                Ok(value) => {
                    found = Some((value, name));
                    break;
                }
                Err(problem) => self.say(&name, &text, &problem, otherwise),
            }
        }
        if let Some((_, name)) = &found {
            for wrong_setting in &mut self.wrong_settings[said_before..] {
                wrong_setting.instead = format!("using {name}");
            }
        }
        found.map(|(value, _)| value)
    }

    pub(super) fn say(&mut self, setting: &str, value: &str, problem: &str, instead: &str) {
        let variable = self.set(setting).next().map(|(name, _)| name);
        let wrong_setting = WrongSetting {
            setting: variable.unwrap_or_else(|| setting.to_owned()),
            value: value.to_owned(),
            problem: problem.to_owned(),
            instead: instead.to_owned(),
        };
        // One variable may stand behind several settings.
        if !self.wrong_settings.contains(&wrong_setting) {
            self.wrong_settings.push(wrong_setting);
        }
    }
}

/// "Only case-insensitive `true` is true"; other words are errors here, and mean false.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    if text.eq_ignore_ascii_case("true") {
        Ok(true)
    } else if text.eq_ignore_ascii_case("false") {
        Ok(false)
    } else {
        Err("is neither true nor false".to_owned())
    }
}

/// A whole number of milliseconds, digits only: no sign, no unit.
pub(super) fn milliseconds(text: &str) -> Result<Duration, String> {
    digits(text)
        .map(Duration::from_millis)
        .ok_or_else(|| "is not a whole number of milliseconds".to_owned())
}

/// A number of things, at least one.
pub(super) fn positive(text: &str) -> Result<u64, String> {
    digits(text)
        .filter(|&number| number > 0)
        .ok_or_else(|| "is not a whole number above 0".to_owned())
}

/// A number of things, or none.
pub(super) fn count_from_0(text: &str) -> Result<u64, String> {
    digits(text).ok_or_else(|| "is not a whole number".to_owned())
}

/// `str::parse` would take a plus sign.
fn digits(text: &str) -> Option<u64> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

impl fmt::Display for WrongSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={} {}; {}", self.setting, self.value, self.problem, self.instead)
    }
}
