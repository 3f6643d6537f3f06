//! The demo's server: takes jobs over HTTP, puts them into the queue, and hands out results.
//!
//! | request | answer |
//! |---|---|
//! | `POST /jobs` with an archive | 202 and the job's id |
//! | `PUT /jobs/{id}/result` with a result, from a worker | 204 |
//! | `GET /jobs/{id}/result` | the result, when it is there |

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use throughline::{Context, InSpanExt as _, span};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::{LocalSet, spawn_blocking, spawn_local};

use super::pack::MAX_BYTES;
use super::parent_watch::ParentWatch;
use super::queue::Queue;
use super::runtime;
use super::span_log::{SpanReporter, tell};
use crate::exit::Failure;

/// The demo's server.
#[derive(clap::Args)]
pub struct Server {
    /// The queue's directory
    queue: PathBuf,
}

impl Server {
    pub fn execute(self) -> Result<u8, Failure> {
        let tracing = throughline::init("demo-server");
        let queue = Queue::at(&self.queue);
        let parent_watch = ParentWatch::of_stdin().map_err(Failure::new)?;
        runtime()?.block_on(serve(queue, parent_watch)).map_err(Failure::new)?;
        drop(tracing);
        Ok(0)
    }
}

/// What all requests share.
struct Shared {
    queue: Queue,
    reporter: SpanReporter,
    results: Mutex<HashMap<String, Bytes>>,
    /// Told of every new result.
    arrived: Notify,
}

async fn serve(queue: Queue, parent_watch: ParentWatch) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let shared = Arc::new(Shared {
        queue,
        reporter: SpanReporter::Stdout,
        results: Mutex::default(),
        arrived: Notify::new(),
    });
    let (end, ended) = oneshot::channel();
    std::thread::Builder::new().spawn(move || {
        parent_watch.wait();
        let _ = end.send(());
    })?;
    tell(&format!("listening {}", listener.local_addr()?));
    let tasks = LocalSet::new();
    let accept = async {
        loop {
            let (stream, _) = listener.accept().await?;
            spawn_local(connection(stream, Arc::clone(&shared)));
        }
    };
    tokio::select! {
        failed = tasks.run_until(accept) => failed,
        _ = ended => Ok(()),
    }
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(|request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(traced(request, &shared).await) }
    });
    // An error here is a client that has gone.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// Answers in a span that goes on with the caller's trace.
async fn traced(request: Request<Incoming>, shared: &Shared) -> Response<Full<Bytes>> {
    let parent = throughline::extract(request.headers()).unwrap_or_else(Context::root);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let route = Route::of(&method, &path);
    let mut span = shared.reporter.start(span!(
        parent: &parent,
        kind: Server,
        &format!("{method} {}", route.template()),
        http.request.method = method.as_str(),
        http.route = route.template(),
        url.path = path.as_str(),
        url.scheme = "http",
    ));
    let answered = answer(route, request.into_body(), shared)
        .in_context(span.context())
        .await;
    let (status, body) = answered.unwrap_or_else(|error| {
        span.error(&error);
        (StatusCode::INTERNAL_SERVER_ERROR, Bytes::from(error.to_string()))
    });
    span.set("http.response.status_code", status.as_u16());
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response
}

/// What is asked for.
enum Route {
    Submit,
    Deliver(String),
    Fetch(String),
    Unknown,
}

impl Route {
    fn of(method: &Method, path: &str) -> Self {
        let id = path
            .strip_prefix("/jobs/")
            .and_then(|rest| rest.strip_suffix("/result"));
        match (method, path, id) {
            (&Method::POST, "/jobs", _) => Self::Submit,
            (&Method::PUT, _, Some(id)) => Self::Deliver(id.to_owned()),
            (&Method::GET, _, Some(id)) => Self::Fetch(id.to_owned()),
            _ => Self::Unknown,
        }
    }

    fn template(&self) -> &'static str {
        match self {
            Self::Submit => "/jobs",
            Self::Deliver(_) | Self::Fetch(_) => "/jobs/{id}/result",
            Self::Unknown => "/",
        }
    }
}

async fn answer(route: Route, body: Incoming, shared: &Shared) -> io::Result<(StatusCode, Bytes)> {
    match route {
        Route::Submit => {
            let id = enqueue(read(body).await?, shared).await?;
            Ok((StatusCode::ACCEPTED, Bytes::from(id)))
        }
        Route::Deliver(id) => {
            let result = read(body).await?;
            shared.results().insert(id, result);
            shared.arrived.notify_waiters();
            Ok((StatusCode::NO_CONTENT, Bytes::new()))
        }
        Route::Fetch(id) => Ok((StatusCode::OK, shared.result(&id).await)),
        Route::Unknown => Ok((StatusCode::NOT_FOUND, Bytes::new())),
    }
}

/// Puts a job into the queue, with the context of the span that does so: what happens to it later is part of the trace.
async fn enqueue(payload: Bytes, shared: &Shared) -> io::Result<String> {
    let mut span = shared.reporter.start(span!(
        kind: Producer,
        "send jobs",
        messaging.operation.name = "send",
        "messaging.operation.type" = "send",
        messaging.destination.name = "jobs",
        messaging.message.body.size = payload.len(),
    ));
    // Unique here: one server, one queue, and as many jobs as there are spans.
    let id = span
        .context()
        .span_id()
        .map_or_else(|| "job".to_owned(), |id| id.to_string());
    span.set("messaging.message.id", id.as_str());
    let headers: HeaderList = span.context().inject(Vec::new());
    let (queue, name) = (shared.queue.clone(), id.clone());
    let put = spawn_blocking(move || queue.put(&name, &headers, &payload)).await;
    let put = put.map_err(io::Error::other).and_then(|put| put);
    put.inspect_err(|error| span.error(error))?;
    Ok(id)
}

type HeaderList = Vec<(String, String)>;

async fn read(body: Incoming) -> io::Result<Bytes> {
    // An archive is a little longer than what it contains.
    let limit = usize::try_from(MAX_BYTES * 2).unwrap_or(usize::MAX);
    let read = Limited::new(body, limit).collect().await;
    Ok(read.map_err(io::Error::other)?.to_bytes())
}

impl Shared {
    /// The result of a job, as soon as it is there.
    async fn result(&self, id: &str) -> Bytes {
        loop {
            let arrived = self.arrived.notified();
            tokio::pin!(arrived);
            // Before looking, so that one that arrives in between is not missed.
            arrived.as_mut().enable();
            if let Some(result) = self.results().get(id) {
                return result.clone();
            }
            arrived.await;
        }
    }

    fn results(&self) -> MutexGuard<'_, HashMap<String, Bytes>> {
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
