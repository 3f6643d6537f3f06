//! Destinations that are written to by calls that block: each call is made on a thread beside the delivery thread, so that one which
//! takes long, or never returns, keeps nobody from ending by his deadline.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::caught::caught;

use super::outcome::Outcome;

/// Takes batches, one at a time.
pub(super) trait Sink: Send {
    /// Takes `request`, a complete `ExportTraceServiceRequest`.
    fn write(&mut self, request: &[u8]) -> Outcome;

    /// Hands on what it has taken and still holds. Called before a flush that somebody waits for ends.
    fn flush(&mut self) {}

    /// Called before a shutdown ends.
    fn shutdown(&mut self) {}

    /// Whether [`flush`](Self::flush) and [`shutdown`](Self::shutdown) do something.
    fn has_hooks(&self) -> bool {
        false
    }
}

/// A sink, and the way to its thread.
pub(super) struct Blocking {
    sink: Arc<Mutex<Box<dyn Sink>>>,
    pub(super) has_hooks: bool,
}

impl Blocking {
    pub(super) fn new(sink: impl Sink + 'static) -> Self {
        Self {
            has_hooks: sink.has_hooks(),
            sink: Arc::new(Mutex::new(Box::new(sink))),
        }
    }

    /// When this is dropped before its end the sink goes on with the batch, and the next call waits for it.
    pub(super) async fn send(&mut self, request: Bytes) -> Outcome {
        let outcome = self.call(move |sink| sink.write(&request)).await;
        // It would fail in the same way again.
        outcome.unwrap_or_else(|| Outcome::Refused("it has panicked".to_owned()))
    }

    /// At its end it also shuts the sink down, if that is wanted.
    pub(super) async fn flush(&mut self, is_last: bool) {
        self.call(|sink| sink.flush()).await;
        if is_last {
            self.call(|sink| sink.shutdown()).await;
        }
    }

    /// `None`: it has panicked.
    async fn call<T: Send + 'static>(&self, work: impl FnOnce(&mut dyn Sink) -> T + Send + 'static) -> Option<T> {
        let sink = self.sink.clone();
        let call = tokio::task::spawn_blocking(move || {
            // Whatever a sink does, it is part of delivery.
            let _untraced = throughline_context::suppress();
            let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
            caught(|| work(&mut **sink))
        });
        call.await.ok().flatten()
    }
}
