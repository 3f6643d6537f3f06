//! Which traces are recorded: the samplers of the OpenTelemetry specification, trace SDK, "Sampling".

mod probability;
mod rate_limit;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use throughline_wire::any_value::KeyValues;
use throughline_wire::{SpanContext, SpanKind, TraceId, TraceState};

use crate::attributes::{Encoded, Of};
use crate::context::Context;
use crate::processor::name_matches;
use crate::value::ToValue;
use probability::Probability;
use rate_limit::RateLimit;

/// Decides whether a new span is recorded and delivered.
///
/// The default is that every new trace is recorded, and that a span with a parent does as the parent does, as the specification
/// demands.
///
/// ```
/// use throughline::Sampler;
///
/// let a_tenth_of_new_traces = Sampler::ratio(0.1)?.parent_based();
/// # Ok::<(), throughline::InvalidRatio>(())
/// ```
#[derive(Clone)]
pub struct Sampler(Rule);

#[derive(Clone)]
pub(crate) enum Rule {
    AlwaysOff,
    AlwaysOn,
    Ratio(Ratio),
    ParentBased(Box<ParentBased>),
    Custom(Arc<dyn ShouldSample>),
    Probability(Probability),
    RateLimit(Arc<RateLimit>),
    ByName(Arc<ByName>),
}

/// A sampler for each name.
pub(crate) struct ByName {
    /// The first that matches counts.
    samplers: Vec<(String, Sampler)>,
    otherwise: Sampler,
}

/// A sampler of one's own, for [`Sampler::custom`].
///
/// It is asked on the thread that starts the span, so it must be quick, and must not make spans. If it panics the span is recorded.
pub trait ShouldSample: Send + Sync {
    /// Decides on one span.
    fn should_sample(&self, span: &SamplingInput<'_>) -> SamplingResult;

    /// Its name and settings, for people.
    fn description(&self) -> Cow<'_, str>;
}

/// What is known of a span when it is decided whether to record it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SamplingInput<'a> {
    /// The parent's context; without ids for a new trace.
    pub parent: &'a Context,
    /// The trace's id: the parent's, if there is one.
    pub trace_id: TraceId,
    /// The span's name.
    pub name: &'a str,
    /// The span's kind.
    pub kind: SpanKind,
    /// The attributes given at the start: in [`span!`](crate::span!), or to the builder.
    pub attributes: KeyValues<'a>,
    /// The spans that are linked from the start.
    pub links: &'a [Context],
}

/// What a sampler says of one span.
#[derive(Clone, Debug)]
pub struct SamplingResult {
    pub(crate) decision: Decision,
    pub(crate) attributes: Encoded,
    pub(crate) trace_state: Option<TraceState>,
}

/// What becomes of a span (trace SDK, "ShouldSample").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Decision {
    /// It is not recorded, and neither are its children unless a sampler says otherwise. Its ids travel on.
    Drop,
    /// It is recorded for whoever looks at it in this process, but not delivered, and counted as filtered.
    RecordOnly,
    /// It is recorded and delivered.
    RecordAndSample,
}

impl SamplingResult {
    /// A decision, with no more attributes, and the parent's tracestate.
    #[must_use]
    pub fn new(decision: Decision) -> Self {
        Self {
            decision,
            attributes: Encoded::new(Of::Span),
            trace_state: None,
        }
    }

    /// The same result, and one more attribute of the span.
    #[must_use]
    pub fn with_attribute(mut self, key: &str, value: impl ToValue) -> Self {
        value.with_value(|value| self.attributes.put(key, 0, value));
        self
    }

    /// The same result, with another tracestate for the span and its children than the parent's.
    #[must_use]
    pub fn with_trace_state(mut self, trace_state: TraceState) -> Self {
        self.trace_state = Some(trace_state);
        self
    }
}

impl Sampler {
    /// Records nothing. Ids still flow, so that a trace that others record stays connected.
    #[must_use]
    pub fn always_off() -> Self {
        Self(Rule::AlwaysOff)
    }

    /// Records every span, whatever the caller decided.
    #[must_use]
    pub fn always_on() -> Self {
        Self(Rule::AlwaysOn)
    }

