//! `throughline ls` and `throughline view`, on spools that `throughline run` has filled.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::process::{Command, Stdio};

use common::terminal::Terminal;
use common::{run, throughline};
use serde_json::Value;
use throughline_testkit::{Program, Spool};

/// A spool with three traces of known ids, oldest first.
fn filled() -> Spool {
    let spool = Spool::new().unwrap();
    for (id, name) in [
        ("aaaaaaaaaaaa1", "first"),
        ("aaaaaaaaaaaa2", "second"),
        ("b", "\x1b[31mthird"),
    ] {
        throughline(&spool, &["run", "--name", name, "--", "sh", "-c", "exit 2"])
            .env("TRACEPARENT", format!("00-{id:0<32}-b7ad6b7169203331-01"))
            .run()
            .unwrap();
    }
    spool
}

#[test]
fn ls_lists_traces_newest_first() {
    let spool = filled();
    let listed = run(&spool, &["ls"]).expect_success().stdout;
    let rows: Vec<Vec<&str>> = listed
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().collect())
        .collect();
    let ids: Vec<_> = rows.iter().map(|row| row[0]).collect();
    assert_eq!(ids, ["b000000000000", "aaaaaaaaaaaa2", "aaaaaaaaaaaa1"], "{listed}");
    assert!(
        listed.contains("\\u{1b}[31mthird") && !listed.contains('\x1b'),
        "{listed:?}"
    );
    assert!(rows.iter().all(|row| row.contains(&"!")), "{listed}");

    let listed = run(&spool, &["ls", "-n", "1"]).expect_success().stdout;
    assert!(
        listed.ends_with("… and 2 older traces; -n 3 shows them all\n"),
        "{listed}"
    );

    let listed = run(&spool, &["ls", "--json"]).expect_success().stdout;
    let newest: Value = serde_json::from_str(listed.lines().next().unwrap()).unwrap();
    assert_eq!(newest["traceId"], format!("{:0<32}", "b"));
    assert_eq!(
        (&newest["spans"], &newest["errors"], &newest["open"]),
        (&1.into(), &1.into(), &0.into())
    );
    assert_eq!(
        (&newest["name"], &newest["services"]),
        (&"\x1b[31mthird".into(), &vec!["sh"].into())
    );
}

/// The spool of a trace whose name and service are long.
fn long_names() -> Spool {
    let spool = Spool::new().unwrap();
    run(
        &spool,
        &[
            "run",
            "--name",
            "nightly backup of homes",
            "--service",
            "a-service-with-a-very-long-name-indeed",
            "true",
        ],
    )
    .expect_success();
    spool
}

const THROUGHLINE: &str = env!("CARGO_BIN_EXE_throughline");

#[test]
fn ls_shows_names_at_80_columns_and_cuts_nothing_when_piped() {
    let spool = long_names();
    let (_, shown) = Terminal::run(&spool, THROUGHLINE, &["ls"]).finish();
    assert!(shown.contains("nightly backup of homes"), "{shown}");
    let shown = shown.replace("\x1b[2m", "").replace("\x1b[0m", "");
    assert!(
        shown.lines().all(|line| line.trim_end().chars().count() <= 80),
        "{shown}"
    );
    let piped = run(&spool, &["ls"]).expect_success().stdout;
    assert!(
        piped.contains("nightly backup of homes  a-service-with-a-very-long-name-indeed\n"),
        "{piped}"
    );
}

#[test]
fn times_are_local_unless_utc_is_given() {
    let spool = Spool::new().unwrap();
    run(&spool, &["run", "true"]).expect_success();
    let start = |arguments: &[&str], zone: &str| {
        let program = throughline(&spool, arguments).env("TZ", zone);
        let shown = program.run().unwrap().expect_success().stdout;
        shown.lines().nth(1).unwrap().to_owned()
    };
    let day = |line: &str| line.split_whitespace().nth(1).unwrap().to_owned();
    let hour = |line: &str| line.split_whitespace().nth(2).unwrap()[..2].parse::<i32>().unwrap();
    let utc = start(&["ls", "--utc"], "JST-9");
    let japan = start(&["ls"], "JST-9");
    assert_eq!((hour(&japan) - hour(&utc)).rem_euclid(24), 9, "{utc} {japan}");
    assert_eq!(day(&start(&["ls"], "UTC")), day(&utc));
    assert!(start(&["view", "last"], "JST-9").contains(" +09:00 · "));
    assert!(start(&["view", "last", "--utc"], "JST-9").contains(" UTC · "));
}

