#!/usr/bin/env python3
"""PyTorch's worker for run.py and report.py: times of cases of `sinew bench` (bench_worker.py).

--mode eager and the modes of torch.compile run every case that PyTorch has; --mode csr runs the
forward pass of the sparse layer as a product with a torch.sparse_csr matrix. Forms: how a sparse
layer collects its inputs (index: x[:, table], or index_select); `+fused`: AdamW(fused=True), which
compiled steps always have; of csr, whether x is batch x features (rows) or features x batch.

--export FILE writes a small network's weights, data and losses, for `jax_bench.py --verify`.
"""

import sys

import numpy
import torch
from torch import nn
from torch.nn import functional as F

import geosparse_net as net
from bench_worker import DENSE, FEATURES, SPARSE, STEP, block, parser, serve, update_size

GATHERS = ("index", "index_select")
MODES = ("eager", "csr", "default", "reduce-overhead", "max-autotune-no-cudagraphs")
MODELS = {"geo_sparse": None, "dense_relu": "relu", "dense_resrelu": "relu",
          "dense_respsann": "psann"}


def make_model(name, shape, depth, k, gather):
    """The geo-sparse net, or a dense net of the width that matches its parameter count."""
    if name not in MODELS:
        raise ValueError(f"make_model: unknown model ({name})")
    n = shape[0] * shape[1]

    def geo():
        return net.GeoSparseNet(shape, 1, depth, k, seed=0, gather=gather)

    def dense(width):
        if name == "dense_relu":
            return net.dense_mlp(n, 1, depth, width)
        return net.dense_residual_net(n, 1, depth, width, MODELS[name])

    return geo() if name == "geo_sparse" else dense(
        net.match_width(dense, net.count_parameters(geo())))


class Bench:
    def __init__(self, arguments):
        self.mode, self.device = arguments.mode, torch.device(arguments.device)
        self.quick, self.parameters = arguments.quick, {}
        self.compiles = self.mode not in ("eager", "csr")
        torch._dynamo.config.recompile_limit = 1000  # else the ninth case would silently run eager

    def forms(self, case):
        """On a GPU, networks that take long to compile have one form only."""
        if self.mode == "csr":
            return ("rows", "columns")
        on_cpu = self.device.type == "cpu"
        fused = on_cpu and self.mode == "eager"
        if SPARSE.match(case):
            return GATHERS
        if case.startswith("step/geo_sparse"):
            gathers = GATHERS if on_cpu or self.mode == "eager" else GATHERS[:1]
            return gathers + (("index_select+fused",) if fused else ())
        if fused and (case.startswith("step/") or case == "op/adam_update"):
            return ("-", "+fused")
        return ("-",)

    def compiled(self, module):
        if not self.compiles:
            return module
        mode = None if self.mode == "default" else self.mode
        return torch.compile(module, mode=mode, dynamic=False)

    def begin(self):
        if self.mode == "reduce-overhead":
            torch.compiler.cudagraph_mark_step_begin()

    def wait(self, result):
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def call(self, case, form):
        """A function that runs the case once."""
        if match := SPARSE.match(case):
            height, width, k, batch = map(int, match.groups()[:4])
            n = height * width
            table = torch.randint(n, (n, k)) if match[5] else net.index_table((height, width), k)
            if self.mode == "csr":
                return self.product(net.GeoSparseLinear(table), batch, form)
            return self.passes(net.GeoSparseLinear(table, form), (batch, n), match[6])
        if match := DENSE.match(case):
            batch, inputs, outputs = map(int, match.groups()[:3])
            return self.passes(nn.Linear(inputs, outputs), (batch, inputs), match[4])
        if match := FEATURES.match(case):
            shape = block(self.quick)
            module = net.Sine(shape[1], {}) if match[1] == "sine" else net.RmsNorm(shape[1])
            return self.passes(module, shape, match[2])
        if case == "op/adam_update":
            return self.update(form)
        if match := STEP.match(case):
            return self.step(match, form)
        raise ValueError("not known here")

    def product(self, layer, batch, form):
        """y = x W^T + b with W in CSR; x and y keep their layout."""
        n, k = layer.weight.shape
        edges = torch.stack((layer.dst_index, layer.src_index))
        matrix = torch.sparse_coo_tensor(edges, layer.weight.detach().reshape(-1), (n, n))
        matrix = matrix.coalesce().to_sparse_csr()
        x, bias = torch.rand(batch, n), layer.bias.detach()
        columns = x.t().contiguous()

        def forward():
            with torch.no_grad():
                if form == "rows":
                    return (matrix @ x.t()).t() + bias
                return matrix @ columns + bias[:, None]

        y = forward() if form == "rows" else forward().t()
        torch.testing.assert_close(y, layer(x).detach())
        return forward

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

    def optimizer(self, parameters, form):
        fused = self.device.type == "cuda" or self.compiles or form.endswith("+fused")
        return torch.optim.AdamW(parameters, fused=True if fused else None)

    def update(self, form):
        if self.compiles:
            raise ValueError("fused already")
        p = torch.rand(update_size(self.quick), device=self.device, requires_grad=True)
        p.grad = torch.rand_like(p)
        return self.optimizer([p], form).step

    def step(self, match, form):
        model, shape = match[1], (int(match[2]), int(match[3]))
        depth, k, batch = map(int, match.groups()[3:])
        gather = form.split("+")[0]
        eager = make_model(model, shape, depth, k, gather if gather in GATHERS else "index")
        eager = eager.to(self.device)
        self.parameters[f"{match[0]} {form}"] = net.count_parameters(eager)
        run = self.compiled(eager)
        x = torch.rand((batch, shape[0] * shape[1]), device=self.device)
        t = torch.rand((batch, 1), device=self.device)
        optimizer = self.optimizer(eager.parameters(), form)

        def step():
            self.begin()
            optimizer.zero_grad()
            loss = F.mse_loss(run(x), t)
            loss.backward()
            optimizer.step()
            return loss

        return step


def export(path):
    """Initial weights, data, and the losses of ten steps in f64."""
    shape, depth, k, steps = (6, 5), 3, 8, 10
    torch.manual_seed(0)
    x, t = torch.randn(16, 30), torch.randn(16, 1)
    model = net.GeoSparseNet(shape, 1, depth, k, seed=0, residual_alpha_init=0.5)
    weights = {name: p.detach().numpy().copy() for name, p in model.named_parameters()}
    model.double()
    optimizer = torch.optim.AdamW(model.parameters())
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.mse_loss(model(x.double()), t.double())
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    numpy.savez(path, shape=shape, depth=depth, k=k, x=x.numpy(), t=t.numpy(), losses=losses,
                table=model.blocks[0].fc1.in_index_per_out.numpy(), **weights)


def parse_arguments():
    flags = parser(__doc__)
    flags.add_argument("--device", default="cuda", help="cuda or cpu (cuda)")
    flags.add_argument("--mode", choices=MODES, default="eager", help="(eager)")
    flags.add_argument("--threads", type=int, help="CPU threads (PyTorch's choice)")
    flags.add_argument("--export", metavar="FILE", help="only write FILE, a .npz")
    return flags.parse_args()


def main():
    arguments = parse_arguments()
    torch.manual_seed(0)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.export:
        export(arguments.export)
        return 0
    on_gpu = arguments.device.startswith("cuda")
    serve(Bench(arguments), arguments, {
        "torch": torch.__version__, "cuda": torch.version.cuda, "config": torch.__config__.show(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if on_gpu else None})
    return 0


if __name__ == "__main__":
    sys.exit(main())
