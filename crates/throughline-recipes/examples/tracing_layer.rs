//! The page docs/tracing.md: spans of `tracing` and of Throughline in one tree.

use std::collections::HashMap;
use std::error::Error;

use throughline::{Context, extract, inject, span, testing};
use throughline_tracing::SpanExt as _;
use tracing::{Level, Span, info, info_span};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

fn main() -> Result<(), Box<dyn Error>> {
    let capture = testing::capture();
    let _tracing = throughline::init("orders"); // flushes when it is dropped
    tracing_subscriber::registry()
        .with(throughline_tracing::layer().events(Level::INFO))
        .with(fmt::layer().map_event_format(throughline_tracing::text_with_ids))
        .init();
    both_worlds();
    serve(&HashMap::from([(
        "traceparent",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )]))?;
    capture.assert_tree(
        "order {order.id=7}
           check stock
             query {rows=3}
         POST /charge {user.id=7}",
    );
    let _layers = lines_with_ids();
    // A process has one default; the program has its own already.
    assert!(without_a_registry().is_err());
    Ok(())
}

fn both_worlds() {
    let _order = info_span!("order", order.id = 7).entered();
    let _stock = span!("check stock").enter();
    let _query = info_span!("query").entered();
    throughline::current(|span| span.set("rows", 3));
}

fn serve(headers: &HashMap<&str, &str>) -> Result<(), Box<dyn Error>> {
    let request = info_span!("POST /charge", otel.kind = "server");
    request.set_parent(extract(headers))?;
    request.in_scope(charge);
    Ok(())
}

fn charge() {
    let cause = Context::current();
    Span::current().set_attribute("user.id", 7);
    Span::current().add_link(&cause);
    let headers: HashMap<String, String> = inject(HashMap::new());
    info!(traceparent = headers["traceparent"], "charged");
}

fn lines_with_ids() -> impl Sized {
    let text = fmt::layer().map_event_format(throughline_tracing::text_with_ids);
    let json = fmt::layer().json().map_event_format(throughline_tracing::json_with_ids);
    tracing_subscriber::registry().with(text).with(json)
}

fn without_a_registry() -> Result<(), Box<dyn Error>> {
    let subscriber = throughline_tracing::subscriber()
        .lines("info,sqlx=warn".parse()?)
        .json()
        .writer(std::io::stdout);
    tracing::subscriber::set_global_default(subscriber)?;
    Ok(())
}
