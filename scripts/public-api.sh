#!/usr/bin/env bash
# Compare the public API of the published libraries with docs/public-api/<crate>.txt, one item a line.
#
#   scripts/public-api.sh           fails where they differ, and shows how
#   scripts/public-api.sh --update  writes the listings anew: for changes that are meant
#
# Needs a nightly toolchain, whose rustdoc lists the items, and cargo-public-api, which is installed on first use.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/cargo-tool.sh

# Formats of rustdoc's JSON change: with a nightly that is much newer or older this version says so.
version=0.52.0
crates=(throughline-context throughline-wire throughline-spool throughline
  throughline-tracing throughline-opentelemetry throughline-http throughline-process throughline-jobs)

case "${1-}" in
  '') listings=target/public-api ;;
  --update) listings=docs/public-api ;;
  *)
    echo "unknown argument: $1; there is: --update" >&2
    exit 2
    ;;
esac

nightly=$(rustup toolchain list | grep -o '^nightly[^ ]*' | head -n 1 || true)
[ -n "$nightly" ] || { echo 'a nightly toolchain is missing: rustup toolchain install nightly --profile minimal' >&2; exit 1; }
installed cargo-public-api "$version"
# cargo-public-api hands no --locked on.
cargo metadata --locked --format-version 1 >/dev/null

export PATH=$tools/bin:$PATH CARGO_TARGET_DIR=target/rustdoc-json
mkdir -p "$listings" "$CARGO_TARGET_DIR"
rm -f "$listings"/*.txt
log=$CARGO_TARGET_DIR/log
for crate in "${crates[@]}"; do
  # Without what the compiler implements for every type (-ss).
  cargo "+$nightly" public-api --package "$crate" --all-features -ss --color never >"$listings/$crate.txt" 2>"$log" || {
    cat "$log" >&2
    exit 1
  }
done

if [ "$listings" != docs/public-api ] && ! diff --unified=0 --recursive docs/public-api "$listings"; then
  echo 'The public API is another one than docs/public-api says. If that is meant: scripts/public-api.sh --update' >&2
  exit 1
fi
