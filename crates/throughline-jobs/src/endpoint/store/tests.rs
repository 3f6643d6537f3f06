//! A disk that fails when it is told to.

use std::collections::BTreeMap;
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use redb::StorageBackend;

use super::*;
use crate::RequestKey;
use crate::endpoint::Metadata;

/// A file in memory, on a disk that may be full or broken.
#[derive(Debug)]
struct Disk {
    file: Mutex<Contents>,
    fault: Mutex<Fault>,
    opened: AtomicU64,
    /// How long it takes.
    opening: Mutex<Duration>,
    now: Mutex<Instant>,
}

#[derive(Debug, Default)]
struct Contents {
    bytes: Vec<u8>,
    /// The blocks that have been written, and so have their place on the disk.
    blocks: BTreeSet<usize>,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    /// Nothing can be read or written.
    Broken,
    /// So many new blocks have room; what has its place can be written again.
    Full(usize),
    None,
    /// One write, growth or sync fails, after so many.
    Once(usize),
}

const BLOCK: usize = 4096;

impl Disk {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            file: Mutex::default(),
            fault: Mutex::new(Fault::None),
            opened: AtomicU64::new(0),
            opening: Mutex::default(),
            now: Mutex::new(Instant::now()),
        })
    }

    fn is(&self, fault: Fault) {
        *self.fault.lock().unwrap() = fault;
    }

    fn later(&self, duration: Duration) {
        *self.now.lock().unwrap() += duration;
    }

    /// How often it was opened anew.
    fn opened(&self) -> u64 {
        self.opened.load(Relaxed) - 1
    }

    /// Something changes, for which so many new blocks are needed.
    fn change(&self, new: usize) -> io::Result<()> {
        let mut fault = self.fault.lock().unwrap();
        match &mut *fault {
            Fault::Broken => return Err(io::Error::other("broken")),
            Fault::Full(room) if *room < new => return Err(io::ErrorKind::StorageFull.into()),
            Fault::Full(room) => *room -= new,
            Fault::None => {}
            Fault::Once(0) => {
                *fault = Fault::None;
                return Err(io::Error::other("broken"));
            }
            Fault::Once(more) => *more -= 1,
        }
        Ok(())
    }

    fn open(self: &Arc<Self>) -> std::result::Result<Database, redb::DatabaseError> {
        self.opened.fetch_add(1, Relaxed);
        self.later(*self.opening.lock().unwrap());
        Database::builder().create_with_backend(Backend(Arc::clone(self)))
    }

    fn store(self: &Arc<Self>) -> Store {
        let (disk, clock) = (Arc::clone(self), Arc::clone(self));
        let clock = Clock::new(move || *clock.now.lock().unwrap());
        Store::new(self.open().unwrap(), Box::new(move || disk.open()), clock).unwrap()
    }
}

#[derive(Debug)]
struct Backend(Arc<Disk>);

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.file.lock().unwrap().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if matches!(*self.0.fault.lock().unwrap(), Fault::Broken) {
            return Err(io::Error::other("broken"));
        }
        out.copy_from_slice(&self.0.file.lock().unwrap().bytes[offset as usize..][..out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.change(0)?;
        let mut file = self.0.file.lock().unwrap();
        file.bytes.resize(len as usize, 0);
        file.blocks.split_off(&(len as usize).div_ceil(BLOCK));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.change(0)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let offset = offset as usize;
        let mut file = self.0.file.lock().unwrap();
        let blocks = offset / BLOCK..(offset + data.len()).div_ceil(BLOCK);
        let new: Vec<_> = blocks.filter(|block| !file.blocks.contains(block)).collect();
        self.0.change(new.len())?;
        file.blocks.extend(new);
        file.bytes[offset..][..data.len()].copy_from_slice(data);
        Ok(())
    }
}

impl Store {
    /// Puts among those that wait, or that have failed, what nobody can read.
    pub(in crate::endpoint) fn insert_unreadable(&self, table: &str, bytes: &[u8]) {
        let insert = |transaction: &WriteTransaction| {
            let table = TableDefinition::<u64, &[u8]>::new(table);
            transaction.open_table(table)?.insert(next(transaction)?, bytes)?;
            Ok(())
        };
        self.file.write(insert).unwrap();
    }
}

fn entry(data: u8) -> Entry {
    let key = RequestKey::from_bytes([1; 24]).unwrap();
    Entry::new(key, &vec![data; 3000], Metadata::new())
}

/// Where an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Failed,
    Gone,
    Waiting,
}

/// What a test knows of each entry: the places where it may be.
#[derive(Default)]
struct Known(BTreeMap<u8, Vec<Place>>);

impl Known {
    fn moved<T>(&mut self, data: u8, to: Place, result: &Result<T>) {
        let places = self.0.entry(data).or_insert_with(|| vec![Place::Gone]);
        match result {
            Ok(_) => *places = vec![to],
            Err(_) => places.push(to),
        }
    }

    fn check(&self, store: &Store) {
        let [pending, errors] = [store.pending().unwrap(), store.errors(|_| true).unwrap()];
        let count = |entries: &[Entry], data| entries.iter().filter(|entry| entry.data()[0] == data).count();
        for (&data, places) in &self.0 {
            let place = match (count(&pending, data), count(&errors, data)) {
                (0, 0) => Place::Gone,
                (1, 0) => Place::Waiting,
                (0, 1) => Place::Failed,
                (pending, errors) => panic!("{data} waits {pending} times, and has failed {errors} times"),
            };
            assert!(places.contains(&place), "{data} is {place:?}, and not {places:?}");
        }
    }
}

