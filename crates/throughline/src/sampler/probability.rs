//! Consistent probability sampling (OpenTelemetry specification, "TraceState: Probability Sampling").

use throughline_wire::{TraceId, TraceState};

use super::InvalidRatio;

/// The share of traces that is recorded, said as what others need to count them: how much randomness a trace must have at least.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Probability {
    share: f64,
    /// Of 2^56; that is for a share of 0.
    threshold: u64,
}

/// What decides, and what travels on, in the tracestate's member of OpenTelemetry.
const VENDOR: &str = "ot";
const THRESHOLD: &str = "th";
const RANDOMNESS: &str = "rv";
const DIGITS: usize = 14;
const MAX: u64 = 1 << 56;

impl Probability {
    pub fn new(share: f64) -> Result<Self, InvalidRatio> {
        if !(0.0..=1.0).contains(&share) {
            return Err(InvalidRatio(share));
        }
        let exact = MAX - (share * MAX as f64).round() as u64;
        // Four digits behind those that are all `f`.
        let all_f = if share > 0.0 { (-share.log2()) as usize / 4 } else { 0 };
        let shift = 4 * (DIGITS - (4 + all_f).min(DIGITS));
        let half = if shift > 0 { 1 << (shift - 1) } else { 0 };
        let threshold = match exact {
            MAX => MAX,
            exact => ((exact + half) >> shift << shift).min(MAX - 1),
        };
        Ok(Self { share, threshold })
    }

    /// The tracestate of a trace that is recorded, and `None` for one that is not.
    pub fn sample(&self, trace_id: TraceId, state: &TraceState) -> Option<TraceState> {
        let member = state.get(VENDOR).unwrap_or_default();
        if self.threshold == MAX || randomness(trace_id, member) < self.threshold {
            return None;
        }
        let others = member
            .split(';')
            .filter(|part| !part.is_empty() && !is_key(part, THRESHOLD));
        let mut parts = vec![format!("{THRESHOLD}:{}", self.digits())];
        parts.extend(others.map(str::to_owned));
        let mut state = state.clone();
        // What decides stays where there is no room for all.
        if state.insert(VENDOR, &parts.join(";")).is_err() {
            parts.retain(|part| is_key(part, THRESHOLD) || is_key(part, RANDOMNESS));
            if state.insert(VENDOR, &parts.join(";")).is_err() {
                state.remove(VENDOR);
            }
        }
        Some(state)
    }

    /// The threshold as it travels: without zeros at its end.
    fn digits(&self) -> String {
        let digits = format!("{:014x}", self.threshold);
        match digits.trim_end_matches('0') {
            "" => "0".to_owned(),
            digits => digits.to_owned(),
        }
    }
}

/// What a trace has: said by who started it, or the last 56 bits of its id.
fn randomness(trace_id: TraceId, member: &str) -> u64 {
    let said = member
        .split(';')
        .find(|part| is_key(part, RANDOMNESS))
        .map(|part| &part[RANDOMNESS.len() + 1..]);
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let said = said.filter(|digits| digits.len() == DIGITS && digits.bytes().all(is_digit));
    said.and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .unwrap_or_else(|| {
            let [.., a, b, c, d, e, f, g] = trace_id.to_bytes();
            u64::from_be_bytes([0, a, b, c, d, e, f, g])
        })
}

fn is_key(part: &str, key: &str) -> bool {
    part.strip_prefix(key).is_some_and(|rest| rest.starts_with(':'))
}

impl std::fmt::Display for Probability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Probability({})", self.share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(randomness: u64) -> TraceId {
        let mut bytes = [0xff; 16];
        bytes[9..].copy_from_slice(&randomness.to_be_bytes()[1..]);
        TraceId::from_bytes(bytes).unwrap()
    }

    #[test]
    fn thresholds_are_those_of_the_specification() {
        for (share, digits) in [
            (1.0, "0"),
            (0.5, "8"),
            (0.25, "c"),
            (0.1, "e666"),
            (0.01, "fd70a"),
            (0.001, "ffbe77"),
            (2.0_f64.powi(-56), "ffffffffffffff"),
        ] {
            assert_eq!(Probability::new(share).unwrap().digits(), digits, "{share}");
        }
        assert!(Probability::new(1.1).is_err() && Probability::new(f64::NAN).is_err());
    }

    #[test]
    fn trace_is_recorded_by_its_randomness_which_travels_on_with_the_threshold() {
        let half = Probability::new(0.5).unwrap();
        let (low, high) = (trace(MAX / 2 - 1), trace(MAX / 2));
        for (trace_id, before, after) in [
            (low, "", None),
            (high, "", Some("ot=th:8")),
            (high, "a=b", Some("ot=th:8,a=b")),
            (high, "ot=th:c;x:y,a=b", Some("ot=th:8;x:y,a=b")),
            (low, "ot=rv:80000000000000", Some("ot=th:8;rv:80000000000000")),
            (high, "ot=rv:7fffffffffffff", None),
            (high, "ot=rv:7FFFFFFFFFFFFF", Some("ot=th:8;rv:7FFFFFFFFFFFFF")),
            (high, "ot=rv:00", Some("ot=th:8;rv:00")),
        ] {
            let state: TraceState = before.parse().unwrap();
            let sampled = half.sample(trace_id, &state);
            assert_eq!(sampled.as_ref().map(TraceState::as_str), after, "{before}");
        }
        let long: TraceState = format!("ot=rv:ffffffffffffff;x:{}", "y".repeat(235)).parse().unwrap();
        assert_eq!(half.sample(low, &long).unwrap().as_str(), "ot=th:8;rv:ffffffffffffff");
        let none = Probability::new(0.0).unwrap();
        assert!(none.sample(trace(MAX - 1), &TraceState::default()).is_none());
        let all = Probability::new(1.0).unwrap();
        assert_eq!(
            all.sample(trace(0), &TraceState::default()).unwrap().as_str(),
            "ot=th:0"
        );
    }
}
