use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use super::disk::PAGE;
use super::*;
use crate::files::{read_all, remove_all};

const FILE: &str = "/spool/file";
const OTHER: &str = "/spool/other";

/// A disk with an empty directory.
fn disk() -> FakeFiles {
    let files = FakeFiles::new();
    files.add_directory("/spool");
    files
}

fn open(files: &FakeFiles, path: &str, how: How) -> io::Result<SharedFile> {
    files.open(Path::new(path), how)
}

fn new(files: &FakeFiles, path: &str) -> SharedFile {
    open(files, path, How::New).expect("it is new")
}

fn kind_of<T>(result: io::Result<T>) -> ErrorKind {
    result.err().expect("it fails").kind()
}

/// Stores through a mapping.
fn store(region: &Region, at: usize, byte: u8) {
    assert!(at < region.len());
    // SAFETY: in range, and nobody else uses the region at this moment.
    unsafe { region.base().as_ptr().add(at).write(byte) };
}

fn load(region: &Region, at: usize) -> u8 {
    assert!(at < region.len());
    // SAFETY: as above.
    unsafe { region.base().as_ptr().add(at).read() }
}

fn sync_dir(files: &FakeFiles, path: &str) {
    files.sync_dir(Path::new(path)).expect("it is a directory");
}

// ---- files, directories, names ------------------------------------------------------------------------------------

#[test]
fn file_is_read_as_it_was_written_also_beyond_its_end() {
    let files = disk();
    let file = new(&files, FILE);
    file.write_at(b"abc", 2 * PAGE as u64 - 1).expect("there is room");
    let mut buffer = [9; 8];
    assert_eq!(file.read_at(&mut buffer, 2 * PAGE as u64 - 3).expect("a read"), 5);
    assert_eq!(buffer, [0, 0, b'a', b'b', b'c', 9, 9, 9]);
    assert_eq!(file.read_at(&mut buffer, 1 << 20).expect("a read"), 0);
    let seen = file.look().expect("a look");
    assert_eq!((seen.kind, seen.len), (EntryKind::File, 2 * PAGE as u64 + 2));
    assert_eq!(seen.occupied, 2 * PAGE as u64, "the first page is a hole");
    assert_eq!(kind_of(open(&files, FILE, How::New)), ErrorKind::AlreadyExists);
    let same = open(&files, FILE, How::Read).expect("it is there");
    assert_eq!(read_all(&*same, u64::MAX).expect("a read").len(), 2 * PAGE + 2);
    assert!(same.write_at(b"x", 0).is_err(), "it was opened for reading");
    file.set_len(1).expect("nobody has mapped it");
    assert_eq!(files.content(FILE), Some(vec![0]));
}

#[test]
fn directories_are_made_listed_and_removed_when_empty() {
    let files = disk();
    let sub = Path::new("/spool/sub");
    files.create_dir(sub).expect("it is new");
    assert_eq!(kind_of(files.create_dir(sub)), ErrorKind::AlreadyExists);
    assert_eq!(kind_of(files.create_dir(Path::new("/none/sub"))), ErrorKind::NotFound);
    new(&files, "/spool/sub/a");
    new(&files, "/spool/sub/b");
    let mut seen = Vec::new();
    files
        .entries(Path::new("/spool/sub"), &mut |name, kind| {
            seen.push((name.to_owned(), kind));
            false
        })
        .expect("it is a directory");
    assert_eq!(seen.len(), 1, "the visitor has had enough");
    assert_eq!(kind_of(files.remove_dir(sub)), ErrorKind::DirectoryNotEmpty);
    assert_eq!(kind_of(files.remove_file(sub)), ErrorKind::IsADirectory);
    remove_all(&files, sub).expect("it has files only");
    assert_eq!(kind_of(files.look(sub)), ErrorKind::NotFound);
    assert_eq!(files.look(Path::new("/spool")).expect("a look").mode, 0o700);
}

#[test]
fn rename_replaces_files_and_takes_whole_directories_along() {
    let files = disk();
    new(&files, FILE).write_at(b"1", 0).expect("there is room");
    let replaced = new(&files, OTHER);
    replaced.write_at(b"2", 0).expect("there is room");
    files.rename(Path::new(FILE), Path::new(OTHER)).expect("a rename");
    assert_eq!(files.content(OTHER), Some(b"1".to_vec()));
    assert_eq!(files.content(FILE), None);
    assert_eq!(
        read_all(&*replaced, 9).expect("a read"),
        b"2",
        "whoever has it open keeps it"
    );
    files
        .rename(Path::new("/spool"), Path::new("/moved"))
        .expect("a rename");
    assert_eq!(files.names("/moved"), ["other"]);
    assert_eq!(
        kind_of(files.rename(Path::new(FILE), Path::new("/x"))),
        ErrorKind::NotFound
    );
    files.add_directory("/full");
    files.add_file("/full/file", b"");
    assert_eq!(
        kind_of(files.rename(Path::new("/moved"), Path::new("/full"))),
        ErrorKind::DirectoryNotEmpty
    );
    assert_eq!(
        kind_of(files.rename(Path::new("/moved"), Path::new("/full/file"))),
        ErrorKind::NotADirectory
    );
}

