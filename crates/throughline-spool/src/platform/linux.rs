//! What Linux has of its own: what file systems can do, `/proc`, pages that a child finds wiped, memory that is faulted in ahead.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::ptr::NonNull;

use super::Process;
use super::unix::has_process;
use crate::files::FileSystem;
use crate::format::manifest::Identity;

/// What the directory's file system is.
pub(crate) fn file_system(path: &Path) -> FileSystem {
    const EXT: u64 = 0xEF53;
    const XFS: u64 = 0x5846_5342;
    const TMPFS: u64 = 0x0102_1994;
    const OVERLAY: u64 = 0x794c_7630;
    const BTRFS: u64 = 0x9123_683E;
    const ZFS: u64 = 0x2FC1_2FC1;
    // Miri does not know the call, and maps no files.
    if cfg!(miri) {
        return FileSystem::Other;
    }
    match rustix::fs::statfs(path).map(|stat| stat.f_type as u64) {
        Ok(EXT | XFS | OVERLAY) => FileSystem::Mappable,
        Ok(TMPFS) => FileSystem::MemoryBacked,
        Ok(BTRFS | ZFS) => FileSystem::Local,
        _ => FileSystem::Other,
    }
}

/// Makes a file this long, with its blocks allocated; `Unsupported` where that cannot be had.
pub(crate) fn allocate(file: &File, len: u64) -> io::Result<()> {
    if cfg!(miri) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    match rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, len) {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => Err(io::ErrorKind::Unsupported.into()),
        Err(error) => Err(error.into()),
    }
}

/// Who this process is, as far as the system tells.
pub(crate) fn identity() -> Identity {
    let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    Identity {
        pid: std::process::id(),
        // Of `self`, not of the number: in a PID namespace without a /proc of its own the number is another process's.
        start_time: start_time(&text("/proc/self/stat")).unwrap_or_default(),
        pid_namespace: std::fs::metadata("/proc/self/ns/pid").map_or(0, |namespace| namespace.ino()),
        boot_id: text("/proc/sys/kernel/random/boot_id").trim().into(),
    }
}

/// What the system says of a process id in our PID namespace.
pub(crate) fn process(pid: u32) -> Process {
    // Asked by a signal first: /proc may hide processes, or show those of another namespace.
    match has_process(pid) {
        None => Process::Unknown,
        Some(false) => Process::Gone,
        Some(true) if cfg!(miri) => Process::There(None),
        Some(true) => {
            let is_ours = std::fs::read_link("/proc/self")
                .is_ok_and(|name| name.to_str().and_then(|name| name.parse().ok()) == Some(std::process::id()));
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok();
            match stat.filter(|_| is_ours) {
                Some(stat) if has_ended(&stat) => Process::Gone,
                stat => Process::There(stat.and_then(|stat| start_time(&stat))),
            }
        }
    }
}

/// When a process started, in clock ticks since boot (proc(5), field 22 of `stat`).
fn start_time(stat: &str) -> Option<u64> {
    field(stat, 22)?.parse().ok()
}

/// Whether a process is over, and only nobody has waited for it yet: a container without an init process may never do that. Where
/// only its first thread has ended, the others are counted (fields 3 and 20).
fn has_ended(stat: &str) -> bool {
    matches!(field(stat, 3), Some("Z" | "X")) && matches!(field(stat, 20), Some("0" | "1"))
}

/// A field by its number in proc(5), from 3.
fn field(stat: &str, number: usize) -> Option<&str> {
    // The second field is the command's name in parentheses, which may hold anything, parentheses too.
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(number - 3)
}

/// Has the kernel wipe these pages in every child, also where no handler runs.
///
/// # Safety
///
/// The range is mapped for the life of the program, holds whole pages of private memory that is no part of a file, and zeroes
/// are valid for all there is in it.
pub(crate) unsafe fn wipe_in_children(base: NonNull<u8>, len: usize) {
    // Miri has no fork.
    if !cfg!(miri) {
        // SAFETY: as of this function. Where the kernel's pages are larger than the range, or it is too old, the call fails, and
        // nothing is wiped.
        unsafe {
            libc::madvise(base.as_ptr().cast(), len, libc::MADV_WIPEONFORK);
        }
    }
}

/// Faults the pages of a range in for writing. An error means only that those faults come later.
///
/// # Safety
///
/// The pages that the range lies in are mapped, or allocated, while this runs.
pub(crate) unsafe fn populate(base: NonNull<u8>, start: usize, end: usize) {
    if cfg!(miri) {
        return;
    }
    // Pages are 4, 16 or 64 KiB on 64-bit ARM; the call refuses a range that begins within one.
    let start = start & !(rustix::param::page_size() - 1);
    // SAFETY: as of this function. To fault a page in for writing changes nothing of what it holds.
    let _ = unsafe {
        rustix::mm::madvise(
            base.as_ptr().add(start).cast(),
            end - start,
            rustix::mm::Advice::LinuxPopulateWrite,
        )
    };
}

/// Gives the pages of a range of a file's mapping back to the kernel. The file keeps what they hold.
pub(crate) fn release(map: &memmap2::MmapRaw, offset: usize, len: usize) {
    // SAFETY: mappings here are shared and of a file, so that its content is in the file and comes back with the next access;
    // nothing is lost.
    let _ = unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, offset, len) };
}

/// Whether the kernel itself keeps time by the processor's time stamp counter.
#[cfg(target_arch = "x86_64")]
pub(crate) fn keeps_time_by_tsc() -> bool {
    const SOURCE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let source = std::fs::read_to_string(SOURCE).unwrap_or_default();
    !cfg!(miri) && matches!(source.trim(), "tsc" | "kvm-clock" | "hyperv_clocksource_tsc_page")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_that_nobody_has_waited_for_has_ended() {
        let mut child = std::process::Command::new("true").spawn().expect("it starts");
        let stat = || std::fs::read_to_string(format!("/proc/{}/stat", child.id())).expect("nobody has waited");
        while field(&stat(), 3) != Some("Z") {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        assert_eq!(process(child.id()), Process::Gone);
        child.wait().expect("it ends");
        for (state, threads, expected) in [
            ("R", 1, false),
            ("S", 1, false),
            ("Z", 1, true),
            ("Z", 3, false),
            ("X", 0, true),
        ] {
            let stat = format!("7 (a) Z) {state} 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 {threads} 0 99 0");
            assert_eq!((has_ended(&stat), start_time(&stat)), (expected, Some(99)), "{stat}");
        }
        assert!(!has_ended("") && !has_ended("7 (x"));
    }
}
