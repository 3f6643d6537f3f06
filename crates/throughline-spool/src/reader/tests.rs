use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::*;
use crate::archive::Moment;
use crate::archive::testing::{Dead, Fixture, deliver, make_room, once, open, own, run};
use crate::directory::{Owned, Root};
use crate::files::{FileSystem, Files, How, Seen, SharedFile};
use crate::fixture::{id, manifest, slot, source, span};
use crate::format::header::Signal;
use crate::store::quota::Limits;
use crate::store::{Store, StoreSettings};

fn ids(contents: &Contents) -> BTreeSet<u64> {
    let ids: BTreeSet<u64> = contents.spans.iter().map(|span| id(&span.body)).collect();
    assert_eq!(ids.len(), contents.spans.len(), "no span comes twice");
    ids
}

/// A process that lives, its store and its directory.
fn living(root: &Root) -> (Owned, Store) {
    let mut manifest = manifest(1);
    let owned = root.create_process(&mut manifest).expect("it can be made");
    let store = Store::new(StoreSettings {
        directory: Some(owned.path().to_owned()),
        manifest,
        signal: Signal::Traces,
        limits: Limits::default(),
        tier: None,
        refuse_when_full: false,
    });
    (owned, store)
}

fn append(store: &Store, id: u64) {
    let body = span(id, "a span");
    store.append_batch(&source("scope"), [&*body]).expect("there is room");
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
fn spans_are_shown_with_state_place_and_source() {
    let fixture = Fixture::new();
    let (owned, store) = living(&fixture.root);
    append(&store, 1);
    fs::write(owned.path().join("open-0000"), slot(&span(2, "open"), None)).expect("it can be written");
    fixture.dead_with(Dead {
        manifest: manifest(1),
        batches: vec![(11..=14).collect()],
        settled: 2,
        slots: slot(&span(15, "open"), None),
    });
    fixture.dead(0, [21]);
    let expected = [
        (1, State::Finished, Place::Pending),
        (2, State::Open, Place::Pending),
        (11, State::Finished, Place::Delivered),
        (12, State::Finished, Place::Delivered),
        (13, State::Finished, Place::Pending),
        (14, State::Finished, Place::Pending),
        (15, State::Unfinished, Place::Pending),
        (21, State::Finished, Place::Local),
    ];
    let check = |name: &str| {
        let contents = fixture.read();
        assert_eq!(contents.problems, Vec::<String>::new(), "{name}");
        let mut seen: Vec<_> = contents
            .spans
            .iter()
            .map(|span| (id(&span.body), span.state, span.place))
            .collect();
        seen.sort_by_key(|seen| seen.0);
        assert_eq!(seen, expected, "{name}");
        assert!(
            contents.spans.iter().all(|span| *span.source == source("scope")),
            "{name}"
        );
        let lives: Vec<_> = contents.processes.iter().map(|process| process.life).collect();
        assert_eq!(lives.iter().filter(|life| **life == Life::Living).count(), 1, "{name}");
        assert_eq!(
            contents.processes.iter().map(|process| process.pending).sum::<u64>()
                + contents.processes.iter().map(|process| process.open).sum::<u64>(),
            5,
            "{name}"
        );
        contents
    };
    let before = check("directories");
    assert!(
        before
            .processes
            .iter()
            .all(|process| process.path != fixture.path("archive"))
    );
    let mut archive = fixture.archive();
    run(&mut archive, Moment::now(), 10);
    let after = check("archive");
    assert_eq!(
        after
            .processes
            .iter()
            .filter(|process| process.path == fixture.path("archive"))
            .count(),
        2
    );
    drop(store);
}

#[test]
fn reports_count_spans_that_are_not_kept() {
    let fixture = Fixture::new();
    fixture.dead(1, 1..=10);
    for _ in 0..2 {
        let contents = Reader::new(fixture.root.path()).read_where(|span| id(&span.body) > 7);
        assert_eq!(ids(&contents), BTreeSet::from([8, 9, 10]));
        assert_eq!(contents.processes[0].pending, 10);
        fixture.archive_all();
    }
}

#[test]
fn bad_directories_do_not_hide_the_others() {
    let fixture = Fixture::new();
    fixture.dead(0, 1..=3);
    let newer = fixture.dead(0, 4..=6);
    let mut bytes = manifest(0).to_bytes();
    bytes[4] = 9;
    let end = bytes.len() - 4;
    let crc = crc32c::crc32c(&bytes[..end]);
    bytes[end..].copy_from_slice(&crc.to_le_bytes());
    fs::write(newer.path().join("manifest"), &bytes).expect("it can be written");
    let elsewhere = fixture.path("elsewhere");
    fs::create_dir(&elsewhere).expect("it can be made");
    symlink(&elsewhere, fixture.path("20261121T095930.123Z-1-0123456789abcdef")).expect("it can be made");
    let empty = "20261121T095930.123Z-2-0123456789abcdef";
    fs::create_dir(fixture.path(empty)).expect("it can be made");
    let contents = fixture.read();
    assert_eq!(ids(&contents), BTreeSet::from([1, 2, 3]));
    let problems = contents.problems.join("\n");
    assert!(problems.contains("format 9") && problems.contains(empty), "{problems}");
    assert_eq!(contents.problems.len(), 2, "{problems}");
}

#[test]
fn reading_changes_nothing() {
    let fixture = Fixture::new();
    fixture.dead(1, 1..=3);
    fixture.archive_all();
    fixture.dead_with(Dead {
        manifest: manifest(1),
        batches: vec![(11..=13).collect()],
        settled: 0,
        slots: slot(&span(14, "open"), None),
    });
    let before = state(fixture.root.path());
    assert_eq!(ids(&fixture.read()).len(), 7);
    assert!(before == state(fixture.root.path()));
}

/// All files with their contents and times.
fn state(path: &Path) -> Vec<(PathBuf, Vec<u8>, SystemTime)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(path).expect("it can be listed") {
        let entry = entry.expect("it is there");
        let seen = entry.metadata().expect("it is there");
        if seen.is_dir() {
            all.extend(state(&entry.path()));
        } else {
            let bytes = fs::read(entry.path()).expect("it is ours");
            all.push((entry.path(), bytes, seen.modified().expect("it has one")));
        }
    }
    all.sort();
    all
}

