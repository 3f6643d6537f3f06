//! Processors and redactors: what they see, what they may do, and what reaches the disk and a backend.

use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use throughline::{
    AnyValueView, Baggage, BaggageAttributes, Content, Context, Filter, ProcessedSpan, Redaction, Span, SpanProcessor,
    SpanView, Tracing, Verdict, event, span,
};
use throughline_spool::{Reader, State};
use throughline_testkit::otlp::trace::v1::Span as ReceivedSpan;
use throughline_testkit::{Receiver, Spool};

/// What the processors saw.
static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn seen_of(name: &str) -> Vec<String> {
    let seen = SEEN.lock().expect("nobody panics under it");
    seen.iter().filter(|line| line.contains(name)).cloned().collect()
}

/// Notes all it sees, and changes what it is asked to.
struct Notes(&'static str);

impl SpanProcessor for Notes {
    fn on_start(&self, span: &mut ProcessedSpan<'_>, parent: &Context) -> Verdict {
        let keys: Vec<_> = span.view().attributes().map(|(key, _)| key.to_owned()).collect();
        let has_parent = parent.span_id().is_some();
        let line = format!("{} start {} {keys:?} {has_parent}", self.0, span.view().name());
        SEEN.lock().expect("nobody panics under it").push(line);
        // It would come here as well.
        span!(parent: None, "made by a processor").end();
        if span.view().attribute("panic").is_some() {
            panic!("as the test wants it");
        }
        if let Some(to) = span
            .view()
            .attribute("rename")
            .and_then(|to| to.as_str().map(str::to_owned))
        {
            span.rename(&to);
        }
        Verdict::Keep
    }

    fn on_ending(&self, span: &mut ProcessedSpan<'_>) {
        if span.remove("remove") {
            span.set("removed.by", self.0);
        }
        if span.is_error() {
            span.set("is.error", true);
        }
    }

    fn on_end(&self, span: &SpanView<'_>) -> Verdict {
        let keys: Vec<_> = span.attributes().map(|(key, _)| key).collect();
        let lasted = span.end_time_unix_nano() >= span.start_time_unix_nano();
        let line = format!("{} end {} {keys:?} {:?} {lasted}", self.0, span.name(), span.status());
        SEEN.lock().expect("nobody panics under it").push(line);
        match span.attribute("drop.at.end") {
            Some(_) => Verdict::Drop,
            None => Verdict::Keep,
        }
    }
}

struct Traced {
    tracing: Tracing,
    receiver: Receiver,
    spool: Spool,
}

fn traced() -> &'static Traced {
    static TRACED: OnceLock<Traced> = OnceLock::new();
    TRACED.get_or_init(|| {
        let receiver = Receiver::start().expect("a receiver");
        let spool = Spool::new().expect("a spool");
        let tracing = throughline::builder("processed")
            .endpoint(receiver.endpoint())
            .spool_dir(spool.path())
            .processor(Notes("first"))
            .processor(Filter::at_start().drop_names(["GET /health", "noise*"]))
            .processor(
                Filter::at_end()
                    .keep_names(["always kept"])
                    .rule(|span| (span.attribute("fast").is_some()).then_some(Verdict::Drop)),
            )
            .processor(BaggageAttributes::keys(["tenant.id"]))
            .processor(Notes("second"))
            .redact(|content: &Content<'_>| match content {
                Content::SpanName(name) if name.contains("card") => Redaction::Replace(name.replace("card", "****")),
                Content::StatusMessage(message) if message.contains("secret") => Redaction::Remove,
                Content::EventName(name) if name.contains("secret") => Redaction::Remove,
                Content::Attribute(_, AnyValueView::Str(text)) if text.starts_with("grow") => {
                    Redaction::Replace(text.repeat(3))
                }
                Content::Attribute("panic.redactor", _) => panic!("as the test wants it"),
                Content::Attribute(_, AnyValueView::Str(text)) if text.contains("secret") => Redaction::Remove,
                _ => Redaction::Keep,
            })
            .redact(throughline::redact_keys(["Password"]))
            .init();
        Traced {
            tracing,
            receiver,
            spool,
        }
    })
}

/// The span of this name, as a backend got it.
fn delivered(name: &str) -> Option<ReceivedSpan> {
    // Other tests go on meanwhile: what ended before this is delivered now.
    let _report = traced().tracing.flush(Duration::from_secs(60)).wait();
    let spans = traced().receiver.spans();
    spans
        .iter()
        .find(|span| span.name == name)
        .map(|span| span.span.clone())
}

