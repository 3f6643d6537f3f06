//! What is in the file: entries that wait, entries that failed, entries that nobody can read, and what was turned away.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use redb::{Database, ReadableTable, ReadableTableMetadata, Table, TableDefinition, WriteTransaction};

use super::clock::Clock;
use super::error::StorageError;
use super::file::{Change, File, Open, Result};
use super::{Counts, Entry};

const PENDING: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("pending");
const ERRORS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("errors");
const UNREADABLE: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("unreadable");
const NUMBERS: TableDefinition<'static, &str, u64> = TableDefinition::new("numbers");

/// The names of numbers: that of the next entry, and how many left for newer ones and were refused.
const NEXT: &str = "next";
const EVICTED: &str = "evicted";
const REFUSED: &str = "refused";

type Entries<'t> = Table<'t, u64, &'static [u8]>;

#[derive(Debug)]
pub(super) struct Store {
    file: File,
}

impl Store {
    pub(super) fn open(path: &Path, clock: Clock) -> Result<Self> {
        // The directory of the process may be another one when the file is opened anew.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let database = Database::create(&path).map_err(|error| StorageError::new(Arc::new(error.into())))?;
        // Not made again: where it was removed, entries are missing.
        Self::new(database, Box::new(move || Database::open(&path)), clock)
    }

    fn new(database: Database, open: Open, clock: Clock) -> Result<Self> {
        let store = Self {
            file: File::new(database, open, clock),
        };
        store.file.write(|transaction| {
            for table in [PENDING, ERRORS, UNREADABLE] {
                transaction.open_table(table)?;
            }
            transaction.open_table(NUMBERS)?;
            Ok(())
        })?;
        Ok(store)
    }

    /// How long nothing is begun, after an error of the disk.
    pub(super) fn pause(&self) -> Option<Duration> {
        self.file.pause()
    }

    pub(super) fn counts(&self) -> Result<Counts> {
        self.file.read(|transaction| {
            let entries = |table| Change::Ok(transaction.open_table(table)?.len()?);
            let numbers = transaction.open_table(NUMBERS)?;
            let number = |name| Change::Ok(numbers.get(name)?.map_or(0, |number| number.value()));
            Ok(Counts {
                pending: entries(PENDING)?,
                errors: entries(ERRORS)?,
                refused: number(REFUSED)?,
                evicted: number(EVICTED)?,
                unreadable: entries(UNREADABLE)?,
            })
        })
    }

    /// Adds an entry that waits. `None`, and counted, if `capacity` do.
    pub(super) fn push(&self, entry: &Entry, capacity: u64) -> Result<Option<u64>> {
        self.file.write(|transaction| {
            let mut pending = transaction.open_table(PENDING)?;
            if pending.len()? >= capacity {
                count(transaction, REFUSED, 1)?;
                return Ok(None);
            }
            let id = next(transaction)?;
            pending.insert(id, &*entry.encode())?;
            Ok(Some(id))
        })
    }

    /// Counts an entry that is not even tried to be pushed.
    pub(super) fn refuse(&self) -> Result<()> {
        self.file.write(|transaction| count(transaction, REFUSED, 1))
    }

    /// The oldest entry that waits and is not in `active`. What cannot be read is set aside.
    pub(super) fn first(&self, active: &BTreeSet<u64>, capacity: u64) -> Result<Option<Entry>> {
        let (found, unreadable) = self.file.read(|transaction| {
            let mut unreadable = Vec::new();
            for row in transaction.open_table(PENDING)?.iter()? {
                let (id, bytes) = row?;
                if active.contains(&id.value()) {
                    continue;
                }
                match Entry::decode(id.value(), bytes.value()) {
                    Some(entry) => return Ok((Some(entry), unreadable)),
                    None => unreadable.push(id.value()),
                }
            }
            Ok((None, unreadable))
        })?;
        if !unreadable.is_empty() {
            self.file.write(|transaction| {
                let mut pending = transaction.open_table(PENDING)?;
                set_aside(transaction, &mut pending, &unreadable, capacity)
            })?;
        }
        Ok(found)
    }

    /// Writes an entry that waits anew.
    pub(super) fn update(&self, entry: &Entry) -> Result<()> {
        self.file.write(|transaction| {
            transaction.open_table(PENDING)?.insert(entry.id(), &*entry.encode())?;
            Ok(())
        })
    }

    /// Removes an entry that was processed.
    pub(super) fn done(&self, id: u64) -> Result<()> {
        self.file.write_in_pause(|transaction| {
            transaction.open_table(PENDING)?.remove(id)?;
            Ok(())
        })
    }

    /// Puts an entry behind all others that wait, under a new number.
    pub(super) fn requeue(&self, entry: &Entry) -> Result<()> {
        self.file.write_in_pause(|transaction| {
            let mut pending = transaction.open_table(PENDING)?;
            pending.remove(entry.id())?;
            pending.insert(next(transaction)?, &*entry.encode())?;
            Ok(())
        })
    }

