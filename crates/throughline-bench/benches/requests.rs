//! What a relay does: whole requests are appended and synced, one after the other, then read and acknowledged.
//!
//! `cargo bench -p throughline-bench --bench requests [-- DIRECTORY]`; the files lie in DIRECTORY (default: the directory for
//! temporary files), which should be on a real disk. On one thread, without peers: Quiver's figures are the issue's.

#![allow(clippy::print_stdout, reason = "a table is what it makes")]

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use throughline_spool::{Destination, Limits, Manifest, Signal, Source, Store, StoreSettings, Tier};

const REQUESTS: usize = 1_953;
const SPANS: usize = 512;
/// So that all of it is 204 MiB.
const BYTES: usize = 214;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let directory = directory.map_or_else(std::env::temp_dir, PathBuf::from);
    println!("{}", throughline_bench::machine::machine());
    println!(
        "{REQUESTS} requests of {SPANS} spans of {BYTES} bytes, in {}",
        directory.display()
    );
    println!("{:30} {:>8} {:>8}", "", "CPU-s", "s");
    let sync_each = |_: Instant| true;
    let sync_sometimes = |last: Instant| last.elapsed() >= Duration::from_millis(25);
    let ways: [(&str, &dyn Fn(Instant) -> bool); 2] = [
        ("with a sync each", &sync_each),
        ("with a sync every 25 ms", &sync_sometimes),
    ];
    for (name, is_sync_due) in ways {
        let files = tempfile::tempdir_in(&directory)?;
        let store = Arc::new(Store::new(settings(files.path().to_owned())));
        measure(name, || append(&store, is_sync_due))?;
        measure("  read and acknowledge", || acknowledge(&store))?;
    }
    Ok(())
}

fn settings(directory: PathBuf) -> StoreSettings {
    let destination = Destination {
        name: "backend".into(),
        ..Destination::default()
    };
    let manifest = Manifest {
        service: "relay".into(),
        destinations: vec![destination],
        ..Manifest::default()
    };
    StoreSettings {
        directory: Some(directory),
        manifest,
        signal: Signal::Traces,
        limits: Limits {
            pending: 512 << 20,
            ..Limits::default()
        },
        tier: Some(Tier::Written),
        refuse_when_full: true,
    }
}

fn append(store: &Store, is_sync_due: &dyn Fn(Instant) -> bool) -> Result<(), Box<dyn Error>> {
    let source = Source::default();
    let bodies = vec![[7_u8; BYTES]; SPANS];
    let mut synced = Instant::now();
    for _ in 0..REQUESTS {
        store.append_batch(&source, bodies.iter().map(<[u8; BYTES]>::as_slice))?;
        if is_sync_due(synced) {
            store.sync()?;
            synced = Instant::now();
        }
        store.maintain(Instant::now());
    }
    Ok(store.sync()?)
}

fn acknowledge(store: &Arc<Store>) -> Result<(), Box<dyn Error>> {
    let mut consumer = store.consumer(0).ok_or("another consumer reads it")?;
    let mut records = 0;
    while let Some(batch) = consumer.next(SPANS, 4 << 20)? {
        records += batch.records();
        consumer.settle(batch, 0);
    }
    if records == (REQUESTS * SPANS) as u64 {
        Ok(())
    } else {
        Err(format!("{records} spans came back").into())
    }
}

fn measure(name: &str, work: impl FnOnce() -> Result<(), Box<dyn Error>>) -> Result<(), Box<dyn Error>> {
    let (cpu, time) = (cpu_seconds(), Instant::now());
    work()?;
    println!(
        "{name:30} {:8.2} {:8.2}",
        cpu_seconds() - cpu,
        time.elapsed().as_secs_f64()
    );
    Ok(())
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
