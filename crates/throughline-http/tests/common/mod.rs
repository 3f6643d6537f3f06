//! Servers on loopback and clients by hand, on the thread of the test.
#![allow(dead_code, reason = "each test uses what it needs")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use axum::Router;
use throughline::testing::Capture;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Serves until the runtime ends.
pub async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

/// Sends a request line and headers, each ended by `\n`, and reads all of the answer.
pub async fn send(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{request}\nHost: shop.example:8080\nConnection: close\n\n").replace('\n', "\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A server that dies in the middle resets.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// Waits until this many spans have ended.
pub async fn ended(capture: &Capture, count: usize) {
    until(|| {
        let spans = capture.spans();
        spans.len() >= count && spans.iter().all(throughline::testing::CapturedSpan::has_ended)
    })
    .await;
}

/// Waits for it; other tasks run.
pub async fn until(is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it did not come");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// What is wrong with each of these, the request is served.
pub const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
