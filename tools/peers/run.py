#!/usr/bin/env python3
"""Compare one training step of Sinew and of PyTorch.

Starts the two programs in turn (Sinew, PyTorch, Sinew, PyTorch, ...) for the same case of
`sinew bench`, each in a process of its own, so that a slow spell of the machine meets both. Printed
are both medians of every round and their ratio PyTorch / Sinew (above 1: Sinew is faster), then the
median, least and largest ratio, and the ratio of the least times over all rounds, which other load
on the machine disturbs least. Measure on an idle machine: two busy threads that wait for each other
lose far more than their share.

PyTorch is needed for the one side; if the interpreter that runs this script lacks it:

    python3 -m venv peers-venv
    peers-venv/bin/pip install torch numpy
    python3 tools/peers/run.py --python peers-venv/bin/python --sinew build/sinew
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
from pathlib import Path

PEER = Path(__file__).resolve().parent / "pytorch_geosparse.py"
CASE = re.compile(r"step/(\w+)-(\d+x\d+)-d(\d+)-k(\d+)-b(\d+)$")


def pytorch_flags(case):
    """The flags of the PyTorch program for a case of `sinew bench`."""
    match = CASE.match(case)
    if not match:
        sys.exit(f"run: {case} is no training step (see sinew bench --list --filter step/)")
    model, shape, depth, k, batch = match.groups()
    model = {"geo_sparse": "geo"}.get(model, model)
    return ["--model", model, "--shape", shape, "--depth", depth, "--k", k, "--batch", batch]


def output_of(command):
    try:
        result = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    except OSError as error:
        sys.exit(f"run: {command[0]} does not start ({error.strerror})")
    if result.returncode != 0:
        sys.exit(f"run: {command[0]} failed (exit status {result.returncode})")
    return result.stdout


def measure(command, of=lambda record: record):
    """The JSON object that the program prints, or the part of it that `of` picks."""
    try:
        record = of(json.loads(output_of(command)))
        return {**record, **{name: float(record[name]) for name in ("median_ms", "min_ms")}}
    except (LookupError, TypeError, ValueError):
        sys.exit(f"run: {command[0]} printed no JSON with median_ms and min_ms")


def check_same_size(sinew, pytorch):
    """Both sides must have trained a network of the same size, where both report it."""
    sizes = [record.get("parameters") for record in (sinew, pytorch)]
    if None not in sizes and sizes[0] != sizes[1]:
        sys.exit(f"run: parameter counts differ (Sinew {sizes[0]}, PyTorch {sizes[1]})")


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sinew", required=True, metavar="PATH", help="the program sinew")
    parser.add_argument("--python", default=sys.executable, metavar="PATH",
                        help="interpreter that has torch and numpy (the one running this)")
    parser.add_argument("--case", default="step/geo_sparse-16x16-d8-k8-b256",
                        help="a name that `sinew bench --list --filter step/` prints (%(default)s)")
    parser.add_argument("--threads", default="2", help="CPU threads (2)")
    parser.add_argument("--steps", type=int, default=30, help="timed steps of PyTorch (30)")
    parser.add_argument("--seconds", default="1", help="time of Sinew's steps, in s (1)")
    parser.add_argument("--rounds", type=int, default=5,
                        help="how often each program is started (5)")
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
    sinew = [arguments.sinew, "bench", "--filter", arguments.case, "--threads", arguments.threads,
             "--seconds", arguments.seconds, "--quiet", "--json", "/dev/stdout"]
    pytorch = [arguments.python, str(PEER), "step", *pytorch_flags(arguments.case),
               "--threads", arguments.threads, "--steps", str(arguments.steps),
               "--gather", arguments.gather]
    if arguments.compile:
        pytorch += ["--compile", arguments.compile]

    print(arguments.case)
    print(f"{'round':>5} {'Sinew ms':>12} {'PyTorch ms':>12} {'ratio':>8}")
    ratios, least = [], [float("inf"), float("inf")]
    for number in range(1, arguments.rounds + 1):
        ours = measure(sinew, lambda record: record["cases"][-1])
        theirs = measure(pytorch)
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
