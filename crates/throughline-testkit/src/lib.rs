//! throughline-testkit
