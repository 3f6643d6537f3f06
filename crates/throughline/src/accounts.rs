//! What became of the spans of this process, as the spool counts them.

use throughline_spool::{Dropped, Recorder};

use crate::delivery::Accounts;

/// What became of the spans of this process on their way to a destination.
pub(crate) fn accounts(recorder: &Recorder, destination: usize) -> Accounts {
    let account = recorder.account(destination);
    let dropped = Dropped::ALL.into_iter().zip(account.dropped);
    Accounts {
        delivered: account.delivered,
        pending: account.pending,
        in_memory: account.in_memory,
        dropped: dropped
            .filter(|(_, count)| *count > 0)
            .map(|(reason, count)| (reason.name(), count))
            .collect(),
    }
}
