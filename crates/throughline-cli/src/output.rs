//! Where a command writes: stdout, or a file that is there whole or not at all.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use throughline_wire::terminal::escaped;

use crate::exit::Failure;

/// Room for what is not written yet, in bytes.
const BUFFER: usize = 256 << 10;

/// What is written to. Without [`finish`](Self::finish) a file does not appear.
pub struct Output {
    writer: BufWriter<Box<dyn Write>>,
    /// The file that is written, and the name it is to have.
    file: Option<(NamedTempFile, PathBuf)>,
    name: String,
}

impl Output {
    /// The file of that name, or stdout. A file is new, and readable by this user only.
    pub fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else {
            return Ok(Self::new(Box::new(io::stdout().lock()), None, "stdout".to_owned()));
        };
        let name = escaped(&path.display().to_string()).into_owned();
        let failure = |error: io::Error| Failure::new(format_args!("{name}: cannot be written: {error}"));
        // A link stays one, and a device or a pipe is written to.
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if path.metadata().is_ok_and(|found| !found.is_file()) {
            let file = OpenOptions::new().write(true).open(&path).map_err(failure)?;
            return Ok(Self::new(Box::new(file), None, name));
        }
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let file = NamedTempFile::new_in(directory.unwrap_or(Path::new("."))).map_err(failure)?;
        let writer = file.reopen().map_err(failure)?;
        Ok(Self::new(Box::new(writer), Some((file, path)), name))
    }

    fn new(writer: Box<dyn Write>, file: Option<(NamedTempFile, PathBuf)>, name: String) -> Self {
        Self {
            writer: BufWriter::with_capacity(BUFFER, writer),
            file,
            name,
        }
    }

    /// Whether a person would get it on a screen.
    pub fn is_terminal(path: Option<&Path>) -> bool {
        path.is_none() && io::stdout().is_terminal()
    }

    pub fn writer(&mut self) -> &mut dyn Write {
        &mut self.writer
    }

    /// Ends the output that was `written`; success also when the reader of a pipe has seen enough and left.
    pub fn finish(mut self, written: io::Result<()>) -> Result<(), Failure> {
        match written.and_then(|()| self.writer.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                // What is left in the buffer would be tried again.
                drop(self.writer.into_parts());
                return Ok(());
            }
            Err(error) => {
                let failure = Failure::new(format_args!("{}: cannot be written: {error}", self.name));
                drop(self.writer.into_parts());
                return Err(failure);
            }
            Ok(()) => {}
        }
        let Some((file, path)) = self.file else {
            return Ok(());
        };
        match file.persist(path) {
            Ok(_) => Ok(()),
            Err(error) => Err(Failure::new(format_args!(
                "{}: cannot be written: {}",
                self.name, error.error
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn file_is_there_whole_or_as_before() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out");
        fs::write(&path, "old").unwrap();
        let mut output = Output::open(Some(&path)).unwrap();
        output.writer().write_all(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        output.finish(Ok(())).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);

        let output = Output::open(Some(&path)).unwrap();
        assert!(output.finish(Err(io::Error::other("it failed"))).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn device_is_written_to_and_not_replaced() {
        let mut output = Output::open(Some(Path::new("/dev/null"))).unwrap();
        output.writer().write_all(b"x").unwrap();
        output.finish(Ok(())).unwrap();
        assert!(!Path::new("/dev/null").metadata().unwrap().is_file());
    }
}
