//! A context goes in by headers, through local spans, and out by headers, whole and in whatever container.

mod containers;
mod round_trip;
mod samplers;