#[test]
fn link_gives_a_second_name_that_outlives_the_first() {
    let files = disk();
    new(&files, FILE).write_at(b"1", 0).expect("there is room");
    files.link(Path::new(FILE), Path::new(OTHER)).expect("a link");
    assert_eq!(
        kind_of(files.link(Path::new(FILE), Path::new(OTHER))),
        ErrorKind::AlreadyExists
    );
    files.remove_file(Path::new(FILE)).expect("it is there");
    assert_eq!(files.content(OTHER), Some(b"1".to_vec()));
    assert_eq!(files.used(), PAGE as u64);
    files.remove_file(Path::new(OTHER)).expect("it is there");
    assert_eq!(files.used(), 0);
}

#[test]
fn lock_belongs_to_a_handle_until_its_last_clone_drops() {
    let files = disk();
    let first = new(&files, FILE);
    let clone = first.clone();
    let second = open(&files, FILE, How::Write).expect("it is there");
    assert!(first.try_lock().expect("a lock") && first.try_lock().expect("again"));
    assert!(!second.try_lock().expect("no lock"));
    drop(first);
    assert!(!second.try_lock().expect("no lock"));
    let left = open(&files.after_crash(), FILE, How::Write).expect("it is there");
    assert!(left.try_lock().expect("a lock"), "the kernel has released it");
    drop(clone);
    assert!(second.try_lock().expect("a lock"));
}

/// The kinds of errors must be those of the operating system's files, which the second column is taken from.
#[test]
fn strange_paths_fail_to_open_as_with_the_operating_system() {
    type Prepare = fn(&FakeFiles, &Path);
    let loops = io::Error::from(rustix::io::Errno::LOOP).kind();
    let cases: [(&str, Prepare, Prepare, [Option<ErrorKind>; 4]); 4] = [
        (
            "nothing",
            |_, _| {},
            |_, _| {},
            [Some(ErrorKind::NotFound), Some(ErrorKind::NotFound), None, None],
        ),
        (
            "directory",
            |files, path| files.add_directory(path),
            |_, path| std::fs::create_dir(path).expect("a new path"),
            [
                Some(ErrorKind::Other),
                Some(ErrorKind::IsADirectory),
                Some(ErrorKind::AlreadyExists),
                Some(ErrorKind::IsADirectory),
            ],
        ),
        (
            "symlink",
            |files, path| files.add_symlink(path),
            |_, path| std::os::unix::fs::symlink("/", path).expect("a new path"),
            [Some(loops), Some(loops), Some(ErrorKind::AlreadyExists), Some(loops)],
        ),
        (
            "fifo",
            |files, path| files.add_fifo(path),
            |_, path| {
                if cfg!(not(miri)) {
                    let mode = rustix::fs::Mode::from_raw_mode(0o600);
                    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0)
                        .expect("a new path");
                }
            },
            [
                Some(ErrorKind::Other),
                Some(ErrorKind::Other),
                Some(ErrorKind::AlreadyExists),
                Some(ErrorKind::Other),
            ],
        ),
    ];
    for (name, prepare, prepare_real, expected) in cases {
        for (how, expected) in [How::Read, How::Write, How::New, How::NewOrWrite]
            .into_iter()
            .zip(expected)
        {
            let files = disk();
            prepare(&files, Path::new(FILE));
            let found = open(&files, FILE, how).err().map(|error| error.kind());
            assert_eq!(found, expected, "{name}, {how:?}");
            if cfg!(not(miri)) {
                let directory = tempfile::tempdir().expect("a temporary directory");
                let path = directory.path().join("file");
                prepare_real(&files, &path);
                let found = crate::files::os::files()
                    .open(&path, how)
                    .err()
                    .map(|error| error.kind());
                assert_eq!(found, expected, "{name}, {how:?}, with the operating system");
            }
        }
    }
}

