#!/usr/bin/env bash
# Count the crates of the default build of throughline (HTTP and TLS), and fail when they have become too many.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

most=60
# Its own crates, build scripts' and macros' included, for this machine.
crates=$(cargo tree --locked --package throughline --edges normal,build --prefix none --format '{p}' | sed 's/ (\*)$//' | sort -u | wc -l)
echo "$crates crates, at most $most"
[ "$crates" -le "$most" ]
