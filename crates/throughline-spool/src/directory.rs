//! The directories and files of the spool: how they are made, whose they are, and whether their process lives.
//!
//! ```text
//! <root>/                    0700, of one user
//!   key                      32 random bytes: what fingerprints of credentials are keyed with
//!   rejected/                payloads that a backend refused for good
//!   quarantine/              what could not be read of directories that were removed
//!   <pid>-<16 hex digits>/   one process
//!     manifest               who the process is and where its spans go
//!     lock                   held (flock) by the process while it lives
//!     adopt.lock             held by whoever delivers for a dead process
//!     scopes                 instrumentation scopes, by the order in which they were first used
//!     ledger                 what was dropped and delivered, by reason and destination
//!     chunk-0000 …           segments of records
//!     chunk-recovered        made by an adopter: the spans that were open; with it the slots are void
//!     open-0000 …            slots of open spans
//! ```
//!
//! A process directory is made under a name that begins with a dot, locked, filled and then renamed, so that nobody ever
//! sees one half made.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{FallocateFlags, FlockOperation, OFlags};

use crate::manifest::{Identity, Manifest};

pub(crate) const MANIFEST: &str = "manifest";
const LOCK: &str = "lock";
const ADOPT_LOCK: &str = "adopt.lock";
const KEY: &str = "key";
pub(crate) const SCOPES: &str = "scopes";
pub(crate) const LEDGER: &str = "ledger";
const REJECTED: &str = "rejected";
/// What the name of a directory begins with that is being removed.
pub(crate) const GONE: &str = ".gone-";
/// What the name of a directory begins with that is being made.
pub(crate) const NEW: &str = ".new-";
/// No file of a process directory is longer, in bytes; what lies behind is not read.
pub(crate) const LONGEST_FILE: u64 = 64 << 20;

pub(crate) fn chunk_name(number: u32) -> String {
    format!("chunk-{number:04}")
}

pub(crate) fn slots_name(number: usize) -> String {
    format!("open-{number:04}")
}

/// The user's spool: a directory of process directories.
#[derive(Clone, Debug)]
pub struct Root {
    path: PathBuf,
}

impl Root {
    /// Opens the user's spool, and makes it if there is none.
    ///
    /// # Errors
    ///
    /// It cannot be made, is no directory, is a symbolic link, or belongs to somebody else. One that others may enter is
    /// made private first.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
        let seen = fs::symlink_metadata(&path)?;
        if !seen.is_dir() {
            return Err(io::Error::other("it is no directory"));
        }
        let me = rustix::process::geteuid().as_raw();
        if seen.uid() != me {
            return Err(io::Error::other(format!(
                "it belongs to user {}, not to user {me}",
                seen.uid()
            )));
        }
        if seen.mode() & 0o077 != 0 {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
        }
        Ok(Self { path })
    }

    /// Where the spool lies.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// 32 random bytes of this spool, the same for all its processes; what fingerprints of secrets are keyed with.
    ///
    /// # Errors
    ///
    /// The key can neither be read nor made.
    pub fn key(&self) -> io::Result<[u8; 32]> {
        let path = self.path.join(KEY);
        for _ in 0..3 {
            match open_file(&path).and_then(|_| fs::read(&path)) {
                Ok(bytes) => {
                    if let Ok(key) = bytes.try_into() {
                        return Ok(key);
                    }
                    fs::remove_file(&path)?;
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            let mut key = [0; 32];
            getrandom::fill(&mut key).map_err(io::Error::other)?;
            // Made aside and linked, so that it is whole when it is seen and the first of two processes wins.
            let aside = self.path.join(format!(".key-{}", random_name()?));
            write_file(&aside, &key)?;
            let linked = fs::hard_link(&aside, &path);
            fs::remove_file(&aside)?;
            match linked {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        Err(io::Error::other("the spool's key cannot be made"))
    }

    /// Keeps a payload that a backend refused for good, with the reason in a file beside it. Returns where.
    ///
    /// The newest 16 MiB are kept; older ones are removed.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn keep_rejected(&self, payload: &[u8], reason: &str) -> io::Result<PathBuf> {
        const MOST_BYTES: u64 = 16 << 20;
        let directory = self.path.join(REJECTED);
        DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        let mut kept = Vec::new();
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            kept.push((entry.file_name(), entry.metadata()?.len()));
        }
        kept.sort();
        let mut bytes = payload.len() as u64 + kept.iter().map(|(_, len)| len).sum::<u64>();
        for (name, len) in kept {
            if bytes <= MOST_BYTES {
                break;
            }
            fs::remove_file(directory.join(name))?;
            bytes -= len;
        }
        // Names sort by time.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let path = directory.join(format!("{:020}-{}.pb", now.as_nanos(), random_name()?));
        write_file(&path.with_extension("txt"), reason.as_bytes())?;
        write_file(&path, payload)?;
        Ok(path)
    }

    /// Makes the directory of this process, locked.
    pub(crate) fn create_process(&self, manifest: &Manifest) -> io::Result<Owned> {
        let name = format!("{}-{}", std::process::id(), random_name()?);
        let aside = self.path.join(format!("{NEW}{name}"));
        let path = self.path.join(name);
        DirBuilder::new().mode(0o700).create(&aside)?;
        let made = (|| {
            let lock = write_file(&aside.join(LOCK), &[])?;
            rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
            write_file(&aside.join(MANIFEST), &manifest.to_bytes())?;
            fs::rename(&aside, &path)?;
            Ok(lock)
        })();
        match made {
            Ok(lock) => Ok(Owned { path, _lock: lock }),
            Err(error) => {
                let _ = fs::remove_dir_all(&aside);
                Err(error)
            }
        }
    }

    /// The process directories, those of living processes among them, in no particular order.
    ///
    /// # Errors
    ///
    /// The spool cannot be listed.
    pub fn processes(&self) -> io::Result<Vec<ProcessDir>> {
        processes(&self.path)
    }
}

/// The process directories of a spool that was not opened.
pub(crate) fn processes(root: &Path) -> io::Result<Vec<ProcessDir>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_process = name.to_str().is_some_and(is_process_name);
        if is_process && entry.file_type()?.is_dir() {
            found.push(ProcessDir { path: entry.path() });
        }
    }
    Ok(found)
}

