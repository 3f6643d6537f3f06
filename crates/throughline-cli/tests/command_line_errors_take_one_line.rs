//! What cannot be meant is said in one line, with exit code 2; help is complete.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::fs;

use common::run;
use throughline_testkit::{Program, Spool};

#[test]
fn wrong_arguments_are_named_in_one_line() {
    let spool = Spool::new().unwrap();
    for (arguments, said) in [
        (&["frobnicate"][..], "frobnicate"),
        (&["--frobnicate"], "--frobnicate"),
        (&["ls", "-n", "many"], "many"),
        (&["ls", "-n", "-1"], "-1"),
        (&["ls", "extra"], "extra"),
        (&["ls", "--min-duration", "10"], "expected a number with a unit"),
        (&["ls", "--since", "yesterday"], "such as 10m"),
        (&["ls", "--attribute", "=x"], "KEY=VALUE"),
        (&["ls", "--name", ""], "cannot be empty"),
        (&["span"], "<NAME>"),
        (&["span", "x", "--attribute", "y"], "KEY=VALUE"),
        (&["span", "x", "--parent", "y"], "expected a traceparent"),
        (
            &["span", "x", "--start", "2", "--end", "1"],
            "--start has to be before --end",
        ),
        (&["span", "x", "--message", "y"], "add --status error"),
        (&["inject", "--parent", "y"], "expected a traceparent"),
        (&["inject", "--format", "xml"], "xml"),
        (&["diff", "last"], "<B>"),
        (&["diff", "last", "xyz"], "1 to 32 hexadecimal digits"),
        (&["stats", "--sort", "size"], "size"),
        (&["convert"], "--to"),
        (&["convert", "--to", "zipkin"], "zipkin"),
        (&["stats", "--trace", "x"], "1 to 32 hexadecimal digits"),
        (&["view"], "<ID>"),
        (&["view", "xyz"], "1 to 32 hexadecimal digits"),
        (
            &["view", "0123456789abcdef0123456789abcdef0"],
            "1 to 32 hexadecimal digits",
        ),
        (&["view", "last", "--json", "-a"], "--json"),
        (&["view", "\x1b[2J"], "1 to 32 hexadecimal digits"),
        (&["run"], "<COMMAND>"),
        (&["run", "--name", "", "--", "true"], "--name"),
        (&["run", "--nam", "x", "--", "true"], "--nam"),
        (&["demo", "/no/such/directory"], "/no/such/directory is not a directory"),
        (&["demo", "/dev/null"], "/dev/null is not a directory"),
        (&["demo", "--kil"], "--kil"),
        (&["ls", "-n", "x"], "a whole number"),
        (&["span", "x", "--start", "abc"], "seconds since 1970"),
        (&["recover", "--to", ""], "--to"),
        (
            &["recover", "--to", "localhost:4318"],
            "not a URL such as http://localhost:4318",
        ),
        (&["recover", "--to", "http://"], "not a URL"),
        (&["recover", "--header", "x"], "NAME=VALUE"),
        (&["recover", "--header", "=x"], "NAME=VALUE"),
        (&["recover", "--json", "--to", "http://h"], "--json"),
        (&["recover", "--list", "--to", "http://h"], "--list"),
    ] {
        let finished = run(&spool, arguments);
        let code = if arguments[0] == "run" { 125 } else { 2 };
        assert_eq!(
            (finished.code, &*finished.stdout),
            (Some(code), ""),
            "{arguments:?}: {finished}"
        );
        assert_eq!(finished.stderr.lines().count(), 1, "{arguments:?}: {finished}");
        assert!(
            finished.stderr.starts_with("throughline: ") && finished.stderr.contains(said),
            "{finished}"
        );
        assert!(!finished.stderr.contains('\x1b'), "{finished:?}");
    }
}

#[test]
fn mistyped_names_are_answered_with_similar_ones() {
    let spool = Spool::new().unwrap();
    for (arguments, said) in [
        (
            &["veiw"][..],
            "unrecognized subcommand 'veiw'; did you mean 'view'? (see `throughline --help`)",
        ),
        (
            &["ls", "--jsn"],
            "unexpected argument '--jsn' found; did you mean '--json'? (see `throughline ls --help`)",
        ),
        (
            &["run", "--nam", "x", "--", "true"],
            "unexpected argument '--nam' found; did you mean '--name'? (see `throughline run --help`)",
        ),
        (
            &["run", "--quiet", "true"],
            "unexpected argument '--quiet' found (see `throughline run --help`)",
        ),
        (
            &["--spool", "view", "ls", "-x"],
            "unexpected argument '-x' found (see `throughline ls --help`)",
        ),
        (
            &["--spol", "x"],
            "unexpected argument '--spol' found; did you mean '--spool'? (see `throughline --help`)",
        ),
        (&["qqqq"], "unrecognized subcommand 'qqqq' (see `throughline --help`)"),
    ] {
        let finished = run(&spool, arguments);
        assert_eq!(finished.stderr, format!("throughline: {said}\n"), "{arguments:?}");
    }
}

