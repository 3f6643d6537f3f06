//! JSON-RPC as MCP has it, over stdio and over HTTP: the context is in `params._meta`, of requests and of notifications.
//!
//! `json_rpc client-stdio` starts `json_rpc server-stdio` as its child; `json_rpc client-http URL` calls a `json_rpc server-http`, which
//! prints its URL.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write, stdin, stdout};
use std::process::{Command, Stdio};

use axum::routing::post;
use axum::{Json, Router};
use reqwest_middleware::ClientBuilder;
use serde_json::{Value, json};
use throughline::{Context, extract, span};
use throughline_http::reqwest::TraceMiddleware;
use throughline_http::rpc::{self, Failure, Named};
use throughline_http::{ClientLayer, ServerLayer, Trust};
use tokio::net::TcpListener;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mode = std::env::args().nth(1).unwrap_or_default();
    let _tracing = throughline::init(&mode);
    match &*mode {
        "client-stdio" => call_over_stdio(),
        "server-stdio" => serve_over_stdio(),
        "client-http" => call_over_http(&std::env::args().nth(2).unwrap_or_default()).await,
        "server-http" => serve_over_http().await,
        _ => Err(format!("there is no {mode:?}").into()),
    }
}

/// A notification, and a call.
const METHODS: [(&str, Option<u32>); 2] = [("notifications/initialized", None), ("tools/call", Some(1))];

/// A message whose `_meta` names this span.
fn message(method: &str, id: Option<u32>, meta: &HashMap<String, String>) -> Value {
    let mut message = json!({"jsonrpc": "2.0", "method": method, "params": {"_meta": meta}});
    if let Some(id) = id {
        message["id"] = id.into();
    }
    message
}

fn call_over_stdio() -> Result<(), Error> {
    let program = std::env::current_exe()?;
    let mut server = Command::new(program)
        .arg("server-stdio")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let (mut requests, answers) = (
        server.stdin.take().ok_or("no stdin")?,
        server.stdout.take().ok_or("no stdout")?,
    );
    let mut answers = BufReader::new(answers).lines();
    let session = span!("session").enter();
    for (method, id) in METHODS {
        let mut meta = HashMap::new();
        let call = rpc::client(&Named::new("jsonrpc", method), &mut meta);
        writeln!(requests, "{}", message(method, id, &meta))?;
        if id.is_some() {
            answers.next().ok_or("no answer")??;
        }
        call.finish(&Ok::<_, Failure>(()));
    }
    session.end();
    drop(requests);
    server.wait()?;
    Ok(())
}

fn serve_over_stdio() -> Result<(), Error> {
    for line in stdin().lock().lines() {
        let answer = answer(&serde_json::from_str(&line?)?);
        if !answer.is_null() {
            writeln!(stdout(), "{answer}")?;
        }
    }
    Ok(())
}

async fn call_over_http(url: &str) -> Result<(), Error> {
    let client = ClientBuilder::new(reqwest::Client::new())
        .with(TraceMiddleware::new(ClientLayer::new()))
        .build();
    let mut session = span!("session");
    for (method, id) in METHODS {
        let mut meta = HashMap::new();
        let mut call = session.in_scope(|| rpc::client(&Named::new("jsonrpc", method), &mut meta));
        let request = client.post(url).body(message(method, id, &meta).to_string());
        let sent = call.in_scope(|| tokio::spawn(throughline::InSpanExt::in_current_context(request.send())));
        sent.await??.error_for_status()?.text().await?;
        call.finish(&Ok::<_, Failure>(()));
    }
    Ok(())
}

async fn serve_over_http() -> Result<(), Error> {
    let serve = |body: String| async move { Json(answer(&serde_json::from_str(&body).unwrap_or_default())) };
    let app = Router::new().route("/rpc", post(serve)).layer(ServerLayer::new());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(stdout(), "http://{}/rpc", listener.local_addr()?)?;
    Ok(axum::serve(listener, app).await?)
}

/// Serves a message below the span that its `_meta` names; a span of the transport's own is linked.
fn answer(message: &Value) -> Value {
    let method = METHODS
        .iter()
        .map(|(method, _)| *method)
        .find(|method| message["method"] == *method);
    let meta = message["params"]["_meta"].as_object();
    let pairs = meta
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)));
    let transport = Context::current();
    let Some(method) = method else {
        return json!({"jsonrpc": "2.0", "error": {"code": -32601}});
    };
    let mut call = rpc::server(&Named::new("jsonrpc", method), extract(pairs), Trust::Trust);
    if transport.span_context().is_some() {
        call.span().link(&transport, []);
    }
    call.in_scope(|| span!("work").end());
    call.finish(&Ok::<_, Failure>(()));
    match &message["id"] {
        Value::Null => Value::Null,
        id => json!({"jsonrpc": "2.0", "id": id, "result": {}}),
    }
}
