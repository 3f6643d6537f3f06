//! Roots with dead processes, and a file layer that fails, for tests.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicIsize, Ordering};

use crate::directory::{ProcessDir, Root};
use crate::files::{EntryKind, FileHandle, FileSystem, Files, How, Seen, SharedFile, SharedFiles};
use crate::fixture::{id, manifest, source, span};
use crate::format::header::Signal;
use crate::format::manifest::Manifest;
use crate::reader::{Contents, Reader};
use crate::store::memory::Region;
use crate::store::quota::Limits;
use crate::store::{Store, StoreSettings};

use super::locked::Locked;
use super::{Archive, Moment, Portion, Progress, Undelivered, Whose};

/// A root in a directory of its own.
pub(crate) struct Fixture {
    _directory: tempfile::TempDir,
    pub root: Root,
}

/// What a dead process has left.
pub(crate) struct Dead {
    pub manifest: Manifest,
    /// Spans that ended, by batches: each is a segment of its own.
    pub batches: Vec<Vec<u64>>,
    /// How many records of the first batches the first destination has got.
    pub settled: usize,
    /// The bytes of its slots.
    pub slots: Vec<u8>,
}

impl Fixture {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let root = Root::open(directory.path().join("spool")).expect("it can be made");
        Self {
            _directory: directory,
            root,
        }
    }

    /// The same files in another place.
    pub fn copy(&self) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("spool");
        copy_all(self.root.path(), &path);
        Self {
            root: Root::open(path).expect("it was copied"),
            _directory: directory,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub fn archive(&self) -> Archive {
        Archive::new(&self.root, limits())
    }

    /// Archives all there is.
    pub fn archive_all(&self) -> Archive {
        let mut archive = self.archive();
        loop {
            let progress = run(&mut archive, Moment::now(), 100);
            assert_eq!(progress.problems, Vec::<String>::new());
            if !progress.has_more {
                break;
            }
        }
        assert_eq!(self.root.processes().expect("it can be listed"), []);
        archive
    }

    /// A process that has died, with these spans and destinations.
    pub fn dead(&self, destinations: usize, ids: impl IntoIterator<Item = u64>) -> ProcessDir {
        self.dead_with(Dead {
            manifest: manifest(destinations),
            batches: vec![ids.into_iter().collect()],
            settled: 0,
            slots: Vec::new(),
        })
    }

    pub fn dead_with(&self, dead: Dead) -> ProcessDir {
        let (path, store) = self.dying(dead.manifest, Signal::Traces);
        for ids in dead.batches {
            let bodies: Vec<_> = ids.iter().map(|id| span(*id, "a span")).collect();
            let bodies = bodies.iter().map(Vec::as_slice);
            store.append_batch(&source("scope"), bodies).expect("there is room");
            store.seal();
        }
        if dead.settled > 0 {
            let mut consumer = store.consumer(0).expect("there is a destination");
            let batch = consumer.next(dead.settled, usize::MAX).expect("it can be read");
            consumer.settle(batch.expect("there are records"), 0);
        }
        if !dead.slots.is_empty() {
            fs::write(path.join("open-0000"), dead.slots).expect("it can be written");
        }
        ProcessDir::new(path, self.root.files.clone())
    }

    /// The directory of a process that is dead as soon as its store is dropped. Names are in the order of these calls.
    pub fn dying(&self, mut manifest: Manifest, signal: Signal) -> (PathBuf, Arc<Store>) {
        static COUNT: AtomicIsize = AtomicIsize::new(0);
        let owned = self.root.create_process(&mut manifest).expect("it can be made");
        let (before_random, _) = manifest.directory.rsplit_once('-').expect("it ends in random digits");
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        manifest.directory = format!("{before_random}-{count:016x}");
        let path = self.path(&manifest.directory);
        fs::rename(owned.path(), &path).expect("it is there");
        // Another process has got its id.
        manifest.owner.start_time += 1;
        fs::write(path.join("manifest"), manifest.to_bytes()).expect("it can be written");
        let store = Arc::new(Store::new(StoreSettings {
            directory: Some(path.clone()),
            manifest,
            signal,
            limits: Limits::default(),
            tier: None,
            refuse_when_full: false,
        }));
        (path, store)
    }

    pub fn read(&self) -> Contents {
        Reader::new(self.root.path()).read()
    }

    /// How often each span is seen.
    pub fn seen(&self) -> BTreeMap<u64, usize> {
        times(self.read().spans.iter().map(|span| id(&span.body)))
    }

    /// The files of the archive, by name.
    pub fn files(&self, extension: &str) -> Vec<PathBuf> {
        let listed =
            fs::read_dir(self.path("archive")).map(|entries| entries.map(|entry| entry.expect("it is there").path()));
        let mut files: Vec<PathBuf> = listed.map(Iterator::collect).unwrap_or_default();
        files.retain(|path| path.extension().is_some_and(|other| other == extension));
        files.sort();
        files
    }

    /// The lengths of all files of the archive.
    pub fn archived_bytes(&self) -> u64 {
        let files = self.files("pending").into_iter().chain(self.files("history"));
        files.map(|path| fs::metadata(path).expect("it is there").len()).sum()
    }

    pub fn quarantined(&self) -> usize {
        fs::read_dir(self.path("quarantine")).map_or(0, Iterator::count)
    }
}