#[test]
fn files_of_others_and_without_permission_are_not_opened() {
    let files = disk();
    for (user, mode, expected) in [
        (USER, 0o600, None),
        (USER, 0o400, Some(ErrorKind::PermissionDenied)),
        (7, 0o600, Some(ErrorKind::PermissionDenied)),
        (7, 0o666, Some(ErrorKind::Other)),
    ] {
        files.add_file(FILE, b"");
        files.set_user(FILE, user);
        files.set_mode(FILE, mode);
        let found = open(&files, FILE, How::Write).err().map(|error| error.kind());
        assert_eq!(found, expected, "{user} {mode:o}");
        files.remove_file(Path::new(FILE)).expect("the directory is ours");
    }
    files.set_user("/spool", 7);
    assert_eq!(kind_of(open(&files, FILE, How::New)), ErrorKind::PermissionDenied);
    assert_eq!(
        kind_of(files.entries(Path::new("/spool"), &mut |_, _| true)),
        ErrorKind::PermissionDenied
    );
}

// ---- room ---------------------------------------------------------------------------------------------------------

#[test]
fn disk_is_full_beyond_its_capacity_and_free_again_when_files_go() {
    let files = disk();
    files.set_capacity(4 * PAGE as u64);
    let file = new(&files, FILE);
    file.allocate(3 * PAGE as u64).expect("there is room");
    assert_eq!(
        (files.used(), file.look().expect("a look").len),
        (3 * PAGE as u64, 3 * PAGE as u64)
    );
    let other = new(&files, OTHER);
    assert_eq!(kind_of(other.allocate(2 * PAGE as u64)), ErrorKind::StorageFull);
    assert_eq!(other.look().expect("a look").len, 0);
    assert_eq!(kind_of(other.write_at(&[7; PAGE + 1], 0)), ErrorKind::StorageFull);
    assert_eq!(other.look().expect("a look").len, PAGE as u64, "a part was written");
    file.write_at(&[1; PAGE], 0).expect("that page is its own");
    files.remove_file(Path::new(FILE)).expect("it is there");
    assert_eq!(
        kind_of(other.allocate(2 * PAGE as u64)),
        ErrorKind::StorageFull,
        "it is still open"
    );
    drop(file);
    other.allocate(4 * PAGE as u64).expect("there is room again");
}

#[test]
fn allocation_is_unsupported_where_a_test_says_so() {
    let files = disk();
    files.set_can_allocate(false);
    assert_eq!(kind_of(new(&files, FILE).allocate(1)), ErrorKind::Unsupported);
    assert_eq!(files.file_system(Path::new("/spool")), FileSystem::Mappable);
    files.set_file_system(FileSystem::Other);
    assert_eq!(files.file_system(Path::new("/spool")), FileSystem::Other);
}

#[test]
fn clock_stands_where_it_was_set() {
    let files = disk();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(77);
    files.set_now(now);
    let file = new(&files, FILE);
    assert_eq!((files.now(), file.look().expect("a look").modified), (now, now));
}

// ---- mappings -----------------------------------------------------------------------------------------------------

#[test]
fn mapping_and_handles_see_the_same_bytes() {
    let files = disk();
    let file = new(&files, FILE);
    file.allocate(2 * PAGE as u64).expect("there is room");
    file.write_at(b"ab", 0).expect("there is room");
    let region = file.map(2 * PAGE).expect("it is allocated");
    let again = open(&files, FILE, How::Write)
        .expect("it is there")
        .map(PAGE)
        .expect("it is allocated");
    assert_eq!(
        (load(&region, 1), load(&again, 1), load(&region, PAGE)),
        (b'b', b'b', 0)
    );
    store(&region, 1, b'c');
    store(&region, 2 * PAGE - 1, b'd');
    file.write_at(b"e", 2).expect("there is room");
    assert_eq!((load(&again, 1), load(&again, 2)), (b'c', b'e'));
    let content = files.content(FILE).expect("it is there");
    assert_eq!((&content[..4], content[2 * PAGE - 1]), (&b"ace\0"[..], b'd'));
    assert_eq!(
        kind_of(file.allocate(3 * PAGE as u64)),
        ErrorKind::Other,
        "it does not grow any more"
    );
    files.remove_file(Path::new(FILE)).expect("it is there");
    drop(file);
    store(&region, 0, b'f');
    assert_eq!(load(&again, 0), b'f', "whoever has it mapped keeps it");
}

#[test]
#[should_panic(expected = "no file that anybody may have mapped is ever truncated")]
fn mapped_file_must_not_be_cut_not_even_later() {
    let files = disk();
    let file = new(&files, FILE);
    file.allocate(PAGE as u64).expect("there is room");
    drop(file.map(PAGE).expect("it is allocated"));
    let left = open(&files.after_crash(), FILE, How::Write).expect("it is there");
    let _ = left.set_len(0);
}