    /// Records `share` of all traces, by their id, whatever the caller decided.
    ///
    /// The decision depends on the trace id alone, and a trace that a smaller ratio records is also recorded by every larger one.
    /// It is the rule that other OpenTelemetry SDKs use, so that services with the same ratio record the same traces.
    ///
    /// # Errors
    /// `share` is not in `0.0..=1.0`, or not a number.
    pub fn ratio(share: f64) -> Result<Self, InvalidRatio> {
        Ratio::new(share).map(|ratio| Self(Rule::Ratio(ratio)))
    }

    /// The same decision for new traces only: a span with a parent does as the parent does. One that does so already stays as it
    /// is.
    #[must_use]
    pub fn parent_based(self) -> Self {
        match self.0 {
            Rule::ParentBased(_) => self,
            _ => ParentBased::new(self).into(),
        }
    }

    /// Records `share` of all traces, and says so in the tracestate (`ot=th:...`), so that a backend can count those that were not recorded,
    /// also where services sample with different shares (specification, "TraceState: Probability Sampling"; in development there).
    ///
    /// The decision depends on the last 56 bits of the trace id, or the random value that the tracestate holds (`ot=rv:...`).
    ///
    /// # Errors
    /// `share` is not in `0.0..=1.0`, or not a number.
    pub fn probability(share: f64) -> Result<Self, InvalidRatio> {
        Probability::new(share).map(|probability| Self(Rule::Probability(probability)))
    }

    /// Records at most `count` traces in each `per`, evenly, and as many at once after a pause; none for a count of 0.
    ///
    /// With [`parent_based`](Self::parent_based) that is a limit for new traces, whose spans are recorded whole.
    ///
    /// ```
    /// use std::time::Duration;
    /// use throughline::Sampler;
    ///
    /// let sampler = Sampler::rate_limited(100, Duration::from_secs(1)).parent_based();
    /// ```
    #[must_use]
    pub fn rate_limited(count: u32, per: Duration) -> Self {
        Self(Rule::RateLimit(Arc::new(RateLimit::new(count, per))))
    }

    /// A sampler for each name: the first pattern that matches counts, and `otherwise` where none does. `*` at the end of a pattern
    /// stands for any rest.
    ///
    /// ```
    /// use throughline::Sampler;
    ///
    /// let sampler = Sampler::by_name(
    ///     [("GET /health", Sampler::always_off()), ("GET /images/*", Sampler::ratio(0.01)?)],
    ///     Sampler::always_on(),
    /// )
    /// .parent_based();
    /// # Ok::<(), throughline::InvalidRatio>(())
    /// ```
    pub fn by_name<N: Into<String>>(samplers: impl IntoIterator<Item = (N, Self)>, otherwise: Self) -> Self {
        let samplers = samplers.into_iter().map(|(name, sampler)| (name.into(), sampler));
        Self(Rule::ByName(Arc::new(ByName {
            samplers: samplers.collect(),
            otherwise,
        })))
    }

    /// A sampler of one's own.
    ///
    /// ```
    /// use std::borrow::Cow;
    /// use throughline::{Decision, Sampler, SamplingInput, SamplingResult, ShouldSample};
    ///
    /// struct NoHealthChecks;
    ///
    /// impl ShouldSample for NoHealthChecks {
    ///     fn should_sample(&self, span: &SamplingInput<'_>) -> SamplingResult {
    ///         let path = span.attributes.get("url.path");
    ///         let is_health_check = path.is_some_and(|path| path.as_str() == Some("/health"));
    ///         SamplingResult::new(if is_health_check { Decision::Drop } else { Decision::RecordAndSample })
    ///     }
    ///
    ///     fn description(&self) -> Cow<'_, str> {
    ///         "no health checks".into()
    ///     }
    /// }
    ///
    /// let sampler = Sampler::custom(NoHealthChecks).parent_based();
    /// ```
    pub fn custom(sampler: impl ShouldSample + 'static) -> Self {
        Self(Rule::Custom(Arc::new(sampler)))
    }

    pub(crate) fn rule(&self) -> &Rule {
        &self.0
    }

