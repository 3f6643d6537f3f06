//! A span in the hands of a processor.

use std::time::SystemTime;

use throughline_spool::Recording;
use throughline_wire::{SpanView, StatusCode, Value};

use crate::attributes::{Encoded, Of};
use crate::clock;
use crate::context::Context;
use crate::recording::{self, Details, ErrorText};
use crate::span::{context_of_recording, is_formatted, recording_methods, set_value};
use crate::value::ToValue;

/// A span in the hands of a [`SpanProcessor`](crate::SpanProcessor): it can be read and changed.
#[derive(Debug)]
pub struct ProcessedSpan<'a> {
    span: Recording<'a>,
    /// What it was given at its start; `None` where it may have another by now.
    name: Option<&'a str>,
}

impl<'a> ProcessedSpan<'a> {
    pub(super) fn new(span: Recording<'a>) -> Self {
        Self { span, name: None }
    }

    pub(super) fn started(span: Recording<'a>, name: &'a str) -> Self {
        Self { span, name: Some(name) }
    }

    /// Its name.
    #[inline]
    #[must_use]
    pub fn name(&self) -> &str {
        match self.name {
            Some(name) => name,
            None => recording::name(&self.span),
        }
    }

    /// What it holds so far. Its status is told by [`is_error`](Self::is_error) until it has ended.
    #[must_use]
    pub fn view(&self) -> SpanView<'_> {
        SpanView::new(self.span.body())
    }

    /// Its context, with tracestate and baggage.
    #[must_use]
    pub fn context(&self) -> Context {
        context_of_recording(&self.span)
    }

    /// Whether its status is an error so far.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.span.notes().status == StatusCode::Error.number()
    }

    /// Whether it is kept: not one that a sampler wants recorded for processors only.
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.span.flags() & 1 == 1
    }

    /// Removes an attribute. `false`: there was none with this key.
    pub fn remove(&mut self, key: &str) -> bool {
        recording::remove(&mut self.span, key)
    }

    fn is_recording(&self) -> bool {
        true
    }

    fn with(&mut self, write: impl FnOnce(&mut Recording<'_>)) {
        self.name = None;
        write(&mut self.span);
    }
}

recording_methods!(ProcessedSpan<'_>, (&mut self), self);
