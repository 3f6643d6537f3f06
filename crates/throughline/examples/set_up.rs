//! The set-ups of `docs/set-up.md`: each is compiled, and the one that is named as the argument is run.
//!
//!     cargo run -p throughline --example set_up -- several

use std::error::Error;
use std::time::Duration;

use throughline::{
    BaggageAttributes, BearerToken, Compression, Content, Destination, FileLayout, Filter, ParentBased, Propagator,
    Protocol, Redaction, Sampler, SpanLimits, Tracing, Verdict, span,
};

fn main() -> Result<(), Box<dyn Error>> {
    let tracing = match std::env::args().nth(1).as_deref() {
        None | Some("several") => several(),
        Some("grpc") => grpc(),
        Some("tokens") => tokens(),
        Some("ways") => ways(),
        Some("sampling") => sampling()?,
        Some("untrusting") => untrusting()?,
        Some("processing") => processing(),
        Some("limits") => limits(),
        Some("switch") => switch(),
        Some("layers") => layers(),
        Some("propagators") => propagators(),
        Some(other) => return Err(format!("there is no set-up {other}").into()),
    };
    drop(span!(
        "work",
        customer.email = "somebody@example.com",
        session.token = "abc"
    ));
    finish(tracing);
    Ok(())
}

fn several() -> Tracing {
    throughline::builder("orders")
        .destination(Destination::otlp("http://localhost:4318"))
        .destination(Destination::otlp("https://otlp.example.com").header("x-api-key", "secret"))
        .destination(Destination::files("/var/tmp/orders-traces").layout(FileLayout::ByTrace))
        .destination(Destination::console())
        .init()
}

fn grpc() -> Tracing {
    let collector = Destination::otlp("https://collector.internal:4317")
        .protocol(Protocol::Grpc)
        .compression(Compression::Gzip)
        .certificate("/etc/orders/ca.pem")
        .client_certificate("/etc/orders/client.pem", "/etc/orders/client.key")
        .timeout(Duration::from_secs(3));
    throughline::builder("orders").destination(collector).init()
}

fn tokens() -> Tracing {
    let vendor = Destination::otlp("https://otlp.example.com").bearer_token(|| async {
        let token = std::fs::read_to_string("/run/secrets/token")?;
        Ok::<_, std::io::Error>(BearerToken::new(token.trim()).valid_for(Duration::from_secs(600)))
    });
    throughline::builder("orders").destination(vendor).init()
}

fn ways() -> Tracing {
    throughline::builder("orders")
        .destination(Destination::otlp("unix:/run/otel.sock"))
        .destination(Destination::otlp("https://otlp.example.com").proxy("http://user:password@proxy:3128"))
        .destination(Destination::otlp("http://collector.internal:4318").no_proxy())
        .init()
}

fn sampling() -> Result<Tracing, Box<dyn Error>> {
    let sampler = Sampler::by_name(
        [
            ("GET /health", Sampler::always_off()),
            ("GET /images/*", Sampler::ratio(0.01)?),
        ],
        Sampler::rate_limited(100, Duration::from_secs(1)),
    );
    Ok(throughline::builder("orders").sampler(sampler.parent_based()).init())
}

fn untrusting() -> Result<Tracing, Box<dyn Error>> {
    // Callers from elsewhere may not choose what is recorded here.
    let sampler = ParentBased::new(Sampler::ratio(0.1)?).remote_parent_sampled(Sampler::ratio(0.1)?);
    Ok(throughline::builder("orders").sampler(sampler.into()).init())
}

fn processing() -> Tracing {
    throughline::builder("orders")
        .processor(BaggageAttributes::keys(["tenant.id"]))
        .processor(Filter::at_start().drop_names(["GET /health"]))
        .processor(Filter::at_end().rule(|span| span.name().starts_with("poll").then_some(Verdict::Drop)))
        .redact(throughline::redact_keys(["session.token", "card.number"]))
        .redact(|content: &Content<'_>| match content {
            Content::Attribute("customer.email", _) => Redaction::Replace("<removed>".to_owned()),
            _ => Redaction::Keep,
        })
        .init()
}

fn limits() -> Tracing {
    throughline::builder("orders")
        .limits(SpanLimits::default().attributes(64).value_length(1000))
        .spool_bytes(512 << 20)
        .history_bytes(16 << 20)
        .sync_every(Duration::from_secs(1))
        .init()
}

fn switch() -> Tracing {
    throughline::builder("orders")
        .switch_variable("ORDERS_TRACING")
        .only_with_endpoint()
        .init()
}

fn layers() -> Tracing {
    throughline::builder("orders")
        .instance("blue")
        .variable_prefixes(["ORDERS_", "ORDERS_BLUE_"])
        .exit_flush(false)
        .init()
}

fn finish(tracing: Tracing) {
    let report = tracing.shutdown(Duration::from_secs(2)).wait();
    if !report.is_complete() {
        eprintln!("{report}");
    }
}

fn propagators() -> Tracing {
    throughline::builder("orders")
        .propagators([Propagator::B3, Propagator::TraceContext, Propagator::Baggage])
        .init()
}
