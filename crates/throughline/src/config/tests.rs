use std::collections::HashMap;

use super::*;
use crate::destination::{Compression, Protocol};

/// What `read` makes of `settings` and these variables, and what it says of wrong ones.
fn config(settings: &Settings, variables: &[(&str, &str)]) -> (Config, Vec<String>) {
    let variables: HashMap<&str, OsString> = variables
        .iter()
        .map(|(name, value)| (*name, OsString::from(value)))
        .collect();
    let (config, wrong_settings) = read(settings, &|name| variables.get(name).cloned(), Some("app"));
    (config, wrong_settings.iter().map(WrongSetting::to_string).collect())
}

fn from_environment(variables: &[(&str, &str)]) -> (Config, Vec<String>) {
    config(&Settings::default(), variables)
}

const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://h:4318");

fn first(config: Config) -> Option<Otlp> {
    match config.destinations.into_iter().next()? {
        Destination::Otlp(first) => Some(*first),
        other => panic!("{other:?}"),
    }
}

#[test]
fn with_nothing_set_spans_stay_in_the_local_history() {
    let (config, wrong_settings) = from_environment(&[]);
    assert!(config.enabled);
    assert!(config.destinations.is_empty());
    assert_eq!(config.batch, BatchSettings::default());
    assert_eq!(shown(&config.sampler), shown(&Sampler::default()));
    assert_eq!(config.propagators, Propagators::default());
    assert_eq!(config.resource.service_name(), "unknown_service:app");
    assert_eq!(config.spool_dir, None);
    assert_eq!(wrong_settings, [""; 0]);
}

#[test]
fn empty_variable_is_an_unset_one() {
    let names = [
        "OTEL_SDK_DISABLED",
        "OTEL_SERVICE_NAME",
        "OTEL_RESOURCE_ATTRIBUTES",
        "OTEL_TRACES_EXPORTER",
        "OTEL_TRACES_SAMPLER",
        "OTEL_PROPAGATORS",
        "OTEL_BSP_SCHEDULE_DELAY",
        "OTEL_BSP_MAX_QUEUE_SIZE",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_EXPORTER_OTLP_HEADERS",
        "OTEL_EXPORTER_OTLP_TIMEOUT",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "OTEL_EXPORTER_OTLP_COMPRESSION",
        "THROUGHLINE_SPOOL_DIR",
    ];
    let (unset, _) = from_environment(&[]);
    let (empty, wrong_settings) = from_environment(&names.map(|name| (name, "")));
    assert_eq!(format!("{empty:?}"), format!("{unset:?}"));
    assert_eq!(wrong_settings, [""; 0]);
}