#[test]
fn colours_follow_the_terminal_and_the_environment() {
    let spool = filled();
    let coloured = |environment: &str| {
        let script = format!("{environment} '{THROUGHLINE}' view last");
        let (code, shown) = Terminal::run(&spool, "sh", &["-c", &script]).finish();
        assert_eq!(code, Some(0), "{shown}");
        shown.contains("\x1b[31m")
    };
    for (environment, expected) in [
        ("", true),
        ("NO_COLOR=1", false),
        ("NO_COLOR=", true),
        ("CLICOLOR=0", false),
        ("TERM=dumb", false),
        ("CLICOLOR_FORCE=1 NO_COLOR=1", false),
    ] {
        assert_eq!(coloured(environment), expected, "{environment}");
    }
    let piped = |variable: &str| {
        let program = throughline(&spool, &["view", "last"]).env(variable, "1");
        program.run().unwrap().expect_success().stdout.contains("\x1b[31m")
    };
    assert!(piped("CLICOLOR_FORCE") && !piped("CLICOLOR"));
}

#[test]
fn view_cuts_attributes_on_a_terminal_and_not_when_piped() {
    let spool = Spool::new().unwrap();
    let long = "word ".repeat(40);
    run(&spool, &["run", "true", &long]).expect_success();
    let piped = run(&spool, &["view", "last", "-a"]).expect_success().stdout;
    assert!(
        piped.contains(&format!("process.command_args = [true, {long}]")),
        "{piped}"
    );
    let (_, shown) = Terminal::run(&spool, THROUGHLINE, &["view", "last", "-a"]).finish();
    assert!(!shown.contains(&long) && shown.contains('…'), "{shown}");
}

#[test]
fn view_finds_a_trace_by_the_beginning_of_its_id() {
    let spool = filled();
    let place = spool.path();
    let place = place.display();
    let full = |id| format!("{id:0<32}");
    for (id, code, said) in [
        ("b", 0, full("b")),
        ("B00", 0, full("b")),
        ("last", 0, full("b")),
        ("aaaaaaaaaaaa2", 0, full("aaaaaaaaaaaa2")),
        (
            "aaa",
            1,
            format!(
                "throughline: 'aaa' is the beginning of 2 trace ids ({}, {}) in {place}; give more digits\n",
                full("aaaaaaaaaaaa1"),
                full("aaaaaaaaaaaa2")
            ),
        ),
        (
            "c",
            1,
            format!("throughline: no trace id begins with 'c' in {place}; `throughline ls` lists the traces\n"),
        ),
    ] {
        let viewed = run(&spool, &["view", id]);
        assert_eq!(viewed.code, Some(code), "{id}");
        match code {
            0 => assert!(viewed.stdout.starts_with(&format!("trace {said}\n")), "{viewed}"),
            _ => assert_eq!((viewed.stdout, viewed.stderr), (String::new(), said)),
        }
    }
}

#[test]
fn view_escapes_names_and_shows_errors_and_attributes() {
    let spool = filled();
    let viewed = throughline(&spool, &["view", "b", "-a"])
        .env("COLUMNS", "60")
        .run()
        .unwrap()
        .expect_success()
        .stdout;
    assert!(viewed.contains("\n! sh: \\u{1b}[31mthird"), "{viewed}");
    assert!(
        viewed.contains("\n     exit code 2\n") && viewed.contains("\n     process.exit.code = 2\n"),
        "{viewed}"
    );
    assert!(
        !viewed.contains('\x1b') && viewed.lines().all(|line| line.chars().count() <= 60),
        "{viewed}"
    );
}

