#!/usr/bin/env bash
# Run every check of the project, installing what it needs first.
# Where a toolchain is missing, says in one line what is skipped; with CI=true nothing is skipped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tools=${THROUGHLINE_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/throughline/tools}
# Each crate alone: features unify in a workspace, and would hide one that is missing.
published=(throughline-context throughline-wire throughline-spool throughline throughline-cli)
crates=("${published[@]}" throughline-testkit throughline-bench)
oldest=$(sed -n 's/^rust-version = "\(.*\)"$/\1.0/p' Cargo.toml)
fuzz_seconds=${FUZZ_SECONDS:-8}

step() { printf '\n== %s\n' "$1"; }

# missing WHAT SKIPPED: ends the run with CI=true, else says what is skipped.
missing() {
  if [ "${CI-}" = true ]; then
    echo "$1 is missing, and with CI=true nothing is skipped ($2)" >&2
    exit 1
  fi
  echo "skipped: $2 ($1 is missing)"
}

have() { command -v "$1" >/dev/null 2>&1; }

step 'Formatting'
cargo fmt --all --check

step 'Lints, crate by crate'
for crate in "${crates[@]}"; do
  cargo clippy --quiet --package "$crate" --all-targets -- --deny warnings
done

step 'Documentation without warnings'
RUSTDOCFLAGS='--deny warnings' cargo doc --quiet --workspace --no-deps

step "What is published, with the oldest supported Rust ($oldest)"
if have rustup && { rustup run "$oldest" rustc --version >/dev/null 2>&1 || rustup toolchain install "$oldest" --profile minimal; }; then
  for crate in "${published[@]}"; do
    CARGO_TARGET_DIR=target/oldest cargo "+$oldest" build --quiet --locked --package "$crate"
  done
else
  missing "Rust $oldest" 'the build with the oldest supported Rust'
fi

step 'Weight of the default build'
scripts/weight.sh

step 'Receivers that others wrote'
if have go; then
  scripts/collector.sh
  scripts/jaeger.sh
else
  missing Go 'the tests against a real OpenTelemetry Collector and a real Jaeger'
fi

step 'Tests'
# Programs that tests of other packages start.
cargo build --quiet --workspace --examples --bins
# The random walk over a store goes on for half a minute; a failure prints the seed that repeats it.
THROUGHLINE_WALK_SECONDS=${THROUGHLINE_WALK_SECONDS:-30} cargo test --workspace

step 'Every interleaving of the commit and slot protocols (loom)'
(cd crates/throughline-spool && RUSTFLAGS='--cfg loom' CARGO_TARGET_DIR=../../target/loom \
  cargo test --release --lib loom)

nightly=$(rustup toolchain list 2>/dev/null | grep -o '^nightly[^ ]*' | head -n 1 || true)
if [ -z "$nightly" ] && have rustup; then
  rustup toolchain install nightly --profile minimal >/dev/null 2>&1 && nightly=nightly
fi
if [ -n "$nightly" ]; then
  step 'The unsafe code under Miri'
  rustup component add miri rust-src --toolchain "$nightly" 2>/dev/null
  # Isolation off: the spool asks the system for random numbers and the time.
  miri() {
    MIRIFLAGS=-Zmiri-disable-isolation CARGO_TARGET_DIR=target/miri \
      cargo "+$nightly" miri test --package throughline-spool "$@"
  }
  miri --test unsafe_code_is_sound
  # Of the rest what touches memory, and the walk over records; sweeps over every byte and random ones are too slow there.
  miri --lib -- a_torn_record_cannot_smuggle what_an_earlier_use a_chunk_is_walked_past a_built_record_is_read \
    sealed_part_is_read header::tests::cursor_falls_back recorder::slot recorder::scopes store::allocator store::segment store::stock \
    store::sync store::tests::power_cut files::fake \
    archive::file archive::whose archive::walk::tests::lost archive::walk::tests::segment archive::ledger::tests::ledger_keeps \
    archive::ledger::tests::ledger_of archive::tests::lost_manifest

  step "Fuzzing every reader of bytes from outside, $fuzz_seconds s each"
  if ! [ -x "$tools/bin/cargo-fuzz" ]; then
    cargo install --quiet cargo-fuzz --version 0.13.2 --locked --root "$tools"
  fi
  # Instances of libFuzzer want a C++ compiler for their runtime.
  if have c++; then
    PATH=$tools/bin:$PATH
    for target in $(cargo "+$nightly" fuzz list); do
      mkdir -p "fuzz/corpus/$target" "fuzz/seeds/$target"
      cargo "+$nightly" fuzz run "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
        -max_total_time="$fuzz_seconds" -verbosity=0 -print_final_stats=0
    done
  else
    missing 'A C++ compiler' fuzzing
  fi
else
  missing 'A nightly toolchain' 'Miri and fuzzing'
fi

step 'All checks passed'