#[test]
fn spans_go_where_the_settings_say() {
    let code = |url: &str| Settings {
        endpoint: Some(url.to_owned()),
        ..Settings::default()
    };
    let none = Settings::default();
    const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
    const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
    const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
    const TRACES_PROTOCOL: &str = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL";
    for (settings, variables, expected, wrong_settings) in [
        (&none, vec![ENDPOINT], Some("http://h:4318/v1/traces"), 0),
        (&none, vec![(TRACES, "http://t/x")], Some("http://t/x"), 0),
        (&none, vec![ENDPOINT, (TRACES, "http://t")], Some("http://t/"), 0),
        (
            &code("http://c"),
            vec![ENDPOINT, (TRACES, "http://t")],
            Some("http://c/v1/traces"),
            0,
        ),
        (
            &code("http://c"),
            vec![(EXPORTER, "none")],
            Some("http://c/v1/traces"),
            0,
        ),
        (
            &none,
            vec![(EXPORTER, "otlp")],
            Some("http://localhost:4318/v1/traces"),
            0,
        ),
        (
            &none,
            vec![(EXPORTER, " OTLP ")],
            Some("http://localhost:4318/v1/traces"),
            0,
        ),
        (&none, vec![(EXPORTER, "none"), ENDPOINT], None, 0),
        (&none, vec![(EXPORTER, "zipkin"), ENDPOINT], None, 1),
        (
            &none,
            vec![(EXPORTER, "otlp,zipkin")],
            Some("http://localhost:4318/v1/traces"),
            1,
        ),
        (
            &none,
            vec![(EXPORTER, "nonsense"), ENDPOINT],
            Some("http://h:4318/v1/traces"),
            1,
        ),
        (&none, vec![(EXPORTER, "nonsense")], None, 1),
        (
            &none,
            vec![ENDPOINT, (TRACES, "localhost:4318")],
            Some("http://h:4318/v1/traces"),
            1,
        ),
        (&none, vec![(TRACES, "localhost:4318")], None, 1),
        (&code("nonsense"), vec![], None, 1),
        (&code("nonsense"), vec![ENDPOINT], Some("http://h:4318/v1/traces"), 1),
        (
            &none,
            vec![ENDPOINT, (PROTOCOL, "http/protobuf")],
            Some("http://h:4318/v1/traces"),
            0,
        ),
        (
            &none,
            vec![ENDPOINT, (PROTOCOL, " HTTP/Protobuf")],
            Some("http://h:4318/v1/traces"),
            0,
        ),
        (&none, vec![ENDPOINT, (PROTOCOL, "grpc")], Some("http://h:4318/"), 0),
        (
            &none,
            vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "h:4317"), (PROTOCOL, "grpc")],
            Some("https://h:4317/"),
            0,
        ),
        (
            &none,
            vec![
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "h:4317"),
                (PROTOCOL, "grpc"),
                ("OTEL_EXPORTER_OTLP_INSECURE", "true"),
            ],
            Some("http://h:4317/"),
            0,
        ),
        (
            &none,
            vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "unix:/run/o.sock")],
            Some("unix:/run/o.sock"),
            0,
        ),
        (
            &none,
            vec![("OTEL_TRACES_EXPORTER", "otlp"), (PROTOCOL, "grpc")],
            Some("http://localhost:4317/"),
            0,
        ),
        (
            &none,
            vec![ENDPOINT, (PROTOCOL, "http/json")],
            Some("http://h:4318/v1/traces"),
            0,
        ),
        (
            &none,
            vec![ENDPOINT, (PROTOCOL, "grpc"), (TRACES_PROTOCOL, "http/protobuf")],
            Some("http://h:4318/v1/traces"),
            0,
        ),
        (
            &none,
            vec![ENDPOINT, (PROTOCOL, "carrier pigeon")],
            Some("http://h:4318/v1/traces"),
            1,
        ),
        (&none, vec![(PROTOCOL, "grpc")], None, 0),
    ] {
        let (config, said) = config(settings, &variables);
        let endpoint = first(config).map(|d| d.endpoint.to_string());
        assert_eq!(endpoint.as_deref(), expected, "{variables:?}");
        assert_eq!(said.len(), wrong_settings, "{variables:?}: {said:?}");
    }
}

#[test]
fn exporters_are_a_list_of_destinations() {
    const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
    const DIRECTORY: (&str, &str) = ("THROUGHLINE_FILES_DIR", "/traces");
    for (variables, expected, wrong_settings) in [
        (vec![(EXPORTER, "console"), ENDPOINT], vec!["console (stderr)"], 0),
        (vec![(EXPORTER, "otlp/stdout")], vec!["console (stdout)"], 0),
        (
            vec![(EXPORTER, "Console , otlp,console")],
            vec!["console (stderr)", "http://localhost:4318/v1/traces"],
            0,
        ),
        (vec![(EXPORTER, "otlp_file"), DIRECTORY], vec!["files /traces"], 0),
        (
            vec![(EXPORTER, "otlp_file/development,otlp"), DIRECTORY, ENDPOINT],
            vec!["files /traces", "http://h:4318/v1/traces"],
            0,
        ),
        (vec![(EXPORTER, "otlp_file"), ENDPOINT], vec![], 1),
        (vec![(EXPORTER, "console,none")], vec!["console (stderr)"], 0),
        (vec![(EXPORTER, "none"), ENDPOINT, DIRECTORY], vec![], 0),
        (vec![DIRECTORY], vec![], 0),
    ] {
        let (config, said) = from_environment(&variables);
        let names: Vec<_> = config.destinations.iter().map(Destination::name).collect();
        assert_eq!(names, expected, "{variables:?}");
        assert_eq!(said.len(), wrong_settings, "{variables:?}: {said:?}");
    }
}

