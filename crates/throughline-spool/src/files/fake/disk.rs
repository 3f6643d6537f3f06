//! What lies on a disk, and what of it would survive a power cut.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path};
use std::sync::Arc;
use std::time::SystemTime;

use rustix::io::Errno;

use super::USER;
use crate::files::{EntryKind, FileSystem, How, Seen};
use crate::fixture::Random;
use crate::store::memory::Region;

/// What a disk writes as a whole.
pub(super) const PAGE: usize = 4096;
static ZEROES: [u8; PAGE] = [0; PAGE];

/// The number of an inode.
pub(super) type Id = usize;
const ROOT: Id = 0;

#[derive(Debug)]
pub(super) struct Disk {
    /// Those that have no name any more stay here, without content.
    inodes: Vec<Inode>,
    pub capacity: u64,
    pub file_system: FileSystem,
    pub can_allocate: bool,
}

#[derive(Debug)]
pub(super) struct Inode {
    node: Node,
    pub user: u32,
    pub mode: u32,
    pub modified: SystemTime,
    /// Names.
    links: usize,
    /// Open handles.
    handles: usize,
    /// The handle that holds the lock.
    pub lock: Option<u64>,
}

#[derive(Debug)]
pub(super) enum Node {
    Directory(Directory),
    Fifo,
    File(File),
    Symlink,
}

#[derive(Debug, Default)]
pub(super) struct Directory {
    names: BTreeMap<String, Id>,
    /// As of the last sync.
    durable: BTreeMap<String, Id>,
}

#[derive(Debug)]
pub(super) struct File {
    len: u64,
    bytes: Bytes,
    /// Which pages take room on the disk.
    allocated: Vec<bool>,
    was_mapped: bool,
    durable: Durable,
}

#[derive(Debug)]
enum Bytes {
    /// What is beyond these is zero.
    Heap(Vec<u8>),
    Mapped(Arc<Region>),
}

/// A file as of its last sync.
#[derive(Clone, Debug, Default)]
struct Durable {
    len: u64,
    /// Pages that are not zero.
    pages: BTreeMap<usize, Arc<[u8]>>,
}

impl Disk {
    pub fn new() -> Self {
        let mut root = Inode::new(Node::directory(), SystemTime::UNIX_EPOCH);
        root.links = 1;
        Self {
            inodes: vec![root],
            capacity: u64::MAX,
            file_system: FileSystem::Mappable,
            can_allocate: true,
        }
    }

    pub fn inode_mut(&mut self, id: Id) -> &mut Inode {
        &mut self.inodes[id]
    }

    pub fn file(&self, id: Id) -> Option<&File> {
        match &self.inodes[id].node {
            Node::File(file) => Some(file),
            _ => None,
        }
    }

    fn file_mut(&mut self, id: Id) -> &mut File {
        match &mut self.inodes[id].node {
            Node::File(file) => file,
            _ => panic!("only files are open for writing"),
        }
    }

    fn directory(&self, id: Id) -> io::Result<&Directory> {
        match &self.inodes[id].node {
            Node::Directory(directory) => Ok(directory),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn directory_mut(&mut self, id: Id) -> &mut Directory {
        match &mut self.inodes[id].node {
            Node::Directory(directory) => directory,
            _ => panic!("it was a directory"),
        }
    }

    // ---- paths ----------------------------------------------------------------------------------------------------

    /// What has this path, which is not followed if it is a link.
    pub fn find(&self, path: &Path) -> io::Result<Id> {
        let mut id = ROOT;
        for name in parts(path) {
            let directory = self.directory(id)?;
            id = *directory.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        }
        Ok(id)
    }

    /// The directory of a path and the name in it.
    fn parent<'a>(&self, path: &'a Path) -> io::Result<(Id, &'a str)> {
        let name = parts(path).last().ok_or(io::ErrorKind::InvalidInput)?;
        let parent = self.find(path.parent().unwrap_or(Path::new("/")))?;
        self.directory(parent)?;
        Ok((parent, name))
    }

    /// The same, in which names may be changed.
    fn writable_parent<'a>(&self, path: &'a Path) -> io::Result<(Id, &'a str)> {
        let (parent, name) = self.parent(path)?;
        self.check_access(parent, 3)?;
        Ok((parent, name))
    }

    /// Whether this user has these permissions (4 to read, 2 to write, 1 to search).
    fn check_access(&self, id: Id, wanted: u32) -> io::Result<()> {
        let inode = &self.inodes[id];
        let granted = if inode.user == USER {
            inode.mode >> 6
        } else {
            inode.mode
        };
        match granted & wanted == wanted {
            true => Ok(()),
            false => Err(io::ErrorKind::PermissionDenied.into()),
        }
    }

