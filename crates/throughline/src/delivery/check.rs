//! A request without spans to each destination, beside all delivery.

use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::files;
use super::outcome::{Failure, Outcome};
use super::transport::Transport;
use crate::check::CheckedDestination;
use crate::config::Destination;

/// Asks all of them at the same time; none gets longer than this.
pub(crate) fn check(destinations: &[Destination], within: Duration) -> Vec<CheckedDestination> {
    thread::scope(|scope| {
        let asked: Vec<_> = destinations
            .iter()
            .map(|to| (to, scope.spawn(move || checked(to, within))))
            .collect();
        let failed = |to: &Destination| {
            of(
                to,
                Duration::ZERO,
                &Outcome::failed(Failure::Unreachable, "the look at it panicked"),
            )
        };
        asked
            .into_iter()
            .map(|(to, look)| look.join().unwrap_or_else(|_| failed(to)))
            .collect()
    })
}

fn checked(to: &Destination, within: Duration) -> CheckedDestination {
    let _untraced = throughline_context::suppress();
    let started = Instant::now();
    let outcome = match to {
        Destination::Files(files) => match files::check(files) {
            Ok(()) => Outcome::success(),
            Err(error) => Outcome::failed(Failure::Unreachable, error),
        },
        // Somebody else's code is asked with spans only.
        Destination::Console(_) | Destination::Exporter(_) => Outcome::success(),
        Destination::Otlp(_) => sent(to, within),
    };
    of(to, started.elapsed(), &outcome)
}

fn sent(to: &Destination, within: Duration) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return Outcome::failed(Failure::Unreachable, error),
    };
    let outcome = runtime.block_on(async {
        let mut transport = Transport::new(to);
        // An `ExportTraceServiceRequest` may be empty.
        let sending = transport.send(Bytes::new());
        let outcome = tokio::time::timeout(within, sending).await;
        outcome.unwrap_or_else(|_| Outcome::failed(Failure::TimedOut, format_args!("{within:?}")))
    });
    // Its end does not wait for a name to be resolved.
    runtime.shutdown_background();
    outcome
}

fn of(to: &Destination, took: Duration, outcome: &Outcome) -> CheckedDestination {
    let (problem, warning) = match outcome {
        Outcome::Accepted { message, .. } if message.is_empty() => (None, None),
        Outcome::Accepted { .. } => (None, Some(outcome.to_string())),
        _ => (Some(outcome.to_string()), None),
    };
    CheckedDestination {
        name: to.name(),
        problem,
        warning,
        took,
    }
}
