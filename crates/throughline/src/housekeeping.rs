//! What the maintenance thread does for the tracer, beside keeping memory warm: the clock, the archive of dead processes,
//! and what there is to say.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use throughline_spool::{Archive, Moment, Recorder};

use crate::clock;
use crate::diagnostics::report_once;
use crate::start::IN_MEMORY;

/// How often dead processes are looked for.
const EVERY: Duration = Duration::from_secs(10);
/// Directories that are archived in one go.
const AT_ONCE: usize = 16;
/// How long the archive may keep the maintenance thread from its other work.
const LONGEST: Duration = Duration::from_millis(200);
/// How long a program's end waits for what its ended predecessors left, and how long when there is more and more of it.
const EXIT: Duration = Duration::from_millis(100);
const EXIT_WITH_BACKLOG: Duration = Duration::from_millis(200);

thread_local! {
    /// Of the maintenance thread, which is the only one to look after the archive: a lock that it held in a process that forks
    /// would stay held in the child for ever.
    static ARCHIVIST: RefCell<Option<Archivist>> = const { RefCell::new(None) };
}
static HAS_LOOKED: AtomicBool = AtomicBool::new(false);
static HAS_MORE: AtomicBool = AtomicBool::new(false);
/// Counts the steps that have archived something.
static ARCHIVED: AtomicU64 = AtomicU64::new(0);
static IS_EXIT: AtomicBool = AtomicBool::new(false);

/// The archive, as this process looks after it.
struct Archivist {
    archive: Archive,
    looked: Option<Instant>,
}

/// Called by the maintenance thread whenever it looks after things.
pub(crate) fn tick() {
    clock::tick();
    let Some(recorder) = Recorder::current() else { return };
    say_what_is_wrong(recorder);
    archive(recorder);
}

/// Whether there is more to archive.
pub(crate) fn is_busy() -> bool {
    HAS_MORE.load(Ordering::Relaxed)
}

/// Whether it was looked for dead processes at all.
pub(crate) fn has_looked() -> bool {
    HAS_LOOKED.load(Ordering::Acquire)
}

/// Another number than before when something has been archived meanwhile.
pub(crate) fn archived() -> u64 {
    ARCHIVED.load(Ordering::Relaxed)
}

/// The same as [`before_exit`], without waiting for it.
pub(crate) fn look_once_more() {
    if let Some(recorder) = Recorder::current() {
        IS_EXIT.store(true, Ordering::Relaxed);
        recorder.maintain_now(Duration::ZERO);
    }
}

/// Before a program ends that has run for so long: one look after what its ended predecessors left, so that many short
/// programs do not leave more and more behind.
pub(crate) fn before_exit(has_run: Duration) {
    if let Some(recorder) = Recorder::current() {
        let start = Instant::now();
        if has_run < EVERY {
            // That of the start is enough, and may be over.
            recorder.wait_for_first_look(EXIT);
        } else {
            IS_EXIT.store(true, Ordering::Relaxed);
            recorder.maintain_now(EXIT);
        }
        while is_busy() && start.elapsed() < EXIT_WITH_BACKLOG {
            IS_EXIT.store(true, Ordering::Relaxed);
            recorder.maintain_now(EXIT_WITH_BACKLOG.saturating_sub(start.elapsed()));
        }
        let destinations = recorder.settings().manifest.destinations.len().max(1);
        let in_memory = (0..destinations)
            .map(|number| recorder.account(number).in_memory)
            .max()
            .unwrap_or(0);
        // Where there is no spool at all that was said at the start.
        if in_memory > 0 && recorder.store().path().is_some() {
            report_once(format_args!(
                "spans in memory only, which end with this process: {in_memory}"
            ));
        }
    }
}

fn say_what_is_wrong(recorder: &Recorder) {
    let store = recorder.store();
    if store.is_failing() {
        report_once(format_args!(
            "the spool's files cannot be written any more: {IN_MEMORY}"
        ));
    }
    if let Some(refusal) = store.refusal() {
        report_once(format_args!(
            "the spool cannot grow: {refusal}; spans are kept in memory, up to 16 MiB, until it can"
        ));
    }
    if store.evicted_undelivered() > 0 {
        let (most, unit) = match store.settings().limits.total() {
            bytes if bytes < 1 << 20 => (bytes >> 10, "KiB"),
            bytes => (bytes >> 20, "MiB"),
        };
        report_once(format_args!(
            "the spool is full ({most} {unit} may be used): the oldest spans that no backend has got are dropped, and counted"
        ));
    }
    if let Some(error) = recorder.take_sync_error() {
        report_once(format_args!(
            "spans cannot be synced: {error}; they do not survive a power cut"
        ));
    }
}

/// Archives what dead processes left, and keeps the whole spool within its limits.
fn archive(recorder: &Recorder) {
    let Some(root) = &recorder.settings().root else { return };
    ARCHIVIST.with_borrow_mut(|archivist| {
        let archivist = archivist.get_or_insert_with(|| Archivist {
            archive: match recorder.store().path() {
                Some(own) => Archive::new(root, recorder.settings().limits).with_own(own),
                None => Archive::new(root, recorder.settings().limits),
            },
            looked: None,
        });
        archivist.look(recorder);
    });
}

impl Archivist {
    fn look(&mut self, recorder: &Recorder) {
        let now = Instant::now();
        let is_due = self.looked.is_none_or(|looked| now - looked >= EVERY);
        if !is_due && !is_busy() && !IS_EXIT.swap(false, Ordering::Relaxed) {
            return;
        }
        self.looked = Some(now);
        let mut has_more = true;
        while has_more && now.elapsed() < LONGEST {
            let archive = &mut self.archive;
            let moment = Moment::now();
            let store = recorder.store();
            let pending = store.file_bytes().saturating_sub(store.history_bytes());
            let done = archive
                .make_room(moment, pending)
                .and_then(|_| archive.step(moment, AT_ONCE));
            match done {
                Ok(progress) => {
                    progress
                        .problems
                        .iter()
                        .for_each(|problem| report_once(format_args!("{problem}")));
                    has_more = progress.has_more;
                    if progress.processes > 0 {
                        ARCHIVED.fetch_add(1, Ordering::Relaxed);
                    }
                }
                Err(error) => {
                    has_more = false;
                    report_once(format_args!(
                        "what ended processes left cannot be archived: {error}; it stays as it is"
                    ));
                }
            }
        }
        HAS_MORE.store(has_more, Ordering::Relaxed);
        HAS_LOOKED.store(true, Ordering::Release);
        say_what_was_evicted(&self.archive);
    }
}

fn say_what_was_evicted(archive: &Archive) {
    // One that cannot be read is said by the step that follows.
    let Ok((evicted, Some(since))) = archive.evicted() else {
        return;
    };
    if evicted.quota + evicted.age > 0 {
        let ago = since.elapsed().unwrap_or_default().as_secs() / 3600;
        report_eviction_once(format_args!(
            "{} undelivered spans of ended processes were dropped in the last {} h ({} to keep the spool within its size, {} \
             for their age): see `throughline recover --list`",
            evicted.quota + evicted.age,
            ago + 1,
            evicted.quota,
            evicted.age
        ));
    }
}

/// The numbers change, the line is said once.
fn report_eviction_once(text: std::fmt::Arguments<'_>) {
    static SAID: AtomicBool = AtomicBool::new(false);
    if !SAID.swap(true, Ordering::Relaxed) {
        report_once(text);
    }
}
