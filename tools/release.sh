#!/usr/bin/env bash
# Builds the static, stripped `sinew` binary into build-release/dist and checks that it is portable:
# no shared library, under 8 MB, starts and predicts 256 rows in under 20 ms.
#   tools/release.sh [OPTION FOR meson setup]...
set -euo pipefail
source "$(dirname "$0")/lib.sh"
export CXX=g++ LC_ALL=C
max_bytes=8000000 max_start_us=20000

install_missing
configure build-release --buildtype=release -Dstatic=true -Dcuda=disabled --prefer-static "$@"
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

# least_us COMMAND...: of 21 runs, so that other work on the machine does not count.
least_us() {
  local before
  for _ in $(seq 21); do
    before=${EPOCHREALTIME/./}
    "$@" >/dev/null
    echo $((${EPOCHREALTIME/./} - before))
  done | sort -n | head -n 1
}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
data=tests/golden/wrap_local_psann
"$binary" train --data $data/X.npy --target $data/T.npy --epochs 1 --out "$folder/run" --quiet
for args in "--version" "predict --model $folder/run --input $data/X.npy --output $folder/y.npy"; do
  # shellcheck disable=SC2086  # several arguments
  us=$(least_us "$binary" $args)
  say "sinew ${args%% *}: $us us, least of 21 runs (limit $max_start_us)"
  [ "$us" -lt "$max_start_us" ] || fail "sinew ${args%% *} takes too long"
done
