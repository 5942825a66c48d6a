#!/usr/bin/env python3
"""sinew micro: lines, costs by hand, records, every flag and error, signals, a full disk."""
import csv
import io
import json
import os
import re
import resource
import signal
import stat
import subprocess
import time
import unittest

from case import BUILD, CliCase, ON_CPU, PROGRAM, SANITIZED

WORKS = ("forward", "forward_backward", "forward_backward_dx")
FILES = ["manifest.json", "results.json", "summary.csv"]
FAST = ("micro", "--no-ceilings", "--shape", "4x4", "--k", "3", "--batch-size", "2", "--steps", "3",
        "--warmup", "0")


class Micro(CliCase):
    def micro(self, *args, out="m"):
        """Of a run into a new folder: its results.json."""
        self.assertEqual(self.ok(*FAST, *args, "--quiet", "--out", out), "")
        self.assertEqual(sorted(os.listdir(self.path(out))), FILES)
        return json.loads(self.read(f"{out}/results.json"))

    def model(self, name, *args, out="m"):
        found = self.micro(*args, out=out)["results"]
        return next(r for r in found if r["name"] == f"geo_sparse_{name}")

    def test_lines_and_records(self):
        for graph, ways in (("auto", ("eager", "replayed")), ("on", ("replayed",)),
                            ("off", ("eager",))):
            with self.subTest(graph):
                text = self.ok(*FAST, "--graph", graph, "--out", graph)
                rows = [row.split() for row in text.splitlines()]
                expected = [[part, "gather", work, way] for part in ("linear", "block")
                            for work in WORKS for way in ways]
                self.assertEqual([row[:4] for row in rows[1:-1]], expected)
                self.assertEqual((rows[0][0], rows[-1]), ("median", ["results:", graph]))
                record = json.loads(self.read(f"{graph}/results.json"))
                self.assertEqual(list(record), ["environment", "manifest", "ceilings",
                                                "recommended_compute_mode", "results"])
                self.assertIsNone(record["recommended_compute_mode"])
                self.assertEqual(record["manifest"], json.loads(self.read(f"{graph}/manifest.json")))
                self.assertEqual([r["name"] for r in record["results"]],
                                 ["geo_sparse_linear_gather", "geo_sparse_block_gather"])
                for r in record["results"]:
                    for work in WORKS:
                        self.check_work(r, work, ways)
                self.check_summary(graph, record)

    def check_work(self, r, work, ways):
        figures = r[work]
        self.assertEqual([key for key in figures], ["bytes", "operations", *ways])
        self.assertEqual(r[work + "_ms"], figures[ways[-1]]["median_ms"])
        for way in ways:
            f = figures[way]
            self.assertEqual((len(f["steps_ms"]), sorted(f["steps_ms"])), (3, f["steps_ms"]))
            self.assertEqual([f["min_ms"], f["median_ms"], f["max_ms"]], f["steps_ms"])
            self.assertAlmostEqual(f["mean_ms"], sum(f["steps_ms"]) / 3)
            self.assertGreater(f["loop_ms"], 0)
            self.assertAlmostEqual(f["gb_per_s"], 1e-6 * figures["bytes"] / f["median_ms"])
            self.assertAlmostEqual(f["gflop_per_s"], 1e-6 * figures["operations"] / f["median_ms"])
            self.assertIsNone(f["share_of_copy"])
            self.assertIsNone(f["share_of_matmul"])

    def check_summary(self, folder, record):
        text = self.read(f"{folder}/summary.csv").decode()
        self.assertTrue(text.endswith("\n"))
        rows = list(csv.reader(io.StringIO(text)))
        self.assertEqual(rows[0][:3], ["model", "forward_ms", "forward_backward_ms"])
        self.assertEqual({len(row) for row in rows}, {len(rows[0])})
        self.assertEqual(len(rows), 1 + len(record["results"]))
        for row, r in zip(rows[1:], record["results"]):
            cells = dict(zip(rows[0], row))
            self.assertEqual(row[0], r["name"])
            for work in WORKS:
                self.assertEqual(float(cells[work + "_ms"]), r[work + "_ms"])
                for way in set(r[work]) - {"bytes", "operations"}:
                    self.assertEqual(float(cells[f"{work}_{way}_min_ms"]), r[work][way]["min_ms"])
                    self.assertEqual(cells[f"{work}_{way}_share_of_copy"], "")

    def test_manifest(self):
        record = self.micro("--pattern", "hash", "--radius", "2", "--wrap-mode", "wrap", "--seed",
                            "7", "--threads", "1", "--norm", "layer", "--activation", "tanh")
        m = record["manifest"]
        network = m.pop("network")
        self.assertEqual(m, {
            "shape": [4, 4], "features": 16, "k": 3, "pattern": "hash", "radius": 2,
            "wrap_mode": "wrap", "activation": "tanh", "norm": "layer", "batch_size": 2, "steps": 3,
            "warmup": 0, "device": "cpu", "dtype": "float32", "precision": "f32", "graph": "auto",
            "fusion": True,
            "threads": 1, "isa": record["environment"]["isa"], "compute_mode": "gather",
            "compute_modes": ["gather"], "compute_modes_are_one_kernel": True, "ceilings": False,
            "seed": 7})
        self.assertEqual(network["seed"], 7)
        self.assertEqual(record["ceilings"],
                         {"copy_gb_per_s": None, "matmul_gflop_per_s": None})
        m = self.micro("--dtype", "float64", "--net-seed", "3", out="f64")["manifest"]
        self.assertEqual((m["dtype"], m["precision"], m["network"]["seed"]), ("float64", "f64", 3))

    def test_help_shows_the_defaults(self):
        text = " ".join(self.ok("micro", "--help").split())
        for flag, value in (("shape", "8x8"), ("k", "8"), ("pattern", "local"), ("radius", "1"),
                            ("wrap-mode", "clamp"), ("batch-size", "256"), ("steps", "50"),
                            ("warmup", "10"), ("compute-mode", "gather"), ("seed", "0"),
                            ("norm", "rms"), ("residual-alpha-init", "0"), ("device", "auto"),
                            ("out", "reports/geo_sparse_micro/TIME")):
            self.assertRegex(text, rf"--{flag} \S+( in \[[^]]*\])?(=| \[){value}\b")
        self.assertRegex(text, r"--sparse-activation TEXT(=| \[)relu\b")
        for flag in ("--depth", "--model", "--output-dim", "--hidden-dim", "--drop-path-max"):
            self.assertNotIn(flag, text)

    def test_defaults(self):
        """But for the ceilings; and the folder's name."""
        before = time.strftime("%Y%m%d_%H%M%S")
        text = self.ok("micro", "--no-ceilings")
        folder = re.search(r"\nresults: (reports/geo_sparse_micro/(\d{8}_\d{6}))\n$", text)
        self.assertTrue(before <= folder[2] <= time.strftime("%Y%m%d_%H%M%S"), folder[2])
        record = json.loads(self.read(f"{folder[1]}/results.json"))
        m = record["manifest"]
        self.assertEqual([m[key] for key in ("shape", "k", "pattern", "radius", "wrap_mode",
                                             "activation", "norm", "batch_size", "steps", "warmup",
                                             "compute_mode", "seed", "precision")],
                         [[8, 8], 8, "local", 1, "clamp", "relu", "rms", 256, 50, 10, "gather", 0,
                          "f32"])
        self.assertEqual(m["network"]["residual_alpha_init"], 0)
        for r in record["results"]:
            self.assertEqual(len(r["forward"]["eager"]["steps_ms"]), 50)
        n, k = 64, 8
        self.assertEqual([r["parameters"] for r in record["results"]],
                         [n * k + n, 2 * (n * k + n) + n + 1])

    def test_compute_modes(self):
        for mode, modes in (("scatter", ["scatter"]), ("auto", ["gather", "scatter"])):
            record = self.micro("--compute-mode", mode, "--graph", "off", out=mode)
            self.assertEqual([r["name"] for r in record["results"]],
                             [f"geo_sparse_{part}_{m}" for m in modes for part in ("linear", "block")])
            self.assertEqual(record["manifest"]["compute_modes"], modes)
        means = {}
        for r in record["results"]:
            mode = r["name"].split("_")[-1]
            means[mode] = means.get(mode, 0) + r["forward_backward_ms"]
        self.assertEqual(record["recommended_compute_mode"], min(means, key=means.get))
        text = self.ok(*FAST, "--compute-mode", "auto", "--out", "text")
        self.assertRegex(text, r"\nrecommended compute mode: (gather|scatter) \(gather and scatter "
                         r"run one kernel: a difference is noise\)\n")

    def test_costs_by_hand(self):
        x, p, table = 2 * 16, 16 * 3 + 16, 16 * 3  # elements
        linear = {"forward": (4 * (2 * x + p + table), 2 * x * 3),
                  # again x, table and dy; dw, db; the sum reads y and writes dy; the update
                  "forward_backward": (4 * (2 * x + p + table + (x + table + x + p) + 2 * x + 3 * p),
                                       4 * x * 3 + x + 2 * p)}
        bytes_, operations = linear["forward_backward"]
        linear["forward_backward_dx"] = (bytes_ + 4 * (x + p), operations + 2 * x * 3)
        found = self.model("linear_gather", "--graph", "off")
        for work, cost in linear.items():
            self.assertEqual((found[work]["bytes"], found[work]["operations"]), cost, work)
        # x + alpha fc2(relu(fc1(rms(x)))): dx = dy + the norm's, which takes 5 operations more
        block = self.model("block_gather", "--graph", "off", out="b")
        forward, parameters, full = (block[work] for work in WORKS)
        self.assertEqual(forward["operations"], x * (2 * 6 + 1 + 4 + 2))
        self.assertEqual(forward["bytes"],
                         4 * (2 * (2 * x + p + table) + 2 * x + 2 * x + 16 + 3 * x + 1))
        self.assertEqual(full["operations"] - parameters["operations"], 5 * x)
        self.assertEqual(full["bytes"] - parameters["bytes"], 4 * (2 * x + 16))
        block_forward = forward["bytes"]
        block = self.model("block_gather", "--graph", "off", "--norm", "none", out="n")
        forward, parameters, full = (block[work] for work in WORKS)
        self.assertEqual(full["operations"] - parameters["operations"], 2 * x * 3)
        self.assertEqual(full["bytes"] - parameters["bytes"], 4 * (2 * x + p))
        config = '{"activation_types": ["psann", "gelu"], "activation_ratios": [0.75, 0.25]}'
        mixed = self.model("block_gather", "--activation", "mixed", "--activation-config", config,
                           out="mixed")
        self.assertEqual(mixed["forward"]["operations"],
                         x * (2 * 6 + 0.75 * 7 + 0.25 * 5 + 4 + 2))
        self.assertEqual(mixed["forward"]["bytes"], block_forward + 4 * 3 * 12)
        halves = self.model("linear_gather", "--precision", "f64", "--no-bias", out="f64")
        self.assertEqual(halves["forward"]["bytes"], 8 * (2 * x + 16 * 3) + 4 * table)

    def test_warmup_and_steps(self):
        few = self.model("linear_gather", "--steps", "1", "--graph", "off")
        self.assertEqual(len(few["forward"]["eager"]["steps_ms"]), 1)
        times = []
        for warmup in (0, 4000):
            begin = time.monotonic()
            self.micro("--warmup", warmup, "--graph", "off", "--threads", "1", out=str(warmup))
            times.append(time.monotonic() - begin)
        self.assertGreater(times[1], 2 * times[0])

    def test_config(self):
        self.write("net.json", {"shape": "2x3", "k": 2, "depth": 3, "output_dim": 4, "norm": "none",
                                "compute_mode": "scatter", "bias": False, "drop_path_max": 0.5})
        record = self.micro("--config", "net.json", "--shape", "3x3", "--k", "4")
        m = record["manifest"]
        self.assertEqual((m["shape"], m["k"], m["norm"], m["compute_modes"], m["activation"]),
                         ([3, 3], 4, "none", ["scatter"], "relu"))
        self.assertEqual([r["parameters"] for r in record["results"]], [9 * 4, 2 * 9 * 4 + 1])
        for args in (("--activation", "psann", "--activation-config", '{"decay_init": 0.2}'),
                     ("--pattern", "random", "--distinct"), ("--dilation", "2")):
            self.micro(*args, "--graph", "on", out=args[0])

    def test_ceilings(self):
        if SANITIZED:
            self.skipTest("takes too long with a sanitizer")
        fast = [a for a in FAST if a != "--no-ceilings"]
        text = self.ok(*fast, "--graph", "off", "--out", "m")
        record = json.loads(self.read("m/results.json"))
        self.assertTrue(record["manifest"]["ceilings"])
        self.assertEqual([row.split()[0] for row in text.splitlines()[1:3]],
                         ["ceiling/copy", "ceiling/matmul"])
        f = record["results"][0]["forward"]["eager"]
        for ceiling, rate, share in (("copy_gb_per_s", "gb_per_s", "share_of_copy"),
                                     ("matmul_gflop_per_s", "gflop_per_s", "share_of_matmul")):
            self.assertGreater(record["ceilings"][ceiling], 0)
            self.assertAlmostEqual(f[share], f[rate] / record["ceilings"][ceiling])

    def test_flags_are_checked(self):
        self.write("mlp.json", {"model": "mlp", "hidden_dim": 3})
        self.write("used/summary.csv", "")
        self.write("file", "")
        for args, says in ((("--shape", "0x4"), "shape"), (("--shape", "4"), "shape needs two sizes"),
                           (("--k", "-1"), "k "), (("--k", "0"), "k "), (("--k", "x"), "--k"),
                           (("--steps", "0"), "--steps"), (("--steps", "1.5"), "--steps"),
                           (("--steps", "1" + "0" * 10), "--steps"), (("--steps",), "--steps"),
                           (("--warmup", "-1"), "--warmup"), (("--warmup", "9" * 30), "--warmup"),
                           (("--batch-size", "0"), "--batch-size"),
                           (("--batch-size", "9" * 18), "larger than this machine's memory"),
                           (("--batch-size", "9" * 30), "--batch-size"),
                           (("--seed", "x"), "--seed"), (("--ceilings=maybe",), "--ceilings"),
                           (("--compute-mode", "both"), "--compute-mode"),
                           (("--pattern", "star"), "--pattern"), (("--radius", "-1"), "radius"),
                           (("--wrap-mode", "mirror"), "--wrap-mode"),
                           (("--no-allow-repeats", "--k", "9"), "9"),
                           (("--activation", "mixed"), "types"), (("--depth", "2"), "--depth"),
                           (("--model", "mlp"), "--model"), (("--output-dim", "2"), "--output-dim"),
                           (("--config", "mlp.json"), "only layers of model geo_sparse are timed"),
                           (("--config", "none.json"), "none.json"), (("--out", ""), "--out is empty"),
                           (("--out", "file"), "file: cannot be made"),
                           (("--out", "file/m"), "file/m: cannot be made"),
                           (("--out", "used"), "used: holds results (summary.csv); name another")):
            with self.subTest(args=args):
                self.assert_one_line_error(["micro", "--no-ceilings", *args], says=says)

    def test_folders(self):
        os.makedirs(self.path("here/other"))
        self.write("here/notes.txt", "kept")
        self.ok(*FAST, "--quiet", "--out", "here")
        self.assertEqual(self.read("here/notes.txt"), b"kept")
        self.assert_one_line_error([*FAST, "--out", "here"],
                                   says="here: holds results (manifest.json); name another folder")
        os.makedirs(self.path("closed"))
        os.chmod(self.path("closed"), stat.S_IRUSR | stat.S_IXUSR)
        if os.access(self.path("closed"), os.W_OK):
            return  # root may
        self.assert_one_line_error([*FAST, "--out", "closed"], says="closed: cannot be written")
        self.assert_one_line_error([*FAST, "--out", "closed/m"], says="closed/m: cannot be made")

    def test_a_full_disk(self):
        for size, name in ((100, "manifest.json"), (1500, "summary.csv"), (6000, "results.json")):
            with self.subTest(name):
                limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
                done = self.run_program(*FAST, "--quiet", "--out", "m", preexec_fn=limit)
                self.assertEqual((done.status, done.out), (1, ""))
                self.assertRegex(done.err, rf"^sinew micro: error: m/{name}: .*\n$")
                self.assertEqual(os.listdir(self.path("m")), [])
        self.micro()  # the folder may be used again

    def test_a_signal_leaves_nothing_half(self):
        for sent, status, name in ((signal.SIGTERM, 143, "SIGTERM"), (signal.SIGINT, 130, "SIGINT")):
            args = [PROGRAM, *FAST, *ON_CPU, "--steps", "1000000000", "--out", "m"]
            with subprocess.Popen(args, cwd=self.folder, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE) as process:
                process.stdout.readline()
                process.send_signal(sent)
                _, err = process.communicate(timeout=60)
            self.assertEqual((process.returncode, err.decode()), (
                status, f"sinew micro: error: stopped by {name}; nothing was written\n"))
            self.assertEqual(os.listdir(self.path("m")), [])

    def test_on_a_gpu(self):
        if self.run_program("info", "--device", "cuda").status != 0:
            self.skipTest("there is none")
        for precision in ("f32", "tf32", "bf16"):
            with self.subTest(precision):
                record = self.micro("--device", "cuda", "--precision", precision, out=precision)
                m = record["manifest"]
                self.assertEqual((m["device"], m["precision"], m["dtype"]),
                                 ("cuda", precision, "float32"))
                for r in record["results"]:
                    for work in WORKS:
                        self.check_work(r, work, ("eager", "replayed"))
        x, p, table = 2 * 16, 16 * 3 + 16, 16 * 3
        self.assertEqual(record["results"][0]["forward"]["bytes"], 2 * 2 * x + 4 * (p + table))

    def test_without_a_gpu(self):
        if BUILD is not None:
            self.skipTest("a build for one")
        self.assert_one_line_error([*FAST, "--device", "cuda"], says="--device cuda: ")


if __name__ == "__main__":
    unittest.main()
