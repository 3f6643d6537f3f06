//! `throughline stats`, of a spool and of files.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::fs;

use common::{run, run_with_stdin};
use serde_json::{Value, json};
use throughline_testkit::Spool;

/// A line of a file of one service's spans: name, duration in milliseconds, code of the status.
fn line(service: &str, spans: &[(&str, u64, u8)]) -> String {
    let span = |(name, millis, code): &(&str, u64, u8)| {
        json!({
            "traceId": "0af7651916cd43dd8448eb211c80319c",
            "spanId": "b7ad6b7169203331",
            "name": name,
            "startTimeUnixNano": "1000000000",
            "endTimeUnixNano": (1_000_000_000 + millis * 1_000_000).to_string(),
            "status": {"code": code},
        })
    };
    let spans: Vec<_> = spans.iter().map(span).collect();
    let resource = json!({"attributes": [{"key": "service.name", "value": {"stringValue": service}}]});
    let line = json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]});
    format!("{line}\n")
}

fn rows(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn stats_of_files_are_exact_but_for_percentiles() {
    let spool = Spool::new().unwrap();
    let file = spool.home().join("traces.jsonl");
    let hundred: Vec<_> = (1..=100).map(|n| ("GET /", n, if n > 95 { 2 } else { 0 })).collect();
    fs::write(
        &file,
        line("shop", &hundred) + &line("db", &[("query", 7, 1), ("query", 9, 1)]),
    )
    .unwrap();
    let file = file.to_str().unwrap();

    let found = rows(&run(&spool, &["stats", "--json", file]).expect_success().stdout);
    assert_eq!(found.len(), 2);
    let shop = &found[0];
    assert_eq!((&shop["service"], &shop["name"]), (&"shop".into(), &"GET /".into()));
    assert_eq!((&shop["count"], &shop["errors"]), (&100.into(), &5.into()));
    assert_eq!(
        (&shop["maxNano"], &shop["totalNano"]),
        (&"100000000".into(), &"5050000000".into())
    );
    for (field, millis) in [("p50Nano", 50.0), ("p90Nano", 90.0), ("p99Nano", 99.0)] {
        let found: f64 = shop[field].as_str().unwrap().parse().unwrap();
        assert!((found / 1e6 - millis).abs() <= millis * 0.004, "{field}: {found}");
    }

    let names = |options: &[&str]| {
        let found = run(&spool, &[&["stats", "--json", file], options].concat()).expect_success();
        rows(&found.stdout)
            .iter()
            .map(|row| row["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&["--sort", "name"]), ["query", "GET /"]);
    assert_eq!(names(&["--sort", "count", "-n", "1"]), ["GET /"]);
    assert_eq!(names(&["--service", "db"]), ["query"]);
    assert_eq!(names(&["--error", "--max-duration", "90ms"]), [""; 0]);

    let table = run(&spool, &["stats", file]).expect_success().stdout;
    assert!(
        table.contains("5.0 %") && table.contains("  shop     GET /\n"),
        "{table}"
    );
}

#[test]
fn stats_of_the_spool_count_what_has_ended() {
    let spool = Spool::new().unwrap();
    for code in ["0", "0", "3"] {
        let script = format!("exit {code}");
        run(&spool, &["run", "--name", "job", "--", "sh", "-c", &script]);
    }
    let found = rows(&run(&spool, &["stats", "--json"]).expect_success().stdout);
    assert_eq!((&found[0]["count"], &found[0]["errors"]), (&3.into(), &1.into()));
    let nothing = run(&spool, &["stats", "--name", "other"]).expect_success().stdout;
    assert_eq!(nothing, "No spans that have ended, or none that pass the filters.\n");
}

#[test]
fn bad_lines_are_named_and_cost_no_other() {
    let spool = Spool::new().unwrap();
    let good = line("shop", &[("GET /", 1, 0)]);
    let cut = &good[..good.len() / 2];
    let stdin = format!("{good}{cut}\n\n{{\"resourceSpans\":7}}\n{good}");
    let finished = run_with_stdin(&spool, &["stats", "--json", "-"], stdin);
    assert_eq!(finished.code, Some(1));
    assert_eq!(rows(&finished.stdout)[0]["count"], 2);
    for said in [
        "stdin: line 2: no OTLP/JSON",
        "stdin: line 4: no OTLP/JSON",
        "2 of 4 parts could not be read",
    ] {
        assert!(finished.stderr.contains(said), "{said}: {finished}");
    }
    assert_eq!(finished.stderr.lines().count(), 3, "{finished}");

    let missing = run(&spool, &["stats", "no-such-file"]);
    assert_eq!(
        (missing.code, missing.stderr.lines().count()),
        (Some(1), 1),
        "{missing}"
    );
    let pretty = serde_json::to_string_pretty(&serde_json::from_str::<Value>(&good).unwrap()).unwrap();
    let document = run_with_stdin(&spool, &["stats", "--json", "-"], pretty);
    assert_eq!(rows(&document.expect_success().stdout)[0]["count"], 1);
}
