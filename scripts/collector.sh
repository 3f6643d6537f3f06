#!/usr/bin/env bash
# Print the path of a real OpenTelemetry Collector, building it from its Go modules on first use
# (with --if-built: fail silently instead).
# Kept in $THROUGHLINE_TOOLS, else $XDG_CACHE_HOME/throughline/tools, else ~/.cache/throughline/tools.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/built-tool.sh"

builder_version=v0.164.0
version=v0.157.0
name=otelcol-$version

build() {
  local work=$1
  GOBIN=$work go install "go.opentelemetry.io/collector/cmd/builder@$builder_version"
  cat >"$work/manifest.yaml" <<MANIFEST
dist:
  name: $name
  module: throughline.test/otelcol
  description: the Collector that Throughline is tested against
  version: ${version#v}
  output_path: $work/dist
receivers:
  - gomod: go.opentelemetry.io/collector/receiver/otlpreceiver $version
exporters:
  - gomod: go.opentelemetry.io/collector/exporter/debugexporter $version
  - gomod: go.opentelemetry.io/collector/exporter/otlpexporter $version
  - gomod: go.opentelemetry.io/collector/exporter/otlphttpexporter $version
processors:
  - gomod: go.opentelemetry.io/collector/processor/batchprocessor $version
MANIFEST
  "$work/builder" --skip-strict-versioning --config "$work/manifest.yaml"
  mv "$work/dist/$name" "$work/$name"
}

keep "$name" "${1-}"