#[test]
fn destination_that_cannot_be_used_beside_others_leaves_no_spans_in_the_spool() {
    const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
    for (variables, instead) in [
        (&[(EXPORTER, "otlp,zipkin")][..], "nothing is sent there"),
        (&[(EXPORTER, "zipkin")], "spans stay in the local spool"),
        (&[(EXPORTER, "console,otlp_file")], "nothing is sent there"),
        (&[(EXPORTER, "otlp_file")], "spans stay in the local spool"),
    ] {
        let (_, said) = from_environment(variables);
        assert!(said.len() == 1 && said[0].ends_with(instead), "{variables:?}: {said:?}");
    }
}

#[test]
fn unusable_value_is_named_with_what_is_used_instead() {
    for (name, value, line) in [
        (
            "OTEL_BSP_SCHEDULE_DELAY",
            "5s",
            "OTEL_BSP_SCHEDULE_DELAY=5s is not a whole number of milliseconds; using 5000",
        ),
        (
            "OTEL_BSP_SCHEDULE_DELAY",
            "-1",
            "OTEL_BSP_SCHEDULE_DELAY=-1 is not a whole number of milliseconds; using 5000",
        ),
        (
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
            "0",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=0 is not a whole number above 0; using 512",
        ),
        (
            "OTEL_BSP_MAX_QUEUE_SIZE",
            "+5",
            "OTEL_BSP_MAX_QUEUE_SIZE=+5 is not a whole number above 0; the spool's quota holds \
             anyway",
        ),
        (
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            "99999999999999999999",
            "OTEL_EXPORTER_OTLP_TIMEOUT=99999999999999999999 is not a whole number of \
             milliseconds; using 10000",
        ),
        (
            "OTEL_SDK_DISABLED",
            "1",
            "OTEL_SDK_DISABLED=1 is neither true nor false; tracing stays on",
        ),
        (
            "OTEL_TRACES_SAMPLER",
            "xray",
            "OTEL_TRACES_SAMPLER=xray is not supported; using parentbased_always_on",
        ),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            "a",
            "OTEL_RESOURCE_ATTRIBUTES=a has an entry (number 1) that is not key=value, \
             percent-encoded; all of it is ignored",
        ),
        (
            "OTEL_PROPAGATORS",
            "b4",
            "OTEL_PROPAGATORS=b4 is not a propagator; it is ignored",
        ),
        (
            "OTEL_EXPORTER_OTLP_COMPRESSION",
            "zstd",
            "OTEL_EXPORTER_OTLP_COMPRESSION=zstd is not gzip or none; requests are sent uncompressed",
        ),
        (
            "OTEL_EXPORTER_OTLP_CERTIFICATE",
            "/ca.pem",
            "OTEL_EXPORTER_OTLP_CERTIFICATE=/ca.pem is for an endpoint with https://, and \
             http://h:4318/v1/traces is none; it is not used",
        ),
        (
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
            "u:s3cret@h:4318",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=***@h:4318 is not a URL such as \
             http://localhost:4318; using http://h:4318/v1/traces",
        ),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "key s3cret",
            "OTEL_EXPORTER_OTLP_HEADERS=*** has no `=` in entry 1; that entry is ignored",
        ),
    ] {
        let (_, said) = from_environment(&[ENDPOINT, (name, value)]);
        assert_eq!(said, [line], "{name}={value}");
    }
}

#[test]
fn bad_specific_value_gives_way_to_the_general_one() {
    let (config, said) = from_environment(&[
        ENDPOINT,
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "soon"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "7"),
    ]);
    assert_eq!(first(config).unwrap().timeout, Some(Duration::from_millis(7)));
    assert_eq!(
        said,
        [
            "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT=soon is not a whole number of milliseconds; using \
          OTEL_EXPORTER_OTLP_TIMEOUT"
        ]
    );
}

