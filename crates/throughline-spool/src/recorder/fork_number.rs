//! Whether tracing is on, whether this is still the process that switched it on, and whether somebody waits for a span.
//!
//! One number answers the first two on the hot path: 0 is off, and a forked child has another one, so that everything that
//! was made before the fork (thread states, open spans, the recorder itself) is recognised as the parent's. A second number
//! is the same but while somebody waits for the next span: threads compare theirs to it, so that waiting costs them nothing.
//!
//! Both lie in a page that the kernel wipes in every child, also where `fork` handlers do not run (`_Fork`, a raw `clone`).

use std::ptr::NonNull;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::platform;

/// Tracing is off, or this is a forked child that has not found out yet.
pub(crate) const OFF: u32 = 0;
/// One that no process has.
pub(crate) const NEVER: u32 = u32::MAX;
/// Set in the second number while somebody waits.
const WAITING: u32 = 1 << 31;

/// As long as it is aligned, so that nothing else is wiped along.
#[repr(C)]
#[cfg_attr(not(any(target_arch = "aarch64", target_arch = "powerpc64")), repr(align(4096)))]
// The largest pages that kernels for these are built with.
#[cfg_attr(any(target_arch = "aarch64", target_arch = "powerpc64"), repr(align(65536)))]
struct Page {
    fork_number: AtomicU32,
    attention: AtomicU32,
}

/// Zero, so that it lies among the memory that is no part of the program's file: only that can be wiped.
static PAGE: Page = Page {
    fork_number: AtomicU32::new(OFF),
    attention: AtomicU32::new(OFF),
};

/// The newest fork number of this process and its ancestors. Not wiped; 0: tracing was never switched on.
static NEWEST: AtomicU32 = AtomicU32::new(OFF);

#[inline]
pub(crate) fn current() -> u32 {
    PAGE.fork_number.load(Ordering::Relaxed)
}

/// The same, but while somebody waits for the next span: then it is no fork number.
#[inline]
pub(crate) fn attention() -> u32 {
    PAGE.attention.load(Ordering::Relaxed)
}

/// Whether tracing is on. In a forked child this finds out that it is one.
#[inline]
pub(crate) fn is_on() -> bool {
    current() != OFF || NEWEST.load(Ordering::Relaxed) != OFF && renew_if_wiped()
}

/// What the first recorder of this process will have as its number.
pub(crate) fn first() -> u32 {
    watch_forks();
    1
}

/// Switches tracing on; everything of this process that it stands for must be in place.
pub(crate) fn begin(fork_number: u32) {
    NEWEST.store(fork_number, Ordering::Relaxed);
    PAGE.fork_number.store(fork_number, Ordering::Release);
    PAGE.attention.store(fork_number, Ordering::Release);
}

/// Makes the next span that starts or ends on any thread take its slow way, once. One that is ending at this moment may not.
pub(crate) fn request_attention() {
    let fork_number = current();
    if fork_number != OFF {
        let _ =
            PAGE.attention
                .compare_exchange(fork_number, fork_number | WAITING, Ordering::AcqRel, Ordering::Relaxed);
    }
}

/// On the slow way: whether somebody waits for a span, who is to be told by the caller.
pub(crate) fn answer_attention() -> bool {
    let seen = attention();
    let fork_number = current();
    seen != fork_number
        && PAGE
            .attention
            .compare_exchange(seen, fork_number, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
        && seen == fork_number | WAITING
}

/// A fresh fork number for a child in which the page was wiped.
#[cold]
fn renew_if_wiped() -> bool {
    let newest = next(NEWEST.fetch_add(1, Ordering::Relaxed));
    // Of several threads of the child one wins.
    let _ = PAGE
        .fork_number
        .compare_exchange(OFF, newest, Ordering::AcqRel, Ordering::Relaxed);
    let _ = PAGE
        .attention
        .compare_exchange(OFF, current(), Ordering::AcqRel, Ordering::Relaxed);
    true
}

/// Fork numbers wrap, past `OFF` and below `WAITING`.
fn next(fork_number: u32) -> u32 {
    fork_number % (WAITING - 1) + 1
}

/// From now on every child of a `fork` has another fork number.
fn watch_forks() {
    extern "C" fn in_child() {
        // Nothing but atomics may be touched here: other threads' locks are as the fork found them.
        if NEWEST.load(Ordering::Relaxed) != OFF {
            let fork_number = next(NEWEST.fetch_add(1, Ordering::Relaxed));
            PAGE.fork_number.store(fork_number, Ordering::Relaxed);
            PAGE.attention.store(fork_number, Ordering::Relaxed);
        }
    }

    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        platform::call_in_children(in_child);
        // SAFETY: the range is the whole of `PAGE`, which holds atomics and nothing else, and lies among the program's zeroed
        // memory; where nothing is wiped, the handler above is all there is.
        unsafe { platform::wipe_in_children(NonNull::from(&PAGE).cast(), size_of::<Page>()) };
    });
}
