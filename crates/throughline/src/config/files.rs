//! Local files that spans are written to.

use std::path::{Path, PathBuf, absolute};

use super::exporter::STAY_LOCAL;
use super::keyed_hash::KeyedHash;
use super::variables::Variables;
use crate::destination::{FileLayout, FilesDestination};

/// A directory for OTLP/JSON lines.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    /// From the root on: a program may go elsewhere later.
    pub(crate) path: PathBuf,
    pub(crate) layout: FileLayout,
    /// Of all files together.
    pub(crate) max_bytes: u64,
    /// Of one file; at most half of all.
    pub(crate) rotate_bytes: u64,
}

/// The directory that `THROUGHLINE_FILES_DIR` names; asked for by an entry of the variable `asked_by`.
pub(super) fn from_environment(asked_by: &str, variables: &mut Variables<'_>) -> Option<Files> {
    const NAME: &str = "THROUGHLINE_FILES_DIR";
    match variables.raw(NAME) {
        Some(path) => from_code(&FilesDestination::new(path.into()), variables),
        None => {
            let problem = format!("needs a directory: set {NAME}");
            variables.say(asked_by, "otlp_file", &problem, STAY_LOCAL);
            None
        }
    }
}

/// One that was made in code.
pub(super) fn from_code(files: &FilesDestination, variables: &mut Variables<'_>) -> Option<Files> {
    match absolute(&files.path) {
        Ok(path) => Some(Files {
            path,
            layout: files.layout,
            max_bytes: files.max_bytes,
            rotate_bytes: files.rotate_bytes.min(files.max_bytes / 2),
        }),
        Err(error) => {
            let problem = format!("is no path of a directory: {error}");
            variables.say(
                "destination",
                &files.path.to_string_lossy(),
                &problem,
                "it gets nothing",
            );
            None
        }
    }
}

impl Files {
    pub(crate) fn name(&self) -> String {
        format!("files {}", self.path.display())
    }

    /// How later processes know it: by the directory, whichever way leads there.
    pub(crate) fn known_as(&self, key: Option<&[u8; 32]>) -> throughline_spool::Destination {
        let hash = |key, path: Option<&Path>| {
            let mut hash = KeyedHash::new(key);
            hash.field(b"files");
            if let Some(path) = path {
                hash.field(path.as_os_str().as_encoded_bytes());
            }
            hash.finish()
        };
        let path = self.real_path();
        throughline_spool::Destination {
            name: self.name(),
            identity: key.map(|key| hash(key, Some(&path))).unwrap_or_default(),
            // There is one account.
            credentials: key.map(|key| hash(key, None)).unwrap_or_default(),
        }
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.real_path() == other.real_path()
    }

    /// Without links, as far as it is there.
    fn real_path(&self) -> PathBuf {
        for ancestor in self.path.ancestors() {
            if let (Ok(real), Ok(rest)) = (ancestor.canonicalize(), self.path.strip_prefix(ancestor)) {
                return real.join(rest).components().collect();
            }
        }
        self.path.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_is_known_whichever_way_leads_there() {
        let temporary = tempfile::tempdir().unwrap();
        let at = |path: &str| Files {
            path: temporary.path().join(path),
            layout: FileLayout::ByTrace,
            max_bytes: 1,
            rotate_bytes: 1,
        };
        std::fs::create_dir(temporary.path().join("real")).unwrap();
        std::os::unix::fs::symlink("real", temporary.path().join("link")).unwrap();
        let known = |path: &str| at(path).known_as(Some(&[7; 32])).identity;
        let before = known("real/traces");
        assert_eq!(known("link/traces"), before);
        assert_ne!(known("real/others"), before);
        std::fs::create_dir(temporary.path().join("real/traces")).unwrap();
        assert_eq!(known("link/traces/"), before);
        assert!(at("real").is_same(&at("link")) && !at("real").is_same(&at(".")));
        assert_eq!(at("x").known_as(None).identity, [0; 16]);
    }
}
