//! One connection to the backend: name, TCP or a socket file, a proxy, TLS.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::outcome::{Failure, Outcome};
use super::tls::{Tls, handshake_failure, tls_failure};
use crate::config::{Endpoint, Proxy};

/// Where a name has several addresses, each but the last gets so long: a dead first one must not
/// use up the time of all.
const EACH_ADDRESS: Duration = Duration::from_secs(3);

/// What connections to one destination are made with.
pub(super) struct Connector {
    pub endpoint: Endpoint,
    pub proxy: Option<Proxy>,
    /// Of a whole request; `None` is no limit.
    pub timeout: Option<Duration>,
    pub tls: Tls,
    pub version: Version,
}

/// Which HTTP is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Http1,
    Http2,
}

/// A task that ends with this.
pub(super) struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl AbortOnDrop {
    pub fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(task))
    }
}

impl Drop for AbortOnDrop {
    /// A peer that reads no more would keep it, and what it has to send, for ever.
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Bytes to and from a backend, whatever they go through.
pub(super) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

impl Connector {
    pub async fn connect(&mut self) -> Result<Stream, Outcome> {
        let mut connection = self.reach().await?;
        if self.endpoint.is_tls() {
            let config = self.tls.config()?;
            let name = ServerName::try_from(self.endpoint.host().to_owned())
                .map_err(|error| Outcome::failed(Failure::Tls, error))?;
            let stream = TlsConnector::from(config).connect(name, connection).await;
            connection = Box::new(stream.map_err(|error| handshake_failure(&error))?);
        }
        Ok(Stream {
            inner: connection,
            version: self.version,
            is_tls: self.endpoint.is_tls(),
            heard: false,
            trouble: Trouble::default(),
            sent: Arc::default(),
            write_error: None,
        })
    }

    async fn reach(&self) -> Result<Box<dyn Connection>, Outcome> {
        if let Some(path) = self.endpoint.socket() {
            return unix(path).await;
        }
        match &self.proxy {
            None => Ok(Box::new(
                tcp(self.endpoint.host(), self.endpoint.port(), self.timeout).await?,
            )),
            Some(proxy) => Ok(Box::new(tunnel(proxy, &self.endpoint, self.timeout).await?)),
        }
    }
}

#[cfg(unix)]
async fn unix(path: &std::path::Path) -> Result<Box<dyn Connection>, Outcome> {
    let connected = tokio::net::UnixStream::connect(path).await;
    Ok(Box::new(connected.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Outcome::failed(Failure::Unreachable, "there is no such socket"),
        _ => tcp_failure(&error),
    })?))
}

#[cfg(not(unix))]
async fn unix(_path: &std::path::Path) -> Result<Box<dyn Connection>, Outcome> {
    Err(Outcome::failed(Failure::Unreachable, "this system has no Unix sockets"))
}

async fn tcp(host: &str, port: u16, timeout: Option<Duration>) -> Result<TcpStream, Outcome> {
    let addresses = addresses(host, port).await?;
    // The last gets as much as each of the others.
    let share = timeout.map(|all| all / (u32::try_from(addresses.len()).unwrap_or(u32::MAX - 1) + 1));
    first_reachable(&addresses, share.map_or(EACH_ADDRESS, |share| share.min(EACH_ADDRESS))).await
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

async fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, Outcome> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    // The resolver blocks; this asks it on a thread that ends soon after.
    match tokio::net::lookup_host((host, port)).await {
        Ok(found) => Ok(found.collect()),
        Err(error) => Err(Outcome::failed(Failure::UnknownHost, error)),
    }
}

/// A connection through a proxy, by `CONNECT` (RFC 9110, section 9.3.6), whatever is spoken in it: the proxy sees no key.
async fn tunnel(proxy: &Proxy, to: &Endpoint, timeout: Option<Duration>) -> Result<TcpStream, Outcome> {
    /// An answer without a body is short.
    const LONGEST_HEAD: usize = 8 << 10;
    let failed = |detail: &dyn std::fmt::Display| Outcome::failed(Failure::Proxy, format_args!("{proxy}: {detail}"));
    let stream = tcp(proxy.host(), proxy.port(), timeout).await;
    let mut stream = stream.map_err(|outcome| failed(&outcome))?;
    let host = match to.host() {
        address if address.contains(':') => format!("[{address}]:{}", to.port()),
        name => format!("{name}:{}", to.port()),
    };
    let authorization = proxy
        .authorization()
        .map_or(String::new(), |value| format!("Proxy-Authorization: {value}\r\n"));
    let request = format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n{authorization}\r\n");
    stream
        .write_all(request.as_bytes())
        .await
        .map_err(|error| failed(&error))?;
    let mut head = Vec::new();
    let status = loop {
        head.clear();
        // Byte by byte: what follows the head is the backend's.
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) if head.len() < LONGEST_HEAD => head.push(byte),
                Ok(_) => return Err(failed(&"its answer has no end")),
                Err(error) => return Err(failed(&error)),
            }
        }
        match head.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5)) {
            // Not the answer yet: RFC 9110, section 15.2.
            Some([b'1', ..]) => {}
            status => break status,
        }
    };
    match status {
        Some([b'2', ..]) => Ok(stream),
        Some(b"407") => Err(failed(&"407: it wants a user and a password in its URL")),
        _ => {
            let line = String::from_utf8_lossy(&head);
            Err(failed(&line.lines().next().unwrap_or_default()))
        }
    }
}

