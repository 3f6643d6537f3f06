//! What Linux and macOS have in common.

mod directory;

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags};

use super::StandardStream;
use crate::files::{How, Seen};

pub use self::directory::Directory;

/// Whether a directory can be renamed while a file in it is open.
pub(crate) const RENAMES_DIRECTORIES_IN_USE: bool = true;

/// The user that files of this process belong to.
pub(crate) fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Makes a directory for this user alone, with those above it that are missing if `above`.
pub(crate) fn create_dir(path: &Path, above: bool) -> io::Result<()> {
    DirBuilder::new().recursive(above).mode(0o700).create(path)
}

/// Closes a directory to others.
pub(crate) fn make_private(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(0o700))
}

/// Opens a file; a new one is for this user alone. A symbolic link is not followed.
pub(crate) fn open(path: &Path, how: How) -> io::Result<File> {
    // Not blocking: a FIFO of this name would wait for a writer.
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // Miri does not know it, and has no FIFOs.
    let flags = if cfg!(miri) { flags } else { flags | OFlags::NONBLOCK };
    let mut options = OpenOptions::new();
    options.mode(0o600).custom_flags(flags.bits() as i32);
    how.set(&mut options).open(path)
}

/// What is known of an open file.
pub(crate) fn look_at(file: &File) -> io::Result<Seen> {
    Ok(seen(&file.metadata()?))
}

/// What is known of a path, itself not followed if it is a link.
pub(crate) fn look(path: &Path) -> io::Result<Seen> {
    Ok(seen(&fs::symlink_metadata(path)?))
}

fn seen(metadata: &fs::Metadata) -> Seen {
    Seen {
        kind: metadata.file_type().into(),
        file: (metadata.dev(), metadata.ino()),
        len: metadata.len(),
        occupied: metadata.blocks() * 512,
        user: metadata.uid(),
        mode: metadata.mode() & 0o7777,
        modified: metadata.modified().unwrap_or(std::time::UNIX_EPOCH),
    }
}

/// What tells an open file from all others of the machine.
pub(crate) fn identity_of(file: &File) -> io::Result<(u64, u64)> {
    let seen = file.metadata()?;
    Ok((seen.dev(), seen.ino()))
}

/// Reads from a place on.
pub fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    file.read_at(buffer, at)
}

/// Whether an open file has no name any more.
pub fn is_removed(file: &File) -> io::Result<bool> {
    Ok(file.metadata()?.nlink() == 0)
}

pub(crate) fn write_all_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    file.write_all_at(bytes, at)
}

/// Makes new, renamed and removed names in a directory survive a power cut.
pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Takes the exclusive lock, without waiting. `false`: somebody else has it.
pub fn try_lock(file: &File) -> io::Result<bool> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Gives the lock back, also where a forked child holds copies of the descriptor.
pub fn unlock(file: &File) -> io::Result<()> {
    Ok(rustix::fs::flock(file, FlockOperation::Unlock)?)
}

/// How long a file may become, in bytes (`ulimit -f`): one beyond it would raise SIGXFSZ.
pub(crate) fn file_size_limit() -> Option<u64> {
    // Miri does not know it.
    if cfg!(miri) {
        return None;
    }
    rustix::process::getrlimit(rustix::process::Resource::Fsize).current
}

/// Whether there is a process of this id, as far as a signal that is none tells; `None`: not at all.
pub(super) fn has_process(pid: u32) -> Option<bool> {
    let id = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw)?;
    // Miri has no other processes, and no signals.
    if cfg!(miri) {
        return Some(pid == std::process::id());
    }
    match rustix::process::test_kill_process(id) {
        Err(rustix::io::Errno::SRCH) => Some(false),
        Ok(()) | Err(rustix::io::Errno::PERM) => Some(true),
        Err(_) => None,
    }
}

/// Has this called in every child of a `fork`. It must be async-signal-safe. A child of `_Fork` or a raw `clone` goes without.
pub(crate) fn call_in_children(in_child: extern "C" fn()) {
    // Miri has no fork.
    #[cfg(not(miri))]
    // SAFETY: a function lives as long as the program, and the caller says that this one may run in a child.
    unsafe {
        libc::pthread_atfork(None, None, Some(in_child));
    }
    #[cfg(miri)]
    let _ = in_child;
}

/// Starts a thread by `spawn` so that it takes none of the program's signals.
pub(crate) fn without_signals<T>(spawn: impl FnOnce() -> T) -> T {
    // A thread begins with the mask of the one that starts it: there is no moment at which it takes a signal.
    let before = block_all();
    let spawned = spawn();
    if let Some(before) = before {
        restore(&before);
    }
    spawned
}

#[cfg(not(miri))]
fn block_all() -> Option<libc::sigset_t> {
    // SAFETY: a `sigset_t` is plain data, which `sigfillset` and `pthread_sigmask` fill; the pointers are valid for the calls.
    unsafe {
        let (mut all, mut before) = (std::mem::zeroed(), std::mem::zeroed());
        libc::sigfillset(&raw mut all);
        // Those of a fault are raised by the thread that makes it, and are the host's to handle.
        for signal in [libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGSEGV] {
            libc::sigdelset(&raw mut all, signal);
        }
        (libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before) == 0).then_some(before)
    }
}

#[cfg(not(miri))]
fn restore(before: &libc::sigset_t) {
    // SAFETY: the pointer is valid for the call; the set was the thread's own before.
    let restored = unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, std::ptr::null_mut()) };
    debug_assert_eq!(restored, 0, "a mask that was in force is valid");
}

/// Miri has no signals.
#[cfg(miri)]
fn block_all() -> Option<()> {
    None
}

#[cfg(miri)]
fn restore((): &()) {}

/// Writes to stderr by one system call, past the standard library's lock: another thread of the process that this one was
/// forked from may have held it, and nobody would ever give it back.
pub fn write_to_stderr(bytes: &[u8]) {
    // A closed stderr is no error.
    let _ = write_to(StandardStream::Stderr, bytes);
}

/// Writes to a stream by one system call, past the standard library's lock, and returns how many bytes it has taken.
pub fn write_to(stream: StandardStream, bytes: &[u8]) -> io::Result<usize> {
    let stream = match stream {
        StandardStream::Stderr => rustix::stdio::stderr(),
        StandardStream::Stdout => rustix::stdio::stdout(),
    };
    Ok(rustix::io::write(stream, bytes)?)
}

/// Why there is no [`state_directory`].
pub const NO_STATE_DIRECTORY: &str = "neither XDG_STATE_HOME nor HOME is set";

/// Where programs of this user keep what is to last but is nobody's document: `$XDG_STATE_HOME`, or `~/.local/state` (XDG Base
/// Directory Specification).
#[must_use]
pub fn state_directory() -> Option<PathBuf> {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))
}
