# shellcheck shell=bash
# Shared by demo.sh, test.sh, release.sh and .ci/run: packages, configuring, running the tests.
# Sourced from bash with `set -euo pipefail`; works in the repository root.

cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
[ -d .deps/pkgconfig ] && export PKG_CONFIG_PATH="$PWD/.deps/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}"

say() { printf '== %s\n' "$*"; }
fail() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# COMMAND=PACKAGE of each tool, HEADER=PACKAGE of each library.
commands=("g++=g++" "meson=meson" "ninja=ninja-build" "pkg-config=pkg-config")
headers=("Eigen/Core=libeigen3-dev" "doctest/doctest.h=doctest-dev" "CLI/CLI.hpp=libcli11-dev"
  "nlohmann/json.hpp=nlohmann-json3-dev" "xsimd/xsimd.hpp=libxsimd-dev"
  "stb/stb_image_write.h=libstb-dev")
[ -d .deps ] || headers+=("zlib.h=zlib1g-dev") # not staged; a build without it refuses gzip files

has_header() {
  printf '#if !__has_include(<%s>)\n#error\n#endif\n' "$1" |
    g++ -E -x c++ -I/usr/include/eigen3 -I.deps/include - >/dev/null 2>&1
}

missing_packages() {
  local pair
  for pair in "${commands[@]}"; do
    command -v "${pair%%=*}" >/dev/null || printf '%s\n' "${pair##*=}"
  done
  for pair in "${headers[@]}"; do
    has_header "${pair%%=*}" || printf '%s\n' "${pair##*=}"
  done
}

apt_install() {
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || fail "not root and no sudo; please install: $*"
    as_root=(sudo)
  fi
  say "Installing with apt: $*"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=300 "$@" >/dev/null
}

install_missing() {
  local missing
  mapfile -t missing < <(missing_packages)
  [ "${#missing[@]}" -eq 0 ] && return
  command -v apt-get >/dev/null ||
    fail "please install what these Debian packages hold, then try again: ${missing[*]}"
  apt_install "${missing[@]}"
}

# configure FOLDER OPTION...: sets up the build folder, or brings an existing one up to date. One
# that cannot be (another Meson, a moved tree) is built anew; only a folder of Meson's is removed.
configure() {
  local folder=$1 log
  shift
  say "Configuring $folder"
  if [ -d "$folder/meson-private" ]; then
    meson setup --reconfigure "$folder" "$@" >/dev/null 2>&1 && return
    say "$folder is of no use any more; starting it anew"
    rm -rf "$folder"
  fi
  log=$(meson setup "$folder" "$@" 2>&1) || fail "meson setup failed: $(tail -n 20 <<<"$log")"
}

build() { # FOLDER TARGET...
  local folder=$1
  shift
  say "Building $folder ${*:-}"
  ninja -C "$folder" -j "$(nproc)" "$@"
}

# run_tests FOLDER ARGUMENT...: meson test; the last line printed is 'N passed, N failed'.
run_tests() {
  local folder=$1 status=0
  shift
  say "Testing $folder"
  rm -f "$folder"/meson-logs/testlog*.json # named after the wrapper, if one is given
  meson test -C "$folder" --no-rebuild --print-errorlogs "$@" || status=$?
  python3 tools/count_tests.py "$folder"/meson-logs/testlog*.json && return "$status"
}
