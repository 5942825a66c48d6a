#!/usr/bin/env bash
# Builds the static, stripped `sinew` binary into build-release/dist and checks that it is portable:
# no shared library, under 8 MB, starts in under 20 ms.
#   tools/release.sh [OPTION FOR meson setup]...
set -euo pipefail
source "$(dirname "$0")/lib.sh"
export CXX=g++ LC_ALL=C
max_bytes=8000000 max_start_us=20000

install_missing
configure build-release --buildtype=release -Dstatic=true --prefer-static "$@"
build build-release sinew
binary=build-release/dist/sinew
mkdir -p build-release/dist
strip -o "$binary" build-release/sinew
cp LICENSE THIRD_PARTY.md build-release/dist/

if ldd "$binary" >/dev/null 2>&1; then
  ldd "$binary" >&2
  fail "$binary is not static"
fi
"$binary" --version

bytes=$(stat -c %s "$binary")
say "$binary: static, $bytes bytes (limit $max_bytes)"
[ "$bytes" -lt "$max_bytes" ] || fail "$binary is too large"

start_us=$(for _ in $(seq 21); do
  before=${EPOCHREALTIME/./}
  "$binary" --version >/dev/null
  echo $((${EPOCHREALTIME/./} - before))
done | sort -n | sed -n 11p)
say "sinew --version: $start_us us, median of 21 runs (limit $max_start_us)"
[ "$start_us" -lt "$max_start_us" ] || fail "$binary starts too slowly"
