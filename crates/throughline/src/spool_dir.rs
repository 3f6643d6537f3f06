//! Where the spool lies unless somebody says otherwise.

use std::path::PathBuf;

/// `$XDG_STATE_HOME/throughline`, or `~/.local/state/throughline` (XDG Base Directory Specification); on Windows
/// `%LOCALAPPDATA%\throughline`.
#[must_use]
pub fn default_spool_dir() -> Option<PathBuf> {
    Some(throughline_spool::state_directory()?.join("throughline"))
}
