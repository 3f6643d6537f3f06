//! `throughline span`: a span of what a shell script did.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use throughline::{Context, Span, SpanKind};
use throughline_wire::environment::pairs;
use throughline_wire::{SpanContext, traceparent};

use crate::exit::{Failure, USAGE, print};
use crate::filter::parse_time;

/// Record a span of a shell script.
///
/// The span has ended when this command has. It is a child of what TRACEPARENT (with TRACESTATE and BAGGAGE) or --parent
/// names, else the first of a new trace, and goes where spans of other programs go: the spool, and the backend of
/// OTEL_EXPORTER_OTLP_ENDPOINT.
#[derive(clap::Args)]
#[command(after_help = "\
Fields of --json: traceId, spanId, parentSpanId (null for a root), traceparent.

Examples:
  start=$(date +%s.%N); ./build.sh; throughline span build --start $start
  throughline span deploy --service ci --attribute target=production --status error --message 'no such host'
  eval \"$(throughline inject)\"; throughline span first; throughline span second")]
pub struct SpanCommand {
    /// The span's name
    #[arg(value_parser = clap::builder::NonEmptyStringValueParser::new())]
    name: String,

    /// What part it plays between processes
    #[arg(long, value_name = "KIND", default_value = "internal")]
    kind: KindOption,

    /// An attribute; may be given again for others. true, false and numbers are no texts
    #[arg(long = "attribute", value_name = "KEY=VALUE", value_parser = parse_attribute)]
    attributes: Vec<(String, String)>,

    /// When it began: seconds since 1970 as `date +%s.%N` prints them, a time such as 2026-11-21T04:03:48Z, or so long ago,
    /// such as 10s [default: when it ended]
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    start: Option<u64>,

    /// When it ended; as --start [default: now]
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    end: Option<u64>,

    /// How it ended
    #[arg(long, value_name = "STATUS", default_value = "unset")]
    status: Status,

    /// What went wrong
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    message: String,

    /// The parent [default: $TRACEPARENT]
    #[arg(long, value_name = "TRACEPARENT", value_parser = parse_parent)]
    parent: Option<SpanContext>,

    /// The service's name [default: $OTEL_SERVICE_NAME, else shell]
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    service: Option<String>,

    /// Print the span's traceparent
    #[arg(long)]
    print: bool,

