//! What `#[traced]` does with the items of a stream.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use pin_project_lite::pin_project;

pin_project! {
    /// A stream of which each item is seen; made by [`inspected`].
    #[doc(hidden)]
    #[derive(Debug)]
    #[must_use = "streams do nothing unless polled"]
    pub struct Inspected<S, F> {
        #[pin]
        stream: S,
        see: F,
    }
}

/// Shows each item to `see`, inside the poll that gives it.
#[doc(hidden)]
pub fn inspected<S: Stream, F: FnMut(&S::Item)>(stream: S, see: F) -> Inspected<S, F> {
    Inspected { stream, see }
}

impl<S: Stream, F: FnMut(&S::Item)> Stream for Inspected<S, F> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.project();
        let polled = this.stream.poll_next(task);
        if let Poll::Ready(Some(item)) = &polled {
            (this.see)(item);
        }
        polled
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.stream.size_hint()
    }
}
