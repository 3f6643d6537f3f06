//! Instrumentation scopes: encoded once, named by a number in every record.
//!
//! The numbers are those of this program run, shared by all its spools (a forked child starts another one). In a process
//! directory the file `scopes` lists them in order: `length u32, crc u32, bytes` each.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError, RwLock};

use crate::directory;
use crate::record::read_u32;

static SCOPES: RwLock<Vec<Vec<u8>>> = RwLock::new(Vec::new());

/// The longest scope that is read back.
const MAX_LEN: usize = 1 << 20;

/// The number of a scope, given as an encoded OTLP `InstrumentationScope`.
pub(crate) fn number(scope: &[u8]) -> u32 {
    let find = |scopes: &Vec<Vec<u8>>| scopes.iter().position(|known| known == scope);
    if let Some(at) = find(&SCOPES.read().unwrap_or_else(PoisonError::into_inner)) {
        return at as u32;
    }
    let mut scopes = SCOPES.write().unwrap_or_else(PoisonError::into_inner);
    let at = find(&scopes).unwrap_or_else(|| {
        scopes.push(scope.to_vec());
        scopes.len() - 1
    });
    at as u32
}

/// All scopes, by their numbers.
pub(crate) fn all() -> Vec<Vec<u8>> {
    SCOPES.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// The file of a process directory.
pub(crate) struct ScopesFile(Mutex<(Option<File>, usize)>);

impl ScopesFile {
    pub fn create(directory: Option<&Path>) -> Self {
        let file = directory.and_then(|path| directory::write_file(&path.join(directory::SCOPES), &[]).ok());
        let scopes = Self(Mutex::new((file, 0)));
        scopes.catch_up();
        scopes
    }

    /// Writes the scopes that are new since the last call.
    pub fn catch_up(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, written) = &mut *state;
        let scopes = SCOPES.read().unwrap_or_else(PoisonError::into_inner);
        let Some(file) = file else { return };
        for scope in &scopes[*written..] {
            let mut entry = Vec::with_capacity(8 + scope.len());
            entry.extend_from_slice(&(scope.len() as u32).to_le_bytes());
            entry.extend_from_slice(&crc32c::crc32c(scope).to_le_bytes());
            entry.extend_from_slice(scope);
            if file.write_all(&entry).is_err() {
                // Half an entry may stand there; what cannot be read back is delivered with an empty scope.
                return;
            }
            *written += 1;
        }
    }
}

/// Reads a `scopes` file, up to the first entry that is damaged. Total: any bytes will do.
pub(crate) fn read(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut scopes = Vec::new();
    while let (Some(len), Some(crc)) = (read_u32(bytes, 0), read_u32(bytes, 4)) {
        let len = len as usize;
        let Some(scope) = bytes
            .get(8..8 + len.min(MAX_LEN))
            .filter(|scope| crc32c::crc32c(scope) == crc)
        else {
            break;
        };
        scopes.push(scope.to_vec());
        bytes = &bytes[8 + scope.len()..];
    }
    scopes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_back_up_to_the_first_damaged_one() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let numbers = [number(b"one"), number(b"two"), number(b"one")];
        assert_eq!(numbers[0], numbers[2]);
        assert_ne!(numbers[0], numbers[1]);
        let file = ScopesFile::create(Some(directory.path()));
        let three = number(b"three");
        file.catch_up();
        let mut bytes = std::fs::read(directory.path().join(directory::SCOPES)).expect("it is there");
        let scopes = read(&bytes);
        assert_eq!(scopes[numbers[0] as usize], b"one");
        assert_eq!(scopes[three as usize], b"three");
        let end = bytes.len() - 1;
        bytes[end] ^= 1;
        assert_eq!(read(&bytes).len(), scopes.len() - 1);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }
    }
}
