//! The attribute `#[traced]`, which the crate `throughline` exports; its documentation is there.
//!
//! No dependency: of a function only its frame is read (`function.rs`, `returns.rs`), of the attribute only its options (`options.rs`); all other
//! tokens go through as they are, and `span!` reads the fields.
#![forbid(unsafe_code)]

mod function;
mod options;
mod returns;
mod template;
mod tokens;

use proc_macro::TokenStream;

use function::Function;
use options::Options;
use returns::Returns;
use template::fill;

/// Runs a function in a span of its own: see `throughline::traced`.
#[proc_macro_attribute]
pub fn traced(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let options = match Options::read(attribute) {
        Ok(options) => options,
        // The function stays, so that its callers are not told that it is missing.
        Err(problem) => return [problem.into_tokens(), item].into_iter().collect(),
    };
    match Function::read(item.clone()) {
        Ok(function) => expand(&options, function),
        Err(problem) => [problem.into_tokens(), item].into_iter().collect(),
    }
}

fn expand(options: &Options, function: Function) -> TokenStream {
    let Function { returns, is_async, .. } = &function;
    let template = match (is_async, returns) {
        (true, Returns::Opaque | Returns::Future(_)) => ASYNC_OPAQUE,
        (true, _) => ASYNC,
        (false, Returns::Opaque) => OPAQUE,
        (false, Returns::Future(_)) => FUTURE,
        (false, Returns::BoxedFuture(_)) => BOXED_FUTURE,
        (false, Returns::Nothing | Returns::Type(_)) => SYNC,
    };
    // What a block or a closure returns is named, so that `?` and `return` in it know it.
    let named = match returns {
        Returns::Type(named) | Returns::Future(named) | Returns::BoxedFuture(named) => named.clone(),
        Returns::Nothing => fill("()", &[]),
        Returns::Opaque => TokenStream::new(),
    };
    let (attributes, body) = function.body();
    let body = fill(
        template,
        &[
            ("SPAN", options.span(&function.name)),
            (
                "RECORD",
                fill(
                    if options.records_errors { RECORD } else { "" },
                    &[options.crate_name()],
                ),
            ),
            ("TYPE", named),
            ("BODY", body),
            options.crate_name(),
        ],
    );
    function.with_body([attributes, body].into_iter().collect())
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
let __throughline_span = SPAN;
let __throughline_future = CRATE::__private::future_of::<TYPE, _>(move || { BODY });
CRATE::InSpanExt::in_span(
    async move {
        let __throughline_output = __throughline_future.await;
        RECORD
        __throughline_output
    },
    __throughline_span,
)";

const BOXED_FUTURE: &str = "
let __throughline_span = SPAN;
let __throughline_future = CRATE::__private::call(move || -> TYPE { BODY });
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
