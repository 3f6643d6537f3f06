//! Who adds to what is kept with an entry.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::Entry;
use crate::RequestKey;

/// What is kept with an entry: names and values. The context is in it too, under the names of its headers.
pub type Metadata = BTreeMap<String, String>;

/// More than this one middleware cannot add, in bytes of names and values.
const MAX_METADATA: usize = 16 << 10;

/// Adds to what is kept with an entry, and sees its attempts.
///
/// One that panics adds nothing, and harms nobody. What it adds beyond 16 KiB is left out as a whole.
///
/// ```
/// use throughline_jobs::RequestKey;
/// use throughline_jobs::endpoint::{Metadata, Middleware};
///
/// struct Tenant;
///
/// impl Middleware for Tenant {
///     fn before_push(&self, _: RequestKey, data: &[u8]) -> Metadata {
///         Metadata::from([("tenant".to_owned(), String::from_utf8_lossy(data).into_owned())])
///     }
/// }
/// ```
pub trait Middleware: Send + Sync {
    /// What is to be kept with an entry that is pushed.
    fn before_push(&self, _key: RequestKey, _data: &[u8]) -> Metadata {
        Metadata::new()
    }

    /// An attempt begins. Its span is current.
    fn before_process(&self, _entry: &Entry) {}

    /// An attempt has ended. Its span is current.
    fn after_process(&self, _entry: &Entry, _success: bool) {}
}

#[derive(Default)]
pub(super) struct Middlewares(Vec<Box<dyn Middleware>>);

impl fmt::Debug for Middlewares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} middlewares", self.0.len())
    }
}

impl Middlewares {
    pub(super) fn add(&mut self, middleware: impl Middleware + 'static) {
        self.0.push(Box::new(middleware));
    }

    /// What all of them say; of one name the last.
    pub(super) fn metadata(&self, key: RequestKey, data: &[u8]) -> Metadata {
        let mut all = Metadata::new();
        for middleware in &self.0 {
            let one = catch_unwind(AssertUnwindSafe(|| middleware.before_push(key, data))).unwrap_or_default();
            let bytes: usize = one.iter().map(|(name, value)| name.len() + value.len()).sum();
            if bytes <= MAX_METADATA {
                all.extend(one);
            }
        }
        all
    }

    pub(super) fn before_process(&self, entry: &Entry) {
        self.tell(|middleware| middleware.before_process(entry));
    }

    pub(super) fn after_process(&self, entry: &Entry, success: bool) {
        self.tell(|middleware| middleware.after_process(entry, success));
    }

    fn tell(&self, tell: impl Fn(&dyn Middleware)) {
        for middleware in &self.0 {
            let _ = catch_unwind(AssertUnwindSafe(|| tell(&**middleware)));
        }
    }
}
