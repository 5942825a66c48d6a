#!/usr/bin/env bash
# Copies the header-only libraries (Eigen, xsimd, doctest, CLI11, nlohmann/json, stb) from
# /usr/include into one folder with pkg-config files, for building on a machine that has compilers
# and Meson but not these packages: copy the folder there as .deps in the repository; the scripts
# in tools find it.   tools/stage-deps.sh [FOLDER]     default .deps
set -euo pipefail
out=$(realpath -m "${1:-.deps}")
source "$(dirname "$0")/lib.sh"
mkdir -p "$out/include" "$out/pkgconfig"

# stage NAME SOURCE VERSION PACKAGE: one folder of headers and its pkg-config file
stage() {
  [ -d "/usr/include/$2" ] || fail "/usr/include/$2 is missing; install $4"
  rm -rf "$out/include/$(basename "$2")"
  cp -R "/usr/include/$2" "$out/include/"
  cat >"$out/pkgconfig/$1.pc" <<PC
prefix=\${pcfiledir}/..
Name: $1
Description: headers of $1
Version: $3
Cflags: -I\${prefix}/include
PC
}

# version FILE MACRO...: the values of the macros, joined by dots
version() {
  local file=/usr/include/$1 macro parts=()
  shift
  for macro in "$@"; do
    parts+=("$(sed -nE "s/^ *# *define +$macro +\"?([0-9.]+)\"?.*/\1/p" "$file" | head -n 1)")
  done
  (IFS=. && echo "${parts[*]}")
}

json_version=nlohmann/json.hpp
grep -q 'define NLOHMANN_JSON_VERSION_MAJOR' "/usr/include/$json_version" 2>/dev/null ||
  json_version=nlohmann/detail/abi_macros.hpp

stage eigen3 eigen3/Eigen "$(version eigen3/Eigen/src/Core/util/Macros.h \
  EIGEN_{WORLD,MAJOR,MINOR}_VERSION)" libeigen3-dev
stage xsimd xsimd "$(version xsimd/config/xsimd_config.hpp \
  XSIMD_VERSION_{MAJOR,MINOR,PATCH})" libxsimd-dev
stage doctest doctest "$(version doctest/doctest.h \
  DOCTEST_VERSION_{MAJOR,MINOR,PATCH})" doctest-dev
stage CLI11 CLI "$(version CLI/Version.hpp CLI11_VERSION)" libcli11-dev
stage nlohmann_json nlohmann "$(version "$json_version" \
  NLOHMANN_JSON_VERSION_{MAJOR,MINOR,PATCH})" nlohmann-json3-dev
stage stb stb 0.0 libstb-dev
say "Staged in $out: $(du -sh "$out" | cut -f 1)"
