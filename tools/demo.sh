#!/usr/bin/env bash
# Trains a geo-sparse sine network on handwritten digits beside a dense network of the same size.
# Installs what is missing (Debian, Ubuntu), builds in release mode, runs.   tools/demo.sh
set -euo pipefail
source "$(dirname "$0")/lib.sh"

commands+=("gnuplot=gnuplot-nox")
install_missing
configure build --buildtype=release -Dcuda=disabled
build build examples/digits sinew
say "Training on examples/data/digits.csv; results go to out/digits"
mkdir -p out/digits
build/examples/digits examples/data/digits.csv --out out/digits "$@"
