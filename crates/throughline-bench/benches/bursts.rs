//! `cargo bench -p throughline-bench --bench bursts [-- --help]`

use std::process::ExitCode;

fn main() -> ExitCode {
    throughline_bench::bursts::main()
}
