#!/usr/bin/env python3
"""JAX's worker for run.py: times of cases of `sinew bench` (bench_worker.py), and its check.

The networks of geosparse_net.py again, as functions of a dictionary of parameters with the same
names; a step (forward, loss, backward, AdamW) is one function under jax.jit whose parameters are
donated. Forms: how a sparse layer collects its inputs: index: x[:, table], or rows: x.T[table].

--verify FILE compares losses of training with those that `pytorch_bench.py --export FILE` wrote,
from the same weights, in f64 and in both forms: exit code 1 if one differs by more than 1e-12.
"""

import math
import sys

import jax
import numpy
from jax import numpy as jnp

from bench_worker import FEATURES, SPARSE, STEP, block, parser, serve, update_size

FORMS = ("index", "rows")
ALLOWED = 1e-12  # of the relative difference of losses


# ---- the networks -----------------------------------------------------------------------------

def local_table(shape, k):
    """(n, k): the cell's 3 x 3 window, clamped at the borders, in the order of its rows."""
    height, width = shape
    row, col = numpy.divmod(numpy.arange(height * width), width)
    cells = [numpy.clip(row + dr, 0, height - 1) * width + numpy.clip(col + dc, 0, width - 1)
             for dr in (-1, 0, 1) for dc in (-1, 0, 1)]
    return numpy.stack([cells[j % len(cells)] for j in range(k)], 1)


def geo_linear(x, weight, bias, table, form):
    if form == "rows":
        return (x.T[table] * weight[:, :, None]).sum(1).T + bias
    return (x[:, table] * weight).sum(-1) + bias


def rms_norm(x, scale):
    return x * scale / jnp.sqrt(jnp.square(x).mean(-1, keepdims=True) + 1e-6)


def sine(z, a, f, d):
    soft = jax.nn.softplus
    return soft(a) * jnp.exp(-soft(d) * jnp.abs(z)) * jnp.sin((soft(f) + 1e-6) * z)


def geo_net(p, x, table, depth, form):
    for i in range(depth):
        at = lambda name: p[f"blocks.{i}.{name}"]
        h = rms_norm(x, at("norm.scale"))
        h = geo_linear(h, at("fc1.weight"), at("fc1.bias"), table, form)
        h = sine(h, at("act._A"), at("act._f"), at("act._d"))
        h = geo_linear(h, at("fc2.weight"), at("fc2.bias"), table, form)
        x = x + at("alpha") * h
    return x @ p["head.weight"].T + p["head.bias"]


def dense_net(p, x, depth):
    for i in range(depth):
        x = jax.nn.relu(x @ p[f"{i}.weight"] + p[f"{i}.bias"])
    return x @ p["head.weight"].T + p["head.bias"]


def raw(value, n):
    """Parameters whose softplus is `value`."""
    return jnp.full((n,), math.log(math.expm1(value)), jnp.float32)


class Draws:
    """Uniform numbers in [-bound, bound)."""

    def __init__(self):
        self.generator = numpy.random.default_rng(0)

    def __call__(self, *shape, bound=1.0):
        return jnp.asarray(self.generator.uniform(-bound, bound, shape), jnp.float32)


def geo_parameters(draw, n, depth, k):
    p = {}
    for i in range(depth):
        block_of = {"alpha": jnp.zeros(1), "norm.scale": jnp.ones(n), "act._A": raw(1, n),
                    "act._f": raw(1, n), "act._d": raw(0.1, n)}
        for layer in ("fc1", "fc2"):
            block_of[f"{layer}.weight"] = draw(n, k, bound=1 / math.sqrt(k))
            block_of[f"{layer}.bias"] = draw(n, bound=1 / math.sqrt(k))
        p.update({f"blocks.{i}.{name}": value for name, value in block_of.items()})
    return p | head(draw, n)


def head(draw, n):
    return {"head.weight": draw(1, n, bound=1 / math.sqrt(n)),
            "head.bias": draw(1, bound=1 / math.sqrt(n))}


def dense_parameters(draw, n, depth, width):
    p = {}
    for i in range(depth):
        inputs = width if i else n
        p[f"{i}.weight"] = draw(inputs, width, bound=1 / math.sqrt(inputs))
        p[f"{i}.bias"] = draw(width, bound=1 / math.sqrt(inputs))
    return p | head(draw, width)


def matched_width(n, depth, target):
    """The width whose dense network has the number of parameters nearest to `target`."""
    count = lambda w: n * w + w + (depth - 1) * (w * w + w) + w + 1
    return min(range(1, 4097), key=lambda w: abs(count(w) - target))


def count(parameters):
    return sum(p.size for p in parameters.values())


# ---- training ---------------------------------------------------------------------------------

def adamw(p, g, m, v, t):
    """Step t (from 1) with PyTorch's default settings: parameters and both moments, new."""
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * g * g
    root = jnp.sqrt(v / (1 - 0.999 ** t)) + 1e-8
    return p * (1 - 1e-3 * 1e-2) - 1e-3 / (1 - 0.9 ** t) * m / root, m, v