#[test]
fn protocol_of_traces_beats_that_of_all_signals() {
    const ALL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
    const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL";
    for (variables, expected) in [
        (&[][..], Protocol::HttpProtobuf),
        (&[(ALL, "http/json")], Protocol::HttpJson),
        (&[(ALL, "http/json"), (TRACES, "http/protobuf")], Protocol::HttpProtobuf),
        (&[(ALL, "grpc"), (TRACES, "HTTP/JSON")], Protocol::HttpJson),
        (&[(ALL, "http/json"), (TRACES, "gRPC ")], Protocol::Grpc),
    ] {
        let (config, said) = from_environment(&[&[ENDPOINT][..], variables].concat());
        assert_eq!(first(config).unwrap().protocol, expected, "{variables:?}");
        assert_eq!(said, [""; 0]);
    }
}

#[test]
fn compression_of_traces_beats_that_of_all_signals() {
    const ALL: &str = "OTEL_EXPORTER_OTLP_COMPRESSION";
    const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION";
    for (variables, expected) in [
        (&[][..], Compression::None),
        (&[(ALL, "gzip")], Compression::Gzip),
        (&[(ALL, "none")], Compression::None),
        (&[(ALL, "gzip"), (TRACES, "none")], Compression::None),
        (&[(ALL, "none"), (TRACES, "GZIP")], Compression::Gzip),
    ] {
        let (config, said) = from_environment(&[&[ENDPOINT][..], variables].concat());
        assert_eq!(first(config).unwrap().compression, expected, "{variables:?}");
        assert_eq!(said, [""; 0]);
    }
}

#[test]
fn timeout_of_zero_is_no_limit() {
    let of = |variables: &[(&str, &str)]| first(from_environment(variables).0).unwrap().timeout;
    assert_eq!(of(&[ENDPOINT]), Some(Duration::from_secs(10)));
    assert_eq!(of(&[ENDPOINT, ("OTEL_EXPORTER_OTLP_TIMEOUT", "0")]), None);
}

#[test]
fn timeout_is_the_shorter_one_of_a_request_and_an_export() {
    for (request, export, expected) in [
        ("", "", Some(10_000)),
        ("", "2000", Some(2_000)),
        ("", "20000", Some(10_000)),
        ("", "0", Some(10_000)),
        ("0", "20000", Some(20_000)),
        ("0", "0", None),
        ("500", "2000", Some(500)),
    ] {
        let (config, wrong_settings) = from_environment(&[
            ENDPOINT,
            ("OTEL_EXPORTER_OTLP_TIMEOUT", request),
            ("OTEL_BSP_EXPORT_TIMEOUT", export),
        ]);
        let limit = first(config).unwrap().timeout;
        assert_eq!(
            (limit, wrong_settings.len()),
            (expected.map(Duration::from_millis), 0),
            "{request} {export}"
        );
    }
    let in_code = Settings {
        timeout: Some(Duration::from_secs(60)),
        ..Settings::default()
    };
    let (config, _) = config(&in_code, &[ENDPOINT, ("OTEL_BSP_EXPORT_TIMEOUT", "1000")]);
    assert_eq!(first(config).unwrap().timeout, in_code.timeout);
}

#[test]
fn headers_of_traces_replace_those_of_all_signals_and_code_beats_both() {
    let general = ("OTEL_EXPORTER_OTLP_HEADERS", "a=1,b=2");
    let traces = ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "c=3");
    let code = Settings {
        headers: vec![("C".into(), "code".into())],
        ..Settings::default()
    };
    let sent = |config: Config| -> Vec<String> {
        let headers = first(config).unwrap().headers;
        let mut all: Vec<_> = headers
            .iter()
            .map(|(k, v)| format!("{k}={}", v.to_str().unwrap()))
            .collect();
        all.sort();
        all
    };
    assert_eq!(sent(from_environment(&[ENDPOINT, general]).0), ["a=1", "b=2"]);
    assert_eq!(sent(from_environment(&[ENDPOINT, general, traces]).0), ["c=3"]);
    assert_eq!(sent(config(&code, &[ENDPOINT, general, traces]).0), ["c=code"]);
    assert_eq!(sent(config(&code, &[ENDPOINT, general]).0), ["a=1", "b=2", "c=code"]);
}