    /// Moves an entry to the error queue, as the newest there. The oldest leave that if it is full.
    pub(super) fn fail(&self, entry: &Entry, capacity: u64) -> Result<()> {
        self.file.write_in_pause(|transaction| {
            transaction.open_table(PENDING)?.remove(entry.id())?;
            let mut errors = transaction.open_table(ERRORS)?;
            errors.insert(next(transaction)?, &*entry.encode())?;
            evict(transaction, &mut errors, capacity)
        })
    }

    /// All entries that wait.
    pub(super) fn pending(&self) -> Result<Vec<Entry>> {
        self.file
            .read(|transaction| Ok(entries(&transaction.open_table(PENDING)?, |_| true)?.0))
    }

    /// The entries of the error queue that are chosen.
    pub(super) fn errors(&self, is_chosen: impl Fn(&Entry) -> bool) -> Result<Vec<Entry>> {
        self.file
            .read(|transaction| Ok(entries(&transaction.open_table(ERRORS)?, &is_chosen)?.0))
    }

    /// Takes the entries that are chosen out of the error queue.
    pub(super) fn pop_errors(&self, is_chosen: impl Fn(&Entry) -> bool, capacity: u64) -> Result<Vec<Entry>> {
        self.file.write(|transaction| {
            let mut errors = transaction.open_table(ERRORS)?;
            let (found, unreadable) = entries(&errors, is_chosen)?;
            set_aside(transaction, &mut errors, &unreadable, capacity)?;
            for entry in &found {
                errors.remove(entry.id())?;
            }
            Ok(found)
        })
    }

    /// Moves the entries that are chosen back to those that wait, changed by `change`, as far as there is room.
    pub(super) fn reprocess(
        &self,
        is_chosen: impl Fn(&Entry) -> bool,
        capacity: u64,
        error_capacity: u64,
        change: impl Fn(&mut Entry),
    ) -> Result<u64> {
        self.file.write(|transaction| {
            let (mut errors, mut pending) = (transaction.open_table(ERRORS)?, transaction.open_table(PENDING)?);
            let (found, unreadable) = entries(&errors, is_chosen)?;
            set_aside(transaction, &mut errors, &unreadable, error_capacity)?;
            let mut moved = 0;
            for mut entry in found {
                if pending.len()? >= capacity {
                    break;
                }
                errors.remove(entry.id())?;
                change(&mut entry);
                pending.insert(next(transaction)?, &*entry.encode())?;
                moved += 1;
            }
            Ok(moved)
        })
    }

    /// The bytes of what could not be read.
    pub(super) fn unreadable(&self) -> Result<Vec<Vec<u8>>> {
        self.file.read(|transaction| {
            let unreadable = transaction.open_table(UNREADABLE)?;
            unreadable.iter()?.map(|row| Ok(row?.1.value().to_vec())).collect()
        })
    }

    pub(super) fn clear_unreadable(&self) -> Result<u64> {
        self.file.write(|transaction| {
            let mut unreadable = transaction.open_table(UNREADABLE)?;
            let cleared = unreadable.len()?;
            unreadable.retain(|_, _| false)?;
            Ok(cleared)
        })
    }
}

fn next(transaction: &WriteTransaction) -> Change<u64> {
    let mut numbers = transaction.open_table(NUMBERS)?;
    let id = numbers.get(NEXT)?.map_or(1, |next| next.value());
    numbers.insert(NEXT, id + 1)?;
    Ok(id)
}

fn count(transaction: &WriteTransaction, name: &str, more: u64) -> Change<()> {
    let mut numbers = transaction.open_table(NUMBERS)?;
    let before = numbers.get(name)?.map_or(0, |number| number.value());
    numbers.insert(name, before.saturating_add(more))?;
    Ok(())
}

/// Moves what cannot be read to where it can be looked at.
fn set_aside(transaction: &WriteTransaction, from: &mut Entries<'_>, ids: &[u64], capacity: u64) -> Change<()> {
    let mut to = transaction.open_table(UNREADABLE)?;
    for id in ids {
        if let Some(bytes) = from.remove(id)? {
            to.insert(next(transaction)?, bytes.value())?;
        }
    }
    evict(transaction, &mut to, capacity)
}

/// Removes the oldest, and counts them.
fn evict(transaction: &WriteTransaction, from: &mut Entries<'_>, capacity: u64) -> Change<()> {
    let evicted = from.len()?.saturating_sub(capacity);
    for _ in 0..evicted {
        from.pop_first()?;
    }
    match evicted {
        0 => Ok(()),
        _ => count(transaction, EVICTED, evicted),
    }
}

/// The entries that are chosen, and the numbers of those that cannot be read.
fn entries(
    table: &impl ReadableTable<u64, &'static [u8]>,
    is_chosen: impl Fn(&Entry) -> bool,
) -> Change<(Vec<Entry>, Vec<u64>)> {
    let (mut found, mut unreadable) = (Vec::new(), Vec::new());
    for row in table.iter()? {
        let (id, bytes) = row?;
        match Entry::decode(id.value(), bytes.value()) {
            Some(entry) if is_chosen(&entry) => found.push(entry),
            Some(_) => {}
            None => unreadable.push(id.value()),
        }
    }
    Ok((found, unreadable))
}

#[cfg(test)]
mod tests;
