//! Whose child the span of a job is.

use std::time::{Duration, SystemTime};

use crate::JobContext;

/// How the span that processes a job belongs to the span that created it; said for each queue ([`Queue::relation`](crate::Queue::relation)).
///
/// A link there is always. A batch has links only, whatever is said here, since it has many creators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Relation {
    /// A trace of its own, or that of the span that is current in the worker; with a link to the creator. For jobs that run long after
    /// they were created, and for periodic ones.
    Link,
    /// The creator's child, however late. For queues whose jobs belong to a request.
    Parent,
    /// The creator's child up to this long after the job was created, later a trace of its own. A job that does not say when it was
    /// created is the creator's child.
    ParentWithin(Duration),
}

impl Relation {
    /// `ParentWithin` an hour: most backends show or sample no trace as a whole that goes on for longer.
    pub const DEFAULT: Self = Self::ParentWithin(Duration::from_secs(3600));

    /// Whether the creator is the parent of a span that starts now.
    pub(crate) fn is_parent(self, job: &JobContext, now: SystemTime) -> bool {
        match self {
            Self::Link => false,
            Self::Parent => true,
            Self::ParentWithin(limit) => match job.created() {
                // A clock that is behind the creator's makes no delay.
                Some(created) => now.duration_since(created).unwrap_or_default() <= limit,
                None => true,
            },
        }
    }
}

/// [`Relation::DEFAULT`].
impl Default for Relation {
    fn default() -> Self {
        Self::DEFAULT
    }
}