/// A step. Somebody else may have the lock: a child that another test has just forked holds copies of all locks until it
/// executes its program.
pub(crate) fn run(archive: &mut Archive, now: Moment, budget: usize) -> Progress {
    loop {
        let progress = archive.step(now, budget).expect("nothing fails");
        if !progress.is_busy {
            return progress;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// Makes room, likewise.
pub(crate) fn make_room(archive: &mut Archive, now: Moment, live: u64) -> Progress {
    loop {
        let progress = archive.make_room(now, live).expect("nothing fails");
        if !progress.is_busy {
            return progress;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// Adds to the ledger what could not be added before, likewise.
pub(crate) fn count(archive: &Archive) {
    loop {
        if let Some(mut locked) = Locked::take(&archive.layout).expect("nothing fails") {
            return locked.count_settled().expect("it can be written");
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

pub(crate) fn limits() -> Limits {
    Limits::default()
}

/// How often each of them comes.
pub(crate) fn times(ids: impl IntoIterator<Item = u64>) -> BTreeMap<u64, usize> {
    let mut times = BTreeMap::new();
    for id in ids {
        *times.entry(id).or_default() += 1;
    }
    times
}

/// Each of them once.
pub(crate) fn once(ids: impl IntoIterator<Item = u64>) -> BTreeMap<u64, usize> {
    ids.into_iter().map(|id| (id, 1)).collect()
}

/// For whom a process with this destination delivers.
pub(crate) fn own(destination: usize) -> Whose {
    Whose::Of {
        destination: crate::fixture::destination(destination),
        service: "service".into(),
        namespace: String::new(),
    }
}

pub(crate) fn open(archive: &Archive, whose: Whose) -> Undelivered {
    let backlog = archive.undelivered(whose).expect("its lock is there");
    backlog.expect("nobody else delivers")
}

/// The ids of a portion's spans, in order.
pub(crate) fn ids(portion: &Portion) -> Vec<u64> {
    let ids: Vec<u64> = portion
        .runs()
        .flat_map(|run| run.payloads)
        .map(|payload| id(&payload[crate::format::record::FRAME..]))
        .collect();
    assert_eq!(ids.len() as u64, portion.records());
    ids
}

/// Delivers all there is, by portions of so many records.
pub(crate) fn deliver(backlog: &mut Undelivered, most: usize) -> Vec<u64> {
    let mut delivered = Vec::new();
    while let Some(portion) = backlog.next(most, 1 << 20).expect("it can be read") {
        delivered.extend(ids(&portion));
        backlog.settle(&portion, 0).expect("it can be written");
    }
    delivered
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir(to).expect("it can be made");
    for entry in fs::read_dir(from).expect("it can be listed") {
        let entry = entry.expect("it is there");
        let to = to.join(entry.file_name());
        if entry.file_type().expect("it has one").is_dir() {
            copy_all(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), &to).expect("it can be copied");
        }
    }
}

/// The operating system's files, of which all calls fail after some.
#[derive(Clone, Debug)]
pub(crate) struct Faulty {
    inner: SharedFiles,
    left: Arc<AtomicIsize>,
    /// Whether the first write that fails writes a part.
    tears: bool,
}

impl Faulty {
    pub fn after(calls: isize, tears: bool) -> Self {
        Self {
            inner: crate::files::os::files(),
            left: Arc::new(AtomicIsize::new(calls)),
            tears,
        }
    }

    /// Whether something has failed.
    pub fn has_failed(&self) -> bool {
        self.left.load(Ordering::Relaxed) < 0
    }

    pub fn root(&self, root: &Root) -> Root {
        // Its making is not what is tested.
        self.left.fetch_add(1, Ordering::Relaxed);
        Root::with_files(root.path(), Arc::new(self.clone())).expect("it is there")
    }

    fn call(&self) -> io::Result<()> {
        match self.left.fetch_sub(1, Ordering::Relaxed) {
            left if left > 0 => Ok(()),
            _ => Err(io::Error::from_raw_os_error(5)),
        }
    }
}

impl Files for Faulty {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.call()?;
        self.inner.create_dir(path)
    }
    fn entries(&self, directory: &Path, visit: &mut dyn FnMut(&str, EntryKind) -> bool) -> io::Result<()> {
        self.call()?;
        self.inner.entries(directory, visit)
    }
    fn open(&self, path: &Path, how: How) -> io::Result<SharedFile> {
        self.call()?;
        let file = self.inner.open(path, how)?;
        Ok(Arc::new(FaultyFile(file, self.clone())))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call()?;
        self.inner.rename(from, to)
    }
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call()?;
        self.inner.link(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.call()?;
        self.inner.remove_file(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.call()?;
        self.inner.remove_dir(path)
    }
    fn look(&self, path: &Path) -> io::Result<Seen> {
        self.call()?;
        self.inner.look(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.call()?;
        self.inner.sync_dir(path)
    }
    fn file_system(&self, path: &Path) -> FileSystem {
        self.inner.file_system(path)
    }
}

#[derive(Debug)]
struct FaultyFile(SharedFile, Faulty);

impl FileHandle for FaultyFile {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.1.call()?;
        self.0.read_at(buffer, at)
    }
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let had_failed = self.1.has_failed();
        self.1.call().inspect_err(|_| {
            if self.1.tears && !had_failed {
                let part = &bytes[..bytes.len() / 2];
                self.0.write_at(part, at).expect("a part can be written");
            }
        })?;
        self.0.write_at(bytes, at)
    }
    fn allocate(&self, len: u64) -> io::Result<()> {
        self.1.call()?;
        self.0.allocate(len)
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.1.call()?;
        self.0.set_len(len)
    }
    fn sync(&self) -> io::Result<()> {
        self.1.call()?;
        self.0.sync()
    }
    fn try_lock(&self) -> io::Result<bool> {
        self.1.call()?;
        self.0.try_lock()
    }
    fn unlock(&self) -> io::Result<()> {
        self.1.call()?;
        self.0.unlock()
    }
    fn look(&self) -> io::Result<Seen> {
        self.1.call()?;
        self.0.look()
    }
    fn map(&self, len: usize) -> io::Result<Region> {
        self.1.call()?;
        self.0.map(len)
    }
}
