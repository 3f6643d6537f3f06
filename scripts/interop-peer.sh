#!/usr/bin/env bash
# Print the path of a program on the OpenTelemetry SDK of another language, building it with its packages on first use
# (with --if-built: fail silently instead): interop-peer.sh go|java|node|python
# Kept in $THROUGHLINE_TOOLS, else $XDG_CACHE_HOME/throughline/tools, else ~/.cache/throughline/tools; by what it is made from.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/built-tool.sh"

language=$1
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/../crates/throughline-interop/peers/$language" && pwd)
files=$(cd "$source" && find . -type f | LC_ALL=C sort)
hash=$(cd "$source" && xargs -d '\n' sha256sum <<<"$files" | sha256sum | cut -c 1-12)
name=interop-$language-$hash

# Leaves a folder with the executable `hop`.
build() {
  mkdir "$1/$name"
  cp -R "$source/." "$1/$name"
  cd "$1/$name"
  "build_$language"
  chmod +x hop
}

build_go() {
  go build -o hop .
}

build_java() {
  mvn --quiet --batch-mode compile org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies -DoutputDirectory=jars
  printf '#!/bin/sh\nhere=$(dirname "$0")\nexec java -cp "$here/target/classes:$here/jars/*" Hop\n' >hop
}

build_node() {
  npm ci --no-audit --no-fund --ignore-scripts
  printf '#!/bin/sh\nexec node "$(dirname "$0")/hop.js"\n' >hop
}

build_python() {
  python3 -m pip install --quiet --disable-pip-version-check --target packages --requirement requirements.txt
  printf '#!/bin/sh\nhere=$(dirname "$0")\nPYTHONPATH=$here/packages exec python3 "$here/hop.py"\n' >hop
}

case $language in
  go) needs=go ;;
  java) needs=mvn ;;
  node) needs=npm ;;
  python) needs=python3 ;;
esac
keep "$name" "${2-}"