#[test]
#[should_panic(expected = "was mapped beyond what is allocated")]
fn mapping_of_what_is_not_allocated_panics() {
    let files = disk();
    let file = new(&files, FILE);
    file.write_at(b"x", PAGE as u64).expect("there is room");
    let _ = file.map(PAGE);
}

// ---- faults -------------------------------------------------------------------------------------------------------

#[test]
fn plan_decides_of_each_call_by_number_name_and_path() {
    let files = disk();
    let file = new(&files, FILE);
    let first = files.calls() + 1;
    files.plan(move |call| match (call.number - first, call.operation) {
        (0, Operation::WriteAt) => Fate::Fail(ErrorKind::StorageFull),
        (1, Operation::WriteAt) => Fate::Short,
        (2, Operation::ReadAt) if call.path == Path::new(FILE) => Fate::Short,
        _ => Fate::Succeed,
    });
    assert_eq!(kind_of(file.write_at(b"12345678", 0)), ErrorKind::StorageFull);
    assert_eq!(files.content(FILE), Some(Vec::new()), "a failure has no effect");
    assert_eq!(kind_of(file.write_at(b"12345678", 0)), ErrorKind::StorageFull);
    assert_eq!(files.content(FILE), Some(b"1234".to_vec()), "half of it");
    let mut buffer = [0; 4];
    assert_eq!(file.read_at(&mut buffer, 0).expect("a read"), 2);
    assert_eq!(file.read_at(&mut buffer, 0).expect("a read"), 4);
    files.plan(|_| Fate::Fail(ErrorKind::PermissionDenied));
    assert_eq!(kind_of(file.sync()), ErrorKind::PermissionDenied);
    files.forget_plan();
    file.sync().expect("all is well");
    assert_eq!(files.calls() - first + 1, 6);
    assert_eq!(files.calls_of(Operation::WriteAt), 2);
    assert_eq!(files.calls_of(Operation::Sync), 2);
}

#[test]
fn another_may_act_between_a_call_and_what_follows() {
    let files = disk();
    let file = new(&files, FILE);
    let other = files.clone();
    files.plan(move |call| match call.operation {
        Operation::Sync => {
            let other = other.clone();
            Fate::Then(Box::new(move || drop(new(&other, OTHER))))
        }
        _ => Fate::Succeed,
    });
    file.sync().expect("all is well");
    // The plan holds the files that hold it.
    files.forget_plan();
    assert_eq!(files.names("/spool"), ["file", "other"]);
}

/// Whatever a stopped process still does while its stack unwinds, it does after its end.
#[test]
fn stopped_process_leaves_what_it_had_done_before() {
    struct Late(SharedFile, Region);
    impl Drop for Late {
        fn drop(&mut self) {
            store(&self.1, 1, b'L');
            assert!(self.0.write_at(b"L", 2).is_err());
        }
    }
    for last in 1..=7 {
        let files = disk();
        files.plan(move |call| if call.number == last { Fate::Stop } else { Fate::Succeed });
        let done = AtomicU64::new(0);
        let step = || done.fetch_add(1, Ordering::Relaxed);
        let ended = run_until_stop(|| {
            let file = new(&files, FILE);
            step();
            assert!(file.try_lock().expect("a lock"));
            step();
            file.allocate(PAGE as u64).expect("there is room");
            step();
            let region = file.map(PAGE).expect("it is allocated");
            step();
            let late = Late(file, region);
            store(&late.1, 0, b'0');
            late.0.write_at(b"3", 3).expect("there is room");
            step();
            late.0.sync().expect("all is well");
            step();
            files.sync_dir(Path::new("/spool")).expect("all is well");
            step();
        });
        assert!(ended.is_none(), "{last}");
        assert_eq!(done.into_inner(), last - 1);
        let left = files.after_crash();
        assert_eq!(left.names("/spool").len(), usize::from(last > 1), "{last}");
        if last > 1 {
            let file = open(&left, FILE, How::Write).expect("it is there");
            assert!(file.try_lock().expect("a lock"), "{last}");
            let content = left.content(FILE).expect("it is there");
            let expected: &[u8] = match last {
                2 | 3 => b"",
                4 => b"\0\0\0\0",
                5 => b"0\0\0\0",
                _ => b"0\0\0\x33",
            };
            assert_eq!(&content[..content.len().min(4)], expected, "{last}");
        }
    }
    assert_eq!(run_until_stop(|| 5), Some(5));
}

