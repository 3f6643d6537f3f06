//! `cargo bench -p throughline-bench --bench hot_path [-- --help]`

use std::process::ExitCode;

fn main() -> ExitCode {
    throughline_bench::main(&throughline_bench::HOT_PATH)
}
