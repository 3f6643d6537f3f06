//! An OTLP/HTTP receiver that tells what it got, and fails as ordered.

mod answer;
mod request;
mod server;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use self::answer::Answer;
pub use self::request::{ReceivedSpan, Request};
use self::server::Server;
use crate::certificate::Certificate;
use crate::port::Port;

/// A server for OTLP over HTTP with protobuf bodies on a loopback port of its own.
///
/// It has a thread and a runtime of its own, so it works from any test, and stops when dropped.
/// It is told what to answer by a function of the request; without one it answers as a Collector
/// would ([`Answer::to`]).
///
/// ```
/// use std::time::Duration;
/// use throughline_testkit::{Answer, Receiver, client};
///
/// // Throttles the first request, takes the others.
/// let receiver = Receiver::with(|request| match request.number {
///     1 => Answer::status(429).retry_after(Duration::from_secs(1)),
///     _ => Answer::to(request),
/// })?;
/// let url = format!("{}/v1/traces", receiver.endpoint());
/// assert_eq!(client::post(&url, b"")?.status, 429);
/// assert_eq!(client::post(&url, b"")?.status, 200);
/// assert_eq!(receiver.requests().len(), 2);
/// # std::io::Result::Ok(())
/// ```
pub struct Receiver {
    port: Port,
    certificate: Option<Certificate>,
    is_grpc: bool,
    shared: Arc<Shared>,
    server: Option<Server>,
}

impl Receiver {
    /// Starts a receiver that takes whatever is right ([`Answer::to`]).
    ///
    /// # Errors
    ///
    /// Those of binding a port and of starting a thread.
    pub fn start() -> io::Result<Self> {
        Self::with(Answer::to)
    }

    /// Starts a receiver that answers each request as `behaviour` says. The first has number 1.
    ///
    /// # Errors
    ///
    /// Those of binding a port and of starting a thread.
    pub fn with(behaviour: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> io::Result<Self> {
        Self::build(behaviour, None, false)
    }

    /// As [`Receiver::start`], for gRPC.
    ///
    /// # Errors
    ///
    /// As [`Receiver::start`].
    pub fn start_grpc() -> io::Result<Self> {
        Self::with_grpc(Answer::to)
    }

    /// As [`Receiver::with`], for gRPC.
    ///
    /// # Errors
    ///
    /// As [`Receiver::start`].
    pub fn with_grpc(behaviour: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> io::Result<Self> {
        Self::build(behaviour, None, true)
    }

    /// As [`Receiver::start_mutual_tls`], for gRPC.
    ///
    /// # Errors
    ///
    /// As [`Receiver::start_tls`].
    pub fn start_grpc_mutual_tls() -> io::Result<Self> {
        Self::build(Answer::to, Some(Certificate::new(true)?), true)
    }

    /// As [`Receiver::start`], over TLS, with a certificate whose authority was made just now
    /// ([`Receiver::ca_pem`]).
    ///
    /// # Errors
    ///
    /// As [`Receiver::start`], and those of writing the authority's file.
    pub fn start_tls() -> io::Result<Self> {
        Self::with_tls(Answer::to)
    }

    /// As [`Receiver::with`], over TLS.
    ///
    /// # Errors
    ///
    /// As [`Receiver::start_tls`].
    pub fn with_tls(behaviour: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> io::Result<Self> {
        Self::build(behaviour, Some(Certificate::new(false)?), false)
    }

    /// As [`Receiver::start_tls`], and serves only clients that show the certificate made for them
    /// ([`Receiver::client_pem`]).
    ///
    /// # Errors
    ///
    /// As [`Receiver::start_tls`].
    pub fn start_mutual_tls() -> io::Result<Self> {
        Self::build(Answer::to, Some(Certificate::new(true)?), false)
    }

    /// The base URL, such as `http://127.0.0.1:43210`: the value for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub fn endpoint(&self) -> String {
        let scheme = if self.certificate.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address())
    }

    /// The address it listens on, also while stopped.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The file with the certificate of the authority that vouches for this receiver, in PEM; nothing
    /// for a plain receiver. The certificate is for `127.0.0.1` and `localhost`.
    pub fn ca_pem(&self) -> Option<&Path> {
        self.certificate.as_ref().map(Certificate::ca_pem)
    }

    /// The files of a client's certificate and its private key, in PEM; nothing for a receiver that asks for none.
    pub fn client_pem(&self) -> Option<(&Path, &Path)> {
        let client = self.certificate.as_ref()?.client()?;
        Some((&client.certificate, &client.key))
    }

    /// Every request that came in whole, in order, whatever it was answered.
    pub fn requests(&self) -> Vec<Arc<Request>> {
        self.shared.lock().requests.clone()
    }

    /// The spans taken so far: those of the requests whose answer says so ([`Answer`]), in order of
    /// the answers. What came twice is here twice.
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        self.shared.lock().spans.clone()
    }

