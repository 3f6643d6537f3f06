//! What a traced axum server costs beside a bare one, and beside tracing-opentelemetry's.
//!
//! ```text
//! cargo bench -p throughline-bench --bench http
//! cargo bench -p throughline-bench --bench http -- --quick
//! ```
//!
//! Each server is a process of its own with one worker, and says hello. This process sends requests over keep-alive
//! connections, as fast as they are answered, to one server after the other in short turns. Two figures are taken in each turn:
//! requests per second, and the processor time of all of the server's threads per request. What is printed are medians, medians of
//! the ratios to the bare server's turn of the same round, which a slow minute of the machine hits alike, and, as `best`, ratios of
//! the turns that a tenth of all turns of a server surpass: other programs on the same processor hit more code harder, and those
//! turns least.

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
        "{:22} {:>10} {:>8} {:>8} {:>12} {:>8} {:>8}  spans",
        "server", "requests/s", "of bare", "best", "CPU ns/req.", "of bare", "best"
    )?;
    let rates = |turns: &[Turn]| -> Vec<f64> { turns.iter().map(Turn::rate).collect() };
    let costs = |turns: &[Turn]| -> Vec<f64> { turns.iter().map(Turn::cost).collect() };
    for (server, turns_of_it) in servers.iter_mut().zip(&turns) {
        let of_bare = |figures: fn(&Turn) -> f64| {
            let pairs = turns_of_it.iter().zip(&turns[0]);
            quantile(pairs.map(|(own, bare)| figures(own) / figures(bare)).collect(), 0.5)
        };
        let best = |figures: &dyn Fn(&[Turn]) -> Vec<f64>, at| {
            quantile(figures(turns_of_it), at) / quantile(figures(&turns[0]), at)
        };
        writeln!(
            out,
            "{:22} {:10.0} {:8.4} {:8.4} {:12.0} {:8.4} {:8.4}  {}",
            server.case().name(),
            quantile(rates(turns_of_it), 0.5),
            of_bare(Turn::rate),
            best(&rates, 0.9),
            quantile(costs(turns_of_it), 0.5),
            of_bare(Turn::cost),
            best(&costs, 0.1),
            server.stop()?,
        )?;
    }
    Ok(())
}

/// The figure below which this share of all figures lies; between two it is interpolated.
fn quantile(mut figures: Vec<f64>, share: f64) -> f64 {
    figures.sort_by(f64::total_cmp);
    let at = share * (figures.len() - 1) as f64;
    let (below, above) = (figures[at.floor() as usize], figures[at.ceil() as usize]);
    below + (above - below) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantile_lies_between_the_figures_of_an_ordered_list() {
        for (figures, share, expected) in [
            (vec![3.0, 1.0, 2.0], 0.5, 2.0),
            (vec![4.0, 1.0, 2.0, 3.0], 0.5, 2.5),
            (vec![2.0, 1.0, 3.0], 0.0, 1.0),
            (vec![2.0, 1.0, 3.0], 1.0, 3.0),
            (vec![10.0, 0.0], 0.9, 9.0),
        ] {
            assert_eq!(quantile(figures, share), expected);
        }
    }
}
