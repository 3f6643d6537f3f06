//! One tracing for all tests of a program, with a receiver of its own: `init` decides once a process.
//!
//! Tests run side by side; each tells its spans from the others' by their trace.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use throughline::{Context, Span, Tracing};
use throughline_testkit::otlp::common::v1::{KeyValue, any_value};
use throughline_testkit::{ReceivedSpan, Receiver};

pub struct Traced {
    receiver: Receiver,
    tracing: Tracing,
}

/// The tracing of this test program.
pub fn traced() -> &'static Traced {
    static TRACED: OnceLock<Traced> = OnceLock::new();
    TRACED.get_or_init(|| {
        let receiver = Receiver::start().expect("loopback has a free port");
        let spool = Path::new(env!("CARGO_TARGET_TMPDIR")).join(concat!("spool-of-", env!("CARGO_CRATE_NAME")));
        // Nothing removes it at the end of a process, so the next run does.
        let _ = fs::remove_dir_all(&spool);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&spool)
            .expect("the target directory can be written");
        let tracing = throughline::builder("under test")
            .endpoint(receiver.endpoint())
            .resource("service.version", "1.2")
            .spool_dir(spool)
            .init();
        Traced { receiver, tracing }
    })
}

impl Traced {
    /// All spans that have ended so far in the trace of `context`, once a flush has said that they are delivered.
    pub fn trace(&self, context: &Context) -> Vec<ReceivedSpan> {
        let trace_id = context.trace_id().expect("the context of a span").to_bytes();
        let mut spans = self.all();
        spans.retain(|span| span.trace_id == trace_id);
        spans
    }

    /// The span of this context, which has ended, and came once.
    pub fn span(&self, context: &Context) -> ReceivedSpan {
        self.spans([context]).remove(0)
    }

    /// The spans of these contexts in their order, each of which has ended, and came once.
    pub fn spans<'a>(&self, contexts: impl IntoIterator<Item = &'a Context>) -> Vec<ReceivedSpan> {
        let all = self.all();
        let one = |context: &Context| {
            let trace_id = context.trace_id().expect("the context of a span").to_bytes();
            let span_id = context.span_id().expect("the context of a span").to_bytes();
            let is_asked_for = |span: &&ReceivedSpan| span.span_id == span_id && span.trace_id == trace_id;
            let found: Vec<_> = all.iter().filter(is_asked_for).collect();
            assert_eq!(found.len(), 1, "spans of {span_id:x?}");
            found[0].clone()
        };
        contexts.into_iter().map(one).collect()
    }

    /// Whatever came until a flush has said that all is delivered.
    fn all(&self) -> Vec<ReceivedSpan> {
        let report = self.tracing.flush(Duration::from_secs(60)).wait();
        assert_eq!(report.trouble(), None, "{report}");
        self.receiver.spans()
    }

    /// Ends a span and waits until it has come.
    pub fn end(&self, span: Span) -> ReceivedSpan {
        let context = span.context();
        span.end();
        self.span(&context)
    }
}

/// The first span of a new trace.
pub fn root(name: &str) -> Span {
    traced();
    throughline::span!(parent: &Context::root(), name)
}

/// Keys and values, in their order.
pub fn pairs(attributes: &[KeyValue]) -> Vec<(&str, any_value::Value)> {
    attributes
        .iter()
        .map(|attribute| {
            let value = attribute.value.clone().and_then(|value| value.value);
            (
                attribute.key.as_str(),
                value.unwrap_or_else(|| any_value::Value::StringValue("nothing".to_owned())),
            )
        })
        .collect()
}

/// A text as it comes.
pub fn text(text: &str) -> any_value::Value {
    any_value::Value::StringValue(text.to_owned())
}

/// A whole number as it comes.
pub fn number(number: i64) -> any_value::Value {
    any_value::Value::IntValue(number)
}
