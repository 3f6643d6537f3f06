//! A file system in memory, for tests: any call can fail, fall short or stop the process, and a power cut leaves what was
//! synced and any part of the rest.
//!
//! ```text
//! let files = FakeFiles::new();
//! files.add_directory("/spool");
//! files.plan(|call| if call.number == 7 { Fate::Stop } else { Fate::Succeed });
//! run_until_stop(|| use_them(files.shared()));
//! let left = files.after_crash();            // kill -9: everything written is there, no lock is held
//! let left = files.after_power_cut(seed);    // what was synced, and a random part of the rest
//! ```
//!
//! A file that is mapped lies in a [`Region`] of the heap, which all its mappings and handles share. `sync`,
//! `after_crash` and `after_power_cut` read all of it: no other thread may store to it at that moment.

mod disk;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use self::disk::{Disk, Id, Node};
use super::{EntryKind, FileHandle, FileSystem, Files, How, Seen, SharedFile, SharedFiles};
use crate::store::memory::Region;

/// The user that this process runs as.
pub(crate) const USER: u32 = 1000;

/// A disk, and one process's view of it. Clones are the same process on the same disk.
#[derive(Clone)]
pub(crate) struct FakeFiles {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    plan: Mutex<Option<Plan>>,
}

type Plan = Box<dyn FnMut(&Call<'_>) -> Fate + Send>;

struct State {
    disk: Disk,
    /// The disk as it was when the process was stopped. What its threads do while they unwind happens to nobody.
    at_stop: Option<Disk>,
    calls: u64,
    calls_of: [u64; Operation::ALL.len()],
    next_handle: u64,
    now: SystemTime,
}

/// A call of the file layer.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// Counted from 1.
    pub number: u64,
    pub operation: Operation,
    pub path: &'a Path,
}

/// What becomes of a call.
pub(crate) enum Fate {
    Succeed,
    /// It has no effect but this error.
    Fail(io::ErrorKind),
    /// A read gives half of what was asked for; a write writes half, and fails. Any other call succeeds.
    Short,
    /// The process ends here: the call and whatever follows have no effect.
    Stop,
    /// It succeeds, and then, before the caller goes on, somebody else does this.
    Then(Box<dyn FnOnce()>),
}

/// The calls of the file layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Allocate,
    CreateDir,
    Entries,
    FileSystem,
    Link,
    Look,
    Map,
    Open,
    ReadAt,
    RemoveDir,
    RemoveFile,
    Rename,
    SetLen,
    Sync,
    SyncDir,
    TryLock,
    WriteAt,
}

impl Operation {
    pub const ALL: [Self; 17] = [
        Self::Allocate,
        Self::CreateDir,
        Self::Entries,
        Self::FileSystem,
        Self::Link,
        Self::Look,
        Self::Map,
        Self::Open,
        Self::ReadAt,
        Self::RemoveDir,
        Self::RemoveFile,
        Self::Rename,
        Self::SetLen,
        Self::Sync,
        Self::SyncDir,
        Self::TryLock,
        Self::WriteAt,
    ];
}

/// Runs a process until it ends by itself, or is stopped by a plan: `None`.
pub(crate) fn run_until_stop<T>(process: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(process)) {
        Ok(value) => Some(value),
        Err(payload) if payload.is::<Stopped>() => None,
        Err(payload) => resume_unwind(payload),
    }
}

/// What a stopped process unwinds with.
struct Stopped;

impl FakeFiles {
    /// An empty disk with an ext4 of any size.
    pub fn new() -> Self {
        Self::with_disk(Disk::new(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000))
    }

