//! The spool as delivery's source of spans: this process's own first, then those of processes that have died.

use throughline_spool::{Dropped, Spool, Tail, Unsettled};
use throughline_wire::request::append_resource_spans;

use crate::delivery::{Accounts, Batch, BatchLimits, Pending, Source};
use crate::notice::notice;

/// The number of the one destination that there is.
const DESTINATION: usize = 0;

pub(crate) struct SpoolSource {
    spool: &'static Spool,
    own: Tail,
    /// The batch that was handed out last, and its token.
    unsettled: Option<(u64, Unsettled)>,
    last_token: u64,
}

impl SpoolSource {
    pub(crate) fn new(spool: &'static Spool) -> Self {
        Self {
            spool,
            own: Tail::new(spool, DESTINATION),
            unsettled: None,
            last_token: 0,
        }
    }
}

/// What became of the spans of this process.
pub(crate) fn accounts(spool: &Spool) -> Accounts {
    let account = spool.account(DESTINATION);
    let is_local = spool.settings().manifest.destinations.is_empty();
    let dropped = Dropped::ALL.into_iter().zip(account.dropped);
    Accounts {
        delivered: if is_local { 0 } else { account.delivered },
        // What is kept as history is what a program without a destination has.
        pending: if is_local { account.delivered } else { account.pending },
        dropped: dropped
            .filter(|(_, count)| *count > 0)
            .map(|(reason, count)| (reason.name(), count))
            .collect(),
    }
}

impl Source for SpoolSource {
    fn pending(&mut self) -> Pending {
        let (spans, bytes) = self.own.pending();
        Pending { spans, bytes }
    }

    fn accounts(&mut self) -> Accounts {
        accounts(self.spool)
    }

    fn next_batch(&mut self, limits: &BatchLimits) -> Option<Batch> {
        self.unsettled = None;
        let manifest = &self.spool.settings().manifest;
        let envelope = manifest.resource.len() + 256;
        let batch = self.own.next(limits.spans, limits.bytes.saturating_sub(envelope))?;
        let scopes = self.spool.scopes();
        let runs: Vec<(&[u8], &[u8])> = batch
            .runs()
            .iter()
            .map(|run| {
                (
                    scopes.get(run.scope as usize).map_or(&[][..], Vec::as_slice),
                    run.payload.as_slice(),
                )
            })
            .collect();
        let mut body = Vec::new();
        append_resource_spans(&mut body, &manifest.resource, &manifest.schema_url, &runs);
        self.last_token += 1;
        let (spans, token) = (batch.records(), self.last_token);
        self.unsettled = Some((token, batch));
        Some(Batch { body, spans, token })
    }

    fn delivered(&mut self, batch: &Batch, rejected: u64) {
        if let Some((_, settled)) = self.unsettled.take_if(|(token, _)| *token == batch.token) {
            self.own.settle(&settled, rejected);
        }
    }

    fn rejected(&mut self, batch: &Batch, reason: &str) {
        if let Some(root) = &self.spool.settings().root {
            match root.keep_rejected(&batch.body, reason) {
                Ok(path) => notice(format_args!("the refused spans are kept in {}", path.display())),
                Err(error) => notice(format_args!("the refused spans cannot be kept: {error}")),
            }
        }
        self.delivered(batch, batch.spans);
    }

    fn adopt(&mut self) {}
}
