#!/usr/bin/env bash
# Measures Sinew on this machine's GPU, beside PyTorch where there is one, in less than 9 minutes:
# builds with CUDA, runs the tests, then `sinew bench` and PyTorch in turn (tools/peers/report.py).
# Leaves OUT/gpu-NAME-DATE-COMMIT.md and .json, and the logs. Without a package registry: copy what
# tools/stage-deps.sh makes to .deps.
#   tools/gpu_report.sh [--python INTERPRETER_WITH_TORCH] [--out FOLDER] [--seconds LIMIT]
#                       [--build CONFIGURED_FOLDER]
#   tools/gpu_report.sh --emulated ...   proves this script without a GPU: the emulated runtime,
#                                        tiny sizes, a few tests, PyTorch on the CPU
# A phase that overruns its share of the time is ended and named; the later ones still run. Exit
# status 1 if a phase failed or overran.
set -euo pipefail
self=$(realpath "$0")
python=python3 out=out/gpu-report total=520 folder='' emulated='' phase=''
while [ $# -gt 0 ]; do
  case $1 in
    --python | --out | --seconds | --build) [ $# -gt 1 ] || { echo "gpu_report.sh: $1 needs a value" >&2; exit 2; } ;;&
    --python) python=$2 && shift 2 ;;
    --out) out=$2 && shift 2 ;;
    --seconds) total=$2 && shift 2 ;;
    --build) folder=$2 && shift 2 ;;
    --emulated) emulated=1 && shift ;;
    --phase) phase=$2 && shift 2 ;;
    *) sed -n '2,13s/^# \{0,1\}//p' "$self" >&2 && exit 2 ;;
  esac
done
[[ $total =~ ^[1-9][0-9]*$ ]] || { echo "gpu_report.sh: --seconds needs a whole number ($total)" >&2; exit 2; }
out=$(realpath -m "$out")
[ "$folder" ] || folder=$([ "$emulated" ] && echo build-emulated || echo build-gpu)
cd "$(dirname "$self")/.."
# shellcheck source=tools/lib.sh
source tools/lib.sh

phase_build() {
  if [ "$folder" = build-emulated ]; then
    configure "$folder" --buildtype=debugoptimized -Dcuda=emulated -Disa=[] -Dexamples=false
  elif [ "$folder" = build-gpu ]; then
    configure "$folder" --buildtype=release -Dcuda=enabled -Disa=[] -Dexamples=false
  fi
  build "$folder" ${emulated:+sinew}
}

phase_tests() {
  if [ "$emulated" ]; then
    run_tests "$folder" 'sinew cuda'
  else
    run_tests "$folder" --no-suite tree
  fi
}

# phase NAME LIMIT: one phase in a process of its own, its log in OUT; tells report.py how it went.
run_phase() {
  local begin=$SECONDS status=0 limit=$2 left=$((total - SECONDS))
  [ "$limit" -le "$left" ] || limit=$left
  say "$1: at most $limit s"
  timeout --kill-after=5 "$limit" "$BASH" "$self" --phase "$1" ${emulated:+--emulated} --build "$folder" \
    >"$out/$1.log" 2>&1 || status=$?
  say "$1: status $status, $((SECONDS - begin)) s"
  echo "phase $1 $status $((SECONDS - begin)) $limit" >&"$report"
  [ "$status" -eq 0 ] || failed=1
  return "$status"
}

if [ "$phase" ]; then
  "phase_$phase"
  exit
fi
failed=0
mkdir -p "$out"
rm -f "$out"/*.log
flags=(--sinew "$folder/sinew" --out "$out" --python "$python")
[ -z "$emulated" ] || flags+=(--emulated --quick --modes eager --torch-device cpu --prepare 30
  --rounds 2 --seconds 0.001)
exec {report}> >(exec python3 tools/peers/report.py "${flags[@]}" >"$out/stem")
reporter=$!
if run_phase build 260; then
  run_phase tests 120 || true
  measure=$((total - SECONDS - 15))
  say "Measuring for at most $measure s"
  echo "measure $measure" >&"$report"
fi
exec {report}>&-
wait "$reporter" || fail "tools/peers/report.py failed; the logs are in $out"
stem=$(cat "$out/stem")
say "Took $SECONDS s; $stem.md, $stem.json"
exit "$failed"
