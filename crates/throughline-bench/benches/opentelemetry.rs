//! `cargo bench -p throughline-bench --bench opentelemetry`; see [`throughline_bench::cases::api`].

use std::process::ExitCode;

fn main() -> ExitCode {
    throughline_bench::main(&throughline_bench::OPENTELEMETRY)
}
