//! Where the spool lies unless somebody says otherwise.

use std::path::PathBuf;

/// `$XDG_STATE_HOME/throughline`, or `~/.local/state/throughline` (XDG Base Directory Specification).
#[must_use]
pub fn default_spool_dir() -> Option<PathBuf> {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let state = absolute("XDG_STATE_HOME").or_else(|| Some(absolute("HOME")?.join(".local/state")))?;
    Some(state.join("throughline"))
}
