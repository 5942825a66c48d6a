#!/usr/bin/env python3
"""sinew train: the reference's numbers, what each flag does, its files, stopping and going on."""
import glob
import json
import math
import os
import random
import signal
import struct
import subprocess
import time
import unittest

from case import (CliCase, GOLDEN, GOLDEN_CASES, ON_CPU, PROGRAM, linear_config, linear_weights,
                  npy, read_safetensors, safetensors)

HISTORY = ["epoch", "train_loss", "val_loss", "lr", "time_s", "step_time_ms_median",
           "samples_per_sec", "grad_norm_mean", "grad_norm_max", "loss_nonfinite_steps",
           "grad_nonfinite_steps", "improved"]
REGRESSION = ["val_mse", "val_rmse", "val_mae", "val_smape", "val_r2"]


def numbers(count, seed):
    return [random.Random(seed + i).uniform(-2, 2) for i in range(count)]


class Train(CliCase):
    def setUp(self):
        super().setUp()
        self.x, self.t = numbers(60 * 4, 0), numbers(60, 1000)
        self.write("x.npy", npy(self.x, (60, 4)))
        self.write("t.npy", npy(self.t))
        self.write("labels.npy", npy([i % 3 for i in range(60)], descr="<i8"))

    def train(self, *args, data=("--data", "x.npy", "--target", "t.npy"), out="run", epochs=2,
              replace=("--overwrite",)):
        """Trains without a word; (history, weights)."""
        self.ok("train", *data, "--out", out, "--epochs", epochs, "--batch-size", 16, "--depth", 1,
                "--k", 2, "--quiet", *replace, *args)
        return self.history(out), self.weights(out)

    def history(self, out="run"):
        return json.loads(self.read(f"{out}/history.json"))

    def weights(self, out="run"):
        return {name: values for name, (_, _, values) in
                read_safetensors(self.path(f"{out}/model.safetensors")).items()}

    def config(self, out="run"):
        return json.loads(self.read(f"{out}/config.json"))

    def assert_refused(self, *args, says, data=("--data", "x.npy", "--target", "t.npy"), out="new"):
        self.assert_one_line_error(["train", *data, "--out", out, *args], says=says)

    # --- numbers ---
    def test_golden_cases(self):
        for name in GOLDEN_CASES:
            with self.subTest(name), open(f"{GOLDEN}/{name}/case.json", encoding="utf-8") as f:
                case = json.load(f)
                t = case["train"]
                self.write("config.json", case["config"])
                self.ok("train", "--quiet", "--config", "config.json", "--data",
                        f"{GOLDEN}/{name}/X.npy", "--target", f"{GOLDEN}/{name}/T.npy", "--init",
                        f"{GOLDEN}/{name}/init.safetensors", "--no-shuffle", "--epochs",
                        t["epochs"], "--batch-size", t["batch_size"], "--optimizer",
                        t["optimizer"], "--lr", t["lr"], "--betas", "0.9,0.999", "--eps", t["eps"],
                        "--weight-decay", t["weight_decay"], "--out", name)
                batches = len(case["losses"]) // t["epochs"]
                for i, record in enumerate(self.history(name)):
                    want = sum(case["losses"][i * batches:(i + 1) * batches]) / batches
                    self.assertAlmostEqual(record["train_loss"], want, delta=1e-6 * want)
                got = read_safetensors(self.path(f"{name}/model.safetensors"))
                want = read_safetensors(f"{GOLDEN}/{name}/after.safetensors")
                self.assertEqual(list(got), case["keys"])
                limit = max(10 * case["sensitivity"], 1e-5)
                for key in case["keys"]:
                    kind, shape, values = want[key]
                    self.assertEqual(got[key][:2], (kind, shape))
                    if kind == "I64":
                        self.assertEqual(got[key][2], values, key)
                        continue
                    scale = math.sqrt(sum(v * v for v in values))
                    error = math.sqrt(sum((a - b) ** 2 for a, b in zip(got[key][2], values)))
                    self.assertLessEqual(error, limit * scale, key)

    def test_same_bits_for_any_threads_and_recorded_or_not(self):
        _, weights = self.train("--drop-path-max", "0.5", "--depth", "3")
        for args in (("--threads", "1"), ("--threads", "2"), ("--graph", "off"), ("--graph", "on"),
                     ("--device", "cpu"), ("--precision", "f32"), ("--dtype", "float32")):
            self.assertEqual(self.train("--drop-path-max", "0.5", "--depth", "3", *args)[1],
                             weights, args)

    def test_isa_and_precision_change_the_numbers_a_little(self):
        history, _ = self.train("--isa", "generic", epochs=5)
        exact, weights = self.train("--precision", "f64", epochs=5)
        self.assertNotEqual(exact[-1]["train_loss"], history[-1]["train_loss"])
        self.assertAlmostEqual(exact[-1]["train_loss"], history[-1]["train_loss"], delta=1e-5)
        kinds = {t[0] for t in read_safetensors(self.path("run/model.safetensors")).values()}
        self.assertEqual(kinds, {"F32", "I64"})

    def test_fusion_changes_the_roundings_only(self):
        fused, weights = self.train("--depth", "3", epochs=5)
        single, other = self.train("--depth", "3", "--fusion", "off", epochs=5)
        self.assertIs(json.loads(self.read("run/env.json"))["fusion"], False)
        self.assertNotEqual(other, weights)
        for key, values in weights.items():
            for a, b in zip(values, other[key], strict=True):
                self.assertAlmostEqual(a, b, delta=1e-5)
        for a, b in zip(fused, single, strict=True):
            self.assertAlmostEqual(a["train_loss"], b["train_loss"], delta=1e-6)
        again = self.train("--depth", "3", "--fusion", "on", "--threads", "2", epochs=5)[1]
        self.assertEqual(again, weights)
        self.assertIs(json.loads(self.read("run/env.json"))["fusion"], True)

    def test_one_step_of_each_optimizer(self):
        # One row, network y = w x + b: gradients 2 (y - t) x and 2 (y - t) by hand.
        w, b, x, t, lr = 0.5, 0.25, 2.0, 3.0, 0.1
        self.write("one.npy", npy([x], (1, 1)))
        self.write("goal.npy", npy([t]))
        self.write("config.json", linear_config(1))
        self.write("init.safetensors", safetensors(linear_weights([[w]], [b])))
        g = 2 * (w * x + b - t)

        def step(*args):
            self.ok("train", "--quiet", "--overwrite", "--config", "config.json", "--init",
                    "init.safetensors", "--data", "one.npy", "--target", "goal.npy", "--out", "run",
                    "--epochs", 1, "--lr", lr, *args)
            got = self.weights()
            return got["head.weight"][0], got["head.bias"][0]

        def expect(got, dw, db):
            self.assertAlmostEqual(got[0], w + dw, delta=1e-6)
            self.assertAlmostEqual(got[1], b + db, delta=1e-6)
        expect(step(), lr, lr)  # the first step of Adam is lr sign(-gradient)
        expect(step("--eps", "3"), -lr * g * x / (abs(g * x) + 3), -lr * g / (abs(g) + 3))
        expect(step("--optimizer", "adam"), lr, lr)
        expect(step("--weight-decay", "0.5"), lr - lr * 0.5 * w, lr - lr * 0.5 * b)
        expect(step("--optimizer", "sgd"), -lr * g * x, -lr * g)
        expect(step("--optimizer", "sgd", "--weight-decay", "2"), -lr * (g * x + 2 * w),
               -lr * (g + 2 * b))
        expect(step("--optimizer", "sgd", "--loss", "l1"), lr * x, lr)
        expect(step("--optimizer", "sgd", "--loss", "huber", "--loss-delta", "0.5"), lr * 0.5 * x,
               lr * 0.5)
        expect(step("--optimizer", "sgd", "--loss", "smooth_l1", "--loss-beta", "4"),
               -lr * g / 2 * x / 4, -lr * g / 2 / 4)
        norm = math.hypot(g * x, g)  # alpha and the block get no gradient: relu(...) is multiplied
        alpha = self.weights()["blocks.0.alpha"][0]
        self.assertNotEqual(alpha, 0)
        got = step("--optimizer", "sgd", "--clip-norm", "0.001")
        self.assertLess(math.hypot(got[0] - w, got[1] - b), 0.001 * lr * 1.0001)
        self.assertLess(norm * lr * 1e-4, math.hypot(got[0] - w, got[1] - b) * norm)

    def test_betas_and_momentum_act_from_the_second_step(self):
        base = self.train()[1]
        self.assertNotEqual(self.train("--betas", "0.5,0.9")[1], base)
        sgd = self.train("--optimizer", "sgd")[1]
        self.assertNotEqual(self.train("--optimizer", "sgd", "--momentum", "0")[1], sgd)

    def test_learning_rates(self):
        rates = lambda *args: [round(r["lr"], 9) for r in self.train(*args, epochs=4)[0]]
        self.assertEqual(rates("--lr", "0.01"), [0.01] * 4)
        linear = rates("--lr", "0.01", "--schedule", "linear", "--lr-min", "0.002")
        self.assertEqual(linear[-1], 0.002)
        self.assertEqual(linear, sorted(linear, reverse=True))
        cosine = rates("--lr", "0.01", "--schedule", "cosine")
        self.assertEqual(cosine[-1], 0)
        # 60 rows in batches of 16: four steps an epoch.
        self.assertEqual(rates("--lr", "1", "--schedule", "step", "--step-size", "4", "--gamma",
                               "0.5"), [1, 0.5, 0.25, 0.125])
        self.assertEqual(rates("--lr", "1", "--warmup-steps", "9"), [0.4, 0.8, 1, 1])

    def test_seeds_shuffling_and_batches(self):
        base = self.train()[1]
        self.assertEqual(self.train("--seed", "0", "--shuffle")[1], base)
        self.assertNotEqual(self.train("--seed", "1")[1], base)
        self.assertNotEqual(self.train("--no-shuffle")[1], base)
        self.assertNotEqual(self.train("--batch-size", "20")[1], base)
        table = "blocks.0.fc1.in_index_per_out"
        drawn = ("--pattern", "random")
        self.assertNotEqual(self.train(*drawn)[1][table], self.train(*drawn, "--seed", "1")[1][table])
        fixed = (*drawn, "--net-seed", "3")
        self.assertEqual(self.train(*fixed)[1][table], self.train(*fixed, "--seed", "1")[1][table])

    # --- data ---
    def test_validation(self):
        history, _ = self.train("--val-fraction", "0.25")
        self.assertEqual(list(history[0]), HISTORY[:3] + REGRESSION + HISTORY[3:])
        self.assertAlmostEqual(history[0]["val_mse"], history[0]["val_loss"], delta=1e-6)
        self.assertAlmostEqual(history[0]["val_rmse"] ** 2, history[0]["val_mse"], delta=1e-9)
        self.write("vx.npy", npy(self.x, (60, 4)))
        given, weights = self.train("--val-data", "vx.npy", "--val-target", "t.npy")
        self.assertEqual(weights, self.train()[1])  # all rows train
        self.assertIsNone(self.history()[0]["val_loss"])
        self.assertEqual(list(self.history()[0]), HISTORY)
        self.assertNotEqual(given[0]["val_loss"], history[0]["val_loss"])
        self.assert_refused("--val-data", "vx.npy", "--val-target", "t.npy", "--val-fraction",
                            "0.1", says="--val")
        self.assert_refused("--val-fraction", "1", says="--val-fraction outside [0, 1)")
        self.assert_refused("--val-fraction", "nan", says="--val-fraction")
        self.assert_refused("--val-fraction", "-0.1", says="--val-fraction")
        self.assert_refused("--val-target", "t.npy", says="--val-target")
        self.assert_refused("--val-data", "none.npy", "--val-target", "t.npy", says="none.npy")

    def test_scaling(self):
        self.write("x.npy", npy([100 + 5 * v for v in self.x], (60, 4)))
        self.write("t.npy", npy([1000 + 50 * v for v in self.t]))
        plain, _ = self.train()
        self.assertNotIn("x_scaler", self.config()["sinew"])
        scaled, _ = self.train("--scale-x", "--scale-y", "--val-fraction", "0.25")
        self.assertGreater(plain[0]["train_loss"], 1e5)
        self.assertLess(scaled[0]["train_loss"], 10)
        sinew = self.config()["sinew"]
        self.assertEqual(len(sinew["x_scaler"]["shift"]), 4)
        (shift,), (scale,) = sinew["y_scaler"]["shift"], sinew["y_scaler"]["scale"]
        self.assertAlmostEqual(shift, 1000, delta=60)
        self.assertAlmostEqual(scaled[1]["val_mse"], scaled[1]["val_loss"] * scale ** 2,
                               delta=1e-3 * scaled[1]["val_mse"])
        self.assert_refused("--scale-y", data=("--data", "x.npy", "--target", "labels.npy"),
                            says="--scale-y")

    def test_classifier(self):
        data = ("--data", "x.npy", "--target", "labels.npy")
        history, weights = self.train("--val-fraction", "0.25", data=data)
        self.assertEqual(self.config()["sinew"], {"loss": "cross_entropy", "classes": [0, 1, 2]})
        self.assertEqual(len(weights["head.bias"]), 3)
        self.assertIn(history[0]["val_accuracy"], [i / 15 for i in range(16)])
        self.train("--output-dim", "5", data=data)
        self.assertEqual(self.config()["sinew"]["classes"], [0, 1, 2, 3, 4])
        self.train("--loss", "mse", data=data)
        self.assertEqual(self.config()["sinew"]["loss"], "mse")
        self.assertEqual(self.config()["output_dim"], 1)
        self.write("odd.npy", npy([-7 if i % 2 else 40 for i in range(60)], descr="<i2"))
        self.train(data=("--data", "x.npy", "--target", "odd.npy"))
        self.assertEqual(self.config()["sinew"]["classes"], [-7, 40])
        self.assert_refused("--output-dim", "2", data=data, says="row 3: label 2")
        self.assert_refused("--loss", "cross_entropy", says="t.npy")
        self.assert_refused("--output-dim", "65537", data=data, says="more than 65536 classes")
        self.write("many.npy", npy(range(65537), descr="<i4"))
        self.write("x1.npy", npy([0.0] * 65537, (65537, 1)))
        self.assert_refused(data=("--data", "x1.npy", "--target", "many.npy"),
                            says="more than 65536 classes")
        self.write("count.csv", "\n".join(str(i % 21) for i in range(60)))
        counts = ("--data", "x.npy", "--target", "count.csv")
        self.assert_refused(data=counts,
                            says="count.csv: 21 different whole numbers in 60 rows: say --loss")
        self.train("--loss", "cross_entropy", data=counts)
        self.train("--loss", "mse", data=counts)
        self.write("other.npy", npy([9] * 60, descr="<i8"))
        self.assert_refused(data=("--data", "x.npy", "--target", "other.npy"),
                            says="only one class (9)")
        self.assert_refused("--val-data", "x.npy", "--val-target", "other.npy", data=data,
                            says="label 9")

    def test_csv_and_the_network_of_the_data(self):
        rows = ["a,b,c,d,e,f,y"] + [",".join(map(str, numbers(7, i))) for i in range(20)]
        self.write("table.csv", "\n".join(rows))
        self.train(data=("--data", "table.csv"))
        config = self.config()
        self.assertEqual((config["shape"], config["input_dim"]), ([2, 3], 6))
        self.assertEqual(config["sinew"], {"loss": "mse", "inputs": list("abcdef"),
                                           "targets": ["y"]})
        self.train("--target-column", "b,0", data=("--data", "table.csv"))
        self.assertEqual(self.config()["output_dim"], 2)
        self.write("grid.npy", npy(self.x[:120], (20, 3, 2)))
        self.write("t20.npy", npy(self.t[:20]))
        self.train(data=("--data", "grid.npy", "--target", "t20.npy"))
        self.assertEqual(self.config()["shape"], [3, 2])
        self.ok("train", "--model", "mlp", "--hidden-dim", "5", "--data", "grid.npy", "--target",
                "t20.npy", "--quiet", "--overwrite", "--out", "run", "--epochs", "1")
        self.assertEqual(self.config()["model"], "mlp")

    def test_nonfinite_data_and_losses(self):
        self.x[5] = math.nan
        self.write("nan.npy", npy(self.x, (60, 4)))
        data = ("--data", "nan.npy", "--target", "t.npy")
        self.assert_refused(data=data, says="row 2, column 2")
        done = self.run_program("train", *data, "--allow-nonfinite", "--out", "run", "--quiet")
        self.assertEqual((done.status, done.err.count("\n")), (1, 1))
        self.assertIn("not finite (epoch 1, step", done.err)
        history, weights = self.train("--allow-nonfinite", "--on-nonfinite", "skip", data=data)
        self.assertEqual([r["loss_nonfinite_steps"] for r in history], [1, 1])
        self.assertEqual([r["grad_nonfinite_steps"] for r in history], [1, 1])
        self.assertFalse(math.isnan(weights["head.bias"][0]))
        history, weights = self.train("--allow-nonfinite", "--on-nonfinite", "ignore", data=data)
        self.assertTrue(math.isnan(weights["head.bias"][0]))
        self.assertIsNone(history[1]["train_loss"])

    # --- files ---
    def test_folder(self):
        out = self.ok("train", "--data", "x.npy", "--target", "t.npy", "--out", "a/b", "--epochs",
                      "1", "--quiet")
        self.assertEqual(out, "")
        found = sorted(os.path.relpath(f, self.path("a/b")) for f in
                       glob.glob(self.path("a/b/**"), recursive=True) if os.path.isfile(f))
        self.assertEqual(found, ["checkpoint/settings.json", "checkpoint/state.safetensors",
                                 "config.json", "env.json", "history.json", "model.safetensors"])
        self.assertIn("version", json.loads(self.read("a/b/env.json")))
        self.assert_refused(says="holds a run", out="a/b")
        self.write("other/history.json", "[]")
        self.assert_refused(says="holds a run", out="other")
        self.assert_refused("--resume", "--overwrite", says="--overwrite")
        self.assert_refused(says="--out", out="")
        self.assert_refused("--overwrite", says="--out", out="")
        self.assert_refused(says="is no folder", out="x.npy")
        self.assert_refused("--resume", says="cannot be made", out="x.npy")
        self.assert_refused(says="cannot be made", out="x.npy/deeper")
        self.assert_one_line_error(["train", "--data", "x.npy"], says="--out")
        self.write("mine/notes.txt", "keep")
        self.train(out="mine", replace=())
        self.train(out="mine", replace=("--overwrite",))
        self.assertEqual(self.read("mine/notes.txt"), b"keep")

    def test_output_of_a_run(self):
        done = self.run_program("train", "--data", "x.npy", "--target", "t.npy", "--out", "run",
                                "--epochs", "2")
        self.assertEqual(done.status, 0)
        lines = done.err.splitlines()
        self.assertEqual(len(lines), 3)
        self.assertEqual(lines[0], "60 rows; 4 inputs on a 2 x 2 grid; 1 target; loss mse; "
                                   "361 parameters")
        self.assertRegex(lines[1], r"^epoch 1/2  train_loss \S+  lr 0.001  ETA \S+ s$")
        self.assertRegex(done.out, r"^run: epoch 2/2  train_loss \S+  lr 0.001\n$")

    def test_init(self):
        _, weights = self.train()
        again = self.train("--init", "run/model.safetensors", "--lr", "0", out="other")[1]
        self.assertEqual(again, weights)
        self.write("bad.safetensors", "no")
        self.assert_refused("--init", "bad.safetensors", says="bad.safetensors")
        self.assert_refused("--init", "run/model.safetensors", "--depth", "2", "--k", "2",
                            says="run/model.safetensors: load_state: blocks.1")
        self.assert_refused("--init", "none.safetensors", says="none.safetensors")
        tensors = read_safetensors(self.path("run/model.safetensors"))
        tensors["extra"] = ("F32", [1], [1.0])
        self.write("more.safetensors", safetensors(tensors))
        self.assert_refused("--init", "more.safetensors", "--depth", "1", "--k", "2",
                            says="extra is unexpected")
        self.train("--init", "more.safetensors", "--no-strict", "--lr", "0", out="other")
        self.assertEqual(self.weights("other"), weights)

    def test_early_stopping_keeps_the_best_epoch(self):
        args = ("--early-stopping", "--patience", "2", "--val-fraction", "0.3", "--lr", "0.1")
        out = self.run_program("train", "--data", "x.npy", "--target", "t.npy", *args, "--epochs",
                               "50", "--out", "shown", "--batch-size", "16", "--depth", "1",
                               "--k", "2").out
        history, weights = self.train(*args, epochs=50)
        self.assertLess(len(history), 50)
        self.assertIn(f"shown: best of {len(history)} epochs: epoch ", out)
        best = min(history, key=lambda r: r["val_loss"])["epoch"]
        self.assertEqual(len(history), best + 2)
        self.assertEqual([r["epoch"] for r in history if r["improved"]][-1], best)
        self.assertEqual(self.train("--val-fraction", "0.3", "--lr", "0.1", epochs=best)[1],
                         weights)
        self.assertEqual(len(self.train("--early-stopping", "--patience", "2", "--val-fraction",
                                        "0.3", "--lr", "0.1", "--no-early-stopping", epochs=9)[0]), 9)
        self.assert_refused("--early-stopping", "--patience", "0", says="--patience")

    def test_one_training_per_folder(self):
        process = self.start("run", "--epochs", "100000", "--checkpoint-every", "1")
        while not os.path.exists(self.path("run/checkpoint/state.safetensors")):
            time.sleep(0.001)
        for flag in ("--resume", "--overwrite"):
            done = self.run_program("train", "--data", "x.npy", "--target", "t.npy", "--out", "run",
                                    flag)
            self.assertEqual((done.status, done.out), (2, ""))
            self.assertEqual(done.err, "sinew train: error: run: another run is writing to it\n")
        process.kill()
        process.communicate()
        self.train(out="run")

    def test_a_training_that_fails_leaves_the_model(self):
        self.train()
        kept = self.read("run/model.safetensors"), self.read("run/config.json")
        done = self.run_program("train", "--data", "x.npy", "--target", "t.npy", "--out", "run",
                                "--overwrite", "--init", "run/model.safetensors", "--config",
                                "run/config.json", "--lr", "1e38", "--optimizer", "sgd", "--quiet")
        self.assertEqual((done.status, done.err.count("\n")), (1, 1), done)
        self.assertEqual((self.read("run/model.safetensors"), self.read("run/config.json")), kept)

    def test_what_predict_could_not_read_is_refused(self):
        self.write("huge.npy", npy([1e38 * v for v in self.x], (60, 4)))
        self.assert_refused("--scale-x", data=("--data", "huge.npy", "--target", "t.npy"),
                            says="means of --scale-x")
        rows = "\n1,2,3" * 9
        self.write("latin.csv", b"a,\xe9,y" + rows.encode())
        self.assert_refused(data=("--data", "latin.csv"), says="a column's name is no UTF-8 text")
        self.write("twice.csv", "a,a,y" + rows)
        self.assert_refused(data=("--data", "twice.csv"), says="two columns are called 'a'")
        self.write("grid.npy", npy(self.x, (30, 2, 4)))
        self.write("turned.npy", npy(self.x, (30, 4, 2)))
        self.write("t30.npy", npy(self.t[:30]))
        self.assert_refused("--val-data", "turned.npy", "--val-target", "t30.npy",
                            data=("--data", "grid.npy", "--target", "t30.npy"),
                            says="turned.npy: rows are grids of [4, 2]")

    def test_scalers_keep_f64(self):
        self.write("x.npy", npy([1.6e9 + v for v in self.x], (60, 4), "<f8"))
        self.write("t.npy", npy([1e9 + v for v in self.t], descr="<f8"))
        self.write("v.npy", npy([1e9 + v for v in self.t], descr="<f8"))
        history, _ = self.train("--precision", "f64", "--scale-x", "--scale-y", "--val-data",
                                "x.npy", "--val-target", "v.npy")
        measured = json.loads(self.ok("evaluate", "--model", "run", "--data", "x.npy", "--target",
                                      "v.npy", "--precision", "f64", "--json"))
        self.assertAlmostEqual(measured["mse"], history[-1]["val_mse"], delta=1e-5)

    # --- values out of range ---
    def test_refused_values(self):
        for args in (("--epochs", "0"), ("--epochs", "x"), ("--batch-size", "0"), ("--lr", "-1"),
                     ("--lr", "nan"), ("--weight-decay", "-1"), ("--betas", "1,0.9"),
                     ("--betas", "0.9"), ("--eps", "-1"), ("--optimizer", "lion"),
                     ("--schedule", "exp"), ("--warmup-steps", "-1"), ("--lr-min", "-1"),
                     ("--schedule", "step", "--step-size", "0"), ("--gamma", "-1"),
                     ("--loss", "mae2"), ("--loss-beta", "0"), ("--loss-delta", "-2"),
                     ("--clip-norm", "-1"), ("--on-nonfinite", "panic"), ("--patience", "x"),
                     ("--optimizer", "sgd", "--momentum", "-1"), ("--checkpoint-every", "0"),
                     ("--seed", "x"), ("--device", "gpu"), ("--device", "cpu", "--precision", "bf16"),
                     ("--threads", "0"), ("--isa", "sse9"), ("--graph", "maybe"),
                     ("--fusion", "auto"), ("--compile",), ("--num-workers", "2"), ("--dtype", "float16"),
                     ("--depth", "0"), ("--shape", "5x5"), ("--hidden-dim", "3"), ("--unknown",),
                     ("--epochs", "9223372036854775807"), ("--seed", "9223372036854775808"),
                     ("--seed", "18446744073709551615"), ("--betas", "0.1,0.2,0.3"),
                     ("--betas", "0.9,x"), ("--output-dim", "0"), ("--batch-size", "1e3")):
            flag = [a for a in args if a.startswith("--")][-1]  # the one that is wrong
            says = {"--shape": "25 inputs", "--betas": "beta", "--loss-beta": "beta",
                    "--loss-delta": "delta"}.get(flag, flag[2:].replace("-", "_"))
            with self.subTest(args):
                done = self.run_program("train", "--data", "x.npy", "--target", "t.npy", "--out",
                                        "new", *args)
                self.assertIn(says, done.err.replace("-", "_") if "_" in says else done.err)
                self.assert_refused(*args, says="")

    # --- stopping and going on ---
    def start(self, out, *args):
        return subprocess.Popen([PROGRAM, "train", *ON_CPU, "--data", "x.npy", "--target", "t.npy", "--out",
                                 out, "--batch-size", "8", "--depth", "2", "--epochs", "150",
                                 "--drop-path-max", "0.3", "--resume", "--quiet", *args],
                                cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def finish(self, process, status=0):
        out, err = process.communicate(timeout=120)
        self.assertEqual(process.returncode, status, err)
        return out.decode(), err.decode()

    def test_killed_at_random_moments_it_ends_with_the_same_bits(self):
        began = time.monotonic()
        self.finish(self.start("whole", "--checkpoint-every", "1"))
        length = time.monotonic() - began
        wanted = self.read("whole/model.safetensors")
        moments, kills, runs = random.Random(7), 0, 0
        while kills < 50:
            out = f"run{runs}"
            runs += 1
            for _ in range(50 - kills):
                process = self.start(out, "--checkpoint-every", "1")
                try:
                    process.wait(timeout=moments.uniform(0, length / 4))
                    break
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    process.communicate()
                    kills += process.returncode == -signal.SIGKILL
            if not os.path.exists(self.path(f"{out}/config.json")):
                self.assert_one_line_error(["predict", "--model", out, "--input", "x.npy",
                                            "--output", "y.npy"],
                                           says=f"{out}: its training is not finished")
            self.finish(self.start(out, "--checkpoint-every", "1"))
            self.assertEqual(self.read(f"{out}/model.safetensors"), wanted)
            self.assertEqual([r["epoch"] for r in self.history(out)], list(range(1, 151)))
            self.assertEqual(glob.glob(self.path(f"{out}/**/.sinew-*"), recursive=True), [])

    def test_signals_write_a_checkpoint(self):
        self.finish(self.start("whole"))
        for sent, status, name in ((signal.SIGTERM, 143, "SIGTERM"), (signal.SIGINT, 130, "SIGINT")):
            process = self.start(name, "--checkpoint-every", "100000")
            while not os.path.exists(self.path(f"{name}/env.json")):
                time.sleep(0.001)
            process.send_signal(sent)
            out, err = self.finish(process, status)
            self.assertEqual(out, "")
            self.assertRegex(err, rf"^sinew train: error: stopped by {name} after step \d+ of "
                                  r"1200; --resume goes on from there\n$")
            self.assertTrue(os.path.exists(self.path(f"{name}/checkpoint/state.safetensors")))
            self.ok("predict", "--model", name, "--input", "x.npy", "--output", "y.npy")
            self.finish(self.start(name))
            self.assertEqual(self.read(f"{name}/model.safetensors"),
                             self.read("whole/model.safetensors"))

    def test_more_epochs_go_on_as_one_run(self):
        _, whole = self.train(epochs=5, out="whole")
        self.train(epochs=2, out="part")
        history, weights = self.train(epochs=5, out="part", replace=("--resume",))
        self.assertEqual(weights, whole)
        self.assertEqual(len(history), 5)
        again, weights = self.train(epochs=5, out="part", replace=("--resume",))
        self.assertEqual((again, weights), (history, whole))  # nothing was left to do

    def test_resume_refuses_other_settings(self):
        self.train("--val-fraction", "0.25", "--schedule", "cosine")
        self.write("t2.npy", npy(self.t[::-1]))
        base = {"--val-fraction": "0.25", "--schedule": "cosine", "--epochs": "2",
                "--batch-size": "16", "--depth": "1", "--k": "2"}
        for flag, value, says in (
                ("--epochs", "3", "epochs: 2, now 3"), ("--lr", "0.5", "lr: 0.001, now 0.5"),
                ("--depth", "2", "network"), ("--seed", "1", "initial weights"),
                ("--batch-size", "15", "batch_size: 16, now 15"), ("--target", "t2.npy", "target"),
                ("--optimizer", "adam", "optimizer: adamw, now adam"),
                ("--betas", "0.8,0.9", "betas"), ("--weight-decay", "1", "weight_decay"),
                ("--loss", "l1", "loss: mse, now l1"), ("--clip-norm", "1", "clip_norm"),
                ("--val-fraction", "0.3", "data"), ("--schedule", "linear", "schedule"),
                ("--precision", "f64", "f32, now f64")):
            flags = {"--data": "x.npy", "--target": "t.npy", **base, flag: value}
            args = [word for pair in flags.items() for word in pair]
            with self.subTest(flag):
                self.assert_one_line_error(["train", "--out", "run", "--resume", *args], says=says)
        labels = {"--data": "x.npy", "--target": "labels.npy", "--epochs": "2"}
        args = [word for pair in labels.items() for word in pair]
        self.ok("train", "--out", "other", "--quiet", *args)
        self.write("labels.npy", npy([i % 3 + 5 for i in range(60)], descr="<i8"))
        self.assert_one_line_error(["train", "--out", "other", "--resume", *args], says="classes")
        self.ok("train", "--out", "scaled", "--quiet", "--data", "x.npy", "--target", "t.npy",
                "--scale-y")
        self.write("t4.npy", npy([4 * v for v in self.t]))
        self.assert_one_line_error(["train", "--out", "scaled", "--resume", "--data", "x.npy",
                                    "--target", "t4.npy", "--scale-y"], says="scaling")
        args = [word for pair in base.items() for word in pair]
        for name, content in (("state.safetensors", b"x"), ("settings.json", b"[]"),
                              ("settings.json", b"{}"), ("settings.json", b"[" * 400000)):
            kept = self.read(f"run/checkpoint/{name}")
            self.write(f"run/checkpoint/{name}", content)
            self.assert_one_line_error(["train", "--data", "x.npy", "--target", "t.npy", "--out",
                                        "run", "--resume", *args], says=name)
            self.write(f"run/checkpoint/{name}", kept)

    def test_limited_file_size(self):
        import resource
        self.train()
        kept = self.read("run/checkpoint/state.safetensors")
        args = ["train", "--data", "x.npy", "--target", "t.npy", "--out", "run", "--quiet",
                "--batch-size", "16", "--depth", "1", "--k", "2", "--epochs", "4", "--resume"]
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        done = self.run_program(*args, preexec_fn=limit)
        self.assertEqual((done.status, done.err.count("\n")), (1, 1), done)
        self.assertIn("File too large", done.err)
        self.assertEqual(self.read("run/checkpoint/state.safetensors"), kept)
        self.assertEqual(glob.glob(self.path("run/**/.sinew-*"), recursive=True), [])
        self.ok(*args)

    def test_help_shows_every_flag(self):
        out = self.ok("train", "--help")
        flags = """--data --target --target-column --idx-scale --allow-nonfinite --config --shape
            --depth --k --pattern --radius --wrap-mode --activation --activation-config --norm
            --drop-path-max --output-dim --model --epochs --batch-size --lr --weight-decay --seed
            --optimizer --momentum --betas --eps --schedule --warmup-steps --lr-min --step-size
            --gamma --loss --loss-beta --loss-delta --val-fraction --val-data --val-target
            --early-stopping --patience --scale-x --scale-y --shuffle --no-shuffle --clip-norm
            --on-nonfinite --checkpoint-every --resume --overwrite --init --out --device --threads
            --isa --precision --graph --fusion --quiet --amp --tf32 --dtype""".split()
        for flag in flags:
            self.assertRegex(out, rf"{flag}[ ,=\n]")
        self.assertIn("Example: sinew train", out)


if __name__ == "__main__":
    unittest.main()