fn keys(span: &ReceivedSpan) -> Vec<&str> {
    span.attributes.iter().map(|attribute| attribute.key.as_str()).collect()
}

fn root(name: &str) -> Span {
    traced();
    Span::builder(name).parent(None).start()
}

#[test]
fn processors_see_a_span_in_their_order_and_may_change_it() {
    traced();
    let mut span = span!(parent: None, "ordered", a = 1, remove = 2);
    span.set("later", 3);
    span.status_error("failed");
    span.end();
    let span = delivered("ordered").unwrap();
    assert_eq!(keys(&span), ["a", "later", "removed.by", "is.error"]);
    assert_eq!(
        seen_of("ordered"),
        [
            r#"first start ordered ["a", "remove"] false"#,
            r#"second start ordered ["a", "remove"] false"#,
            r#"first end ordered ["a", "later", "removed.by", "is.error"] (Error, "failed") true"#,
            r#"second end ordered ["a", "later", "removed.by", "is.error"] (Error, "failed") true"#,
        ]
    );
    assert!(seen_of("made by a processor").is_empty());
}

#[test]
fn span_dropped_at_the_start_stands_for_its_parent() {
    let outer = root("outer of noise").enter();
    let child = {
        let _noise = span!("noise 1").enter();
        span!("child of noise")
    };
    child.end();
    let outer_id = outer.context().span_id().unwrap();
    drop(outer);
    let child = delivered("child of noise").unwrap();
    assert_eq!(child.parent_span_id, outer_id.to_bytes());
    assert!(delivered("noise 1").is_none());
}

#[test]
fn root_dropped_at_the_start_leaves_its_trace_out() {
    let health = root("GET /health").enter();
    let child = span!("child of health");
    assert!(!child.is_recording());
    let header = &child.context().inject(Vec::<(String, String)>::new())[0].1;
    assert!(header.ends_with("-02"), "{header}: ids travel on, not sampled");
    drop((child, health));
    assert!(delivered("child of health").is_none());
}

#[test]
fn span_dropped_at_its_end_is_counted_as_filtered() {
    root("before the drop").end();
    let filtered = |report: &throughline::Report| {
        report
            .dropped_by_reason()
            .find(|(reason, _)| *reason == "filtered")
            .map_or(0, |(_, count)| count)
    };
    let before = filtered(&traced().tracing.flush(Duration::from_secs(60)).wait());
    for (name, key) in [("dropped by a rule", "fast"), ("dropped by a processor", "drop.at.end")] {
        let mut span = root(name);
        span.set(key, true);
        span.end();
        assert!(delivered(name).is_none(), "{name}");
    }
    let mut kept = root("always kept");
    kept.set("fast", true);
    kept.end();
    assert!(
        delivered("always kept").is_some(),
        "the first rule that says something decides"
    );
    let after = filtered(&traced().tracing.flush(Duration::from_secs(60)).wait());
    assert!(after >= before + 2, "{before} {after}");
}

#[test]
fn processor_that_panics_is_passed_over() {
    traced();
    span!(parent: None, "panics", panic = true).end();
    assert_eq!(keys(&delivered("panics").unwrap()), ["panic"]);
    assert_eq!(seen_of("panics").len(), 4);
}

#[test]
fn processor_may_rename_a_span() {
    traced();
    span!(parent: None, "old name", rename = "new name").end();
    assert!(delivered("old name").is_none());
    assert!(delivered("new name").is_some());
}

#[test]
fn members_of_the_baggage_that_are_named_become_attributes() {
    let baggage = Baggage::parse_headers([&b"tenant.id=blue,other=x"[..]]);
    let outer = root("has no baggage");
    let context = outer.context().with_baggage(&baggage);
    span!(parent: &context, "has baggage").end();
    assert_eq!(keys(&delivered("has baggage").unwrap()), ["tenant.id"]);
}

