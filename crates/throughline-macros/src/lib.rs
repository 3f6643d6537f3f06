//! The attribute `#[traced]`, which the crate `throughline` exports; its documentation is there.
//!
//! No dependency: of a function only its frame is read (`function.rs`), of the attribute only its options (`options.rs`); all other
//! tokens go through as they are, and `span!` reads the fields.
#![forbid(unsafe_code)]

mod function;
mod options;
mod template;

use proc_macro::TokenStream;

use function::{Function, Returns};
use options::Options;
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
    let span = options.span(&function.name);
    let record = fill(if options.records_errors { RECORD } else { "" }, &[]);
    // What a block or a closure returns is named where it has a name, so that `?` and `return` in it know it.
    let named = match &function.returns {
        Returns::Named(named) => Some(named.clone()),
        Returns::Nothing => Some(fill("()", &[])),
        Returns::Unnamed(_) => None,
    };
    let with_type = |template: &str| match &named {
        Some(named) => fill(template, &[("TYPE", named.clone())]),
        None => TokenStream::new(),
    };
    let (annotation, hint) = (with_type("-> TYPE"), with_type(HINT));
    let template = match (
        function.is_async,
        function.returns.is_boxed_future(),
        function.returns.is_future(),
    ) {
        (true, ..) => ASYNC,
        (false, true, _) => BOXED_FUTURE,
        (false, false, true) => FUTURE,
        (false, false, false) => SYNC,
    };
    let body = fill(
        template,
        &[
            ("SPAN", span),
            ("RECORD", record),
            ("ANNOTATION", annotation),
            ("HINT", hint),
            ("BODY", function.body.stream()),
        ],
    );
    function.with_body(body)
}

const RECORD: &str = "{
    #[allow(unused_imports)]
    use ::throughline::__private::outcome::*;
    (&&&&&Outcome(&__throughline_output)).record();
}";

/// The compiler learns what a block returns from the first `return` in it.
const HINT: &str = "#[allow(unreachable_code, clippy::all, clippy::pedantic, clippy::restriction)]
if false {
    let __throughline_output: TYPE = loop {};
    return __throughline_output;
}";

const SYNC: &str = "
let mut __throughline_span = SPAN;
::throughline::Span::in_scope(&mut __throughline_span, move || {
    let __throughline_output = ::throughline::__private::call(move || ANNOTATION { BODY });
    RECORD
    __throughline_output
})";

const ASYNC: &str = "
let __throughline_span = SPAN;
::throughline::InSpanExt::in_span(
    async move {
        let __throughline_output = async move { HINT BODY }.await;
        RECORD
        __throughline_output
    },
    __throughline_span,
)
.await";

const FUTURE: &str = "
let __throughline_span = SPAN;
let __throughline_future = ::throughline::__private::call(move || { BODY });
::throughline::InSpanExt::in_span(
    async move {
        let __throughline_output = __throughline_future.await;
        RECORD
        __throughline_output
    },
    __throughline_span,
)";

const BOXED_FUTURE: &str = "
let __throughline_span = SPAN;
let __throughline_future = ::throughline::__private::call(move || ANNOTATION { BODY });
::std::boxed::Box::pin(::throughline::InSpanExt::in_span(
    async move {
        let __throughline_output = __throughline_future.await;
        RECORD
        __throughline_output
    },
    __throughline_span,
))";
