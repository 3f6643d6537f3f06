//! The OpenTelemetry API over Throughline.
