//! The attribute `#[traced]`, which the crate `throughline` exports; its documentation is there.
//!
//! No dependency: of a function only its frame is read (`function.rs`, `returns.rs`, `closure.rs`), of the attribute only its options (`options.rs`); all other
//! tokens go through as they are, and `span!` reads the fields.
#![forbid(unsafe_code)]

mod closure;
mod expansion;
mod function;
mod options;
mod returns;
mod template;
mod tokens;

use proc_macro::TokenStream;

use expansion::expand;
use function::Function;
use options::Options;

/// Runs a function in a span of its own: see `throughline::traced`.
#[proc_macro_attribute]
pub fn traced(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let options = match Options::read(attribute) {
        Ok(options) => options,
        // The function stays, so that its callers are not told that it is missing.
        Err(problem) => return [problem.into_tokens(), item].into_iter().collect(),
    };
    match Function::read(item.clone()).and_then(|function| expand(&options, function)) {
        Ok(expanded) => expanded,
        Err(problem) => [problem.into_tokens(), item].into_iter().collect(),
    }
}
