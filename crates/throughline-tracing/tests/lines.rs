//! Ids in log lines are those that are exported.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use throughline::{extract, span, testing};
use throughline_tracing::{SpanExt as _, json_with_ids, text_with_ids};
use tracing::subscriber::with_default;
use tracing::{Instrument as _, info, info_span};
use tracing_subscriber::fmt::format::{FmtSpan, Format};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry;
use tracing_subscriber::registry::LookupSpan;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn all(&self) -> Vec<String> {
        let bytes = self.0.lock().expect("nobody panics").clone();
        String::from_utf8(bytes)
            .expect("text")
            .lines()
            .map(str::to_owned)
            .collect()
    }

    fn objects(&self) -> Vec<Value> {
        self.all()
            .iter()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .collect()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panics").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[test]
fn text_line_begins_with_the_ids() {
    let capture = testing::capture();
    let lines = Lines::default();
    let fmt = fmt::layer()
        .with_writer(lines.clone())
        .with_ansi(false)
        .map_event_format(text_with_ids);
    with_default(registry().with(throughline_tracing::layer()).with(fmt), || {
        info!("outside");
        let span = info_span!("a").entered();
        info!("in a");
        span!("b").in_scope(|| info!("in b"));
        span.exit();
    });
    let (a, b) = (capture.span("a"), capture.span("b"));
    let prefix = |span: &testing::CapturedSpan| format!("trace_id={} span_id={} ", span.trace_id(), span.span_id());
    let lines = lines.all();
    assert!(!lines[0].contains("_id="), "{}", lines[0]);
    assert!(
        lines[1].starts_with(&prefix(&a)) && lines[1].ends_with("in a"),
        "{}",
        lines[1]
    );
    assert!(
        lines[2].starts_with(&prefix(&b)) && lines[2].ends_with("in b"),
        "{}",
        lines[2]
    );
}

#[test]
fn colours_of_a_text_line_are_kept() {
    let _capture = testing::capture();
    let lines = Lines::default();
    let fmt = fmt::layer()
        .with_writer(lines.clone())
        .with_ansi(true)
        .map_event_format(text_with_ids);
    with_default(registry().with(throughline_tracing::layer()).with(fmt), || {
        info_span!("a").in_scope(|| info!("in a"));
    });
    assert!(lines.all()[0].contains("\u{1b}["), "{:?}", lines.all());
}

#[test]
fn json_line_has_the_ids_at_its_top() {
    let capture = testing::capture();
    let lines = Lines::default();
    let fmt = fmt::layer()
        .json()
        .with_writer(lines.clone())
        .map_event_format(json_with_ids);
    with_default(registry().with(throughline_tracing::layer()).with(fmt), || {
        info!("outside");
        info_span!("a", key = "{").in_scope(|| info!(more = "}", "in a"));
    });
    let a = capture.span("a");
    let objects = lines.objects();
    assert_eq!(objects[0]["trace_id"], Value::Null);
    assert_eq!(objects[1]["trace_id"], a.trace_id().to_string());
    assert_eq!(objects[1]["span_id"], a.span_id().to_string());
    assert_eq!(
        (&objects[1]["fields"]["message"], &objects[1]["fields"]["more"]),
        (&"in a".into(), &"}".into())
    );
    assert_eq!(objects[1]["span"]["key"], "{");
}

#[test]
fn event_that_names_its_span_has_that_ones_ids() {
    let capture = testing::capture();
    let lines = Lines::default();
    let fmt = fmt::layer()
        .json()
        .with_writer(lines.clone())
        .map_event_format(json_with_ids);
    with_default(registry().with(throughline_tracing::layer()).with(fmt), || {
        let a = info_span!("a");
        let _b = info_span!("b").entered();
        info!(parent: &a, "of a");
        info!(parent: None, "of nobody");
    });
    let objects = lines.objects();
    assert_eq!(objects[0]["span_id"], capture.span("a").span_id().to_string());
    assert_eq!(objects[1]["span_id"], Value::Null);
}

#[test]
fn lines_about_a_spans_life_have_its_ids() {
    let capture = testing::capture();
    let lines = Lines::default();
    let life = FmtSpan::NEW | FmtSpan::ENTER | FmtSpan::EXIT | FmtSpan::CLOSE;
    let fmt = fmt::layer()
        .json()
        .with_span_events(life)
        .with_writer(lines.clone())
        .map_event_format(json_with_ids);
    with_default(registry().with(throughline_tracing::layer()).with(fmt), || {
        info_span!("a").in_scope(|| ());
    });
    let id = capture.span("a").span_id().to_string();
    let objects = lines.objects();
    assert_eq!(objects.len(), 4);
    assert!(objects.iter().all(|object| object["span_id"] == id), "{objects:?}");
}

#[test]
fn trace_that_is_not_sampled_says_the_ids_it_passes_on() {
    let _capture = testing::capture();
    let lines = Lines::default();
    let fmt = fmt::layer()
        .json()
        .with_writer(lines.clone())
        .map_event_format(json_with_ids);
    let passed_on = with_default(registry().with(throughline_tracing::layer()).with(fmt), || {
        let span = info_span!("request");
        let parent = extract([("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00")]);
        span.set_parent(parent).expect("it is new");
        span.in_scope(|| {
            info_span!("child").in_scope(|| {
                info!("here");
                throughline::inject(HashMap::<String, String>::new())["traceparent"].clone()
            })
        })
    });
    let line = &lines.objects()[0];
    let said = format!(
        "00-{}-{}-00",
        line["trace_id"].as_str().unwrap_or("?"),
        line["span_id"].as_str().unwrap_or("?")
    );
    assert_eq!(said, passed_on);
}

#[test]
fn formats_that_write_in_pieces_are_understood() {
    for pieces in [
        &["{", "}"][..],
        &["{}"],
        &[" {", " ", "\"a\":1}"],
        &["{\"a\":1", "}"],
        &["", "{", "\"a\"", ":1}"],
    ] {
        let _capture = testing::capture();
        let lines = Lines::default();
        let pieced = Pieces(pieces);
        let fmt = fmt::layer()
            .with_writer(lines.clone())
            .event_format(json_with_ids(pieced));
        with_default(registry().with(throughline_tracing::layer()).with(fmt), || {
            info_span!("a").in_scope(|| info!("x"));
        });
        let object = &lines.objects()[0];
        assert!(object["trace_id"].is_string(), "{pieces:?}");
        assert_eq!(
            object["a"],
            if pieces.concat().contains('a') {
                1.into()
            } else {
                Value::Null
            },
            "{pieces:?}"
        );
    }
}

struct Pieces(&'static [&'static str]);

