#!/usr/bin/env bash
# Run the checks of the project, installing what they need first.
#
#   scripts/test.sh        every check
#   scripts/test.sh quick  formatting, lints, unit and integration tests: what needs no other toolchain
#
# What is skipped is said in one line, and counted at the end; with CI=true nothing is skipped that this machine can do.
set -euo pipefail

# What whoever runs this ignores, as `nohup` or a job in the background does, tests and their children would ignore too.
if [ -z "${THROUGHLINE_SIGNALS_ARE_RESET-}" ] && env --default-signal=INT true 2>/dev/null; then
  THROUGHLINE_SIGNALS_ARE_RESET=1 exec env --default-signal=HUP,INT,QUIT,PIPE "${BASH_SOURCE[0]}" "$@"
fi
cd "$(dirname "${BASH_SOURCE[0]}")/.."

. scripts/cargo-tool.sh

# Each crate alone: features unify in a workspace, and would hide one that is missing.
seams=(throughline-tracing throughline-opentelemetry throughline-http throughline-process throughline-jobs)
published=(throughline-context throughline-macros throughline-wire throughline-spool throughline "${seams[@]}" throughline-cli)
crates=("${published[@]}" throughline-testkit throughline-bench throughline-interop throughline-recipes bookshop)
oldest=$(sed -n 's/^rust-version = "\(.*\)"$/\1.0/p' Cargo.toml)
fuzz_seconds=${FUZZ_SECONDS:-8}

notes=$(mktemp -d)
trap 'rm -rf "$notes"' EXIT
touch "$notes/skipped"

main() {
  case "$#:${1-}" in
    0:)
      enough_room
      formatting
      lock_files
      lints
      documentation
      packages
      oldest_rust
      weight
      licences
      programs_of_others
      databases_and_brokers
      tests
      interleavings
      static_build
      arm
      other_systems
      with_nightly
      ;;
    1:quick)
      # What is not built is skipped also where CI=true is set.
      unset CI
      formatting
      lock_files
      lints
      quick_tests
      ;;
    *)
      echo "unknown arguments: $*; there are: scripts/test.sh (every check), scripts/test.sh quick" >&2
      exit 2
      ;;
  esac
  local count
  count=$(wc -l <"$notes/skipped")
  step "All checks passed; skipped: $count"
  cat "$notes/skipped"
}

step() { printf '\n== %s\n' "$1"; }

# Servers lie where only the superuser looks.
have() { PATH=$PATH:/usr/sbin command -v "$1" >/dev/null 2>&1; }

# missing WHAT SKIPPED: ends the run with CI=true, else says what is skipped.
missing() {
  if [ "${CI-}" = true ]; then
    echo "$1 is missing, and with CI=true nothing is skipped ($2)" >&2
    exit 1
  fi
  echo "skipped: $2 ($1 is missing)" | tee -a "$notes/skipped"
}

# provided COMMAND PACKAGE...: the command is there, or becomes so by these packages of Debian where they can be installed.
provided() {
  local as_root=()
  if have "$1"; then
    return
  fi
  shift
  [ "$(id -u)" = 0 ] || as_root=(sudo -n)
  have apt-get && "${as_root[@]}" true 2>/dev/null || return 1
  quietly "${as_root[@]}" apt-get update
  # With run level 1 a server that is installed is not started: tests start their own.
  quietly "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install --yes --no-install-recommends "$@"
}

# has_target TARGET: Rust's standard library for it is there.
has_target() {
  have rustup && quietly rustup target add "$1"
}

# quietly COMMAND...: what it says is shown when it fails only.
quietly() {
  "$@" >"$notes/said" 2>&1 || {
    cat "$notes/said" >&2
    return 1
  }
}

# noting COMMAND...: runs tests, and counts those that say that they are skipped. What they say is in $notes/tests.
noting() {
  "$@" 2>&1 | tee "$notes/tests" || return 1
  { grep -o 'skipped: .*' "$notes/tests" || true; } >>"$notes/skipped"
}