#[test]
fn empty_spool_is_told_with_its_place_and_what_to_do() {
    let spool = Spool::new().unwrap();
    let place = spool.path().display().to_string();
    let listed = run(&spool, &["ls"]).expect_success().stdout;
    assert!(
        listed.contains(&place) && listed.contains("throughline demo"),
        "{listed}"
    );
    assert_eq!(run(&spool, &["ls", "--json"]).expect_success().stdout, "");
    let viewed = run(&spool, &["view", "last"]);
    assert_eq!(
        (viewed.code, viewed.stderr),
        (
            Some(1),
            format!("throughline: there are no traces in {place}; `throughline demo` makes one\n")
        )
    );
    // Looking makes nothing.
    let nowhere = spool.home().join("nowhere");
    run(&spool, &["--spool", nowhere.to_str().unwrap(), "ls"]).expect_success();
    assert!(!nowhere.exists());
}

#[test]
fn spool_is_found_by_option_then_variable_then_default() {
    let [used, other] = [filled(), Spool::new().unwrap()];
    let path = used.path();
    let found = |program: Program| program.run().unwrap().expect_success().stdout.contains("b00000000");
    assert!(found(throughline(&used, &["ls"])));
    assert!(!found(throughline(&other, &["ls"])));
    assert!(found(throughline(&other, &["ls"]).env("THROUGHLINE_SPOOL_DIR", &path)));
    assert!(found(
        throughline(&other, &["ls", "--spool"])
            .arg(&path)
            .env("THROUGHLINE_SPOOL_DIR", other.path())
    ));
}

#[test]
fn closed_pipe_on_stdout_is_no_error() {
    let spool = filled();
    for arguments in [&["ls"][..], &["view", "last"], &["view", "last", "--json"], &["--help"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ended = Command::new(env!("CARGO_BIN_EXE_throughline"))
            .args(arguments)
            .env("XDG_STATE_HOME", spool.state_home())
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        assert_eq!(
            (ended.status.code(), &*ended.stderr),
            (Some(0), &b""[..]),
            "{arguments:?}"
        );
    }
}

#[test]
fn ls_and_view_filters_choose_traces_and_spans() {
    let spool = filled();
    throughline(&spool, &["run", "--name", "good", "--service", "shop", "--", "true"])
        .env("TRACEPARENT", format!("00-{:0<32}-b7ad6b7169203331-01", "c"))
        .run()
        .unwrap();
    let listed = |options: &[&str]| {
        let listed = run(&spool, &[&["ls", "--json"], options].concat())
            .expect_success()
            .stdout;
        let id = |line: &str| {
            serde_json::from_str::<Value>(line).unwrap()["traceId"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        let ids: Vec<_> = listed.lines().map(id).collect();
        ids.iter()
            .map(|id| id.trim_end_matches('0').to_owned())
            .collect::<Vec<_>>()
    };
    for (options, ids) in [
        (&["--service", "shop"][..], &["c"][..]),
        (&["--name", "*s*", "--error"], &["aaaaaaaaaaaa2", "aaaaaaaaaaaa1"]),
        (&["--attribute", "process.exit.code=0"], &["c"]),
        (&["--since", "1h", "--until", "1h"], &[]),
        (&["--since", "1h", "--max-duration", "1h", "-n", "1"], &["c"]),
    ] {
        assert_eq!(listed(options), ids, "{options:?}");
    }
    let nothing = run(&spool, &["ls", "--name", "none"]).expect_success().stdout;
    assert_eq!(nothing, "None of 4 traces has a span that passes the filters.\n");

    let viewed = run(&spool, &["view", "last", "--error"]).expect_success().stdout;
    assert!(viewed.starts_with(&format!("trace {:0<32}\n", "b")), "{viewed}");
    let viewed = run(&spool, &["view", "last", "--name", "none"]);
    assert_eq!(viewed.code, Some(1));
    assert!(
        viewed.stderr.contains("no trace has a span that passes the filters"),
        "{viewed}"
    );
    let viewed = run(&spool, &["view", "c", "--error"]).expect_success().stdout;
    assert!(viewed.contains("1 other span of the trace did not pass"), "{viewed}");
}
