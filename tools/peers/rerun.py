#!/usr/bin/env python3
"""The 36 comparisons that were rerun with the reference on a CPU, by `sinew sweep`, beside its
figures (tests/golden/compare/rerun.csv): rerun.py [--sinew PROGRAM] [--out FOLDER]

Each cell runs twice: as it is, and with other roundings (f64). The second distance says how far
rounding alone carries a cell: 800 steps of AdamW through ReLUs multiply an ulp. Prints Markdown;
exits with 1 if a cell is more than 0.1 % off.
"""
import argparse
import csv
import os
import subprocess
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
MODELS = ("geo_sparse", "dense_resrelu", "dense_respsann")
LIMIT = 1e-3
COMMON = ("--shapes 8x8 --depths 4 --ks 4,8 --activations psann,relu --seeds 0,1,2 --epochs 25 "
          "--batch-size 256 --train-size 8192 --test-size 2048 --val-fraction 0").split()


def sweep(program, folder, task, *extra):
    """{(task, activation, k, seed, model): test mse}"""
    subprocess.run([program, "sweep", "--task", task, *COMMON, *extra, "--resume", "--quiet", "--out", folder],
                   check=True)
    with open(os.path.join(folder, "summary.csv"), encoding="utf-8", newline="") as f:
        return {(task, row["manifest_sparse_activation"], row["manifest_k"], row["manifest_seed"],
                 row["model"]): float(row["mse_test"]) for row in csv.DictReader(f)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sinew", default="build/sinew")
    parser.add_argument("--out", default="out/rerun")
    args = parser.parse_args()
    ours, rounded = {}, {}
    for task in ("mixed", "sine", "teacher_relu"):
        ours |= sweep(args.sinew, f"{args.out}/{task}", task)
        rounded |= sweep(args.sinew, f"{args.out}/{task}-f64", task, "--precision", "f64")
    with open(os.path.join(ROOT, "tests/golden/compare/rerun.csv"), encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    print("| cell | model | reference | Sinew | distance | f64 from f32 |")
    print("|---|---|---|---|---|---|")
    off, worst = [], dict.fromkeys(MODELS, 0)
    for row in rows:
        for model in MODELS:
            key = (row["task"], row["activation"], row["k"], row["seed"], model)
            reference, value = float(row[model]), ours[key]
            distance = abs(value - reference) / reference
            other = abs(rounded[key] - value) / value
            worst[model] = max(worst[model], distance)
            if distance > LIMIT:
                off.append(key)
            print(f"| {' '.join(key[:3])} seed {key[3]} | {model} | {row[model]} | {value:.6f} | "
                  f"{100 * distance:.4f} % | {100 * other:.4f} % |")
    print("\nLargest distance: " + ", ".join(f"{m} {100 * worst[m]:.3f} %" for m in MODELS))
    print(f"{len(rows) * len(MODELS) - len(off)} of {len(rows) * len(MODELS)} within 0.1 %")
    return 1 if off else 0


if __name__ == "__main__":
    sys.exit(main())
