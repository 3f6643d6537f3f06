use throughline::{Context, Scope, Span, SpanKind, extract, span};
use throughline_testkit::otlp::trace::v1::span::SpanKind as OtlpKind;

use crate::traced::{pairs, root, text, traced};

#[test]
fn each_kind_is_its_own() {
    let cases = [
        (SpanKind::Internal, OtlpKind::Internal),
        (SpanKind::Server, OtlpKind::Server),
        (SpanKind::Client, OtlpKind::Client),
        (SpanKind::Producer, OtlpKind::Producer),
        (SpanKind::Consumer, OtlpKind::Consumer),
    ];
    traced();
    for (kind, expected) in cases {
        let span = Span::builder("kind").parent(Context::root()).kind(kind).start();
        assert_eq!(traced().end(span).kind(), expected);
    }
    assert_eq!(traced().end(root("default")).kind(), OtlpKind::Internal);
    let server = span!(parent: &Context::root(), kind: Server, "macro");
    assert_eq!(traced().end(server).kind(), OtlpKind::Server);
    let kind = SpanKind::Producer;
    let producer = span!(parent: None, kind: (kind), "macro", n = 1);
    assert_eq!(traced().end(producer).kind(), OtlpKind::Producer);
    let consumer = Context::root().in_scope(|| span!(kind: SpanKind::Consumer, "macro"));
    assert_eq!(traced().end(consumer).kind(), OtlpKind::Consumer);
}

#[test]
fn scope_is_the_crate_that_made_the_span_or_the_one_it_named() {
    static OTHER: Scope = Scope::new("other", "7.0.0");
    let by_macro = traced().end(root("of this crate"));
    assert_eq!(by_macro.scope.name, env!("CARGO_PKG_NAME"));
    assert_eq!(by_macro.scope.version, env!("CARGO_PKG_VERSION"));
    let root = Context::root();
    let named = traced().end(Span::builder("of another").parent(&root).scope(&OTHER).start());
    assert_eq!(
        (named.scope.name.as_str(), named.scope.version.as_str()),
        ("other", "7.0.0")
    );
    let name = format!("made at run time by {}", 1);
    let made = Scope::named(name, "1")
        .with_attribute("kind", "plug-in")
        .with_schema_url("https://schema/1");
    let made = traced().end(Span::builder("of one with more").parent(&root).scope(&made).start());
    assert_eq!(made.scope.name, "made at run time by 1");
    assert_eq!(pairs(&made.scope.attributes), [("kind", text("plug-in"))]);
    assert_eq!(&*made.scope_schema_url, "https://schema/1");
    let bare = traced().end(Span::builder("of none").parent(&root).start());
    assert_eq!(bare.scope.name, "");
}

#[test]
fn resource_names_the_service_and_what_was_added() {
    let received = traced().end(root("resource"));
    let resource = pairs(&received.resource.attributes);
    assert!(resource.contains(&("service.name", text("under test"))), "{resource:?}");
    assert!(resource.contains(&("service.version", text("1.2"))), "{resource:?}");
    let keys: Vec<_> = resource.iter().map(|(key, _)| *key).collect();
    assert!(
        keys.contains(&"telemetry.sdk.name") && keys.contains(&"telemetry.sdk.language"),
        "{keys:?}"
    );
}

#[test]
fn flags_tell_sampling_randomness_and_where_the_parent_is() {
    let remote = |flags: &str| {
        let header = format!(
            "00-4bf92f3577b34da6a3ce929d0e0e47{:02x}-00f067aa0ba902b7-{flags}",
            flags.len()
        );
        extract([("traceparent", header)]).expect("a valid traceparent")
    };
    let a_root = root("root");
    let local_child = span!(parent: &a_root.context(), "child");
    let remote_child = span!(parent: &remote("01"), "remote child");
    let remote_random_child = span!(parent: &remote("03"), "remote child");
    let grandchild = span!(parent: &remote_child.context(), "grandchild");
    for (span, flags) in [
        (a_root, 0x103),
        (local_child, 0x103),
        (grandchild, 0x101),
        (remote_child, 0x301),
        (remote_random_child, 0x303),
    ] {
        let received = traced().end(span);
        assert_eq!(received.flags, flags, "{}: {:#x}", received.name, received.flags);
    }
}

#[test]
fn parent_is_anything_that_has_a_context() {
    let parent = root("parent");
    let context = parent.context();
    let id = context.span_id().expect("it is a span").to_bytes().to_vec();
    let child = |span: Span| traced().end(span).span.parent_span_id;
    assert_eq!(child(span!(parent: &context, "x")), id);
    assert_eq!(child(span!(parent: context.clone(), "x")), id);
    assert_eq!(child(span!(parent: Some(context.clone()), "x")), id);
    assert_eq!(child(span!(parent: &Some(context.clone()), "x", a = 1)), id);
    assert_eq!(child(span!(parent: &parent, kind: Client, "x")), id);
    assert_eq!(child(Span::builder("x").parent(&parent).start()), id);
    let shared = parent.share();
    assert_eq!(child(span!(parent: &shared, "x")), id);
    let entered = span!(parent: &shared, "entered").enter();
    let inner = entered.context().span_id().expect("it is a span").to_bytes().to_vec();
    assert_eq!(child(span!(parent: &entered, "x")), inner);
    assert_eq!(child(span!("x")), inner);
    assert_eq!(
        child(span!(parent: None, "x")),
        [0_u8; 0],
        "no parent is a root, whatever is current"
    );
    assert_eq!(
        child(span!(parent: extract([("traceparent", "broken")]), "x")),
        [0_u8; 0]
    );
}

#[test]
fn state_of_the_trace_is_in_every_span_of_it() {
    let headers = [
        ("traceparent", "00-11f92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("tracestate", "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"),
    ];
    let remote = extract(headers).expect("a valid traceparent");
    traced();
    let server = span!(parent: &remote, "server", a = 1);
    let child = span!(parent: &server.context(), "child");
    for span in [child, server] {
        let received = traced().end(span);
        assert_eq!(received.trace_state, headers[1].1);
        assert_eq!(received.trace_id, remote.trace_id().unwrap().to_bytes());
    }
    assert_eq!(traced().end(root("without")).trace_state, "");
}

#[test]
fn child_lies_within_its_parent_and_no_span_ends_before_it_starts() {
    let parent = root("parent").enter();
    let context = parent.context();
    for _ in 0..1000 {
        span!("child").end();
    }
    parent.end();
    let mut spans = traced().trace(&context);
    assert_eq!(spans.len(), 1001);
    spans.sort_by_key(|span| span.start_time_unix_nano);
    let at = spans
        .iter()
        .position(|span| span.name == "parent")
        .expect("the parent came");
    let parent = spans.swap_remove(at);
    for child in &spans {
        assert_eq!(child.parent_span_id, parent.span_id);
        let times = [
            parent.start_time_unix_nano,
            child.start_time_unix_nano,
            child.end_time_unix_nano,
            parent.end_time_unix_nano,
        ];
        assert!(times.is_sorted(), "{times:?}");
    }
}
