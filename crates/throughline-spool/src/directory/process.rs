//! The directory of one process.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use super::liveness::{self, Facts, Life, Lock};
use super::{LOCK, LONGEST_FILE, MANIFEST, NEW, time_name};
use crate::files::{self, EntryKind, FileSystem, Files, How, SharedFile, SharedFiles, random_name};
use crate::format::manifest::Manifest;
use crate::platform::{self, Process};

/// The directory of this process; its lock is held until this is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct Owned {
    path: PathBuf,
    files: SharedFiles,
    lock: Mutex<SharedFile>,
}

impl Owned {
    pub fn create(root: &Path, files: &SharedFiles, manifest: &mut Manifest) -> io::Result<Self> {
        let created = files.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        manifest.owner = platform::identity();
        manifest.created_unix_nano = created.as_nanos() as u64;
        let time = time_name(manifest.created_unix_nano);
        let name = format!("{time}-{}-{}", manifest.owner.pid, random_name()?);
        let aside = root.join(format!("{NEW}{name}"));
        let path = root.join(&name);
        manifest.directory = name;
        files.create_dir(&aside)?;
        let make = || -> io::Result<SharedFile> {
            let lock = match platform::RENAMES_DIRECTORIES_IN_USE {
                true => Some(new_lock(&**files, &aside)?),
                false => None,
            };
            let file = files.open(&aside.join(MANIFEST), How::New)?;
            file.write_at(&manifest.to_bytes(), 0)?;
            if manifest.synced {
                file.sync()?;
                files.sync_dir(&aside)?;
            }
            drop(file);
            files.rename(&aside, &path)?;
            // Until it has its lock, that the process is there is what others see.
            let lock = lock.map_or_else(|| new_lock(&**files, &path), Ok)?;
            if manifest.synced {
                files.sync_dir(root)?;
            }
            Ok(lock)
        };
        match make() {
            Ok(lock) => Ok(Self {
                path,
                files: files.clone(),
                lock: Mutex::new(lock),
            }),
            Err(error) => {
                // One half made is nobody's, and removed in time.
                let _ = files::remove_all(&**files, &aside);
                Err(error)
            }
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the lock again if it was lost: a host that makes itself a daemon closes descriptors that are not its own.
    pub fn renew_lock(&self) {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        // A descriptor that was closed is invalid, or is some other file by now.
        let ours = self.files.look(&self.path.join(LOCK));
        let held = lock.look();
        let is_ours = matches!((&ours, &held), (Ok(ours), Ok(held)) if ours.file == held.file);
        if is_ours && lock.try_lock().unwrap_or(false) {
            return;
        }
        let renewed = self.files.open(&self.path.join(LOCK), How::NewOrWrite);
        if let Ok(renewed) = renewed {
            if renewed.try_lock().unwrap_or(false) {
                // The descriptor of the old one may be somebody else's by now: it must not be closed.
                std::mem::forget(std::mem::replace(&mut *lock, renewed));
            }
        }
    }
}

/// The directory of some process.
#[derive(Clone, Debug)]
pub struct ProcessDir {
    path: PathBuf,
    pub(crate) files: SharedFiles,
}

impl PartialEq for ProcessDir {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Eq for ProcessDir {}

impl PartialOrd for ProcessDir {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ProcessDir {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.path.cmp(&other.path)
    }
}

impl ProcessDir {
    pub(crate) fn new(path: PathBuf, files: SharedFiles) -> Self {
        Self { path, files }
    }

    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory's name, which names the process.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// Who the process is and where its spans go.
    ///
    /// # Errors
    ///
    /// The manifest cannot be read, is damaged, or was written by a newer version of this format.
    pub fn manifest(&self) -> io::Result<Manifest> {
        Manifest::from_bytes(&self.read(MANIFEST)?)
    }

    /// Whether the owner lives; in doubt it does.
    #[must_use]
    pub fn life(&self) -> Life {
        liveness::life(&self.facts(Duration::ZERO))
    }

    /// What is known of the owner. The lock is asked, and given back at once.
    pub(crate) fn facts(&self, free_for: Duration) -> Facts {
        let lock = self.files.open(&self.path.join(LOCK), How::Write);
        let owner = self.manifest().ok().map(|manifest| manifest.owner);
        Facts {
            lock: match lock.and_then(|lock| lock.try_lock()) {
                Ok(true) => Lock::Free,
                Ok(false) => Lock::Held,
                Err(_) => Lock::Unknown,
            },
            process: owner
                .as_ref()
                .map_or(Process::Unknown, |owner| platform::process(owner.pid)),
            owner,
            asker: platform::identity(),
            is_local: self.files.file_system(&self.path) != FileSystem::Other,
            free_for,
        }
    }

    /// The names of files that begin like this and go on with a number, in order.
    pub(crate) fn numbered(&self, prefix: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        self.files.entries(&self.path, &mut |name, kind| {
            let number = name.strip_prefix(prefix).unwrap_or_default();
            if kind == EntryKind::File && number.len() >= 4 && number.bytes().all(|byte| byte.is_ascii_digit()) {
                names.push(name.to_owned());
            }
            true
        })?;
        names.sort_by_key(|name| (name.len(), name.clone()));
        Ok(names)
    }

    /// What its files take on disk, in bytes, as far as they can be seen.
    pub(crate) fn bytes(&self) -> u64 {
        let mut bytes = 0;
        // What cannot be seen is not counted: the next look may see it.
        let _ = self.files.entries(&self.path, &mut |name, _| {
            bytes += self.files.look(&self.path.join(name)).map_or(0, |seen| seen.occupied);
            true
        });
        bytes
    }

    /// A file's bytes.
    pub(crate) fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let file = self.files.open(&self.path.join(name), How::Read)?;
        files::read_all(&*file, LONGEST_FILE)
    }
}

/// The lock of a directory that has none yet, taken.
fn new_lock(files: &dyn Files, directory: &Path) -> io::Result<SharedFile> {
    let lock = files.open(&directory.join(LOCK), How::New)?;
    lock.try_lock()?;
    Ok(lock)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::Root;
    use crate::fixture::manifest;

    fn root() -> (tempfile::TempDir, Root) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let root = Root::open(directory.path().join("spool")).expect("it can be made");
        (directory, root)
    }

    #[test]
    fn this_process_lives_with_and_without_its_lock() {
        let (_directory, root) = root();
        let owned = root.create_process(&mut manifest(0)).expect("it can be made");
        let directory = &root.processes().expect("it can be listed")[0];
        assert_eq!(directory.life(), Life::Living);
        assert_eq!(directory.facts(Duration::ZERO).lock, Lock::Held);
        let me = directory.manifest().expect("it is whole").owner;
        assert!(me.start_time > 0 && me.pid_namespace > 0 && !me.boot_id.is_empty());
        drop(owned);
        assert_eq!(directory.life(), Life::Living, "its host closed the descriptor");
    }

    #[test]
    fn process_that_ended_is_dead() {
        let (_directory, root) = root();
        let mut manifest = manifest(0);
        drop(root.create_process(&mut manifest).expect("it can be made"));
        let directory = &root.processes().expect("it can be listed")[0];
        let mut child = std::process::Command::new("true").spawn().expect("it starts");
        child.wait().expect("it ends");
        manifest.owner.pid = child.id();
        let file = directory.files.open(&directory.path.join(MANIFEST), How::Write);
        file.and_then(|file| file.write_at(&manifest.to_bytes(), 0))
            .expect("it is ours");
        // The length of a number may have changed the length of the file, but not that of a u32.
        assert_eq!(directory.life(), Life::Dead);
    }

    #[test]
    fn lock_that_was_lost_is_taken_again() {
        let (_directory, root) = root();
        let owned = root.create_process(&mut manifest(0)).expect("it can be made");
        let directory = &root.processes().expect("it can be listed")[0];
        // As when another file has got the number of the descriptor.
        let other = root
            .files
            .open(&root.path().join("other"), How::New)
            .expect("it can be made");
        *owned.lock.lock().expect("nobody has it") = other;
        // A child that another test has just forked may still hold a copy.
        while directory.facts(Duration::ZERO).lock == Lock::Held {
            std::thread::sleep(Duration::from_millis(1));
        }
        owned.renew_lock();
        assert_eq!(directory.facts(Duration::ZERO).lock, Lock::Held);
        owned.renew_lock();
        assert_eq!(directory.facts(Duration::ZERO).lock, Lock::Held);
    }
}
