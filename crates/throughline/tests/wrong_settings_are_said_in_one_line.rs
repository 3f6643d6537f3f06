//! What is set wrongly is said in one line on stderr, which names the setting or the cause, the value, and what happens
//! instead; the program runs on, its exit code is its own, and its spans are kept.

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::Path;

use throughline_spool::Reader;
use throughline_testkit::{Answer, Program, Receiver, Spool, say_skipped};

/// Where the spans are when the program has ended.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Spans {
    /// In the spool, to be delivered.
    Kept,
    /// Delivered.
    Arrived,
}

/// What one wrong setting has to lead to.
struct Case<'a> {
    variables: &'a [(&'a str, &'a str)],
    /// All of it is in the line.
    says: &'a [&'a str],
    spans: Spans,
}

fn run(spool: &Spool, variables: &[(&str, &str)]) -> throughline_testkit::Finished {
    let mut program = Program::example("program_steps", spool).expect("Cargo builds the examples of this package");
    for (name, value) in variables {
        program = program.env(name, value);
    }
    let finished = program
        .args(["spans=3", "flush=1500", "exit=7"])
        .run()
        .expect("it runs");
    assert_eq!(finished.code, Some(7), "{variables:?}: {finished}");
    finished
}

#[track_caller]
fn check_line(stderr: &str, says: &[&str], context: &str) {
    assert_eq!(stderr.lines().count(), 1, "{context}: {stderr}");
    assert!(stderr.starts_with("throughline: "), "{context}: {stderr}");
    for part in says {
        assert!(stderr.contains(part), "{context}: {part:?} is not in {stderr}");
    }
}

#[test]
fn each_wrong_setting_is_said_in_one_line_and_spans_are_kept() {
    let plain = Receiver::start().expect("loopback has a free port");
    let tls = Receiver::start_tls().expect("loopback has a free port");
    let guarded = Receiver::with(|_| Answer::status(401)).expect("loopback has a free port");
    let mut closed = Receiver::start().expect("loopback has a free port");
    closed.stop();
    let (up, nobody, locked) = (plain.endpoint(), closed.endpoint(), guarded.endpoint());
    let wrong_path = format!("{up}/otlp");
    let https_to_plain = up.replace("http:", "https:");
    let over_tls = tls.endpoint();
    let http_to_tls = tls.endpoint().replace("https:", "http:");
    const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    let cases = [
        Case {
            variables: &[(ENDPOINT, &nobody)],
            says: &[&nobody, "connection refused", "kept in the local spool"],
            spans: Spans::Kept,
        },
        Case {
            variables: &[(ENDPOINT, &wrong_path)],
            says: &[&wrong_path, "404", "check the path", "kept in the local spool"],
            spans: Spans::Kept,
        },
        Case {
            variables: &[(ENDPOINT, &locked)],
            says: &[&locked, "401", "OTEL_EXPORTER_OTLP_HEADERS", "kept in the local spool"],
            spans: Spans::Kept,
        },
        Case {
            variables: &[(ENDPOINT, &https_to_plain)],
            says: &[&https_to_plain, "TLS", "kept in the local spool"],
            spans: Spans::Kept,
        },
        Case {
            variables: &[(ENDPOINT, &http_to_tls)],
            says: &[&http_to_tls, "https://", "kept in the local spool"],
            spans: Spans::Kept,
        },
        Case {
            variables: &[
                (ENDPOINT, &over_tls),
                ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem"),
            ],
            says: &[&over_tls, "/nowhere/ca.pem: No such file", "kept in the local spool"],
            spans: Spans::Kept,
        },
        Case {
            variables: &[(ENDPOINT, &up), ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/nowhere/key.pem")],
            says: &["OTEL_EXPORTER_OTLP_CLIENT_KEY", "/nowhere/key.pem", "https://"],
            spans: Spans::Arrived,
        },
        Case {
            variables: &[(ENDPOINT, "http://nowhere.invalid:4318")],
            says: &["nowhere.invalid", "no address", "kept in the local spool"],
            spans: Spans::Kept,
        },
        Case {
            variables: &[(ENDPOINT, "localhost:4318 is it")],
            says: &[ENDPOINT, "localhost:4318 is it"],
            spans: Spans::Kept,
        },
        Case {
            variables: &[(ENDPOINT, &up), ("OTEL_EXPORTER_OTLP_PROTOCOL", "carrier pigeon")],
            // The specification wants an unknown value to be ignored with a warning: the default holds.
            says: &["OTEL_EXPORTER_OTLP_PROTOCOL", "carrier pigeon", "http/protobuf"],
            spans: Spans::Arrived,
        },
        Case {
            variables: &[(ENDPOINT, &up), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")],
            // The receiver speaks HTTP/1.1, and hangs up.
            says: &[&up, "does this port speak gRPC", "kept in the local spool"],
            spans: Spans::Kept,
        },
        Case {
            variables: &[(ENDPOINT, &up), ("OTEL_TRACES_SAMPLER", "sometimes")],
            says: &["OTEL_TRACES_SAMPLER", "sometimes"],
            spans: Spans::Arrived,
        },
        Case {
            variables: &[
                (ENDPOINT, &up),
                ("OTEL_TRACES_SAMPLER", "traceidratio"),
                ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
            ],
            says: &["OTEL_TRACES_SAMPLER_ARG", "1.5"],
            spans: Spans::Arrived,
        },
        Case {
            variables: &[(ENDPOINT, &up), ("OTEL_EXPORTER_OTLP_HEADERS", "api-key hunter2")],
            says: &["OTEL_EXPORTER_OTLP_HEADERS"],
            spans: Spans::Arrived,
        },
        Case {
            variables: &[(ENDPOINT, &up), ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s")],
            says: &["OTEL_EXPORTER_OTLP_TIMEOUT", "10s"],
            spans: Spans::Arrived,
        },
        Case {
            variables: &[(ENDPOINT, &up), ("OTEL_BSP_SCHEDULE_DELAY", "-1")],
            says: &["OTEL_BSP_SCHEDULE_DELAY", "-1"],
            spans: Spans::Arrived,
        },
        Case {
            variables: &[(ENDPOINT, &up), ("OTEL_SDK_DISABLED", "perhaps")],
            says: &["OTEL_SDK_DISABLED", "perhaps"],
            spans: Spans::Arrived,
        },
    ];
    for Case { variables, says, spans } in cases {
        let spool = Spool::new().expect("a private directory");
        let before = plain.spans().len();
        let finished = run(&spool, variables);
        check_line(&finished.stderr, says, &format!("{variables:?}"));
        assert!(!finished.stderr.contains("hunter2"), "a secret is shown: {finished}");
        assert_eq!(Reader::new(spool.path()).read().spans.len(), 3, "{variables:?}");
        let arrived = plain.spans().len() - before;
        assert_eq!(arrived, if spans == Spans::Arrived { 3 } else { 0 }, "{variables:?}");
    }
}

#[test]
fn spool_that_cannot_be_used_is_said_in_one_line_and_spans_are_delivered_from_memory() {
    let nobody_there = Path::new("/proc/there/is/no/such/place");
    let made: [(&str, Option<Make>, &[&str]); 5] = [
        ("cannot be made", None, &[]),
        ("a file", Some(|path| fs::write(path, "")), &[]),
        ("a link", Some(|path| symlink(path.with_extension("target"), path)), &[]),
        (
            "a link to a directory",
            Some(|path| {
                fs::create_dir(path.with_extension("target"))?;
                symlink(path.with_extension("target"), path)
            }),
            &["no directory"],
        ),
        (
            "somebody else's",
            Some(|path| {
                fs::create_dir(path)?;
                chown(path, Some(1234), None)
            }),
            &["1234"],
        ),
    ];
    for (what, make, says) in made {
        let spool = Spool::new().expect("a private directory");
        let receiver = Receiver::start().expect("loopback has a free port");
        let path = match make {
            None => nobody_there.to_owned(),
            Some(make) => {
                let path = spool.home().join("spool");
                match make(&path) {
                    Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                        say_skipped(what, error);
                        continue;
                    }
                    made => made.expect("there is room"),
                }
                path
            }
        };
        let shown = path.to_str().expect("a plain path");
        let endpoint = receiver.endpoint();
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("THROUGHLINE_SPOOL_DIR", shown),
        ];
        let finished = run(&spool, &variables);
        check_line(&finished.stderr, &[shown, "kept in memory"], what);
        check_line(&finished.stderr, says, what);
        assert_eq!(receiver.spans().len(), 3, "{what}");
    }
}

type Make = fn(&Path) -> std::io::Result<()>;

#[test]
fn user_without_a_home_is_told_so_in_one_line() {
    let spool = Spool::new().expect("a private directory");
    let receiver = Receiver::start().expect("loopback has a free port");
    let endpoint = receiver.endpoint();
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("HOME", ""),
        ("XDG_STATE_HOME", ""),
    ];
    let finished = run(&spool, &variables);
    check_line(
        &finished.stderr,
        &["XDG_STATE_HOME", "HOME", "kept in memory"],
        "no home",
    );
    assert_eq!(receiver.spans().len(), 3);
}