#[test]
fn each_switch_switches_off_and_code_beats_them() {
    let with = |on, only_with_endpoint| Settings {
        on,
        only_with_endpoint,
        switch_variable: Some("APP_TRACING".into()),
        ..Settings::default()
    };
    let disabled = |value| ("OTEL_SDK_DISABLED", value);
    let own = |value| ("APP_TRACING", value);
    for (settings, variables, enabled) in [
        (with(None, false), vec![], true),
        (with(None, false), vec![disabled("true")], false),
        (with(None, false), vec![disabled(" TRUE ")], false),
        (with(None, false), vec![disabled("false")], true),
        (with(None, false), vec![disabled("1")], true),
        (with(None, false), vec![disabled("yes")], true),
        (with(None, false), vec![own("off")], false),
        (with(None, false), vec![own("0")], false),
        (with(None, false), vec![own("on")], true),
        (with(None, false), vec![own("perhaps")], true),
        (with(None, false), vec![own("on"), disabled("true")], false),
        (with(Some(false), false), vec![own("on")], false),
        (with(Some(true), false), vec![own("off"), disabled("true")], true),
        (with(None, true), vec![], false),
        (with(None, true), vec![ENDPOINT], true),
        (with(None, true), vec![("OTEL_TRACES_EXPORTER", "otlp")], true),
        (
            with(None, true),
            vec![("OTEL_EXPORTER_OTLP_ENDPOINT", "nonsense")],
            false,
        ),
    ] {
        let (config, _) = config(&settings, &variables);
        assert_eq!(config.enabled, enabled, "{variables:?}");
        assert!(config.enabled || config.destinations.is_empty());
    }
}

#[test]
fn switched_off_leaves_the_propagators_and_complains_of_nothing_else() {
    let (config, said) = from_environment(&[
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_PROPAGATORS", "baggage"),
        ("OTEL_TRACES_SAMPLER", "nonsense"),
    ]);
    assert!(!config.enabled);
    assert_eq!(*config.propagators, [Propagator::Baggage]);
    assert_eq!(said, [""; 0]);
}

fn shown(sampler: &Sampler) -> String {
    format!("{sampler:?}")
}

#[test]
fn variables_are_read_from_the_strongest_layer() {
    let settings = Settings {
        service_name: Some("orders".to_owned()),
        instance: Some("blue".to_owned()),
        variable_prefixes: vec!["ORDERS_".to_owned(), "ORDERS_BLUE_".to_owned()],
        ..Settings::default()
    };
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4318"),
        ("ORDERS_OTEL_EXPORTER_OTLP_ENDPOINT", "http://orders:4318"),
        ("ORDERS_BLUE_OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "7"),
        ("ORDERS_BLUE_OTEL_BSP_SCHEDULE_DELAY", "8"),
        ("ORDERS_OTEL_BSP_SCHEDULE_DELAY", "9"),
        ("ORDERS_BLUE_OTEL_TRACES_SAMPLER", ""),
        ("OTEL_TRACES_SAMPLER", "always_off"),
    ];
    let (config, said) = config(&settings, &variables);
    assert_eq!(config.batch.schedule_delay, Duration::from_millis(8));
    assert_eq!(config.resource.service_name(), "orders-blue");
    assert_eq!(shown(&config.sampler), "AlwaysOff", "an empty variable is none");
    assert_eq!(
        first(config).unwrap().endpoint.to_string(),
        "http://orders:4318/v1/traces"
    );
    assert_eq!(
        said,
        [
            "ORDERS_BLUE_OTEL_EXPORTER_OTLP_TIMEOUT=soon is not a whole number of milliseconds; using \
             OTEL_EXPORTER_OTLP_TIMEOUT"
        ]
    );
}

