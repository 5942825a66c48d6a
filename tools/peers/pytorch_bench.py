#!/usr/bin/env python3
"""Times of PyTorch for cases of `sinew bench`, for report.py.

Builds every case (and compiles it, with --mode default or reduce-overhead), then prints one JSON
line: {"ready": true, "torch": version, "gpu": name, "cuda": version, "skipped": {key: reason}}. For
every line that it then reads it measures one round and prints one JSON line {key: ms}. A key is a
case, a space, and how a sparse layer collects its inputs: index, index_select or -.

What has not been built after --limit seconds is skipped. Times are those of a call: calls for about
--seconds in a row, after which a GPU is waited for, as `sinew bench` does it.
"""

import argparse
import json
import re
import signal
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

import geosparse_net as net
import pytorch_geosparse as peer

SPARSE = re.compile(r"op/geo_linear-(\d+)x(\d+)-k(\d+)-b(\d+)(-random)?/(forward|gradient)$")
DENSE = re.compile(r"op/linear-(\d+)-(\d+)-(\d+)/(forward|gradient)$")
FEATURES = re.compile(r"op/(sine|rms_norm)/(forward|gradient)$")
STEP = re.compile(r"step/(\w+)-(\d+)x(\d+)-d(\d+)-k(\d+)-b(\d+)$")
GATHERS = ("index", "index_select")


class Late(BaseException):  # no Exception: a compiler would take it for a fault of its own
    """The time to build cases is over."""


class Bench:
    def __init__(self, arguments):
        self.mode, self.device = arguments.mode, torch.device(arguments.device)
        self.block = (8, 16) if arguments.quick else (16384, 1024)  # as tools/bench_op.h
        torch._dynamo.config.recompile_limit = 1000  # else the ninth case would silently run eager
        self.weights = 64 if arguments.quick else 1 << 24  # as add_updates in tools/bench_nets.cpp

    def gathers(self, case):
        """Compiled networks take long to build: these gather in one way only."""
        if SPARSE.match(case):
            return GATHERS
        if case.startswith("step/geo_sparse"):
            return GATHERS if self.mode == "eager" else GATHERS[:1]
        return ("-",)

    def compiled(self, module):
        if self.mode == "eager":
            return module
        mode = None if self.mode == "default" else self.mode
        return torch.compile(module, mode=mode, dynamic=False)

    def begin(self):
        if self.mode == "reduce-overhead":
            torch.compiler.cudagraph_mark_step_begin()

    def call(self, case, gather):
        """A function that runs the case once."""
        if match := SPARSE.match(case):
            height, width, k, batch = map(int, match.groups()[:4])
            n = height * width
            table = torch.randint(n, (n, k)) if match[5] else net.index_table((height, width), k)
            return self.passes(net.GeoSparseLinear(table, gather), (batch, n), match[6])
        if match := DENSE.match(case):
            batch, inputs, outputs = map(int, match.groups()[:3])
            return self.passes(nn.Linear(inputs, outputs), (batch, inputs), match[4])
        if match := FEATURES.match(case):
            n = self.block[1]
            module = net.Sine(n, {}) if match[1] == "sine" else net.RmsNorm(n)
            return self.passes(module, self.block, match[2])
        if case == "op/adam_update":
            return self.update()
        if match := STEP.match(case):
            return self.step(match, gather)
        raise ValueError("not known here")

    def passes(self, module, shape, kind):
        module = module.to(self.device)
        run = self.compiled(module)
        x = torch.rand(shape, device=self.device)

        def forward():
            self.begin()
            with torch.no_grad():
                return run(x)

        if kind == "forward":
            return forward
        wrt = [x.requires_grad_(), *module.parameters()]
        cotangent = torch.rand_like(module(x))

        def gradient():
            self.begin()
            return torch.autograd.grad(run(x), wrt, cotangent)

        return gradient

    def optimizer(self, parameters):
        return torch.optim.AdamW(parameters, fused=True if self.device.type == "cuda" else None)

    def update(self):
        if self.mode != "eager":
            raise ValueError("fused already")
        p = torch.rand(self.weights, device=self.device, requires_grad=True)
        p.grad = torch.rand_like(p)
        return self.optimizer([p]).step

    def step(self, match, gather):
        model, shape = match[1], (int(match[2]), int(match[3]))
        depth, k, batch = map(int, match.groups()[3:])
        eager = peer.make_model(argparse.Namespace(
            model={"geo_sparse": "geo"}.get(model, model), shape=shape, depth=depth, k=k,
            gather=gather if gather in GATHERS else "index", activation="psann")).to(self.device)
        run = self.compiled(eager)
        x = torch.rand((batch, shape[0] * shape[1]), device=self.device)
        t = torch.rand((batch, 1), device=self.device)
        optimizer = self.optimizer(eager.parameters())

        def step():
            self.begin()
            optimizer.zero_grad()
            F.mse_loss(run(x), t).backward()
            optimizer.step()

        return step

    def seconds_of(self, call, calls):
        self.wait()
        begin = time.perf_counter()
        for _ in range(calls):
            call()
        self.wait()
        return (time.perf_counter() - begin) / calls

    def wait(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def late(number, frame):
    raise Late()


def build(bench, cases, limit):
    """{key: (call, seconds of one)} of what could be built, {key: reason} of the others."""
    built, skipped, end = {}, {}, time.monotonic() + limit
    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, limit)
    keys = [(case, gather) for case in cases for gather in bench.gathers(case)]
    for number, (case, gather) in enumerate(keys):
        key = f"{case} {gather}"
        try:
            if time.monotonic() > end:
                raise Late()
            call = bench.call(case, gather)
            bench.seconds_of(call, 3)
            built[key] = (call, bench.seconds_of(call, 1))
        except Late:
            skipped.update({f"{c} {g}": "no time left to build it" for c, g in keys[number:]})
            break
        except Exception as error:  # whatever a compiler throws
            lines = str(error).strip().splitlines()
            skipped[key] = f"{type(error).__name__}: {lines[0][:200] if lines else ''}"
    signal.setitimer(signal.ITIMER_REAL, 0)
    return built, skipped


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="+", help="names as `sinew bench --list` prints them")
    parser.add_argument("--device", default="cuda", help="cuda or cpu (cuda)")
    parser.add_argument("--mode", choices=("eager", "default", "reduce-overhead"), default="eager",
                        help="of torch.compile (eager: off)")
    parser.add_argument("--limit", type=float, default=120, help="seconds to build cases in (120)")
    parser.add_argument("--seconds", type=float, default=0.05, help="of a case and round (0.05)")
    parser.add_argument("--quick", action="store_true", help="the sizes of sinew bench --quick")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    out, sys.stdout = sys.stdout, sys.stderr  # what a compiler prints is no answer
    torch.manual_seed(0)
    bench = Bench(arguments)
    built, skipped = build(bench, arguments.cases, arguments.limit)
    on_gpu = bench.device.type == "cuda"
    answer = {"ready": True, "torch": torch.__version__, "cuda": torch.version.cuda,
              "gpu": torch.cuda.get_device_name() if on_gpu else None, "skipped": skipped}
    print(json.dumps(answer), file=out, flush=True)
    for _ in sys.stdin:
        times = {}
        for key, (call, once) in built.items():
            calls = max(1, int(arguments.seconds / once))
            times[key] = 1000 * bench.seconds_of(call, calls)
        print(json.dumps(times), file=out, flush=True)


if __name__ == "__main__":
    main()
