//! Formats of a program's own.

use throughline_wire::propagation::{Carrier, Pair};

use crate::context::Context;

/// Carries the context in a format of the program's own; for [`Propagator::custom`](crate::Propagator::custom) (OpenTelemetry, API
/// Propagators, "TextMap Propagator").
///
/// It is called wherever [`extract`](crate::extract) and [`inject`](crate::inject) are. What panics in it costs what it would have
/// done, and nothing else.
pub trait TextMapPropagator: Send + Sync {
    /// The names of the headers that it reads and writes, in lower case. Before anything is written they are removed from the carrier.
    fn fields(&self) -> &[&'static str];

    /// Adds to `context`, which holds what the propagators before this one have found, what the headers say; gives it back as it is
    /// where they say nothing valid.
    fn extract(&self, fields: &Fields<'_>, context: Context) -> Context;

    /// Writes `context` into the carrier.
    fn inject(&self, context: &Context, carrier: &mut dyn Carrier);
}

/// The headers that a [`TextMapPropagator`] has asked for, as they came: at most 8 of each name, of at most 8 KiB each.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    names: &'a [&'static str],
    /// Each with the place of its name.
    values: Vec<(usize, Box<[u8]>)>,
}

impl<'a> Fields<'a> {
    /// More of one name are not kept.
    const MOST: usize = 8;
    /// A longer value is not kept.
    const LONGEST: usize = 8 * 1024;

    pub(super) fn new(names: &'a [&'static str]) -> Self {
        Self {
            names,
            values: Vec::new(),
        }
    }

    pub(super) fn header(&mut self, pair: &impl Pair) {
        let Some(name) = self.names.iter().position(|name| pair.is_named(name)) else {
            return;
        };
        let kept = self.values.iter().filter(|(found, _)| *found == name).count();
        if kept < Self::MOST && pair.value().len() <= Self::LONGEST {
            self.values.push((name, pair.value().into()));
        }
    }

    /// The value of the header of this name, if it came once and is UTF-8.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut all = self.all(name);
        let value = all.next().filter(|_| all.next().is_none())?;
        std::str::from_utf8(value).ok()
    }

    /// All values of the header of this name, in their order.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let wanted = self.names.iter().position(|found| *found == name);
        let values = self.values.iter().filter(move |(name, _)| Some(*name) == wanted);
        values.map(|(_, value)| &**value)
    }
}