    fn with_disk(disk: Disk, now: SystemTime) -> Self {
        let state = State {
            disk,
            at_stop: None,
            calls: 0,
            calls_of: Default::default(),
            next_handle: 0,
            now,
        };
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                plan: Mutex::default(),
            }),
        }
    }

    /// For whoever takes a file layer.
    pub fn shared(&self) -> SharedFiles {
        Arc::new(self.clone())
    }

    // ---- what the world is like -----------------------------------------------------------------------------------

    /// Bytes of files that the disk has room for.
    pub fn set_capacity(&self, bytes: u64) {
        self.state().disk.capacity = bytes;
    }

    /// Bytes of files that the disk holds.
    pub fn used(&self) -> u64 {
        self.state().disk.used()
    }

    pub fn set_file_system(&self, kind: FileSystem) {
        self.state().disk.file_system = kind;
    }

    /// Whether files can be allocated before they are written.
    pub fn set_can_allocate(&self, can: bool) {
        self.state().disk.can_allocate = can;
    }

    pub fn set_now(&self, now: SystemTime) {
        self.state().now = now;
    }

    /// Decides from here on what becomes of calls.
    pub fn plan(&self, plan: impl FnMut(&Call<'_>) -> Fate + Send + 'static) {
        *lock(&self.shared.plan) = Some(Box::new(plan));
    }

    /// From here on all calls succeed.
    pub fn forget_plan(&self) {
        *lock(&self.shared.plan) = None;
    }

    /// Calls so far.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Calls of one kind so far.
    pub fn calls_of(&self, operation: Operation) -> u64 {
        self.state().calls_of[operation as usize]
    }

    // ---- what tests put there and look at, uncounted ----------------------------------------------------------------

    /// Makes a directory, durably.
    pub fn add_directory(&self, path: impl AsRef<Path>) {
        self.add(path.as_ref(), Node::directory());
    }

    /// Makes a file of these bytes, durably.
    pub fn add_file(&self, path: impl AsRef<Path>, bytes: &[u8]) {
        self.add(path.as_ref(), Node::file(bytes));
    }

    pub fn add_fifo(&self, path: impl AsRef<Path>) {
        self.add(path.as_ref(), Node::Fifo);
    }

    /// Makes a symbolic link. Where to does not matter: no link is followed.
    pub fn add_symlink(&self, path: impl AsRef<Path>) {
        self.add(path.as_ref(), Node::Symlink);
    }

    fn add(&self, path: &Path, node: Node) {
        let mut state = self.state();
        let now = state.now;
        state.disk.add(path, node, now).expect("a new path in a directory");
        state.disk.sync_parent(path);
    }

    pub fn set_user(&self, path: impl AsRef<Path>, user: u32) {
        let mut state = self.state();
        let id = state.disk.find(path.as_ref()).expect("the path is there");
        state.disk.inode_mut(id).user = user;
    }

    pub fn set_mode(&self, path: impl AsRef<Path>, mode: u32) {
        let mut state = self.state();
        let id = state.disk.find(path.as_ref()).expect("the path is there");
        state.disk.inode_mut(id).mode = mode;
    }

    /// The content of a file; `None`: there is no such file.
    pub fn content(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        let state = self.state();
        let id = state.disk.find(path.as_ref()).ok()?;
        Some(state.disk.file(id)?.to_vec())
    }

    /// The names in a directory, in order.
    pub fn names(&self, directory: impl AsRef<Path>) -> Vec<String> {
        let state = self.state();
        let id = state.disk.find(directory.as_ref()).expect("the directory is there");
        state
            .disk
            .entries(id)
            .expect("it is a directory")
            .into_iter()
            .map(|(name, _)| name)
            .collect()
    }

    // ---- what is left behind ----------------------------------------------------------------------------------------

    /// The disk after this process has been killed: whatever was written is there, and nobody holds a lock.
    pub fn after_crash(&self) -> Self {
        let state = self.state();
        Self::with_disk(state.left().after_crash(), state.now)
    }

    /// The disk after a power cut: what was synced, and of the rest any part, which the seed chooses.
    pub fn after_power_cut(&self, seed: u64) -> Self {
        let state = self.state();
        Self::with_disk(state.left().after_power_cut(seed), state.now)
    }

    // ---- calls ------------------------------------------------------------------------------------------------------

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared.state)
    }

    /// Counts a call, and lets it happen or not. `act` is told whether it is to fall short.
    fn call<T>(
        &self,
        operation: Operation,
        path: &Path,
        act: impl FnOnce(&mut State, bool) -> io::Result<T>,
    ) -> io::Result<T> {
        let number = {
            let mut state = self.state();
            if state.at_stop.is_some() {
                return Err(io::Error::other("the process was stopped"));
            }
            state.calls += 1;
            state.calls_of[operation as usize] += 1;
            state.calls
        };
        let fate = match &mut *lock(&self.shared.plan) {
            Some(plan) => plan(&Call {
                number,
                operation,
                path,
            }),
            None => Fate::Succeed,
        };
        match fate {
            Fate::Succeed => act(&mut self.state(), false),
            Fate::Short => act(&mut self.state(), true),
            Fate::Fail(kind) => Err(io::Error::new(kind, format!("{operation:?} was made to fail"))),
            Fate::Stop => Err(self.stop()),
            Fate::Then(act_of_another) => {
                let result = act(&mut self.state(), false);
                act_of_another();
                result
            }
        }
    }

    /// Keeps the disk as it is, and ends the process.
    fn stop(&self) -> io::Error {
        {
            let mut state = self.state();
            state.at_stop = Some(state.disk.after_crash());
        }
        if !std::thread::panicking() {
            resume_unwind(Box::new(Stopped));
        }
        io::Error::other("the process was stopped")
    }
}

