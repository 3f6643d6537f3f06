//! Filters: which spans a command is about.

use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use throughline_wire::any_value::KeyValues;
use throughline_wire::{AnyValueView, SpanView, StatusCode};

use crate::origin::Origin;

/// The options that choose spans. A span is chosen when all of them say so.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Filters")]
pub struct Filter {
    /// Only spans of this service; `*` stands for any text; may be given again for others
    #[arg(id = "service", long, value_name = "NAME")]
    services: Vec<Pattern>,

    /// Only spans of this name; `*` stands for any text; may be given again for others
    #[arg(id = "name", long, value_name = "NAME")]
    names: Vec<Pattern>,

    /// Only spans whose status is an error
    #[arg(id = "error", long)]
    is_error: bool,

    /// Only spans that took at least so long, such as 10ms; open spans have no duration yet
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    min_duration: Option<u64>,

    /// Only spans that took at most so long, such as 1.5s
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    max_duration: Option<u64>,

    /// Only spans that, or whose resource, have this attribute, and that value if one is given; may be given again: all of them
    #[arg(id = "attribute", long, value_name = "KEY[=VALUE]")]
    attributes: Vec<Attribute>,

    /// Only spans that began then or later: so long ago, such as 10m, or a time, such as 2026-11-21T04:03:48Z
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<u64>,

    /// Only spans that began before then; as --since
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<u64>,
}

impl Filter {
    /// Whether it chooses all spans.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
            && self.names.is_empty()
            && !self.is_error
            && self.min_duration.or(self.max_duration).is_none()
            && self.attributes.is_empty()
            && self.since.or(self.until).is_none()
    }

    /// Whether it chooses only spans that began at some time or later.
    pub fn has_since(&self) -> bool {
        self.since.is_some()
    }

    /// Whether it chooses this span.
    pub fn matches(&self, span: &SpanView<'_>, service: &str, origin: &Origin) -> bool {
        let is_one_of = |patterns: &[Pattern], text: &str| {
            patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(text))
        };
        is_one_of(&self.services, service)
            && (self.names.is_empty() || is_one_of(&self.names, span.name()))
            && (!self.is_error || span.status().0 == StatusCode::Error)
            && self.matches_times(span)
            && self
                .attributes
                .iter()
                .all(|wanted| wanted.is_among(span.attributes()) || wanted.is_among(origin.resource_attributes()))
    }

    fn matches_times(&self, span: &SpanView<'_>) -> bool {
        if self
            .since
            .or(self.until)
            .or(self.min_duration)
            .or(self.max_duration)
            .is_none()
        {
            return true;
        }
        let (start, end) = (span.start_time_unix_nano(), span.end_time_unix_nano());
        let is_duration_right = || {
            end != 0 && {
                let took = end.saturating_sub(start);
                self.min_duration.is_none_or(|least| took >= least) && self.max_duration.is_none_or(|most| took <= most)
            }
        };
        self.since.is_none_or(|since| start >= since)
            && self.until.is_none_or(|until| start < until)
            && (self.min_duration.or(self.max_duration).is_none() || is_duration_right())
    }
}

/// A text in which `*` stands for any text, an empty one too.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern(String);

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("a name cannot be empty".to_owned()),
            _ => Ok(Self(text.to_owned())),
        }
    }
}

impl Pattern {
    fn matches(&self, text: &str) -> bool {
        let Some((prefix, rest)) = self.0.split_once('*') else {
            return self.0 == text;
        };
        let Some(mut text) = text.strip_prefix(prefix) else {
            return false;
        };
        let mut parts = rest.split('*');
        let suffix = parts.next_back().unwrap_or_default();
        for part in parts {
            match text.split_once(part) {
                Some((_, behind)) => text = behind,
                None => return false,
            }
        }
        text.ends_with(suffix)
    }
}

/// An attribute's key, and the value it has to have, if that matters.
#[derive(Clone, Debug, PartialEq)]
struct Attribute {
    key: String,
    value: Option<Wanted>,
}