def trainer(forward, parameters):
    """The state, and a compiled function from it, x and targets to the next one and the loss."""
    zeros = lambda: {name: jnp.zeros_like(p) for name, p in parameters.items()}

    def loss_of(p, x, t):
        return jnp.square(forward(p, x) - t).mean()

    def step(state, x, t):
        p, m, v, number = state
        loss, g = jax.value_and_grad(loss_of)(p, x, t)
        number = number + 1
        new = {name: adamw(p[name], g[name], m[name], v[name], number) for name in p}
        return (*({name: part[i] for name, part in new.items()} for i in range(3)), number), loss

    return (parameters, zeros(), zeros(), jnp.zeros(())), jax.jit(step, donate_argnums=0)


class Bench:
    def __init__(self, quick):
        self.quick, self.parameters, self.draw = quick, {}, Draws()

    def forms(self, case):
        return FORMS if SPARSE.match(case) or case.startswith("step/geo_sparse") else ("-",)

    def wait(self, result):
        """Every call waits itself: else independent ones could overlap."""

    def call(self, case, form):
        if (match := SPARSE.match(case)) and not match[5]:
            height, width, k, batch = map(int, match.groups()[:4])
            n, table = height * width, local_table((height, width), k)
            return self.passes(lambda x, w, b: geo_linear(x, w, b, table, form), match[6],
                               self.draw(batch, n), self.draw(n, k), self.draw(n))
        if match := FEATURES.match(case):
            rows, n = block(self.quick)
            x = self.draw(rows, n)
            if match[1] == "sine":
                return self.passes(sine, match[2], x, raw(1, n), raw(1, n), raw(0.1, n))
            return self.passes(rms_norm, match[2], x, jnp.ones(n))
        if case == "op/adam_update":
            return self.update(update_size(self.quick))
        if (match := STEP.match(case)) and match[1] in ("geo_sparse", "dense_relu"):
            return self.step(match, form)
        raise ValueError("not known here")

    def passes(self, function, kind, *inputs):
        if kind == "forward":
            compiled = jax.jit(function)
            return lambda: compiled(*inputs).block_until_ready()
        cotangent = self.draw(*inputs[0].shape)
        compiled = jax.jit(lambda dy, *xs: jax.vjp(function, *xs)[1](dy))
        return lambda: jax.block_until_ready(compiled(cotangent, *inputs))

    def update(self, n):
        compiled = jax.jit(adamw, donate_argnums=(0, 2, 3))
        g, state = self.draw(n), [self.draw(n), jnp.zeros(n), jnp.zeros(n)]

        def call():
            p, m, v = state
            state[:] = jax.block_until_ready(compiled(p, g, m, v, 2.0))

        return call

    def step(self, match, form):
        n, (depth, k, batch) = int(match[2]) * int(match[3]), map(int, match.groups()[3:])
        geo = geo_parameters(self.draw, n, depth, k)
        if match[1] == "geo_sparse":
            table, parameters = local_table((int(match[2]), int(match[3])), k), geo
            forward = lambda p, x: geo_net(p, x, table, depth, form)
        else:
            width = matched_width(n, depth, count(geo))
            parameters = dense_parameters(self.draw, n, depth, width)
            forward = lambda p, x: dense_net(p, x, depth)
        self.parameters[f"{match[0]} {form}"] = count(parameters)
        x, t = self.draw(batch, n), self.draw(batch, 1)
        state, step = trainer(forward, parameters)
        state = [state]

        def call():
            state[0], loss = step(state[0], x, t)
            jax.block_until_ready((state[0], loss))
            return loss

        return call


def verify(path):
    """In f64, so that nothing but the order of sums can differ."""
    jax.config.update("jax_enable_x64", True)
    case = dict(numpy.load(path))
    shape, depth, k, table, x, t, exact = (
        case.pop(name) for name in ("shape", "depth", "k", "table", "x", "t", "losses"))
    own = local_table(shape, int(k))
    same = numpy.array_equal(own, table)
    print(f"index table {same}")
    x, t = x.astype(numpy.float64), t.astype(numpy.float64)
    for form in FORMS:
        parameters = {name: jnp.asarray(p, jnp.float64) for name, p in case.items()}
        state, step = trainer(lambda p, x: geo_net(p, x, own, int(depth), form), parameters)
        losses = []
        for _ in exact:
            state, loss = step(state, x, t)
            losses.append(float(loss))
        off = numpy.abs(numpy.array(losses) / exact - 1).max()
        print(f"{form}: losses differ by {off:.1e} (allowed {ALLOWED:.0e})")
        same = same and bool(off <= ALLOWED)
    return 0 if same else 1


def main():
    flags = parser(__doc__)
    flags.add_argument("--verify", metavar="FILE", help="only compare with FILE")
    arguments = flags.parse_args()
    jax.config.update("jax_platforms", "cpu")
    if arguments.verify:
        return verify(arguments.verify)
    serve(Bench(arguments.quick), arguments, {"jax": jax.__version__})
    return 0


if __name__ == "__main__":
    sys.exit(main())
