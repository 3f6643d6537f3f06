//! `throughline diff`, on traces of `throughline span`.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::run;
use serde_json::Value;
use throughline_testkit::Spool;

/// Records a span of the trace that is called by a digit; times are in seconds.
fn record(spool: &Spool, trace: char, name: &str, (start, end): (&str, &str), more: &[&str]) {
    let parent = format!("00-{}-b7ad6b7169203331-01", trace.to_string().repeat(32));
    let times = ["--start", start, "--end", end, "--parent", &parent];
    run(spool, &[&["span", name, "--service", "ci"], &times[..], more].concat()).expect_success();
}

fn two_builds() -> Spool {
    let spool = Spool::new().unwrap();
    record(&spool, 'a', "build", ("10", "12"), &["--attribute", "jobs=2"]);
    record(&spool, 'a', "test", ("12", "13"), &[]);
    record(
        &spool,
        'b',
        "build",
        ("20", "23"),
        &["--attribute", "jobs=4", "--status", "error"],
    );
    record(&spool, 'b', "deploy", ("23", "24"), &[]);
    record(&spool, 'c', "build", ("30", "31"), &[]);
    record(&spool, 'c', "test", ("31", "32"), &[]);
    spool
}

#[test]
fn diff_tells_what_was_added_removed_and_changed() {
    let spool = two_builds();
    let finished = run(&spool, &["diff", "aaa", "bbb"]);
    assert_eq!((finished.code, &*finished.stderr), (Some(1), ""), "{finished}");
    let lines: Vec<Vec<&str>> = finished
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert!(
        lines.contains(
            &"ci: build 2.00 s 3.00 s ×1.50 status unset → error, jobs 2 → 4"
                .split(' ')
                .collect()
        ),
        "{finished}"
    );
    assert!(lines.contains(&"- ci: test 1.00 s".split(' ').collect()), "{finished}");
    assert!(
        lines.contains(&"+ ci: deploy 1.00 s".split(' ').collect()),
        "{finished}"
    );
    assert!(
        finished
            .stdout
            .ends_with("\n1 span in both, 1 only in a, 1 only in b\n"),
        "{finished}"
    );

    let finished = run(&spool, &["diff", "aaa", "bbb", "--json"]);
    let rows: Vec<Value> = finished
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let changes: Vec<_> = rows.iter().map(|row| row["change"].as_str().unwrap()).collect();
    assert_eq!(changes, ["same", "removed", "added"]);
    assert_eq!(rows[0]["ratio"], 1.5);
    assert_eq!(
        rows[0]["durationNano"],
        serde_json::json!({"a": "2000000000", "b": "3000000000"})
    );
    assert_eq!(
        rows[0]["attributes"],
        serde_json::json!([{"key": "jobs", "a": 2, "b": 4}])
    );
    assert_eq!(rows[2]["spanId"]["a"], Value::Null);
}

#[test]
fn exit_code_tells_whether_the_structure_is_the_same() {
    let spool = two_builds();
    for (a, b, code) in [("a", "c", 0), ("c", "last", 0), ("a", "b", 1), ("a", "d", 2)] {
        let finished = run(&spool, &["diff", a, b]);
        assert_eq!(finished.code, Some(code), "{finished}");
    }
    let missing = run(&spool, &["diff", "a", "d"]);
    assert!(missing.stderr.contains("no trace id begins with 'd'"), "{missing}");
}
