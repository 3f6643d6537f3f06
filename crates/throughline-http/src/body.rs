//! A response's body, with the span that ends when it does.

use std::fmt::Display;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::exchange::Around;
use crate::rpc::Side;

pin_project! {
    /// The body of a traced response. It passes all on, and ends the span when its end is seen: the last byte that was announced, the
    /// end of the stream, trailers, an error, or being dropped.
    #[derive(Debug)]
    pub struct TracedBody<B> {
        // `None` only while this is dropped.
        #[pin]
        inner: Option<B>,
        around: Around,
        // Bytes that are still to come, where their number was announced.
        remaining: Option<u64>,
    }

    impl<B> PinnedDrop for TracedBody<B> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // Destructors of a body that was not read to its end belong to the span.
            in_body(this.around, || this.inner.set(None));
        }
    }
}

impl<B> TracedBody<B> {
    pub(crate) fn new(inner: B, around: Around, remaining: Option<u64>) -> Self {
        Self {
            inner: Some(inner),
            around,
            remaining,
        }
    }
}

/// A server makes the body in its span. A client's body is read by the caller, whose own span stays current.
fn in_body<R>(around: &mut Around, f: impl FnOnce() -> R) -> R {
    match around {
        Around::Exchange(exchange) if exchange.side() == Side::Client => f(),
        around => around.run(f),
    }
}

impl<B> Body for TracedBody<B>
where
    B: Body,
    B::Error: Display + 'static,
{
    type Data = B::Data;
    type Error = B::Error;

    #[inline]
    fn poll_frame(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let Some(mut inner) = this.inner.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let frame = ready!(in_body(this.around, || inner.as_mut().poll_frame(task)));
        let Around::Exchange(exchange) = this.around else {
            return Poll::Ready(frame);
        };
        match &frame {
            Some(Ok(frame)) => {
                exchange.frame(frame);
                let data = frame.data_ref().map_or(0, |data| data.remaining() as u64);
                *this.remaining = this.remaining.map(|remaining| remaining.saturating_sub(data));
                if *this.remaining == Some(0) || inner.is_end_stream() {
                    exchange.end(None);
                }
            }
            Some(Err(error)) => exchange.failed(error),
            None => exchange.end(None),
        }
        if exchange.is_over() {
            *this.around = Around::Nothing;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

impl<B: Default> Default for TracedBody<B> {
    fn default() -> Self {
        Self::new(B::default(), Around::Nothing, None)
    }
}
