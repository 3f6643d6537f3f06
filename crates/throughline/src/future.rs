//! Spans and contexts around futures and streams.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use futures_core::Stream;
use pin_project_lite::pin_project;

use crate::context::Context;
use crate::span::{SharedSpan, Span};

/// Runs a future or a stream inside a span or a context: it is current in every poll, and only there.
///
/// ```
/// use throughline::{InSpanExt, span};
///
/// async fn fetch() -> u32 { 7 }
///
/// async fn handle() {
///     let rows = fetch().in_span(span!("fetch")).await;
/// }
/// ```
pub trait InSpanExt: Sized {
    /// Moves a span into the future or stream. It ends when that completes or is dropped; a [`SharedSpan`] when its last handle
    /// is gone as well.
    ///
    /// With `&mut span` it only runs inside: the span goes on behind it.
    ///
    /// What is dropped before it has completed is dropped inside the span. A panic becomes the span's status, and goes on.
    fn in_span<S: SpanHandle>(self, span: S) -> InSpan<Self, S> {
        InSpan {
            inner: Some(self),
            span: Some(span),
        }
    }

    /// Runs the future or stream in a context: ids only, no span ends with it.
    ///
    /// Spans that start there are children; [`current`](crate::current) and [`event!`](crate::event!) reach nothing, since the span
    /// itself is elsewhere. To write to it as well, [share](Span::share) it and use [`in_span`](Self::in_span).
    fn in_context(self, context: Context) -> InContext<Self> {
        InContext {
            inner: Some(self),
            context,
        }
    }

    /// The same with the context that is current here: what a task gets from the one that spawns it. For closures there is
    /// [`carry`](crate::carry).
    ///
    /// ```
    /// use throughline::{InSpanExt, span, testing};
    ///
    /// async fn charge() {
    ///     span!("charge").end();
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let capture = testing::capture();
    /// async {
    ///     tokio::spawn(charge().in_current_context()).await.unwrap();
    /// }
    /// .in_span(span!("order"))
    /// .await;
    /// capture.assert_tree("order\n  charge");
    /// # }
    /// ```
    fn in_current_context(self) -> InContext<Self> {
        self.in_context(Context::current())
    }
}

impl<T> InSpanExt for T {}

/// What a future can run in: a [`Span`] or a [`SharedSpan`] that it owns, or a `&mut Span`, which goes on when the future is over.
pub trait SpanHandle: sealed::InScope {}

impl SpanHandle for Span {}
impl SpanHandle for &mut Span {}
impl SpanHandle for SharedSpan {}

mod sealed {
    use super::{SharedSpan, Span};

    pub trait InScope {
        fn run<R>(&mut self, f: impl FnOnce() -> R) -> R;
    }

    impl InScope for Span {
        #[inline]
        fn run<R>(&mut self, f: impl FnOnce() -> R) -> R {
            self.in_scope(f)
        }
    }

    impl InScope for &mut Span {
        #[inline]
        fn run<R>(&mut self, f: impl FnOnce() -> R) -> R {
            self.in_scope(f)
        }
    }

    impl InScope for SharedSpan {
        fn run<R>(&mut self, f: impl FnOnce() -> R) -> R {
            self.in_scope(f)
        }
    }
}

pin_project! {
    /// A future or stream that owns the span it runs in; made by [`InSpanExt::in_span`].
    #[derive(Debug)]
    #[must_use = "futures and streams do nothing unless polled"]
    pub struct InSpan<T, S: SpanHandle = Span> {
        // `None` only while this is dropped.
        #[pin]
        inner: Option<T>,
        // `None` when `inner` has completed.
        span: Option<S>,
    }

    impl<T, S: SpanHandle> PinnedDrop for InSpan<T, S> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(span) = this.span {
                // It is cancelled: its destructors belong to the span.
                span.run(|| this.inner.set(None));
            }
        }
    }
}

impl<T, S: SpanHandle> InSpan<T, S> {
    /// Polls `inner` in the span. What was ready before is polled once more without it, and answers for that itself.
    #[inline]
    fn poll_inner<R>(
        self: Pin<&mut Self>,
        poll: impl FnOnce(Pin<&mut T>) -> Poll<R>,
        is_over: impl FnOnce(&R) -> bool,
    ) -> Poll<R> {
        let this = self.project();
        let Some(inner) = this.inner.as_pin_mut() else {
            return Poll::Pending;
        };
        let Some(span) = this.span.as_mut() else {
            return poll(inner);
        };
        let polled = span.run(|| poll(inner));
        if matches!(&polled, Poll::Ready(output) if is_over(output)) {
            *this.span = None;
        }
        polled
    }
}

impl<F: Future, S: SpanHandle> Future for InSpan<F, S> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<F::Output> {
        self.poll_inner(|future| future.poll(task), |_| true)
    }
}

impl<T: Stream, S: SpanHandle> Stream for InSpan<T, S> {
    type Item = T::Item;

    #[inline]
    fn poll_next(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Option<T::Item>> {
        self.poll_inner(|stream| stream.poll_next(task), Option::is_none)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.as_ref().map_or((0, Some(0)), Stream::size_hint)
    }
}

pin_project! {
    /// A future or stream that runs in a context; made by [`InSpanExt::in_context`].
    #[derive(Debug)]
    #[must_use = "futures and streams do nothing unless polled"]
    pub struct InContext<T> {
        // `None` only while this is dropped.
        #[pin]
        inner: Option<T>,
        context: Context,
    }

    impl<T> PinnedDrop for InContext<T> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            this.context.in_scope(|| this.inner.set(None));
        }
    }
}

impl<F: Future> Future for InContext<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<F::Output> {
        let this = self.project();
        match this.inner.as_pin_mut() {
            Some(future) => this.context.in_scope(|| future.poll(task)),
            None => Poll::Pending,
        }
    }
}

impl<T: Stream> Stream for InContext<T> {
    type Item = T::Item;

    #[inline]
    fn poll_next(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Option<T::Item>> {
        let this = self.project();
        match this.inner.as_pin_mut() {
            Some(stream) => this.context.in_scope(|| stream.poll_next(task)),
            None => Poll::Ready(None),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.as_ref().map_or((0, Some(0)), Stream::size_hint)
    }
}