fn tcp_failure(error: &io::Error) -> Outcome {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => Outcome::failed(Failure::Refused, ""),
        io::ErrorKind::TimedOut => Outcome::failed(Failure::TimedOut, "while connecting"),
        _ => Outcome::failed(Failure::Unreachable, error),
    }
}

/// A connection with a look at the first byte: every HTTP/1.1 answer begins with an `H`, and every HTTP/2 connection with the length of a
/// short frame, so that what else comes can be named.
pub(super) struct Stream {
    inner: Box<dyn Connection>,
    version: Version,
    is_tls: bool,
    heard: bool,
    trouble: Trouble,
    /// Bytes that were taken to be sent.
    sent: Arc<AtomicU64>,
    /// Of a write that has failed, while it is heard why.
    write_error: Option<io::Error>,
}

/// What has ended a connection, for whoever hears only that it has ended.
pub(super) type Trouble = Arc<OnceLock<Outcome>>;

impl Stream {
    /// Counts the bytes that were taken to be sent.
    pub fn sent(&self) -> Arc<AtomicU64> {
        self.sent.clone()
    }

    pub fn is_tls(&self) -> bool {
        self.is_tls
    }

    pub fn trouble(&self) -> Trouble {
        self.trouble.clone()
    }

    fn hear(&mut self, first: u8) -> io::Result<()> {
        /// RFC 8446, section 5.1: the content types `alert` and `handshake`.
        const TLS: [u8; 2] = [21, 22];
        self.heard = true;
        match (self.version, first) {
            (Version::Http1, b'H') | (Version::Http2, 0) => Ok(()),
            (_, first) if TLS.contains(&first) => Err(self.not_http(Failure::PlainToTls)),
            (Version::Http1, _) => Err(self.not_http(Failure::NotHttp)),
            (Version::Http2, _) => Err(self.not_http(Failure::NotHttp2)),
        }
    }

    /// What a write comes to. When it fails, what the server has said before it hung up is heard first: it may name the cause.
    fn written(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let error = match written {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(bytes)) => {
                self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
                return Poll::Ready(Ok(bytes));
            }
            Poll::Ready(Err(error)) => error,
        };
        let mut space = [0; 1];
        let mut heard = ReadBuf::new(&mut space);
        match (Pin::new(&mut self.inner).poll_read(cx, &mut heard), heard.filled()) {
            // Nothing can be sent any more, so that an answer or the end is on its way.
            (Poll::Pending, _) => {
                self.write_error = Some(error);
                return Poll::Pending;
            }
            (Poll::Ready(Ok(())), [first]) if !self.heard => drop(self.hear(*first)),
            (Poll::Ready(Ok(())), _) => self.note_silence(),
            (Poll::Ready(Err(error)), _) => self.note(&error),
        }
        Poll::Ready(Err(error))
    }

    fn note(&self, error: &io::Error) {
        match tls_failure(error) {
            Some(failure) => drop(self.trouble.set(failure)),
            None => self.note_silence(),
        }
    }

    /// Servers of HTTP/1.1, and those that wait for TLS, hang up on HTTP/2 without a word.
    fn note_silence(&self) {
        if self.version == Version::Http2 && !self.heard {
            let hint = "without a word: does this port speak gRPC, and without TLS?";
            let _first = self.trouble.set(Outcome::failed(Failure::Disconnected, hint));
        }
    }

    fn not_http(&self, failure: Failure) -> io::Error {
        let _first = self.trouble.set(Outcome::failed(failure, ""));
        io::Error::new(io::ErrorKind::InvalidData, failure)
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if let Err(error) = ready!(Pin::new(&mut self.inner).poll_read(cx, buffer)) {
            self.note(&error);
            return Poll::Ready(Err(error));
        }
        match buffer.filled().get(before) {
            Some(first) if !self.heard => Poll::Ready(self.hear(*first)),
            None => {
                self.note_silence();
                Poll::Ready(Ok(()))
            }
            Some(_) => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = match self.write_error.take() {
            Some(error) => Poll::Ready(Err(error)),
            None => Pin::new(&mut self.inner).poll_write(cx, bytes),
        };
        self.written(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match self.write_error.take() {
            Some(error) => Poll::Ready(Err(error)),
            None => Pin::new(&mut self.inner).poll_write_vectored(cx, parts),
        };
        self.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
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
