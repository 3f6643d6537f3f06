#!/usr/bin/env bash
# Fail when a dependency, on any platform and with any feature, has a licence that is not in the list below, or does not come
# from crates.io.
#
# Not cargo-deny: it was not compiled after five minutes on two busy cores. What this lacks of it are the advisories, whose
# database has to be fetched.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# What programs under MIT or Apache-2.0 may contain without more than a notice.
allowed=(0BSD Apache-2.0 'Apache-2.0 WITH LLVM-exception' BSD-2-Clause BSD-3-Clause BSL-1.0 CDLA-Permissive-2.0 ISC MIT
  Unicode-3.0 Unlicense
  Zlib)

# is_allowed EXPRESSION: whether one may choose licences of the list only. SPDX: AND binds before OR; old manifests have / for OR.
is_allowed() {
  local rest=$1 value='' word name is_listed
  rest=$(sed -E 's,/, OR ,g; s/([()])/ \1 /g; s/ +WITH +/_WITH_/g' <<<"$rest")
  for word in $rest; do
    case $word in
      '(' | ')') value+=$word ;;
      AND) value+='&&' ;;
      OR) value+='||' ;;
      *)
        is_listed=0
        for name in "${allowed[@]}"; do
          [ "${word//_WITH_/ WITH }" != "$name" ] || is_listed=1
        done
        value+=$is_listed
        ;;
    esac
  done
  (( ${value:-0} ))
}

for expression in 'MIT OR GPL-3.0' 'MIT/Apache-2.0' '(GPL-3.0 OR ISC) AND MIT' 'Apache-2.0 WITH LLVM-exception OR GPL-3.0'; do
  is_allowed "$expression" || { echo "this script is wrong about $expression" >&2; exit 1; }
done
for expression in '' GPL-3.0 'MIT AND GPL-3.0' 'MIT WITH LLVM-exception' '(MIT OR ISC) AND GPL-3.0'; do
  ! is_allowed "$expression" || { echo "this script is wrong about $expression" >&2; exit 1; }
done

wrong=0
dependencies=$(cargo tree --locked --workspace --all-features --target all --prefix none --no-dedupe --format '{p}|{l}' | sed '/^$/d' | sort -u)
while IFS='|' read -r package licence; do
  is_allowed "$licence" || { echo "$package has the licence «$licence», which is not allowed" >&2; wrong=1; }
done <<<"$dependencies"

sources=$(sed -n 's/^source = "\(.*\)"$/\1/p' Cargo.lock | sort -u)
if [ "$sources" != 'registry+https://github.com/rust-lang/crates.io-index' ]; then
  echo "dependencies come from elsewhere than crates.io: $sources" >&2
  wrong=1
fi

echo "$(wc -l <<<"$dependencies") packages, ours included"
exit "$wrong"
