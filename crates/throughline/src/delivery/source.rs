//! Where the delivery thread takes spans from: the spool, or a list in tests.

use super::report::Accounts;

/// How much one request may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchLimits {
    pub(crate) spans: usize,
    /// Of the whole body. A single span may exceed it: it is sent all the same.
    pub(crate) bytes: usize,
}

/// Whose spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// This process's own.
    Own,
    /// Those that processes that have died left.
    Dead,
}

/// One request's worth of spans.
#[derive(Debug)]
pub(crate) struct Batch {
    /// A complete `ExportTraceServiceRequest`.
    pub(crate) body: Vec<u8>,
    /// At least one.
    pub(crate) spans: u64,
    /// The source's own mark.
    pub(crate) token: u64,
}

/// What is committed and not settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) spans: u64,
    pub(crate) bytes: u64,
}

/// The source's own note of what was pending at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Mark(pub(crate) throughline_spool::Position);

/// Spans to deliver. All calls come from the delivery thread, one at a time.
pub(crate) trait Source: Send {
    /// A cheap count of this process's own spans that are committed and not settled.
    fn pending(&mut self) -> Pending;

    /// What is committed and not settled of this process's own spans. `None`: batches come in the order in which spans ended,
    /// so that their number tells when all of it is settled.
    fn mark(&mut self) -> Option<Mark> {
        None
    }

    /// Whether all that was marked is settled.
    fn is_settled(&mut self, _mark: &mut Mark) -> bool {
        true
    }

    /// What became of this process's own spans. Called at the end of a flush.
    fn accounts(&mut self) -> Accounts;

    /// The oldest own spans that are not settled, or those of processes that have died; `None` when there are none.
    ///
    /// This peeks: the same spans come again until they are settled by
    /// [`delivered`](Self::delivered) or [`rejected`](Self::rejected).
    fn next_batch(&mut self, of: Owner, limits: &BatchLimits) -> Option<Batch>;

    /// The backend took the batch: advances and persists the cursor. `rejected` of its spans
    /// were refused and count as dropped.
    fn delivered(&mut self, batch: &Batch, rejected: u64);

    /// The backend refuses the batch for good: keeps the payload aside, counts its spans as
    /// dropped, and advances.
    fn rejected(&mut self, batch: &Batch, reason: &str);

    /// Looks for what processes that have died left, to deliver their spans too. Called now and then.
    fn adopt(&mut self);

    /// The same at the end of a program, which may not live to settle all of it.
    fn adopt_in_haste(&mut self) {
        self.adopt();
    }

    /// All that was handed out in haste is settled, or will not be.
    fn end_haste(&mut self) {}

    /// Whether something has come since [`adopt`](Self::adopt) was last called. Cheap.
    fn has_news(&self) -> bool {
        false
    }

    /// Whether there will soon be more of processes that have died.
    fn expects_more(&self) -> bool {
        false
    }

    /// Where spans are while they cannot be delivered, in words.
    fn kept_where(&self) -> &'static str {
        "spans are kept in the local spool"
    }

    /// The delivery thread is about to rest: the next span wakes it.
    fn rest(&mut self) {}
}