impl<S, N> fmt::FormatEvent<S, N> for Pieces
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> fmt::FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        _: &fmt::FmtContext<'_, S, N>,
        mut writer: fmt::format::Writer<'_>,
        _: &tracing::Event<'_>,
    ) -> std::fmt::Result {
        self.0.iter().try_for_each(|piece| writer.write_str(piece))?;
        writeln!(writer)
    }
}

/// Row P10.
#[test]
fn ids_of_10_000_concurrent_requests_are_the_exported_ones() {
    let capture = testing::capture();
    let (text, json) = (Lines::default(), Lines::default());
    let text_layer = fmt::layer()
        .with_writer(text.clone())
        .with_ansi(false)
        .event_format(text_with_ids(Format::default()));
    let json_layer = fmt::layer()
        .json()
        .with_writer(json.clone())
        .map_event_format(json_with_ids);
    let subscriber = registry()
        .with(throughline_tracing::layer())
        .with(text_layer)
        .with(json_layer);
    let dispatch = tracing::Dispatch::new(subscriber);
    let for_threads = dispatch.clone();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .on_thread_start(move || std::mem::forget(tracing::dispatcher::set_default(&for_threads)))
        .build()
        .expect("a runtime");
    let _default = tracing::dispatcher::set_default(&dispatch);
    let all = info_span!("all");
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for number in 0..10_000_u64 {
            let request = info_span!(parent: &all, "request", number);
            tasks.spawn(
                async move {
                    tokio::task::yield_now().await;
                    info!(number, "first");
                    async {
                        tokio::task::yield_now().await;
                        info!(number, "second");
                    }
                    .instrument(info_span!("inner", number))
                    .await;
                }
                .instrument(request),
            );
        }
        while let Some(done) = tasks.join_next().await {
            done.expect("it does not panic");
        }
    });
    drop((runtime, all));
    let mut exported = HashMap::new();
    for span in capture.spans() {
        if let Some(number) = span.attribute("number").and_then(|number| number.as_i64()) {
            let message = if span.name() == "request" { "first" } else { "second" };
            exported.insert(
                (number, message.to_owned()),
                (span.trace_id().to_string(), span.span_id().to_string()),
            );
        }
    }
    assert_eq!(exported.len(), 20_000);
    let objects = json.objects();
    assert_eq!(objects.len(), 20_000);
    for object in &objects {
        let key = |key: &str| object["fields"][key].clone();
        let key = (
            key("number").as_i64().expect("a number"),
            key("message").as_str().expect("a text").to_owned(),
        );
        let said = (
            object["trace_id"].as_str().expect("ids").to_owned(),
            object["span_id"].as_str().expect("ids").to_owned(),
        );
        assert_eq!(exported[&key], said, "{key:?}");
    }
    let lines = text.all();
    assert_eq!(lines.len(), 20_000);
    for line in lines {
        let (_, number) = line.rsplit_once("number=").expect("a number at the end");
        let message = if line.contains("first") { "first" } else { "second" };
        let (trace_id, span_id) = &exported[&(number.parse().expect("a number"), message.to_owned())];
        assert!(
            line.starts_with(&format!("trace_id={trace_id} span_id={span_id} ")),
            "{line}"
        );
    }
}

#[test]
fn line_that_is_no_object_stays_as_it_is() {
    let _capture = testing::capture();
    let pieces: [&'static [&'static str]; 3] = [&["Foo ", "{", " a: 1 }"], &["[", "{}", "]"], &["", " \"{", "{\""]];
    for pieces in pieces {
        let lines = Lines::default();
        let fmt = fmt::layer()
            .with_writer(lines.clone())
            .event_format(json_with_ids(Pieces(pieces)));
        with_default(registry().with(throughline_tracing::layer()).with(fmt), || {
            info_span!("a").in_scope(|| info!("event"));
        });
        assert_eq!(lines.all(), [pieces.concat()]);
    }
}

/// Ids of `tracing` are unique in one registry only.
#[test]
fn span_that_is_left_out_has_not_the_ids_of_one_that_closed_in_another_registry() {
    let _capture = testing::capture();
    with_default(registry().with(throughline_tracing::layer()), || {
        drop(info_span!("closed"));
    });
    let lines = Lines::default();
    let fmt = fmt::layer().with_writer(lines.clone()).map_event_format(text_with_ids);
    let own = throughline_tracing::layer().filter(|metadata| metadata.name() != "left out");
    with_default(registry().with(own).with(fmt), || {
        let span = info_span!("left out");
        info!(parent: &span, "event");
    });
    assert!(!lines.all()[0].contains("_id="), "{:?}", lines.all());
}