    /// Whether more than ids and flags decides.
    pub(crate) fn wants_all(&self) -> bool {
        match &self.0 {
            Rule::AlwaysOff | Rule::AlwaysOn | Rule::Ratio(_) | Rule::Probability(_) | Rule::RateLimit(_) => false,
            Rule::Custom(_) => true,
            Rule::ParentBased(parent_based) => parent_based.samplers().into_iter().any(Self::wants_all),
            Rule::ByName(by_name) => by_name.all().any(Self::wants_all),
        }
    }

    /// Whether the name decides, or the tracestate changes.
    pub(crate) fn wants_name(&self) -> bool {
        match &self.0 {
            Rule::AlwaysOff | Rule::AlwaysOn | Rule::Ratio(_) | Rule::RateLimit(_) => false,
            Rule::Custom(_) | Rule::Probability(_) | Rule::ByName(_) => true,
            Rule::ParentBased(parent_based) => parent_based.samplers().into_iter().any(Self::wants_name),
        }
    }

    /// The decision by ids and flags; a sampler that [wants more](Self::wants_name) is not asked, and counts as one that records.
    pub(crate) fn sample_by_ids(&self, parent: Option<SpanContext>, trace_id: TraceId) -> bool {
        match &self.0 {
            Rule::AlwaysOff => false,
            Rule::AlwaysOn | Rule::Custom(_) | Rule::Probability(_) | Rule::ByName(_) => true,
            Rule::RateLimit(limit) => limit.allows_now(),
            Rule::Ratio(ratio) => ratio.contains(trace_id),
            Rule::ParentBased(parent_based) => parent_based.of(parent).sample_by_ids(parent, trace_id),
        }
    }

    pub(crate) fn sample(&self, span: &SamplingInput<'_>) -> SamplingResult {
        let parent = span.parent.span_context();
        match &self.0 {
            Rule::Custom(sampler) => sampler.should_sample(span),
            Rule::ParentBased(parent_based) => parent_based.of(parent).sample(span),
            Rule::ByName(by_name) => by_name.of(span.name).sample(span),
            Rule::Probability(probability) => {
                let before = span.parent.trace_state();
                let before = TraceState::parse_headers([before.as_bytes()]).unwrap_or_default();
                match probability.sample(span.trace_id, &before) {
                    Some(state) => SamplingResult::new(Decision::RecordAndSample).with_trace_state(state),
                    None => SamplingResult::new(Decision::Drop),
                }
            }
            _ => SamplingResult::new(match self.sample_by_ids(parent, span.trace_id) {
                true => Decision::RecordAndSample,
                false => Decision::Drop,
            }),
        }
    }
}

impl Default for Sampler {
    fn default() -> Self {
        Self::always_on().parent_based()
    }
}

impl fmt::Debug for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Rule::AlwaysOff => f.write_str("AlwaysOff"),
            Rule::AlwaysOn => f.write_str("AlwaysOn"),
            Rule::Ratio(ratio) => write!(f, "TraceIdRatio({})", ratio.share),
            Rule::ParentBased(parent_based) => parent_based.fmt(f),
            Rule::Custom(sampler) => f.write_str(&sampler.description()),
            Rule::Probability(probability) => probability.fmt(f),
            Rule::RateLimit(limit) => limit.fmt(f),
            Rule::ByName(by_name) => {
                let samplers = by_name.samplers.iter().map(|(name, sampler)| (name, sampler));
                f.write_str("ByName")?;
                f.debug_map().entries(samplers).entry(&"*", &by_name.otherwise).finish()
            }
        }
    }
}

impl ByName {
    fn of(&self, name: &str) -> &Sampler {
        let found = self.samplers.iter().find(|(pattern, _)| name_matches(pattern, name));
        found.map_or(&self.otherwise, |(_, sampler)| sampler)
    }

    fn all(&self) -> impl Iterator<Item = &Sampler> {
        let samplers = self.samplers.iter().map(|(_, sampler)| sampler);
        samplers.chain([&self.otherwise])
    }
}

