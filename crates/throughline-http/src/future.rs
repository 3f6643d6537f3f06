//! A service's future, with the span around it.

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll, ready};

use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use crate::body::TracedBody;
use crate::exchange::{Around, Rest};

pin_project! {
    /// The future of a traced service. Its span goes on in the response's body.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<F> {
        // `None` only while this is dropped.
        #[pin]
        inner: Option<F>,
        around: Around,
    }

    impl<F> PinnedDrop for ResponseFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // Cancelled: its destructors belong to the span.
            this.around.run(|| this.inner.set(None));
        }
    }
}

impl<F> ResponseFuture<F> {
    pub(crate) fn new(inner: F, around: Around) -> Self {
        Self {
            inner: Some(inner),
            around,
        }
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    B: Body,
    E: Display + 'static,
{
    type Output = Result<Response<TracedBody<B>>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(inner) = this.inner.as_pin_mut() else {
            return Poll::Pending;
        };
        let result = ready!(this.around.run(|| inner.poll(task)));
        let around = std::mem::replace(this.around, Around::Nothing);
        Poll::Ready(finish(around, result))
    }
}

/// The headers are there, or there will be none.
pub(crate) fn finish<B: Body, E: Display + 'static>(
    mut around: Around,
    result: Result<Response<B>, E>,
) -> Result<Response<TracedBody<B>>, E> {
    match result {
        Ok(mut response) => {
            let (around, remaining) = match around {
                Around::Exchange(mut exchange) => match exchange.response(&mut response) {
                    Rest::Nothing => (Around::Nothing, None),
                    Rest::Body(length) => (Around::Exchange(exchange), length),
                },
                other => (other, None),
            };
            Ok(response.map(|body| TracedBody::new(body, around, remaining)))
        }
        Err(error) => {
            if let Around::Exchange(exchange) = &mut around {
                exchange.failed(&error);
            }
            Err(error)
        }
    }
}
