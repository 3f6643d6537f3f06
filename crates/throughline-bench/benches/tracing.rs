//! `cargo bench -p throughline-bench --bench tracing [-- --help]`

use std::process::ExitCode;

fn main() -> ExitCode {
    throughline_bench::main(&throughline_bench::TRACING)
}
