//! The settings of an endpoint.

use std::path::Path;
use std::sync::{Condvar, Mutex};

use super::clock::Clock;
use super::middleware::{Middleware, Middlewares};
use super::store::Store;
use super::{Endpoint, EndpointError, Settings};
use crate::{Queue, Relation};

/// An endpoint that is about to be opened; made by [`Endpoint::builder`].
#[derive(Debug)]
pub struct EndpointBuilder {
    route: String,
    relation: Relation,
    settings: Settings,
    middlewares: Middlewares,
    clock: Clock,
}

impl EndpointBuilder {
    pub(super) fn new(route: String) -> Self {
        Self {
            route,
            relation: Relation::Parent,
            settings: Settings {
                max_attempts: 1,
                capacity: 100_000,
                error_capacity: 10_000,
                max_bytes: 1 << 20,
            },
            middlewares: Middlewares::default(),
            clock: Clock::default(),
        }
    }

    #[cfg(test)]
    pub(super) fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// How often an entry is tried before it goes to the error queue, at least once. Default: 1. An attempt in which the process died
    /// counts.
    #[must_use]
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.settings.max_attempts = attempts.max(1);
        self
    }

    /// How many entries may wait. More are refused. Default: 100,000.
    #[must_use]
    pub fn capacity(mut self, entries: u64) -> Self {
        self.settings.capacity = entries;
        self
    }

    /// How many entries the error queue holds; and how many [unreadable ones](super::Errors::unreadable) are kept beside it. For more
    /// those that came first leave, and are counted. Default: 10,000.
    #[must_use]
    pub fn error_capacity(mut self, entries: u64) -> Self {
        self.settings.error_capacity = entries;
        self
    }

    /// How many bytes of data an entry may have. Default: 1 MiB.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_bytes = bytes;
        self
    }

    /// Whether attempts are children of the request's span. Default: [`Relation::Parent`].
    #[must_use]
    pub fn relation(mut self, relation: Relation) -> Self {
        self.relation = relation;
        self
    }

    /// Adds a middleware. They are asked in this order; what a later one says of the same name holds.
    #[must_use]
    pub fn middleware(mut self, middleware: impl Middleware + 'static) -> Self {
        self.middlewares.add(middleware);
        self
    }

    /// Opens the file, or makes it.
    ///
    /// # Errors
    ///
    /// [`EndpointError::Storage`], also when another process has it open.
    pub fn open(self, path: impl AsRef<Path>) -> Result<Endpoint, EndpointError> {
        Ok(Endpoint {
            queue: Queue::named("throughline", self.route).relation(self.relation),
            settings: self.settings,
            middlewares: self.middlewares,
            store: Store::open(path.as_ref(), self.clock.clone())?,
            clock: self.clock,
            active: Mutex::default(),
            changed: Condvar::new(),
        })
    }
}
