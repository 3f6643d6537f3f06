//! Many short commands in one trace: every span is there afterwards, and what they left is archived along the way, by
//! each other.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use common::{run, throughline};
use serde_json::Value;
use throughline_testkit::Spool;

/// What the files below a directory take on disk, in bytes.
fn occupied(path: &Path) -> u64 {
    let seen = fs::symlink_metadata(path).map_or(0, |seen| seen.blocks() * 512);
    let below = fs::read_dir(path).into_iter().flatten().flatten();
    seen + below.map(|entry| occupied(&entry.path())).sum::<u64>()
}

#[test]
fn sixty_commands_are_one_trace_and_leave_little_behind() {
    const COMMANDS: usize = 60;
    let spool = Spool::new().unwrap();
    let itself = env!("CARGO_BIN_EXE_throughline");
    let script = format!("for n in $(seq {COMMANDS}); do '{itself}' run -- true; done");
    throughline(&spool, &["run", "sh", "-c", &script])
        .run()
        .unwrap()
        .expect_success();

    let listed = run(&spool, &["ls", "--json"]).expect_success().stdout;
    let traces: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        (traces.len(), &traces[0]["spans"]),
        (1, &(COMMANDS + 1).into()),
        "{listed}"
    );
    // On a machine that has much else to do some are left to the next commands.
    let processes = || {
        let names = fs::read_dir(spool.path())
            .unwrap()
            .flatten()
            .map(|entry| entry.file_name());
        names.filter(|name| name.to_string_lossy().starts_with("20")).count()
    };
    for _ in 0..COMMANDS {
        if processes() > 4 {
            run(&spool, &["run", "true"]).expect_success();
        }
    }
    assert!(processes() <= 4, "{} directories are left", processes());
    let bytes = occupied(&spool.path());
    assert!(bytes <= 4 << 20, "{bytes} bytes are left");
}
