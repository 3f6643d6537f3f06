//! Every variable that is read: what a usable value sets, that an empty one is an unset one, and what is said of a wrong one.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::Debug;

use super::reference::GROUPS;
use super::*;

struct Row {
    name: &'static str,
    /// What else is set: another variable may decide whether this one counts.
    beside: &'static [(&'static str, &'static str)],
    /// A value, and what is set by it.
    usable: (&'static str, &'static str),
    look: fn(&Config) -> String,
    /// A value that cannot be used, and a part of what is said of it. `None`: any text can be used.
    wrong: Option<(&'static str, &'static str)>,
}

fn shown(value: impl Debug) -> String {
    format!("{value:?}")
}

fn otlp(config: &Config) -> Otlp {
    let first = config.destinations.first();
    match first {
        Some(Destination::Otlp(first)) => (**first).clone(),
        other => panic!("{other:?}"),
    }
}

fn destinations(config: &Config) -> String {
    config
        .destinations
        .iter()
        .map(|destination| match destination {
            Destination::Otlp(otlp) => otlp.endpoint.to_string(),
            Destination::Files(files) => files.path.display().to_string(),
            Destination::Console(_) => "console".to_owned(),
            Destination::Exporter(_) => "exporter".to_owned(),
        })
        .collect::<Vec<_>>()
        .join(" ")
}

const HTTP: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://backend.example:4318");
const HTTPS: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://backend.example");
const GRPC: &[(&str, &str)] = &[
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "backend.example:4317"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
];

fn client_files(config: &Config) -> String {
    shown(
        otlp(config)
            .certificates
            .client
            .map(|client| (client.certificate, client.key)),
    )
}

fn authorities(config: &Config) -> String {
    shown(otlp(config).certificates.authorities)
}

fn proxy(config: &Config) -> String {
    otlp(config)
        .proxy
        .map_or(String::new(), |proxy| proxy.host().to_owned())
}

/// Rows for both names of an option of the exporter.
fn of_exporter(
    option: &'static [&'static str; 2],
    beside: &'static [(&'static str, &'static str)],
    usable: (&'static str, &'static str),
    look: fn(&Config) -> String,
    wrong: Option<(&'static str, &'static str)>,
) -> impl Iterator<Item = Row> {
    option.iter().map(move |name| Row {
        name,
        beside,
        usable,
        look,
        wrong,
    })
}

/// Rows for variables that hold a number.
fn of_limits() -> impl Iterator<Item = Row> {
    const NOT_A_NUMBER: Option<(&str, &str)> = Some(("-1", "is not a whole number"));
    let row = |name, expected, look| Row {
        name,
        beside: &[],
        usable: ("7", expected),
        look,
        wrong: NOT_A_NUMBER,
    };
    let shown_limits: fn(&Config) -> String = |config| {
        let none = SpanLimits::default();
        let limits = config.limits;
        [
            (none.attributes(7), "attributes"),
            (none.events(7), "events"),
            (none.links(7), "links"),
            (none.event_attributes(7), "event attributes"),
            (none.link_attributes(7), "link attributes"),
            (
                none.attributes(7).event_attributes(7).link_attributes(7),
                "all attributes",
            ),
            (none.value_length(7), "length"),
        ]
        .iter()
        .find(|(expected, _)| *expected == limits)
        .map_or(String::new(), |(_, name)| (*name).to_owned())
    };
    [
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "attributes"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "events"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "links"),
        ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "event attributes"),
        ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "link attributes"),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "all attributes"),
        ("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "length"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "length"),
    ]
    .into_iter()
    .map(move |(name, expected)| row(name, expected, shown_limits))
}

fn of_proxies() -> impl Iterator<Item = Row> {
    const WRONG: Option<(&str, &str)> = Some(("socks5://p:1", "http://"));
    [
        ("https_proxy", &[HTTPS]),
        ("HTTPS_PROXY", &[HTTPS]),
        ("http_proxy", &[HTTP]),
        ("HTTP_PROXY", &[HTTP]),
        ("all_proxy", &[HTTP]),
        ("ALL_PROXY", &[HTTPS]),
    ]
    .into_iter()
    .map(|(name, beside)| Row {
        name,
        beside,
        usable: ("http://p:3128", "p"),
        look: proxy,
        wrong: WRONG,
    })
}

