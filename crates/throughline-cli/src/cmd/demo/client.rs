//! Requests to the demo's server.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use throughline::{Context, InSpanExt as _, span};
use tokio::net::TcpStream;

use super::span_log::SpanReporter;

/// Sends a request in a span of its own, and gives the answer's body. `route` is the path without what changes from
/// request to request, for the span's name.
pub async fn call(
    reporter: &SpanReporter,
    method: Method,
    server: SocketAddr,
    route: &str,
    path: &str,
    body: Bytes,
) -> io::Result<Bytes> {
    let url = format!("http://{server}{path}");
    let mut span = reporter.start(span!(
        kind: Client,
        &format!("{method} {route}"),
        http.request.method = method.as_str(),
        http.request.body.size = body.len(),
        url.full = url.as_str(),
        url.template = route,
        server.address = server.ip().to_string().as_str(),
        server.port = server.port(),
    ));
    let request = request(&span.context(), method, server, path, body)?;
    let answered = exchange(server, request).in_context(span.context()).await;
    match &answered {
        Ok((status, _)) => span.set("http.response.status_code", status.as_u16()),
        Err(error) => span.error(error),
    }
    let (status, body) = answered?;
    if !status.is_success() {
        span.status_error(&status.to_string());
        return Err(io::Error::other(format!(
            "{url} answered {status}: {}",
            String::from_utf8_lossy(&body)
        )));
    }
    Ok(body)
}

fn request(
    context: &Context,
    method: Method,
    server: SocketAddr,
    path: &str,
    body: Bytes,
) -> io::Result<Request<Full<Bytes>>> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().map_err(io::Error::other)?;
    let headers: &mut HeaderMap = request.headers_mut();
    let host = HeaderValue::try_from(server.to_string()).map_err(io::Error::other)?;
    headers.insert(http::header::HOST, host);
    for (name, value) in context.inject(Vec::new()) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.insert(name, value);
        }
    }
    Ok(request)
}

async fn exchange(server: SocketAddr, request: Request<Full<Bytes>>) -> io::Result<(StatusCode, Bytes)> {
    let stream = TcpStream::connect(server).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let answer = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        Ok((status, answer.into_body().collect().await?.to_bytes()))
    };
    let within = tokio::time::timeout(TIMEOUT, async {
        tokio::pin!(answer, connection);
        let mut is_connected = true;
        loop {
            tokio::select! {
                answer = &mut answer => break answer,
                _ = &mut connection, if is_connected => is_connected = false,
            }
        }
    });
    let answer = within.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?;
    answer.map_err(|error: hyper::Error| io::Error::other(error))
}

/// How long an answer may take: that of the result waits for the work to be done.
const TIMEOUT: Duration = Duration::from_secs(100);
