//! The context as names and values.

use std::fmt::Write as _;

use throughline::{Carrier, Pair, SpanContext, SpanId, TraceFlags, TraceId};

use super::JobContext;

/// The name of what W3C has no header for: times and attempts.
const JOB: &str = "throughline-job";
/// All names that a record may have for its context.
const NAMES: [&str; 4] = ["traceparent", "tracestate", "baggage", JOB];
/// A longer value is not read. That of W3C Baggage, which is the longest of all.
const MAX_VALUE: usize = 8192;
/// Enough for two times, a number and `MAX_EARLIER` spans.
const MAX_JOB: usize = 1024;

impl JobContext {
    /// Reads the context from names and values: `&HashMap<String, String>`, iterators of pairs of strings or bytes.
    ///
    /// Names may have any case. A name that is there twice, a value of more than 8192 bytes and anything malformed is as if it were not
    /// there.
    ///
    /// ```
    /// use throughline_jobs::JobContext;
    ///
    /// let headers = [("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"), ("reply-to", "me")];
    /// assert!(JobContext::from_pairs(headers).context().trace_id().is_some());
    /// ```
    #[must_use]
    pub fn from_pairs<I>(pairs: I) -> Self
    where
        I: IntoIterator,
        I::Item: Pair,
    {
        let mut own = None;
        let mut count = 0_usize;
        let w3c = pairs.into_iter().filter(|pair| {
            if pair.name().eq_ignore_ascii_case(JOB.as_bytes()) {
                count += 1;
                own = Own::parse(pair.value());
                return false;
            }
            Self::owns(pair.name()) && pair.value().len() <= MAX_VALUE
        });
        let context = throughline::extract(w3c).unwrap_or_default();
        let own = own.filter(|_| count == 1).unwrap_or_default();
        Self {
            context,
            created: own.created,
            enqueued: own.enqueued,
            attempts: own.attempts,
            earlier: own.earlier,
        }
    }

    /// Calls `write` with each name and value of the context: lower-case names, values of printable ASCII.
    ///
    /// Whoever writes them first removes what a record has under these names ([`owns`](Self::owns)).
    pub fn for_each_pair(&self, write: impl FnMut(&'static str, &str)) {
        let mut pairs = Pairs(write);
        self.context.inject(&mut pairs);
        if let Some(own) = self.own_text() {
            pairs.set(JOB, &own);
        }
    }

    /// Whether a record has the context under this name, in any case.
    ///
    /// ```
    /// assert!(throughline_jobs::JobContext::owns("TraceParent"));
    /// assert!(!throughline_jobs::JobContext::owns("reply-to"));
    /// ```
    #[must_use]
    pub fn owns(name: impl AsRef<[u8]>) -> bool {
        let name = name.as_ref();
        NAMES.iter().any(|own| name.eq_ignore_ascii_case(own.as_bytes()))
    }

    /// Times and attempts: `c=1764000000000;e=1764000001000;a=2;s=<trace id>-<span id>-<flags>,…`.
    fn own_text(&self) -> Option<String> {
        let attempts = Some(u64::from(self.attempts)).filter(|attempts| *attempts > 0);
        let mut text = String::with_capacity(56 * (1 + self.earlier.len()));
        for (key, number) in [("c", self.created), ("e", self.enqueued), ("a", attempts)] {
            if let Some(number) = number {
                let _ = write!(text, ";{key}={number}");
            }
        }
        for (index, span) in self.earlier.iter().enumerate() {
            let before = if index == 0 { ";s=" } else { "," };
            let flags = span.flags().to_byte();
            let _ = write!(text, "{before}{}-{}-{flags:02x}", span.trace_id(), span.span_id());
        }
        (!text.is_empty()).then(|| text.split_off(1))
    }
}

struct Pairs<F>(F);

impl<F: FnMut(&'static str, &str)> Carrier for Pairs<F> {
    fn set(&mut self, name: &'static str, value: &str) {
        (self.0)(name, value);
    }

    fn remove(&mut self, _: &str) {}
}

/// What [`JOB`] says.
#[derive(Default)]
struct Own {
    created: Option<u64>,
    enqueued: Option<u64>,
    attempts: u32,
    earlier: Vec<SpanContext>,
}

impl Own {
    /// `None` if anything that is known is malformed or there twice. What a later version may add is skipped.
    fn parse(value: &[u8]) -> Option<Self> {
        if value.len() > MAX_JOB {
            return None;
        }
        let text = std::str::from_utf8(value).ok()?;
        let mut own = Self::default();
        let mut seen = [false; 4];
        for field in text.split(';') {
            let (key, value) = field.split_once('=')?;
            let place = match key {
                "c" => 0,
                "e" => 1,
                "a" => 2,
                "s" => 3,
                _ => continue,
            };
            if std::mem::replace(&mut seen[place], true) {
                return None;
            }
            match place {
                0 => own.created = Some(number(value)?),
                1 => own.enqueued = Some(number(value)?),
                2 => own.attempts = u32::try_from(number(value)?).ok()?,
                _ => own.earlier = spans(value)?,
            }
        }
        Some(own)
    }
}

/// Digits only: `str::parse` would take a plus sign.
fn number(text: &str) -> Option<u64> {
    text.bytes()
        .all(|digit| digit.is_ascii_digit())
        .then(|| text.parse().ok())?
}

fn spans(text: &str) -> Option<Vec<SpanContext>> {
    let mut spans = Vec::new();
    for span in text.split(',') {
        if spans.len() == JobContext::MAX_EARLIER {
            return None;
        }
        spans.push(parse_span(span)?);
    }
    Some(spans)
}

fn parse_span(text: &str) -> Option<SpanContext> {
    let mut parts = text.split('-');
    let trace_id: TraceId = parts.next()?.parse().ok()?;
    let span_id: SpanId = parts.next()?.parse().ok()?;
    let flags = match parts.next()?.as_bytes() {
        [high, low] => hex_digit(*high)? << 4 | hex_digit(*low)?,
        _ => return None,
    };
    let span = SpanContext::new(trace_id, span_id, TraceFlags::from_byte(flags), true);
    parts.next().is_none().then_some(span)
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}
