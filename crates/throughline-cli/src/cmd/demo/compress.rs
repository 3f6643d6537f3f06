//! The worker's child: unpacks an archive, and compresses what was in it.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;

use flate2::Compression;
use flate2::write::GzEncoder;
use throughline::{Context, span};
use throughline_wire::environment::pairs;

use super::pack::{Packed, pack};
use super::parent_watch::{LIMIT, ParentWatch};
use super::span_log::{SpanReporter, tell};
use crate::exit::Failure;

/// The worker's child.
#[derive(clap::Args)]
pub struct Compress {
    archive: PathBuf,
    result: PathBuf,
    /// Stop after unpacking until the worker is gone
    #[arg(long)]
    stop: bool,
}

impl Compress {
    pub fn execute(self) -> Result<u8, Failure> {
        let tracing = throughline::init("demo-compress");
        let parent_watch = ParentWatch::of_stdin().map_err(Failure::new)?;
        let parent = throughline::extract(pairs(std::env::vars_os())).unwrap_or_else(Context::root);
        let reporter = SpanReporter::Stdout;
        let mut span = reporter.start(span!(parent: &parent, "compress"));
        let done = span.in_scope(|| self.compress(&reporter, &parent_watch));
        let done = done.inspect_err(|error| span.error(error));
        drop(span);
        drop(tracing);
        match done {
            // The worker that was killed is the demo's point, and not worth a line.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(1),
            done => done.map(|()| 0).map_err(Failure::new),
        }
    }

    fn compress(&self, reporter: &SpanReporter, parent_watch: &ParentWatch) -> io::Result<()> {
        let unpacked = self.result.with_extension("unpacked");
        let span = reporter.start(span!("unpack"));
        fs::create_dir(&unpacked)?;
        tar::Archive::new(File::open(&self.archive)?).unpack(&unpacked)?;
        drop(span);
        if self.stop {
            tell("stopped");
            parent_watch.is_gone_within(LIMIT);
            return Err(io::Error::new(io::ErrorKind::Interrupted, "the worker is gone"));
        }
        let mut span = reporter.start(span!("gzip"));
        let file = BufWriter::new(File::create(&self.result)?);
        let mut gzip = GzEncoder::new(file, Compression::fast());
        let Packed { contents, bytes, .. } = pack(&unpacked, &mut gzip)?;
        gzip.finish()?.flush()?;
        span.set("files", contents.len());
        span.set("bytes.before", bytes);
        span.set("bytes.after", fs::metadata(&self.result)?.len());
        Ok(())
    }
}