/// Pushes, and ends every second entry, well or badly. After each error it looks what is there.
fn use_store(store: &Store, mut after_error: impl FnMut(&Known)) -> Known {
    let mut known = Known::default();
    let mut failed = |known: &Known, is_error: bool| is_error.then(|| after_error(known));
    for data in 0..8 {
        let pushed = store.push(&entry(data), 100);
        known.moved(data, Place::Waiting, &pushed);
        failed(&known, pushed.is_err());
        if data % 2 == 0 {
            continue;
        }
        let Ok(Some(first)) = store.first(&BTreeSet::new(), 100) else {
            continue;
        };
        let of = first.data()[0];
        if data % 4 == 1 {
            let done = store.done(first.id());
            known.moved(of, Place::Gone, &done);
            failed(&known, done.is_err());
        } else {
            let moved = store.fail(&first, 100);
            known.moved(of, Place::Failed, &moved);
            failed(&known, moved.is_err());
        }
    }
    known
}

#[test]
fn fault_at_any_change_loses_nothing_that_was_acknowledged() {
    for at in 0.. {
        let disk = Disk::new();
        let store = disk.store();
        disk.is(Fault::Once(at));
        let mut errors = 0;
        let known = use_store(&store, |known| {
            errors += 1;
            known.check(&store);
            disk.later(Duration::from_millis(100));
        });
        known.check(&store);
        drop(store);
        known.check(&disk.store());
        if errors == 0 {
            assert!(at > 50, "there were changes to fail: {at}");
            break;
        }
        assert_eq!(errors, 1, "change {at}: none is refused after the pause");
    }
}

#[test]
fn full_disk_serves_reads_and_takes_writes_when_it_has_room() {
    for room in 0.. {
        let disk = Disk::new();
        let store = disk.store();
        disk.is(Fault::Full(room));
        let mut errors = 0;
        let known = use_store(&store, |known| {
            errors += 1;
            known.check(&store);
            if errors == 3 {
                disk.is(Fault::None);
            }
            disk.later(Duration::from_secs(10));
        });
        known.check(&store);
        drop(store);
        known.check(&disk.store());
        if errors == 0 {
            assert!(room > 20, "there were blocks to want: {room}");
            break;
        }
        assert!(errors <= 3, "{room} blocks: none is refused when there is room");
    }
}

#[test]
fn file_with_entries_is_opened_on_a_full_disk() {
    let disk = Disk::new();
    let store = disk.store();
    store.push(&entry(0), 100).unwrap();
    disk.is(Fault::Full(0));
    assert!(store.push(&entry(1), 100).is_err());
    drop(store);
    assert_eq!(disk.store().counts().unwrap().pending, 1);
}

#[test]
fn file_is_opened_once_per_pause_and_says_why_it_refuses() {
    let disk = Disk::new();
    let store = disk.store();
    disk.is(Fault::Full(0));
    let push_all = || {
        for data in 0..50 {
            assert!(store.push(&entry(data), 100).is_err());
            assert_eq!(store.counts().unwrap().pending, 0);
        }
        disk.opened()
    };
    assert_eq!(push_all(), 1);
    let refused = store.push(&entry(0), 100).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the endpoint's file is not used for 100ms after an error: I/O error: no storage space"
    );
    disk.later(Duration::from_millis(99));
    assert_eq!(push_all(), 1);
    disk.later(Duration::from_millis(1));
    assert_eq!(push_all(), 2);
    disk.later(Duration::from_millis(199));
    assert_eq!(push_all(), 2);
    disk.later(Duration::from_millis(1));
    disk.is(Fault::None);
    assert_eq!(store.push(&entry(0), 100).unwrap(), Some(1));
    assert_eq!(disk.opened(), 2);
}

#[test]
fn pause_is_as_long_as_the_opening_took() {
    let disk = Disk::new();
    let store = disk.store();
    let long = Duration::from_secs(30);
    *disk.opening.lock().unwrap() = long;
    disk.is(Fault::Full(0));
    assert!(store.push(&entry(0), 100).is_err());
    assert_eq!(store.pause(), Some(long));
}

#[test]
fn attempt_that_had_begun_ends_in_a_pause() {
    let disk = Disk::new();
    let store = disk.store();
    let id = store.push(&entry(0), 100).unwrap().unwrap();
    disk.is(Fault::Once(0));
    assert!(store.push(&entry(1), 100).is_err());
    assert!(store.update(&entry(0)).is_err(), "none begins");
    store.done(id).unwrap();
    assert_eq!(store.counts().unwrap().pending, 0);
}

#[test]
fn disk_that_cannot_be_read_is_tried_after_each_pause() {
    let disk = Disk::new();
    let store = disk.store();
    store.push(&entry(0), 100).unwrap();
    disk.is(Fault::Broken);
    assert!(store.push(&entry(1), 100).is_err());
    for pauses in [1, 2, 3] {
        for _ in 0..50 {
            assert!(store.counts().is_err());
        }
        assert_eq!(disk.opened(), pauses);
        disk.later(Duration::from_secs(10));
    }
    disk.is(Fault::None);
    assert_eq!(store.counts().unwrap().pending, 1);
}
