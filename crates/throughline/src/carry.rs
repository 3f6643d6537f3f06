//! Closures that take the current context along, to threads and pools.

use crate::context::Context;

/// A closure that runs in the context that is current here, wherever it is called: for threads, blocking tasks and pools.
///
/// Spans that start in it are children of the span that is current here. It holds that span's ids, not the span:
/// [`current`](crate::current) and [`event!`](crate::event!) reach nothing there, unless a span is started and entered. For futures
/// and streams there is [`in_current_context`](crate::InSpanExt::in_current_context).
///
/// ```
/// use throughline::{carry, span, testing};
///
/// let capture = testing::capture();
/// span!("order").in_scope(|| {
///     std::thread::spawn(carry(|| span!("charge").end())).join().unwrap();
/// });
/// capture.assert_tree("order\n  charge");
/// ```
pub fn carry<R>(f: impl FnOnce() -> R) -> impl FnOnce() -> R {
    let here = Context::current();
    move || here.in_scope(f)
}

/// As [`carry`], for a closure that is called many times, with an argument: those of parallel iterators.
///
/// The argument's type may have to be named, as here, since the compiler looks at the closure first.
///
/// ```
/// use rayon::prelude::*;
/// use throughline::{carry_fn, span, testing};
///
/// let capture = testing::capture();
/// let prices: Vec<u64> = span!("order").in_scope(|| {
///     [3, 4].into_par_iter().map(carry_fn(|price: u64| span!("price").in_scope(|| price * 2))).collect()
/// });
/// assert_eq!(prices, [6, 8]);
/// capture.assert_tree("order\n  price\n  price");
/// ```
pub fn carry_fn<T, R>(f: impl Fn(T) -> R) -> impl Fn(T) -> R {
    let here = Context::current();
    move |argument| here.in_scope(|| f(argument))
}
