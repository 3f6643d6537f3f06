//! What the workers do with an order, and how these programs are called: `URL=… program send ORDER…`, `work COUNT` or `batch`.

use std::env;

use throughline::span;

/// An order that is tried as often as this becomes a dead letter.
pub const MAX_ATTEMPTS: u32 = 2;

/// Handles an order: `bad` ones fail, and `hang` does not end in its first attempt, until the worker is killed.
pub async fn handle(order: &str, attempt: u32) -> Result<(), String> {
    match order {
        "bad" => Err("bad order".to_owned()),
        "hang" if attempt == 1 => {
            say("hanging");
            std::future::pending().await
        }
        _ => {
            span!("charge").end();
            say(&format!("done {order}"));
            Ok(())
        }
    }
}

#[expect(clippy::print_stdout, reason = "it is a program to look at")]
pub fn say(text: &str) {
    println!("{text}");
}

/// The server, from the variable `URL`; the command (`send`, `work` or `batch`); and what stands behind it.
pub fn arguments() -> (String, String, Vec<String>) {
    let url = env::var("URL").expect("URL says where the server is");
    let mut arguments = env::args().skip(1);
    let command = arguments.next().expect("a command: send, work or batch");
    (url, command, arguments.collect())
}
