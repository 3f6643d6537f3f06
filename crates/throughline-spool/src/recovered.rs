//! The chunk that an adopter makes, once, of the spans that were open when their process died.
//!
//! It is an ordinary chunk, written aside and renamed. Where it stands the files of open spans are void, so that a crash
//! between any two of the [`STEPS`] loses no span and doubles none.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};

use crate::directory::{self, ProcessDir};
use crate::ledger::{Dropped, Ledger};
use crate::record::{self, Kind, stride};
use crate::segment::{HEADER_LEN, Header, UNIT};
use crate::survey::{self, OpenSlot, RECOVERED, Survey};
use crate::unfinished;

/// The name it is written under.
const ASIDE: &str = ".chunk-recovered";

/// What goes into the chunk and the ledger.
pub(crate) struct Making<'a> {
    directory: &'a ProcessDir,
    ledger: Option<&'a Ledger>,
    chunk: Vec<u8>,
    /// Places and slots of which nothing can be made.
    damaged: u64,
}

/// One step, after which the process may die.
pub(crate) type Step = fn(&Making<'_>) -> io::Result<()>;

/// All of it, in order.
pub(crate) const STEPS: [Step; 4] = [write_aside, put_in_place, count_damage, |making| {
    remove_slots(making.directory)
}];

impl<'a> Making<'a> {
    /// What is to be made of a dead process's directory.
    pub fn new(directory: &'a ProcessDir, ledger: Option<&'a Ledger>, survey: &Survey) -> Self {
        let (chunk, refused) = build(&survey.open, survey.known_alive, survey.generation() + 1);
        Self {
            directory,
            ledger,
            chunk,
            damaged: refused + survey.damaged.len() as u64,
        }
    }
}

fn write_aside(making: &Making<'_>) -> io::Result<()> {
    let aside = making.directory.path().join(ASIDE);
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = directory::write_file(&aside, &making.chunk)?;
    file.flush()?;
    file.sync_all()
}

fn put_in_place(making: &Making<'_>) -> io::Result<()> {
    let path = making.directory.path();
    fs::rename(path.join(ASIDE), path.join(RECOVERED))?;
    File::open(path)?.sync_all()
}

fn count_damage(making: &Making<'_>) -> io::Result<()> {
    if let Some(ledger) = making.ledger {
        ledger.add_dropped(Dropped::Damaged, making.damaged);
    }
    Ok(())
}

/// Removes the files of open spans.
pub(crate) fn remove_slots(directory: &ProcessDir) -> io::Result<()> {
    for name in survey::slot_files(directory)? {
        fs::remove_file(directory.path().join(name))?;
    }
    Ok(())
}

/// One segment with all the spans, and how many of them were no spans.
fn build(open: &[OpenSlot], known_alive: u64, generation: u64) -> (Vec<u8>, u64) {
    let bodies: Vec<(u32, Vec<u8>)> = open
        .iter()
        .filter_map(|slot| Some((slot.scope, unfinished::close(&slot.body, known_alive)?)))
        .collect();
    let records: usize = bodies.iter().map(|(_, body)| stride(body.len())).sum();
    let len = (HEADER_LEN + records).next_multiple_of(UNIT);
    let mut chunk = Vec::with_capacity(len);
    chunk.extend_from_slice(&Header { generation, len }.to_bytes());
    for (scope, body) in &bodies {
        let record = record::build(Kind::Unfinished, *scope, body, generation, chunk.len());
        chunk.extend_from_slice(&record);
    }
    chunk.resize(len, 0);
    (chunk, (open.len() - bodies.len()) as u64)
}