    /// Print the span's ids as one JSON object
    #[arg(long, conflicts_with = "print")]
    json: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum KindOption {
    Client,
    Consumer,
    Internal,
    Producer,
    Server,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Status {
    Error,
    Ok,
    Unset,
}

impl SpanCommand {
    pub fn execute(self, spool: Option<PathBuf>) -> Result<u8, Failure> {
        let now = unix_nano(SystemTime::now());
        let end = self.end.unwrap_or(now);
        let start = self.start.unwrap_or(end);
        if start > end {
            let message = "the span ends before it begins: --start has to be before --end";
            return Err(Failure::with_code(USAGE, message));
        }
        if !self.message.is_empty() && self.status != Status::Error {
            return Err(Failure::with_code(USAGE, "--message is for errors: add --status error"));
        }
        let mut builder = throughline::builder("shell");
        if let Some(service) = &self.service {
            builder = builder.resource("service.name", service);
        }
        if let Some(spool) = spool {
            builder = builder.spool_dir(spool);
        }
        let tracing = builder.init();
        let parent = parent(self.parent);
        let span = self.record(&parent, start);
        let context = span.context();
        span.end_at(time(end));
        drop(tracing);
        let Some(recorded) = context.span_context() else {
            return Ok(0);
        };
        let header = traceparent::to_string(&recorded);
        match (self.print, self.json) {
            (true, _) => print(&format!("{header}\n")),
            (_, true) => {
                let line = json!({
                    "traceId": recorded.trace_id().to_string(),
                    "spanId": recorded.span_id().to_string(),
                    "parentSpanId": parent.span_id().map(|id| id.to_string()),
                    "traceparent": header,
                });
                print(&format!("{line}\n"))
            }
            _ => Ok(0),
        }
    }

    fn record(&self, parent: &Context, start: u64) -> Span {
        let kind = match self.kind {
            KindOption::Client => SpanKind::Client,
            KindOption::Consumer => SpanKind::Consumer,
            KindOption::Internal => SpanKind::Internal,
            KindOption::Producer => SpanKind::Producer,
            KindOption::Server => SpanKind::Server,
        };
        let mut builder = Span::builder(&self.name)
            .kind(kind)
            .parent(parent)
            .start_time(time(start));
        for (key, text) in &self.attributes {
            builder = match Typed::of(text) {
                Typed::Bool(value) => builder.set(key, value),
                Typed::Number(value) => builder.set(key, value),
                Typed::Text(text) => builder.set(key, text),
                Typed::Whole(value) => builder.set(key, value),
            };
        }
        let mut span = builder.start();
        match self.status {
            Status::Error => span.status_error(&self.message),
            Status::Ok => span.status_ok(),
            Status::Unset => {}
        }
        span
    }
}

/// The context that was given, or that of the environment, or an empty one.
pub fn parent(given: Option<SpanContext>) -> Context {
    match given {
        Some(span) => Context::of(span),
        None => throughline::extract(pairs(std::env::vars_os())).unwrap_or_else(Context::root),
    }
}

pub fn parse_parent(text: &str) -> Result<SpanContext, String> {
    traceparent::parse(text.as_bytes())
        .ok_or_else(|| "expected a traceparent, such as 00-<32 hex digits>-<16 hex digits>-01".to_owned())
}

fn parse_attribute(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    let (key, value) = pair.ok_or("an attribute has to be KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// Nanoseconds since 1970 from seconds since then, or from a time as people write it.
fn parse_moment(text: &str) -> Result<u64, String> {
    let seconds = || {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) {
            return None;
        }
        let nanos: u64 = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
        whole
            .parse::<u64>()
            .ok()?
            .checked_mul(1_000_000_000)?
            .checked_add(nanos)
    };
    let time = || parse_time(text).map_err(|expected| format!("{expected}, or seconds since 1970"));
    seconds().map_or_else(time, Ok)
}

/// What a text stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Typed<'a> {
    Bool(bool),
    Number(f64),
    Text(&'a str),
    Whole(i64),
}

impl<'a> Typed<'a> {
    /// A number only if it is written as we would: `007` and `1e3` are texts.
    fn of(text: &'a str) -> Self {
        if let Some(whole) = text.parse().ok().filter(|whole: &i64| whole.to_string() == text) {
            return Self::Whole(whole);
        }
        if let Some(number) = text
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite() && format!("{number:?}") == text)
        {
            return Self::Number(number);
        }
        match text {
            "false" => Self::Bool(false),
            "true" => Self::Bool(true),
            _ => Self::Text(text),
        }
    }
}

fn time(unix_nano: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(unix_nano)
}

fn unix_nano(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attribute_value_is_a_number_only_as_we_write_it() {
        for (text, expected) in [
            ("7", Typed::Whole(7)),
            ("-7", Typed::Whole(-7)),
            ("007", Typed::Text("007")),
            ("+7", Typed::Text("+7")),
            ("0.5", Typed::Number(0.5)),
            ("0.50", Typed::Text("0.50")),
            ("inf", Typed::Text("inf")),
            ("true", Typed::Bool(true)),
            ("True", Typed::Text("True")),
            ("", Typed::Text("")),
        ] {
            assert_eq!(Typed::of(text), expected);
        }
    }

    #[test]
    fn moments_are_seconds_or_times() {
        for (text, nanos) in [
            ("1763719170", Ok(1_763_719_170_000_000_000)),
            ("1763719170.5", Ok(1_763_719_170_500_000_000)),
            ("1763719170.123456789", Ok(1_763_719_170_123_456_789)),
            ("1970-01-01T00:00:02Z", Ok(2_000_000_000)),
            ("1763719170.", Err(())),
            ("99999999999999", Err(())),
            ("soon", Err(())),
        ] {
            assert_eq!(parse_moment(text).map_err(drop), nanos, "{text}");
        }
    }
}