#[test]
fn limits_come_from_the_closest_variable_and_code_beats_them() {
    let none = SpanLimits::default();
    let (span, general) = ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT");
    let (span_length, length) = (
        "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
        "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
    );
    let all = |n| none.attributes(n).event_attributes(n).link_attributes(n);
    for (variables, expected, wrong_settings) in [
        (&[][..], none, 0),
        (&[(general, "10")], all(10), 0),
        (&[(general, "10"), (span, "20")], all(10).attributes(20), 0),
        (&[(span, "0")], none.attributes(0), 0),
        (&[(general, "10"), (span, "many")], all(10), 1),
        (&[(general, "-1")], none, 1),
        (&[(general, "99999999999")], all(u32::MAX), 0),
        (&[("OTEL_SPAN_EVENT_COUNT_LIMIT", "7")], none.events(7), 0),
        (&[("OTEL_SPAN_LINK_COUNT_LIMIT", "7")], none.links(7), 0),
        (
            &[("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "7")],
            none.event_attributes(7),
            0,
        ),
        (&[("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "7")], none.link_attributes(7), 0),
        (&[(length, "64")], none.value_length(64), 0),
        (&[(length, "64"), (span_length, "0")], none.value_length(0), 0),
        (&[(span_length, "x")], none, 1),
    ] {
        let (config, said) = from_environment(variables);
        assert_eq!(
            (config.limits, said.len()),
            (expected, wrong_settings),
            "{variables:?} {said:?}"
        );
    }
    let settings = Settings {
        limits: none.attributes(5),
        ..Settings::default()
    };
    let lookup = |name: &str| (name == general).then(|| "10".into());
    let (config, _) = read(&settings, &lookup, None);
    assert_eq!(config.limits, all(10).attributes(5));
}

#[test]
fn samplers_are_named_as_the_specification_names_them() {
    let ratio = |share| Sampler::ratio(share).unwrap();
    for (name, arg, expected, wrong_settings) in [
        ("always_on", None, Sampler::always_on(), 0),
        ("ALWAYS_OFF", None, Sampler::always_off(), 0),
        ("traceidratio", Some("0.25"), ratio(0.25), 0),
        ("traceidratio", None, ratio(1.0), 0),
        ("traceidratio", Some("-1"), ratio(1.0), 1),
        ("traceidratio", Some("1.5"), ratio(1.0), 1),
        ("traceidratio", Some("NaN"), ratio(1.0), 1),
        ("traceidratio", Some("abc"), ratio(1.0), 1),
        ("parentbased_always_on", None, Sampler::default(), 0),
        ("parentbased_always_off", None, Sampler::always_off().parent_based(), 0),
        ("parentbased_traceidratio", Some("0.5"), ratio(0.5).parent_based(), 0),
        ("parentbased_jaeger_remote", Some("endpoint=x"), Sampler::default(), 1),
        ("jaeger_remote", None, Sampler::default(), 1),
        ("sometimes", None, Sampler::default(), 1),
        ("", Some("nonsense"), Sampler::default(), 0),
    ] {
        let variables = [
            ("OTEL_TRACES_SAMPLER", name),
            ("OTEL_TRACES_SAMPLER_ARG", arg.unwrap_or_default()),
        ];
        let (config, said) = from_environment(&variables);
        assert_eq!(shown(&config.sampler), shown(&expected), "{name} {arg:?}");
        assert_eq!(said.len(), wrong_settings, "{name} {arg:?}: {said:?}");
    }
    let code = Settings {
        sampler: Some(Sampler::always_off()),
        ..Settings::default()
    };
    assert_eq!(
        shown(&config(&code, &[("OTEL_TRACES_SAMPLER", "always_on")]).0.sampler),
        shown(&Sampler::always_off())
    );
}

#[test]
fn propagators_are_a_list_in_order_without_repetition() {
    use Propagator::{B3, B3Multi, Baggage, Jaeger, OtTrace, TraceContext, XRay};
    let default = [TraceContext, Baggage];
    for (text, expected, wrong_settings) in [
        ("tracecontext", &[TraceContext][..], 0),
        ("baggage,tracecontext,baggage", &[Baggage, TraceContext], 0),
        (" TraceContext , BAGGAGE ", &default, 0),
        ("none", &[], 0),
        ("b3,none", &[B3], 0),
        (
            "xray,b3multi,jaeger,ottrace,b3,xray",
            &[XRay, B3Multi, Jaeger, OtTrace, B3],
            0,
        ),
        ("b4,baggage", &[Baggage], 1),
        ("b4,x-ray", &default, 2),
        ("pigeon", &default, 1),
        (",", &default, 0),
    ] {
        let (config, said) = from_environment(&[("OTEL_PROPAGATORS", text)]);
        assert_eq!(*config.propagators, *expected, "{text}");
        assert_eq!(said.len(), wrong_settings, "{text}: {said:?}");
    }
}

#[test]
fn service_is_named_by_the_strongest_source() {
    let caller = Settings {
        service_name: Some("caller".into()),
        ..Settings::default()
    };
    let code = Settings {
        resource: Attribute::of("service.name", "code").into_iter().collect(),
        ..caller.clone()
    };
    let variable = ("OTEL_SERVICE_NAME", "variable");
    let attribute = ("OTEL_RESOURCE_ATTRIBUTES", "service.name=attribute,k=v");
    for (settings, variables, expected) in [
        (&Settings::default(), vec![], "unknown_service:app"),
        (&caller, vec![], "caller"),
        (&caller, vec![attribute], "attribute"),
        (&caller, vec![variable, attribute], "variable"),
        (&code, vec![variable, attribute], "code"),
        (
            &caller,
            vec![("OTEL_SERVICE_NAME", "unknown_service_prod")],
            "unknown_service_prod",
        ),
        (&caller, vec![("OTEL_RESOURCE_ATTRIBUTES", "service.name=")], "caller"),
        (
            &caller,
            vec![("OTEL_RESOURCE_ATTRIBUTES", "service.name=x,oops")],
            "caller",
        ),
    ] {
        assert_eq!(
            config(settings, &variables).0.resource.service_name(),
            expected,
            "{variables:?}"
        );
    }
}

#[test]
fn resource_holds_each_key_once_and_code_beats_environment() {
    let code = Settings {
        resource: Attribute::of("k", "code").into_iter().collect(),
        ..Settings::default()
    };
    let (config, _) = config(&code, &[("OTEL_RESOURCE_ATTRIBUTES", "k=environment,l=kept")]);
    for (key, value) in [
        ("k", "code"),
        ("l", "kept"),
        ("telemetry.sdk.name", "throughline"),
        ("telemetry.sdk.language", "rust"),
        ("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
    ] {
        assert_eq!(config.resource.get(key), Some(value));
    }
    assert_eq!(config.resource.get("m"), None);
}

#[cfg(unix)]
#[test]
fn what_is_not_utf8_is_reported_except_in_a_path() {
    use std::os::unix::ffi::OsStringExt;
    let bytes = OsString::from_vec(b"/tmp/\xff".to_vec());
    let (config, wrong_settings) = read(&Settings::default(), &|_| Some(bytes.clone()), None);
    assert_eq!(config.spool_dir.as_deref(), Some(bytes.as_ref()));
    assert_eq!(config.resource.service_name(), "unknown_service");
    assert!(wrong_settings.iter().all(|wrong| wrong.problem == "is not UTF-8"));
    assert!(wrong_settings.iter().any(|wrong| wrong.setting == "OTEL_SERVICE_NAME"));
}

#[test]
fn no_notice_shows_a_secret() {
    let settings = Settings {
        endpoint: Some("u:s3cret@h".into()),
        headers: vec![("bad name".into(), "s3cret".into()), ("ok".into(), "s3cret\n".into())],
        ..Settings::default()
    };
    let (config, said) = config(
        &settings,
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://u:s3cret@h/?key=s3cret"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http//u:s3cret@h"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=s3cret%,key=s3cret"),
        ],
    );
    assert_eq!(said.len(), 5, "{said:?}");
    let all = format!("{config:?} {}", said.join(" "));
    assert!(!all.contains("s3cret"), "{all}");
}
