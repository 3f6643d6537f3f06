//! What macOS has of its own: a session for each boot, and when a process started. Nothing is mapped, so nothing is allocated or
//! faulted in ahead. This file is type-checked; nobody has run it.

use std::ffi::c_int;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::path::Path;
use std::ptr::NonNull;

use super::Process;
use super::unix::has_process;
use crate::files::FileSystem;
use crate::format::manifest::Identity;

/// What the directory's file system is: never one to map, but it may be of this machine alone.
pub(crate) fn file_system(path: &Path) -> FileSystem {
    match rustix::fs::statfs(path) {
        Ok(stat) if stat.f_flags & libc::MNT_LOCAL as u32 != 0 => FileSystem::Local,
        _ => FileSystem::Other,
    }
}

/// `F_PREALLOCATE` promises room, and not that a store to a mapping finds it: files are written.
pub(crate) fn allocate(_file: &File, _len: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Who this process is, as far as the system tells.
pub(crate) fn identity() -> Identity {
    let pid = std::process::id();
    Identity {
        pid,
        start_time: start_time(pid).unwrap_or_default(),
        // There is one for all; 0 would say that it is not known.
        pid_namespace: 1,
        boot_id: boot_session(),
    }
}

/// What the system says of a process id.
pub(crate) fn process(pid: u32) -> Process {
    match has_process(pid) {
        None => Process::Unknown,
        Some(false) => Process::Gone,
        Some(true) => Process::There(start_time(pid)),
    }
}

/// A UUID that the kernel draws at each boot; empty where it does not tell.
fn boot_session() -> String {
    let mut text = [0_u8; 64];
    let mut len = text.len();
    // SAFETY: the name ends with a zero byte; the kernel writes at most `len` bytes to `text`, and how many there are to `len`;
    // nothing is set.
    let failed = unsafe {
        libc::sysctlbyname(
            c"kern.bootsessionuuid".as_ptr(),
            text.as_mut_ptr().cast(),
            &raw mut len,
            std::ptr::null_mut(),
            0,
        )
    };
    match text.get(..len) {
        Some(text) if failed == 0 => String::from_utf8_lossy(text).trim_end_matches('\0').into(),
        _ => String::new(),
    }
}

/// When a process started, in microseconds since 1970. The system does not tell of other users' processes, nor of one that is over.
fn start_time(pid: u32) -> Option<u64> {
    let mut info = MaybeUninit::<libc::proc_bsdinfo>::zeroed();
    let size = size_of::<libc::proc_bsdinfo>() as c_int;
    // SAFETY: the kernel writes at most `size` bytes to `info`.
    let written = unsafe {
        libc::proc_pidinfo(
            c_int::try_from(pid).ok()?,
            libc::PROC_PIDTBSDINFO,
            0,
            info.as_mut_ptr().cast(),
            size,
        )
    };
    if written != size {
        return None;
    }
    // SAFETY: it is plain data, which was zeroed and then filled.
    let info = unsafe { info.assume_init() };
    Some(info.pbi_start_tvsec * 1_000_000 + info.pbi_start_tvusec)
}

/// Nothing: a child of a `fork` is noticed by its handler alone.
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

/// It is not known of processors under macOS.
#[cfg(target_arch = "x86_64")]
pub(crate) fn keeps_time_by_tsc() -> bool {
    false
}
