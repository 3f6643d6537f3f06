//! What a program chooses in code: its resource, its propagators, and who is told what there is to say.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use throughline::{Context, Destination, Propagator, Value, extract, span};
use throughline_testkit::otlp::common::v1::any_value::Value as Any;
use throughline_testkit::{Receiver, Spool};

#[test]
fn choices_made_in_code_hold() {
    let receiver = Receiver::start().expect("loopback has a free port");
    let spool = Spool::new().expect("a private directory");
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = said.clone();
    let tracing = throughline::builder("chosen")
        .spool_dir(spool.path())
        .destination(Destination::otlp(receiver.endpoint()))
        .destination(Destination::otlp("not a URL"))
        .resource("shop.tills", 3)
        .resource("shop.tags", ["a", "b"])
        .resource("shop.open", None::<bool>)
        .resource("shop.city", Value::Str("Ulm"))
        .resource("host.name", "as the program says")
        .schema_url("https://schema/2")
        .schedule_delay(Duration::from_millis(1))
        .batch_spans(10)
        .propagators([Propagator::TraceContext])
        .diagnostics(move |line| {
            if let Ok(mut heard) = heard.lock() {
                heard.push(line.to_owned());
            }
            panic!("what panics in it is lost");
        })
        .init();
    let said = said.lock().expect("nobody panics with it").join("\n");
    assert_eq!(
        said,
        "destination=not a URL is not a URL such as http://localhost:4318; it gets nothing"
    );

    let incoming = [
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("baggage", "k=v"),
    ];
    let incoming = extract(incoming).expect("it is valid");
    assert_eq!(incoming.baggage_header(), "", "it is not read");
    (0..25).for_each(|n| span!(parent: &Context::root(), "work", n).end());
    let report = tracing.flush(Duration::from_secs(20)).wait();
    assert!(report.is_complete(), "{report}");
    assert!(receiver.requests().len() >= 3, "10 spans per request at most");

    let spans = receiver.spans();
    assert_eq!(&*spans[0].schema_url, "https://schema/2");
    let text = |text: &str| Some(Any::StringValue(text.to_owned()));
    let of = |key: &str| spans[0].resource_attribute(key).cloned();
    assert_eq!(of("shop.tills"), Some(Any::IntValue(3)));
    assert!(matches!(of("shop.tags"), Some(Any::ArrayValue(tags)) if tags.values.len() == 2));
    assert_eq!((of("shop.open"), of("shop.city")), (None, text("Ulm")));
    assert_eq!(of("host.name"), text("as the program says"));
    assert_eq!(of("process.pid"), Some(Any::IntValue(std::process::id().into())));
    assert_eq!(of("os.type"), text(std::env::consts::OS));
    let Some(Any::StringValue(id)) = of("service.instance.id") else {
        panic!("there is one");
    };
    assert_eq!(id.len(), 36, "{id}");
}
