//! An ingress: for each request a span, one for the lease of an application (cached or not), and the application's own behind it.
//!
//! `cargo run --example ingress --features axum -- http://127.0.0.1:PORT` with the URL of an application, such as `axum_server`.

#![allow(clippy::print_stdout, reason = "it says where it listens")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, Uri, uri::Scheme};
use axum::response::{IntoResponse as _, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use throughline::span;
use throughline_http::{ClientLayer, ServerLayer, TracedClient, Trust, set_route};
use tower::{Service as _, ServiceBuilder};

#[derive(Clone)]
struct Ingress {
    client: TracedClient<Client<HttpConnector, Body>>,
    /// Where the application of each host runs.
    leases: Arc<Mutex<HashMap<String, Uri>>>,
    application: Uri,
}

impl Ingress {
    /// An application for this host: one that was leased before, else a new one.
    fn lease(&self, host: &str) -> Uri {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        let cached = leases.get(host).cloned();
        let mut lease = span!("lease", lease.host = host, lease.cached = cached.is_some());
        cached.unwrap_or_else(|| {
            let started = lease.in_scope(|| span!("start application").in_scope(|| self.application.clone()));
            leases.insert(host.to_owned(), started.clone());
            started
        })
    }

    async fn forward(State(mut ingress): State<Self>, mut request: Request) -> Response {
        set_route("/{*path}");
        let host = request.headers().get("host").and_then(|host| host.to_str().ok());
        let application = ingress.lease(host.unwrap_or_default());
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = application.into_parts().authority;
        match Uri::from_parts(parts) {
            Ok(uri) => *request.uri_mut() = uri,
            Err(_) => return StatusCode::BAD_REQUEST.into_response(),
        }
        // The layer replaces the caller's context in the headers by that of this call.
        match ingress.client.call(request).await {
            Ok(response) => response.map(Body::new),
            Err(_) => StatusCode::BAD_GATEWAY.into_response(),
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let _tracing = throughline::init("ingress");
    let client = Client::builder(TokioExecutor::new()).build_http();
    let ingress = Ingress {
        client: ServiceBuilder::new().layer(ClientLayer::new()).service(client),
        leases: Arc::default(),
        application: std::env::args().nth(1).ok_or("which application?")?.parse()?,
    };
    let app = Router::new()
        .fallback(Ingress::forward)
        .layer(ServerLayer::new().trust(Trust::Link).traceresponse(true))
        .with_state(ingress);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, app).await?;
    Ok(())
}
