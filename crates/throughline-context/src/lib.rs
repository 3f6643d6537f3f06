//! throughline-context
