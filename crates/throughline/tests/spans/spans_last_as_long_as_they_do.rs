//! The length of a span is the time between its start and its end, whichever clock it is taken from.

use std::thread;
use std::time::{Duration, Instant};

use throughline::{Context, span};

use crate::traced::traced;

/// A span around a pause, the least and the most that it may have lasted.
fn measured(pause: Duration) -> (Context, Duration, Duration) {
    let before = Instant::now();
    let span = span!("measured");
    let started = Instant::now();
    let context = span.context();
    thread::sleep(pause);
    let least = started.elapsed();
    span.end();
    (context, least, before.elapsed())
}

#[test]
fn span_lasts_as_long_as_the_clock_around_it_says() {
    let traced = traced();
    let begun = Instant::now();
    let mut measurements = Vec::new();
    // The first are timed by the system's clock, the last by the processor's counter, where that can be used.
    while begun.elapsed() < Duration::from_secs(2) {
        measurements.push(measured(Duration::from_millis(20)));
    }
    let spans = traced.spans(measurements.iter().map(|(context, ..)| context));
    for (span, (_, least, most)) in spans.iter().zip(&measurements) {
        let lasted = Duration::from_nanos(span.end_time_unix_nano - span.start_time_unix_nano);
        // The two clocks may run apart by one part in a thousand.
        assert!(
            lasted >= least.mul_f64(0.999) && lasted <= most.mul_f64(1.001),
            "{lasted:?} is not between {least:?} and {most:?}"
        );
    }
}
