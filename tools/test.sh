#!/usr/bin/env bash
# Builds Sinew in release mode and runs all its tests; installs what is missing (Debian, Ubuntu).
# The last line is 'N passed, N failed'.   tools/test.sh [ARGUMENT FOR meson test]...
set -euo pipefail
source "$(dirname "$0")/lib.sh"
trap '[ "${tested:-}" ] || echo "0 passed, 1 failed"' EXIT

install_missing
configure build --buildtype=release -Dcuda=disabled
build build
tested=1
run_tests build "$@"
