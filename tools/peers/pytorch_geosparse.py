#!/usr/bin/env python3
"""Two uses of the PyTorch version of the geo-sparse network (geosparse_net.py).

verify: load a recorded case of the reference network and compare connectivity, outputs,
        gradients and trained weights. Exit code 1 when one differs by more than allowed.
step:   time one f32 training step (forward, mean squared error, backward, AdamW) on the CPU and
        print one JSON line.
"""

import argparse
import json
import math
import statistics
import struct
import sys
import time
from pathlib import Path

import numpy
import torch
from torch.nn import functional as F

import geosparse_net as net

DTYPES = {"F32": numpy.float32, "I64": numpy.int64}
ACTIVATIONS = ("psann", "phase_psann", "relu", "tanh", "relu_sigmoid_psann")
MODELS = ("geo", "dense_relu", "dense_resrelu", "dense_respsann")


def read_safetensors(path):
    """Name to tensor: u64 header length, JSON header, then the data (little-endian)."""
    data = Path(path).read_bytes()
    start = 8 + struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = (start + offset for offset in entry["data_offsets"])
        array = numpy.frombuffer(data[begin:end], DTYPES[entry["dtype"]])
        tensors[name] = torch.from_numpy(array.reshape(entry["shape"]).copy())
    return tensors


# ---- verify -----------------------------------------------------------------------------------

def difference(ours, reference):
    """Largest absolute difference over the largest reference value (1 if both ends are zero)."""
    if ours.shape != reference.shape:
        raise ValueError(f"difference: shapes differ ({ours.shape} and {reference.shape})")
    scale = reference.abs().max().item()
    return (ours - reference).abs().max().item() / (scale if scale > 0 else 1.0)


def largest(ours, reference):
    """(difference, name) of the tensor that differs most; NaN counts as most."""
    if list(ours) != list(reference):
        raise ValueError("largest: tensor names differ")
    differences = [(difference(ours[name], reference[name]), name) for name in reference]
    return max(differences, key=lambda d: math.inf if math.isnan(d[0]) else d[0])


def train(model, x, t, settings):
    """Losses of every step: AdamW on batches in row order."""
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=settings["lr"], betas=settings["betas"], eps=settings["eps"],
        weight_decay=settings["weight_decay"])
    losses = []
    for _ in range(settings["epochs"]):
        for rows in torch.arange(len(x)).split(settings["batch_size"]):
            optimizer.zero_grad()
            loss = F.mse_loss(model(x[rows]), t[rows])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def float_state(state):
    return {name: value for name, value in state.items() if value.is_floating_point()}


def verify(arguments):
    folder = Path(arguments.golden_dir)
    case = json.loads((folder / "case.json").read_text())
    config = dict(case["config"])
    config.pop("input_dim")
    model = net.GeoSparseNet(**config, gather=arguments.gather)
    x, t, y_init, y_after = (
        torch.from_numpy(numpy.load(folder / f"{name}.npy"))
        for name in ("X", "T", "Y_init", "Y_after"))
    initial = read_safetensors(folder / "init.safetensors")

    built = model.state_dict()
    same_keys = list(built) == case["keys"]
    same_tables = all(torch.equal(built[name], value) for name, value in initial.items()
                      if not value.is_floating_point())
    same_count = net.count_parameters(model) == case["params"]
    print(f"{folder.name}: {case['params']} parameters")
    print(f"  state names {same_keys}, index tables {same_tables}, parameter count {same_count}")

    model.load_state_dict(initial)
    y = model(x)
    F.mse_loss(y, t).backward()
    gradients = {name: p.grad for name, p in model.named_parameters()}
    rows = [("output, initial weights", difference(y.detach(), y_init), "")]
    rows.append(("gradients", *largest(gradients, read_safetensors(folder / "grads.safetensors"))))

    losses = train(model, x, t, case["train"])
    rows.append(("losses", difference(torch.tensor(losses), torch.tensor(case["losses"])), ""))
    after = read_safetensors(folder / "after.safetensors")
    rows.append(("trained weights", *largest(float_state(model.state_dict()), float_state(after))))
    with torch.no_grad():
        rows.append(("output, trained weights", difference(model(x), y_after), ""))

    allowed = max(10 * case["sensitivity"], 1e-5)
    print(f"  largest relative difference (allowed {allowed:.1e}):")
    for label, value, name in rows:
        print(f"    {label:24} {value:.2e}  {name}")
    same = same_keys and same_tables and same_count
    return 0 if same and all(value <= allowed for _, value, _ in rows) else 1


