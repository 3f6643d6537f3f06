//! throughline-spool
