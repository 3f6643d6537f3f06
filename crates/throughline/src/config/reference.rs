//! The table of environment variables: what `docs/variables.md` is made from (`tests/settings_reference.rs`), and what the
//! variables that are really read are checked against (`reference_tests.rs`).
//!
//! It stands alone, so that both can include it.

/// One variable, or several that mean the same.
pub(crate) struct Variable {
    /// The names, the strongest one first.
    pub(crate) names: &'static [&'static str],
    /// What it sets.
    pub(crate) sets: &'static str,
    /// The values that it takes.
    pub(crate) values: &'static str,
    /// What holds when none of the names is set.
    pub(crate) default: &'static str,
    /// The method of the builder that says the same in code, and beats it; empty if there is none.
    pub(crate) code: &'static str,
}

/// Variables that belong together.
pub(crate) struct Group {
    pub(crate) title: &'static str,
    pub(crate) variables: &'static [Variable],
}

/// Every variable that the library's configuration reads.
pub(crate) const GROUPS: &[Group] = &[
    Group {
        title: "Tracing as a whole",
        variables: &[
            Variable {
                names: &["OTEL_SDK_DISABLED"],
                sets: "switches tracing off; context is still passed on",
                values: "`true`, `false`",
                default: "`false`",
                code: "on(bool)",
            },
            Variable {
                names: &["OTEL_SERVICE_NAME"],
                sets: "the service's name",
                values: "text",
                default: "`service.name` of `OTEL_RESOURCE_ATTRIBUTES`, then the argument of `init`",
                code: "resource(\"service.name\", ..)",
            },
            Variable {
                names: &["OTEL_RESOURCE_ATTRIBUTES"],
                sets: "attributes of the service",
                values: "`key=value,key=value`, percent-encoded",
                default: "none",
                code: "resource(key, value)",
            },
            Variable {
                names: &["OTEL_PROPAGATORS"],
                sets: "the formats that carry context to other processes",
                values: "list of `tracecontext`, `baggage`, `b3`, `b3multi`, `jaeger`, `ottrace`, `xray`, `none`; each once, in this order",
                default: "`tracecontext,baggage`",
                code: "propagators(..)",
            },
            Variable {
                names: &["OTEL_LOG_LEVEL"],
                sets: "whether warnings and errors of the library are written to stderr; there are no other lines",
                values: "`none` or `off`: nothing is said; `error`, `warn`, `info`, `debug`, `trace`: all lines",
                default: "`info`",
                code: "diagnostics(handler)",
            },
            Variable {
                names: &["THROUGHLINE_SPOOL_DIR"],
                sets: "the directory of the spool; on a local disk, and of this user alone",
                values: "path",
                default: "`$XDG_STATE_HOME/throughline`, else `~/.local/state/throughline`",
                code: "spool_dir(path)",
            },
        ],
    },
    Group {
        title: "Sampling",
        variables: &[
            Variable {
                names: &["OTEL_TRACES_SAMPLER"],
                sets: "which traces are recorded",
                values: "`always_on`, `always_off`, `traceidratio`, and each of these with `parentbased_` before it",
                default: "`parentbased_always_on`",
                code: "sampler(..)",
            },
            Variable {
                names: &["OTEL_TRACES_SAMPLER_ARG"],
                sets: "the share of `traceidratio`",
                values: "number from 0 to 1",
                default: "`1.0`",
                code: "sampler(Sampler::ratio(..))",
            },
        ],
    },
    Group {
        title: "Where spans go",
        variables: &[
            Variable {
                names: &["OTEL_TRACES_EXPORTER"],
                sets: "the destinations; each gets every span",
                values: "list of `otlp`, `otlp_file`, `console`, `otlp/stdout`, `none`",
                default: "`otlp` if an endpoint is set, else `none`: spans stay in the spool",
                code: "destination(..)",
            },
            Variable {
                names: &["THROUGHLINE_FILES_DIR"],
                sets: "the directory of `otlp_file`",
                values: "path",
                default: "none; `otlp_file` needs it",
                code: "destination(Destination::files(path))",
            },
            Variable {
                names: &["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"],
                sets: "the backend's URL, used as it is",
                values: "`http://`, `https://` or `unix:` URL",
                default: "`OTEL_EXPORTER_OTLP_ENDPOINT`",
                code: "endpoint(url)",
            },
            Variable {
                names: &["OTEL_EXPORTER_OTLP_ENDPOINT"],
                sets: "the backend's base URL; over HTTP `/v1/traces` is appended",
                values: "`http://`, `https://` or `unix:` URL",
                default: "none; if `otlp` is asked for, `http://localhost:4318`, with gRPC `http://localhost:4317`",
                code: "endpoint(url)",
            },
            Variable {
                names: &["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"],
                sets: "how spans are sent",
                values: "`grpc`, `http/protobuf`, `http/json`",
                default: "`http/protobuf`",
                code: "destination(Destination::otlp(url).protocol(..))",
            },
            Variable {
                names: &["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"],
                sets: "headers of each request; the first name that is set counts alone",
                values: "`name=value,name=value`, percent-encoded",
                default: "none",
                code: "header(name, value)",
            },
            Variable {
                names: &["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"],
                sets: "how long one request may take",
                values: "milliseconds; `0` is no limit",
                default: "`10000`",
                code: "timeout(duration)",
            },
            Variable {
                names: &[
                    "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
                    "OTEL_EXPORTER_OTLP_COMPRESSION",
                ],
                sets: "whether requests are compressed",
                values: "`gzip`, `none`",
                default: "`none`",
                code: "destination(Destination::otlp(url).compression(..))",
            },
            Variable {
                names: &["OTEL_EXPORTER_OTLP_TRACES_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE"],
                sets: "whether a gRPC endpoint without a scheme (`host:port`) is spoken to without TLS",
                values: "`true`, `false`",
                default: "`false`: with TLS",
                code: "endpoint(url) with a scheme",
            },
        ],
    },
    Group {
        title: "Certificates",
        variables: &[
            Variable {
                names: &[
                    "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
                    "OTEL_EXPORTER_OTLP_CERTIFICATE",
                ],
                sets: "the certificate authorities that are trusted",
                values: "path of a PEM file",
                default: "those of the system",
                code: "destination(Destination::otlp(url).certificate(..))",
            },
            Variable {
                names: &[
                    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
                    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
                ],
                sets: "the certificate that is shown to the server (mTLS)",
                values: "path of a PEM file",
                default: "none",
                code: "destination(Destination::otlp(url).client_certificate(..))",
            },
            Variable {
                names: &["OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_KEY"],
                sets: "the private key of that certificate",
                values: "path of a PEM file",
                default: "none",
                code: "destination(Destination::otlp(url).client_certificate(..))",
            },
        ],
    },
    Group {
        title: "Proxies",
        variables: &[
            Variable {
                names: &["https_proxy", "HTTPS_PROXY"],
                sets: "the proxy to `https://` endpoints",
                values: "`http://[user:password@]host:port`",
                default: "`ALL_PROXY`",
                code: "destination(Destination::otlp(url).proxy(..))",
            },
            Variable {
                names: &["http_proxy", "HTTP_PROXY"],
                sets: "the proxy to `http://` endpoints; `HTTP_PROXY` is not read where `REQUEST_METHOD` is set (CGI)",
                values: "`http://[user:password@]host:port`",
                default: "`ALL_PROXY`",
                code: "destination(Destination::otlp(url).proxy(..))",
            },
            Variable {
                names: &["all_proxy", "ALL_PROXY"],
                sets: "the proxy to all endpoints",
                values: "`http://[user:password@]host:port`",
                default: "none",
                code: "destination(Destination::otlp(url).proxy(..))",
            },
            Variable {
                names: &["no_proxy", "NO_PROXY"],
                sets: "what is reached without a proxy; this machine always is",
                values: "list of hosts, `.domains`, networks (`10.0.0.0/8`), `host:port`, `*`",
                default: "none",
                code: "destination(Destination::otlp(url).no_proxy())",
            },
            Variable {
                names: &["REQUEST_METHOD"],
                sets: "set by web servers that start a program by CGI, where `HTTP_PROXY` may come from a client",
                values: "any",
                default: "none",
                code: "",
            },
        ],
    },
    Group {
        title: "Batches",
        variables: &[
            Variable {
                names: &["OTEL_BSP_SCHEDULE_DELAY"],
                sets: "how long a span waits for others before it is sent; the first one of a program does not wait",
                values: "milliseconds",
                default: "`5000`",
                code: "schedule_delay(duration)",
            },
            Variable {
                names: &["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"],
                sets: "the most spans of one request; it has at most 2 MiB in any case",
                values: "whole number above 0",
                default: "`512`",
                code: "batch_spans(count)",
            },
            Variable {
                names: &["OTEL_BSP_EXPORT_TIMEOUT"],
                sets: "how long one request may take, where that is shorter than `OTEL_EXPORTER_OTLP_TIMEOUT`",
                values: "milliseconds; `0` is no limit",
                default: "no limit of its own",
                code: "timeout(duration)",
            },
            Variable {
                names: &["OTEL_BSP_MAX_QUEUE_SIZE"],
                sets: "nothing: the spool is the queue, and has a size of its own. A value that is wrong is said",
                values: "whole number above 0",
                default: "none",
                code: "spool_bytes(bytes)",
            },
        ],
    },
    Group {
        title: "Limits of one span",
        variables: &[
            Variable {
                names: &["OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"],
                sets: "attributes of a span",
                values: "whole number",
                default: "`128`",
                code: "limits(SpanLimits::default().attributes(count))",
            },
            Variable {
                names: &["OTEL_SPAN_EVENT_COUNT_LIMIT"],
                sets: "events of a span",
                values: "whole number",
                default: "`128`",
                code: "limits(SpanLimits::default().events(count))",
            },
            Variable {
                names: &["OTEL_SPAN_LINK_COUNT_LIMIT"],
                sets: "links of a span",
                values: "whole number",
                default: "`128`",
                code: "limits(SpanLimits::default().links(count))",
            },
            Variable {
                names: &["OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"],
                sets: "attributes of an event",
                values: "whole number",
                default: "`128`",
                code: "limits(SpanLimits::default().event_attributes(count))",
            },
            Variable {
                names: &["OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"],
                sets: "attributes of a link",
                values: "whole number",
                default: "`128`",
                code: "limits(SpanLimits::default().link_attributes(count))",
            },
            Variable {
                names: &[
                    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT",
                    "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
                ],
                sets: "characters of a text, and bytes of a byte array; what is longer is cut",
                values: "whole number",
                default: "no limit",
                code: "limits(SpanLimits::default().value_length(count))",
            },
        ],
    },
];
