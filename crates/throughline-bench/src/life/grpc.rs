//! As much gRPC as a backend needs that counts spans.

use std::io;
use std::net::TcpStream;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{self, SendResponse};
use http::{HeaderMap, HeaderValue, Response};
use tokio::runtime;

use super::otlp;
use super::receiver::SPANS;

/// In front of each message: whether it is compressed, and its length.
const PREFIX: usize = 5;
/// A deliverer is to meet the machine's speed, not the window of a careful server.
const WINDOW: u32 = 16 << 20;

/// Answers calls until the other end has no more.
///
/// # Errors
///
/// If the connection fails, or something else than gRPC comes.
pub fn converse(connection: &TcpStream) -> io::Result<()> {
    let stream = connection.try_clone()?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(calls(stream)).map_err(io::Error::other)
}

async fn calls(stream: TcpStream) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let stream = tokio::net::TcpStream::from_std(stream)?;
    let mut builder = server::Builder::new();
    builder
        .initial_window_size(WINDOW)
        .initial_connection_window_size(WINDOW);
    let mut connection = builder.handshake::<_, Bytes>(stream).await?;
    while let Some(call) = connection.accept().await {
        let (request, answer) = call?;
        // The connection is driven by asking it for the next call.
        tokio::spawn(async {
            // A call that fails is given up: the deliverer sees that.
            let _ = serve(request.into_body(), answer).await;
        });
    }
    Ok(())
}

async fn serve(mut body: RecvStream, mut answer: SendResponse<Bytes>) -> Result<(), h2::Error> {
    let mut message = Vec::new();
    while let Some(part) = body.data().await {
        let part = part?;
        body.flow_control().release_capacity(part.len())?;
        message.extend_from_slice(&part);
    }
    let spans = message.get(PREFIX..).and_then(otlp::spans);
    SPANS.fetch_add(spans.unwrap_or_default(), Ordering::Release);
    let mut head = Response::new(());
    head.headers_mut()
        .insert("content-type", HeaderValue::from_static("application/grpc"));
    let mut stream = answer.send_response(head, false)?;
    stream.send_data(Bytes::from_static(&[0; PREFIX]), false)?;
    let mut trailers = HeaderMap::new();
    // INVALID_ARGUMENT where it cannot be read.
    let status = if spans.is_some() { "0" } else { "3" };
    trailers.insert("grpc-status", HeaderValue::from_static(status));
    stream.send_trailers(trailers)
}
