#!/usr/bin/env bash
# Print the path of a real Jaeger, building it from its Go modules on first use
# (with --if-built: fail silently instead).
# Kept in $THROUGHLINE_TOOLS, else $XDG_CACHE_HOME/throughline/tools, else ~/.cache/throughline/tools.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/built-tool.sh"

module=github.com/jaegertracing/jaeger
version=v1.76.0
name=jaeger-$version

build() {
  local work=$1 source
  cd "$work"
  # `go install` refuses a module that replaces another, as Jaeger does. A module of our own with
  # Jaeger's requirements, replacement and checksums, and Jaeger itself, builds the same program.
  printf 'module throughline.test/fetch\n' >go.mod
  source=$(go mod download -json "$module@$version" | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",*$/\1/p')
  sed 's|^module .*|module throughline.test/jaeger|' "$source/go.mod" >go.mod
  cp "$source/go.sum" go.sum
  chmod u+w go.mod go.sum
  printf '\nrequire %s %s\n\ntool %s/cmd/jaeger\n' "$module" "$version" "$module" >>go.mod
  go build -mod=mod -o "$name" "$module/cmd/jaeger"
}

keep "$name" "${1-}"
