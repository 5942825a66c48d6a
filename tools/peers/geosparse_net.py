"""The geo-sparse network and its dense rivals in plain PyTorch.

Gather form: a sparse layer collects its inputs into a (B, n, k) tensor, multiplies by the (n, k)
weights and sums over k, so the forward pass makes two temporaries of B*n*k numbers. Parameter
names, their order and the order of random draws are those of the reference network, so its saved
weights load as they are and the same global seed gives the same initial weights.

Left out, because the comparison needs none of it: drop path, bounds, frozen or random activation
parameters, tables without repeats or without the cell itself. An unknown key is an error.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

EPS = torch.finfo(torch.float32).eps
BLOCK_SEED_STEP = 9973
CONFIG_KEYS = {
    "amplitude_init", "amp_init", "frequency_init", "freq_init", "decay_init", "damp_init",
    "decay_mode", "phase_init", "slope_init", "clip_max",
    "activation_types", "activation_ratios", "mix_layout", "mix_seed",
}


# ---- connectivity -----------------------------------------------------------------------------

def candidates(row, col, shape, offsets, wrap_mode):
    """Input cells one output cell may read, in the order of the offsets, repeats kept."""
    height, width = shape
    cells = []
    for dr, dc in offsets:
        r, c = row + dr, col + dc
        if wrap_mode == "wrap":
            r, c = r % height, c % width
        else:
            r, c = min(max(r, 0), height - 1), min(max(c, 0), width - 1)
        cells.append(r * width + c)
    return cells


def index_table(shape, k, pattern="local", radius=1, offsets=None, wrap_mode="clamp", seed=None):
    """(n, k) int64 table: the k inputs of each of the n = H*W outputs."""
    if pattern not in ("local", "random", "hash"):
        raise ValueError(f"index_table: unknown pattern ({pattern})")
    if wrap_mode not in ("clamp", "wrap"):
        raise ValueError(f"index_table: unknown wrap mode ({wrap_mode})")
    span = range(-radius, radius + 1)
    offsets = offsets or [(dr, dc) for dr in span for dc in span]
    whole_table = None
    if pattern == "random" and seed is not None:
        whole_table = torch.Generator().manual_seed(seed)
    rows = []
    for out in range(shape[0] * shape[1]):
        cells = candidates(out // shape[1], out % shape[1], shape, offsets, wrap_mode)
        if pattern == "local":
            rows.append([cells[j % len(cells)] for j in range(k)])
            continue
        generator = whole_table
        if pattern == "hash":
            generator = torch.Generator().manual_seed((seed or 0) + (out + 1) * 1000003)
        picks = torch.randint(len(cells), (k,), generator=generator).tolist()
        rows.append([cells[j] for j in picks])
    return torch.tensor(rows, dtype=torch.int64)


# ---- layers -----------------------------------------------------------------------------------

class GeoSparseLinear(nn.Module):
    """y[b, o] = bias[o] + sum_j weight[o, j] * x[b, table[o, j]]

    `gather` is how x is collected: "index" (x[:, table]) or "index_select". Same numbers; the
    backward pass of index_select is faster on the CPU.
    """

    def __init__(self, table, gather="index"):
        super().__init__()
        self.gather = gather
        n, k = table.shape
        self.weight = nn.Parameter(torch.empty(n, k))
        self.bias = nn.Parameter(torch.empty(n))
        self.register_buffer("in_index_per_out", table)
        # Saved reference weights hold these two as well.
        self.register_buffer("src_index", table.reshape(-1))
        self.register_buffer("dst_index", torch.arange(n).repeat_interleave(k))
        bound = 1 / math.sqrt(k)
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, x):
        if self.gather == "index":
            gathered = x[:, self.in_index_per_out]
        else:
            gathered = x.index_select(1, self.src_index).view(len(x), *self.weight.shape)
        return (gathered * self.weight).sum(-1) + self.bias


class RmsNorm(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(n))

    def forward(self, x):
        return x * self.scale / torch.sqrt(x.square().mean(-1, keepdim=True) + 1e-6)


def make_norm(name, n):
    makers = {"rms": RmsNorm, "layer": nn.LayerNorm, "none": lambda n: nn.Identity()}
    if name not in makers:
        raise ValueError(f"make_norm: unknown norm ({name})")
    return makers[name](n)


# ---- activations ------------------------------------------------------------------------------

def raw_parameter(value, n):
    """Parameter whose softplus is `value`."""
    value = torch.full((n,), float(value)).clamp_min(EPS)
    return nn.Parameter(torch.log(torch.expm1(value).clamp_min(EPS)))


class Sine(nn.Module):
    """y = A exp(-d g(z)) sin(f z), with g = |z|, max(z, 0) or 0"""

    def __init__(self, n, config):
        super().__init__()
        amplitude = config.get("amplitude_init", config.get("amp_init", 1.0))
        frequency = config.get("frequency_init", config.get("freq_init", 1.0))
        decay = config.get("decay_init", config.get("damp_init", 0.1))
        self._A = raw_parameter(amplitude, n)
        self._f = raw_parameter(frequency, n)
        self._d = raw_parameter(decay, n)
        self.envelope = {"abs": torch.abs, "relu": torch.relu, "none": torch.zeros_like}[
            config.get("decay_mode", "abs")]

    def angle(self, z):
        return (F.softplus(self._f) + 1e-6) * z

    def forward(self, z):
        amplitude, decay = F.softplus(self._A), F.softplus(self._d)
        return amplitude * torch.exp(-decay * self.envelope(z)) * torch.sin(self.angle(z))


class PhaseSine(Sine):
    """y = A exp(-d g(z)) sin(f z + phi)"""

    def __init__(self, n, config):
        super().__init__(n, config)
        self._phi = nn.Parameter(torch.full((n,), float(config.get("phase_init", 0.0))))

    def angle(self, z):
        return super().angle(z) + self._phi


class ReluSigmoidSine(nn.Module):
    """y = clamp(u sigma(u + P), 0, clip) with p = max(z, 0), u = s p, P = Sine(p)"""

    def __init__(self, n, config):
        super().__init__()
        self._slope = raw_parameter(config.get("slope_init", 1.0), n)
        self.psann = Sine(n, config)
        self.clip_max = config.get("clip_max", 1.0)

    def forward(self, z):
        p = torch.relu(z)
        u = (F.softplus(self._slope) + 1e-6) * p
        return (u * torch.sigmoid(u + self.psann(p))).clamp(0, self.clip_max)


def mixed_counts(ratios, n):
    """Features per type: the floor of ratio * n, left-overs by largest remainder."""
    shares = [ratio / sum(ratios) * n for ratio in ratios]
    counts = [math.floor(share) for share in shares]
    order = sorted(range(len(shares)), key=lambda i: counts[i] - shares[i])
    for i in order[:n - sum(counts)]:
        counts[i] += 1
    return counts


class Mixed(nn.Module):
    """A fixed partition of the features, one activation for each part."""

    def __init__(self, n, config, seed):
        super().__init__()
        types = config["activation_types"]
        counts = mixed_counts(config.get("activation_ratios") or [1 / len(types)] * len(types), n)
        seed = config.get("mix_seed", seed)
        if config.get("mix_layout", "random") == "contiguous":
            order = torch.arange(n)
        else:
            generator = torch.Generator()
            if seed is not None:
                generator.manual_seed(seed)
            order = torch.randperm(n, generator=generator)
        self.acts = nn.ModuleDict()
        for name, count, features in zip(types, counts, order.split(counts)):
            if count > 0:
                self.acts[name] = nn.GELU() if name == "gelu" else make_activation(
                    name, count, config, seed)
                self.register_buffer(f"features_{name}", features, persistent=False)

    def forward(self, z):
        y = torch.empty_like(z)
        for name, act in self.acts.items():
            features = getattr(self, f"features_{name}")
            y[:, features] = act(z[:, features])
        return y


def make_activation(name, n, config=None, seed=None):
    config = config or {}
    unknown = set(config) - CONFIG_KEYS
    if unknown:
        raise ValueError(f"make_activation: unsupported keys ({', '.join(sorted(unknown))})")
    if name == "mixed":
        return Mixed(n, config, seed)
    makers = {"psann": Sine, "phase_psann": PhaseSine, "relu_sigmoid_psann": ReluSigmoidSine,
              "relu": lambda n, config: nn.ReLU(), "tanh": lambda n, config: nn.Tanh()}
    if name not in makers:
        raise ValueError(f"make_activation: unknown activation ({name})")
    return makers[name](n, config)


# ---- networks ---------------------------------------------------------------------------------

class ResidualBlock(nn.Module):
    """y = x + alpha * fc2(act(fc1(norm(x))))"""

    def __init__(self, norm, fc1, act, fc2, alpha):
        super().__init__()
        self.alpha = nn.Parameter(torch.full((1,), float(alpha)))
        self.norm, self.fc1, self.act, self.fc2 = norm, fc1, act, fc2

    def forward(self, x):
        return x + self.alpha * self.fc2(self.act(self.fc1(self.norm(x))))


class GeoSparseNet(nn.Module):
    """D residual blocks of sparse layers on an H x W grid, then a dense head."""

    def __init__(self, shape, output_dim, depth=4, k=8, pattern="local", radius=1, offsets=None,
                 wrap_mode="clamp", activation_type="psann", activation_config=None, norm="rms",
                 residual_alpha_init=0.0, seed=None, gather="index"):
        super().__init__()
        n = shape[0] * shape[1]
        self.blocks = nn.ModuleList()
        for i in range(depth):
            block_seed = None if seed is None else seed + BLOCK_SEED_STEP * i
            table = index_table(shape, k, pattern, radius, offsets, wrap_mode, block_seed)
            self.blocks.append(ResidualBlock(
                make_norm(norm, n), GeoSparseLinear(table, gather),
                make_activation(activation_type, n, activation_config, block_seed),
                GeoSparseLinear(table, gather), residual_alpha_init))
        self.head = nn.Linear(n, output_dim)

    def forward(self, x):
        x = x.flatten(1)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def dense_mlp(inputs, outputs, depth, width):
    """`depth` times dense layer and ReLU, then a dense head."""
    layers = []
    for i in range(depth):
        layers += [nn.Linear(width if i else inputs, width), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, outputs))


def dense_residual_net(inputs, outputs, depth, width, activation):
    """Dense n -> w, `depth` residual blocks of dense w -> w layers (RMS norm), dense head."""
    layers = [nn.Linear(inputs, width)]
    for _ in range(depth):
        layers.append(ResidualBlock(
            RmsNorm(width), nn.Linear(width, width), make_activation(activation, width),
            nn.Linear(width, width), 0.0))
    return nn.Sequential(*layers, nn.Linear(width, outputs))


def count_parameters(model):
    return sum(p.numel() for p in model.parameters())


def match_width(make, target, max_width=4096):
    """The width whose network has the number of parameters nearest to `target`.

    The count grows with the width, so bisect on networks without storage.
    """
    def count(width):
        with torch.device("meta"):
            return count_parameters(make(width))

    low, high = 1, max_width
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if count(middle) < target else (low, middle)
    return min((w for w in (low - 1, low) if w > 0), key=lambda w: abs(count(w) - target))
