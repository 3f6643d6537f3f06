//! The spool as delivery's source of spans: this process's own first, then those of processes that have died.

use throughline_spool::{self as spool, Consumer, Position, Recorder, Run};
use throughline_wire::request::{ScopeSpans, append_resource_spans};

use crate::accounts::accounts;
use crate::adopted::Adopted;
use crate::delivery::{Accounts, Batch, BatchLimits, Mark, Owner, Pending, Source};
use crate::diagnostics::report_once;
use crate::housekeeping;
use crate::start::IN_MEMORY;

pub(crate) struct SpoolSource {
    recorder: &'static Recorder,
    /// The destination's number.
    destination: usize,
    /// `None` when somebody else delivers for the destination; there is nobody else.
    own: Option<Consumer>,
    /// `None` where there is no spool directory, and so no other process's, or nothing is to be adopted.
    adopted: Option<Adopted>,
    /// The batch that was handed out last, and its token.
    unsettled: Option<(u64, Origin)>,
    last_token: u64,
    /// What had been archived when adopted spans were last looked for.
    archived: u64,
}

/// Where a batch came from.
enum Origin {
    Own(spool::Batch),
    Adopted(spool::Portion),
}

impl SpoolSource {
    /// `adopts`: sends also what dead processes left for the destination. `is_for_all`: and what they meant for other backends.
    pub(crate) fn new(recorder: &'static Recorder, destination: usize, adopts: bool, is_for_all: bool) -> Self {
        let adopted = || Adopted::new(recorder.settings(), destination, is_for_all);
        Self {
            recorder,
            destination,
            own: recorder.store().consumer(destination),
            // Where nothing can be written nothing can be marked as delivered.
            adopted: (adopts && recorder.store().path().is_some()).then(adopted).flatten(),
            unsettled: None,
            last_token: 0,
            archived: 0,
        }
    }

    fn next_own(&mut self, limits: &BatchLimits) -> Option<(Vec<u8>, u64, Origin)> {
        let room = limits
            .bytes
            .saturating_sub(self.recorder.settings().resource.len() + 256);
        let batch = match self.own.as_mut()?.next(limits.spans, room) {
            Ok(batch) => batch?,
            Err(error) => {
                report_once(format_args!(
                    "spans cannot be read from the spool: {error}; they stay there"
                ));
                return None;
            }
        };
        let body = request(batch.runs());
        Some((body, batch.records(), Origin::Own(batch)))
    }

    fn next_adopted(&mut self, limits: &BatchLimits) -> Option<(Vec<u8>, u64, Origin)> {
        // Of whose resources it will be is not known before it is read.
        const AROUND: usize = 64 << 10;
        let room = limits.bytes.saturating_sub(AROUND.min(limits.bytes / 4));
        let portion = self.adopted.as_mut()?.next(limits.spans, room)?;
        let body = request(portion.runs());
        Some((body, portion.records(), Origin::Adopted(portion)))
    }
}

/// A whole `ExportTraceServiceRequest`.
fn request<'a>(runs: impl Iterator<Item = Run<'a>>) -> Vec<u8> {
    let runs: Vec<_> = runs.collect();
    let mut body = Vec::new();
    let is_one_resource = |a: &Run<'_>, b: &Run<'_>| {
        (&a.source.resource, &a.source.schema_url) == (&b.source.resource, &b.source.schema_url)
    };
    for group in runs.chunk_by(is_one_resource) {
        let scopes: Vec<_> = group
            .iter()
            .map(|run| ScopeSpans {
                scope: &run.source.scope,
                schema_url: &run.source.scope_schema_url,
                spans: &run.payloads,
            })
            .collect();
        let source = group[0].source;
        append_resource_spans(&mut body, &source.resource, &source.schema_url, &scopes);
    }
    body
}

impl Source for SpoolSource {
    fn pending(&mut self) -> Pending {
        let (spans, bytes) = self.own.as_ref().map_or((0, 0), Consumer::pending);
        Pending { spans, bytes }
    }

    fn mark(&mut self) -> Option<Mark> {
        let position = self.own.as_ref().map_or_else(Position::default, Consumer::position);
        Some(Mark(position))
    }

    fn is_settled(&mut self, mark: &mut Mark) -> bool {
        self.own.as_ref().is_none_or(|own| own.is_settled(&mut mark.0))
    }

    fn accounts(&mut self) -> Accounts {
        accounts(self.recorder, self.destination)
    }

    fn next_batch(&mut self, of: Owner, limits: &BatchLimits) -> Option<Batch> {
        self.unsettled = None;
        let (body, spans, origin) = match of {
            Owner::Own => self.next_own(limits),
            Owner::Dead => self.next_adopted(limits),
        }?;
        self.last_token += 1;
        let token = self.last_token;
        self.unsettled = Some((token, origin));
        Some(Batch { body, spans, token })
    }

    fn delivered(&mut self, batch: &Batch, rejected: u64) {
        match self.unsettled.take_if(|(token, _)| *token == batch.token) {
            Some((_, Origin::Own(settled))) => {
                if let Some(own) = &mut self.own {
                    own.settle(settled, rejected);
                }
            }
            Some((_, Origin::Adopted(settled))) => {
                if let Some(adopted) = &mut self.adopted {
                    adopted.settle(&settled, rejected);
                }
            }
            None => {}
        }
    }

    fn rejected(&mut self, batch: &Batch, reason: &str) {
        let settings = self.recorder.settings();
        if let Some(root) = &settings.root {
            let destination = settings.manifest.destinations.get(self.destination);
            let name = destination.map_or("", |destination| &destination.name);
            match root.keep_rejected(&batch.body, batch.spans, name, reason, settings.limits) {
                // The directory, so that a backend that refuses batch after batch is told of once.
                Ok(path) => report_once(format_args!(
                    "the refused spans are kept in {}; `throughline recover --rejected` lists them",
                    path.parent().unwrap_or(&path).display()
                )),
                Err(error) => report_once(format_args!("the refused spans cannot be kept: {error}")),
            }
        }
        self.delivered(batch, batch.spans);
    }

    fn has_news(&self) -> bool {
        self.adopted.is_some() && housekeeping::archived() != self.archived
    }

    fn adopt(&mut self) {
        self.archived = housekeeping::archived();
        if let Some(adopted) = &mut self.adopted {
            adopted.look();
        }
    }

    fn adopt_in_haste(&mut self) {
        self.archived = housekeeping::archived();
        if let Some(adopted) = &mut self.adopted {
            adopted.look_in_haste();
        }
    }

    fn end_haste(&mut self) {
        if let Some(adopted) = &mut self.adopted {
            adopted.end_haste();
        }
    }

    fn expects_more(&self) -> bool {
        self.adopted.is_some() && (housekeeping::is_busy() || !housekeeping::has_looked())
    }

    fn kept_where(&self) -> &'static str {
        match self.recorder.store().path() {
            Some(_) => "spans are kept in the local spool",
            None => IN_MEMORY,
        }
    }

    fn rest(&mut self) {
        self.recorder.rest();
    }
}
