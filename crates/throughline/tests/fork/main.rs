//! A process that forks without exec: each traces for itself, and nothing is mixed, lost or sent twice.

use std::collections::HashSet;

use throughline_spool::Reader;
use throughline_testkit::{Program, ReceivedSpan, Receiver, Spool};

/// What came, and how many processes have a directory in the spool.
fn run(argument: &str) -> (Vec<ReceivedSpan>, usize) {
    let receiver = Receiver::start().expect("loopback has a free port");
    let spool = Spool::new().expect("a private directory");
    Program::example("program_fork", &spool)
        .expect("Cargo builds the examples of this package")
        .arg(argument)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())
        .run()
        .expect("it runs")
        .expect_success();
    let contents = Reader::new(spool.path()).read();
    assert_eq!(contents.problems, [""; 0]);
    (receiver.spans(), contents.processes.len())
}

fn named<'a>(spans: &'a [ReceivedSpan], name: &str) -> Vec<&'a ReceivedSpan> {
    spans.iter().filter(|span| span.name == name).collect()
}

#[test]
fn parent_and_child_each_send_their_own_spans_once() {
    let (spans, processes) = run("");
    assert_eq!(processes, 2, "a directory each");
    assert_eq!(named(&spans, "before").len(), 1);
    assert_eq!(named(&spans, "in the parent").len(), 100);
    assert_eq!(named(&spans, "in the child").len(), 100);
    assert_eq!(spans.len(), 204);

    let inherited = named(&spans, "inherited");
    assert_eq!(inherited.len(), 1, "it ends once, in the parent");
    let keys: Vec<_> = inherited[0]
        .attributes
        .iter()
        .map(|attribute| attribute.key.as_str())
        .collect();
    assert_eq!(keys, ["long", "set in the parent"]);
    assert_eq!(inherited[0].events.len(), 0);
    let below = named(&spans, "below the inherited");
    assert_eq!(
        below[0].parent_span_id, inherited[0].span_id,
        "the tree goes on in the child"
    );

    let told_of = |name: &str, key: &str| named(&spans, name)[0].resource_attribute(key).cloned();
    for key in ["process.pid", "service.instance.id"] {
        let (parent, child) = (told_of("in the parent", key), told_of("in the child", key));
        assert!(
            parent.is_some() && child.is_some() && parent != child,
            "{key}: {parent:?} {child:?}"
        );
    }

    let ids: HashSet<_> = spans.iter().map(|span| &span.span_id).collect();
    assert_eq!(ids.len(), spans.len(), "no span id repeats");
    let traces: HashSet<_> = spans.iter().map(|span| &span.trace_id).collect();
    assert_eq!(
        traces.len(),
        spans.len() - 2,
        "no trace id repeats but below the inherited span"
    );
}

#[test]
fn child_that_never_traces_makes_nothing() {
    let (spans, processes) = run("silent");
    assert_eq!(processes, 1);
    assert_eq!(spans.len(), 103);
    assert_eq!(named(&spans, "inherited").len(), 1);
}

#[test]
fn child_that_flushes_before_it_traces_waits_for_nobody() {
    let (spans, _) = run("flushes first");
    assert_eq!(spans.len(), 103);
}
