//! Tracers for libraries.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::{Arc, Mutex};

use opentelemetry::InstrumentationScope;
use opentelemetry::trace;
use throughline::{Scope, seam};

use crate::tracer::Tracer;
use crate::value::with_value;

/// Gives out [`Tracer`]s; [`install`](crate::install) makes it the global one.
///
/// Name, version, schema URL and attributes of a library become the scope of its spans. A library may ask again for each span: known
/// scopes are found again. It holds nothing; where spans go was decided by [`throughline::init`].
#[derive(Clone, Copy, Debug, Default)]
pub struct TracerProvider(());

impl TracerProvider {
    /// A provider, like any other.
    #[must_use]
    pub fn new() -> Self {
        Self(())
    }
}

impl trace::TracerProvider for TracerProvider {
    type Tracer = Tracer;

    fn tracer_with_scope(&self, scope: InstrumentationScope) -> Tracer {
        Tracer::new(known(scope))
    }
}

/// More different scopes are not kept here: a library that makes up names gets a new one each time.
const MOST: usize = 1000;

type Scopes = HashMap<InstrumentationScope, Arc<Scope>, BuildHasherDefault<DefaultHasher>>;
static KNOWN: Mutex<Scopes> = Mutex::new(HashMap::with_hasher(BuildHasherDefault::new()));

fn known(scope: InstrumentationScope) -> Arc<Scope> {
    // `None` in a forked child that cannot have the lock: there each tracer has a scope of its own.
    let Some(mut known) = seam::lock(&KNOWN) else {
        return Arc::new(native(&scope));
    };
    if let Some(found) = known.get(&scope) {
        return found.clone();
    }
    let made = Arc::new(native(&scope));
    if known.len() < MOST {
        known.insert(scope, made.clone());
    }
    made
}

fn native(scope: &InstrumentationScope) -> Scope {
    let version = scope.version().unwrap_or_default().to_owned();
    let mut native = Scope::named(scope.name().to_owned(), version);
    for attribute in scope.attributes() {
        native = with_value(&attribute.value, |value| {
            native.with_attribute(attribute.key.as_str(), value)
        });
    }
    native.with_schema_url(scope.schema_url().unwrap_or_default().to_owned())
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use fork::Fork;
    use opentelemetry::trace::{Span as _, Tracer as _, TracerProvider as _};
    use throughline_testkit::Spool;

    use super::*;

    #[test]
    fn tracers_are_given_out_in_a_child_whose_parent_held_the_lock() {
        let _alone = crate::ALONE.lock();
        let _capture = throughline::testing::capture();
        let spool = Spool::new().expect("a private directory");
        let result = spool.home().join("result");
        let (release, released) = mpsc::channel::<()>();
        let (hold, held) = mpsc::channel();
        let holder = thread::spawn(move || {
            let _guard = KNOWN.lock();
            hold.send(()).expect("it is waited for");
            let _ = released.recv();
        });
        held.recv().expect("it is told");
        match fork::fork().expect("a child") {
            Fork::Child => {
                thread::spawn(|| {
                    thread::sleep(Duration::from_secs(20));
                    std::process::abort();
                });
                TracerProvider::new().tracer("in the child").start("span").end();
                let _ = fs::write(result, "done");
                // Without a word to the test's harness, which is the parent's.
                std::process::abort();
            }
            Fork::Parent(child) => {
                let _status = fork::waitpid(child);
            }
        }
        assert_eq!(fs::read_to_string(result).expect("the child did not wait"), "done");
        drop(release);
        holder.join().expect("it does not panic");
    }
}