    pub fn check_readable(&self, id: Id) -> io::Result<()> {
        self.check_access(id, 4)
    }

    pub fn add(&mut self, path: &Path, node: Node, now: SystemTime) -> io::Result<Id> {
        let (parent, name) = self.writable_parent(path)?;
        if self.directory(parent)?.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let id = self.inodes.len();
        self.inodes.push(Inode::new(node, now));
        self.insert(parent, name, id);
        Ok(id)
    }

    fn insert(&mut self, parent: Id, name: &str, id: Id) {
        self.inodes[id].links += 1;
        self.directory_mut(parent).names.insert(name.to_owned(), id);
    }

    fn take_out(&mut self, parent: Id, name: &str) {
        if let Some(id) = self.directory_mut(parent).names.remove(name) {
            self.inodes[id].links -= 1;
            self.forget_if_gone(id);
        }
    }

    /// Makes the names beside this path durable.
    pub fn sync_parent(&mut self, path: &Path) {
        let (parent, _) = self.parent(path).expect("the path is there");
        self.sync(parent);
    }

    pub fn entries(&self, id: Id) -> io::Result<Vec<(String, EntryKind)>> {
        let names = &self.directory(id)?.names;
        Ok(names
            .iter()
            .map(|(name, id)| (name.clone(), self.inodes[*id].node.kind()))
            .collect())
    }

