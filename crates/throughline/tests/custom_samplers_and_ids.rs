//! A sampler and an id generator of one's own: what they see, and what becomes of what they say.

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use throughline::{
    Context, Decision, IdGenerator, Sampler, SamplingInput, SamplingResult, ShouldSample, Span, SpanId, SpanKind,
    TraceId, TraceState, event, extract, inject, span,
};
use throughline_testkit::{Receiver, Spool};

const REMOTE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

/// Does as the attribute `wish` says, and notes what it saw.
struct Wishes(Arc<Mutex<Vec<String>>>);

impl ShouldSample for Wishes {
    fn should_sample(&self, span: &SamplingInput<'_>) -> SamplingResult {
        let wish = span.attributes.get("wish");
        let wish = wish.as_ref().and_then(|wish| wish.as_str()).unwrap_or("sample");
        self.0.lock().expect("nobody panics").push(format!(
            "{} {:?} {wish} parent={} links={} keys={:?}",
            span.name,
            span.kind,
            span.parent.span_id().map(|id| id.to_string()).unwrap_or_default(),
            span.links.len(),
            span.attributes.clone().map(|(key, _)| key).collect::<Vec<_>>(),
        ));
        // It would be asked for this one as well.
        span!("made by the sampler").end();
        span!(parent: None, "made by the sampler").end();
        match wish {
            "drop" => SamplingResult::new(Decision::Drop),
            "record only" => SamplingResult::new(Decision::RecordOnly),
            "panic" => panic!("as the test wants it"),
            _ => SamplingResult::new(Decision::RecordAndSample)
                .with_attribute("sampled.by", "wish")
                .with_attribute("n", 2)
                .with_trace_state(TraceState::parse_headers([&b"s=1"[..]]).expect("it is valid")),
        }
    }

    fn description(&self) -> Cow<'_, str> {
        "Wishes".into()
    }
}

/// Counts up.
struct Numbered(AtomicU64);

impl IdGenerator for Numbered {
    fn trace_id(&self) -> TraceId {
        // It would be asked for the ids of this one as well.
        span!(parent: None, "made by the generator").end();
        let number = self.0.fetch_add(1, Ordering::Relaxed);
        TraceId::from_bytes(u128::from(number).to_be_bytes()).expect("it counts from 1")
    }

    fn span_id(&self) -> SpanId {
        SpanId::from_bytes(self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes()).expect("it counts from 1")
    }
}

#[test]
fn sampler_sees_all_that_is_known_at_the_start_and_is_obeyed() {
    let (receiver, spool) = (Receiver::start().unwrap(), Spool::new().unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sampler = Sampler::custom(Wishes(seen.clone()));
    assert_eq!(format!("{sampler:?}"), "Wishes");
    let tracing = throughline::builder("sampled")
        .endpoint(receiver.endpoint())
        .spool_dir(spool.path())
        .sampler(sampler)
        .id_generator(Numbered(AtomicU64::new(1)))
        .init();
    let remote = extract([("traceparent", REMOTE), ("tracestate", "r=1"), ("baggage", "k=v")]).unwrap();

    let sampled = span!(parent: &remote, kind: Server, "sampled", n = 1, a = "x", absent = None::<u8>);
    assert!(sampled.is_recording());
    let headers = sampled.context().inject(Vec::<(String, String)>::new());
    assert_eq!(headers[0].1, "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000001-01");
    assert_eq!((&*headers[1].1, &*headers[2].1), ("s=1", "k=v"));
    sampled.end();
    let mut dropped = span!(parent: &remote, "dropped", wish = "drop");
    assert!(!dropped.is_recording());
    assert!(
        dropped.in_scope(|| inject(Vec::new()))[0]
            .1
            .ends_with("-0000000000000002-00")
    );
    dropped.end();
    let mut only_recorded = span!(parent: None, "only recorded", wish = "record only");
    assert!(only_recorded.is_recording());
    only_recorded.set("a", 1);
    event!(span: only_recorded, "seen here only");
    assert!(
        only_recorded.context().inject(Vec::<(String, String)>::new())[0]
            .1
            .ends_with("-02")
    );
    // Also after a crash it is for nobody else.
    let shown = throughline_spool::Reader::new(spool.path()).read();
    let is_shown = |name: &str| {
        let names = shown
            .spans
            .iter()
            .map(|stored| throughline::SpanView::new(&stored.body).name());
        names.filter(|shown| *shown == name).count()
    };
    assert_eq!((is_shown("sampled"), is_shown("only recorded")), (1, 0));
    only_recorded.end();
    span!(parent: None, "without attributes").end();
    span!(parent: None, "sampler panics", wish = "panic").end();
    let link = Context::root();
    Span::builder("built")
        .parent(&remote)
        .kind(SpanKind::Producer)
        .set("b", 1)
        .link(&remote)
        .link(&link)
        .start()
        .end();

    // One that its thread's destructors end, when the spool's own thread state is gone already.
    std::thread::spawn(|| {
        thread_local! {
            static KEPT: std::cell::RefCell<Option<Span>> = const { std::cell::RefCell::new(None) };
        }
        KEPT.with_borrow_mut(|kept| *kept = None);
        let span = span!(parent: None, "only recorded", wish = "record only");
        KEPT.with_borrow_mut(|kept| *kept = Some(span));
    })
    .join()
    .expect("it ends well");

    let expected = [
        r#"sampled Server sample parent=00f067aa0ba902b7 links=0 keys=["n", "a"]"#,
        r#"dropped Internal drop parent=00f067aa0ba902b7 links=0 keys=["wish"]"#,
        r#"only recorded Internal record only parent= links=0 keys=["wish"]"#,
        "without attributes Internal sample parent= links=0 keys=[]",
        r#"sampler panics Internal panic parent= links=0 keys=["wish"]"#,
        r#"built Producer sample parent=00f067aa0ba902b7 links=2 keys=["b"]"#,
        r#"only recorded Internal record only parent= links=0 keys=["wish"]"#,
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
    let report = tracing.flush(Duration::from_secs(60)).wait();
    assert_eq!((report.delivered(), report.pending()), (4, 0), "{report}");
    assert_eq!(report.dropped_by_reason().collect::<Vec<_>>(), [("filtered", 2)]);
    assert!(report.is_complete(), "what nobody wanted is not lost");
    let mut spans = receiver.spans();
    spans.sort_by_key(|span| span.span_id.clone());
    let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["sampled", "without attributes", "sampler panics", "built"]);
    let keys: Vec<_> = spans[0]
        .attributes
        .iter()
        .map(|attribute| attribute.key.as_str())
        .collect();
    assert_eq!(
        keys,
        ["n", "a", "sampled.by"],
        "the sampler's value of a key replaces the other"
    );
    assert_eq!(
        (spans[0].trace_state.as_str(), spans[2].trace_state.as_str()),
        ("s=1", "")
    );
    assert_eq!(spans[3].links.len(), 1);
    assert_eq!(spans[2].trace_id, 7_u128.to_be_bytes());
}
