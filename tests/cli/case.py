"""What the tests of the program share: calls of it, and files in its formats.

A test module runs alone with the program's path in the environment variable SINEW:

    SINEW=build/sinew python3 tests/cli/predict_test.py
"""
import collections
import json
import os
import re
import shutil
import struct
import subprocess
import tempfile
import unittest

PROGRAM = os.path.abspath(os.environ.get("SINEW", "build/sinew"))
GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden")
GOLDEN_CASES = ("wrap_local_psann", "hash_phase_layer", "mixed_relu_psann")

# A build for GPUs computes on the CPU in these tests, where a test does not ask for another device.
BUILD = json.loads(subprocess.run([PROGRAM, "info", "--json", "--device", "cpu"], check=True,
                                  capture_output=True).stdout)["cuda_build"]
ON_CPU = ["--device", "cpu"] if BUILD not in (None, "emulated") else []

with open(PROGRAM, "rb") as _program:
    SANITIZED = b"__asan_init" in _program.read()  # slower, and hungry for address space

COMMANDS = ("train", "predict", "evaluate", "params", "info", "bench", "compare", "micro",
            "sweep")

Result = collections.namedtuple("Result", "status out err")

# NPY type -> struct code; safetensors type -> struct code.
NPY = {"<f2": "e", "<f4": "f", "<f8": "d", "|b1": "?", "|i1": "b", "|u1": "B", "<i2": "h",
       "<u2": "H", "<i4": "i", "<u4": "I", "<i8": "q", "<u8": "Q"}
SAFETENSORS = {"F64": "d", "F32": "f", "F16": "e", "I64": "q", "I32": "i", "U8": "B", "BOOL": "?"}


def volatile_fields():
    """Fields of `train` that may differ between two runs of the same settings: docs/results.md."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "results.md")
    with open(path, encoding="utf-8") as f:
        table = f.read().split("<!-- volatile -->")[1].split("\n## ")[0]
    row = next(line for line in table.splitlines() if line.startswith("| `train`"))
    return re.findall(r"`(\w+)`", row.split("|")[2])


def size_of(shape):
    size = 1
    for n in shape:
        size *= n
    return size


def npy_header(descr, shape, order=False):
    text = "{'descr': '%s', 'fortran_order': %s, 'shape': (%s), }" % (
        descr, order, "".join(f"{n}," for n in shape))
    text += " " * (-(10 + len(text) + 1) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def npy(values, shape=None, descr="<f4"):
    shape = (len(values),) if shape is None else shape
    return npy_header(descr, shape) + struct.pack(f"<{len(values)}{NPY[descr]}", *values)


def read_npy(path):
    """(type, shape, flat list of values)"""
    with open(path, "rb") as f:
        data = f.read()
    assert data[:8] == b"\x93NUMPY\x01\x00", data[:8]
    (length,) = struct.unpack("<H", data[8:10])
    header = eval(data[10:10 + length].decode(), {})  # a literal of our own program
    values = struct.unpack(f"<{size_of(header['shape'])}{NPY[header['descr']]}", data[10 + length:])
    return header["descr"], header["shape"], list(values)


def idx(values, shape, code=8):
    kind = {8: "B", 9: "b", 11: "h", 12: "i", 13: "f", 14: "d"}[code]
    return (bytes([0, 0, code, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)
            + struct.pack(f">{len(values)}{kind}", *values))


def safetensors(tensors):
    """{name: (type, shape, values)} -> bytes"""
    header, data = {}, b""
    for name, (kind, shape, values) in tensors.items():
        packed = struct.pack(f"<{len(values)}{SAFETENSORS[kind]}", *values)
        header[name] = {"dtype": kind, "shape": list(shape),
                        "data_offsets": [len(data), len(data) + len(packed)]}
        data += packed
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def read_safetensors(path):
    with open(path, "rb") as f:
        data = f.read()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    header.pop("__metadata__", None)
    out = {}
    for name, t in header.items():
        begin, end = (8 + length + o for o in t["data_offsets"])
        code = f"<{size_of(t['shape'])}{SAFETENSORS[t['dtype']]}"
        out[name] = (t["dtype"], t["shape"], list(struct.unpack(code, data[begin:end])))
    return out


def linear_config(inputs, outputs=1):
    return {"shape": [1, inputs], "output_dim": outputs, "depth": 1, "k": 1, "norm": "none",
            "activation_type": "relu"}


def linear_weights(weight, bias):
    """A geo_sparse network whose block does nothing (alpha 0): y = weight x + bias."""
    outputs, n = len(weight), len(weight[0])
    layer = lambda name: {
        f"blocks.0.{name}.weight": ("F32", (n, 1), [1.0] * n),
        f"blocks.0.{name}.bias": ("F32", (n,), [0.0] * n),
        f"blocks.0.{name}.in_index_per_out": ("I64", (n, 1), list(range(n))),
        f"blocks.0.{name}.src_index": ("I64", (n,), list(range(n))),
        f"blocks.0.{name}.dst_index": ("I64", (n,), list(range(n)))}
    return {"blocks.0.alpha": ("F32", (1,), [0.0]), **layer("fc1"), **layer("fc2"),
            "head.weight": ("F32", (outputs, n), [v for row in weight for v in row]),
            "head.bias": ("F32", (outputs,), list(bias))}


class CliCase(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="sinew-cli-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, content):
        """Writes bytes, text or anything else as JSON; returns the name."""
        if not isinstance(content, (bytes, str)):
            content = json.dumps(content)
        data = content if isinstance(content, bytes) else content.encode()
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "wb") as f:
            f.write(data)
        return name

    def read(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()

    def write_model(self, name, weight, bias, **extra):
        """The folder of a linear model with `extra` members of its part "sinew"."""
        config = dict(linear_config(len(weight[0]), len(weight)), sinew=extra)
        self.write(f"{name}/config.json", config)
        self.write(f"{name}/model.safetensors", safetensors(linear_weights(weight, bias)))
        return name

    def run_program(self, *args, **options):
        words = [a if isinstance(a, bytes) else str(a) for a in args]
        if words and words[0] in COMMANDS and words[1:2] != ["merge"]:
            words[1:1] = ON_CPU
        done = subprocess.run([PROGRAM, *words], cwd=self.folder, timeout=120, check=False,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, **options)
        return Result(done.returncode, done.stdout.decode(), done.stderr.decode())

    def ok(self, *args, **options):
        """Runs the program, which must succeed without a word on stderr; returns its stdout."""
        done = self.run_program(*args, **options)
        self.assertEqual((done.status, done.err), (0, ""), args)
        return done.out

    def tree(self):
        found = {}
        for folder, dirs, names in os.walk(self.folder):
            for name in dirs + names:
                path = os.path.join(folder, name)
                status = os.lstat(path)
                content = None
                if os.path.isfile(path) and status.st_size < 1 << 24:
                    with open(path, "rb") as f:
                        content = f.read()
                found[path] = (status.st_mode, status.st_size, content)
        return found

    def assert_one_line_error(self, args, status=2, says="", **options):
        """Fails as the contract wants: status, one line on stderr, nothing else anywhere."""
        before = self.tree()
        done = self.run_program(*args, **options)
        self.assertEqual(done.status, status, (args, done))
        self.assertEqual(done.out, "", args)
        self.assertTrue(done.err.startswith(f"sinew {args[0]}: error: "), done.err)
        self.assertTrue(done.err.endswith("\n") and done.err.count("\n") == 1, done.err)
        self.assertIn(says, done.err)
        self.assertEqual(self.tree(), before, args)
