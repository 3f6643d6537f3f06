//! The thread that listens, and the way of one request through it.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio_rustls::TlsAcceptor;

use super::answer::Ending;
use super::{Answer, ReceivedSpan, Request, Shared};
use crate::port::Port;

/// A running server; dropping it stops it and waits until its port is free.
pub(super) struct Server {
    /// Dropped first, which is the word to stop.
    stop: Option<oneshot::Sender<Infallible>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on `port`, over TLS if there is an acceptor.
    pub(super) fn start(port: &Port, tls: Option<TlsAcceptor>, is_grpc: bool, shared: Arc<Shared>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _inside = runtime.enter();
            port.listen()?
        };
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("testkit-receiver".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        _ = stopped => {}
                        () = accept(listener, tls, is_grpc, shared) => {}
                    }
                });
                // The runtime goes here, and with it every connection.
            })?;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // it has said on stderr why it panicked, if it did
        }
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, is_grpc: bool, shared: Arc<Shared>) {
    loop {
        // A connection that was gone before we took it is no reason to stop.
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let (tls, shared) = (tls.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            match tls {
                None if is_grpc => converse_in_http2(stream, shared).await,
                None => converse(stream, |stream| stream, shared).await,
                Some(tls) => {
                    // Who cannot agree on TLS has been told by an alert.
                    let Ok(stream) = tls.accept(stream).await else { return };
                    if is_grpc {
                        converse_in_http2(stream, shared).await;
                    } else {
                        converse(stream, |stream| stream.get_ref().0, shared).await;
                    }
                }
            }
        });
    }
}

/// Serves one connection until either side ends it. `socket` finds what is below `stream`.
async fn converse<S>(stream: S, socket: fn(&S) -> &TcpStream, shared: Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let reset = Notify::new();
    let answering = service_fn(|request| respond(request, &shared, &reset));
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), answering);
    let resetting = tokio::select! {
        _ = &mut connection => false, // an error is the client's going away, or ours in CutShort
        () = reset.notified() => true,
    };
    if resetting {
        let stream = connection.into_parts().io.into_inner();
        let _ = socket(&stream).set_zero_linger(); // fails only on a socket that is reset already
    }
}

/// The same over HTTP/2, for gRPC. A reset is one of the stream.
async fn converse_in_http2<S>(stream: S, shared: Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let answering = service_fn(move |request| {
        let shared = shared.clone();
        async move {
            let reset = Notify::new();
            tokio::select! {
                answer = respond(request, &shared, &reset) => answer.map_err(io::Error::other),
                () = reset.notified() => Err(io::Error::other("as the test wants it")),
            }
        }
    });
    let connection = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), answering);
    let _ = connection.await; // the client's going away
}

async fn respond(
    request: http::Request<Incoming>,
    shared: &Shared,
    reset: &Notify,
) -> hyper::Result<http::Response<AnswerBody>> {
    let (head, body) = request.into_parts();
    let request = shared.arrived(Request {
        number: 0, // given on arrival
        method: head.method,
        path: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        headers: head.headers,
        body: body.collect().await?.to_bytes(),
    });
    let answer = (shared.behaviour)(&request);
    tokio::time::sleep(answer.delay).await;
    if answer.takes {
        let spans = ReceivedSpan::of(&request).unwrap_or_default();
        let taken = spans.len().saturating_sub(answer.rejected);
        shared.taken(spans.into_iter().take(taken));
    }
    match answer.ending {
        Ending::Sent | Ending::CutShort => Ok(response(answer)),
        Ending::Hang => pending().await,
        Ending::Reset => {
            reset.notify_one();
            pending().await
        }
    }
}

fn response(answer: Answer) -> http::Response<AnswerBody> {
    let length = answer.body.len() as u64 + answer.padding;
    let cut_short = answer.ending == Ending::CutShort;
    let body = AnswerBody {
        start: answer.body,
        padding: answer.padding,
        cut_short,
        trailers: answer.trailers,
    };
    let mut response = http::Response::new(body);
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    if cut_short {
        response.headers_mut().insert(CONTENT_LENGTH, (length + 1000).into());
    }
    response
}

/// Given bytes, then zeros, made only as they are sent.
struct AnswerBody {
    start: Bytes,
    padding: u64,
    /// Whether to keep the length to itself, so that hyper believes our `content-length`, and to
    /// pause once before the end, so that hyper sends what it has before it notices the lie.
    cut_short: bool,
    /// Behind all of it.
    trailers: Option<HeaderMap>,
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
        let data = if !self.start.is_empty() {
            std::mem::take(&mut self.start)
        } else if self.padding > 0 {
            let length = self.padding.min(ZEROS.len() as u64);
            self.padding -= length;
            Bytes::from_static(&ZEROS[..length as usize])
        } else if std::mem::take(&mut self.cut_short) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        } else if let Some(trailers) = self.trailers.take() {
            return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
        } else {
            return Poll::Ready(None);
        };
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        !self.cut_short && self.start.is_empty() && self.padding == 0 && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if self.cut_short {
            SizeHint::default()
        } else {
            SizeHint::with_exact(self.start.len() as u64 + self.padding)
        }
    }
}
