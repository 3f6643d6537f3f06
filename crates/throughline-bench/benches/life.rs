//! `cargo bench -p throughline-bench --bench life [-- --help]`

use std::process::ExitCode;

fn main() -> ExitCode {
    throughline_bench::life::main()
}