# each_ran FILTER...: fails when a filter of the tests that `noting` has run let none through, which Cargo calls a success.
each_ran() {
  local filter
  for filter in "$@"; do
    if ! grep '^test .* \.\.\. ' "$notes/tests" | grep -v ' \.\.\. ignored' | cut -d ' ' -f 2 | grep -F -- "$filter" >/dev/null; then
      echo "no test ran that has $filter in its name: has it got another one?" >&2
      exit 1
    fi
  done
}

# A full run wants about eight gigabytes; a compiler that finds the disk full says so in words of its own, after a long time.
enough_room() {
  local free needed=10
  free=$(df --output=avail --block-size=1G . | tail -n 1)
  step "Room: $free GB free"
  if [ "$free" -lt "$needed" ]; then
    echo "fewer than $needed GB are free here: the run may end for want of room" >&2
  fi
  # Nobody builds there again: what speeds the next build up takes as much room as the build.
  [ "${CI-}" != true ] || export CARGO_INCREMENTAL=0
}

# done_with DIRECTORY...: with CI=true, what a step has built for itself is removed.
done_with() {
  [ "${CI-}" != true ] || rm -rf "$@"
}

formatting() {
  step 'Formatting'
  cargo fmt --all --check
}

# The fuzz targets are a workspace of their own, and cargo-fuzz hands no --locked on.
lock_files() {
  step 'Lock files as the manifests want them'
  local manifest
  for manifest in Cargo.toml fuzz/Cargo.toml; do
    cargo metadata --locked --format-version 1 --manifest-path "$manifest" >/dev/null
  done
}

lints() {
  step 'Lints, crate by crate'
  local crate
  for crate in "${crates[@]}"; do
    cargo clippy --quiet --locked --package "$crate" --all-targets --all-features -- --deny warnings
  done
  # What a library depends on, and seams without what has to be asked for.
  for crate in throughline "${seams[@]}"; do
    cargo clippy --quiet --locked --package "$crate" --no-default-features -- --deny warnings
  done
}

documentation() {
  step 'Documentation without warnings'
  RUSTDOCFLAGS='--deny warnings' cargo doc --quiet --locked --workspace --all-features --no-deps
}

