#!/usr/bin/env python3
"""Check the PyTorch version of the geo-sparse network (geosparse_net.py).

Loads a recorded case of the reference network and compares connectivity, outputs, gradients and
trained weights. Exit code 1 when one differs by more than allowed.
"""

import argparse
import json
import math
import struct
import sys
from pathlib import Path

import numpy
import torch
from torch.nn import functional as F

import geosparse_net as net

DTYPES = {"F32": numpy.float32, "I64": numpy.int64}


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


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("golden_dir", help="folder with case.json, *.safetensors and *.npy")
    parser.add_argument("--gather", choices=("index", "index_select"), default="index",
                        help="how a sparse layer collects its inputs: x[:, table] or "
                        "x.index_select; same numbers, different speed")
    return verify(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
