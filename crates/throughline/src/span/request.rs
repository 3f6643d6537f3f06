//! The long way to start a span: with everything that a sampler may see and that a builder can choose.

use std::time::SystemTime;

use throughline_spool::{OpenSpan, Recording, Start};
use throughline_wire::{SpanKind, TraceId};

use super::{HAS_IS_REMOTE, IS_REMOTE, ParentRef, RANDOM, SAMPLED, Span, inherit_relay};
use crate::attributes::{Encoded, Of};
use crate::context::Context;
use crate::processor::{self, Chain, chain};
use crate::recording;
use crate::sampler::{Decision, SamplingInput};
use crate::scope::Scope;
use crate::{clock, random, tracer};

/// A span that is wanted.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub name: &'a str,
    pub scope: &'a Scope,
    pub kind: SpanKind,
    pub attributes: Encoded,
    /// With the attributes of each.
    pub links: (Vec<Context>, Vec<Encoded>),
    pub start: Option<SystemTime>,
}

impl<'a> Request<'a> {
    pub fn new(name: &'a str, scope: &'a Scope, kind: SpanKind) -> Self {
        Self {
            name,
            scope,
            kind,
            attributes: Encoded::new(Of::Span),
            links: Default::default(),
            start: None,
        }
    }

    /// Whether there is nothing but a name, a scope and a kind.
    pub fn is_plain(&self) -> bool {
        self.start.is_none() && self.links.0.is_empty() && self.attributes.is_empty()
    }
}

impl Span {
    /// Starts a span that was asked for in full.
    #[cold]
    #[inline(never)]
    pub(crate) fn start_with(request: &Request<'_>, parent: ParentRef<'_>) -> Self {
        let ids = parent.ids();
        if !throughline_spool::is_on() || parent.is_suppressed(ids) {
            return Self::start(request.name, request.scope, request.kind, parent);
        }
        if processor::is_at_work() {
            return Self::none();
        }
        let parent = parent.to_context();
        let is_child = ids.is_span();
        let new_trace_id = || tracer::generated_trace_id().unwrap_or_else(random::trace_id);
        let trace_id = if is_child { ids.trace_id() } else { new_trace_id() };
        let Some(known_trace_id) = TraceId::from_bytes(trace_id) else {
            return Self::none();
        };
        let sampled = tracer::sample(&SamplingInput {
            parent: &parent,
            trace_id: known_trace_id,
            name: request.name,
            kind: request.kind,
            attributes: request.attributes.view(),
            links: &request.links.0,
        });
        let sampled_flag = match sampled.decision {
            Decision::RecordAndSample => SAMPLED,
            Decision::Drop | Decision::RecordOnly => 0,
        };
        let inherited = if is_child { ids.flags() & !SAMPLED } else { RANDOM };
        let now = clock::now();
        let start = Start {
            trace_id,
            span_id: tracer::generated_span_id().unwrap_or_else(random::span_id),
            parent_span_id: ids.span_id(),
            flags: u32::from(inherited | sampled_flag) | HAS_IS_REMOTE | if ids.is_remote() { IS_REMOTE } else { 0 },
            kind: request.kind.number(),
            start_unix_nano: request.start.map_or(now.unix_nano, clock::unix_nano),
            source: request.scope.number(),
        };
        let open = match sampled.decision {
            Decision::Drop => OpenSpan::carry(&start),
            // It is for whoever looks at it here; nobody else is to see it, also not after a crash.
            Decision::RecordOnly => OpenSpan::start_unseen(&start, request.name),
            Decision::RecordAndSample => match chain() {
                Some(chain) if chain.is_private() => OpenSpan::start_private(&start, request.name),
                _ => OpenSpan::start(&start, request.name),
            },
        };
        let Some(mut open) = open else { return Self::none() };
        let relay = match sampled.trace_state {
            None => parent.relay().cloned(),
            Some(state) => parent.with_trace_state(&state).relay().cloned(),
        };
        inherit_relay(&mut open, relay);
        if open.is_recording() {
            let notes = open.notes_mut();
            notes.started = now.counter;
            notes.clock = match request.start {
                Some(_) => clock::EXPLICIT,
                None => now.source as u8,
            };
            if sampled.decision == Decision::RecordOnly {
                open.rare_mut().is_record_only = true;
            }
            let mut span = open.recording();
            add_attributes(&mut span, &request.attributes);
            add_attributes(&mut span, &sampled.attributes);
            for (to, attributes) in request.links.0.iter().zip(&request.links.1) {
                recording::link(&mut span, to, attributes.details());
            }
            if let Some(chain) = chain() {
                return Self::seen(open, request.name, chain, &parent);
            }
        }
        Self { open: Some(open) }
    }

    /// Shows a span that has started to the processors. One that is dropped stands for its parent; a root stands for a trace that is not
    /// sampled.
    pub(super) fn seen(open: OpenSpan, name: &str, chain: &Chain, parent: &Context) -> Self {
        let (trace_id, span_id, flags) = (open.trace_id(), open.span_id(), open.flags());
        let open = chain.start(open, name, parent).or_else(|| {
            let ids = parent.ids();
            let (span_id, flags) = match ids.is_span() {
                true => (ids.span_id(), u32::from(ids.flags())),
                false => (span_id, flags & !u32::from(SAMPLED)),
            };
            let mut stand_in = OpenSpan::carry(&Start {
                trace_id,
                span_id,
                parent_span_id: [0; 8],
                flags,
                kind: 0,
                start_unix_nano: 0,
                source: 0,
            })?;
            inherit_relay(&mut stand_in, parent.relay().cloned());
            Some(stand_in)
        });
        Self { open }
    }
}

fn add_attributes(span: &mut Recording<'_>, attributes: &Encoded) {
    attributes.for_each(|key, field| recording::set_encoded(span, key, field));
}
