//! What the tests of OTLP over either protocol share.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use bytes::Bytes;
use throughline_testkit::sample;

use crate::delivery::outcome::{Failure, Outcome};

pub(in crate::delivery) const SECOND: Duration = Duration::from_secs(1);

pub(in crate::delivery) fn run<T>(work: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(work)
}

pub(in crate::delivery) fn body() -> Bytes {
    sample::request(&["one"]).into()
}

pub(in crate::delivery) fn failure_of(outcome: &Outcome) -> Option<Failure> {
    match outcome {
        Outcome::Failed { failure, .. } => Some(*failure),
        _ => None,
    }
}

/// A server that reads what comes and answers every connection with `answer`, then closes it.
pub(in crate::delivery) fn raw_server(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer);
        }
    });
    url
}
