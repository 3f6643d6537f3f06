//! Listeners to every change of the current context, for bridges to other tracing APIs that have a current context of their own.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::Context;

/// More would cost every span.
const MOST: usize = 4;

static HOOKS: [OnceLock<&'static dyn Hook>; MOST] = [const { OnceLock::new() }; MOST];
static HAS_HOOKS: AtomicBool = AtomicBool::new(false);

/// Is told when a context becomes current on a thread and when it stops being so, and may know of another that is.
///
/// All calls run on that thread, while the change happens: they must be quick and must not panic. They may read
/// [`current`](crate::current) but must not enter a context. What [`current`](Self::current) reads is not asked of hooks again.
pub trait Hook: Send + Sync {
    /// `context` has become current, as the frame of this number: no other frame of the thread has it.
    fn entered(&self, frame: u64, context: &Context);

    /// The frame has ended; `current` is what is current now, of our own contexts.
    ///
    /// Frames may end in another order than they began. Those inside a [`scope`](crate::scope) that ends, and whose guards live on or
    /// were leaked, are not told one by one: the scope's own frame is.
    fn exited(&self, frame: u64, current: &Context);

    /// What is current by the other API, if that is newer than `ours`: the context that was entered here last.
    ///
    /// Whoever is told of each frame by [`entered`](Self::entered) can make it current there as well; then the other API always
    /// knows what is newest.
    fn current(&self, ours: &Context) -> Option<Context> {
        let _ = ours;
        None
    }
}

/// There are as many hooks as there can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyHooks;

impl std::fmt::Display for TooManyHooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{MOST} context hooks are installed, and there can be no more")
    }
}

impl std::error::Error for TooManyHooks {}

/// Installs a hook for the life of the process. At most 4; they are told in the order in which they were installed, and asked for a
/// foreign context in the same order until one has an answer.
///
/// # Errors
///
/// [`TooManyHooks`] when there are 4 already.
pub fn add_hook(hook: &'static dyn Hook) -> Result<(), TooManyHooks> {
    let installed = HOOKS.iter().any(|place| place.set(hook).is_ok());
    HAS_HOOKS.fetch_or(installed, Ordering::Release);
    installed.then_some(()).ok_or(TooManyHooks)
}

#[inline]
pub(crate) fn has_hooks() -> bool {
    HAS_HOOKS.load(Ordering::Relaxed)
}

#[cold]
pub(crate) fn tell(mut tell: impl FnMut(&dyn Hook)) {
    HOOKS.iter().map_while(OnceLock::get).for_each(|hook| tell(*hook));
}

#[cold]
pub(crate) fn foreign(ours: &Context) -> Option<Context> {
    HOOKS
        .iter()
        .map_while(OnceLock::get)
        .find_map(|hook| hook.current(ours))
}
