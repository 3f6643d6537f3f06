//! Which traces are recorded: the samplers of the OpenTelemetry specification, trace SDK,
//! "Built-in samplers".
//!
//! A sampler decides by ids and flags alone: no clock, no randomness, no allocation.

use std::fmt;

use throughline_wire::{SpanContext, TraceId};

/// Decides whether a new span is recorded and delivered.
///
/// The default is [`Sampler::ParentBased`] over [`Root::AlwaysOn`], as the specification demands:
/// every new trace is recorded, and a span with a parent does as the parent does.
///
/// ```
/// use throughline::Sampler;
///
/// let a_tenth_of_new_traces = Sampler::ratio(0.1)?.parent_based();
/// assert_ne!(a_tenth_of_new_traces, Sampler::default());
/// # Ok::<(), throughline::InvalidRatio>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sampler {
    /// Records nothing. Ids still flow, so that a trace that others record stays connected.
    AlwaysOff,
    /// Records every span, whatever the caller decided.
    AlwaysOn,
    /// Does as the parent does; asks the inner sampler where there is none.
    ParentBased(Root),
    /// Records this share of all traces by their id, whatever the caller decided.
    TraceIdRatio(Ratio),
}

/// What [`Sampler::ParentBased`] asks for a span without a parent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Root {
    /// Records no new trace.
    AlwaysOff,
    /// Records every new trace.
    AlwaysOn,
    /// Records this share of the new traces.
    TraceIdRatio(Ratio),
}

/// A share of traces, in `0.0..=1.0`.
///
/// The decision depends on the trace id alone, and a trace that a smaller ratio records is also
/// recorded by every larger one. It is the rule that other OpenTelemetry SDKs use, so that
/// services with the same ratio record the same traces.
#[derive(Clone, Copy, PartialEq)]
pub struct Ratio {
    share: f64,
    /// Recorded when the 63 highest of the id's last 64 bits are below this: `share * 2^63`.
    below: u64,
}

/// The number given as a sampling ratio is not in `0.0..=1.0`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InvalidRatio(f64);

/// What a sampler says about one span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Drop,
    RecordAndSample,
}

impl Sampler {
    /// Records `share` of all traces, by their id.
    ///
    /// # Errors
    /// `share` is not in `0.0..=1.0`, or not a number.
    pub fn ratio(share: f64) -> Result<Self, InvalidRatio> {
        Ratio::new(share).map(Self::TraceIdRatio)
    }

    /// The same decision for new traces only: a span with a parent does as the parent does.
    #[must_use]
    pub fn parent_based(self) -> Self {
        match self {
            Self::AlwaysOff => Self::ParentBased(Root::AlwaysOff),
            Self::AlwaysOn => Self::ParentBased(Root::AlwaysOn),
            Self::TraceIdRatio(ratio) => Self::ParentBased(Root::TraceIdRatio(ratio)),
            Self::ParentBased(_) => self,
        }
    }

    /// The decision for a span in the trace `trace_id`, which is the parent's if there is one.
    #[inline]
    pub(crate) fn sample(&self, parent: Option<SpanContext>, trace_id: TraceId) -> Decision {
        match (self, parent) {
            (Self::ParentBased(_), Some(parent)) => Decision::from(parent.is_sampled()),
            (Self::ParentBased(Root::AlwaysOn), None) | (Self::AlwaysOn, _) => Decision::RecordAndSample,
            (Self::ParentBased(Root::AlwaysOff), None) | (Self::AlwaysOff, _) => Decision::Drop,
            (Self::ParentBased(Root::TraceIdRatio(ratio)), None) | (Self::TraceIdRatio(ratio), _) => {
                Decision::from(ratio.contains(trace_id))
            }
        }
    }
}

impl Default for Sampler {
    fn default() -> Self {
        Self::ParentBased(Root::AlwaysOn)
    }
}

impl Ratio {
    /// A share of traces.
    ///
    /// # Errors
    /// `share` is not in `0.0..=1.0`, or not a number.
    pub fn new(share: f64) -> Result<Self, InvalidRatio> {
        if !(0.0..=1.0).contains(&share) {
            return Err(InvalidRatio(share));
        }
        // 2^63 is exact in an f64, and the conversion back saturates: 1.0 gives 2^63, above every
        // 63-bit number.
        let below = (share * (1_u64 << 63) as f64) as u64;
        Ok(Self { share, below })
    }