fn rows() -> Vec<Row> {
    let row = |name, beside, usable, look, wrong| Row {
        name,
        beside,
        usable,
        look,
        wrong,
    };
    let mut rows = vec![
        row(
            "OTEL_SDK_DISABLED",
            &[],
            ("TRUE", "false"),
            |config| shown(config.enabled),
            Some(("1", "is neither true nor false")),
        ),
        row(
            "OTEL_SERVICE_NAME",
            &[],
            ("orders", "orders"),
            |config| config.resource.service_name().to_owned(),
            None,
        ),
        row(
            "OTEL_RESOURCE_ATTRIBUTES",
            &[],
            ("a%2Cb=c%3Dd", "Some(\"c=d\")"),
            |config| shown(config.resource.get("a,b")),
            Some(("a", "is not key=value")),
        ),
        row(
            "OTEL_PROPAGATORS",
            &[],
            ("baggage,b3,baggage", "[Baggage, B3]"),
            |config| shown(&*config.propagators),
            Some(("b4", "b4")),
        ),
        row(
            "OTEL_LOG_LEVEL",
            &[],
            ("None", "true"),
            |config| shown(config.is_silent),
            Some(("loud", "is no level")),
        ),
        row(
            "THROUGHLINE_SPOOL_DIR",
            &[],
            ("/spool", "Some(\"/spool\")"),
            |config| shown(&config.spool_dir),
            None,
        ),
        row(
            "OTEL_TRACES_SAMPLER",
            &[],
            ("ALWAYS_OFF", "always_off"),
            sampler,
            Some(("sometimes", "is not a sampler")),
        ),
        row(
            "OTEL_TRACES_SAMPLER_ARG",
            &[("OTEL_TRACES_SAMPLER", "traceidratio")],
            ("0.25", "a quarter"),
            sampler,
            Some(("1.5", "from 0 to 1")),
        ),
        row(
            "OTEL_TRACES_EXPORTER",
            &[],
            ("OTLP,console", "http://localhost:4318/v1/traces console"),
            destinations,
            Some(("zipkin", "zipkin")),
        ),
        row(
            "THROUGHLINE_FILES_DIR",
            &[("OTEL_TRACES_EXPORTER", "otlp,otlp_file")],
            ("/traces", "http://localhost:4318/v1/traces /traces"),
            destinations,
            None,
        ),
        row(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            &[],
            ("http://h/x", "http://h/x/v1/traces"),
            destinations,
            Some(("h:4318", "http://")),
        ),
        row(
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            &[],
            ("http://h:4318", "http://h:4318/"),
            destinations,
            Some(("h:4318", "http://")),
        ),
        row(
            "no_proxy",
            &[("ALL_PROXY", "http://p:1"), HTTPS],
            (".example", ""),
            proxy,
            None,
        ),
        row(
            "NO_PROXY",
            &[("ALL_PROXY", "http://p:1"), HTTPS],
            ("other,backend.example", ""),
            proxy,
            None,
        ),
        row(
            "REQUEST_METHOD",
            &[("HTTP_PROXY", "http://p:1"), HTTP],
            ("GET", ""),
            proxy,
            None,
        ),
        row(
            "OTEL_BSP_SCHEDULE_DELAY",
            &[],
            ("100", "100ms"),
            |config| shown(config.batch.schedule_delay),
            Some(("5s", "is not a whole number of milliseconds")),
        ),
        row(
            "OTEL_BSP_EXPORT_TIMEOUT",
            &[HTTP],
            ("2000", "Some(2s)"),
            |config| shown(otlp(config).timeout),
            Some(("-1", "is not a whole number of milliseconds")),
        ),
        row(
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
            &[],
            ("7", "7"),
            |config| shown(config.batch.spans),
            Some(("0", "is not a whole number above 0")),
        ),
    ];
    rows.extend(of_exporter(
        &["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"],
        &[HTTP],
        ("HTTP/JSON", "HttpJson"),
        |config| shown(otlp(config).protocol),
        Some(("thrift", "is not ")),
    ));
    rows.extend(of_exporter(
        &["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"],
        &[HTTP],
        (" key = a%20b=c ", "Some(Ok(\"a b=c\"))"),
        |config| {
            shown(
                otlp(config)
                    .headers
                    .get("key")
                    .map(|value| value.to_str().map(str::to_owned)),
            )
        },
        Some(("key", "has no `=`")),
    ));
    rows.extend(of_exporter(
        &["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"],
        &[HTTP],
        ("0", "None"),
        |config| shown(otlp(config).timeout),
        Some(("10s", "is not a whole number of milliseconds")),
    ));
    rows.extend(of_exporter(
        &[
            "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
            "OTEL_EXPORTER_OTLP_COMPRESSION",
        ],
        &[HTTP],
        ("Gzip", "Gzip"),
        |config| shown(otlp(config).compression),
        Some(("zstd", "is not ")),
    ));
    rows.extend(of_exporter(
        &["OTEL_EXPORTER_OTLP_TRACES_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE"],
        GRPC,
        ("true", "false"),
        |config| shown(otlp(config).endpoint.is_tls()),
        Some(("1", "is neither true nor false")),
    ));
    rows.extend(of_exporter(
        &[
            "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_CERTIFICATE",
        ],
        &[HTTPS],
        ("/ca.pem", "Some(\"/ca.pem\")"),
        authorities,
        None,
    ));
    rows.extend(of_exporter(
        &[
            "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
        ],
        &[HTTPS, ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/key.pem")],
        ("/own.pem", "Some((\"/own.pem\", \"/key.pem\"))"),
        client_files,
        None,
    ));
    rows.extend(of_exporter(
        &["OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_KEY"],
        &[HTTPS, ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/own.pem")],
        ("/key.pem", "Some((\"/own.pem\", \"/key.pem\"))"),
        client_files,
        None,
    ));
    rows.extend(of_limits());
    rows.extend(of_proxies());
    rows
}

fn sampler(config: &Config) -> String {
    let shown = shown(&config.sampler);
    for (sampler, name) in [
        (Sampler::always_off(), "always_off"),
        (Sampler::ratio(0.25).expect("a share"), "a quarter"),
    ] {
        if shown == format!("{sampler:?}") {
            return name.to_owned();
        }
    }
    shown
}

/// It sets nothing: only a wrong value shows that it is read.
const SETS_NOTHING: &str = "OTEL_BSP_MAX_QUEUE_SIZE";

fn read_with(row: &Row, value: Option<&str>) -> (String, Vec<String>) {
    let lookup = |name: &str| {
        let own = value.map(|value| (row.name, value)).into_iter();
        let found = own.chain(row.beside.iter().copied()).find(|(known, _)| *known == name);
        found.map(|(_, value)| OsString::from(value))
    };
    let (config, wrong_settings) = read(&Settings::default(), &lookup, Some("app"));
    let said = wrong_settings.iter().map(WrongSetting::to_string).collect();
    ((row.look)(&config), said)
}

#[test]
fn every_variable_sets_what_it_says_and_a_wrong_value_is_said_and_not_used() {
    for row in rows() {
        let name = row.name;
        let (without, said_without) = read_with(&row, None);
        let (value, expected) = row.usable;
        assert_ne!(without, expected, "{name}");
        assert_eq!(
            read_with(&row, Some(value)),
            (expected.to_owned(), Vec::new()),
            "{name}"
        );
        assert_eq!(
            read_with(&row, Some("")),
            (without.clone(), said_without.clone()),
            "{name}"
        );
        if let Some((value, problem)) = row.wrong {
            let (set, said) = read_with(&row, Some(value));
            assert_eq!(set, without, "{name}={value}");
            // Headers hold keys.
            let named = if name.ends_with("HEADERS") { "***" } else { value };
            let about = |line: &&String| line.starts_with(&format!("{name}={named} ")) && line.contains(problem);
            assert_eq!(
                (said.iter().filter(about).count(), said.len()),
                (1, 1),
                "{name}={value}: {said:?}"
            );
        }
    }
}

#[test]
fn every_variable_of_the_reference_has_a_row() {
    let of_reference: BTreeSet<&str> = GROUPS
        .iter()
        .flat_map(|group| group.variables)
        .flat_map(|variable| variable.names)
        .copied()
        .collect();
    let of_rows = rows().iter().map(|row| row.name).chain([SETS_NOTHING]).collect();
    assert_eq!(of_reference, of_rows);
}

#[test]
fn size_of_a_queue_that_does_not_exist_is_checked_all_the_same() {
    let row = Row {
        name: SETS_NOTHING,
        beside: &[],
        usable: ("1", ""),
        look: |config| shown(config.batch),
        wrong: None,
    };
    let (unset, _) = read_with(&row, None);
    assert_eq!(read_with(&row, Some("4096")), (unset.clone(), Vec::new()));
    let (set, said) = read_with(&row, Some("0"));
    assert_eq!((set, said.len()), (unset, 1), "{said:?}");
}
