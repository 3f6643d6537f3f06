//! What a traced function becomes.

use proc_macro::TokenStream;

use crate::closure::{CallsBy, Closure};
use crate::function::Function;
use crate::options::Options;
use crate::returns::Returns;
use crate::template::{Problem, fill};

pub fn expand(options: &Options, function: Function) -> Result<TokenStream, Problem> {
    let (attributes, body) = function.body();
    let body = match options.calls {
        Some(at) if function.is_async => {
            return Err(Problem::new(at, "`calls` is for functions that are not `async`"));
        }
        Some(at) => calls_in_spans(options, &function.name, function.closure(at)?, body),
        None => in_a_span(options, &function.name, function.is_async, &function.returns, body),
    };
    Ok(function.with_body([attributes, body].into_iter().collect()))
}

/// Runs a body in a span, and what it returns too where that is a future or a stream.
fn in_a_span(options: &Options, name: &str, is_async: bool, returns: &Returns, body: TokenStream) -> TokenStream {
    let template = match (is_async, returns) {
        (true, Returns::Opaque | Returns::Future(_)) => ASYNC_OPAQUE,
        (true, Returns::Stream(_)) => ASYNC_STREAM,
        (true, Returns::BoxedStream(_)) => ASYNC_BOXED_STREAM,
        (true, _) => ASYNC,
        (false, Returns::Opaque) => OPAQUE,
        (false, Returns::Future(_)) => FUTURE,
        (false, Returns::BoxedFuture(_)) => BOXED_FUTURE,
        (false, Returns::Stream(_)) => STREAM,
        (false, Returns::BoxedStream(_)) => BOXED_STREAM,
        (false, Returns::Nothing | Returns::Type(_)) => SYNC,
    };
    // What a block or a closure returns is named, so that `?` and `return` in it know it.
    let named = match returns {
        Returns::Type(named)
        | Returns::Future(named)
        | Returns::BoxedFuture(named)
        | Returns::Stream(named)
        | Returns::BoxedStream(named) => named.clone(),
        Returns::Nothing => fill("()", &[]),
        Returns::Opaque => TokenStream::new(),
    };
    let is_stream = matches!(returns, Returns::Stream(_) | Returns::BoxedStream(_));
    let record = match options.records_errors {
        // A stream may go on behind an item that is an `Err`.
        None if is_stream => "",
        Some(false) => "",
        _ if is_stream => RECORD_ITEM,
        _ => RECORD,
    };
    let items = if record == RECORD_ITEM { INSPECTED_ITEMS } else { ITEMS };
    let record = fill(record, &[options.crate_name()]);
    let items = fill(items, &[("RECORD", record.clone()), options.crate_name()]);
    fill(
        template,
        &[
            ("SPAN", options.span(name)),
            ("RECORD", record),
            ("ITEMS", items),
            ("TYPE", named),
            ("BODY", body),
            options.crate_name(),
        ],
    )
}

/// Runs each call of the closure that a body returns in a span.
fn calls_in_spans(options: &Options, name: &str, closure: Closure, body: TokenStream) -> TokenStream {
    let (mutable, borrowed) = match closure.calls_by {
        CallsBy::Reference => ("", "&"),
        CallsBy::MutableReference => ("mut", "&mut"),
        CallsBy::Value => ("", ""),
    };
    // An ampersand alone is no template.
    let borrowed = match borrowed {
        "" => fill("__throughline_closure", &[]),
        borrowed => fill(&format!("{borrowed} __throughline_closure"), &[]),
    };
    let arguments: String = (0..closure.arguments)
        .map(|number| format!("__throughline_{number}, "))
        .collect();
    let arguments = fill(&arguments, &[]);
    let call = fill("__throughline_closure(ARGUMENTS)", &[("ARGUMENTS", arguments.clone())]);
    fill(
        if closure.boxed.is_some() {
            CLOSURE_IN_A_BOX
        } else {
            CLOSURE
        },
        &[
            ("MUTABLE", fill(mutable, &[])),
            ("BORROWED", borrowed),
            ("CALL", in_a_span(options, name, false, &closure.returns, call)),
            ("ARGUMENTS", arguments),
            ("TYPE", closure.boxed.unwrap_or_default()),
            ("BODY", body),
            options.crate_name(),
        ],
    )
}