#[test]
fn redacted_content_reaches_neither_a_backend_nor_the_disk() {
    let mut span = root("pay by card");
    span.set("plain", "x");
    span.set("note", "secret 1");
    span.set("PASSWORD", "1234");
    span.set("panic.redactor", "secret 3");
    event!(span: span, "secret 4", password = "1234", n = 1);
    span.status_error("secret 6");

    // Others see it while it is open, and its process may be killed at any moment.
    let shown = Reader::new(traced().spool.path()).read();
    let id = span.context().span_id();
    let open = shown
        .spans
        .iter()
        .find(|stored| SpanView::new(&stored.body).span_id() == id)
        .expect("it is shown");
    assert_eq!(
        (open.state, SpanView::new(&open.body).name()),
        (State::Open, "pay by ****")
    );
    assert_eq!(SpanView::new(&open.body).attributes().count(), 0);
    assert!(!anywhere_in(traced().spool.path(), b"secret"));
    span.end();

    let span = delivered("pay by ****").unwrap();
    assert_eq!(keys(&span), ["plain", "PASSWORD", "is.error"]);
    assert_eq!(span.dropped_attributes_count, 1, "that of the redactor that panicked");
    let event = &span.events[0];
    assert_eq!((event.name.as_str(), event.attributes.len()), ("[redacted]", 2));
    assert_eq!(span.status.as_ref().unwrap().message, "");
    let everything = format!("{span:?}");
    assert!(
        !everything.contains("secret") && !everything.contains("1234"),
        "{everything}"
    );
    assert!(!anywhere_in(traced().spool.path(), b"secret"));
}

#[test]
fn open_span_shows_what_it_was_given_at_its_start() {
    traced();
    let mut span = span!(parent: None, "open and private", given = 1, Password = "x");
    span.set("later", 1);
    let id = span.context().span_id();
    let shown = Reader::new(traced().spool.path()).read();
    let open = shown
        .spans
        .iter()
        .find(|stored| SpanView::new(&stored.body).span_id() == id)
        .expect("it is shown");
    let attributes: Vec<_> = SpanView::new(&open.body)
        .attributes()
        .map(|(key, value)| format!("{key}={value:?}"))
        .collect();
    assert_eq!(attributes, ["given=I64(1)", r#"Password=Str("[redacted]")"#]);
}

#[test]
fn attribute_of_the_program_is_not_changed_by_a_caller() {
    traced();
    let baggage = Baggage::parse_headers([&b"tenant.id=evil"[..]]);
    let context = Context::root().with_baggage(&baggage);
    span!(parent: &context, "own tenant", tenant.id = "mine").end();
    Span::builder("own tenant, built")
        .parent(&context)
        .set("tenant.id", "mine")
        .start()
        .end();
    for name in ["own tenant", "own tenant, built"] {
        let span = delivered(name).expect("it is delivered");
        assert!(format!("{:?}", span.attributes).contains("mine"), "{name} {span:?}");
    }
}

#[test]
fn redaction_that_leaves_no_room_for_a_span_keeps_its_name_and_status() {
    let mut span = root("grows");
    let text = "grow".repeat(2500);
    for n in 0..100 {
        span.set(&format!("text.{n}"), &text);
    }
    span.status_error("failed");
    span.end();
    let span = delivered("grows").expect("it is delivered");
    assert_eq!(span.attributes.len(), 0);
    assert!(
        span.dropped_attributes_count >= 100,
        "{}",
        span.dropped_attributes_count
    );
    assert_eq!(
        span.status.as_ref().map(|status| status.message.as_str()),
        Some("failed")
    );
}

#[test]
fn open_span_shows_what_fits_beside_what_does_not() {
    traced();
    let span = span!(parent: None, "open and long", sql = "x".repeat(3000), short = 1);
    let id = span.context().span_id();
    let shown = Reader::new(traced().spool.path()).read();
    let open = shown
        .spans
        .iter()
        .find(|stored| SpanView::new(&stored.body).span_id() == id);
    let open = SpanView::new(&open.expect("it is shown").body);
    let keys: Vec<_> = open.attributes().map(|(key, _)| key).collect();
    assert_eq!((open.name(), &keys[..]), ("open and long", &["short"][..]));
}

#[test]
fn spans_of_all_lengths_are_whole_behind_processors() {
    for length in [0, 100, 700, 900, 1000, 5000, 70_000] {
        let name = format!("long {length}");
        let mut span = root(&name);
        span.set("text", "x".repeat(length));
        span.set("n", 1);
        span.set("n", 2);
        span.end();
        let span = delivered(&name).unwrap();
        assert_eq!(keys(&span), ["text", "n"], "{length}");
        assert_eq!(
            span.attributes[0]
                .value
                .as_ref()
                .map(|value| format!("{value:?}").len() > length),
            Some(true)
        );
    }
}

fn anywhere_in(directory: std::path::PathBuf, text: &[u8]) -> bool {
    let entries = std::fs::read_dir(directory).expect("it is there");
    entries.flatten().any(|entry| match entry.path() {
        path if path.is_dir() => anywhere_in(path, text),
        path => std::fs::read(path).is_ok_and(|bytes| bytes.windows(text.len()).any(|part| part == text)),
    })
}
