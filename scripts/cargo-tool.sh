# Sourced by the scripts that run a command of Cargo which others wrote; not run itself.
# Such commands are kept in $THROUGHLINE_TOOLS, else $XDG_CACHE_HOME/throughline/tools, else ~/.cache/throughline/tools.

tools=${THROUGHLINE_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/throughline/tools}

# installed CRATE VERSION: the command is in $tools/bin; it is compiled on first use.
installed() {
  local said
  if ! "$tools/bin/$1" "${1#cargo-}" --version 2>/dev/null | grep -wF "$2" >/dev/null; then
    echo "building $1 $2, once, in some minutes"
    said=$(cargo install --quiet "$1" --version "$2" --locked --force --root "$tools" 2>&1) || {
      printf '%s\n' "$said" >&2
      return 1
    }
  fi
}