/// A sampler for new traces, and four for spans with a parent (trace SDK, "ParentBased"). Becomes a [`Sampler`] by `into`.
///
/// ```
/// use throughline::{ParentBased, Sampler};
///
/// // Callers from elsewhere may not choose what is recorded here.
/// let untrusting: Sampler = ParentBased::new(Sampler::ratio(0.1)?)
///     .remote_parent_sampled(Sampler::ratio(0.1)?)
///     .into();
/// # Ok::<(), throughline::InvalidRatio>(())
/// ```
#[derive(Clone, Debug)]
pub struct ParentBased {
    root: Sampler,
    remote_parent_sampled: Sampler,
    remote_parent_not_sampled: Sampler,
    local_parent_sampled: Sampler,
    local_parent_not_sampled: Sampler,
}

impl ParentBased {
    /// Asks `root` where there is no parent, and else does as the parent does.
    #[must_use]
    pub fn new(root: Sampler) -> Self {
        Self {
            root,
            remote_parent_sampled: Sampler::always_on(),
            remote_parent_not_sampled: Sampler::always_off(),
            local_parent_sampled: Sampler::always_on(),
            local_parent_not_sampled: Sampler::always_off(),
        }
    }

    /// For a parent in another process that is sampled. Default: always on.
    #[must_use]
    pub fn remote_parent_sampled(mut self, sampler: Sampler) -> Self {
        self.remote_parent_sampled = sampler;
        self
    }

    /// For a parent in another process that is not sampled. Default: always off.
    #[must_use]
    pub fn remote_parent_not_sampled(mut self, sampler: Sampler) -> Self {
        self.remote_parent_not_sampled = sampler;
        self
    }

    /// For a parent in this process that is sampled. Default: always on.
    #[must_use]
    pub fn local_parent_sampled(mut self, sampler: Sampler) -> Self {
        self.local_parent_sampled = sampler;
        self
    }

    /// For a parent in this process that is not sampled. Default: always off.
    #[must_use]
    pub fn local_parent_not_sampled(mut self, sampler: Sampler) -> Self {
        self.local_parent_not_sampled = sampler;
        self
    }

    fn of(&self, parent: Option<SpanContext>) -> &Sampler {
        match parent.map(|parent| (parent.is_remote(), parent.is_sampled())) {
            None => &self.root,
            Some((true, true)) => &self.remote_parent_sampled,
            Some((true, false)) => &self.remote_parent_not_sampled,
            Some((false, true)) => &self.local_parent_sampled,
            Some((false, false)) => &self.local_parent_not_sampled,
        }
    }

    fn samplers(&self) -> [&Sampler; 5] {
        [
            &self.root,
            &self.remote_parent_sampled,
            &self.remote_parent_not_sampled,
            &self.local_parent_sampled,
            &self.local_parent_not_sampled,
        ]
    }

    /// Whether it is the default: as the parent, and every new trace.
    pub(crate) fn is_default(&self) -> bool {
        self.samplers()
            .into_iter()
            .zip([true, true, false, true, false])
            .all(|(sampler, records)| match sampler.0 {
                Rule::AlwaysOn => records,
                Rule::AlwaysOff => !records,
                _ => false,
            })
    }
}

impl From<ParentBased> for Sampler {
    fn from(parent_based: ParentBased) -> Self {
        Self(Rule::ParentBased(Box::new(parent_based)))
    }
}

/// A share of traces, in `0.0..=1.0`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ratio {
    share: f64,
    /// Recorded when the 63 highest of the id's last 64 bits are below this: `share * 2^63`.
    below: u64,
}

/// The number given as a sampling ratio is not in `0.0..=1.0`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InvalidRatio(f64);

impl Ratio {
    fn new(share: f64) -> Result<Self, InvalidRatio> {
        if !(0.0..=1.0).contains(&share) {
            return Err(InvalidRatio(share));
        }
        // 2^63 is exact in an f64, and the conversion back saturates: 1.0 gives 2^63, above every
        // 63-bit number.
        let below = (share * (1_u64 << 63) as f64) as u64;
        Ok(Self { share, below })
    }

    fn contains(self, trace_id: TraceId) -> bool {
        let [_, _, _, _, _, _, _, _, low @ ..] = trace_id.to_bytes();
        u64::from_be_bytes(low) >> 1 < self.below
    }
}

impl fmt::Display for InvalidRatio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a sampling ratio is a number from 0 to 1, not {}", self.0)
    }
}

impl std::error::Error for InvalidRatio {}

