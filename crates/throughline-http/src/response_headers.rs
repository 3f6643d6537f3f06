//! Headers by which a response tells its trace.

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};
use throughline::{Span, SpanContext};

use crate::options::Options;

static TRACERESPONSE: HeaderName = HeaderName::from_static("traceresponse");
static SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Writes what was asked for: `traceresponse` (Trace Context Level 3, draft) and `Server-Timing`, which a browser shows to scripts.
#[inline]
pub(crate) fn insert(options: &Options, span: &Span, headers: &mut HeaderMap) {
    if options.traceresponse || options.server_timing {
        insert_chosen(options, span, headers);
    }
}

fn insert_chosen(options: &Options, span: &Span, headers: &mut HeaderMap) {
    let Some(context) = span.context().span_context() else {
        return;
    };
    let traceparent = traceparent(&context);
    if options.traceresponse {
        if let Ok(value) = HeaderValue::try_from(&*traceparent) {
            headers.insert(&TRACERESPONSE, value);
        }
    }
    if options.server_timing {
        if let Ok(value) = HeaderValue::try_from(format!("traceparent;desc=\"{traceparent}\"")) {
            headers.append(&SERVER_TIMING, value);
        }
    }
}

fn traceparent(context: &SpanContext) -> String {
    let (trace_id, span_id, flags) = (context.trace_id(), context.span_id(), context.flags().to_byte());
    format!("00-{trace_id}-{span_id}-{flags:02x}")
}
