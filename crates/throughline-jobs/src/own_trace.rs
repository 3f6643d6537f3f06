//! Work in a trace of its own: what a timer starts, and what a controller does about a record.

use throughline::{Context, span};

use crate::{Operation, Record};

/// Starts the span of one run of a periodic job, in a trace of its own. The span that is current here, which set the timer up or asks it,
/// is linked and not inherited: else all runs would be in one trace without an end.
///
/// A periodic job that is kept in a record, and pushed each time it is due, is for a queue with [`Relation::Link`](crate::Relation::Link).
///
/// ```
/// use throughline_jobs::periodic;
///
/// let capture = throughline::testing::capture();
/// throughline::span!("start").in_scope(|| periodic("clean up").run(|| { /* each hour */ }));
/// capture.assert_tree("start\nclean up");
/// ```
pub fn periodic(name: &str) -> Operation {
    own_trace(name, &Context::current())
}

/// Starts the span in which a controller brings about what a record asks for, in a trace of its own, which is linked to the span that wrote
/// the record.
///
/// A controller may look at one record many times, long after it was written: it is no part of that trace. Whoever writes the record stores
/// [`JobContext::current`](crate::JobContext::current) with it.
///
/// ```
/// use throughline_jobs::{JobContext, reconcile};
///
/// let capture = throughline::testing::capture();
/// let stored = throughline::span!("deploy").in_scope(|| JobContext::current().to_string());
/// let mut span = reconcile("reconcile app", &stored);
/// span.span().set("app.id", "shop");
/// span.run(|| ());
/// capture.assert_tree("deploy\nreconcile app {app.id=shop}");
/// ```
pub fn reconcile(name: &str, record: &impl Record) -> Operation {
    own_trace(name, record.read().context())
}

fn own_trace(name: &str, cause: &Context) -> Operation {
    let mut span = span!(parent: None, name);
    span.link(cause, []);
    Operation::new(span)
}