#[test]
fn evicted_records_and_lost_spans_are_told() {
    let fixture = Fixture::new();
    fixture.dead(1, 1..=10);
    fixture.archive_all();
    let none = Limits {
        pending: 0,
        ..Limits::default()
    };
    let mut archive = crate::archive::Archive::new(&fixture.root, none);
    make_room(&mut archive, Moment::now(), 0);
    let contents = fixture.read();
    assert_eq!(contents.evicted, [10, 0, 0, 0, 0, 0]);
    assert_eq!(contents.dropped, [10, 0, 0, 0, 0, 0]);
}

#[test]
fn damaged_archive_file_is_said_and_the_rest_is_read() {
    let fixture = Fixture::new();
    fixture.dead(1, 1..=10);
    fixture.dead(1, 11..=20);
    fixture.archive_all();
    let path = &fixture.files("pending")[0];
    let whole = fs::read(path).expect("it is there");
    for at in (0..whole.len()).step_by(13) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(path, bytes).expect("it can be written");
        assert!(ids(&fixture.read()).len() >= 19, "byte {at}");
    }
    for len in (0..whole.len()).step_by(64) {
        fs::write(path, &whole[..len]).expect("it can be written");
        let found = ids(&fixture.read());
        assert!(found.is_subset(&(1..=20).collect()), "{len}");
    }
}

/// The operating system's files; something happens before or after a file of this name is opened for the first time.
struct Hooked {
    inner: SharedFiles,
    name: &'static str,
    is_before: bool,
    hook: Mutex<Option<Hook>>,
}

type Hook = Box<dyn FnOnce() + Send>;

impl std::fmt::Debug for Hooked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hooked")
    }
}

