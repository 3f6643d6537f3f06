//! What the library has to say to the person who runs the program: one line on stderr.
//!
//! Used for bad settings and for changes of a destination's state. Nothing here can fail, panic or
//! change the program's output: a closed stderr is no error.

use std::collections::BTreeSet;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, OnceLock, TryLockError};

use throughline_wire::terminal::escaped;

use crate::caught::caught;

/// More distinct texts than this are not remembered, and so not said: a bound for the memory and
/// for the noise.
const DISTINCT_TEXTS: usize = 1024;

/// Gets the lines instead of stderr.
pub(crate) type Handler = Box<dyn Fn(&str) + Send + Sync>;

static HANDLER: OnceLock<Handler> = OnceLock::new();

/// The first call decides.
pub(crate) fn set_handler(handler: Handler) {
    let _first = HANDLER.set(handler);
}

static SAID: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());

/// Writes `throughline: <text>` as one line to stderr, once for each distinct text in this process.
pub(crate) fn report_once(text: fmt::Arguments<'_>) {
    let text = text.to_string();
    if first_time(&SAID, &text) {
        write_line(&text);
    }
}

/// As [`report_once`], but also when the same text was said before: for the changes of a state that can
/// come back, where the caller sees to it that they are rare.
pub(crate) fn report(text: fmt::Arguments<'_>) {
    write_line(&text.to_string());
}

fn first_time(said: &Mutex<BTreeSet<u64>>, text: &str) -> bool {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    let mut said = match said.try_lock() {
        Ok(said) => said,
        Err(TryLockError::Poisoned(said)) => said.into_inner(),
        // Another thread says something at this moment. Or did so when this process was forked, and
        // will never let go: saying it twice is better than waiting.
        Err(TryLockError::WouldBlock) => return true,
    };
    said.len() < DISTINCT_TEXTS && said.insert(hasher.finish())
}

fn write_line(text: &str) {
    if let Some(handler) = HANDLER.get() {
        // What the user's code does with it is the user's business, but for a panic on a thread of ours.
        let _ = caught(|| handler(&escaped(text)));
        return;
    }
    // One write, so that lines of several processes on one terminal do not mix.
    throughline_spool::write_to_stderr(format!("throughline: {}\n", escaped(text)).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_said_once_and_the_memory_for_it_is_bounded() {
        let said = Mutex::new(BTreeSet::new());
        assert!(first_time(&said, "a"));
        assert!(!first_time(&said, "a"));
        for i in 0..2 * DISTINCT_TEXTS {
            first_time(&said, &i.to_string());
        }
        assert_eq!(said.lock().unwrap().len(), DISTINCT_TEXTS);
        assert!(!first_time(&said, "one more"));
    }
}
