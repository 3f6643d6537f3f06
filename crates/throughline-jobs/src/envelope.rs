//! Context before a payload, for what has no headers: Redis lists, publish and subscribe.

use crate::JobContext;

/// A letter that no text begins with, a name, a version.
const MAGIC: &[u8] = b"\0throughline-job\x01";
/// As long as the longest line that is read.
const MAX_LINE: usize = 32 << 10;

/// The payload with the context before it: the name of this format, the context as one line, a line feed, the payload.
///
/// Whoever reads it has to [`open`] it: this is for queues of which all readers are yours. An empty context leaves the payload as it is.
///
/// ```
/// use throughline_jobs::{JobContext, envelope};
///
/// let job = JobContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
/// let letter = envelope::wrap(&job, b"42");
/// assert_eq!(envelope::open(&letter), (job, &b"42"[..]));
/// assert_eq!(envelope::open(b"42"), (JobContext::default(), &b"42"[..]), "a payload without an envelope");
/// ```
#[must_use]
pub fn wrap(context: &JobContext, payload: &[u8]) -> Vec<u8> {
    let line = context.to_string();
    // A payload that looks like an envelope gets one, so that it comes out as it went in.
    if line.is_empty() && !payload.starts_with(MAGIC) {
        return payload.to_vec();
    }
    [MAGIC, line.as_bytes(), b"\n", payload].concat()
}

/// The context and the payload of what [`wrap`] made. Anything else is a payload without a context.
#[must_use]
pub fn open(bytes: &[u8]) -> (JobContext, &[u8]) {
    let Some(rest) = bytes.strip_prefix(MAGIC) else {
        return (JobContext::default(), bytes);
    };
    let end = rest.iter().take(MAX_LINE + 1).position(|byte| *byte == b'\n');
    let Some(end) = end else {
        return (JobContext::default(), bytes);
    };
    let line = std::str::from_utf8(&rest[..end]).unwrap_or_default();
    (JobContext::parse(line), &rest[end + 1..])
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    proptest! {
        #[test]
        fn every_payload_comes_out_as_it_went_in(payload in vec(any::<u8>(), 0..100), looks in any::<bool>(), carries in any::<bool>()) {
            let payload = if looks { [MAGIC, &payload].concat() } else { payload };
            let job = JobContext::parse(if carries { PARENT } else { "" });
            let letter = wrap(&job, &payload);
            prop_assert_eq!(open(&letter), (job, &payload[..]));
        }

        #[test]
        fn random_bytes_are_opened_without_a_panic(bytes in vec(any::<u8>(), 0..200)) {
            let _ = open(&bytes);
            let _ = open(&[MAGIC, &bytes].concat());
        }
    }

    #[test]
    fn envelope_without_an_end_is_a_payload() {
        let endless = [MAGIC, &[b'x'; MAX_LINE + 10], b"\npayload"].concat();
        assert_eq!(open(&endless), (JobContext::default(), &endless[..]));
        let not_text = [MAGIC, b"\xff\xff\npayload"].concat();
        assert_eq!(open(&not_text), (JobContext::default(), &b"payload"[..]));
    }
}