#[test]
fn nothing_is_said_where_nothing_is_wrong() {
    let receiver = Receiver::start().expect("loopback has a free port");
    let endpoint = receiver.endpoint();
    for variables in [&[][..], &[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())]] {
        let spool = Spool::new().expect("a private directory");
        assert_eq!(run(&spool, variables).stderr, "", "{variables:?}");
    }
}

#[test]
fn nothing_is_said_where_that_is_asked_for() {
    let mut closed = Receiver::start().expect("loopback has a free port");
    closed.stop();
    let endpoint = closed.endpoint();
    let wrong = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "thrift"),
    ];
    for (level, lines) in [("none", 0), ("error", 2)] {
        let spool = Spool::new().expect("a private directory");
        let variables = [wrong[0], wrong[1], ("OTEL_LOG_LEVEL", level)];
        let stderr = run(&spool, &variables).stderr;
        assert_eq!(stderr.lines().count(), lines, "{level}: {stderr}");
    }
}

#[test]
fn spans_before_the_start_are_not_recorded_and_are_counted() {
    for (early, disabled, says) in [
        ("1", "false", Some("1 span had started before")),
        ("7", "false", Some("7 spans had started before")),
        ("20000", "false", Some("10000 spans or more had started before")),
        ("7", "true", None),
    ] {
        let spool = Spool::new().expect("a private directory");
        let finished = run(&spool, &[("STEPS_EARLY", early), ("OTEL_SDK_DISABLED", disabled)]);
        match says {
            Some(says) => {
                check_line(&finished.stderr, &[says, "call `init` first"], early);
                assert_eq!(Reader::new(spool.path()).read().spans.len(), 3);
            }
            None => assert_eq!(finished.stderr, ""),
        }
    }
}
