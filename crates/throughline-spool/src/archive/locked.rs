//! The archive's lock, and what may be done only by its holder: changing the ledger and the set of files.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use crate::directory::{ProcessDir, kept};
use crate::files::{EntryKind, How, SharedFile, random_name, read_all, read_full};
use crate::format::header::UNIT;
use crate::format::recovery;
use crate::store::{SEGMENTS, segments_name};

use super::file::{self, Kind, Name};
use super::layout::{Layout, unix_nano};
use super::ledger::{self, Current, Intent, Ledger};
use super::walk::{Placed, Step, Walk};

const LOCK: &str = "lock";

/// The lock of the archive, held until this is dropped.
#[derive(Debug)]
pub(crate) struct Locked<'a> {
    pub layout: &'a Layout,
    /// As it was committed, but for what is not worth a commit of its own.
    pub ledger: Ledger,
    file: SharedFile,
    lock: SharedFile,
}

impl<'a> Locked<'a> {
    /// Takes the lock, and puts in order what a crash has left. `None`: somebody else has it.
    ///
    /// # Errors
    ///
    /// The archive cannot be made, read or written, or the ledger is of another format.
    pub fn take(layout: &'a Layout) -> io::Result<Option<Self>> {
        let files = &*layout.files;
        clear_the_way(layout, &layout.directory, EntryKind::Directory)?;
        match files.create_dir(&layout.directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let path = layout.directory.join(LOCK);
        clear_the_way(layout, &path, EntryKind::File)?;
        let lock = files.open(&path, How::NewOrWrite)?;
        if !lock.try_lock()? {
            return Ok(None);
        }
        clear_the_way(layout, &layout.ledger_path(), EntryKind::File)?;
        let file = files.open(&layout.ledger_path(), How::NewOrWrite)?;
        let ledger = Ledger::from_bytes(&read_all(&*file, ledger::LEN as u64)?)?;
        let is_known = ledger.is_some();
        let mut locked = Self {
            layout,
            ledger: ledger.unwrap_or_else(|| Ledger {
                next: 1,
                ..Ledger::default()
            }),
            file,
            lock,
        };
        locked.carry_out_intent()?;
        locked.forget_what_is_gone();
        if !is_known || !locked.agrees_with_files()? {
            locked.sort_out_files()?;
        }
        Ok(Some(locked))
    }

    /// Makes this the ledger.
    ///
    /// # Errors
    ///
    /// It cannot be written. Nobody knows then which of the two is valid: the lock must be given back.
    pub fn commit(&mut self, ledger: Ledger, is_synced: bool) -> io::Result<()> {
        let ledger = Ledger {
            sequence: self.ledger.sequence + 1,
            ..ledger
        };
        self.file.write_at(&ledger.to_bytes(), ledger.position())?;
        if is_synced {
            self.file.sync()?;
            self.layout.files.sync_dir(self.layout.root.path())?;
        }
        self.ledger = ledger;
        Ok(())
    }

    /// Commits what the ledger says with an intent, and carries that out.
    ///
    /// # Errors
    ///
    /// The ledger cannot be written, or the file cannot be renamed or removed; whoever holds the lock next tries again.
    pub fn commit_intent(&mut self, ledger: Ledger, intent: Intent) -> io::Result<()> {
        self.commit(
            Ledger {
                intent: Some(intent),
                ..ledger
            },
            false,
        )?;
        self.carry_out_intent()
    }

    /// Removes a whole file, of which everything is counted.
    pub fn remove(&mut self, name: Name, len: u64, mut ledger: Ledger) -> io::Result<()> {
        leave(&mut ledger, name, len);
        self.commit_intent(ledger, Intent::Remove(name.kind, name.number))
    }

    /// Makes history of a pending file that everybody has got.
    pub fn settle(&mut self, name: Name, len: u64) -> io::Result<()> {
        let mut ledger = self.ledger.clone();
        leave(&mut ledger, name, len);
        if self.layout.limits.history == 0 {
            return self.commit_intent(ledger, Intent::Remove(name.kind, name.number));
        }
        ledger.bytes[Kind::History as usize] += len;
        self.commit_intent(ledger, Intent::Settle(name.number))
    }

    /// Makes history of a pending file if nobody is to get anything of it. `false`: somebody is.
    ///
    /// # Errors
    ///
    /// The file cannot be read or renamed, or the ledger not be written.
    pub fn settle_if_nobody_waits(&mut self, name: Name) -> io::Result<bool> {
        let file = match self.layout.open(name, How::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            opened => opened?,
        };
        let mut walk = Walk::whole(file)?;
        let mut len = 0;
        while let Some(step) = walk.next()? {
            match step {
                Step::Segment(segment) if segment.is_pending() => return Ok(false),
                Step::Segment(segment) => len = segment.end(),
                Step::Damaged(range) => len = range.end,
            }
        }
        self.settle(name, len)?;
        Ok(true)
    }

    /// Adds to the ledger what was delivered and not counted yet.
    ///
    /// # Errors
    ///
    /// The ledger cannot be written; it counts later.
    pub fn count_settled(&mut self) -> io::Result<()> {
        let Some(settled) = self.layout.uncounted.take() else {
            return Ok(());
        };
        let mut ledger = self.ledger.clone();
        settled.count_in(&mut ledger);
        self.commit(ledger, false)
            .inspect_err(|_| self.layout.uncounted.add(&settled))
    }

    fn carry_out_intent(&mut self) -> io::Result<()> {
        let files = &*self.layout.files;
        let path = |kind, number| Name { number, kind }.path(&self.layout.directory);
        let done = match self.ledger.intent {
            None => Ok(()),
            Some(Intent::Settle(number)) => files.rename(&path(Kind::Pending, number), &path(Kind::History, number)),
            Some(Intent::Remove(kind, number)) => files.remove_file(&path(kind, number)),
        };
        match done {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => {
                self.ledger.intent = None;
                Ok(())
            }
        }
    }

    /// What was half done of a directory is done once the directory, or the file, is gone.
    fn forget_what_is_gone(&mut self) {
        let layout = self.layout;
        let is_gone = |path: &Path| {
            let seen = layout.files.look(path);
            seen.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        };
        self.ledger.started.retain_mut(|started| {
            let path = layout.root.path().join(&started.directory);
            started.archived = started
                .archived
                .filter(|number| !is_gone(&path.join(segments_name(*number))));
            let is_half_done = started.archived.is_some() || started.has_slots || started.has_ledger;
            is_half_done && !is_gone(&path)
        });
    }

    /// Whether the files end where the ledger says, and there are none that it does not know.
    fn agrees_with_files(&self) -> io::Result<bool> {
        let look = |name: Name| match self.layout.files.look(&name.path(&self.layout.directory)) {
            Ok(seen) => Ok(Some(seen)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        for kind in Kind::ALL {
            let number = self.ledger.next;
            if look(Name { number, kind })?.is_some() {
                return Ok(false);
            }
            if let Some(Current { number, len, .. }) = self.ledger.current[kind as usize] {
                let seen = look(Name { number, kind })?;
                if !seen.is_some_and(|seen| seen.kind == EntryKind::File && seen.len == len) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Cuts off what was appended and not committed, takes up what was committed and of which the ledger has lost sight,
    /// and counts the bytes anew.
    ///
    /// A segment was not committed when its directory still has it: nothing is removed there before the commit.
    fn sort_out_files(&mut self) -> io::Result<()> {
        let (names, others) = file::list(&*self.layout.files, &self.layout.directory)?;
        let mut ledger = self.ledger.clone();
        let newest = names.iter().chain(&others).map(|name| name.number).max().unwrap_or(0);
        ledger.next = ledger.next.max(newest + 1);
        ledger.bytes = [0; 2];
        let mut origins = Origins::default();
        for name in names {
            let current = ledger.current[name.kind as usize].filter(|current| current.number == name.number);
            let committed = match current {
                _ if name.number >= self.ledger.next => Some(0),
                current => current.map(|current| current.len),
            };
            let len = self.layout.files.look(&name.path(&self.layout.directory))?.len;
            let end = match committed {
                Some(committed) if committed < len => self.cut(name, committed, len, &mut origins, &mut ledger)?,
                _ => len,
            };
            if let Some(current) = &mut ledger.current[name.kind as usize] {
                if current.number == name.number {
                    current.len = end;
                }
            }
            ledger.bytes[name.kind as usize] += end;
        }
        // One that is gone, or ends within a segment, is not appended to.
        for kind in Kind::ALL {
            let is_whole = |current: &Current| {
                let name = Name {
                    number: current.number,
                    kind,
                };
                ends_with_a_segment(self.layout, name, current.len)
            };
            ledger.current[kind as usize] = ledger.current[kind as usize].filter(is_whole);
        }
        self.commit(ledger, false)
    }

    /// Cuts off the end of a file as far as it was not committed. Returns where it ends then.
    fn cut(&self, name: Name, from: u64, len: u64, origins: &mut Origins, ledger: &mut Ledger) -> io::Result<u64> {
        let mut walk = Walk::new(self.layout.open(name, How::Write)?, from, len);
        let mut end = from;
        // What may have to go: it stands at the end so far.
        let mut doubtful: Vec<(String, u32)> = Vec::new();
        while let Some(step) = walk.next()? {
            let Step::Segment(segment) = step else { continue };
            match origins.of(self.layout, ledger, &mut walk, &segment)? {
                Some(origin) => doubtful.push(origin),
                None if segment.len < segment.header.len => {}
                None => {
                    // It is committed, and so is what stands before it.
                    for (directory, number) in doubtful.drain(..) {
                        let mut started = ledger.started(&directory);
                        started.archived = Some(number);
                        ledger.set_started(started);
                    }
                    end = segment.end();
                }
            }
        }
        if end == len {
            return Ok(len);
        }
        if doubtful.is_empty() {
            // It was not copied from any directory that is left.
            let mut bytes = vec![0; (len - end).min(kept::MOST_BYTES) as usize];
            let read = read_full(&**walk.file(), &mut bytes, end)?;
            kept::quarantine(&*self.layout.files, self.layout.root.path(), &bytes[..read])?;
        }
        match end {
            0 => self.layout.files.remove_file(&name.path(&self.layout.directory))?,
            _ => walk.file().set_len(end)?,
        }
        Ok(end)
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // Where this fails, it is given back when the handle is closed.
        let _ = self.lock.unlock();
    }
}

/// A file leaves its kind.
fn leave(ledger: &mut Ledger, name: Name, len: u64) {
    let bytes = &mut ledger.bytes[name.kind as usize];
    *bytes = bytes.saturating_sub(len);
    let current = &mut ledger.current[name.kind as usize];
    *current = current.filter(|current| current.number != name.number);
}

fn ends_with_a_segment(layout: &Layout, name: Name, len: u64) -> bool {
    let Ok(file) = layout.open(name, How::Read) else {
        return false;
    };
    let mut walk = Walk::new(file, 0, len);
    let mut end = 0;
    while let Ok(Some(Step::Segment(segment))) = walk.next() {
        if segment.len < segment.header.len {
            return false;
        }
        end = segment.end();
    }
    end == len
}

/// In which segment files of directories that are left segments stand, as far as was asked.
#[derive(Debug, Default)]
struct Origins(HashMap<String, HashMap<u64, u32>>);

impl Origins {
    /// The directory and the number of the segment file from which a segment was copied, if it still stands there.
    fn of(
        &mut self,
        layout: &Layout,
        ledger: &Ledger,
        walk: &mut Walk,
        segment: &Placed,
    ) -> io::Result<Option<(String, u32)>> {
        let Some(manifest) = walk.manifest(segment)? else {
            return Ok(None);
        };
        let directory = manifest.directory;
        if !self.0.contains_key(&directory) {
            let generations = generations(layout, &directory)?;
            self.0.insert(directory.clone(), generations);
        }
        let generations = &self.0[&directory];
        let number = generations.get(&segment.header.generation).copied();
        // A file that is known to be archived could not be removed.
        let is_archived = number.is_some() && ledger.started(&directory).archived == number;
        Ok(number.filter(|_| !is_archived).map(|number| (directory, number)))
    }
}

/// The segments of a directory, with the numbers of their files; none when it is gone.
///
/// # Errors
///
/// A file cannot be read at this time: then nobody can tell, and everything waits. When it was copied it could be read.
fn generations(layout: &Layout, directory: &str) -> io::Result<HashMap<u64, u32>> {
    let mut found = HashMap::new();
    if !crate::directory::is_process_name(directory) {
        return Ok(found);
    }
    let directory = ProcessDir::new(layout.root.path().join(directory), layout.files.clone());
    let names = match directory.numbered(SEGMENTS) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        listed => listed?,
    };
    for name in names {
        if let Ok(number) = name[SEGMENTS.len()..].parse() {
            let segments = recovery::segments(&directory.read(&name)?, UNIT).placed;
            found.extend(segments.iter().map(|placed| (placed.header.generation, number)));
        }
    }
    Ok(found)
}

/// Something of another kind that has a name of ours is moved aside: it is nobody's to remove.
fn clear_the_way(layout: &Layout, path: &Path, kind: EntryKind) -> io::Result<()> {
    match layout.files.look(path) {
        Ok(seen) if seen.kind != kind => {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let aside = layout.root.path().join(format!("{name}.aside-{}", random_name()?));
            layout.files.rename(path, &aside)
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Files that are appended to, and a ledger that says so once it is committed.
pub(crate) struct Appending<'l, 'a> {
    locked: &'l mut Locked<'a>,
    /// What is to be committed.
    pub ledger: Ledger,
    touched: Vec<SharedFile>,
    now: SystemTime,
}

impl<'l, 'a> Appending<'l, 'a> {
    pub fn begin(locked: &'l mut Locked<'a>, now: SystemTime) -> Self {
        Self {
            ledger: locked.ledger.clone(),
            locked,
            touched: Vec::new(),
            now,
        }
    }

    /// Whether anything is to be kept that everybody has got.
    pub fn keeps_history(&self) -> bool {
        self.locked.layout.limits.history > 0
    }

    /// Appends a segment to the current file of a kind, or to a new one.
    ///
    /// # Errors
    ///
    /// It cannot be written. Nothing is committed, and the lock must be given back.
    pub fn append(&mut self, kind: Kind, segment: &[u8]) -> io::Result<()> {
        let layout = self.locked.layout;
        let now = unix_nano(self.now) / 1_000_000_000;
        let len = segment.len() as u64;
        let has_room = |current: &Current| {
            current.len + len <= layout.file_size(kind)
                && now.saturating_sub(current.opened) <= layout.file_age(kind).as_secs()
        };
        let (mut file, mut current) = match self.ledger.current[kind as usize].filter(has_room) {
            Some(current) => (
                layout.open(
                    Name {
                        number: current.number,
                        kind,
                    },
                    How::Write,
                )?,
                current,
            ),
            None => self.create(kind, now)?,
        };
        match file.write_at(segment, current.len) {
            // A limit of this process (ulimit -f): another file is as good.
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge && current.len > 0 => {
                (file, current) = self.create(kind, now)?;
                file.write_at(segment, 0)?;
            }
            written => written?,
        }
        current.len += len;
        self.ledger.current[kind as usize] = Some(current);
        self.ledger.bytes[kind as usize] += len;
        self.touched.push(file);
        Ok(())
    }

    fn create(&mut self, kind: Kind, opened: u64) -> io::Result<(SharedFile, Current)> {
        loop {
            let number = self.ledger.next;
            self.ledger.next += 1;
            match self.locked.layout.open(Name { number, kind }, How::New) {
                Ok(file) => return Ok((file, Current { number, len: 0, opened })),
                // Something that is no file has the name.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Commits what was appended.
    ///
    /// # Errors
    ///
    /// A file cannot be synced or the ledger not written; the lock must be given back.
    pub fn commit(self, is_synced: bool) -> io::Result<()> {
        if is_synced && !self.touched.is_empty() {
            for file in &self.touched {
                file.sync()?;
            }
            self.locked.layout.files.sync_dir(&self.locked.layout.directory)?;
        }
        self.locked.commit(self.ledger, is_synced)
    }
}