    /// The same errors as those of the operating system's files.
    pub fn open(&mut self, path: &Path, how: How, now: SystemTime) -> io::Result<Id> {
        let found = match (self.find(path), how) {
            (Ok(_), How::New) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Err(error), How::New | How::NewOrWrite) if error.kind() == io::ErrorKind::NotFound => {
                self.add(path, Node::file(&[]), now)?
            }
            (found, _) => found?,
        };
        let inode = &self.inodes[found];
        match &inode.node {
            Node::Symlink => return Err(Errno::LOOP.into()),
            Node::Directory(_) if how != How::Read => return Err(io::ErrorKind::IsADirectory.into()),
            _ => {}
        }
        self.check_access(found, if how == How::Read { 4 } else { 6 })?;
        if !matches!(inode.node, Node::File(_)) {
            return Err(io::Error::other("it is no regular file"));
        }
        if inode.user != USER {
            return Err(io::Error::other(format!("it belongs to user {}", inode.user)));
        }
        self.inodes[found].handles += 1;
        Ok(found)
    }

    pub fn close(&mut self, id: Id, handle: u64) {
        let inode = &mut self.inodes[id];
        inode.handles -= 1;
        if inode.lock == Some(handle) {
            inode.lock = None;
        }
        self.forget_if_gone(id);
    }

    /// Lets go of what nobody can reach, not even after a power cut.
    fn forget_if_gone(&mut self, id: Id) {
        if self.inodes[id].is_there() {
            return;
        }
        let is_durable = self.inodes.iter().any(|inode| match &inode.node {
            Node::Directory(directory) => directory.durable.values().any(|durable| *durable == id),
            _ => false,
        });
        if !is_durable {
            self.inodes[id].node = Node::Fifo;
        }
    }

    pub fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let id = self.find(from)?;
        let (old_parent, old_name) = self.writable_parent(from)?;
        let (new_parent, new_name) = self.writable_parent(to)?;
        let is_directory = |node: &Node| matches!(node, Node::Directory(_));
        if let Ok(replaced) = self.find(to) {
            if replaced == id {
                return Ok(());
            }
            let replaced = &self.inodes[replaced].node;
            match (is_directory(&self.inodes[id].node), replaced) {
                (true, Node::Directory(directory)) if !directory.names.is_empty() => {
                    return Err(io::ErrorKind::DirectoryNotEmpty.into());
                }
                (true, Node::Directory(_)) => {}
                (true, _) => return Err(io::ErrorKind::NotADirectory.into()),
                (false, Node::Directory(_)) => return Err(io::ErrorKind::IsADirectory.into()),
                (false, _) => {}
            }
            self.take_out(new_parent, new_name);
        }
        self.insert(new_parent, new_name, id);
        self.take_out(old_parent, old_name);
        Ok(())
    }

    pub fn link(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let id = self.find(from)?;
        let (parent, name) = self.writable_parent(to)?;
        if self.find(to).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if matches!(self.inodes[id].node, Node::Directory(_)) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        self.insert(parent, name, id);
        Ok(())
    }

    pub fn remove(&mut self, path: &Path, wants_directory: bool) -> io::Result<()> {
        let id = self.find(path)?;
        let (parent, name) = self.writable_parent(path)?;
        match (&self.inodes[id].node, wants_directory) {
            (Node::Directory(_), false) => return Err(io::ErrorKind::IsADirectory.into()),
            (Node::Directory(directory), true) if !directory.names.is_empty() => {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            (Node::Directory(_), true) | (_, false) => {}
            (_, true) => return Err(io::ErrorKind::NotADirectory.into()),
        }
        self.take_out(parent, name);
        Ok(())
    }

    pub fn seen(&self, id: Id) -> Seen {
        let inode = &self.inodes[id];
        let file = self.file(id);
        Seen {
            kind: inode.node.kind(),
            file: (1, id as u64),
            len: file.map_or(0, |file| file.len),
            occupied: file.map_or(0, File::occupied),
            user: inode.user,
            mode: inode.mode,
            modified: inode.modified,
        }
    }

    // ---- content ----------------------------------------------------------------------------------------------------

    /// Bytes that files take.
    pub fn used(&self) -> u64 {
        let there = self.inodes.iter().filter(|inode| inode.is_there());
        there
            .map(|inode| match &inode.node {
                Node::File(file) => file.occupied(),
                _ => 0,
            })
            .sum()
    }

    /// Writes as much as there is room for; returns how much that is.
    pub fn write(&mut self, id: Id, bytes: &[u8], at: u64) -> io::Result<usize> {
        let mut free = self.capacity.saturating_sub(self.used()) / PAGE as u64;
        let file = self.file_mut(id);
        let at = at as usize;
        file.check_growth(at + bytes.len())?;
        let mut done = 0;
        while done < bytes.len() {
            let page = (at + done) / PAGE;
            let end = ((page + 1) * PAGE - at).min(bytes.len());
            if !file.is_allocated(page) {
                if free == 0 {
                    break;
                }
                free -= 1;
                file.allocate_page(page);
            }
            file.store(&bytes[done..end], at + done);
            done = end;
        }
        if done > 0 {
            file.len = file.len.max((at + done) as u64);
        }
        Ok(done)
    }

    pub fn allocate(&mut self, id: Id, len: u64) -> io::Result<()> {
        if !self.can_allocate {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let free = self.capacity.saturating_sub(self.used()) / PAGE as u64;
        let file = self.file_mut(id);
        file.check_growth(len as usize)?;
        let pages = (len as usize).div_ceil(PAGE);
        let missing = (0..pages).filter(|page| !file.is_allocated(*page)).count();
        if missing as u64 > free {
            return Err(io::ErrorKind::StorageFull.into());
        }
        (0..pages).for_each(|page| file.allocate_page(page));
        file.len = file.len.max(len);
        Ok(())
    }

    pub fn set_len(&mut self, id: Id, len: u64, path: &Path) {
        let file = self.file_mut(id);
        assert!(
            !file.was_mapped,
            "{} was cut to {len} bytes, but no file that anybody may have mapped is ever truncated",
            path.display()
        );
        file.set_len(len);
    }

    pub fn map(&mut self, id: Id, len: usize, path: &Path) -> io::Result<Region> {
        let file = self.file_mut(id);
        let is_sound = (0..len.div_ceil(PAGE)).all(|page| file.is_allocated(page)) && len as u64 <= file.len;
        assert!(is_sound, "{} was mapped beyond what is allocated of it", path.display());
        file.was_mapped = true;
        if let Bytes::Heap(bytes) = &file.bytes {
            let region = Region::heap((file.len as usize).next_multiple_of(PAGE));
            // SAFETY: nobody else has the region yet, which is as long as the file or longer.
            unsafe {
                region
                    .base()
                    .as_ptr()
                    .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            }
            file.bytes = Bytes::Mapped(Arc::new(region));
        }
        match &file.bytes {
            Bytes::Mapped(region) if len <= region.len() => Ok(Region::shared(region.clone(), len)),
            _ => Err(io::Error::other("the file has grown since it was mapped")),
        }
    }

    pub fn sync(&mut self, id: Id) {
        match &mut self.inodes[id].node {
            Node::Directory(directory) => directory.durable = directory.names.clone(),
            Node::File(file) => file.sync(),
            Node::Fifo | Node::Symlink => {}
        }
    }

    // ---- what is left behind ----------------------------------------------------------------------------------------

    /// A copy that no process has anything of open.
    pub fn after_crash(&self) -> Self {
        self.copy(Node::copy)
    }

    fn copy(&self, mut node: impl FnMut(&Node) -> Node) -> Self {
        let inodes = self.inodes.iter().map(|inode| Inode {
            node: node(&inode.node),
            handles: 0,
            lock: None,
            ..*inode
        });
        Self {
            inodes: inodes.collect(),
            ..*self
        }
    }

    /// What was synced, and of the rest any part.
    pub fn after_power_cut(&self, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut left = self.copy(|node| match node {
            Node::Directory(_) => Node::directory(),
            Node::File(file) => Node::File(file.after_power_cut(&mut random)),
            other => other.copy(),
        });
        let names = self.names_after_power_cut(&mut random);
        left.inodes.iter_mut().for_each(|inode| inode.links = 0);
        left.inodes[ROOT].links = 1;
        for (parent, name, id) in names {
            left.insert(parent, &name, id);
        }
        for id in 0..left.inodes.len() {
            if matches!(left.inodes[id].node, Node::Directory(_)) {
                left.sync(id);
            }
        }
        left
    }

    /// For each name whether it is as of the last sync or as it was, independently, but for two things: a directory has one
    /// name, and what was renamed has the old one or the new one, if not both.
    fn names_after_power_cut(&self, random: &mut Random) -> Vec<(Id, String, Id)> {
        let mut old = BTreeMap::new();
        let mut new = BTreeMap::new();
        for (parent, inode) in self.inodes.iter().enumerate() {
            if let Node::Directory(directory) = &inode.node {
                let place = |(name, id): (&String, &Id)| ((parent, name.clone()), *id);
                old.extend(directory.durable.iter().map(place));
                new.extend(directory.names.iter().map(place));
            }
        }
        let places: BTreeSet<_> = old.keys().chain(new.keys()).cloned().collect();
        let mut left = BTreeMap::new();
        for place in places {
            let names = if random.is_heads() { &old } else { &new };
            if let Some(id) = names.get(&place) {
                left.insert(place, *id);
            }
        }
        for id in 0..self.inodes.len() {
            let places_in = |names: &BTreeMap<(Id, String), Id>| -> Vec<_> {
                names
                    .iter()
                    .filter(|name| *name.1 == id)
                    .map(|name| name.0.clone())
                    .collect()
            };
            let mut places = places_in(&left);
            if matches!(self.inodes[id].node, Node::Directory(_)) {
                while places.len() > 1 {
                    left.remove(&places.remove(random.below(places.len())));
                }
            }
            if places.is_empty() && new.values().any(|there| *there == id) {
                if let Some(place) = places_in(&old).first() {
                    left.insert(place.clone(), id);
                }
            }
        }
        left.into_iter()
            .map(|((parent, name), id)| (parent, name, id))
            .collect()
    }
}

impl Inode {
    fn new(node: Node, now: SystemTime) -> Self {
        let mode = match node {
            Node::Directory(_) => 0o700,
            Node::Symlink => 0o777,
            Node::Fifo | Node::File(_) => 0o600,
        };
        Self {
            node,
            user: USER,
            mode,
            modified: now,
            links: 0,
            handles: 0,
            lock: None,
        }
    }

    fn is_there(&self) -> bool {
        self.links > 0 || self.handles > 0
    }
}

impl Node {
    pub fn directory() -> Self {
        Self::Directory(Directory::default())
    }

    /// A file of these bytes, all of them durable.
    pub fn file(bytes: &[u8]) -> Self {
        let mut file = File {
            len: bytes.len() as u64,
            bytes: Bytes::Heap(bytes.to_vec()),
            allocated: vec![true; bytes.len().div_ceil(PAGE)],
            was_mapped: false,
            durable: Durable::default(),
        };
        file.sync();
        Self::File(file)
    }

    fn kind(&self) -> EntryKind {
        match self {
            Self::Directory(_) => EntryKind::Directory,
            Self::File(_) => EntryKind::File,
            Self::Fifo | Self::Symlink => EntryKind::Other,
        }
    }

    fn copy(&self) -> Self {
        match self {
            Self::Directory(directory) => Self::Directory(Directory {
                names: directory.names.clone(),
                durable: directory.durable.clone(),
            }),
            Self::Fifo => Self::Fifo,
            Self::File(file) => Self::File(File {
                bytes: Bytes::Heap(file.to_vec()),
                allocated: file.allocated.clone(),
                durable: file.durable.clone(),
                ..*file
            }),
            Self::Symlink => Self::Symlink,
        }
    }
}

impl File {
    fn occupied(&self) -> u64 {
        (self.allocated.iter().filter(|is_allocated| **is_allocated).count() * PAGE) as u64
    }

    fn is_allocated(&self, page: usize) -> bool {
        self.allocated.get(page).is_some_and(|is_allocated| *is_allocated)
    }

    fn allocate_page(&mut self, page: usize) {
        if page >= self.allocated.len() {
            self.allocated.resize(page + 1, false);
        }
        self.allocated[page] = true;
    }

    /// A file that is mapped does not grow beyond its region here.
    fn check_growth(&self, end: usize) -> io::Result<()> {
        match &self.bytes {
            Bytes::Mapped(region) if end > region.len() => {
                Err(io::Error::other("this fake does not let a mapped file grow"))
            }
            _ => Ok(()),
        }
    }

    pub fn read(&self, buffer: &mut [u8], at: u64) -> usize {
        let len = self.len.saturating_sub(at).min(buffer.len() as u64) as usize;
        if len > 0 {
            self.load(&mut buffer[..len], at as usize);
        }
        len
    }

    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len as usize];
        self.read(&mut bytes, 0);
        bytes
    }

    /// Copies bytes that lie before the end.
    fn load(&self, buffer: &mut [u8], at: usize) {
        match &self.bytes {
            Bytes::Heap(bytes) => {
                let there = bytes.get(at..).unwrap_or(&[]);
                let len = there.len().min(buffer.len());
                buffer[..len].copy_from_slice(&there[..len]);
                buffer[len..].fill(0);
            }
            Bytes::Mapped(region) => {
                assert!(at + buffer.len() <= region.len(), "a mapped file ends in its region");
                // SAFETY: in range; tests see to it that no other thread stores there at this moment.
                unsafe {
                    buffer
                        .as_mut_ptr()
                        .copy_from_nonoverlapping(region.base().as_ptr().add(at), buffer.len());
                }
            }
        }
    }

    fn store(&mut self, from: &[u8], at: usize) {
        match &mut self.bytes {
            Bytes::Heap(bytes) => {
                let end = at + from.len();
                if end > bytes.len() {
                    bytes.resize(end, 0);
                }
                bytes[at..end].copy_from_slice(from);
            }
            Bytes::Mapped(region) => {
                assert!(at + from.len() <= region.len(), "a mapped file ends in its region");
                // SAFETY: as in `load`.
                unsafe {
                    region
                        .base()
                        .as_ptr()
                        .add(at)
                        .copy_from_nonoverlapping(from.as_ptr(), from.len());
                }
            }
        }
    }

    fn set_len(&mut self, len: u64) {
        self.len = len;
        self.allocated.truncate((len as usize).div_ceil(PAGE));
        match &mut self.bytes {
            Bytes::Heap(bytes) => bytes.truncate(len as usize),
            Bytes::Mapped(_) => unreachable!("no file is cut that was mapped"),
        }
    }

    fn sync(&mut self) {
        self.durable.len = self.len;
        let pages = (self.len as usize).div_ceil(PAGE);
        self.durable.pages.retain(|page, _| *page < pages);
        let mut now = [0; PAGE];
        for page in 0..pages {
            self.load_page(page, &mut now);
            match self.durable.pages.get(&page) {
                Some(durable) if **durable == now => {}
                None if now == ZEROES => {}
                _ if now == ZEROES => drop(self.durable.pages.remove(&page)),
                _ => drop(self.durable.pages.insert(page, now.as_slice().into())),
            }
        }
    }

    /// A page as it is now, filled up with zeroes.
    fn load_page(&self, page: usize, buffer: &mut [u8; PAGE]) {
        let len = (self.len as usize).saturating_sub(page * PAGE).min(PAGE);
        buffer[len..].fill(0);
        if len > 0 {
            self.load(&mut buffer[..len], page * PAGE);
        }
    }

    fn after_power_cut(&self, random: &mut Random) -> Self {
        let len = if random.is_heads() { self.len } else { self.durable.len };
        let mut bytes = Vec::with_capacity(len as usize);
        let mut now = [0; PAGE];
        for page in 0..(len as usize).div_ceil(PAGE) {
            let durable = self.durable.pages.get(&page).map_or(&ZEROES[..], |page| page);
            self.load_page(page, &mut now);
            let is_new = now != *durable && random.is_heads();
            bytes.extend_from_slice(if is_new { &now } else { durable });
        }
        bytes.truncate(len as usize);
        let mut allocated = self.allocated.clone();
        allocated.resize((len as usize).div_ceil(PAGE), false);
        let mut left = Self {
            len,
            bytes: Bytes::Heap(bytes),
            allocated,
            was_mapped: self.was_mapped,
            durable: Durable::default(),
        };
        left.sync();
        left
    }
}

/// The names that a path consists of.
fn parts(path: &Path) -> impl Iterator<Item = &str> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_str().expect("tests have paths in UTF-8")),
        _ => None,
    })
}