#[test]
fn help_names_every_command_and_option() {
    let spool = Spool::new().unwrap();
    for (arguments, words) in [
        (
            &["--help"][..],
            &[
                "run",
                "ls",
                "view",
                "demo",
                "--spool",
                "THROUGHLINE_SPOOL_DIR",
                "Examples",
            ][..],
        ),
        (
            &["run", "--help"],
            &["--name", "--service", "TRACEPARENT", "127", "126", "Examples"],
        ),
        (
            &["recover", "--help"],
            &["--to", "--header", "--list", "--json", "exit code is 1"],
        ),
        (
            &["ls", "--help"],
            &[
                "--json",
                "--number",
                "newest first",
                "--since",
                "traceId",
                "Filters",
                "Examples",
            ],
        ),
        (
            &["view", "--help"],
            &["--json", "--attributes", "last", "--attribute", "Examples"],
        ),
        (
            &["stats", "--help"],
            &["--sort", "--json", "p99Nano", "0.4 %", "Filters", "Examples"],
        ),
        (
            &["follow", "--help"],
            &["--json", "--since", "Ctrl-C", "Filters", "Examples"],
        ),
        (
            &["convert", "--help"],
            &[
                "otlp-json",
                "otlp-protobuf",
                "jaeger",
                "chrome",
                "folded",
                "--output",
                "Filters",
                "Examples",
            ],
        ),
        (
            &["demo", "--help"],
            &["--kill", "--keep", "OTEL_EXPORTER_OTLP_ENDPOINT", "64 MiB"],
        ),
    ] {
        let help = run(&spool, arguments).expect_success().stdout;
        assert!(words.iter().all(|word| help.contains(word)), "{arguments:?}: {help}");
        assert!(!help.contains("demo-worker"), "{help}");
    }
    let nothing = run(&spool, &[]);
    assert_eq!((nothing.code, &*nothing.stdout), (Some(2), ""));
    assert!(nothing.stderr.contains("Usage:"));
    assert_eq!(
        run(&spool, &["--version"]).expect_success().stdout,
        "throughline 0.1.0\n"
    );
}

#[test]
fn completions_name_the_commands_for_people() {
    let spool = Spool::new().unwrap();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = run(&spool, &["completions", shell]).expect_success().stdout;
        for word in ["recover", "service", "spool"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
        assert!(!script.contains("demo-worker"), "{shell}: {script}");
    }
    let syntax = Program::at("bash", &spool)
        .args(["-c", "eval \"$0\"; complete -p throughline"])
        .arg(run(&spool, &["completions", "bash"]).stdout);
    assert!(syntax.run().unwrap().expect_success().stdout.contains("throughline"));
    let refused = run(&spool, &["completions", "bsh"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("did you mean 'bash'?"), "{refused}");
}

#[test]
fn manual_has_one_page_per_command() {
    let spool = Spool::new().unwrap();
    let page = run(&spool, &["man"]).expect_success().stdout;
    assert!(
        page.contains(".TH throughline 1") && page.contains("SYNOPSIS"),
        "{page}"
    );
    let directory = spool.home().join("man/man1");
    run(&spool, &["man", directory.to_str().unwrap()]).expect_success();
    let mut pages: Vec<_> = fs::read_dir(&directory)
        .unwrap()
        .map(|page| page.unwrap().file_name().into_string().unwrap())
        .collect();
    pages.sort();
    for command in [
        "", "-convert", "-demo", "-follow", "-ls", "-recover", "-run", "-stats", "-view",
    ] {
        assert!(pages.contains(&format!("throughline{command}.1")), "{pages:?}");
    }
    assert!(!pages.iter().any(|page| page.contains("worker")), "{pages:?}");
    let run_page = fs::read_to_string(directory.join("throughline-run.1")).unwrap();
    assert!(run_page.contains("TRACEPARENT"), "{run_page}");
}