impl State {
    /// What the process leaves on the disk.
    fn left(&self) -> &Disk {
        self.at_stop.as_ref().unwrap_or(&self.disk)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for FakeFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FakeFiles")
    }
}

impl Files for FakeFiles {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.call(Operation::CreateDir, path, |state, _| {
            let now = state.now;
            state.disk.add(path, Node::directory(), now).map(drop)
        })
    }

    fn entries(&self, directory: &Path, visit: &mut dyn FnMut(&str, EntryKind) -> bool) -> io::Result<()> {
        let entries = self.call(Operation::Entries, directory, |state, _| {
            let id = state.disk.find(directory)?;
            state.disk.check_readable(id)?;
            state.disk.entries(id)
        })?;
        // Backwards, lest anybody rely on an order.
        for (name, kind) in entries.into_iter().rev() {
            if !visit(&name, kind) {
                break;
            }
        }
        Ok(())
    }

    fn open(&self, path: &Path, how: How) -> io::Result<SharedFile> {
        self.call(Operation::Open, path, |state, _| {
            let now = state.now;
            let id = state.disk.open(path, how, now)?;
            state.next_handle += 1;
            let file: SharedFile = Arc::new(FakeFile {
                files: self.clone(),
                path: path.to_owned(),
                id,
                handle: state.next_handle,
                is_writable: how != How::Read,
            });
            Ok(file)
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(Operation::Rename, from, |state, _| state.disk.rename(from, to))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.call(Operation::Link, from, |state, _| state.disk.link(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.call(Operation::RemoveFile, path, |state, _| state.disk.remove(path, false))
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.call(Operation::RemoveDir, path, |state, _| state.disk.remove(path, true))
    }

    fn look(&self, path: &Path) -> io::Result<Seen> {
        self.call(Operation::Look, path, |state, _| {
            Ok(state.disk.seen(state.disk.find(path)?))
        })
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.call(Operation::SyncDir, path, |state, _| {
            let id = state.disk.find(path)?;
            state.disk.check_readable(id)?;
            state.disk.sync(id);
            Ok(())
        })
    }

    fn file_system(&self, path: &Path) -> FileSystem {
        let kind = self.call(Operation::FileSystem, path, |state, _| Ok(state.disk.file_system));
        kind.unwrap_or(FileSystem::Other)
    }

    fn now(&self) -> SystemTime {
        self.state().now
    }
}

/// An open file.
struct FakeFile {
    files: FakeFiles,
    path: PathBuf,
    id: Id,
    handle: u64,
    is_writable: bool,
}

impl FakeFile {
    fn call<T>(&self, operation: Operation, act: impl FnOnce(&mut State, bool) -> io::Result<T>) -> io::Result<T> {
        self.files.call(operation, &self.path, act)
    }

    /// A call that a handle for reading refuses, as the kernel would.
    fn change<T>(&self, operation: Operation, act: impl FnOnce(&mut State, bool) -> io::Result<T>) -> io::Result<T> {
        self.call(operation, |state, is_short| {
            if !self.is_writable {
                return Err(rustix::io::Errno::BADF.into());
            }
            let result = act(state, is_short);
            state.disk.inode_mut(self.id).modified = state.now;
            result
        })
    }
}

impl FileHandle for FakeFile {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        self.call(Operation::ReadAt, |state, is_short| {
            let len = if is_short {
                buffer.len().div_ceil(2)
            } else {
                buffer.len()
            };
            let file = state.disk.file(self.id).expect("an open file");
            Ok(file.read(&mut buffer[..len], at))
        })
    }

    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.change(Operation::WriteAt, |state, is_short| {
            let wanted = if is_short { &bytes[..bytes.len() / 2] } else { bytes };
            let written = state.disk.write(self.id, wanted, at)?;
            if written < bytes.len() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            Ok(())
        })
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.change(Operation::Allocate, |state, _| state.disk.allocate(self.id, len))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.change(Operation::SetLen, |state, _| {
            state.disk.set_len(self.id, len, &self.path);
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.call(Operation::Sync, |state, _| {
            state.disk.sync(self.id);
            Ok(())
        })
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.call(Operation::TryLock, |state, _| {
            let lock = &mut state.disk.inode_mut(self.id).lock;
            Ok(*lock.get_or_insert(self.handle) == self.handle)
        })
    }

    fn look(&self) -> io::Result<Seen> {
        self.call(Operation::Look, |state, _| Ok(state.disk.seen(self.id)))
    }

    fn map(&self, len: usize) -> io::Result<Region> {
        self.change(Operation::Map, |state, _| state.disk.map(self.id, len, &self.path))
    }
}

impl Drop for FakeFile {
    fn drop(&mut self) {
        self.files.state().disk.close(self.id, self.handle);
    }
}

impl fmt::Debug for FakeFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeFile")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
