//! One request outside of any delivery, for what was refused before.

use std::io;

use bytes::Bytes;

use super::outcome::Outcome;
use super::transport::Transport;
use crate::config;
use crate::destination::OtlpDestination;

impl OtlpDestination {
    /// Sends one request, bytes of an `ExportTraceServiceRequest`, and waits for the answer: for payloads that were rejected before,
    /// and are kept in the spool. Nothing of it is counted or kept, and nothing is tried again. Returns how many of its spans were
    /// refused all the same.
    ///
    /// # Errors
    ///
    /// In words for a person: the destination is none, it cannot be reached, or it refuses the request.
    ///
    /// ```
    /// let nobody = throughline::Destination::otlp("http://127.0.0.1:1");
    /// let error = nobody.send(Vec::new()).unwrap_err();
    /// assert!(error.to_string().contains("nothing listens"));
    /// ```
    pub fn send(&self, request: Vec<u8>) -> io::Result<u64> {
        let destination = config::one(self, &|name| std::env::var_os(name)).map_err(io::Error::other)?;
        let mut transport = Transport::new(&destination);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let _untraced = throughline_context::suppress();
        let outcome = runtime.block_on(transport.send(Bytes::from(request)));
        // Its end does not wait for a name to be resolved.
        runtime.shutdown_background();
        match outcome {
            Outcome::Accepted { rejected, .. } => Ok(rejected),
            refused => Err(io::Error::other(refused.to_string())),
        }
    }
}