impl Files for Hooked {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.create_dir(path)
    }
    fn entries(&self, directory: &Path, visit: &mut dyn FnMut(&str, EntryKind) -> bool) -> io::Result<()> {
        self.inner.entries(directory, visit)
    }
    fn open(&self, path: &Path, how: How) -> io::Result<SharedFile> {
        let run = |is_due: bool| {
            if is_due && path.ends_with(self.name) {
                if let Some(hook) = self.hook.lock().expect("nobody panics").take() {
                    hook();
                }
            }
        };
        run(self.is_before);
        let opened = self.inner.open(path, how);
        run(true);
        opened
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.link(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_file(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_dir(path)
    }
    fn look(&self, path: &Path) -> io::Result<Seen> {
        self.inner.look(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.sync_dir(path)
    }
    fn file_system(&self, path: &Path) -> FileSystem {
        self.inner.file_system(path)
    }
}

fn read_with_hook(root: &Root, name: &'static str, is_before: bool, hook: impl FnOnce() + Send + 'static) -> Contents {
    let files = Arc::new(Hooked {
        inner: root.files.clone(),
        name,
        is_before,
        hook: Mutex::new(Some(Box::new(hook))),
    });
    Reader::with_files(root.path(), files).read()
}

/// Readers once listed the segment files before they read the slots: a span that ended in between into a new file was in
/// neither.
#[test]
fn span_that_ends_while_it_is_read_is_seen_once() {
    let names = ["open-0000", "segments-0000", "manifest"];
    for (name, is_before) in names.into_iter().flat_map(|name| [(name, false), (name, true)]) {
        let fixture = Fixture::new();
        let (owned, store) = living(&fixture.root);
        append(&store, 1);
        let slots = owned.path().join("open-0000");
        fs::write(&slots, slot(&span(2, "open"), None)).expect("it can be written");
        let contents = read_with_hook(&fixture.root, name, is_before, move || {
            // Each batch is longer than what is left of the first file.
            for number in 0..200 {
                let body = span(1000 + number, &"x".repeat(1000));
                store.append_batch(&source("scope"), [&*body]).expect("there is room");
            }
            append(&store, 2);
            fs::write(&slots, [0; 1024]).expect("it can be written");
            std::mem::forget(store);
        });
        let ids = ids(&contents);
        assert!(ids.contains(&1) && ids.contains(&2), "{name}, {is_before}: {ids:?}");
        drop(owned);
    }
}

#[test]
fn what_is_archived_while_it_is_read_is_seen_once() {
    let names = ["manifest", "lock", "open-0000", "segments-0000", "ledger"];
    for (name, is_before) in names.into_iter().flat_map(|name| [(name, false), (name, true)]) {
        let fixture = Fixture::new();
        let dead = fixture.dead_with(Dead {
            manifest: manifest(1),
            batches: vec![(1..=5).collect(), (6..=10).collect()],
            settled: 0,
            slots: slot(&span(11, "open"), None),
        });
        let root = fixture.root.clone();
        let contents = read_with_hook(&fixture.root, name, is_before, move || {
            let mut archive = crate::archive::Archive::new(&root, Limits::default());
            run(&mut archive, Moment::now(), 10);
        });
        assert!(!dead.path().exists(), "{name}");
        assert_eq!(ids(&contents), (1..=11).collect(), "{name}, {is_before}");
        assert_eq!(contents.problems, Vec::<String>::new(), "{name}, {is_before}");
    }
}

#[test]
fn file_that_becomes_history_while_it_is_read_is_seen_once() {
    let fixture = Fixture::new();
    fixture.dead(1, 1..=5);
    let mut archive = fixture.archive_all();
    let history = fixture.path("archive").join("00000000000000000001.history");
    let pending = history.with_extension("pending");
    let contents = read_with_hook(&fixture.root, "00000000000000000001.pending", true, move || {
        fs::rename(&pending, &history).expect("it is there");
    });
    assert_eq!(ids(&contents), (1..=5).collect());
    run(&mut archive, Moment::now(), 1);
    assert_eq!(deliver(&mut open(&archive, own(0)), 10), []);
    assert_eq!(fixture.seen(), once(1..=5));
}
