//! Each child process that is started with `traced` has a span, which says how it ended.

#![cfg(unix)]

use std::io;
use std::process::{Command, Output, Stdio};

use throughline::testing::{Capture, CapturedSpan, capture};
use throughline::{AnyValueView, Context, SpanKind, StatusCode, extract, span};
use throughline_process::{ChildEnvironment, CommandExt as _};

const STALE: &str = "00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-bbbbbbbbbbbbbbbb-01";

fn sh(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

fn text(span: &CapturedSpan, key: &str) -> String {
    match span.attribute(key) {
        Some(AnyValueView::Str(text)) => text.to_owned(),
        Some(AnyValueView::I64(number)) => number.to_string(),
        Some(AnyValueView::Bool(yes)) => yes.to_string(),
        _ => String::new(),
    }
}

fn only(capture: &Capture) -> CapturedSpan {
    let spans = capture.spans();
    assert_eq!(spans.len(), 1, "{}", capture.tree());
    spans[0].clone()
}

#[test]
fn span_says_how_the_process_ended() {
    // Script, status code, message, exit code, error.type, signal.
    let cases = [
        ("exit 0", StatusCode::Unset, "", "0", "", ""),
        ("exit 3", StatusCode::Error, "exit code 3", "3", "3", ""),
        (
            "kill -9 $$",
            StatusCode::Error,
            "killed by SIGKILL",
            "",
            "SIGKILL",
            "SIGKILL",
        ),
    ];
    let ways: [fn(&mut Command) -> io::Result<()>; 3] = [
        |command| command.traced().status().map(drop),
        |command| command.traced().output().map(drop),
        |command| {
            let mut child = command.traced().spawn()?;
            while child.try_wait()?.is_none() {
                std::thread::yield_now();
            }
            Ok(())
        },
    ];
    for (script, status, message, code, error_type, signal) in cases {
        for way in ways {
            let capture = capture();
            way(&mut sh(script)).expect("sh can be started");
            let span = only(&capture);
            assert_eq!((span.name(), span.kind()), ("sh", SpanKind::Client));
            assert_eq!(span.status(), (status, message), "{script}");
            for (key, expected) in [
                ("process.executable.name", "sh"),
                ("process.exit.code", code),
                ("error.type", error_type),
                ("process.signal", signal),
            ] {
                assert_eq!(text(&span, key), expected, "{key} of {script}");
            }
            assert!(
                span.attribute("process.command_args").is_none(),
                "arguments may hold secrets"
            );
        }
    }
}

#[test]
fn process_that_cannot_be_started_is_an_error() {
    let capture = capture();
    let started = Command::new("/nowhere/at-all").traced().spawn();
    assert_eq!(
        started.map(drop).expect_err("it is not there").kind(),
        io::ErrorKind::NotFound
    );
    let span = only(&capture);
    assert_eq!(span.name(), "at-all");
    assert_eq!(
        (span.status().0, &*text(&span, "error.type")),
        (StatusCode::Error, "NotFound")
    );
}

#[test]
fn name_and_arguments_are_as_asked_for() {
    let capture = capture();
    sh("exit 0")
        .traced()
        .name("compile")
        .arguments(true)
        .status()
        .expect("sh can be started");
    let span = only(&capture);
    assert_eq!(span.name(), "compile");
    let Some(AnyValueView::Array(arguments)) = span.attribute("process.command_args") else {
        panic!("no arguments");
    };
    let arguments: Vec<_> = arguments.iter().map(|value| format!("{value:?}")).collect();
    assert_eq!(arguments.len(), 3, "{arguments:?}");
}

#[test]
fn span_of_a_dropped_child_ends_without_an_exit_code() {
    let capture = capture();
    let child = sh("read line")
        .stdin(Stdio::piped())
        .traced()
        .spawn()
        .expect("sh can be started");
    let mut child = child.into_inner();
    let span = only(&capture);
    assert!(span.has_ended());
    assert_eq!(span.status().0, StatusCode::Unset);
    assert!(span.attribute("process.exit.code").is_none());
    child.wait().expect("its stdin is closed");
}

/// What `TRACEPARENT` and `TRACESTATE` are in a child.
fn seen(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

const SHOW: &str = "echo \"${TRACEPARENT-none} ${TRACESTATE-none}\"";

#[test]
fn context_is_handed_down_and_a_stale_one_removed() {
    let capture = capture();
    let output = span!("build").in_scope(|| {
        let mut command = sh(SHOW);
        command.env("TRACEPARENT", STALE).env("TRACESTATE", "stale=1");
        command.traced().output()
    });
    let span = capture.span("sh");
    let expected = format!("00-{}-{}-03 none", span.trace_id(), span.span_id());
    assert_eq!(seen(&output.expect("sh can be started")), expected);
    capture.assert_tree("build\n  sh");
}

#[test]
fn context_alone_is_handed_down_without_a_span() {
    let capture = capture();
    let output = span!("build").in_scope(|| sh(SHOW).pass_context().output());
    let span = only(&capture);
    let expected = format!("00-{}-{}-03 none", span.trace_id(), span.span_id());
    assert_eq!(seen(&output.expect("sh can be started")), expected);
}

#[test]
fn unsampled_context_is_handed_down_with_its_flags_and_state() {
    let capture = capture();
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let parent = extract([("traceparent", parent), ("tracestate", "vendor=1")]).expect("it is valid");
    let output = parent
        .in_scope(|| sh(SHOW).traced().output())
        .expect("sh can be started");
    let seen = seen(&output);
    assert!(seen.starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{seen}");
    assert!(seen.ends_with("-00 vendor=1"), "{seen}");
    assert_eq!(capture.spans().len(), 0, "nothing is recorded");
}

#[test]
fn command_without_a_context_inherits_what_the_process_was_given() {
    let _capture = capture();
    let output = Context::root().in_scope(|| sh(SHOW).env("TRACEPARENT", STALE).pass_context().output());
    assert_eq!(seen(&output.expect("sh can be started")), format!("{STALE} none"));
}

/// A context that came from elsewhere.
fn caller() -> Context {
    extract([("traceparent", STALE), ("tracestate", "vendor=1")]).expect("it is valid")
}

/// What a child sees whose command says nothing of a context.
fn inherited() -> String {
    seen(&sh(SHOW).output().expect("sh can be started"))
}

#[test]
fn command_used_again_does_not_keep_an_old_context() {
    let ways: [fn(&mut Command) -> io::Result<Output>; 3] = [
        |command| command.pass_context().output(),
        |command| command.pass_environment(&ChildEnvironment::new()).output(),
        |command| {
            // As where tracing is off: there is no span.
            let _suppressed = throughline_context::suppress();
            command.traced().output()
        },
    ];
    for (number, way) in ways.into_iter().enumerate() {
        let _capture = capture();
        let mut command = sh(SHOW);
        let mut with_context = || {
            let output = caller().in_scope(|| command.pass_context().output());
            assert_eq!(seen(&output.expect("sh can be started")), format!("{STALE} vendor=1"));
        };
        with_context();
        with_context();
        let output = way(&mut command).expect("sh can be started");
        assert_eq!(seen(&output), inherited(), "way {number}");
    }
}

#[cfg(feature = "tokio")]
mod tokio_commands {
    use std::pin::pin;
    use std::time::Duration;

    use throughline::InSpanExt as _;

    use super::*;

    fn sh(script: &str) -> tokio::process::Command {
        super::sh(script).into()
    }

    #[tokio::test]
    async fn span_of_a_tokio_process_says_how_it_ended() {
        let capture = capture();
        let output = sh(SHOW)
            .traced()
            .output()
            .in_span(span!("build"))
            .await
            .expect("sh can be started");
        let span = capture.span("sh");
        assert_eq!(
            seen(&output),
            format!("00-{}-{}-03 none", span.trace_id(), span.span_id())
        );
        assert_eq!(text(&span, "process.exit.code"), "0");
        assert_ne!(text(&span, "process.pid"), "");
        capture.assert_tree("build\n  sh");
    }

    #[tokio::test]
    async fn tokio_process_that_fails_or_is_killed_is_an_error() {
        let capture = capture();
        sh("exit 4")
            .traced()
            .name("failing")
            .status()
            .await
            .expect("sh can be started");
        let mut child = sh("sleep 60")
            .traced()
            .name("killed")
            .spawn()
            .expect("sh can be started");
        child.kill().await.expect("it lives");
        assert_eq!(capture.span("failing").status(), (StatusCode::Error, "exit code 4"));
        assert_eq!(
            capture.span("killed").status(),
            (StatusCode::Error, "killed by SIGKILL")
        );
    }

    #[tokio::test]
    async fn status_waits_for_no_reader_of_a_pipe() {
        let _capture = capture();
        let mut command = sh("head -c 1000000 /dev/zero");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let status = tokio::time::timeout(Duration::from_secs(20), command.traced().status());
        assert!(
            status.await.is_ok(),
            "as tokio's own `status`, it closes the pipes of the child"
        );
    }

    #[tokio::test]
    async fn output_dropped_midway_is_cancelled_and_no_error() {
        for is_output in [false, true] {
            let capture = capture();
            let mut command = sh("sleep 60");
            command.kill_on_drop(true);
            let ending = async {
                match is_output {
                    true => command.traced().output().await.map(drop),
                    false => command.traced().status().await.map(drop),
                }
            };
            {
                let ending = pin!(ending);
                let ended = tokio::time::timeout(Duration::from_millis(20), ending).await;
                assert!(ended.is_err(), "it sleeps for a minute");
            }
            let span = only(&capture);
            assert!(span.has_ended());
            assert_eq!(span.status().0, StatusCode::Unset);
            assert_eq!(text(&span, "throughline.cancelled"), "true");
        }
    }

    #[tokio::test]
    async fn tokio_command_used_again_does_not_keep_an_old_context() {
        let _capture = capture();
        let mut command = sh(SHOW);
        let output = caller().in_scope(|| command.pass_context().output());
        assert_eq!(
            seen(&output.await.expect("sh can be started")),
            format!("{STALE} vendor=1")
        );
        let output = command.pass_context().output().await.expect("sh can be started");
        assert_eq!(seen(&output), inherited());
        let output = caller().in_scope(|| command.pass_context().output());
        output.await.expect("sh can be started");
        let _suppressed = throughline_context::suppress();
        let output = command.traced().output().await.expect("sh can be started");
        assert_eq!(seen(&output), inherited());
    }
}
