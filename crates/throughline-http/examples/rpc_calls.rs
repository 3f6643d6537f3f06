//! Both sides of a call of a protocol of one's own, in one process: `cargo run --example rpc_calls`. `rpc_over_unix_socket` has two.

#![allow(clippy::print_stdout, reason = "it says what it got")]

use std::collections::HashMap;
use throughline_http::Trust;
use throughline_http::rpc::{self, Failure, Named};

fn main() {
    let _tracing = throughline::init("shop");
    // The caller: the context goes into whatever the protocol has for metadata.
    let method = Named::new("shoprpc", "Orders/Place");
    let mut metadata = HashMap::new();
    let mut call = rpc::client(&method, &mut metadata);
    let answer: Result<u32, Failure> = call.in_scope(|| {
        // The other side:
        let mut served = rpc::server(&method, throughline::extract(&metadata), Trust::Trust);
        let answer = served.in_scope(|| Err(Failure("OUT_OF_STOCK")));
        served.finish(&answer);
        answer
    });
    call.finish(&answer);
    println!("{answer:?}");
}
