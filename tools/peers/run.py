#!/usr/bin/env python3
"""Compare one training step of Sinew and of PyTorch.

Starts the two programs in turn (Sinew, PyTorch, Sinew, PyTorch, ...) with the same flags, each in
a process of its own, so that a slow spell of the machine meets both. Each prints one JSON line
with median_ms, min_ms and max_ms. Printed are both medians of every round and their ratio
PyTorch / Sinew (above 1: Sinew is faster), then the median, least and largest ratio, and the
ratio of the least times over all rounds, which other load on the machine disturbs least. Measure
on an idle machine: two busy threads that wait for each other lose far more than their share.

PyTorch is needed for the one side; if the interpreter that runs this script lacks it:

    python3 -m venv peers-venv
    peers-venv/bin/pip install torch numpy
    python3 tools/peers/run.py --python peers-venv/bin/python --sinew PATH
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

PEER = Path(__file__).resolve().parent / "pytorch_geosparse.py"
SHARED_FLAGS = {
    "model": ("geo", "geo, dense_relu, dense_resrelu or dense_respsann"),
    "shape": ("16x16", "grid, HxW"),
    "depth": ("8", "number of blocks"),
    "k": ("8", "inputs per output cell"),
    "batch": ("256", "rows"),
    "activation": ("psann", "of the geo-sparse net"),
    "threads": ("2", "CPU threads"),
    "warmup": ("5", "steps before timing"),
    "steps": ("30", "timed steps"),
}


def measure(command):
    """The JSON object on the last line that the program prints."""
    try:
        result = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    except OSError as error:
        sys.exit(f"run: {command[0]} does not start ({error.strerror})")
    if result.returncode != 0:
        sys.exit(f"run: {command[0]} failed (exit status {result.returncode})")
    lines = result.stdout.strip().splitlines()
    try:
        record = json.loads(lines[-1])
        return {**record, **{name: float(record[name]) for name in ("median_ms", "min_ms")}}
    except (IndexError, KeyError, TypeError, ValueError):
        sys.exit(f"run: {command[0]} printed no JSON line with median_ms and min_ms")


def check_same_size(sinew, pytorch):
    """Both sides must have trained a network of the same size, where both report it."""
    sizes = [record.get("parameters") for record in (sinew, pytorch)]
    if None not in sizes and sizes[0] != sizes[1]:
        sys.exit(f"run: parameter counts differ (Sinew {sizes[0]}, PyTorch {sizes[1]})")


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sinew", required=True, metavar="PATH", help="the program step_bench")
    parser.add_argument("--python", default=sys.executable, metavar="PATH",
                        help="interpreter that has torch and numpy (the one running this)")
    parser.add_argument("--rounds", type=int, default=5,
                        help="how often each program is started (5)")
    for name, (default, text) in SHARED_FLAGS.items():
        parser.add_argument(f"--{name}", default=default, help=f"{text} ({default})")
    parser.add_argument("--gather", default="index",
                        help="PyTorch only: index or index_select, see README.md (index)")
    parser.add_argument("--compile", metavar="MODE",
                        help="PyTorch only: torch.compile in this mode (off)")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error(f"--rounds must be at least 1 ({arguments.rounds})")
    return arguments


def main():
    arguments = parse_arguments()
    flags = [part for name in SHARED_FLAGS for part in (f"--{name}", getattr(arguments, name))]
    sinew = [arguments.sinew, *flags]
    pytorch = [arguments.python, str(PEER), "step", *flags, "--gather", arguments.gather]
    if arguments.compile:
        pytorch += ["--compile", arguments.compile]

    print(" ".join(flags))
    print(f"{'round':>5} {'Sinew ms':>12} {'PyTorch ms':>12} {'ratio':>8}")
    ratios, least = [], [float("inf"), float("inf")]
    for number in range(1, arguments.rounds + 1):
        ours, theirs = measure(sinew), measure(pytorch)
        check_same_size(ours, theirs)
        least = [min(least[0], ours["min_ms"]), min(least[1], theirs["min_ms"])]
        ratios.append(theirs["median_ms"] / ours["median_ms"])
        print(f"{number:5} {ours['median_ms']:12.3f} {theirs['median_ms']:12.3f} "
              f"{ratios[-1]:8.2f}", flush=True)
    print(f"PyTorch / Sinew: median {statistics.median(ratios):.2f}, "
          f"min {min(ratios):.2f}, max {max(ratios):.2f}")
    print(f"least times: Sinew {least[0]:.3f} ms, PyTorch {least[1]:.3f} ms, "
          f"ratio {least[1] / least[0]:.2f}")


if __name__ == "__main__":
    main()
