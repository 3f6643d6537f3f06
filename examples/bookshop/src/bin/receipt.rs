//! Prints a receipt: a command line.

use std::io::{self, Write as _};

use throughline_process::CommandLine;

fn main() -> io::Result<()> {
    let command = CommandLine::new("print receipt", throughline::init("receipt"));
    let words: Vec<_> = std::env::args().skip(1).collect();
    command.run(|| {
        let text = command.phase("set", || Ok::<_, io::Error>(format!("Order {}\n", words.join(": "))))?;
        command.phase("print", || io::stdout().write_all(text.as_bytes()))
    })
}
