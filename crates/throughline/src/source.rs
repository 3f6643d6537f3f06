//! The spool as delivery's source of spans: this process's own first, then those of processes that have died.

use throughline_spool::{Dropped, Manifest, Portion, Spool, Tail, Unsettled};
use throughline_wire::request::append_resource_spans;

use crate::adopted::{Adopted, Whose};
use crate::delivery::{Accounts, Batch, BatchLimits, Mark, Pending, Source};
use crate::notice::notice;

/// The number of the one destination that there is.
const DESTINATION: usize = 0;

pub(crate) struct SpoolSource {
    spool: &'static Spool,
    own: Tail,
    /// `None` where there is no spool directory, and so no other process's.
    adopted: Option<Adopted>,
    /// The batch that was handed out last, and its token.
    unsettled: Option<(u64, Origin)>,
    last_token: u64,
}

/// Where a batch came from.
enum Origin {
    Own(Unsettled),
    Adopted(Portion),
}

impl SpoolSource {
    /// `is_for_all`: also sends what dead processes meant for other backends.
    pub(crate) fn new(spool: &'static Spool, is_for_all: bool) -> Self {
        let settings = spool.settings();
        let destination = settings.manifest.destinations.get(DESTINATION);
        let adopted = settings.root.clone().zip(destination).map(|(root, destination)| {
            let whose = if is_for_all {
                Whose::Anybodys
            } else {
                Whose::Of(destination.fingerprint.clone())
            };
            Adopted::new(root, whose, settings.limits)
        });
        Self {
            spool,
            own: Tail::new(spool, DESTINATION),
            adopted,
            unsettled: None,
            last_token: 0,
        }
    }

    fn next_own(&mut self, limits: &BatchLimits) -> Option<(Vec<u8>, u64, Origin)> {
        let manifest = &self.spool.settings().manifest;
        let batch = self.own.next(limits.spans, room(limits, manifest))?;
        let scopes = self.spool.scopes();
        let scope = |number: u32| scopes.get(number as usize).map_or(&[][..], Vec::as_slice);
        let runs = batch
            .runs()
            .iter()
            .map(|run| (scope(run.scope), run.payload.as_slice()));
        let body = request(manifest, runs);
        Some((body, batch.records(), Origin::Own(batch)))
    }

    fn next_adopted(&mut self, limits: &BatchLimits) -> Option<(Vec<u8>, u64, Origin)> {
        let adopted = self.adopted.as_mut()?;
        let portion = adopted.next(limits.spans, room(limits, &self.spool.settings().manifest))?;
        let runs = portion.runs().iter().map(|run| (&*run.scope, run.payload.as_slice()));
        let body = request(adopted.backlog()?.manifest(), runs);
        Some((body, portion.records(), Origin::Adopted(portion)))
    }
}

/// The bytes that are left for spans, beside what is put around them.
fn room(limits: &BatchLimits, manifest: &Manifest) -> usize {
    limits.bytes.saturating_sub(manifest.resource.len() + 256)
}

/// A whole `ExportTraceServiceRequest`.
fn request<'a>(manifest: &Manifest, runs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Vec<u8> {
    let mut body = Vec::new();
    append_resource_spans(
        &mut body,
        &manifest.resource,
        &manifest.schema_url,
        &runs.collect::<Vec<_>>(),
    );
    body
}

/// What became of the spans of this process.
pub(crate) fn accounts(spool: &Spool) -> Accounts {
    let account = spool.account(DESTINATION);
    let dropped = Dropped::ALL.into_iter().zip(account.dropped);
    Accounts {
        delivered: account.delivered,
        pending: account.pending,
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

    fn mark(&mut self) -> Option<Mark> {
        Some(Mark(self.own.mark()))
    }

    fn is_settled(&mut self, mark: &Mark) -> bool {
        self.own.is_settled(&mark.0)
    }

    fn accounts(&mut self) -> Accounts {
        accounts(self.spool)
    }

    fn next_batch(&mut self, limits: &BatchLimits) -> Option<Batch> {
        self.unsettled = None;
        let (body, spans, origin) = self.next_own(limits).or_else(|| self.next_adopted(limits))?;
        self.last_token += 1;
        let token = self.last_token;
        self.unsettled = Some((token, origin));
        Some(Batch { body, spans, token })
    }

    fn delivered(&mut self, batch: &Batch, rejected: u64) {
        match self.unsettled.take_if(|(token, _)| *token == batch.token) {
            Some((_, Origin::Own(settled))) => self.own.settle(&settled, rejected),
            Some((_, Origin::Adopted(settled))) => {
                if let Some(adopted) = &mut self.adopted {
                    adopted.settle(&settled, rejected);
                }
            }
            None => {}
        }
    }

    fn rejected(&mut self, batch: &Batch, reason: &str) {
        if let Some(root) = &self.spool.settings().root {
            match root.keep_rejected(&batch.body, reason) {
                // The directory, so that a backend that refuses batch after batch is told of once.
                Ok(path) => notice(format_args!(
                    "the refused spans are kept in {}",
                    path.parent().unwrap_or(&path).display()
                )),
                Err(error) => notice(format_args!("the refused spans cannot be kept: {error}")),
            }
        }
        self.delivered(batch, batch.spans);
    }

    fn adopt(&mut self) {
        if let Some(adopted) = &mut self.adopted {
            adopted.look();
        }
    }
}
