use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::fixture::{Fixture, id, manifest, segment, slot, span};
use crate::segment::UNIT;

fn spans(ids: std::ops::Range<u64>) -> Vec<Vec<u8>> {
    ids.map(|id| span(id, "a span")).collect()
}

fn read(fixture: &Fixture) -> Contents {
    Reader::new(fixture.root.path()).read()
}

fn ids(contents: &Contents) -> BTreeSet<u64> {
    let ids: BTreeSet<u64> = contents.spans.iter().map(|span| id(&span.body)).collect();
    assert_eq!(ids.len(), contents.spans.len(), "no span comes twice");
    ids
}

#[test]
fn nothing_is_made_where_nothing_is() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("spool");
    let contents = Reader::new(&path).read();
    assert!(contents.processes.is_empty() && contents.problems.is_empty());
    assert!(!path.exists());
}

#[test]
fn one_bad_directory_does_not_hide_the_others() {
    let fixture = Fixture::new();
    let chunk = segment(1, UNIT, &spans(1..4));
    let good = fixture.dead(0, &[("chunk-0000", &chunk)]);
    let newer = fixture.dead(0, &[("chunk-0000", &chunk)]);
    let mut bytes = manifest(0).to_bytes();
    bytes[4] = 9;
    let end = bytes.len() - 4;
    let crc = crc32c::crc32c(&bytes[..end]);
    bytes[end..].copy_from_slice(&crc.to_le_bytes());
    fs::write(newer.path().join("manifest"), &bytes).expect("it can be written");
    let elsewhere = fixture.root.path().join("elsewhere");
    fs::create_dir(&elsewhere).expect("it can be made");
    symlink(&elsewhere, fixture.root.path().join("1-0123456789abcdef")).expect("it can be made");
    fs::create_dir(fixture.root.path().join("2-0123456789abcdef")).expect("it can be made");
    let contents = read(&fixture);
    assert_eq!(ids(&contents), BTreeSet::from([1, 2, 3]));
    assert_eq!(
        contents.spans[0].process,
        contents
            .processes
            .iter()
            .position(|p| p.path == good.path())
            .expect("it is there")
    );
    let problems = contents.problems.join("\n");
    assert!(
        problems.contains("format 9") && problems.contains("2-0123456789abcdef"),
        "{problems}"
    );
    assert!(
        !problems.contains("1-0123456789abcdef"),
        "a symbolic link is no directory"
    );
}

/// What is done to a file; the spans that are left, and whether it is said.
type Case = (&'static str, fn(&std::path::Path), std::ops::Range<u64>, bool);

#[test]
fn a_directory_is_read_as_far_as_it_goes() {
    const CASES: [Case; 12] = [
        ("chunk-0000", |_| {}, 1..8, false),
        (
            "chunk-0000",
            |path| fs::write(path, []).expect("it can be written"),
            4..8,
            false,
        ),
        (
            "chunk-0000",
            |path| fs::write(path, [0xee; 50_000]).expect("it can be written"),
            4..8,
            true,
        ),
        (
            "chunk-0000",
            |path| fs::remove_file(path).expect("it is there"),
            4..8,
            false,
        ),
        (
            "chunk-0000",
            |path| {
                fs::remove_file(path).expect("it is there");
                symlink("/etc/passwd", path).expect("it can be made");
            },
            4..8,
            true,
        ),
        (
            "chunk-0000",
            |path| {
                fs::remove_file(path).expect("it is there");
                fs::create_dir(path).expect("it can be made");
            },
            4..8,
            true,
        ),
        (
            "manifest",
            |path| fs::write(path, b"garbage").expect("it can be written"),
            1..8,
            true,
        ),
        (
            "manifest",
            |path| fs::remove_file(path).expect("it is there"),
            1..8,
            true,
        ),
        (
            "scopes",
            |path| fs::write(path, [0xee; 100]).expect("it can be written"),
            1..8,
            false,
        ),
        (
            "ledger",
            |path| fs::write(path, [0xee; 100]).expect("it can be written"),
            1..8,
            false,
        ),
        (
            "open-0000",
            |path| fs::write(path, [0xee; 3000]).expect("it can be written"),
            1..7,
            false,
        ),
        (
            "chunk-0000.swp",
            |path| fs::write(path, [0xee; 3000]).expect("it can be written"),
            1..8,
            false,
        ),
    ];
    for (number, (file, change, left, is_said)) in CASES.into_iter().enumerate() {
        let fixture = Fixture::new();
        let directory = fixture.dead(
            0,
            &[
                ("chunk-0000", &segment(1, UNIT, &spans(1..4))),
                ("chunk-0001", &segment(2, UNIT, &spans(4..7))),
                ("open-0000", &slot(&span(7, "open"), None)),
            ],
        );
        change(&directory.path().join(file));
        let contents = read(&fixture);
        assert_eq!(ids(&contents), left.collect(), "case {number}, {file}");
        assert_eq!(
            !contents.problems.is_empty(),
            is_said,
            "case {number}: {:?}",
            contents.problems
        );
    }
}

#[test]
fn slots_are_void_where_an_adopter_has_made_records_of_them() {
    let fixture = Fixture::new();
    let slot = slot(&span(7, "open"), None);
    let recovered = segment(1, UNIT, &spans(1..4));
    fixture.dead(0, &[("open-0000", &slot), ("chunk-recovered", &recovered)]);
    assert_eq!(ids(&read(&fixture)), BTreeSet::from([1, 2, 3]));
}

#[test]
fn any_file_cut_anywhere_is_read_without_a_panic() {
    let fixture = Fixture::new();
    let files = [
        ("chunk-0000", segment(1, UNIT, &spans(1..4))),
        ("open-0000", slot(&span(7, "open"), None)),
    ];
    let files = files.each_ref().map(|(name, bytes)| (*name, bytes.as_slice()));
    let directory = fixture.dead(1, &files);
    let names = ["chunk-0000", "open-0000", "manifest", "scopes", "ledger"];
    for name in names {
        let path = directory.path().join(name);
        let whole = fs::read(&path).expect("it is there");
        for len in (0..whole.len()).step_by(64) {
            fs::write(&path, &whole[..len]).expect("it can be written");
            let found = ids(&read(&fixture));
            assert!(
                name == "chunk-0000" || found.is_superset(&BTreeSet::from([1, 2, 3])),
                "{name} at {len}"
            );
        }
        fs::write(&path, &whole).expect("it can be written");
    }
    assert_eq!(ids(&read(&fixture)), BTreeSet::from([1, 2, 3, 7]));
}

#[test]
fn reading_changes_nothing() {
    let fixture = Fixture::new();
    let files = [
        ("chunk-0000", &segment(1, UNIT, &spans(1..4))[..]),
        ("open-0000", &slot(&span(7, "open"), None)),
    ];
    let directory = fixture.dead(1, &files);
    for entry in fs::read_dir(directory.path()).expect("it can be listed") {
        let path = entry.expect("it is there").path();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
    }
    let state = || {
        let mut state = Vec::new();
        for entry in fs::read_dir(directory.path()).expect("it can be listed") {
            let path = entry.expect("it is there").path();
            let modified = fs::metadata(&path)
                .and_then(|seen| seen.modified())
                .expect("it is there");
            state.push((fs::read(&path).expect("it is there"), path, modified));
        }
        state.sort();
        state
    };
    let before = state();
    let contents = read(&fixture);
    assert_eq!(contents.processes[0].pending, 3);
    assert_eq!(contents.processes[0].open, 1);
    assert!(before == state());
}
