//! One listener to every change of the current context, for a bridge to another tracing API.

use std::sync::OnceLock;

use crate::Context;

static HOOK: OnceLock<&'static dyn Hook> = OnceLock::new();

/// Is told when a context becomes current on a thread and when it stops being so.
///
/// Both calls run on that thread, while the change happens: they must be quick and must not panic. They may read
/// [`current`](crate::current) but must not enter a context.
pub trait Hook: Send + Sync {
    /// `context` has become current. The number returned is handed to [`exited`](Self::exited).
    fn entered(&self, context: &Context) -> usize;

    /// The context whose `entered` call returned `token` has ended; `current` is what is current now.
    ///
    /// Contexts may end in another order than they began.
    fn exited(&self, token: usize, current: &Context);
}

/// A hook is installed already; there is one for the life of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HookTaken;

impl std::fmt::Display for HookTaken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a context hook is installed already; there is one for the life of a process")
    }
}

impl std::error::Error for HookTaken {}

/// Installs the process's one hook.
///
/// # Errors
///
/// [`HookTaken`] when there is one already, the same or another.
pub fn set_hook(hook: &'static dyn Hook) -> Result<(), HookTaken> {
    HOOK.set(hook).map_err(|_| HookTaken)
}

#[inline]
pub(crate) fn hook() -> Option<&'static dyn Hook> {
    HOOK.get().copied()
}