# ---- step -------------------------------------------------------------------------------------

def parse_shape(text):
    height, width = (int(part) for part in text.lower().split("x"))
    return height, width


def make_model(arguments):
    """The geo-sparse net, or a dense net of the width that matches its parameter count."""
    shape, depth = arguments.shape, arguments.depth
    n = shape[0] * shape[1]

    def geo():
        return net.GeoSparseNet(shape, 1, depth, arguments.k, seed=0, gather=arguments.gather,
                                activation_type=arguments.activation)

    def dense(width):
        if arguments.model == "dense_relu":
            return net.dense_mlp(n, 1, depth, width)
        activation = {"dense_resrelu": "relu", "dense_respsann": "psann"}[arguments.model]
        return net.dense_residual_net(n, 1, depth, width, activation)

    if arguments.model == "geo":
        return geo()
    return dense(net.match_width(dense, net.count_parameters(geo())))


def step(arguments):
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    eager = make_model(arguments)
    model = torch.compile(eager, mode=arguments.compile) if arguments.compile else eager
    x = torch.randn(arguments.batch, arguments.shape[0] * arguments.shape[1])
    t = torch.randn(arguments.batch, 1)
    optimizer = torch.optim.AdamW(eager.parameters())

    def one_step():
        optimizer.zero_grad()
        loss = F.mse_loss(model(x), t)
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(arguments.warmup):
        one_step()
    times = []
    for _ in range(arguments.steps):
        begin = time.perf_counter()
        loss = one_step()
        times.append(1000 * (time.perf_counter() - begin))
    if not math.isfinite(loss.item()):
        raise ValueError(f"step: the loss is not finite ({loss.item()})")
    print(json.dumps({
        "median_ms": round(statistics.median(times), 4), "min_ms": round(min(times), 4),
        "max_ms": round(max(times), 4), "parameters": net.count_parameters(eager)}))
    return 0


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="command")
    check = commands.add_parser("verify", help="compare with a recorded case")
    check.add_argument("golden_dir", help="folder with case.json, *.safetensors and *.npy")
    check.set_defaults(run=verify)
    bench = commands.add_parser("step", help="time one training step",
                                formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    bench.add_argument("--model", choices=MODELS, default="geo", help="dense nets get the width "
                       "whose parameter count is nearest to that of the geo-sparse net")
    bench.add_argument("--shape", type=parse_shape, default="16x16", help="grid, HxW")
    bench.add_argument("--depth", type=int, default=8, help="blocks, or layers of dense_relu")
    bench.add_argument("--k", type=int, default=8, help="inputs per output cell")
    bench.add_argument("--batch", type=int, default=256, help="rows")
    bench.add_argument("--activation", choices=ACTIVATIONS, default="psann",
                       help="of the geo-sparse net")
    bench.add_argument("--threads", type=int, default=2, help="CPU threads")
    bench.add_argument("--warmup", type=int, default=5, help="steps before timing")
    bench.add_argument("--steps", type=int, default=30, help="timed steps")
    bench.add_argument("--compile", metavar="MODE", help="torch.compile the model in this mode, "
                       "for example 'default' or 'max-autotune'")
    bench.set_defaults(run=step)
    for command in (check, bench):
        command.add_argument("--gather", choices=("index", "index_select"), default="index",
                             help="how a sparse layer collects its inputs: x[:, table] or "
                             "x.index_select; same numbers, different speed")
    return parser.parse_args()


if __name__ == "__main__":
    arguments = parse_arguments()
    sys.exit(arguments.run(arguments))
