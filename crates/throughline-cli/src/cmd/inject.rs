//! `throughline inject`: the trace context, for commands of a shell script.

use serde_json::{Map, Value};
use throughline::Context;
use throughline_wire::SpanContext;
use throughline_wire::environment::env_name;

use crate::cmd::span::{parent, parse_parent};
use crate::exit::{Failure, print};

/// Print the trace context for commands of a shell script.
///
/// That of TRACEPARENT, TRACESTATE and BAGGAGE, or of --parent; where there is none, that of a new trace. Nothing is
/// recorded.
#[derive(clap::Args)]
#[command(after_help = "\
Fields of --json: traceparent; tracestate and baggage where there are any.

Examples:
  eval \"$(throughline inject)\"
  throughline inject --format headers | curl -H @- https://example.com/
  throughline inject --json")]
pub struct Inject {
    /// How it is printed
    #[arg(long, value_name = "FORMAT", default_value = "env")]
    format: Format,

    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,

    /// The context to print [default: $TRACEPARENT]
    #[arg(long, value_name = "TRACEPARENT", value_parser = parse_parent)]
    parent: Option<SpanContext>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    /// `export` lines for eval
    Env,
    /// Lines of HTTP headers
    Headers,
    /// One JSON object
    Json,
}

impl Inject {
    pub fn execute(self) -> Result<u8, Failure> {
        let context = parent(self.parent);
        let context = match context.span_context() {
            Some(_) => context,
            None => new_trace(&context),
        };
        let headers = context.inject(Vec::<(String, String)>::new());
        let format = if self.json { Format::Json } else { self.format };
        print(&text(&headers, format))
    }
}

/// A new trace that is sampled, with the same baggage.
fn new_trace(context: &Context) -> Context {
    let Some(new) = Context::root().child().span_context() else {
        return context.clone();
    };
    let flags = new.flags().with_sampled(true);
    Context::of(SpanContext::new(new.trace_id(), new.span_id(), flags, false)).with_baggage(&context.baggage())
}

fn text(headers: &[(String, String)], format: Format) -> String {
    match format {
        Format::Env => {
            let line = |(name, value): &(String, String)| format!("export {}={}\n", env_name(name), quoted(value));
            headers.iter().map(line).collect()
        }
        Format::Headers => headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\n"))
            .collect(),
        Format::Json => {
            let object: Map<_, _> = headers
                .iter()
                .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
                .collect();
            format!("{}\n", Value::from(object))
        }
    }
}

/// A text as one word of a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_is_printed_in_each_format() {
        let headers = [("traceparent", "00-1-2-01"), ("baggage", "a='b'")];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned()));
        for (format, expected) in [
            (
                Format::Env,
                "export TRACEPARENT='00-1-2-01'\nexport BAGGAGE='a='\\''b'\\'''\n",
            ),
            (Format::Headers, "traceparent: 00-1-2-01\nbaggage: a='b'\n"),
            (Format::Json, "{\"baggage\":\"a='b'\",\"traceparent\":\"00-1-2-01\"}\n"),
        ] {
            assert_eq!(text(&headers, format), expected);
        }
    }
}
