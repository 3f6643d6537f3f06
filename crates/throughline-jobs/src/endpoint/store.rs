//! The file: entries that wait, entries that failed, entries that nobody can read.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use redb::{Database, ReadableTable, ReadableTableMetadata, Table, TableDefinition, WriteTransaction};

use super::Entry;
use super::clock::Clock;
use super::error::StorageError;
use super::file::{Change, File, Open, Result};

const PENDING: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("pending");
const ERRORS: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("errors");
const UNREADABLE: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("unreadable");
const NUMBERS: TableDefinition<'static, &str, u64> = TableDefinition::new("numbers");

/// The name of the number that the next entry gets.
const NEXT: &str = "next";

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

    /// How many entries wait, have failed, and could not be read.
    pub(super) fn counts(&self) -> Result<(u64, u64, u64)> {
        self.file.read(|transaction| {
            let count = |table| Change::Ok(transaction.open_table(table)?.len()?);
            Ok((count(PENDING)?, count(ERRORS)?, count(UNREADABLE)?))
        })
    }

    /// Adds an entry that waits. `None` if `capacity` do.
    pub(super) fn push(&self, entry: &Entry, capacity: u64) -> Result<Option<u64>> {
        self.file.write(|transaction| {
            let mut pending = transaction.open_table(PENDING)?;
            if pending.len()? >= capacity {
                return Ok(None);
            }
            let id = next(transaction)?;
            pending.insert(id, &*entry.encode())?;
            Ok(Some(id))
        })
    }

    /// The oldest entry that waits and is not in `active`. What cannot be read is set aside.
    pub(super) fn first(&self, active: &BTreeSet<u64>) -> Result<Option<Entry>> {
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
                let (mut from, mut to) = (transaction.open_table(PENDING)?, transaction.open_table(UNREADABLE)?);
                for id in &unreadable {
                    if let Some(bytes) = from.remove(id)? {
                        to.insert(id, bytes.value())?;
                    }
                }
                Ok(())
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

    /// Moves an entry to the error queue. Returns how many left that for it.
    pub(super) fn fail(&self, entry: &Entry, capacity: u64) -> Result<u64> {
        self.file.write_in_pause(|transaction| {
            transaction.open_table(PENDING)?.remove(entry.id())?;
            let mut errors = transaction.open_table(ERRORS)?;
            errors.insert(entry.id(), &*entry.encode())?;
            let mut evicted = 0;
            while errors.len()? > capacity {
                errors.pop_first()?;
                evicted += 1;
            }
            Ok(evicted)
        })
    }

    /// All entries that wait.
    pub(super) fn pending(&self) -> Result<Vec<Entry>> {
        self.file
            .read(|transaction| entries(&transaction.open_table(PENDING)?, |_| true))
    }

    /// The entries of the error queue that are chosen.
    pub(super) fn errors(&self, is_chosen: impl Fn(&Entry) -> bool) -> Result<Vec<Entry>> {
        self.file
            .read(|transaction| entries(&transaction.open_table(ERRORS)?, &is_chosen))
    }

    /// Takes the entries that are chosen out of the error queue.
    pub(super) fn pop_errors(&self, is_chosen: impl Fn(&Entry) -> bool) -> Result<Vec<Entry>> {
        self.file
            .write(|transaction| take(&mut transaction.open_table(ERRORS)?, &is_chosen))
    }

    /// Moves the entries that are chosen back to those that wait, changed by `change`, as far as there is room.
    pub(super) fn reprocess(
        &self,
        is_chosen: impl Fn(&Entry) -> bool,
        capacity: u64,
        change: impl Fn(&mut Entry),
    ) -> Result<u64> {
        self.file.write(|transaction| {
            let (mut errors, mut pending) = (transaction.open_table(ERRORS)?, transaction.open_table(PENDING)?);
            let mut moved = 0;
            for mut entry in entries(&errors, &is_chosen)? {
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
}

fn next(transaction: &WriteTransaction) -> Change<u64> {
    let mut numbers = transaction.open_table(NUMBERS)?;
    let id = numbers.get(NEXT)?.map_or(1, |next| next.value());
    numbers.insert(NEXT, id + 1)?;
    Ok(id)
}

fn entries(table: &impl ReadableTable<u64, &'static [u8]>, is_chosen: impl Fn(&Entry) -> bool) -> Change<Vec<Entry>> {
    let mut found = Vec::new();
    for row in table.iter()? {
        let (id, bytes) = row?;
        found.extend(Entry::decode(id.value(), bytes.value()).filter(&is_chosen));
    }
    Ok(found)
}

fn take(table: &mut Entries<'_>, is_chosen: &impl Fn(&Entry) -> bool) -> Change<Vec<Entry>> {
    let found = entries(table, is_chosen)?;
    for entry in &found {
        table.remove(entry.id())?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
