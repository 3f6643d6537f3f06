//! `throughline run`: secrets among the arguments are recorded nowhere.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::fs;
use std::path::Path;

use common::{attribute, only_span, run};
use throughline_testkit::Spool;

/// What no file of the spool may hold.
const SECRET: &str = "hunter2";

#[test]
fn planted_secrets_are_in_no_file_of_the_spool() {
    for arguments in [
        &["sh", "-c", ": x --password hunter2"][..],
        &["sh", "-c", ": PASSWORD='a hunter2 b' --token \"a hunter2\" ; exit 0"],
        &["sh", "-c", ": curl -H 'Authorization: Bearer hunter2' https://h/"],
        &["true", "-d", r#"{"user":"me","password":"hunter2"}"#],
        &["true", "-d", r#"{"password" : "a hunter2"}"#],
        &["true", "--private-key", "-----BEGIN PRIVATE KEY-----\nhunter2\n"],
        &["true", "x", "key -----BEGIN RSA PRIVATE KEY-----\nhunter2\n"],
        &["true", "mysql", "-phunter2", "db"],
        &["true", "https://me:hunter2@h/p"],
        &["true", "https://h/p?X-Amz-Date=1&X-Amz-Signature=hunter2&q=1"],
        &["true", "https://h/p?sv=1&sig=hunter2", "https://h/?a=b&token=hunter2"],
        &["true", "STRIPE_KEY=hunter2", "GITHUB_PAT=hunter2", "DB_PASS=hunter2"],
        &["true", "-H", "Authorization: Bearer hunter2"],
        &["true", "curl", "-u", "me:hunter2"],
    ] {
        let spool = Spool::new().unwrap();
        run(&spool, &[&["run"], arguments].concat()).expect_success();
        assert!(
            attribute(&only_span(&spool), "process.command_args")
                .unwrap()
                .contains("[redacted]")
        );
        assert!(!is_below(&spool.path(), SECRET), "{arguments:?}");
    }
}

/// Whether a file below the directory holds this text.
fn is_below(directory: &Path, text: &str) -> bool {
    fs::read_dir(directory)
        .unwrap()
        .flatten()
        .any(|entry| match entry.file_type().unwrap().is_dir() {
            true => is_below(&entry.path(), text),
            false => fs::read(entry.path())
                .unwrap()
                .windows(text.len())
                .any(|window| window == text.as_bytes()),
        })
}