/// Whether a name is `<pid>-<16 hex digits>`.
fn is_process_name(name: &str) -> bool {
    name.split_once('-').is_some_and(|(pid, random)| {
        !pid.is_empty()
            && pid.bytes().all(|b| b.is_ascii_digit())
            && random.len() == 16
            && random.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

/// The directory of this process; its lock is held until this is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct Owned {
    pub path: PathBuf,
    _lock: File,
}

/// The directory of some process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessDir {
    path: PathBuf,
}

/// Whether the owner of a process directory lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// The owner may still write here.
    Living,
    /// Nobody will write here again but an adopter.
    Dead,
}

impl ProcessDir {
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

    /// Whether the owner lives.
    ///
    /// It is dead when its lock can be taken. A forked child that inherited the lock keeps it from being taken, so it is
    /// dead also when, in the same boot and PID namespace, no process of that id and start time is there.
    ///
    /// # Errors
    ///
    /// The lock can be neither opened nor tried.
    pub fn life(&self) -> io::Result<Life> {
        let lock = match open_file(&self.path.join(LOCK)) {
            // Somebody removed it, so that only the process itself can tell.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let is_gone = self.manifest()?.owner.is_gone();
                return Ok(if is_gone { Life::Dead } else { Life::Living });
            }
            lock => lock?,
        };
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Life::Dead),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let is_gone = self.manifest().is_ok_and(|manifest| manifest.owner.is_gone());
                Ok(if is_gone { Life::Dead } else { Life::Living })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Takes the right to deliver for a dead process. `None`: somebody else has it, or the owner lives.
    ///
    /// # Errors
    ///
    /// The locks cannot be opened.
    pub fn adopt(&self) -> io::Result<Option<Adoption>> {
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .custom_flags((OFlags::NOFOLLOW | OFlags::CLOEXEC).bits() as i32)
            .open(self.path.join(ADOPT_LOCK))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            // Asked under the lock: an earlier adopter may have removed the directory since it was listed.
            Ok(()) => match self.life()? {
                Life::Dead => Ok(Some(Adoption {
                    directory: self.clone(),
                    _lock: lock,
                })),
                Life::Living => Ok(None),
            },
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The names of files that begin like this, in order.
    pub(crate) fn files(&self, prefix: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            if let Some(name) = name.to_str().filter(|name| name.starts_with(prefix)) {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// A file's bytes.
    pub(crate) fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = open_to_read(&self.path.join(name))?;
        io::Read::read_to_end(&mut io::Read::take(file, LONGEST_FILE), &mut bytes)?;
        Ok(bytes)
    }
}

/// The right to deliver for a dead process; given up when dropped.
#[derive(Debug)]
pub struct Adoption {
    directory: ProcessDir,
    _lock: File,
}

impl Adoption {
    /// The dead process's directory.
    #[must_use]
    pub fn directory(&self) -> &ProcessDir {
        &self.directory
    }

    /// Removes the directory with all that is in it.
    ///
    /// # Errors
    ///
    /// Something in it cannot be removed; what is left is removed by a later [`Root::prune_history`].
    pub fn remove(self) -> io::Result<()> {
        // Renamed first: half a directory must not be taken for a whole one.
        let name = format!("{GONE}{}", self.directory.name());
        let gone = self.directory.path.with_file_name(name);
        fs::rename(&self.directory.path, &gone)?;
        fs::remove_dir_all(gone)
    }
}

impl Identity {
    /// Whether, seen from here, the process is certainly gone.
    fn is_gone(&self) -> bool {
        let Ok(me) = Identity::of_this_process() else {
            return false;
        };
        // Where the system does not tell of this process, it would not of another one either.
        me.start_time != 0
            && me.boot_id == self.boot_id
            && me.pid_namespace == self.pid_namespace
            && start_time(self.pid).is_none_or(|started| started != self.start_time)
    }

    /// Who this process is, as far as the system tells.
    pub(crate) fn of_this_process() -> io::Result<Self> {
        let pid = std::process::id();
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let pid_namespace = fs::metadata("/proc/self/ns/pid")
            .map(|namespace| namespace.ino())
            .unwrap_or_default();
        Ok(Self {
            pid,
            start_time: start_time(pid).unwrap_or_default(),
            pid_namespace,
            boot_id: boot_id.trim().into(),
        })
    }
}

/// When a process started, in clock ticks since boot (proc(5), field 22 of `stat`); `None` when there is none.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the command's name in parentheses, which may hold anything, parentheses too.
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Makes a new private file of this length, with its blocks allocated.
///
/// Where the file system cannot allocate ahead, the file has its length and nothing more.
pub(crate) fn create_file(path: &Path, len: usize) -> io::Result<File> {
    let file = OpenOptions::new()
        .create_new(true)
        .read(true)
        .write(true)
        .mode(0o600)
        .custom_flags((OFlags::NOFOLLOW | OFlags::CLOEXEC).bits() as i32)
        .open(path)?;
    match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, len as u64) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Err(io::ErrorKind::Unsupported.into()),
        Err(error) => {
            let _ = fs::remove_file(path);
            Err(error.into())
        }
    }
}

