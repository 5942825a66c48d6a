"""What run.py measures apart: memory of training, start of `sinew predict`, rates on one core."""

import array
import random
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from bench_worker import STEP
from peers import peak_mb

STARTS = 21  # of sinew predict


def write_npy(path, rows, columns):
    """Random f32 numbers, as an NPY file of version 1."""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}"
    header += " " * ((-len(header) - 11) % 64) + "\n"
    draw = random.Random(0)
    numbers = array.array("f", (draw.random() for _ in range(rows * columns)))
    Path(path).write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little")
                           + header.encode() + numbers.tobytes())


def train_command(sinew, case, folder, steps, threads):
    """`sinew train` of a case's network for so many steps, with its data in `folder`."""
    height, width, depth, k, batch = map(int, STEP.match(case).groups()[1:])
    write_npy(folder / "x.npy", batch, height * width)
    write_npy(folder / "t.npy", batch, 1)
    return [sinew, "train", "--data", str(folder / "x.npy"), "--target", str(folder / "t.npy"),
            "--shape", f"{height}x{width}", "--depth", str(depth), "--k", str(k), "--batch-size",
            str(batch), "--epochs", str(steps), "--threads", str(threads), "--device", "cpu",
            "--out", str(folder / "run"), "--quiet"]


def sinew_memory(sinew, case, threads):
    """{"start_mb", "peak_mb"} of `sinew train`; None where the system does not say."""
    start = max((peak_mb([sinew, "--version"], 10) or 0 for _ in range(5)))
    with tempfile.TemporaryDirectory() as folder:
        peak = peak_mb(train_command(sinew, case, Path(folder), 2, threads), 120)
    return {"start_mb": start, "peak_mb": peak} if peak else None


def predict_ms(sinew, case, threads):
    """Times from the start of `sinew predict` for one row to its end, with the result written."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run(train_command(sinew, case, folder, 1, threads), check=True, timeout=120,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        height, width = map(int, STEP.match(case).groups()[1:3])
        write_npy(folder / "row.npy", 1, height * width)
        command = [sinew, "predict", "--model", str(folder / "run"), "--input",
                   str(folder / "row.npy"), "--output", str(folder / "y.npy"), "--device", "cpu",
                   "--threads", str(threads), "--quiet"]
        times = []
        for _ in range(STARTS):
            (folder / "y.npy").unlink(missing_ok=True)
            begin = time.perf_counter()
            subprocess.run(command, check=True, timeout=20, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)
            times.append(1000 * (time.perf_counter() - begin))
            if not (folder / "y.npy").stat().st_size:
                raise ValueError("predict_ms: no result")
    return {"median_ms": statistics.median(times), "min_ms": min(times), "max_ms": max(times)}


def one_core(bench, layer, fma_rate):
    """Gop/s of geo_linear's forward pass, of its backward pass alone, and of FMAs on registers.

    `bench` runs `sinew bench` for names and gives {name: record}; `fma_rate` gives Gop/s.
    """
    before = fma_rate()
    cases = bench([f"{layer}/forward", f"{layer}/gradient"])
    forward, gradient = (cases[f"{layer}/{part}"] for part in ("forward", "gradient"))
    rest = {key: gradient[key] - forward[key] for key in ("operations", "median_ms")}
    return {"layer": layer, "fma": max(before, fma_rate()), "forward": forward["gflop_per_s"],
            "backward": rest["operations"] / rest["median_ms"] / 1e6}
