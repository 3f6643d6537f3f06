//! Spans of the API that may be current, by their ids: so that native code reaches them there.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::{Arc, Mutex};

use opentelemetry::trace::SpanId;
use throughline::{Span, seam};

/// A span that is written to by the API and by native code.
pub(crate) type Shared = Arc<Mutex<Span>>;

type Shard = Mutex<HashMap<[u8; 8], Shared, BuildHasherDefault<DefaultHasher>>>;

/// Ids are random: threads seldom meet.
const SHARDS: usize = 64;
static SPANS: [Shard; SHARDS] = [const { Mutex::new(HashMap::with_hasher(BuildHasherDefault::new())) }; SHARDS];

fn shard(span_id: [u8; 8]) -> &'static Shard {
    &SPANS[usize::from(span_id[7]) % SHARDS]
}

/// From now on native code reaches this span where it is current.
pub(crate) fn insert(span_id: SpanId, span: Shared) {
    let span_id = span_id.to_bytes();
    // In a forked child that cannot have the lock the span is written to by the API alone.
    if let Some(mut spans) = seam::lock(shard(span_id)) {
        spans.insert(span_id, span);
    }
}

/// No more. What is returned is to be dropped: not under the lock.
pub(crate) fn remove(span_id: SpanId) -> Option<Shared> {
    let span_id = span_id.to_bytes();
    seam::lock(shard(span_id))?.remove(&span_id)
}

/// Lets `throughline::current` and its like reach these spans.
pub(crate) struct Bridge;

impl seam::CurrentSpans for Bridge {
    fn with(&self, span_id: [u8; 8], write: &mut dyn FnMut(&mut Span)) -> bool {
        let found = seam::lock(shard(span_id)).and_then(|spans| spans.get(&span_id).cloned());
        let Some(found) = found else { return false };
        let Some(mut span) = seam::lock(&found) else {
            return false;
        };
        write(&mut span);
        true
    }
}