/// Makes a new private file with these bytes.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let mut file = OpenOptions::new()
        .create_new(true)
        .read(true)
        .write(true)
        .mode(0o600)
        .custom_flags((OFlags::NOFOLLOW | OFlags::CLOEXEC).bits() as i32)
        .open(path)?;
    io::Write::write_all(&mut file, bytes)?;
    Ok(file)
}

/// Opens a file of the spool for reading and writing: a regular one, of this user.
pub(crate) fn open_file(path: &Path) -> io::Result<File> {
    open_with(OpenOptions::new().read(true).write(true), path)
}

/// Opens a file of the spool for reading: a regular one, of this user.
pub(crate) fn open_to_read(path: &Path) -> io::Result<File> {
    open_with(OpenOptions::new().read(true), path)
}

fn open_with(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let file = options
        .custom_flags((OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK).bits() as i32)
        .open(path)?;
    let seen = file.metadata()?;
    if !seen.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    if seen.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other(format!("it belongs to user {}", seen.uid())));
    }
    Ok(file)
}

/// 16 random hexadecimal digits.
pub(crate) fn random_name() -> io::Result<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(format!("{:016x}", u64::from_le_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_processes_are_taken_for_processes() {
        for (name, expected) in [
            ("1-0123456789abcdef", true),
            (".new-1-0123456789abcdef", false),
            ("rejected", false),
            ("1-0123456789abcde", false),
            ("-0123456789abcdef", false),
            ("1-0123456789abcdef.tmp", false),
        ] {
            assert_eq!(is_process_name(name), expected, "{name}");
        }
    }

    #[test]
    fn this_process_has_a_start_time_and_no_other_of_its_id_has() {
        let me = Identity::of_this_process().expect("this system tells");
        assert!(me.start_time > 0);
        assert!(!me.is_gone());
        assert!(
            Identity {
                start_time: me.start_time + 1,
                ..me
            }
            .is_gone()
        );
    }

    #[test]
    fn a_key_is_made_once_and_read_ever_after() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let root = Root::open(directory.path().join("spool")).expect("it can be made");
        let key = root.key().expect("it can be made");
        assert_ne!(key, [0; 32]);
        assert_eq!(root.key().expect("it can be read"), key);
        assert_eq!(fs::metadata(root.path()).expect("it is there").mode() & 0o777, 0o700);
    }

    #[test]
    fn a_root_that_is_a_link_is_refused_and_one_that_others_may_enter_is_closed() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(directory.path(), &link).expect("a link can be made");
        assert!(Root::open(&link).is_err());
        let open = directory.path().join("open");
        fs::create_dir(&open).expect("it can be made");
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("it is ours");
        Root::open(&open).expect("it is ours");
        assert_eq!(fs::metadata(&open).expect("it is there").mode() & 0o777, 0o700);
    }
}
