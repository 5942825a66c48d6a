#!/usr/bin/env python3
"""Networks between Sinew and PyTorch, both ways, and the same training on both sides.

Needs torch, numpy and safetensors. The PyTorch networks are geosparse_net.py and, where the package
psann is installed, its own GeoSparseNet. Printed per case, each as largest difference over the
largest magnitude of a tensor:

initial     weights that both sides draw from the same seed
losses      of 5 epochs of AdamW over shuffled batches, and weights after them
to torch    outputs: `sinew predict`, and its model folder loaded into PyTorch
to sinew    outputs: PyTorch's network, and its .pt converted and loaded by `sinew predict`

Exits 1 if names, tables or initial weights differ at all, or anything else by more than 1e-5, which
is also what the tests of the recorded cases (tests/golden) allow.
"""

import argparse
import inspect
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import geosparse_net

BASE = {"shape": [6, 7], "output_dim": 2, "depth": 3, "residual_alpha_init": 0.1, "seed": 5}
CASES = {
    "psann": {"activation_type": "psann"},
    "phase_psann": {"activation_type": "phase_psann", "activation_config": {"phase_init": 0.3},
                    "pattern": "hash", "radius": 2},
    "relu_sigmoid_psann": {"activation_type": "relu_sigmoid_psann", "wrap_mode": "wrap", "k": 9},
    "mixed": {"activation_type": "mixed", "pattern": "random", "activation_config": {
        "activation_types": ["psann", "relu", "phase_psann"], "activation_ratios": [.5, .3, .2]}},
    "psann, layer norm": {"norm": "layer"},
}
ROWS, EPOCHS, BATCH, LR, SEED = 256, 5, 32, 2e-3, 3
ALLOWED = 1e-5


def build(network, config):
    """The keys of the JSON that are arguments of the constructor; the others are Sinew's own."""
    config = {"input_dim": config["shape"][0] * config["shape"][1], **config}
    known = inspect.signature(network).parameters
    return network(**{key: value for key, value in config.items() if key in known})


def difference(ours, theirs):
    worst = (ours - theirs).abs().max().item()
    return worst and worst / theirs.abs().max().item()  # both may be zeros


def largest(ours, theirs):
    """Over all weights; names and tables must be equal."""
    if set(ours) != set(theirs):
        sys.exit(f"interop: names differ ({sorted(set(ours) ^ set(theirs))})")
    tables = [name for name in ours if not ours[name].is_floating_point()]
    if not all(torch.equal(ours[name], theirs[name]) for name in tables):
        sys.exit("interop: tables differ")
    return max(difference(ours[name], theirs[name]) for name in set(ours) - set(tables))


class Sinew:
    def __init__(self, program, folder, x, t):
        self.program, self.folder = program, Path(folder)
        numpy.save(self.folder / "x.npy", x.numpy())
        numpy.save(self.folder / "t.npy", t.numpy())

    def run(self, *arguments):
        subprocess.run([self.program, *map(str, arguments), "--quiet"], cwd=self.folder, check=True)

    def train(self, lr, out):
        """State and losses; with learning rate 0 the state is the initial one."""
        self.run("train", "--data", "x.npy", "--target", "t.npy", "--config", "net.json",
                 "--epochs", EPOCHS, "--batch-size", BATCH, "--lr", lr, "--seed", SEED,
                 "--out", out)
        history = json.loads((self.folder / out / "history.json").read_text())
        losses = torch.tensor([epoch["train_loss"] for epoch in history])
        return load_file(self.folder / out / "model.safetensors"), losses

    def predict(self, *model):
        self.run("predict", *model, "--input", "x.npy", "--output", "y.npy")
        return torch.from_numpy(numpy.load(self.folder / "y.npy"))


def train(model, x, t):
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=0)
    losses = torch.zeros(EPOCHS)
    for epoch in range(EPOCHS):
        for rows, target in DataLoader(TensorDataset(x, t), batch_size=BATCH, shuffle=True):
            optimizer.zero_grad()
            loss = F.mse_loss(model(rows), target)
            loss.backward()
            optimizer.step()
            losses[epoch] += loss.detach() * len(rows) / len(x)
    return losses


def compare(network, config, sinew, x, t):
    (sinew.folder / "net.json").write_text(json.dumps(config))
    torch.manual_seed(SEED)
    model = build(network, config)
    result = {"initial": largest(sinew.train(0, "initial")[0], model.state_dict())}
    weights, losses = sinew.train(LR, "run")
    result["losses"] = difference(losses, train(model, x, t))
    result["weights"] = largest(weights, model.state_dict())

    loaded = build(network, json.loads((sinew.folder / "run/config.json").read_text()))
    loaded.load_state_dict(weights, strict=True)
    result["to torch"] = difference(sinew.predict("--model", "run"), loaded(x).detach())

    pt, converted = sinew.folder / "net.pt", sinew.folder / "net.safetensors"
    torch.save(model.state_dict(), pt)
    save_file({k: v.clone() for k, v in torch.load(pt, weights_only=True).items()}, converted)
    y = sinew.predict("--config", "net.json", "--weights", converted)
    return {**result, "to sinew": difference(y, model(x).detach())}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sinew", required=True, metavar="PATH", help="the program")
    program = str(Path(parser.parse_args().sinew).resolve())
    networks = {"geosparse_net.py": geosparse_net.GeoSparseNet}
    try:
        from psann.nn_geo_sparse import GeoSparseNet
        networks["psann"] = GeoSparseNet
    except ImportError:
        print("psann is not installed; geosparse_net.py only")
    x = torch.randn(ROWS, 42, generator=torch.Generator().manual_seed(1))
    t = torch.sin(2 * x[:, :2]) + x[:, 2:4] * x[:, 4:6]
    print(f"{'network':18}{'case':20}   initial    losses   weights  to torch  to sinew")
    ok = True
    for source, network in networks.items():
        for case, extra in CASES.items():
            with tempfile.TemporaryDirectory() as folder:
                result = compare(network, {**BASE, **extra}, Sinew(program, folder, x, t), x, t)
            print(f"{source:18}{case:20}" + "".join(f"{v:10.1e}" for v in result.values()))
            ok = ok and result["initial"] == 0 and all(v <= ALLOWED for v in result.values())
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