const RECORD: &str = "{
    use CRATE::__private::outcome::*;
    (&&&&&Outcome(&__throughline_output)).record();
}";

const SYNC: &str = "
let mut __throughline_span = SPAN;
CRATE::Span::in_scope(&mut __throughline_span, move || {
    let __throughline_output = CRATE::__private::call(move || -> TYPE { BODY });
    RECORD
    __throughline_output
})";

const ASYNC: &str = "
let __throughline_span = SPAN;
CRATE::InSpanExt::in_span(
    async move {
        let __throughline_output = async move {
            // The compiler learns what a block returns from the first `return` in it.
            if false {
                return CRATE::__private::never::<TYPE>();
            }
            BODY
        }
        .await;
        RECORD
        __throughline_output
    },
    __throughline_span,
)
.await";

const FUTURE: &str = "
let mut __throughline_span = SPAN;
let __throughline_future = CRATE::Span::in_scope(&mut __throughline_span, move || {
    CRATE::__private::future_of::<TYPE, _>(move || { BODY })
});
CRATE::InSpanExt::in_span(
    async move {
        let __throughline_output = __throughline_future.await;
        RECORD
        __throughline_output
    },
    __throughline_span,
)";

const BOXED_FUTURE: &str = "
let mut __throughline_span = SPAN;
let __throughline_future = CRATE::Span::in_scope(&mut __throughline_span, move || {
    CRATE::__private::call(move || -> TYPE { BODY })
});
::std::boxed::Box::pin(CRATE::InSpanExt::in_span(
    async move {
        let __throughline_output = __throughline_future.await;
        RECORD
        __throughline_output
    },
    __throughline_span,
))";

/// What is returned is no `Result`, and only the function itself can say what it is.
const OPAQUE: &str = "
let __throughline_entered = CRATE::Span::enter(SPAN);
BODY";

const ASYNC_OPAQUE: &str = "
let __throughline_span = SPAN;
CRATE::InSpanExt::in_span(async move { BODY }, __throughline_span).await";

const STREAM: &str = "
let mut __throughline_span = SPAN;
let __throughline_stream = CRATE::Span::in_scope(&mut __throughline_span, move || {
    CRATE::__private::stream_of::<TYPE, _>(move || { BODY })
});
CRATE::InSpanExt::in_span(ITEMS, __throughline_span)";

const BOXED_STREAM: &str = "
let mut __throughline_span = SPAN;
let __throughline_stream = CRATE::Span::in_scope(&mut __throughline_span, move || {
    CRATE::__private::call(move || -> TYPE { BODY })
});
::std::boxed::Box::pin(CRATE::InSpanExt::in_span(ITEMS, __throughline_span))";

const ASYNC_STREAM: &str = "
let mut __throughline_span = SPAN;
let __throughline_stream = CRATE::InSpanExt::in_span(async move { BODY }, &mut __throughline_span).await;
CRATE::InSpanExt::in_span(ITEMS, __throughline_span)";

const ASYNC_BOXED_STREAM: &str = "
let mut __throughline_span = SPAN;
let __throughline_stream = CRATE::InSpanExt::in_span(
    async move {
        if false {
            return CRATE::__private::never::<TYPE>();
        }
        BODY
    },
    &mut __throughline_span,
)
.await;
::std::boxed::Box::pin(CRATE::InSpanExt::in_span(ITEMS, __throughline_span))";

const ITEMS: &str = "__throughline_stream";

const INSPECTED_ITEMS: &str = "CRATE::__private::inspected(__throughline_stream, |__throughline_item| RECORD)";

const RECORD_ITEM: &str = "{
    use CRATE::__private::outcome::*;
    (&&&&&Outcome(__throughline_item)).record();
}";

const CLOSURE: &str = "
let MUTABLE __throughline_closure = CRATE::__private::call(move || { BODY });
move |ARGUMENTS| {
    let __throughline_closure = BORROWED;
    CALL
}";

const CLOSURE_IN_A_BOX: &str = "
let MUTABLE __throughline_closure = CRATE::__private::call(move || -> TYPE { BODY });
::std::boxed::Box::new(move |ARGUMENTS| {
    let __throughline_closure = BORROWED;
    CALL
})";
