//! The files of the archive: their names, and which there are.

use std::io;
use std::path::{Path, PathBuf};

use crate::files::{EntryKind, Files};

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Segments that somebody is still to get.
    Pending = 0,
    /// Segments that everybody has got, or that were never to be sent.
    History = 1,
}

impl Kind {
    pub const ALL: [Self; 2] = [Self::Pending, Self::History];

    fn extension(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::History => "history",
        }
    }
}

/// A file's name: files count up, whatever they hold, and keep their number when they become history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Name {
    pub number: u64,
    pub kind: Kind,
}

impl Name {
    pub fn path(self, archive: &Path) -> PathBuf {
        archive.join(format!("{:020}.{}", self.number, self.kind.extension()))
    }

    fn parse(name: &str) -> Option<Self> {
        let (number, extension) = name.split_once('.')?;
        let kind = Kind::ALL.into_iter().find(|kind| kind.extension() == extension)?;
        let is_number = number.len() == 20 && number.bytes().all(|byte| byte.is_ascii_digit());
        let number = number.parse().ok().filter(|number| is_number && *number != 0)?;
        Some(Self { number, kind })
    }
}

/// The files there are, oldest first, and the names that are no files although they should be.
pub(crate) fn list(files: &dyn Files, archive: &Path) -> io::Result<(Vec<Name>, Vec<Name>)> {
    let (mut found, mut others) = (Vec::new(), Vec::new());
    let listed = files.entries(archive, &mut |name, kind| {
        if let Some(name) = Name::parse(name) {
            match kind {
                EntryKind::File => found.push(name),
                _ => others.push(name),
            }
        }
        true
    });
    match listed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    found.sort();
    // A file that is renamed meanwhile may be listed under both names.
    found.dedup_by_key(|name| name.number);
    Ok((found, others))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_archive_files_are_taken_for_such() {
        let right = Name {
            number: 7,
            kind: Kind::Pending,
        };
        for (name, expected) in [
            ("00000000000000000007.pending", Some(right)),
            ("00000000000000000000.pending", None),
            ("7.pending", None),
            ("0000000000000000000x.pending", None),
            ("+0000000000000000007.pending", None),
            ("00000000000000000007.other", None),
            ("99999999999999999999.history", None),
            ("lock", None),
        ] {
            assert_eq!(Name::parse(name), expected, "{name}");
        }
        assert_eq!(
            right.path(Path::new("/a")),
            Path::new("/a/00000000000000000007.pending")
        );
    }
}