    /// Waits until at least `count` spans were taken, and gives them all.
    ///
    /// # Errors
    ///
    /// `TimedOut`, saying how many there are, when they have not come `within` that time.
    pub fn wait_for(&self, count: usize, within: Duration) -> io::Result<Vec<ReceivedSpan>> {
        self.shared.wait(count, within, "spans", |got| &got.spans)
    }

    /// Waits until at least `count` requests came in, and gives them all.
    ///
    /// # Errors
    ///
    /// `TimedOut`, saying how many there are, when they have not come `within` that time.
    pub fn wait_for_requests(&self, count: usize, within: Duration) -> io::Result<Vec<Arc<Request>>> {
        self.shared.wait(count, within, "requests", |got| &got.requests)
    }

    /// Stops listening and drops every connection, answered or not. Who connects now is refused.
    /// What was received stays.
    pub fn stop(&mut self) {
        self.server = None;
    }

    /// Listens again, on the same port and with the same certificate; a running receiver drops its
    /// connections first.
    ///
    /// # Errors
    ///
    /// Those of binding the port and of starting a thread.
    pub fn restart(&mut self) -> io::Result<()> {
        self.stop();
        let acceptor = self.certificate.as_ref().map(Certificate::acceptor);
        self.server = Some(Server::start(
            &self.port,
            acceptor,
            self.is_grpc,
            Arc::clone(&self.shared),
        )?);
        Ok(())
    }

    fn build(
        behaviour: impl Fn(&Request) -> Answer + Send + Sync + 'static,
        certificate: Option<Certificate>,
        is_grpc: bool,
    ) -> io::Result<Self> {
        let shared = Shared {
            behaviour: Box::new(behaviour),
            got: Mutex::default(),
            changed: Condvar::new(),
        };
        let mut receiver = Self {
            port: Port::reserve()?,
            certificate,
            is_grpc,
            shared: Arc::new(shared),
            server: None,
        };
        receiver.restart()?;
        Ok(receiver)
    }
}

/// What the server's thread and the test both see.
struct Shared {
    behaviour: Box<dyn Fn(&Request) -> Answer + Send + Sync>,
    got: Mutex<Got>,
    /// Notified after every change of `got`.
    changed: Condvar,
}

#[derive(Default)]
struct Got {
    requests: Vec<Arc<Request>>,
    spans: Vec<ReceivedSpan>,
}

impl Shared {
    /// Notes a request that came in, and numbers it.
    fn arrived(&self, mut request: Request) -> Arc<Request> {
        let mut got = self.lock();
        request.number = got.requests.len() as u64 + 1;
        let request = Arc::new(request);
        got.requests.push(Arc::clone(&request));
        self.changed.notify_all();
        request
    }

    /// Notes the spans of a request that were taken.
    fn taken(&self, spans: impl IntoIterator<Item = ReceivedSpan>) {
        self.lock().spans.extend(spans);
        self.changed.notify_all();
    }

    fn wait<T: Clone>(
        &self,
        count: usize,
        within: Duration,
        what: &str,
        list: impl Fn(&Got) -> &Vec<T>,
    ) -> io::Result<Vec<T>> {
        let (got, _) = self
            .changed
            .wait_timeout_while(self.lock(), within, |got| list(got).len() < count)
            .unwrap_or_else(PoisonError::into_inner);
        let list = list(&got);
        if list.len() < count {
            let message = format!("waited {within:?} for {count} {what}, got {}", list.len());
            return Err(io::Error::new(io::ErrorKind::TimedOut, message));
        }
        Ok(list.clone())
    }

    /// Each change is one push, so the lists are whole even if some thread panicked holding the lock.
    fn lock(&self) -> MutexGuard<'_, Got> {
        self.got.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
