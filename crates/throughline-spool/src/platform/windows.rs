//! What Windows has of its own. Files are written and never mapped, and there is no `fork` and no signal.
//!
//! Files have no permission bits here: a spool is as private as the directory that it lies in, by default the user's profile,
//! which others may not enter. So every file is said to be of user 0 and private.

mod directory;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::windows::fs::{FileExt, OpenOptionsExt};
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_INVALID_PARAMETER, ERROR_LOCK_VIOLATION, FILETIME, WAIT_OBJECT_0,
};
use windows_sys::Win32::Storage::FileSystem::{
    BY_HANDLE_FILE_INFORMATION, FILE_ATTRIBUTE_DIRECTORY, FILE_ATTRIBUTE_REPARSE_POINT, FILE_FLAG_BACKUP_SEMANTICS,
    FILE_FLAG_OPEN_REPARSE_POINT, FILE_READ_ATTRIBUTES, FILE_STANDARD_INFO, FileStandardInfo,
    GetFileInformationByHandle, GetFileInformationByHandleEx, LOCKFILE_EXCLUSIVE_LOCK, LOCKFILE_FAIL_IMMEDIATELY,
    LockFileEx, SYNCHRONIZE, UnlockFileEx,
};
use windows_sys::Win32::System::IO::OVERLAPPED;
use windows_sys::Win32::System::SystemInformation::{ComputerNamePhysicalDnsHostname, GetComputerNameExW};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetProcessTimes, OpenProcess, PROCESS_QUERY_LIMITED_INFORMATION, WaitForSingleObject,
};

use super::{Process, StandardStream};
use crate::files::{EntryKind, FileSystem, How, Seen};
use crate::format::manifest::Identity;

pub use self::directory::Directory;

/// Whether a directory can be renamed while a file in it is open.
pub(crate) const RENAMES_DIRECTORIES_IN_USE: bool = false;

/// The user that all files are said to belong to.
pub(crate) fn user() -> u32 {
    0
}

/// Makes a directory, with those above it that are missing if `above`. Who may enter it is inherited from the one above.
pub(crate) fn create_dir(path: &Path, above: bool) -> io::Result<()> {
    fs::DirBuilder::new().recursive(above).create(path)
}

/// Nothing: every directory is said to be private.
pub(crate) fn make_private(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Opens a file. A symbolic link is not followed: it is opened itself, and is no regular file.
pub(crate) fn open(path: &Path, how: How) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.custom_flags(FILE_FLAG_OPEN_REPARSE_POINT);
    how.set(&mut options).open(path)
}

/// What is known of an open file.
pub(crate) fn look_at(file: &File) -> io::Result<Seen> {
    let seen = information(file)?;
    let kind = match seen.dwFileAttributes {
        attributes if attributes & FILE_ATTRIBUTE_REPARSE_POINT != 0 => EntryKind::Other,
        attributes if attributes & FILE_ATTRIBUTE_DIRECTORY != 0 => EntryKind::Directory,
        _ => EntryKind::File,
    };
    let len = joined(seen.nFileSizeHigh, seen.nFileSizeLow);
    Ok(Seen {
        kind,
        file: identity_in(&seen),
        len,
        // In whole clusters, which are 4 KiB on all but the largest disks.
        occupied: len.next_multiple_of(4096),
        user: user(),
        mode: 0o700,
        modified: since_1601(ticks(seen.ftLastWriteTime)),
    })
}

/// What is known of a path, itself not followed if it is a link.
pub(crate) fn look(path: &Path) -> io::Result<Seen> {
    let file = OpenOptions::new()
        .access_mode(FILE_READ_ATTRIBUTES)
        // A directory can be opened with the first of the two only.
        .custom_flags(FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT)
        .open(path)?;
    look_at(&file)
}

/// What tells an open file from all others of the machine.
pub(crate) fn identity_of(file: &File) -> io::Result<(u64, u64)> {
    Ok(identity_in(&information(file)?))
}

fn information(file: &File) -> io::Result<BY_HANDLE_FILE_INFORMATION> {
    let mut seen = MaybeUninit::zeroed();
    // SAFETY: the handle is open as long as `file`, and the system fills what the pointer is valid for.
    let done = unsafe { GetFileInformationByHandle(file.as_raw_handle(), seen.as_mut_ptr()) };
    done_or_error(done)?;
    // SAFETY: it is plain data, which was zeroed and then filled.
    Ok(unsafe { seen.assume_init() })
}

