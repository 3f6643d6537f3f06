//! Spans of the `tracing` crate as spans of Throughline.
