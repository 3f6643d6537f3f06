//! What a program chooses of how spans and events of `tracing` are recorded.

use std::fmt;
use std::sync::Arc;

use throughline::Span;
use tracing_core::{Level, Metadata};

/// See the methods of [`Layer`](crate::Layer), which are named as these are.
#[derive(Clone)]
pub(crate) struct Settings {
    pub code_location: bool,
    pub error_status: bool,
    pub events: Option<Level>,
    pub filter: Option<Arc<Filter>>,
    pub level: bool,
    pub threads: bool,
}

pub(crate) type Filter = dyn Fn(&Metadata<'_>) -> bool + Send + Sync;

impl Default for Settings {
    fn default() -> Self {
        Self {
            code_location: false,
            error_status: true,
            events: Some(Level::TRACE),
            filter: None,
            level: false,
            threads: false,
        }
    }
}

impl Settings {
    /// Whether spans and events of this callsite are recorded at all.
    #[inline]
    pub fn wants(&self, metadata: &Metadata<'_>) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter(metadata))
    }

    #[inline]
    pub fn wants_event(&self, metadata: &Metadata<'_>) -> bool {
        self.events.is_some_and(|most| *metadata.level() <= most) && self.wants(metadata)
    }

    /// Adds what is asked for about a new span besides its fields.
    #[inline]
    pub fn describe(&self, metadata: &Metadata<'_>, span: &mut Span) {
        if self.code_location || self.level || self.threads {
            self.describe_in_full(metadata, span);
        }
    }

    #[cold]
    fn describe_in_full(&self, metadata: &Metadata<'_>, span: &mut Span) {
        if self.level {
            span.set("level", metadata.level().as_str());
        }
        if self.code_location {
            span.set("code.file.path", metadata.file());
            span.set("code.line.number", metadata.line());
        }
        if self.threads {
            span.set("thread.name", std::thread::current().name());
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("code_location", &self.code_location)
            .field("error_status", &self.error_status)
            .field("events", &self.events)
            .field("filter", &self.filter.is_some())
            .field("level", &self.level)
            .field("threads", &self.threads)
            .finish()
    }
}
