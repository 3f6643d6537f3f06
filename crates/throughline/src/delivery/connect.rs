//! One connection to the backend: name, TCP, TLS, HTTP/1.1.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::rt::ReadBufCursor;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::outcome::{Failure, Outcome};
use super::tls::{Tls, handshake_failure};
use crate::config::Endpoint;

/// Where a name has several addresses, each but the last gets so long: a dead first one must not
/// use up the time of all.
const EACH_ADDRESS: Duration = Duration::from_secs(3);

/// Connects; the connection is driven by a task on the current runtime until it is dropped.
pub(super) async fn connect(endpoint: &Endpoint, tls: &mut Tls) -> Result<SendRequest<Full<Bytes>>, Outcome> {
    let stream = tcp(endpoint).await?;
    if !endpoint.is_tls() {
        return http(stream).await;
    }
    let config = tls.config()?;
    let name =
        ServerName::try_from(endpoint.host().to_owned()).map_err(|error| Outcome::failed(Failure::Tls, error))?;
    let stream = TlsConnector::from(config)
        .connect(name, stream)
        .await
        .map_err(|error| handshake_failure(&error))?;
    http(stream).await
}

async fn tcp(endpoint: &Endpoint) -> Result<TcpStream, Outcome> {
    first_reachable(&addresses(endpoint).await?, EACH_ADDRESS).await
}

async fn first_reachable(addresses: &[SocketAddr], each: Duration) -> Result<TcpStream, Outcome> {
    let mut last = Outcome::failed(Failure::UnknownHost, "");
    for (index, address) in addresses.iter().enumerate() {
        let connecting = TcpStream::connect(address);
        let connected = if index + 1 < addresses.len() {
            tokio::time::timeout(each, connecting)
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        } else {
            connecting.await
        };
        match connected {
            Ok(stream) => {
                // One write per request: waiting for more to fill a packet would only delay it.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => last = tcp_failure(&error),
        }
    }
    Err(last)
}

async fn addresses(endpoint: &Endpoint) -> Result<Vec<SocketAddr>, Outcome> {
    if let Ok(address) = endpoint.host().parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, endpoint.port())]);
    }
    // The resolver blocks; this asks it on a thread that ends soon after.
    match tokio::net::lookup_host((endpoint.host(), endpoint.port())).await {
        Ok(found) => Ok(found.collect()),
        Err(error) => Err(Outcome::failed(Failure::UnknownHost, error)),
    }
}

async fn http<T>(stream: T) -> Result<SendRequest<Full<Bytes>>, Outcome>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(Stream {
        inner: stream,
        heard: false,
    })
    .await
    .map_err(|error| Outcome::failed(Failure::Disconnected, error))?;
    // What it ends with reaches the request as well.
    tokio::spawn(async { drop(connection.await) });
    Ok(sender)
}

fn tcp_failure(error: &io::Error) -> Outcome {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Outcome::failed(Failure::Refused, ""),
        io::ErrorKind::TimedOut => Outcome::failed(Failure::TimedOut, "while connecting"),
        _ => Outcome::failed(Failure::Unreachable, error),
    }
}

/// Tokio's stream as hyper's, with a look at the first byte: every HTTP/1.1 answer begins with an
/// `H`, so that what else comes can be named.
struct Stream<T> {
    inner: T,
    heard: bool,
}

impl<T: AsyncRead + Unpin> hyper::rt::Read for Stream<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        // Answers are short. The copy spares the unsafe code of reading into unset memory.
        let mut space = [0; 4096];
        let size = buffer.remaining().min(space.len());
        let mut part = ReadBuf::new(&mut space[..size]);
        ready!(Pin::new(&mut self.inner).poll_read(cx, &mut part))?;
        if let Some(first) = part.filled().first() {
            if !std::mem::replace(&mut self.heard, true) {
                /// RFC 8446, section 5.1: the content types `alert` and `handshake`.
                const TLS: [u8; 2] = [21, 22];
                match first {
                    b'H' => {}
                    first if TLS.contains(first) => return Poll::Ready(Err(not_http(Failure::PlainToTls))),
                    _ => return Poll::Ready(Err(not_http(Failure::NotHttp))),
                }
            }
        }
        buffer.put_slice(part.filled());
        Poll::Ready(Ok(()))
    }
}

fn not_http(failure: Failure) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, failure)
}

impl<T: AsyncWrite + Unpin> hyper::rt::Write for Stream<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_where_nobody_listens_does_not_hide_the_next_one() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let alive = listener.local_addr().unwrap();
        let dead = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let reached = |addresses: &[SocketAddr]| {
            let reached = runtime.block_on(first_reachable(addresses, EACH_ADDRESS));
            reached.map(|stream| stream.peer_addr().unwrap())
        };
        assert_eq!(reached(&[dead, alive]), Ok(alive));
        assert_eq!(reached(&[alive, dead]), Ok(alive));
        assert_eq!(reached(&[alive, dead][1..]), Err(Outcome::failed(Failure::Refused, "")));
        assert_eq!(reached(&[]), Err(Outcome::failed(Failure::UnknownHost, "")));
    }
}
