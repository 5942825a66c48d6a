#!/usr/bin/env python3
"""sinew predict: the reference's numbers, kinds of output, scalers, columns, and its errors."""
import json
import math
import os
import signal
import struct
import subprocess
import unittest

from case import (CliCase, GOLDEN, GOLDEN_CASES, ON_CPU, PROGRAM, linear_config, linear_weights,
                  npy, npy_header, read_npy, safetensors)

WEIGHT, BIAS = [[2.0, -1.0], [0.5, 3.0], [1.0, 1.0]], [0.25, 0.0, -1.0]
ROWS = [[1.0, 2.0], [-3.0, 0.5], [0.0, 0.0], [4.0, 4.0]]
FLAT = [v for row in ROWS for v in row]
OUT = [[sum(w * v for w, v in zip(ws, row)) + b for ws, b in zip(WEIGHT, BIAS)] for row in ROWS]


def softmax(row):
    powers = [math.exp(v) for v in row]
    return [p / sum(powers) for p in powers]


class Predict(CliCase):
    def setUp(self):
        super().setUp()
        self.write("x.npy", npy(FLAT, (4, 2)))

    def predict(self, *args, output="y.npy"):
        """(type, rows) of what the program writes."""
        args = args if "--input" in args else (*args, "--input", "x.npy")
        self.assertEqual(self.ok("predict", *args, "--output", output), "")
        kind, shape, values = read_npy(self.path(output))
        if len(shape) == 1:
            return kind, values
        self.assertEqual(len(shape), 2)
        n = shape[1]
        return kind, [values[i:i + n] for i in range(0, len(values), n)]

    def assert_close(self, got, want, tolerance=1e-6):
        self.assertEqual([len(r) for r in got], [len(r) for r in want])
        for a, b in zip(got, want):
            for x, y in zip(a, b):
                self.assertLessEqual(abs(x - y), tolerance)

    def test_golden_cases(self):
        for name in GOLDEN_CASES:
            case = f"{GOLDEN}/{name}"
            with open(f"{case}/case.json", encoding="utf-8") as f:
                config = json.load(f)["config"]
            self.write("config.json", config)
            for weights, expected in (("init", "Y_init"), ("after", "Y_after")):
                with self.subTest(name, weights=weights):
                    kind, got = self.predict("--config", "config.json", "--weights",
                                             f"{case}/{weights}.safetensors", "--input",
                                             f"{case}/X.npy")
                    _, shape, want = read_npy(f"{case}/{expected}.npy")
                    outputs = config["output_dim"]
                    self.assertEqual((kind, len(got)), ("<f4", shape[0]))
                    self.assert_close(got, [want[i:i + outputs]
                                            for i in range(0, len(want), outputs)], 2e-6)

    def test_model_folder(self):
        self.write_model("run", WEIGHT, BIAS)
        self.assertEqual(self.predict("--model", "run"), ("<f4", OUT))
        self.assertEqual(self.predict("--model", "run/"), ("<f4", OUT))

    def test_header_of_a_csv(self):
        for targets, first in ((["y", "z", "3"], "y,z,3"), (["1", "2", "3"], None)):
            self.write_model("run", WEIGHT, BIAS, targets=targets)
            self.ok("predict", "--model", "run", "--input", "x.npy", "--output", "y.csv")
            line = self.read("y.csv").decode().splitlines()[0]
            self.assertEqual(line, first or ",".join(f"{v:g}" for v in OUT[0]))
        self.write_model("run", WEIGHT, BIAS, loss="cross_entropy", classes=[-1, 4, 9])
        self.ok("predict", "--model", "run", "--input", "x.npy", "--output", "y.csv",
                "--output-kind", "proba")
        self.assertTrue(self.read("y.csv").startswith(b"class_-1,class_4,class_9\n"))

    def test_batch_size(self):
        self.write_model("run", WEIGHT, BIAS)
        for rows in (1, 3, 4, 9999999999):
            self.assertEqual(self.predict("--model", "run", "--batch-size", rows)[1], OUT)
        self.assert_one_line_error(["predict", "--model", "run", "--input", "x.npy", "--output",
                                    "z.npy", "--batch-size", "0"], says="--batch-size")

    def test_scalers_of_the_folder(self):
        self.write_model("run", [[2.0, -1.0]], [0.25],
                         x_scaler={"shift": [1.0, 0.0], "scale": [2.0, 4.0]},
                         y_scaler={"shift": [10.0], "scale": [3.0]})
        want = [[(2 * (a - 1) / 2 - b / 4 + 0.25) * 3 + 10] for a, b in ROWS]
        self.assert_close(self.predict("--model", "run")[1], want)
        _, raw = self.predict("--config", "run/config.json", "--weights", "run/model.safetensors")
        self.assert_close(raw, [[2 * a - b + 0.25] for a, b in ROWS])

    def test_kinds_of_output(self):
        self.write_model("run", WEIGHT, BIAS, loss="cross_entropy", classes=[7, -2, 40])
        best = [row.index(max(row)) for row in OUT]
        for args, classes in ((("--model", "run"), [7, -2, 40]),
                              (("--config", "run/config.json", "--weights",
                                "run/model.safetensors"), [0, 1, 2])):
            self.assertEqual(self.predict(*args), ("<f4", OUT))
            self.assertEqual(self.predict(*args, "--output-kind", "raw"), ("<f4", OUT))
            kind, labels = self.predict(*args, "--output-kind", "class")
            self.assertEqual((kind, labels), ("<i8", [classes[b] for b in best]))
            kind, shares = self.predict(*args, "--output-kind", "proba")
            self.assertEqual(kind, "<f4")
            self.assert_close(shares, [softmax(row) for row in OUT])

    def test_kinds_need_a_classifier(self):
        self.write_model("run", WEIGHT, BIAS, loss="mse")
        for kind in ("class", "proba"):
            self.assert_one_line_error(
                ["predict", "--model", "run", "--input", "x.npy", "--output", "y.npy",
                 "--output-kind", kind], says=f"{kind}: the model is no classifier (loss mse)")
        self.assert_one_line_error(
            ["predict", "--model", "run", "--input", "x.npy", "--output", "y.npy",
             "--output-kind", "best"], says="--output-kind")
        self.write_model("wide", WEIGHT, BIAS, loss="cross_entropy", classes=[0, 1, 1 << 40])
        self.assert_one_line_error(
            ["predict", "--model", "wide", "--input", "x.npy", "--output", "y.npy",
             "--output-kind", "class"], says="no 32-bit number (1099511627776)")

    def test_csv_output(self):
        self.write_model("run", WEIGHT, BIAS)
        self.ok("predict", "--model", "run", "--input", "x.npy", "--output", "y.csv")
        rows = [[float(c) for c in line.split(",")] for line in
                self.read("y.csv").decode().splitlines()]
        self.assertEqual(rows, OUT)
        self.write_model("named", [WEIGHT[0]], [0.0], targets=["price, net"])
        self.ok("predict", "--model", "named", "--input", "x.npy", "--output", "y.csv")
        self.assertEqual(self.read("y.csv").decode().splitlines(),
                         ['"price, net"', "0", "-6.5", "0", "4"])
        self.write_model("classes", WEIGHT, BIAS, loss="cross_entropy", classes=[7, 8, 9],
                         targets=["kind"])
        self.ok("predict", "--model", "classes", "--input", "x.npy", "--output", "y.csv",
                "--output-kind", "class")
        self.assertEqual(self.read("y.csv").decode().splitlines(), ["kind", "8", "8", "7", "8"])

    def test_csv_input_by_names(self):
        self.write_model("run", [WEIGHT[0]], [BIAS[0]], inputs=["a", "b"], targets=["y"])
        want = [[row[0]] for row in OUT]
        for text in ("a,b\n1,2\n-3,0.5\n0,0\n4,4\n", "b,y,a\n2,0,1\n.5,0,-3\n0,0,0\n4,0,4\n",
                     "1,2\n-3,.5\n0,0\n4,4\n"):
            self.write("x.csv", text)
            self.assertEqual(self.predict("--model", "run", "--input", "x.csv")[1], want)
        for text, says in (("a,y\n1,2\n", "x.csv: has no column 'b'"),
                           ("a,b,c\n1,2,3\n", "x.csv: the model has no input 'c'"),
                           ("a,b,b\n1,2,3\n", "x.csv: two columns are called 'b'"),
                           ("y\n1\n", "x.csv: has no column beside the target"),
                           ("1,2,3\n", "x.csv: has 3 inputs per row, the network 2")):
            self.write("x.csv", text)
            self.assert_one_line_error(["predict", "--model", "run", "--input", "x.csv",
                                        "--output", "z.npy"], says=says)

    def test_rank_3(self):
        config = dict(linear_config(6), shape=[2, 3])
        self.write("c.json", config)
        weights = linear_weights([[1, 10, 100, 1000, 1e4, 1e5]], [0])
        self.write("w.safetensors", safetensors(weights))
        args = ("--config", "c.json", "--weights", "w.safetensors")
        self.write("x.npy", npy([1, 2, 3, 4, 5, 6], (1, 2, 3)))
        self.assertEqual(self.predict(*args)[1], [[654321]])
        self.write("x.npy", npy([1, 4, 2, 5, 3, 6], (1, 3, 2)))
        self.assert_one_line_error(["predict", *args, "--input", "x.npy", "--output", "y.npy"],
                                   says="rows are grids of [3, 2], the network's shape is [2, 3]")
        # The same array in Fortran order.
        self.write("x.npy", npy_header("<f4", (1, 2, 3), True)
                   + struct.pack("<6f", 1, 4, 2, 5, 3, 6))
        self.assertEqual(self.predict(*args)[1], [[654321]])

    def test_strict(self):
        weights = linear_weights(WEIGHT, BIAS)
        weights["extra"] = ("F32", (1,), [0.0])
        self.write("c.json", linear_config(2, 3))
        self.write("w.safetensors", safetensors(weights))
        args = ("--config", "c.json", "--weights", "w.safetensors")
        for strict in ((), ("--strict",)):
            self.assert_one_line_error(["predict", *args, *strict, "--input", "x.npy", "--output",
                                        "z.npy"], says="extra")
        self.assertEqual(self.predict(*args, "--no-strict")[1], OUT)
        self.write_model("run", WEIGHT, BIAS)
        self.assert_one_line_error(["predict", "--model", "run", "--no-strict", "--input", "x.npy",
                                    "--output", "z.npy"], says="--weights")

    def test_precision(self):
        self.write_model("run", [[1.0, 1.0]], [0.0])
        self.write("x.npy", npy([1.0, 2.0 ** -30], (1, 2), "<f8"))
        self.write_model("tiny", [[1.0, 1.0]], [-1.0])
        self.assertEqual(self.predict("--model", "tiny"), ("<f4", [[0.0]]))
        for args in (("--precision", "f64"), ("--dtype", "float64")):
            self.assertEqual(self.predict("--model", "tiny", *args), ("<f4", [[2.0 ** -30]]))
        for args in (("--precision", "bf16"), ("--amp",), ("--tf32",)):
            self.assert_one_line_error(["predict", "--model", "run", "--input", "x.npy", "--output",
                                        "z.npy", "--device", "cpu", *args],
                                       says="is for --device cuda only")

    def test_threads_give_the_same_bits(self):
        case = f"{GOLDEN}/wrap_local_psann"
        with open(f"{case}/case.json", encoding="utf-8") as f:
            self.write("config.json", json.load(f)["config"])
        bits = set()
        for threads in (1, 2, 5):
            self.predict("--config", "config.json", "--weights", f"{case}/after.safetensors",
                         "--input", f"{case}/X.npy", "--threads", threads)
            bits.add(self.read("y.npy"))
        self.assertEqual(len(bits), 1)

    def test_usage(self):
        self.write_model("run", WEIGHT, BIAS)
        files = ("--input", "x.npy", "--output", "z.npy")
        for args, says in ((files, "needs --model, or --config and --weights"),
                           ((*files, "--config", "run/config.json"), "--weights"),
                           ((*files, "--weights", "run/model.safetensors"), "--config"),
                           ((*files, "--model", "run", "--config", "run/config.json", "--weights",
                             "run/model.safetensors"), "--model"),
                           (("--model", "run", *files[:2]), "--output"),
                           (("--model", "run", *files[2:]), "--input"),
                           (("--model", "none", *files), "none/config.json: cannot be read"),
                           (("--model", "x.npy", *files), "x.npy/config.json: cannot be read"),
                           (("--model", "run", "--input", "none.npy", *files[2:]), "none.npy"),
                           (("--model", "run", "--input", "run", *files[2:]), "run: is a folder"),
                           (("--model", "run", *files, "--device", "cuda", "--precision", "f64"),
                            "--device c"),
                           (("--model", "run", *files, "--bar"), "unknown argument --bar")):
            with self.subTest(args):
                self.assert_one_line_error(["predict", *args], says=says)

    def test_quiet(self):
        self.write_model("run", WEIGHT, BIAS)
        self.assertEqual(self.predict("--model", "run", "--quiet"), ("<f4", OUT))

    def test_an_earlier_output_is_replaced(self):
        self.write_model("run", WEIGHT, BIAS)
        self.write("y.npy", "old")
        self.assertEqual(self.predict("--model", "run"), ("<f4", OUT))

    def test_output_to_a_pipe(self):
        self.write_model("run", WEIGHT, BIAS)
        done = subprocess.run([PROGRAM, "predict", *ON_CPU, "--model", "run", "--input", "x.npy",
                               "--output",
                               "/dev/stdout"], cwd=self.folder, stdout=subprocess.PIPE, check=True)
        self.write("piped.npy", done.stdout)
        self.assertEqual(read_npy(self.path("piped.npy"))[2], [v for row in OUT for v in row])

    def start(self):
        """The program, waiting for its input from the pipe that comes with it."""
        process = subprocess.Popen([PROGRAM, "predict", *ON_CPU, "--model", "run", "--input",
                                    "pipe",
                                    "--output", "y.npy"], cwd=self.folder, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process, open(self.path("pipe"), "wb")

    def test_a_signal_ends_it_before_the_next_batch(self):
        self.write_model("run", WEIGHT, BIAS)
        os.mkfifo(self.path("pipe"))
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            before = self.tree()
            process, pipe = self.start()
            with pipe:
                process.send_signal(number)
                pipe.write(npy(FLAT, (4, 2)))
            out, err = process.communicate(timeout=60)
            self.assertEqual((process.returncode, out), (status, b""))
            self.assertEqual(err.decode(), "sinew predict: error: stopped by "
                             f"{signal.Signals(number).name}\n")
            self.assertEqual(self.tree(), before)

    def test_a_second_signal_ends_it_at_once(self):
        self.write_model("run", WEIGHT, BIAS)
        os.mkfifo(self.path("pipe"))
        process, pipe = self.start()
        with pipe:
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGTERM)
            self.assertIn(process.wait(timeout=60), (130, 143))


if __name__ == "__main__":
    unittest.main()
