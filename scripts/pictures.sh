#!/usr/bin/env bash
# Draw the pictures of the command in docs/pictures, in 80 and in 200 columns, from a trace of `throughline demo --kill`.
#
# Ids and times of day are replaced by fixed ones; durations are those of the run. Needs Python 3 and no package of it.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo build --quiet --locked --package throughline-cli
program=${CARGO_TARGET_DIR:-target}/debug/throughline

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Nothing of whoever runs this decides what is drawn.
clean=(env -i PATH="$PATH" HOME="$work" LANG=C.UTF-8 TERM=xterm-256color TZ=UTC THROUGHLINE_SPOOL_DIR="$work/spool")

main() {
  mkdir -p docs/pictures "$work/files"
  # Something to pack that is the same everywhere.
  cp -r crates/throughline/src crates/throughline-spool/src/recorder "$work/files"
  "${clean[@]}" "$program" demo --kill "$work/files" >/dev/null
  local trace
  trace=$("${clean[@]}" "$program" ls --json | sed -n 's/.*"traceId":"\([0-9a-f]*\)".*/\1/p')

  # What runs while something is drawn, and variables for it.
  local meanwhile=() settings=()
  for columns in 80 200; do
    draw view "$columns" view "$trace"
    meanwhile=(--meanwhile "$program" demo "$work/files")
    draw follow "$columns" follow
    meanwhile=()
    # One destination is down, another is well.
    settings=(OTEL_TRACES_EXPORTER=otlp,otlp_file THROUGHLINE_FILES_DIR="$work/traces")
    draw doctor "$columns" doctor
    settings=()
  done
}

# draw NAME COLUMNS ARGUMENT...: docs/pictures/NAME-COLUMNS.svg from what the command shows on a terminal so wide.
draw() {
  local name=$1 columns=$2
  shift 2
  "${clean[@]}" "${settings[@]}" python3 scripts/picture.py --columns "$columns" --title "throughline $name" --replace "$work=/home/you" \
    --output "docs/pictures/$name-$columns.svg" "${meanwhile[@]}" -- "$program" "$@"
}

main "$@"
