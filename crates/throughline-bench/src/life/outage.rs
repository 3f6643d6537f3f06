//! Short processes while the backend is dead: what they leave stays within the quota, and nothing of it goes uncounted.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use throughline_spool::{Archive, Limits, Moment, Root, Whose};

use super::case::Figure;
use super::disk::kib_of;
use super::new_root;
use super::role::{Role, Setting};

const SPANS: u32 = 20;
const AT_ONCE: usize = 4;

/// The largest size of the root, as a share of its quota.
pub const SIZE: &str = "outage, largest size of the root / quota";
/// Spans that neither arrived nor were counted as evicted, or arrived twice.
pub const UNACCOUNTED: &str = "outage, spans neither delivered nor counted as evicted";

/// Runs so many processes with a dead backend, four at a time, with a quota that a third of their spans would fill; then
/// delivers what is left.
///
/// # Errors
///
/// If a process fails or the root cannot be read.
pub fn run(home: &Path, processes: u32) -> io::Result<Vec<Figure>> {
    let root = new_root(home, "outage")?;
    // A span takes some 200 bytes. Each of the processes that live at one time has files of its own.
    let quota = u64::from(processes * SPANS) * 200 / 3 + (4 << 20);
    let setting = Setting {
        root: Some(root.clone()),
        endpoint: Some(dead_endpoint()?),
        spans: SPANS,
        quota: Some(quota),
        ..Setting::default()
    };
    let largest = run_processes(&setting, &root, processes)?;

    let limits = Limits {
        pending: quota,
        history: 0,
        ..Limits::default()
    };
    let mut archive = Archive::new(&Root::open(&root)?, limits);
    while archive.step(Moment::now(), 64)?.has_more {}
    let at_rest = kib_of(&root)?;
    let delivered = deliver(&archive)?;
    while archive.step(Moment::now(), 64)?.has_more {}
    let evicted = archive.evicted()?.0.quota;
    let made = i64::from(processes * SPANS);
    let figure = |what, value| Figure { what, value };
    Ok(vec![
        figure("outage, processes", processes.into()),
        figure("outage, quota in KiB", quota as f64 / 1024.0),
        figure("outage, largest size of the root in KiB", largest),
        figure(SIZE, largest * 1024.0 / quota as f64),
        figure("outage, KiB when all processes have ended", at_rest),
        figure("outage, spans delivered afterwards", delivered as f64),
        figure("outage, spans counted as evicted", evicted as f64),
        figure(UNACCOUNTED, (made - (delivered + evicted) as i64).abs() as f64),
        figure("outage, KiB when all is delivered", kib_of(&root)?),
    ])
}

/// Returns the largest size that the root had, in KiB, looked at after each process.
fn run_processes(setting: &Setting, root: &Path, processes: u32) -> io::Result<f64> {
    let next = AtomicU32::new(0);
    let largest = Mutex::new(0.0_f64);
    let work = || -> io::Result<()> {
        while next.fetch_add(1, Ordering::Relaxed) < processes {
            Role::Short.ask(setting)?;
            // A file may go between the listing and the look.
            let size = match kib_of(root) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                size => size?,
            };
            let mut largest = largest.lock().map_err(|_| io::Error::other("another thread failed"))?;
            *largest = largest.max(size);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| {
            let ended = thread.join();
            ended.unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
        })
    })?;
    largest.into_inner().map_err(|_| io::Error::other("a thread panicked"))
}

/// Where nobody listens.
fn dead_endpoint() -> io::Result<String> {
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    Ok(format!("http://{}:{port}", Ipv4Addr::LOCALHOST))
}

fn deliver(archive: &Archive) -> io::Result<u64> {
    let backlog = archive.undelivered(Whose::Anybody)?;
    let mut backlog = backlog.ok_or_else(|| io::Error::other("somebody else delivers"))?;
    let mut delivered = 0;
    while let Some(portion) = backlog.next(512, 4 << 20)? {
        delivered += portion.records();
        backlog.settle(&portion, 0)?;
    }
    Ok(delivered)
}
