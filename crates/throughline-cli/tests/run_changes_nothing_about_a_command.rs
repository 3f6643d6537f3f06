//! `throughline run`: the outcome of a command is that of the command, and its span tells the rest.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{attribute, only_span, run, spans, state, throughline, wait_until};
use throughline_testkit::{Answer, Receiver, Signal, Spool};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[test]
fn exit_codes_output_and_spans_are_as_in_this_table() {
    struct Case {
        command: &'static [&'static str],
        code: i32,
        stdout: &'static str,
        stderr: &'static str,
        status: &'static str,
    }
    let case = |command, code, stdout, stderr, status| Case {
        command,
        code,
        stdout,
        stderr,
        status,
    };
    for case in [
        case(&["true"], 0, "", "", "null"),
        case(&["--", "true"], 0, "", "", "null"),
        case(
            &["sh", "-c", "echo a; echo b >&2; exit 3"],
            3,
            "a\n",
            "b\n",
            "exit code 3",
        ),
        case(&["sh", "-c", "exit 255"], 255, "", "", "exit code 255"),
        case(&["echo", "--name", "-n", "--"], 0, "--name -n --\n", "", "null"),
        case(
            &["no-such-command"],
            127,
            "",
            "throughline: no-such-command: command not found\n",
            "No such file",
        ),
        case(
            &["./none\x1b[2J"],
            127,
            "",
            "throughline: ./none\\u{1b}[2J: command not found\n",
            "No such file",
        ),
        case(
            &["/dev/null"],
            126,
            "",
            "throughline: /dev/null: cannot be run: Permission denied (os error 13)\n",
            "Permission denied",
        ),
    ] {
        let spool = Spool::new().unwrap();
        let finished = run(&spool, &[&["run"], case.command].concat());
        let what = case.command;
        assert_eq!((finished.code, finished.signal), (Some(case.code), None), "{what:?}");
        assert_eq!(
            (&*finished.stdout, &*finished.stderr),
            (case.stdout, case.stderr),
            "{what:?}"
        );
        let span = only_span(&spool);
        let status = span["status"]["message"].to_string();
        assert!(status.contains(case.status), "{what:?}: {status}");
        assert_eq!(attribute(&span, "process.exit.code").unwrap(), case.code.to_string());
    }
}

#[test]
fn span_tells_what_ran_and_keeps_secrets() {
    let spool = Spool::new().unwrap();
    let home = spool.home();
    let finished = throughline(
        &spool,
        &["run", "/bin/sh", "-c", "echo $$ $PPID", "sh", "--token", "geheim"],
    )
    .current_dir(&home)
    .run()
    .unwrap();
    let span = only_span(&spool);
    assert_eq!(
        (&span["name"], &span["service"], &span["kind"]),
        (&"sh".into(), &"sh".into(), &1.into())
    );
    let pids = format!(
        "{} {}\n",
        attribute(&span, "process.pid").unwrap(),
        attribute(&span, "process.parent_pid").unwrap()
    );
    assert_eq!(finished.stdout, pids);
    for (key, value) in [
        ("process.executable.name", "sh"),
        ("process.command", "/bin/sh"),
        ("process.command_args", "/bin/sh -c echo $$ $PPID sh --token [redacted]"),
        (
            "process.working_directory",
            home.canonicalize().unwrap().to_str().unwrap(),
        ),
    ] {
        assert_eq!(attribute(&span, key).as_deref(), Some(value), "{key}");
    }
    assert!(!span.to_string().contains("geheim"));
}

#[test]
fn span_and_service_names_come_from_options_then_variables() {
    for (options, variables, name, service) in [
        (&[][..], &[][..], "true", "true"),
        (&[], &[("OTEL_SERVICE_NAME", "ci")], "true", "ci"),
        (
            &[],
            &[("OTEL_RESOURCE_ATTRIBUTES", "service.name=attribute")],
            "true",
            "attribute",
        ),
        (
            &["--service", "option", "--name", "step 1"],
            &[("OTEL_SERVICE_NAME", "ci")],
            "step 1",
            "option",
        ),
    ] {
        let spool = Spool::new().unwrap();
        let mut program = throughline(&spool, &["run"]).args(options).args(["--", "/bin/true"]);
        for (variable, value) in variables {
            program = program.env(variable, value);
        }
        program.run().unwrap().expect_success();
        let span = only_span(&spool);
        assert_eq!((&span["name"], &span["service"]), (&name.into(), &service.into()));
    }
}

#[test]
fn stdin_and_stdout_pass_untouched() {
    let spool = Spool::new().unwrap();
    let (input, output) = (spool.home().join("in"), spool.home().join("out"));
    let bytes: Vec<u8> = (0..200_000u32).map(|n| (n * 7 % 256) as u8).collect();
    fs::write(&input, &bytes).unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_throughline"))
        .args(["run", "cat"])
        .env("XDG_STATE_HOME", spool.state_home())
        .stdin(File::open(&input).unwrap())
        .stdout(File::create(&output).unwrap())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert!(status.status.success() && status.stderr.is_empty());
    assert!(fs::read(&output).unwrap() == bytes);
}