/// A value as it was given, and what else than text it can mean.
#[derive(Clone, Debug, PartialEq)]
struct Wanted {
    text: String,
    whole: Option<i64>,
    number: Option<f64>,
}

impl FromStr for Attribute {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (key, value) = match text.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (text, None),
        };
        if key.is_empty() {
            return Err("an attribute has to be KEY or KEY=VALUE".to_owned());
        }
        let value = value.map(|value| Wanted {
            text: value.to_owned(),
            whole: value.parse().ok(),
            number: value.parse().ok(),
        });
        Ok(Self {
            key: key.to_owned(),
            value,
        })
    }
}

impl Attribute {
    fn is_among(&self, mut attributes: KeyValues<'_>) -> bool {
        attributes.any(|(key, value)| key == self.key && self.value.as_ref().is_none_or(|wanted| wanted.is(&value)))
    }
}

impl Wanted {
    /// Whether it is this value, or one of this array's.
    fn is(&self, value: &AnyValueView<'_>) -> bool {
        match value {
            AnyValueView::Str(text) => *text == self.text,
            AnyValueView::Bool(value) => self.text == if *value { "true" } else { "false" },
            AnyValueView::I64(value) => self.whole == Some(*value),
            AnyValueView::F64(value) => self.number == Some(*value),
            AnyValueView::Array(values) => values.iter().any(|value| self.is(&value)),
            AnyValueView::Empty => self.text.is_empty(),
            AnyValueView::Bytes(_) | AnyValueView::Map(_) => false,
        }
    }
}

/// A duration as people write it, in nanoseconds.
pub fn parse_duration(text: &str) -> Result<u64, String> {
    let days = |text: &str| text.trim_end().strip_suffix('d')?.trim_end().parse::<u32>().ok();
    let duration = match days(text) {
        Some(days) => Some(SignedDuration::from_hours(24 * i64::from(days))),
        None => text.parse::<SignedDuration>().ok(),
    };
    duration
        .and_then(|duration| u64::try_from(duration.as_nanos()).ok())
        .ok_or_else(|| "expected a number with a unit (ns, us, ms, s, m, h, d), such as 10ms or 1.5s".to_owned())
}

