//! `cargo bench -p throughline-bench --bench http [-- --help]`

use std::process::ExitCode;

fn main() -> ExitCode {
    throughline_bench::http::main()
}