#[cfg(test)]
mod tests {
    use super::*;
    use throughline_wire::{SpanId, TraceFlags};

    #[test]
    fn name_chooses_its_sampler() {
        let sampler = Sampler::by_name(
            [("GET /health", Sampler::always_off()), ("GET /*", Sampler::always_on())],
            Sampler::always_off(),
        );
        assert_eq!(
            format!("{sampler:?}"),
            r#"ByName{"GET /health": AlwaysOff, "GET /*": AlwaysOn, "*": AlwaysOff}"#
        );
        let none = Encoded::new(Of::Span);
        for (name, expected) in [
            ("GET /health", Decision::Drop),
            ("GET /healthy", Decision::RecordAndSample),
            ("POST /", Decision::Drop),
        ] {
            let span = SamplingInput {
                parent: &Context::root(),
                trace_id: trace(0),
                name,
                kind: SpanKind::Internal,
                attributes: none.view(),
                links: &[],
            };
            assert_eq!(sampler.sample(&span).decision, expected, "{name}");
        }
    }

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
    fn sampler_decides_as_the_specification_says() {
        let half = || Sampler::ratio(0.5).unwrap();
        let (low, high) = (trace(0), trace(u64::MAX));
        for remote in [false, true] {
            let sampled = Some(parent(true, remote));
            let unsampled = Some(parent(false, remote));
            let turned_round = ParentBased::new(Sampler::always_off())
                .remote_parent_sampled(Sampler::always_off())
                .remote_parent_not_sampled(Sampler::always_on())
                .local_parent_sampled(half())
                .local_parent_not_sampled(half());
            let turned_round = || Sampler::from(turned_round.clone());
            for (sampler, given, id, expected) in [
                (Sampler::always_on(), None, high, true),
                (Sampler::always_on(), unsampled, high, true),
                (Sampler::always_off(), None, low, false),
                (Sampler::always_off(), sampled, low, false),
                (half(), None, low, true),
                (half(), None, high, false),
                (half(), unsampled, low, true),
                (half(), sampled, high, false),
                (Sampler::default(), None, high, true),
                (Sampler::default(), sampled, high, true),
                (Sampler::default(), unsampled, low, false),
                (Sampler::always_off().parent_based(), None, low, false),
                (Sampler::always_off().parent_based(), sampled, low, true),
                (half().parent_based(), None, low, true),
                (half().parent_based(), None, high, false),
                (half().parent_based(), sampled, high, true),
                (half().parent_based(), unsampled, low, false),
                (turned_round(), None, low, false),
                (turned_round(), sampled, low, !remote),
                (turned_round(), sampled, high, false),
                (turned_round(), unsampled, low, true),
                (turned_round(), unsampled, high, remote),
            ] {
                assert_eq!(sampler.sample_by_ids(given, id), expected, "{sampler:?} {given:?} {id}");
            }
        }
    }

    #[test]
    fn default_is_known_as_such() {
        let is_default = |sampler: &Sampler| matches!(sampler.rule(), Rule::ParentBased(of) if of.is_default());
        assert!(is_default(&Sampler::default()));
        assert!(is_default(&Sampler::always_on().parent_based().parent_based()));
        for other in [
            Sampler::always_on(),
            Sampler::always_off().parent_based(),
            ParentBased::new(Sampler::always_on())
                .local_parent_not_sampled(Sampler::always_on())
                .into(),
        ] {
            assert!(!is_default(&other), "{other:?}");
        }
    }

    #[test]
    fn ratio_is_exact_at_its_borders() {
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
    fn ratio_that_is_none_is_refused() {
        for share in [-0.1, 1.000_001, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(Ratio::new(share).is_err(), "{share}");
        }
        assert!(Ratio::new(-0.0).is_ok());
    }

    #[test]
    fn larger_ratio_records_what_a_smaller_one_records() {
        let ratios: Vec<_> = (0..=10).map(|n| Ratio::new(f64::from(n) / 10.0).unwrap()).collect();
        for n in 0..1000_u64 {
            let id = trace(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let inside: Vec<_> = ratios.iter().map(|ratio| ratio.contains(id)).collect();
            assert!(inside.is_sorted(), "{id}: {inside:?}");
        }
    }
}
