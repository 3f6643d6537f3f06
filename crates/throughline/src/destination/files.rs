//! Local files, as a program names them.

use std::path::PathBuf;

/// A directory for OTLP/JSON lines; made by [`Destination::files`](crate::Destination::files).
///
/// ```
/// use throughline::{Destination, FileLayout};
///
/// let files = Destination::files("/var/tmp/orders-traces")
///     .layout(FileLayout::ByTrace)
///     .max_bytes(64 << 20);
/// ```
#[derive(Clone, Debug)]
#[must_use = "it is used by `Builder::destination`"]
pub struct FilesDestination {
    pub(crate) path: PathBuf,
    pub(crate) layout: FileLayout,
    pub(crate) max_bytes: u64,
    pub(crate) rotate_bytes: u64,
}

/// Which file a span goes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileLayout {
    /// `<service>-<pid>-<start of the process>.jsonl`: a file for each process that writes, and a line for each batch. The cheapest.
    #[default]
    ByProcess,
    /// `<day>/<trace id>.jsonl`, such as `2026-11-21/4bf92f3577b34da6a3ce929d0e0e4736.jsonl`: what several processes tell of one trace
    /// lies in one file. A span belongs to the day, in UTC, on which it began. There are as many files as traces, of at least 4 KiB
    /// each on the disk: for development, not for thousands of traces per second.
    ByTrace,
}

impl FilesDestination {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            layout: FileLayout::default(),
            max_bytes: 256 << 20,
            rotate_bytes: 16 << 20,
        }
    }

    /// Which file a span goes to. Default [`FileLayout::ByProcess`].
    pub fn layout(mut self, layout: FileLayout) -> Self {
        self.layout = layout;
        self
    }

    /// How many bytes all trace files of the directory may take, whoever wrote them. Default 256 MiB. The oldest are removed
    /// first, which is said once.
    ///
    /// Each process looks when it has written a sixteenth of it, so that several may go beyond it by as much each. Files with
    /// names of another form are neither counted nor removed.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// How long one file may become before the next is begun (`<name>.1.jsonl`). Default 16 MiB; at most half of
    /// [`max_bytes`](Self::max_bytes). A line that is longer has a file of its own.
    pub fn rotate_bytes(mut self, bytes: u64) -> Self {
        self.rotate_bytes = bytes;
        self
    }
}