/// A time as people write it, in nanoseconds since 1970: so long ago, with its zone, or in the local one.
pub fn parse_time(text: &str) -> Result<u64, String> {
    let ago = || {
        let ago = SignedDuration::from_nanos(i64::try_from(parse_duration(text).ok()?).ok()?);
        Timestamp::now().checked_sub(ago).ok()
    };
    let local = || {
        let time: DateTime = text.parse().ok()?;
        TimeZone::system().to_timestamp(time).ok()
    };
    // A zone that is given must not be passed over: it is tried first.
    let time = text.parse().ok().or_else(ago).or_else(local);
    time.and_then(|time: Timestamp| u64::try_from(time.as_nanosecond()).ok())
        .ok_or_else(|| "expected so long ago, such as 10m, or a time, such as 2026-11-21T04:03:48Z".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use throughline_wire::{Value, encode, encode_resource};

    use super::*;
    use crate::trace::tests::{Made, span};

    #[derive(clap::Parser)]
    struct Options {
        #[command(flatten)]
        filter: Filter,
    }

    fn filter(options: &[&str]) -> Filter {
        let arguments = std::iter::once("test").chain(options.iter().copied());
        Options::try_parse_from(arguments).unwrap().filter
    }

    fn with(made: Made, key: &str, value: &Value<'_>) -> Made {
        let mut field = vec![0; encode::attribute_len(key, value)];
        encode::write_attribute(&mut field, key, value);
        made.with(&field)
    }

    #[test]
    fn span_is_chosen_when_every_option_says_so() {
        // Service `a`, from 1.005 s to 1.025 s after 1970.
        let mut made = span(1, "GET /users/7", 5, 25).error("it failed");
        for (key, value) in [
            ("http.route", Value::from("/users/{id}")),
            ("size", Value::I64(7)),
            ("ratio", Value::F64(0.5)),
            ("cached", Value::Bool(true)),
            ("args", Value::StrArray(&["make", "test"])),
        ] {
            made = with(made, key, &value);
        }
        let origin = Origin::new(throughline_spool::Source {
            resource: encode_resource(&[("host.name", Value::from("h1"))]).into(),
            ..Default::default()
        });
        for (options, is_chosen) in [
            (&[][..], true),
            (&["--service", "a"], true),
            (&["--service", "b"], false),
            (&["--service", "b", "--service", "a"], true),
            (&["--name", "GET /users/7"], true),
            (&["--name", "GET"], false),
            (&["--name", "GET *"], true),
            (&["--name", "*users*"], true),
            (&["--name", "*/*/8"], false),
            (&["--error"], true),
            (&["--min-duration", "20ms"], true),
            (&["--min-duration", "20.1ms"], false),
            (&["--max-duration", "20ms"], true),
            (&["--max-duration", "19999us"], false),
            (&["--attribute", "size"], true),
            (&["--attribute", "sizes"], false),
            (&["--attribute", "size=7"], true),
            (&["--attribute", "size=8"], false),
            (&["--attribute", "ratio=0.50"], true),
            (&["--attribute", "cached=true"], true),
            (&["--attribute", "cached=yes"], false),
            (&["--attribute", "args=test"], true),
            (&["--attribute", "http.route=/users/{id}"], true),
            (&["--attribute", "host.name=h1"], true),
            (&["--attribute", "host.name=h1", "--attribute", "size=8"], false),
            (&["--since", "1970-01-01T00:00:01.005Z"], true),
            (&["--since", "1970-01-01T00:00:01.006Z"], false),
            (&["--until", "1970-01-01T00:00:01.005Z"], false),
            (&["--until", "1970-01-01T00:00:01.006Z"], true),
            (&["--since", "1m"], false),
            (&["--until", "1m"], true),
            (&["--service", "a", "--error", "--min-duration", "1s"], false),
        ] {
            let filter = filter(options);
            let stored = &made.0;
            let matches = filter.matches(&stored.view(), &stored.service, &origin);
            assert_eq!(matches, is_chosen, "{options:?}");
            assert_eq!(filter.is_empty(), options.is_empty());
        }
    }

    #[test]
    fn pattern_star_stands_for_any_text() {
        for (pattern, text, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("a*", "a", true),
            ("*a", "ba", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a**c", "ac", true),
        ] {
            assert_eq!(Pattern(pattern.to_owned()).matches(text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn durations_are_read_with_their_units() {
        for (text, nanos) in [
            ("5ns", Ok(5)),
            ("5us", Ok(5_000)),
            ("5µs", Ok(5_000)),
            ("1.5s", Ok(1_500_000_000)),
            ("1h 30m", Ok(5_400_000_000_000)),
            ("2d", Ok(172_800_000_000_000)),
            ("10", Err(())),
            ("-1s", Err(())),
            ("", Err(())),
            ("soon", Err(())),
        ] {
            assert_eq!(parse_duration(text).map_err(drop), nanos, "{text}");
        }
    }

    #[test]
    fn times_are_read_with_their_zone() {
        assert_eq!(parse_time("1970-01-01T01:00:02+01:00"), Ok(2_000_000_000));
        assert_eq!(parse_time("1970-01-02T00:00:00Z"), Ok(86_400_000_000_000));
        let now = u64::try_from(Timestamp::now().as_nanosecond()).unwrap();
        let ago = now - parse_time("10m").unwrap();
        assert!((599_000_000_000..=600_000_000_000).contains(&ago), "{ago}");
        assert!(parse_time("2026-11-21 04:03:48").is_ok());
        for text in ["yesterday", "", "1969-01-01T00:00:00Z"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }
}