packages() {
  step 'What is published, packed and built from its packages'
  local crate target=${CARGO_TARGET_DIR:-target} packages=$notes/packages arguments=()
  for crate in "${published[@]}"; do
    arguments+=(--package "$crate")
  done
  rm -f "$target"/package/*.crate
  quietly cargo package --quiet --locked --offline --allow-dirty --no-verify "${arguments[@]}"
  # Not by the verification of Cargo itself, which takes what an earlier run has unpacked for a package of the same version.
  mkdir "$packages"
  printf '[workspace]\nresolver = "3"\nmembers = ["*"]\n[patch.crates-io]\n' >"$packages/Cargo.toml"
  for crate in "${published[@]}"; do
    mkdir "$packages/$crate"
    tar -xzf "$target/package/$crate-"[0-9]*.crate -C "$packages/$crate" --strip-components 1
    printf '%s.path = "%s"\n' "$crate" "$crate" >>"$packages/Cargo.toml"
  done
  cp Cargo.lock "$packages"
  CARGO_TARGET_DIR=$target/packages quietly cargo check --quiet --offline --workspace --manifest-path "$packages/Cargo.toml"
  done_with "$target/packages"
}

oldest_rust() {
  step "What is published, with the oldest supported Rust ($oldest)"
  if ! have rustup; then
    missing rustup "the build with Rust $oldest"
    return
  fi
  if ! rustup toolchain list | grep "^$oldest-" >/dev/null; then
    quietly rustup toolchain install "$oldest" --profile minimal
  fi
  local crate
  for crate in "${published[@]}"; do
    CARGO_TARGET_DIR=target/oldest cargo "+$oldest" check --quiet --locked --package "$crate"
  done
  done_with target/oldest
}

weight() {
  step 'Weight of the default build'
  scripts/weight.sh
}

licences() {
  step 'Licences of what is depended on'
  scripts/licences.sh
}

programs_of_others() {
  step 'Receivers and services that others wrote'
  if have go; then
    scripts/collector.sh
    scripts/jaeger.sh
  else
    missing Go 'building a real OpenTelemetry Collector and a real Jaeger'
  fi
  local language
  for language in go java node python; do
    scripts/interop-peer.sh "$language" || missing "A program on the SDK for $language" "interoperability with it"
  done
}

databases_and_brokers() {
  step 'Databases and brokers'
  # A command of each, and the package that brings it.
  local command package
  while read -r command package; do
    provided "$command" "$package" </dev/null || missing "$package" 'tests against it'
    echo "$package"
  done <<'END'
pg_lsclusters postgresql
redis-server redis-server
nats-server nats-server
rabbitmq-server rabbitmq-server
END
}

tests() {
  step 'Tests'
  # Programs that tests of other packages start.
  cargo build --quiet --locked --workspace --all-features --examples --bins
  # The random walk over a store goes on for half a minute; a failure prints the seed that repeats it.
  THROUGHLINE_WALK_SECONDS=${THROUGHLINE_WALK_SECONDS:-30} noting cargo test --locked --workspace --all-features
  done_with target/debug target/tmp
}

quick_tests() {
  step 'Unit and integration tests'
  cargo build --quiet --locked --workspace --all-features --examples --bins
  THROUGHLINE_WALK_SECONDS=${THROUGHLINE_WALK_SECONDS:-1} noting cargo test --quiet --locked --workspace --all-features --lib --bins --tests
}

interleavings() {
  step 'Every interleaving of the commit and slot protocols (loom)'
  cd crates/throughline-spool
  RUSTFLAGS='--cfg loom' CARGO_TARGET_DIR=../../target/loom noting cargo test --locked --release --lib loom
  cd ../..
  each_ran loom
  done_with target/loom
}

static_build() {
  step 'The command as one static program (musl)'
  local target program what='the static build of the command'
  target=$(uname -m)-unknown-linux-musl
  has_target "$target" || { missing "Rust for $target" "$what"; return; }
  provided musl-gcc musl-tools || { missing musl-gcc "$what"; return; }
  cargo build --quiet --locked --package throughline-cli --target "$target"
  program=${CARGO_TARGET_DIR:-target}/$target/debug/throughline
  ldd "$program" 2>&1 | grep -E 'statically linked|not a dynamic executable'
  # A thread, a mapped file, a fork and a flush: what a C library could do in a way of its own.
  "$program" --spool "$notes/spool" run -- true
  "$program" --spool "$notes/spool" ls | grep -w true
  done_with "${CARGO_TARGET_DIR:-target}/$target"
}

arm() {
  step 'Formats, store and recorder on 64-bit ARM, emulated'
  local target=aarch64-unknown-linux-gnu what='the tests on 64-bit ARM'
  local filters=(format:: recorder:: store::)
  has_target "$target" || { missing "Rust for $target" "$what"; return; }
  provided aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu libc6-dev-arm64-cross || { missing aarch64-linux-gnu-gcc "$what"; return; }
  provided qemu-aarch64 qemu-user || { missing qemu-aarch64 "$what"; return; }
  on_arm() {
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
      CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER='qemu-aarch64 -L /usr/aarch64-linux-gnu' \
      noting cargo test --locked --target "$target" --lib "$@"
  }
  on_arm --package throughline-wire
  # Not the programs in tests/: the emulator cannot start another program, nor go on in the child of one with threads.
  on_arm --package throughline-spool -- "${filters[@]}" --skip power_cut::synced_records --skip walk::
  each_ran "${filters[@]}"
  # Kernels for servers have such pages. What is done page by page must not take them for smaller ones.
  QEMU_PAGESIZE=65536 on_arm --package throughline-spool -- recorder:: store::segment store::stock
  each_ran recorder::
  done_with "target/$target"
}

other_systems() {
  step 'The types under macOS and Windows'
  # Nothing is compiled to code or linked, so that empty files will do for what compilers of C and their SDKs would make.
  printf '#!/bin/sh\nwhile [ $# -gt 0 ]; do [ "$1" != -o ] || : >"$2"; shift; done\n' >"$notes/no-compiler"
  chmod +x "$notes/no-compiler"
  local target
  for target in aarch64-apple-darwin x86_64-pc-windows-gnu; do
    has_target "$target" || { missing "Rust for $target" "the types of $target"; continue; }
    (
      export "CC_${target//-/_}=$notes/no-compiler" "AR_${target//-/_}=true" SDKROOT=/
      local crate
      for crate in throughline-spool throughline throughline-cli; do
        cargo clippy --quiet --locked --package "$crate" --target "$target" -- --deny warnings
      done
    )
    done_with "target/$target"
  done
}

with_nightly() {
  nightly=$(rustup toolchain list 2>/dev/null | grep -o '^nightly[^ ]*' | head -n 1 || true)
  if [ -z "$nightly" ] && have rustup; then
    quietly rustup toolchain install nightly --profile minimal && nightly=nightly
  fi
  if [ -z "$nightly" ]; then
    missing 'A nightly toolchain' 'Miri, fuzzing and the listing of the public API'
    return
  fi
  public_api
  unsafe_code
  fuzzing
}

public_api() {
  step 'The public API is that of docs/public-api'
  scripts/public-api.sh
}

unsafe_code() {
  step 'The unsafe code under Miri'
  quietly rustup component add miri rust-src --toolchain "$nightly"
  # Isolation off: the spool asks the system for random numbers and the time.
  miri() {
    MIRIFLAGS=-Zmiri-disable-isolation CARGO_TARGET_DIR=target/miri \
      noting cargo "+$nightly" miri test --locked --package throughline-spool "$@"
  }
  miri --test unsafe_code_is_sound
  each_ran ''
  # Of the rest what touches memory, and the walk over records; sweeps over every byte and random ones are too slow there.
  local filters=(
    torn_record_cannot_smuggle what_an_earlier_use chunk_is_walked_past built_record_is_read
    sealed_part_is_read header::tests::cursor_falls_back recorder::slot recorder::span_cell recorder::scopes store::allocator store::segment store::stock
    store::sync store::tests::power_cut files::fake
    archive::file archive::whose archive::walk::tests::lost archive::walk::tests::segment archive::ledger::tests::ledger_keeps
    archive::ledger::tests::ledger_of archive::tests::lost_manifest
  )
  miri --lib -- "${filters[@]}"
  each_ran "${filters[@]}"
}

fuzzing() {
  step "Fuzzing every reader of bytes from outside, $fuzz_seconds s each"
  installed cargo-fuzz 0.13.2
  # Instances of libFuzzer want a C++ compiler for their runtime.
  if ! have c++; then
    missing 'A C++ compiler' fuzzing
    return
  fi
  PATH=$tools/bin:$PATH
  local targets target
  targets=$(cargo "+$nightly" fuzz list)
  # One that the manifest does not name would never run.
  if ! diff <(cd fuzz/fuzz_targets && ls | sed 's/\.rs$//' | sort) <(sort <<<"$targets"); then
    echo 'fuzz/Cargo.toml names other targets than fuzz/fuzz_targets has' >&2
    exit 1
  fi
  for target in $targets; do
    mkdir -p "fuzz/corpus/$target" "fuzz/seeds/$target"
    cargo "+$nightly" fuzz run "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
      -max_total_time="$fuzz_seconds" -verbosity=0 -print_final_stats=0
  done
}

main "$@"
