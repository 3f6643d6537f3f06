#!/usr/bin/env bash
# Count the crates of the default build of throughline (HTTP and TLS) and of that for libraries (no default features), and fail
# when they have become too many, or when the second has a network, TLS, a runtime, or C in it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# crates EDGES ARGUMENT...: those of a build for this machine, its own included.
crates() {
  local edges=$1
  shift
  cargo tree --locked --package throughline --edges "$edges" --prefix none --format '{p}' "$@" |
    sed 's/ (.*$//' | sort -u
}

# Build scripts' and macros' included.
default=$(crates normal,build | wc -l)
echo "$default crates in the default build, at most 60"
[ "$default" -le 60 ]

library=$(crates normal --no-default-features)
count=$(wc -l <<<"$library")
echo "$count crates in the build for libraries, at most 15"
[ "$count" -le 15 ]
if crates normal,build --no-default-features | grep -E '^(cc|cmake|hyper|ring|rustls|socket2|tokio) '; then
  echo 'the build for libraries has a network, TLS, a runtime, or C in it' >&2
  exit 1
fi
