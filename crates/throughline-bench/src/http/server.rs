//! The servers that are compared, each in a process of its own.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use axum::Router;
use axum::extract::MatchedPath;
use axum::http::Request;
use axum::routing::get;
use opentelemetry_sdk::trace::Sampler;
use throughline_http::ServerLayer;
use tower_http::trace::TraceLayer;
use tracing::{Span, field, info_span};
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::cases::opentelemetry;

/// A server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Case {
    /// Without tracing.
    Bare,
    /// With a layer that does nothing: what axum takes for any.
    EmptyLayer,
    /// Every request has a span, in the spool.
    Throughline,
    /// The layer is there, and tracing is off.
    ThroughlineOff,
    /// tower-http's layer with the attributes of the conventions, and an SDK whose processor discards.
    TracingOpentelemetry,
}

impl Case {
    /// The first is what the others are compared with.
    pub const ALL: [Self; 5] = [
        Self::Bare,
        Self::EmptyLayer,
        Self::Throughline,
        Self::ThroughlineOff,
        Self::TracingOpentelemetry,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::EmptyLayer => "empty-layer",
            Self::Throughline => "throughline",
            Self::ThroughlineOff => "throughline-off",
            Self::TracingOpentelemetry => "tracing-opentelemetry",
        }
    }
}

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    case: Case,
    child: Child,
    stdout: BufReader<ChildStdout>,
    address: String,
}

impl Server {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// Those of starting a process.
    pub fn start(case: Case, home: &Path) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--serve", case.name()])
            .env("THROUGHLINE_SPOOL_DIR", home.join(case.name()))
            .env(
                "OTEL_SDK_DISABLED",
                if case == Case::ThroughlineOff { "true" } else { "false" },
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut server = Self {
            case,
            child,
            stdout: BufReader::new(stdout),
            address: String::new(),
        };
        server.stdout.read_line(&mut server.address)?;
        server.address.truncate(server.address.trim_end().len());
        Ok(server)
    }

    pub fn case(&self) -> Case {
        self.case
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// The processor time of all its threads.
    ///
    /// # Errors
    ///
    /// If `/proc` does not tell.
    pub fn cpu_time(&self) -> io::Result<Duration> {
        let mut sum = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let told = fs::read_to_string(thread?.path().join("schedstat"))?;
            sum += told.split(' ').next().and_then(|time| time.parse().ok()).unwrap_or(0);
        }
        Ok(Duration::from_nanos(sum))
    }

    /// Ends it; what it says of its spans.
    ///
    /// # Errors
    ///
    /// Those of pipes and processes.
    pub fn stop(&mut self) -> io::Result<String> {
        drop(self.child.stdin.take());
        let mut said = String::new();
        self.stdout.read_to_string(&mut said)?;
        self.child.wait()?;
        Ok(said.trim().to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended, unless the bench has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the child process does, until its standard input ends.
///
/// # Errors
///
/// Those of sockets.
pub fn serve(case: Case) -> io::Result<()> {
    let app: Router = Router::new().route("/hello/{name}", get(|| async { "hello, world" }));
    match case {
        Case::Bare => listen(app),
        Case::EmptyLayer => listen(app.layer(tower_layer::Identity::new())),
        Case::Throughline | Case::ThroughlineOff => {
            let tracing = throughline::init("bench");
            listen(app.layer(ServerLayer::new()))?;
            let report = tracing.shutdown(Duration::from_secs(10)).wait();
            let mut out = io::stdout().lock();
            let (started, live, dropped) = (report.started(), report.live(), report.dropped());
            writeln!(out, "{started} started, {live} live, {dropped} dropped")
        }
        Case::TracingOpentelemetry => {
            let layer = tracing_opentelemetry::layer()
                .with_tracer(opentelemetry::tracer(Sampler::AlwaysOn))
                .with_location(false)
                .with_threads(false)
                .with_target(false)
                .with_tracked_inactivity(false);
            tracing::subscriber::set_global_default(Registry::default().with(layer)).map_err(io::Error::other)?;
            listen(
                app.layer(TraceLayer::new_for_http().make_span_with(make_span).on_response(
                    |response: &axum::response::Response, _: Duration, span: &Span| {
                        span.record("http.response.status_code", response.status().as_u16());
                    },
                )),
            )
        }
    }
}

/// The attributes that Throughline's layer records, by the ways of `tracing`.
fn make_span<B>(request: &Request<B>) -> Span {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map(MatchedPath::as_str)
        .unwrap_or_default();
    let header = |name| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    info_span!(
        "request",
        otel.name = format!("{} {route}", request.method()),
        otel.kind = "server",
        http.request.method = request.method().as_str(),
        url.path = request.uri().path(),
        url.query = request.uri().query(),
        url.scheme = "http",
        server.address = header("host"),
        http.route = route,
        network.protocol.version = "1.1",
        user_agent.original = header("user-agent"),
        http.response.status_code = field::Empty,
    )
}

fn listen(app: Router) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
        writeln!(io::stdout().lock(), "{}", listener.local_addr()?)?;
        let (end, ended) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            let _ = io::stdin().lock().read_to_end(&mut Vec::new());
            let _ = end.send(());
        });
        let served = axum::serve(listener, app).with_graceful_shutdown(async {
            let _ = ended.await;
        });
        served.await
    })
}
