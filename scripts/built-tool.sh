# Sourced by the scripts that build a program of others to test against; not run itself.
# It decides where such a program is kept and makes sure that a half-made one never counts.

say() { printf '%s: %s\n' "${0##*/}" "$1" >&2; }

# keep NAME [--if-built]: print the path of the cached program NAME. If it is not there yet, make it
# with `build DIR`, the caller's function, which leaves the program, a file or a folder, at DIR/NAME;
# or, with --if-built, fail without a word. `needs`, a variable of the caller's, names the command to
# build it with; without it that is `go`.
keep() {
  local name=$1 cache program work
  cache=${THROUGHLINE_TOOLS:-${XDG_CACHE_HOME:-${HOME:?is not set: say with THROUGHLINE_TOOLS where to keep it}/.cache}/throughline/tools}
  program=$cache/$name
  if [ ! -x "$program" ]; then
    [ "${2-}" != --if-built ] || exit 1
    command -v "${needs:=go}" >/dev/null || { say "$needs is needed to build $name"; exit 1; }
    mkdir -p "$cache"
    exec 9>"$cache/.$name.lock"
    flock 9 # until this process ends; whoever had to wait finds the work done
  fi
  if [ ! -x "$program" ]; then
    rm -rf "$cache/.$name.build."* # left by a run that was killed: nobody else holds the lock
    work=$(mktemp -d "$cache/.$name.build.XXXXXX")
    say "building $name, once, in some minutes (log: $work/log)"
    # In a shell of its own, for `set -e` has no effect inside a condition. It does not inherit the
    # lock, which something it leaves running would keep.
    (build "$work") >"$work/log" 2>&1 9>&- &
    if ! wait $!; then
      tail -n 20 "$work/log" >&2
      say "could not build $name (whole log: $work/log)"
      exit 1
    fi
    mv "$work/$name" "$program"
    rm -rf "$work"
  fi
  printf '%s\n' "$program"
}

# Tests may be running beside this: one package at a time. No workspace file of the caller's counts.
export GOFLAGS="${GOFLAGS:+$GOFLAGS }-p=1" GOWORK=off
