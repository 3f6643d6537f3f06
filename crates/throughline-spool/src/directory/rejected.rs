//! Payloads that a destination refused for good: kept for people to look at, and to send again.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Root, kept};
use crate::files::{self, EntryKind, How};
use crate::store::quota::Limits;

const REJECTED: &str = "rejected";
/// Of what is said of one.
const LONGEST_TEXT: u64 = 64 << 10;

/// A refused payload that is kept; see [`Root::rejected`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rejected {
    /// The file of its bytes, an `ExportTraceServiceRequest`.
    pub path: PathBuf,
    /// When it was refused.
    pub time: SystemTime,
    /// Its length.
    pub bytes: u64,
    /// Spans in it.
    pub spans: u64,
    /// The name of the destination that refused it; empty if it is not known.
    pub destination: String,
    /// Why.
    pub reason: String,
}

impl Root {
    /// Keeps a payload that `destination` refused for good, with what is known of it in a file beside it. Returns where.
    ///
    /// The newest are kept: 16 MiB, or a sixteenth of what the spool may hold; older ones are removed.
    ///
    /// # Errors
    ///
    /// It cannot be written, or is longer than all that may be kept.
    pub fn keep_rejected(
        &self,
        payload: &[u8],
        spans: u64,
        destination: &str,
        reason: &str,
        limits: Limits,
    ) -> io::Result<PathBuf> {
        let most = (limits.total() / 16).min(kept::MOST_BYTES);
        if payload.len() as u64 > most {
            let message = format!("{} bytes are more than the {most} that may be kept", payload.len());
            return Err(io::Error::other(message));
        }
        let directory = self.path().join(REJECTED);
        let name = kept::keep(&*self.files, &directory, "pb", payload, most)?;
        let path = directory.join(name);
        let one_line = |text: &str| text.replace(['\n', '\r'], " ");
        let text = format!("{}\n{spans}\n{}\n", one_line(destination), one_line(reason));
        self.files
            .open(&path.with_extension("txt"), How::New)?
            .write_at(text.as_bytes(), 0)?;
        Ok(path)
    }

    /// The refused payloads that are kept, oldest first.
    ///
    /// # Errors
    ///
    /// They cannot be listed.
    pub fn rejected(&self) -> io::Result<Vec<Rejected>> {
        let directory = self.path().join(REJECTED);
        let mut names = Vec::new();
        let listed = self.files.entries(&directory, &mut |name, kind| {
            if kind == EntryKind::File && name.ends_with(".pb") {
                names.push(name.to_owned());
            }
            true
        });
        match listed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            listed => listed?,
        }
        names.sort();
        // Somebody else may remove one meanwhile.
        let look = |name: String| {
            let path = directory.join(&name);
            let bytes = self.files.look(&path).ok()?.len;
            let text = self.read(&path.with_extension("txt"), LONGEST_TEXT).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            let mut lines = text.lines();
            let nanos = name.split('-').next().and_then(|nanos| nanos.parse().ok());
            Some(Rejected {
                path,
                time: UNIX_EPOCH + Duration::from_nanos(nanos.unwrap_or(0)),
                bytes,
                destination: lines.next().unwrap_or_default().to_owned(),
                spans: lines.next().and_then(|spans| spans.parse().ok()).unwrap_or(0),
                reason: lines.next().unwrap_or_default().to_owned(),
            })
        };
        Ok(names.into_iter().filter_map(look).collect())
    }

    /// The bytes of a refused payload.
    ///
    /// # Errors
    ///
    /// They cannot be read: perhaps it was removed.
    pub fn read_rejected(&self, rejected: &Rejected) -> io::Result<Vec<u8>> {
        self.read(&rejected.path, kept::MOST_BYTES)
    }

    /// Removes a refused payload: somebody has taken it after all.
    ///
    /// # Errors
    ///
    /// It cannot be removed, and was not removed before.
    pub fn remove_rejected(&self, rejected: &Rejected) -> io::Result<()> {
        for path in [&rejected.path, &rejected.path.with_extension("txt")] {
            match self.files.remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn read(&self, path: &std::path::Path, most: u64) -> io::Result<Vec<u8>> {
        files::read_all(&*self.files.open(path, How::Read)?, most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejected_payload_is_listed_with_its_reason_until_it_is_removed() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let root = Root::open(directory.path().join("spool")).expect("it can be made");
        assert_eq!(root.rejected().expect("there is none"), []);
        let limits = Limits::default();
        let keep =
            |payload: &[u8], reason| root.keep_rejected(payload, 3, "otlp/http/protobuf http://h", reason, limits);
        keep(b"one", "first\nreason").expect("there is room");
        keep(b"other", "second").expect("there is room");
        let listed = root.rejected().expect("they can be listed");
        let shown: Vec<_> = listed
            .iter()
            .map(|rejected| {
                (
                    rejected.bytes,
                    rejected.spans,
                    &*rejected.destination,
                    &*rejected.reason,
                )
            })
            .collect();
        let to = "otlp/http/protobuf http://h";
        assert_eq!(shown, [(3, 3, to, "first reason"), (5, 3, to, "second")]);
        assert!(listed[0].time <= listed[1].time && listed[0].time.elapsed().is_ok());
        assert_eq!(root.read_rejected(&listed[1]).expect("it is there"), b"other");
        root.remove_rejected(&listed[0]).expect("it is there");
        root.remove_rejected(&listed[0]).expect("it is gone, as is wanted");
        assert_eq!(root.rejected().expect("they can be listed"), [listed[1].clone()]);
    }

    #[test]
    fn rejected_payloads_stay_within_a_part_of_the_quota() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let root = Root::open(directory.path().join("spool")).expect("it can be made");
        let limits = Limits {
            pending: 1 << 20,
            history: 0,
            ..Limits::default()
        };
        let keep = |payload: &[u8]| root.keep_rejected(payload, 1, "to", "why", limits);
        for _ in 0..10 {
            keep(&[1; 20_000]).expect("there is room when older ones have gone");
        }
        let bytes: u64 = root
            .rejected()
            .expect("they can be listed")
            .iter()
            .map(|it| it.bytes)
            .sum();
        assert!((20_000..=1 << 16).contains(&bytes), "{bytes}");
        assert!(keep(&[1; 1 << 17]).is_err());
    }
}
