//! The program of docs/opentelemetry.md: a library that is instrumented with the OpenTelemetry API, in a program that is traced with
//! Throughline. With the argument `sdk` its spans go through an exporter of `opentelemetry_sdk`.

use throughline::{Destination, span};
use throughline_opentelemetry::SdkExporter;
use throughline_recipes::Printed;

fn main() {
    if std::env::args().nth(1).as_deref() == Some("sdk") {
        return through_an_exporter_of_the_sdk();
    }
    let _tracing = throughline::init("shop");
    throughline_opentelemetry::install();
    place_order(7);
}

fn place_order(order: u64) {
    let _span = span!("place order", order.id = order).enter();
    warehouse::check_stock(order);
}

mod warehouse {
    //! Stands for a library that knows of `opentelemetry` only.

    use opentelemetry::trace::{TraceContextExt, Tracer};
    use opentelemetry::{KeyValue, global};

    pub fn check_stock(order: u64) {
        global::tracer("warehouse").in_span("check stock", |context| {
            context.span().set_attribute(KeyValue::new("order.id", order as i64));
            query();
        });
    }

    /// Native code may lie below the library's again.
    fn query() {
        throughline::span!(kind: Client, "SELECT stock").end();
    }
}

fn through_an_exporter_of_the_sdk() {
    let exporter = SdkExporter::new(Printed);
    let _tracing = throughline::builder("shop")
        .destination(Destination::exporter("printed", exporter))
        .init();
    throughline_opentelemetry::install();
    place_order(7);
}
