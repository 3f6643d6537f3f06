//! throughline-bench
