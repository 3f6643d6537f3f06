//! What a traced axum server costs beside a bare one, and beside tracing-opentelemetry's.
//!
//! ```text
//! cargo bench -p throughline-bench --bench http
//! cargo bench -p throughline-bench --bench http -- --quick
//! ```
//!
//! Each server is a process of its own with one worker, and says hello. This process sends requests over keep-alive
//! connections, as fast as they are answered, to one server after the other in short turns. Two figures are taken in each turn:
//! requests per second, and the processor time of all of the server's threads per request. What is printed are medians, and
//! medians of the ratios to the bare server's turn of the same round: those a slow minute of the machine hits alike.

mod load;
mod server;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;

use self::load::Turn;
use self::server::{Case, Server};
use crate::command_line::{self, Wishes};

/// Measures an axum server: bare, with Throughline, and with tracing-opentelemetry.
#[derive(Debug, clap::Parser)]
#[command(name = "http")]
struct Options {
    #[command(flatten)]
    wishes: Wishes,

    /// What this process is to serve: how the bench calls itself
    #[arg(long, hide = true)]
    serve: Option<Case>,
}

/// The bench's entry point.
pub fn main() -> ExitCode {
    command_line::end("http", run(&Options::parse()))
}

fn run(options: &Options) -> io::Result<()> {
    if let Some(case) = options.serve {
        return server::serve(case);
    }
    let (rounds, turn) = match options.wishes.quick {
        true => (10, Duration::from_millis(100)),
        false => (100, Duration::from_millis(200)),
    };
    let home = tempfile::tempdir_in(crate::beside_the_program()?)?;
    let mut servers = Case::ALL
        .iter()
        .map(|case| Server::start(*case, home.path()))
        .collect::<io::Result<Vec<_>>>()?;
    let mut turns: Vec<Vec<Turn>> = vec![Vec::new(); servers.len()];
    for round in 0..=rounds {
        // Another one is first in each round. The first round only warms.
        for at in (0..servers.len()).map(|at| (at + round) % servers.len()) {
            let measured = load::turn(&servers[at], turn)?;
            if round > 0 {
                turns[at].push(measured);
            }
        }
    }
    let mut out = io::stdout().lock();
    writeln!(out, "{}", crate::machine::machine())?;
    writeln!(
        out,
        "{:24} {:>10} {:>8} {:>12} {:>8}  spans",
        "server", "requests/s", "of bare", "CPU ns/req.", "of bare"
    )?;
    for (server, turns_of_it) in servers.iter_mut().zip(&turns) {
        let rates = |turn: &Turn| turn.rate();
        let costs = |turn: &Turn| turn.cost();
        writeln!(
            out,
            "{:24} {:10.0} {:8.4} {:12.0} {:8.4}  {}",
            server.case().name(),
            median(turns_of_it.iter().map(rates)),
            median(
                turns_of_it
                    .iter()
                    .zip(&turns[0])
                    .map(|(own, bare)| own.rate() / bare.rate())
            ),
            median(turns_of_it.iter().map(costs)),
            median(
                turns_of_it
                    .iter()
                    .zip(&turns[0])
                    .map(|(own, bare)| own.cost() / bare.cost())
            ),
            server.stop()?,
        )?;
    }
    Ok(())
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() % 2 {
        0 => (figures[middle - 1] + figures[middle]) / 2.0,
        _ => figures[middle],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle_of_an_ordered_list() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0].into_iter()), 2.5);
    }
}