#[test]
fn trace_goes_on_in_the_command() {
    const SHOW: &[&str] = &["sh", "-c", "echo $TRACEPARENT $TRACESTATE $BAGGAGE"];
    let spool = Spool::new().unwrap();
    let finished = throughline(&spool, &["run"])
        .args(SHOW)
        .env("TRACEPARENT", PARENT)
        .env("TRACESTATE", "a=1")
        .env("BAGGAGE", "k=v")
        .run()
        .unwrap();
    let span = only_span(&spool);
    assert_eq!(span["traceId"], "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(span["parentSpanId"], "b7ad6b7169203331");
    let handed_down = format!(
        "00-0af7651916cd43dd8448eb211c80319c-{}-01 a=1 k=v\n",
        span["spanId"].as_str().unwrap()
    );
    assert_eq!(finished.stdout, handed_down);

    // Nothing to go on with: a trace of its own. What is not valid is not handed on.
    let spool = Spool::new().unwrap();
    let finished = throughline(&spool, &["run"])
        .args(SHOW)
        .env("TRACESTATE", "stale=1")
        .run()
        .unwrap();
    let span = only_span(&spool);
    let own = format!(
        "00-{}-{}-03\n",
        span["traceId"].as_str().unwrap(),
        span["spanId"].as_str().unwrap()
    );
    assert_eq!((finished.stdout, span["parentSpanId"].is_null()), (own, true));

    // Two of them, one inside the other, are one trace.
    let spool = Spool::new().unwrap();
    let binary = env!("CARGO_BIN_EXE_throughline");
    run(&spool, &["run", binary, "run", "true"]).expect_success();
    let spans = spans(&spool);
    let inner = spans.iter().find(|span| span["name"] == "true").unwrap();
    let outer = spans.iter().find(|span| span["name"] == "throughline").unwrap();
    assert_eq!((&inner["parentSpanId"], spans.len()), (&outer["spanId"], 2));
}

#[test]
fn tracing_off_leaves_the_command_and_its_context_alone() {
    let spool = Spool::new().unwrap();
    let finished = throughline(&spool, &["run", "sh", "-c", "echo $TRACEPARENT; exit 5"])
        .env("OTEL_SDK_DISABLED", "true")
        .env("TRACEPARENT", PARENT)
        .run()
        .unwrap();
    assert_eq!((finished.code, &*finished.stdout), (Some(5), &*format!("{PARENT}\n")));
    assert_eq!(fs::read_dir(spool.path()).unwrap().count(), 0);
}

#[test]
fn signal_that_kills_the_command_kills_run() {
    for (signal, number) in [
        ("TERM", 15),
        ("KILL", 9),
        ("INT", 2),
        ("SEGV", 11),
        ("PIPE", 13),
        ("USR1", 10),
    ] {
        let spool = Spool::new().unwrap();
        let finished = run(&spool, &["run", "sh", "-c", &format!("kill -{signal} $$")]);
        assert_eq!(
            (finished.code, finished.signal),
            (None, Some(number)),
            "{signal}: {finished}"
        );
        let span = only_span(&spool);
        assert_eq!(attribute(&span, "process.signal").unwrap(), format!("SIG{signal}"));
        assert_eq!(span["status"]["message"], format!("killed by SIG{signal}"));
    }
}

#[test]
fn signal_without_a_name_that_kills_the_command_kills_run() {
    // STKFLT, IO, PWR, and the real-time signals.
    for number in [16, 29, 30, 34, 64] {
        let spool = Spool::new().unwrap();
        let finished = run(&spool, &["run", "sh", "-c", &format!("kill -{number} $$")]);
        assert_eq!((finished.code, finished.signal), (None, Some(number)), "{finished}");
    }
}

#[test]
fn signals_to_run_reach_the_command() {
    for (signal, name) in [
        (Signal::TERM, "TERM"),
        (Signal::INT, "INT"),
        (Signal::HUP, "HUP"),
        (Signal::QUIT, "QUIT"),
        (Signal::USR1, "USR1"),
        (Signal::USR2, "USR2"),
        (Signal::WINCH, "WINCH"),
        (Signal::CONT, "CONT"),
    ] {
        let spool = Spool::new().unwrap();
        // A shell acts on a signal between two commands; one that comes as `wait` begins some miss until that ends.
        let script = format!("trap 'echo got {name}; exit 7' {name}; echo ready; while :; do sleep 0.05; done");
        let running = throughline(&spool, &["run", "sh", "-c", &script]).spawn().unwrap();
        running.wait_for_stdout("ready").unwrap();
        running.signal(signal).unwrap();
        let finished = running.wait().unwrap();
        assert_eq!(finished.code, Some(7), "{name}: {finished}");
        assert_eq!(finished.stdout, format!("ready\ngot {name}\n"));
        assert_eq!(attribute(&only_span(&spool), "process.exit.code").unwrap(), "7");
    }
}

#[test]
fn run_stops_and_continues_with_the_command() {
    let spool = Spool::new().unwrap();
    let running = throughline(&spool, &["run", "sh", "-c", "echo $$; sleep 60"])
        .spawn()
        .unwrap();
    running.wait_for_stdout("\n").unwrap();
    let command: u32 = running.stdout().trim().parse().unwrap();
    for (signal, is_stopped) in [
        (Signal::TSTP, true),
        (Signal::CONT, false),
        (Signal::TSTP, true),
        (Signal::CONT, false),
    ] {
        running.signal(signal).unwrap();
        for process in [command, running.id()] {
            wait_until(&format!("{signal:?} to have reached {process}"), || {
                (state(process) == 'T') == is_stopped
            });
        }
    }
    running.signal(Signal::TERM).unwrap();
    // The shell is dead, and with it what is asked of us; its child holds the pipes until the group is killed.
    wait_until("our end", || state(running.id()) == 'Z');
}

#[test]
fn run_goes_on_when_somebody_stops_and_continues_the_command_alone() {
    let spool = Spool::new().unwrap();
    // The subshell is one who knows of the command only.
    let script = "(sleep 0.2; kill -CONT $$) & kill -STOP $$; exit 7";
    let running = throughline(&spool, &["run", "sh", "-c", script]).spawn().unwrap();
    assert_eq!(running.wait().unwrap().code, Some(7));
    // A script has no job control: nobody continues what stops in it.
    let binary = env!("CARGO_BIN_EXE_throughline");
    let script =
        format!("{binary} run sh -c '(sleep 0.2; kill -CONT $$) & kill -TSTP $$; exit 7'; echo \"ended by $?\"");
    let finished = throughline_testkit::Program::at("/bin/sh", &spool)
        .args(["-c", &script])
        .run()
        .unwrap();
    assert_eq!(finished.stdout, "ended by 7\n", "{finished}");
}

#[test]
fn ignored_signal_stays_ignored_in_the_command() {
    let spool = Spool::new().unwrap();
    let binary = env!("CARGO_BIN_EXE_throughline");
    let script = format!("trap '' HUP; exec {binary} run sh -c 'kill -HUP $$ $PPID; echo alive'");
    let finished = throughline_testkit::Program::at("/bin/sh", &spool)
        .args(["-c", &script])
        .run()
        .unwrap();
    assert_eq!((finished.code, &*finished.stdout), (Some(0), "alive\n"), "{finished}");
}

#[test]
fn run_killed_by_sigkill_leaves_an_unfinished_span() {
    let spool = Spool::new().unwrap();
    let running = throughline(&spool, &["run", "sh", "-c", "echo ready; sleep 60"])
        .spawn()
        .unwrap();
    running.wait_for_stdout("ready").unwrap();
    let open = run(&spool, &["view", "last"]).expect_success().stdout;
    assert!(open.contains("1 open"), "{open}");
    running.kill9().unwrap();
    drop(running);
    assert_eq!(attribute(&only_span(&spool), "throughline.unfinished").unwrap(), "true");
    let view = run(&spool, &["view", "last"]).expect_success().stdout;
    assert!(view.contains("\n? sh: sh") && view.contains("unfinished"), "{view}");
}

#[test]
fn dead_or_silent_collector_holds_nothing_up() {
    let mut dead = Receiver::start().unwrap();
    dead.stop();
    let silent = Receiver::with(|_| Answer::hang()).unwrap();
    for receiver in [&dead, &silent] {
        let spool = Spool::new().unwrap();
        let began = Instant::now();
        let finished = throughline(&spool, &["run", "sh", "-c", "echo out; exit 4"])
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())
            .run()
            .unwrap();
        assert_eq!((finished.code, &*finished.stdout), (Some(4), "out\n"));
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        assert_eq!(only_span(&spool)["name"], "sh");
        let listed = run(&spool, &["ls", "--json"]).expect_success().stdout;
        assert!(listed.contains(r#""pending":1"#), "{listed}");
    }
}

#[test]
fn collector_gets_the_span() {
    let receiver = Receiver::start().unwrap();
    let spool = Spool::new().unwrap();
    throughline(&spool, &["run", "true"])
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint())
        .run()
        .unwrap()
        .expect_success();
    let received = receiver.wait_for(1, Duration::from_secs(5)).unwrap();
    assert_eq!(received[0].span_id(), only_span(&spool)["spanId"].as_str().unwrap());
}

#[test]
fn unusable_spool_changes_nothing_but_stderr() {
    let spool = Spool::new().unwrap();
    let file = spool.home().join("file");
    fs::write(&file, "").unwrap();
    let finished = run(
        &spool,
        &["--spool", file.to_str().unwrap(), "run", "sh", "-c", "echo out; exit 6"],
    );
    assert_eq!((finished.code, &*finished.stdout), (Some(6), "out\n"));
    assert_eq!(finished.stderr.lines().count(), 1, "{finished}");
}
