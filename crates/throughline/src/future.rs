//! Spans and contexts around futures.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use pin_project_lite::pin_project;

use crate::context::Context;
use crate::span::Span;

/// Runs a future inside a span or a context: it is current in every poll, and only there.
///
/// ```
/// use throughline::{FutureExt, span};
///
/// async fn fetch() -> u32 { 7 }
///
/// async fn handle() {
///     let rows = fetch().in_span(span!("fetch")).await;
/// }
/// ```
pub trait FutureExt: Future + Sized {
    /// Moves a span into the future. It ends when the future completes or is dropped.
    fn in_span(self, span: Span) -> InSpan<Self> {
        InSpan {
            future: self,
            span: Some(span),
        }
    }

    /// Runs the future in a context: ids only, no span ends with it.
    ///
    /// This is what a task gets from the one that spawns it: `spawn(work().in_context(Context::current()))`.
    fn in_context(self, context: Context) -> InContext<Self> {
        InContext { future: self, context }
    }
}

impl<F: Future> FutureExt for F {}

pin_project! {
    /// A future that owns the span it runs in; made by [`FutureExt::in_span`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct InSpan<F> {
        // Declared first, so dropped first: the span ends after all that the future held.
        #[pin]
        future: F,
        span: Option<Span>,
    }
}

impl<F: Future> Future for InSpan<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<F::Output> {
        let this = self.project();
        let Some(span) = this.span.as_mut() else {
            // Polled again after it was ready, which the inner future answers for.
            return this.future.poll(task);
        };
        let poll = span.in_scope(|| this.future.poll(task));
        if poll.is_ready() {
            *this.span = None;
        }
        poll
    }
}

pin_project! {
    /// A future that runs in a context; made by [`FutureExt::in_context`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct InContext<F> {
        #[pin]
        future: F,
        context: Context,
    }
}

impl<F: Future> Future for InContext<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<F::Output> {
        let this = self.project();
        this.context.in_scope(|| this.future.poll(task))
    }
}