    /// The share, in `0.0..=1.0`.
    #[must_use]
    pub fn share(self) -> f64 {
        self.share
    }

    fn contains(self, trace_id: TraceId) -> bool {
        let [_, _, _, _, _, _, _, _, low @ ..] = trace_id.to_bytes();
        u64::from_be_bytes(low) >> 1 < self.below
    }
}

impl fmt::Debug for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.share)
    }
}

impl fmt::Display for InvalidRatio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a sampling ratio is a number from 0 to 1, not {}", self.0)
    }
}

impl std::error::Error for InvalidRatio {}

impl From<bool> for Decision {
    fn from(record: bool) -> Self {
        if record { Self::RecordAndSample } else { Self::Drop }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use throughline_wire::{SpanId, TraceFlags};

    fn trace(low: u64) -> TraceId {
        let mut bytes = [1; 16];
        bytes[8..].copy_from_slice(&low.to_be_bytes());
        TraceId::from_bytes(bytes).unwrap()
    }

    fn parent(sampled: bool, remote: bool) -> SpanContext {
        let flags = TraceFlags::NONE.with_sampled(sampled);
        let span = SpanId::from_bytes([2; 8]).unwrap();
        SpanContext::new(trace(0), span, flags, remote)
    }

    #[test]
    fn every_sampler_decides_as_the_specification_says() {
        use Decision::{Drop, RecordAndSample as Record};
        let half = Sampler::ratio(0.5).unwrap();
        let (low, high) = (trace(0), trace(u64::MAX));
        for remote in [false, true] {
            let sampled = Some(parent(true, remote));
            let unsampled = Some(parent(false, remote));
            for (sampler, given, id, expected) in [
                (Sampler::AlwaysOn, None, high, Record),
                (Sampler::AlwaysOn, unsampled, high, Record),
                (Sampler::AlwaysOff, None, low, Drop),
                (Sampler::AlwaysOff, sampled, low, Drop),
                (half, None, low, Record),
                (half, None, high, Drop),
                (half, unsampled, low, Record),
                (half, sampled, high, Drop),
                (Sampler::default(), None, high, Record),
                (Sampler::default(), sampled, high, Record),
                (Sampler::default(), unsampled, low, Drop),
                (Sampler::AlwaysOff.parent_based(), None, low, Drop),
                (Sampler::AlwaysOff.parent_based(), sampled, low, Record),
                (half.parent_based(), None, low, Record),
                (half.parent_based(), None, high, Drop),
                (half.parent_based(), sampled, high, Record),
                (half.parent_based(), unsampled, low, Drop),
            ] {
                assert_eq!(sampler.sample(given, id), expected, "{sampler:?} {given:?} {id}");
            }
        }
    }

    #[test]
    fn a_ratio_is_exact_at_its_borders() {
        for (share, low, inside) in [
            (0.0, 0, false),
            (1.0, u64::MAX, true),
            (0.5, (1 << 63) - 1, true),
            (0.5, 1 << 63, false),
            (0.25, (1 << 62) - 1, true),
            (0.25, 1 << 62, false),
            (f64::MIN_POSITIVE, 0, false),
        ] {
            assert_eq!(
                Ratio::new(share).unwrap().contains(trace(low)),
                inside,
                "{share} {low:x}"
            );
        }
    }

    #[test]
    fn what_is_not_a_ratio_is_refused() {
        for share in [-0.1, 1.000_001, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(Ratio::new(share).is_err(), "{share}");
        }
        assert!(Ratio::new(-0.0).is_ok());
    }

    #[test]
    fn a_larger_ratio_records_what_a_smaller_one_records() {
        let ratios: Vec<_> = (0..=10).map(|n| Ratio::new(f64::from(n) / 10.0).unwrap()).collect();
        for n in 0..1000_u64 {
            let id = trace(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let inside: Vec<_> = ratios.iter().map(|ratio| ratio.contains(id)).collect();
            assert!(inside.is_sorted(), "{id}: {inside:?}");
        }
    }
}
