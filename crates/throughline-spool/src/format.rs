//! What the bytes of the files mean: pure functions without files, locks or clocks. `docs/spool-format.md` describes it.

pub(crate) mod header;
pub(crate) mod manifest;
pub(crate) mod record;
pub(crate) mod recovery;
pub(crate) mod slot;
pub(crate) mod source;
pub(crate) mod unfinished;