// ---- power cuts ---------------------------------------------------------------------------------------------------

const SEEDS: u64 = if cfg!(miri) { 8 } else { 64 };

/// What is left of something that differs from one cut to the next, by how often.
fn lefts<T: Ord>(files: &FakeFiles, look: impl Fn(&FakeFiles) -> T) -> std::collections::BTreeMap<T, usize> {
    let mut lefts = std::collections::BTreeMap::new();
    for seed in 0..SEEDS {
        *lefts.entry(look(&files.after_power_cut(seed))).or_default() += 1;
    }
    lefts
}

#[test]
fn power_cut_keeps_synced_pages_and_any_of_the_others() {
    for is_mapped in [false, true] {
        let files = disk();
        let file = new(&files, FILE);
        file.allocate(4 * PAGE as u64).expect("there is room");
        let region = is_mapped.then(|| file.map(4 * PAGE).expect("it is allocated"));
        let put = |page: usize, byte: u8| match &region {
            Some(region) => store(region, page * PAGE + 5, byte),
            None => file.write_at(&[byte], (page * PAGE + 5) as u64).expect("there is room"),
        };
        (0..3).for_each(|page| put(page, 1));
        file.sync().expect("all is well");
        sync_dir(&files, "/spool");
        (1..3).for_each(|page| put(page, 2));
        let pages = |left: &FakeFiles| {
            let content = left.content(FILE).expect("it was synced");
            content.chunks(PAGE).map(|page| page[5]).collect::<Vec<_>>()
        };
        let lefts = lefts(&files, pages);
        assert!(lefts.keys().all(|pages| pages[0] == 1 && pages[3] == 0), "{lefts:?}");
        if cfg!(not(miri)) {
            let middle: Vec<_> = lefts.keys().map(|pages| (pages[1], pages[2])).collect();
            assert_eq!(middle, [(1, 1), (1, 2), (2, 1), (2, 2)], "each page independently");
        }
        let seed = 3;
        assert_eq!(pages(&files.after_power_cut(seed)), pages(&files.after_power_cut(seed)));
        assert_eq!(
            pages(&files.after_crash()),
            [1, 2, 2, 0],
            "a killed process loses nothing"
        );
    }
}

#[test]
fn power_cut_keeps_synced_names_and_any_of_the_others() {
    let files = disk();
    for path in ["/spool/kept", "/spool/removed", "/spool/renamed"] {
        new(&files, path);
    }
    sync_dir(&files, "/spool");
    files.remove_file(Path::new("/spool/removed")).expect("it is there");
    new(&files, "/spool/created");
    files
        .rename(Path::new("/spool/renamed"), Path::new("/spool/target"))
        .expect("a rename");
    let lefts = lefts(&files, |left| left.names("/spool"));
    let has = |names: &[String], name: &str| names.iter().any(|there| there == name);
    for names in lefts.keys() {
        assert!(has(names, "kept"), "{names:?}");
        assert!(has(names, "renamed") || has(names, "target"), "{names:?}");
    }
    if cfg!(not(miri)) {
        assert_eq!(lefts.len(), 2 * 2 * 3, "{lefts:?}");
    }
    sync_dir(&files, "/spool");
    assert_eq!(files.after_power_cut(1).names("/spool"), ["created", "kept", "target"]);
}

#[test]
fn power_cut_leaves_a_renamed_directory_under_one_name() {
    let files = FakeFiles::new();
    files.add_directory("/new");
    files.add_file("/new/file", b"");
    files.rename(Path::new("/new"), Path::new("/final")).expect("a rename");
    let names = |left: &FakeFiles| {
        let names = left.names("/");
        assert_eq!(names.len(), 1, "{names:?}");
        assert_eq!(left.names(format!("/{}", names[0])), ["file"]);
        names
    };
    assert_eq!(lefts(&files, names).len(), 2);
}

#[test]
fn power_cut_forgets_the_length_of_a_file_that_was_not_synced() {
    let files = disk();
    let file = new(&files, FILE);
    sync_dir(&files, "/spool");
    file.write_at(&[1; PAGE + 1], 0).expect("there is room");
    let lens = lefts(&files, |left| left.content(FILE).expect("its name was synced").len());
    assert_eq!(lens.into_keys().collect::<Vec<_>>(), [0, PAGE + 1]);
    let left = files.after_power_cut(1).after_power_cut(2);
    assert_eq!(
        left.content(FILE),
        files.after_power_cut(1).content(FILE),
        "what is left is durable"
    );
}
