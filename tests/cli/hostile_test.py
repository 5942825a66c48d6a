#!/usr/bin/env python3
"""Hostile and broken input: one line on stderr, exit status 2, no output, nothing changed. And
disks that fail: exit status 1, one line, the earlier file whole, no temporary left."""
import gzip
import json
import os
import resource
import struct
import subprocess
import unittest

from case import (CliCase, GOLDEN, idx, linear_config, linear_weights, npy, npy_header, read_npy,
                  safetensors)


def framed(header, data=b""):
    """A safetensors file of any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor(shape, begin, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


GOOD = safetensors(linear_weights([[1.0, 2.0]], [0.0]))
SAFETENSORS = [
    ("empty", b"", "shorter than 8 bytes (0)"),
    ("seven bytes", b"\0" * 7, "shorter than 8 bytes (7)"),
    ("cut in the header", GOOD[:40], "header"),
    ("cut in the data", GOOD[:-1], ""),
    ("a byte too many", GOOD + b"\0", ""),
    ("huge header length", struct.pack("<Q", 1 << 62) + b"{}", "header"),
    ("largest header length", struct.pack("<Q", (1 << 64) - 1) + b"{}", "header"),
    ("header of 200 MB announced", struct.pack("<Q", 200000000) + b"{}", "header"),
    ("no JSON", framed(b"{1, 2"), ""),
    ("no object", framed(b"[]"), ""),
    ("no UTF-8", framed(b'{"\xff\xfe": 1}'), ""),
    ("nested lists", framed(b"[" * 400000 + b"]" * 400000), "does not start with {"),
    ("nested lists below", framed(b'{"a":' + b"[" * 400000 + b"]" * 400000 + b"}"), ""),
    ("nested objects", framed(b'{"a":' * 400000 + b"1" + b"}" * 400000), "unknown key 'a'"),
    ("offsets beyond the file", framed({"a": tensor([4], 0, 16)}, b"\0" * 8), ""),
    ("offsets backwards", framed({"a": tensor([1], 8, 4)}, b"\0" * 8), ""),
    ("offsets negative", framed({"a": tensor([1], -4, 0)}, b"\0" * 4), ""),
    ("offsets beyond 64 bits", framed({"a": tensor([1], 0, 1 << 70)}, b"\0" * 4), ""),
    ("offsets overlap", framed({"a": tensor([1], 0, 4), "b": tensor([1], 0, 4)}, b"\0" * 4), ""),
    ("a gap", framed({"a": tensor([1], 4, 8)}, b"\0" * 8), ""),
    ("three offsets", framed({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 8]}},
                             b"\0" * 8), ""),
    ("negative size", framed({"a": tensor([-1], 0, 4)}, b"\0" * 4), ""),
    ("fractional size", framed({"a": tensor([1.5], 0, 6)}, b"\0" * 6), ""),
    ("shape overflows", framed({"a": tensor([1 << 62, 4], 0, 0)}), ""),
    ("shape overflows to 1", framed({"a": tensor([1 << 32, 1 << 32], 0, 4)}, b"\0" * 4), ""),
    ("rank 9", framed({"a": tensor([1] * 9, 0, 4)}, b"\0" * 4), ""),
    ("shape of another size", framed({"a": tensor([2], 0, 4)}, b"\0" * 4), ""),
    ("unknown type", framed({"a": tensor([1], 0, 4, "C64")}, b"\0" * 4), "C64"),
    ("no type", framed({"a": {"shape": [1], "data_offsets": [0, 4]}}, b"\0" * 4), ""),
    ("no shape", framed({"a": {"dtype": "F32", "data_offsets": [0, 4]}}, b"\0" * 4), ""),
    ("no tensors", framed({}), "parameters"),
    ("no number of tensors", framed({"a": 1}), ""),
]


def changed(**tensors):
    """The good weights with some tensors replaced, or left out if None."""
    weights = linear_weights([[1.0, 2.0]], [0.0])
    for name, value in tensors.items():
        name = name.replace("__", ".")
        weights.pop(name)
        if value is not None:
            weights[name] = value
    return safetensors(weights)


WEIGHTS = [
    ("a tensor missing", changed(head__bias=None), "head.bias"),
    ("another shape", changed(head__bias=("F32", (2,), [0.0, 0.0])), "head.bias"),
    ("another rank", changed(head__weight=("F32", (2,), [0.0, 0.0])), "head.weight"),
    ("a table out of range",
     changed(blocks__0__fc1__in_index_per_out=("I64", (2, 1), [0, 2])), "fc1"),
    ("a negative entry",
     changed(blocks__0__fc2__in_index_per_out=("I64", (2, 1), [0, -1])), "fc2"),
    ("an entry beyond 32 bits",
     changed(blocks__0__fc1__in_index_per_out=("I64", (2, 1), [0, 1 << 40])), ""),
    ("a table of floats",
     changed(blocks__0__fc1__in_index_per_out=("F32", (2, 1), [0.0, 1.0])), "fc1"),
    ("edges that are not the table's",
     changed(blocks__0__fc1__src_index=("I64", (2,), [1, 1])), "fc1"),
    ("a table of another shape",
     changed(blocks__0__fc1__in_index_per_out=("I64", (1, 1), [0])), "fc1"),
]

X = npy([1.0, 2.0], (1, 2))
INPUTS = [
    ("x.npy", b"", "not an NPY file"),
    ("x.npy", X[:5], "not an NPY file"),
    ("x.npy", X[:30], "file ends in the header"),
    ("x.npy", X[:-1], "data has 7 bytes, shape [1, 2] needs 8"),
    ("x.npy", X + b"\0", "data has 9 bytes, shape [1, 2] needs 8"),
    ("x.npy", b"\x93NUMPZ" + X[6:], "not an NPY file"),
    ("x.npy", X[:6] + b"\x09" + X[7:], "unknown version (9)"),
    ("x.npy", npy_header("<f4", (1 << 40, 2)) + b"\0" * 8, "needs 8796093022208"),
    ("x.npy", npy_header("<f4", (1 << 62, 4)), "too many elements"),
    ("x.npy", npy_header("<f4", (1 << 32, 1 << 32)) + b"\0" * 4, ""),
    ("x.npy", npy_header("<f4", ("-1", 2)), "negative size"),
    ("x.npy", npy_header("<f4", ("9" * 30, 2)), "too large"),
    ("x.npy", npy_header("<f4", (1,) * 9) + b"\0" * 4, "rank is above 8"),
    ("x.npy", npy_header("|O", (1, 2)) + b"\0" * 16, "element type is not supported ('|O')"),
    ("x.npy", npy_header("<c8", (1, 2)) + b"\0" * 16, "element type is not supported ('<c8')"),
    ("x.npy", npy_header("<c16", (1, 2)) + b"\0" * 32, "element type is not supported ('<c16')"),
    ("x.npy", npy_header("<U4", (1, 2)) + b"\0" * 32, "element type is not supported ('<U4')"),
    ("x.npy", npy_header("|S4", (1, 2)) + b"\0" * 8, "element type is not supported ('|S4')"),
    ("x.npy", npy_header("<M8[s]", (1, 2)) + b"\0" * 16, "element type is not supported"),
    ("x.npy", npy_header(">f4", (1, 2)) + b"\0" * 8, "byte order is not little-endian ('>f4')"),
    ("x.npy", npy_header(">i8", (1, 2)) + b"\0" * 16, "byte order is not little-endian ('>i8')"),
    ("x.npy", npy_header("=f4", (1, 2)) + b"\0" * 8, "byte order is not little-endian"),
    ("x.npy", npy_header("', 'x': '", (1, 2)) + b"\0" * 8, "header"),
    ("x.npy", npy([float("nan"), 0], (1, 2)), "row 1, column 1 is not finite (nan)"),
    ("x.csv", "1,2\n3\n", "line 2, column 1: the row ends here, the first has 2"),
    ("x.csv", "1,2\n3,4,5\n", "line 2, column 3: the first row has 2 cells only"),
    ("x.csv", "a,b\n1,2\n\n3,4\n", "line 3, column 1 (a): empty cell"),
    ("x.csv", "a,b\n1,two\n", "line 2, column 2 (b): not a number ('two')"),
    ("x.csv", "1,\n", "line 1, column 2: empty cell"),
    ("x.csv", "1,2\n3,1e999\n", "line 2, column 2: number out of range"),
    ("x.csv", 'a,"b\n1,2\n', "a quote is not closed"),
    ("x.csv", "1,2\n3,0x10\n", "not a number ('0x10')"),
    ("x.csv", b"1,2\n\0,\0\n", "not a number ('\\x00')"),
    ("x.csv", b"a,b\n1,\x1b[2J\xff\n", "not a number ('\\x1b[2J\\xff')"),
    ("x.idx", idx([1, 2], (1, 3)), "data has 2 bytes, shape [1, 3] needs 3"),
    ("x.idx", idx([1, 2], (1, 1)), "data has 2 bytes, shape [1, 1] needs 1"),
    ("x.idx", idx([], (0xffffffff,) * 4), "too many elements"),
    ("x.idx", idx([1, 2], (0xffffffff, 2)), "needs 8589934590"),
    ("x.idx", idx([1, 2], (1, 2))[:9], "file ends in the header"),
    ("x.idx", b"\0\0\x0a\2" + b"\0\0\0\1" * 2 + b"\1", "unknown element type (10)"),
    ("x.idx", b"\0\0\x08\0", "rank outside 1 to 8 (0)"),
    ("x.idx", b"\0\1\x08\2", "not an IDX file"),
    ("x.npy.gz", gzip.compress(X)[:-3], "gzip"),
    ("x.npy.gz", gzip.compress(X)[:20], "gzip"),
    ("x.npy.gz", gzip.compress(X)[:12] + b"\xff" * 30, "gzip"),
    ("x.npy.gz", gzip.compress(X) + b"rest", "gzip"),
    ("x.npy.gz", b"\x1f\x8b", "gzip"),
]

# Keys of a geo_sparse configuration with values of a wrong type and out of range.
CONFIG = {
    "model": [3, "cnn", ["mlp"]], "input_dim": ["2", -2, 1.5, 3, 1 << 31, 1e300],
    "output_dim": [0, -1, "1", [1], 1 << 40, True], "depth": [0, -1, "4", 1.5, {}, 1 << 31],
    "shape": [[2], [1, 2, 1], [0, 2], [-1, -2], "1", "x", 2, [1.5, 2], [1 << 31, 1],
              {}, [[1], 2]],
    "k": [0, -1, "8", 1 << 30, 1e10, [8]], "pattern": ["ring", 1, []],
    "radius": [-1, "big", 1.5, []], "offsets": [[], [[1]], [[1, 2, 3]], "x", 3, [[0, "a"]], {}],
    "wrap_mode": ["mirror", 0], "activation_type": ["swish", 1, "gelu"],
    "activation_config": [3, "x", [], {"unknown": 1}, {"clip_max": 0}, {"learnable": "b"},
                          {"decay_mode": "cube"}, {"bounds": {"a": 1}},
                          {"bounds": {"decay": [2, 1]}}],
    "norm": ["batch", 1], "drop_path_max": [1, -0.1, "0", 2], "residual_alpha_init": ["x", []],
    "bias": [1, "true"], "compute_mode": ["both", 1], "seed": [1.5, "1", [], 1e30],
    "include_self": [0, "no"], "allow_repeats": [1, "yes"], "offset_order": ["near", 0],
    "distinct": [1, "on"], "dilation": [0, -1, "1", 1 << 40], "hidden_dim": [3]}


class Hostile(CliCase):
    def setUp(self):
        super().setUp()
        self.write_model("run", [[1.0, 2.0]], [0.0])
        self.write("x.npy", X)
        self.write("c.json", linear_config(2))

    def predict(self, *args):
        return ["predict", *args, "--output", "y.npy"]

    def test_files_that_are_not_there_or_no_files(self):
        os.mkfifo(self.path("pipe"))
        for name, says in (("none", "none: cannot be read (No such file or directory)"),
                           ("run", "run: is a folder"), ("x.npy/y", "x.npy/y: cannot be read"),
                           ("a" * 5000, "cannot be read"), ("", "cannot be read")):
            for args in (("--model", "run", "--input", name),
                         ("--config", name, "--weights", "run/model.safetensors", "--input",
                          "x.npy"),
                         ("--config", "c.json", "--weights", name, "--input", "x.npy")):
                with self.subTest(args=args):
                    self.assert_one_line_error(self.predict(*args))
            self.assert_one_line_error(self.predict("--model", "run", "--input", name),
                                       says=says if name else "")

    def test_safetensors(self):
        for what, content, says in SAFETENSORS + WEIGHTS:
            self.write("w.safetensors", content)
            with self.subTest(what):
                self.assert_one_line_error(self.predict("--config", "c.json", "--weights",
                                                        "w.safetensors", "--input", "x.npy"),
                                           says="w.safetensors: ")
                self.assert_one_line_error(self.predict("--config", "c.json", "--weights",
                                                        "w.safetensors", "--input", "x.npy"),
                                           says=says)
                self.write("run/model.safetensors", content)
                self.assert_one_line_error(self.predict("--model", "run", "--input", "x.npy"),
                                           says="run/model.safetensors: ")

    def test_weights_of_another_network(self):
        self.assert_one_line_error(self.predict("--config", "c.json", "--weights",
                                                f"{GOLDEN}/wrap_local_psann/init.safetensors",
                                                "--input", "x.npy"),
                                   says="init.safetensors: ")
        self.write("big.json", dict(linear_config(2), depth=100000000))
        self.assert_one_line_error(self.predict("--config", "big.json", "--weights",
                                                "run/model.safetensors", "--input", "x.npy"),
                                   says="parameters")

    def test_inputs(self):
        for name, content, says in INPUTS:
            self.write(name, content)
            with self.subTest(says, content=content[:80]):
                self.assert_one_line_error(self.predict("--model", "run", "--input", name),
                                           says=name + ": ")
                self.assert_one_line_error(self.predict("--model", "run", "--input", name),
                                           says=says)
                # The same as X and T of evaluate and train.
                for args in (("evaluate", "--model", "run", "--data", name, "--target", "x.npy"),
                             ("evaluate", "--model", "run", "--data", "x.npy", "--target", name),
                             ("train", "--data", name, "--target", "x.npy", "--out", "new"),
                             ("train", "--data", "x.npy", "--target", name, "--out", "new")):
                    self.assert_one_line_error(list(args), says=name if name != "x.npy" else "")
            self.write("x.npy", X)

    def test_a_gzip_bomb(self):
        self.write("x.npy.gz", gzip.compress(npy_header("<f4", (1, 2)) + bytes(1 << 26)))
        self.assert_one_line_error(self.predict("--model", "run", "--input", "x.npy.gz"),
                                   says="data has 67108864 bytes")

    def test_configurations(self):
        good = linear_config(2)
        for key, values in CONFIG.items():
            for value in values:
                self.write("c.json", {**good, key: value})
                with self.subTest(key, value=value):
                    for args in (["params", "--config", "c.json"],
                                 self.predict("--config", "c.json", "--weights",
                                              "run/model.safetensors", "--input", "x.npy")):
                        self.assert_one_line_error(args, says=key.split("_")[0].rstrip("s"))

    def test_unknown_keys_name_the_nearest(self):
        for key in linear_config(2):
            self.write("c.json", {**linear_config(2), key + "x": 1})
            self.assert_one_line_error(["params", "--config", "c.json"],
                                       says=f"unknown key ({key}x; nearest is {key})")

    def test_what_is_no_configuration(self):
        self.write("big.json", '{"shape": [1, 2], "sinew": "' + "a" * (64 << 20) + '"}')
        for text, says in ((b"", "JSON"), (b"{", "JSON"), (b"[]", "needs a JSON object"),
                           (b"null", "needs a JSON object"), (b"3", "needs a JSON object"),
                           (b'{"shape": [1, 2]} x', "JSON"), (b'{"k": NaN}', "JSON"),
                           (b'{"k": \xff}', "JSON"), (b'{"\xff": 1}', "JSON"), (b"\0", "JSON"),
                           (b"[" * 400000 + b"]" * 400000, "deeper than 64 levels"),
                           (b'{"a":' * 400000 + b"1" + b"}" * 400000, "deeper than 64 levels"),
                           (b'{"sinew":' + b"[" * 65 + b"]" * 65 + b"}", "deeper than 64 levels"),
                           (b'{"k": 123456789012345678901234567890}', "k needs a whole number"),
                           (b'{"shape": [65536, 65536]}', "H * W is 2^31 or more")):
            self.write("c.json", text)
            with self.subTest(text[:60]):
                self.assert_one_line_error(["params", "--config", "c.json"], says=says)
        self.assert_one_line_error(["params", "--config", "big.json"],
                                   says="big.json: network: JSON is larger than 64 MiB")

    def test_model_folders(self):
        for extra in (3, [], {"loss": "hinge"}, {"loss": 3}, {"unknown": 1}, {"classes": [1]},
                      {"loss": "cross_entropy"}, {"loss": "cross_entropy", "classes": ["a"]},
                      {"x_scaler": 1}, {"x_scaler": {"shift": [0, 0]}},
                      {"x_scaler": {"shift": [0, 0], "scale": [1, 0]}},
                      {"x_scaler": {"shift": [0, 0], "scale": [1]}},
                      {"y_scaler": {"shift": ["a"], "scale": [1]}},
                      {"inputs": "a"}, {"inputs": [1]}, {"targets": {}},
                      {"mixed_index_sets": []}, {"mixed_index_sets": {"a": [1]}}):
            self.write("run/config.json", dict(linear_config(2), sinew=extra))
            with self.subTest(extra):
                self.assert_one_line_error(self.predict("--model", "run", "--input", "x.npy"),
                                           says="run/config.json: ")


class Outputs(CliCase):
    def setUp(self):
        super().setUp()
        self.write_model("run", [[1.0, 2.0]], [0.0])
        self.write("x.npy", npy([1.0, 2.0] * 5000, (5000, 2)))

    def predict(self, output):
        return ["predict", "--model", "run", "--input", "x.npy", "--output", output]

    def test_places_that_cannot_be_written(self):
        for output, says in (("run", "run: is a folder"), ("x.npy/y.npy", "x.npy/y.npy: "),
                             ("none/y.npy", "none/y.npy: its folder cannot be written"),
                             ("", "a file name is empty"), ("a" * 300, "File name too long")):
            with self.subTest(output):
                self.assert_one_line_error(self.predict(output), says=says)
        for out, says in (("x.npy", "x.npy"), ("x.npy/run", "x.npy/run")):
            self.assert_one_line_error(["train", "--data", "x.npy", "--target", "x.npy", "--out",
                                        out], says=says)

    def test_a_full_device(self):
        self.assert_one_line_error(self.predict("/dev/full"), 1,
                                   "/dev/full: writing failed (No space left on device)")

    def test_a_full_disk(self):
        mount = self.path("disk")
        os.mkdir(mount)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", mount], check=False,
                          stderr=subprocess.DEVNULL).returncode:
            self.skipTest("mount is not allowed here")
        self.addCleanup(subprocess.run, ["umount", mount], check=False)
        self.write("disk/y.npy", "old")
        self.assert_one_line_error(self.predict("disk/y.npy"), 1, "disk/y.npy: writing failed")

    def test_a_file_size_limit(self):
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
        for before in (None, b"the earlier file"):
            for name in ("y.npy", "y.csv"):
                if before:
                    self.write(name, before)
                self.assert_one_line_error(self.predict(name), 1,
                                           f"{name}: writing failed (File too large)",
                                           preexec_fn=limit)

    def test_a_target_behind_a_link_is_replaced(self):
        self.write("kept/y.npy", "old")
        os.symlink("kept/y.npy", self.path("y.npy"))
        self.ok(*self.predict("y.npy"))
        self.assertTrue(os.path.islink(self.path("y.npy")))
        self.assertEqual(read_npy(self.path("kept/y.npy"))[1], (5000, 1))


class EveryKey(CliCase):
    """Each key of a network's JSON misspelt, and with a value of a wrong type."""

    def refused(self, config, says):
        self.write("c.json", config)
        self.assert_one_line_error(["params", "--config", "c.json"], says=says)

    def test_keys(self):
        geo = {"shape": [2, 2], "k": 1}
        dense = {"model": "dense_residual", "input_dim": 4, "hidden_dim": 2}
        keys = {key: geo for key in (
            "input_dim", "output_dim", "shape", "depth", "k", "pattern", "radius", "offsets",
            "wrap_mode", "activation_type", "activation_config", "norm", "drop_path_max",
            "residual_alpha_init", "bias", "compute_mode", "seed", "include_self", "allow_repeats",
            "offset_order", "distinct", "dilation", "model")}
        for key, base in {**keys, "hidden_dim": dense}.items():
            for wrong in ([{}], [[[]]], {"a": 1}):
                with self.subTest(key, wrong=wrong):
                    self.refused({**base, key: wrong}, "c.json: ")
            with self.subTest(key, misspelt=True):
                self.refused({**base, key + "x": 1}, f"unknown key ({key}x; nearest is {key})")

    def test_keys_of_the_activation(self):
        for key in ("amplitude_init", "frequency_init", "decay_init", "amp_init_std",
                    "freq_init_std", "damp_init_std", "slope_init_std", "amp_range", "freq_range",
                    "damp_range", "slope_range", "learnable", "trainable", "decay_mode",
                    "feature_dim", "bounds", "amp_bounds", "freq_bounds", "damp_bounds",
                    "phase_init", "phase_trainable", "slope_init", "slope_trainable", "clip_max",
                    "activation_types", "activation_ratios", "ratio_sum_tol", "mix_layout",
                    "mix_seed", "seed"):
            base = {"shape": [2, 2], "k": 1, "activation_type": "phase_psann"}
            with self.subTest(key):
                self.refused({**base, "activation_config": {key: [{}]}}, "c.json: ")
                self.refused({**base, "activation_config": {key + "x": 1}},
                             f"unknown key ({key}x; nearest is ")


if __name__ == "__main__":
    unittest.main()