fn identity_in(seen: &BY_HANDLE_FILE_INFORMATION) -> (u64, u64) {
    (
        seen.dwVolumeSerialNumber.into(),
        joined(seen.nFileIndexHigh, seen.nFileIndexLow),
    )
}

/// Reads from a place on.
pub fn read_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    file.seek_read(buffer, at)
}

/// Whether an open file has no name any more, or will have none when everybody has closed it.
pub fn is_removed(file: &File) -> io::Result<bool> {
    let mut seen = FILE_STANDARD_INFO::default();
    // SAFETY: the handle is open as long as `file`, and the system writes at most the size of `seen` to it.
    let done = unsafe {
        GetFileInformationByHandleEx(
            file.as_raw_handle(),
            FileStandardInfo,
            (&raw mut seen).cast(),
            size_of::<FILE_STANDARD_INFO>() as u32,
        )
    };
    done_or_error(done)?;
    Ok(seen.DeletePending || seen.NumberOfLinks == 0)
}

pub(crate) fn write_all_at(file: &File, mut bytes: &[u8], mut at: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.seek_write(bytes, at)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => {
                bytes = &bytes[written..];
                at += written as u64;
            }
        }
    }
    Ok(())
}

/// Nothing: the file system writes names down in its journal by itself, soon, but nobody can ask it to.
pub(crate) fn sync_dir(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// What the directory's file system is: never one to map.
pub(crate) fn file_system(_path: &Path) -> FileSystem {
    FileSystem::Other
}

/// A length that was set is no promise that a store to a mapping finds room: files are written.
pub(crate) fn allocate(_file: &File, _len: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// There is no limit of a process.
pub(crate) fn file_size_limit() -> Option<u64> {
    None
}

/// The one byte that is locked. Locks are mandatory here, so that it must be one that nobody reads: beyond the end of any file.
fn locked_byte() -> OVERLAPPED {
    let mut place = OVERLAPPED::default();
    place.Anonymous.Anonymous.OffsetHigh = 1 << 30;
    place
}

/// Takes the exclusive lock, without waiting. `false`: somebody else has it.
pub fn try_lock(file: &File) -> io::Result<bool> {
    let mut place = locked_byte();
    let how = LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY;
    // SAFETY: the handle is open as long as `file`, and was opened for calls that are done when they return, so that nothing keeps
    // the pointer.
    let done = unsafe { LockFileEx(file.as_raw_handle(), how, 0, 1, 0, &raw mut place) };
    match done_or_error(done) {
        Err(error) if error.raw_os_error() == Some(ERROR_LOCK_VIOLATION as i32) => Ok(false),
        done => done.map(|()| true),
    }
}

/// Gives the lock back.
pub fn unlock(file: &File) -> io::Result<()> {
    let mut place = locked_byte();
    // SAFETY: as of `LockFileEx` above.
    done_or_error(unsafe { UnlockFileEx(file.as_raw_handle(), 0, 1, 0, &raw mut place) })
}

/// Who this process is.
pub(crate) fn identity() -> Identity {
    // SAFETY: the call takes nothing; the handle stands for this process and needs no closing.
    let this = unsafe { GetCurrentProcess() };
    Identity {
        pid: std::process::id(),
        start_time: start_time(this).unwrap_or_default(),
        // There is one for all of a machine; 0 would say that it is not known.
        pid_namespace: 1,
        // Processes started at absolute times, which no two boots share: it is other machines that must be told apart.
        boot_id: computer_name(),
    }
}

/// What the system says of a process id.
pub(crate) fn process(pid: u32) -> Process {
    let wanted = PROCESS_QUERY_LIMITED_INFORMATION | SYNCHRONIZE;
    // SAFETY: the call takes numbers only.
    let handle = unsafe { OpenProcess(wanted, 0, pid) };
    if handle.is_null() {
        return match io::Error::last_os_error().raw_os_error().map(|number| number as u32) {
            Some(ERROR_INVALID_PARAMETER) => Process::Gone,
            Some(ERROR_ACCESS_DENIED) => Process::There(None),
            _ => Process::Unknown,
        };
    }
    // SAFETY: it was just opened, and is closed here alone.
    let handle = unsafe { OwnedHandle::from_raw_handle(handle) };
    // SAFETY: the handle is open, and 0 ms is not waited.
    if unsafe { WaitForSingleObject(handle.as_raw_handle(), 0) } == WAIT_OBJECT_0 {
        // It is over, and only somebody holds a handle of it.
        return Process::Gone;
    }
    Process::There(start_time(handle.as_raw_handle()))
}

/// When a process started, in units of 100 ns since 1601.
fn start_time(process: std::os::windows::io::RawHandle) -> Option<u64> {
    let mut times = [FILETIME::default(); 4];
    let [created, exited, kernel, user] = &mut times;
    // SAFETY: callers hold the handle open, and the pointers are valid for the call.
    let done = unsafe { GetProcessTimes(process, created, exited, kernel, user) };
    (done != 0).then(|| ticks(times[0]))
}

/// The machine's own name; empty where the system does not tell.
fn computer_name() -> String {
    // A label of a domain name has 63 characters at most.
    let mut name = [0_u16; 256];
    let mut len = name.len() as u32;
    // SAFETY: the system writes at most `len` characters to `name`, and how many there are to `len`.
    let done = unsafe { GetComputerNameExW(ComputerNamePhysicalDnsHostname, name.as_mut_ptr(), &raw mut len) };
    match name.get(..len as usize) {
        Some(name) if done != 0 => String::from_utf16_lossy(name),
        _ => String::new(),
    }
}

/// Nothing: there is no `fork`.
pub(crate) fn call_in_children(_in_child: extern "C" fn()) {}

/// Nothing: there is no `fork`.
///
/// # Safety
///
/// As on Linux.
pub(crate) unsafe fn wipe_in_children(_base: NonNull<u8>, _len: usize) {}

/// Nothing: no mapping is written.
///
/// # Safety
///
/// As on Linux.
pub(crate) unsafe fn populate(_base: NonNull<u8>, _start: usize, _end: usize) {}

/// Nothing: no mapping is written.
pub(crate) fn release(_map: &memmap2::MmapRaw, _offset: usize, _len: usize) {}

/// Starts a thread by `spawn`. There are no signals that it could take.
pub(crate) fn without_signals<T>(spawn: impl FnOnce() -> T) -> T {
    spawn()
}

/// It is not known of processors under Windows.
#[cfg(target_arch = "x86_64")]
pub(crate) fn keeps_time_by_tsc() -> bool {
    false
}

/// Writes to stderr. There are no forked children that could find its lock held.
pub fn write_to_stderr(bytes: &[u8]) {
    // A closed stderr is no error.
    let _ = io::stderr().write_all(bytes);
}

/// Writes to a stream, and returns how many bytes it has taken.
///
/// By the standard library, which knows how a console takes text; so that a thread of the program that keeps the stream locked
/// is waited for.
pub fn write_to(stream: StandardStream, bytes: &[u8]) -> io::Result<usize> {
    fn write(mut stream: impl Write + AsRawHandle, bytes: &[u8]) -> io::Result<usize> {
        // The standard library takes one that is not there for one that takes everything.
        if stream.as_raw_handle().is_null() {
            return Err(io::Error::other("the process has no such stream"));
        }
        let written = stream.write(bytes)?;
        stream.flush()?;
        Ok(written)
    }
    match stream {
        StandardStream::Stderr => write(io::stderr().lock(), bytes),
        StandardStream::Stdout => write(io::stdout().lock(), bytes),
    }
}

/// Why there is no [`state_directory`].
pub const NO_STATE_DIRECTORY: &str = "LOCALAPPDATA is not set";

/// Where programs of this user keep what is to last but is nobody's document: `%LOCALAPPDATA%`, a part of the user's profile.
#[must_use]
pub fn state_directory() -> Option<PathBuf> {
    std::env::var_os("LOCALAPPDATA")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
}

fn done_or_error(done: i32) -> io::Result<()> {
    match done {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

fn joined(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn ticks(time: FILETIME) -> u64 {
    joined(time.dwHighDateTime, time.dwLowDateTime)
}

/// A time in units of 100 ns since 1601.
fn since_1601(ticks: u64) -> SystemTime {
    /// From 1601 to 1970.
    const SECONDS: u64 = 11_644_473_600;
    let since = Duration::from_secs(ticks / 10_000_000) + Duration::from_nanos(ticks % 10_000_000 * 100);
    UNIX_EPOCH + since.saturating_sub(Duration::from_secs(SECONDS))
}
