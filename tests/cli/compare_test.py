#!/usr/bin/env python3
"""sinew compare: the reference's figures, its files, what each flag does, errors."""
import csv
import io
import json
import os
import random
import resource
import signal
import subprocess
import unittest

from case import GOLDEN, ON_CPU, PROGRAM, SANITIZED, CliCase, npy, volatile_fields

SMALL = ["--shape", "2x3", "--depth", 1, "--k", 2, "--train-size", 40, "--test-size", 12,
         "--epochs", 2, "--batch-size", 16, "--quiet"]
MODELS = ["geo_sparse", "dense_resrelu", "dense_respsann"]
BASELINES = ["dense_resrelu", "dense_respsann", "dense_relu", "dense_psann"]
REFERENCE_COLUMNS = """compile_time_s epoch_time_s_mean grad_nonfinite_steps grad_norm_max
    loss_nonfinite_steps model mse_test mse_train mse_val param_mismatch param_mismatch_ratio
    params_analytic params_empirical samples_per_sec step_time_ms_mean test_mae test_mse test_r2
    test_rmse test_smape train_mae train_mse train_r2 train_rmse train_smape train_time_s val_mae
    val_mse val_r2 val_rmse val_smape""".split()


def figures(results):
    """What may not differ between two runs: all but times and memory."""
    volatile = volatile_fields()
    models = [dict(m, train={k: v for k, v in m["train"].items() if k not in volatile})
              for m in results["models"]]
    return models, results["reference_lines"]


class Compare(CliCase):
    def compare(self, *args, small=SMALL, out="out"):
        self.assertEqual(self.ok("compare", *small, "--overwrite", "--out", out, *args), "")
        return json.loads(self.read(f"{out}/results.json"))

    def assert_refused(self, *args, says):
        self.assert_one_line_error(["compare", "--out", "new", *args], says=says)

    def assert_close(self, value, expected, tolerance=1e-5):
        self.assertLess(abs(value - expected), tolerance * abs(expected), (value, expected))

    # --- figures ---
    def test_all_figures_of_a_run_of_the_reference(self):
        with open(f"{GOLDEN}/compare/results.json", encoding="utf-8") as f:
            golden = json.load(f)
        m = golden["manifest"]
        results = self.compare(
            "--shape", "5x5", "--depth", m["depth_sparse"], "--k", m["k"], "--pattern",
            m["pattern"], "--radius", m["radius"], "--wrap-mode", m["wrap_mode"],
            "--sparse-activation", m["sparse_activation"], "--task", m["task"], "--train-size",
            m["train_size"], "--test-size", m["test_size"], "--epochs", m["epochs"],
            "--batch-size", m["batch_size"], "--seed", m["seed"], "--scale-x", "--scale-y",
            small=["--quiet"])
        ours = results["manifest"]
        for key, value in m.items():
            if key == "dataset_meta" or key.startswith(("compile", "amp_dtype_eff")):
                continue
            self.assertEqual(ours[key], value, key)
        for key, value in m["dataset_meta"].items():
            if isinstance(value, float):
                self.assert_close(ours["dataset_meta"][key], value)
            else:
                self.assertEqual(ours["dataset_meta"][key], value, key)
        for model, expected in zip(results["models"], golden["models"], strict=True):
            self.assertEqual(model["name"], expected["name"])
            for key in ("params_empirical", "params_trainable", "params_analytic"):
                self.assertEqual(model[key], expected[key])
            self.assertEqual(model.get("param_mismatch"), expected.get("param_mismatch"))
            for point, golden_point in zip(model["curve"], expected["curve"], strict=True):
                self.assertEqual(point["epoch"], golden_point["epoch"])
                self.assert_close(point["train_mse"], golden_point["train_mse"])
                self.assert_close(point["test_mse"], golden_point["test_mse"])
            for key in ("mse_train", "mse_val", "mse_test"):
                self.assert_close(model[key], expected[key])
            for part in ("metrics_train", "metrics_val", "metrics_test"):
                for name in ("mse", "rmse", "mae", "smape"):
                    self.assert_close(model[part][name], expected[part][name])
                self.assert_close(1 - model[part]["r2"], 1 - expected[part]["r2"])
            self.assert_close(model["train"]["grad_norm_max"], expected["train"]["grad_norm_max"])

    @unittest.skipIf(SANITIZED, "800 steps of three networks")
    def test_a_cell_of_the_published_rerun(self):
        with open(f"{GOLDEN}/compare/rerun.csv", encoding="utf-8") as f:
            row = next(csv.DictReader(f))
        results = self.compare(
            "--shape", "8x8", "--k", row["k"], "--task", row["task"], "--activation",
            row["activation"], "--seed", row["seed"], "--train-size", 8192, "--test-size", 2048,
            "--val-fraction", 0, "--batch-size", 256, small=["--quiet"])
        for model in results["models"]:
            self.assert_close(model["mse_test"], float(row[model["name"]]), 1e-3)
            self.assertIsNone(model["mse_val"])
            self.assertIsNone(model["metrics_val"])
            self.assertEqual(model["best"]["by"], "train")

    def test_same_figures_whatever_the_threads_and_recording(self):
        first = figures(self.compare("--threads", 1))
        self.assertEqual(figures(self.compare("--threads", 2)), first)
        self.assertEqual(figures(self.compare("--graph", "off")), first)
        self.assertNotEqual(figures(self.compare("--seed", 1)), first)

    def test_fusion_changes_the_roundings_of_geo_sparse_only(self):
        fused, single = (self.compare("--shape", "4x4", "--depth", 2, "--epochs", 4, *args)
                         for args in ((), ("--fusion", "off")))
        for results, setting in ((fused, True), (single, False)):
            self.assertIs(results["environment"]["fusion"], setting)
            self.assertIs(results["manifest"]["fusion"], setting)
        ours, theirs = figures(fused)[0], figures(single)[0]
        self.assertEqual(ours[1:], theirs[1:])
        self.assertNotEqual(ours[0], theirs[0])
        self.assert_close(ours[0]["mse_test"], theirs[0]["mse_test"])

    def test_fresh_seed_makes_models_independent(self):
        def last(*args):
            return figures(self.compare(*args))[0][-1]
        both, alone = ["--baselines", "dense_resrelu,dense_psann"], ["--baselines", "dense_psann"]
        self.assertNotEqual(last(*both), last(*alone))
        self.assertEqual(last(*both, "--fresh-seed-per-model"),
                         last(*alone, "--fresh-seed-per-model"))

    def test_best_epoch_is_that_of_the_smallest_validation_loss(self):
        results = self.compare("--epochs", 30, "--lr", 0.05, "--train-size", 60)
        chosen = 0
        for model in results["models"]:
            losses = [p["val_mse"] for p in model["curve"]]
            best = model["best"]
            self.assertEqual(best["by"], "val")
            self.assert_close(losses[best["epoch"] - 1], min(losses), 1e-6)
            point = model["curve"][best["epoch"] - 1]
            self.assertEqual(best["metrics_test"]["mse"], point["test_mse"])
            self.assert_close(best["metrics_val"]["mse"], point["val_mse"])
            self.assertEqual(model["curve"][-1]["test_mse"], model["mse_test"])
            chosen += best["epoch"] < 30
        self.assertGreater(chosen, 0)

    def test_times_and_memory(self):
        results = self.compare("--epochs", 3, "--timing-epochs", 2, "--timing-warmup-steps", 1)
        for model in results["models"]:
            t = model["train"]
            # 36 rows in batches of 16: per epoch two full batches and one of 4 rows. The first two
            # calls of each size are eager and recorded.
            self.assertEqual(t["timed_steps"], 9 - 4)
            parts = ("step_time_s", "capture_time_s", "data_time_s", "evaluation_time_s")
            self.assertTrue(all(t[p] > 0 for p in parts), t)
            self.assertLess(sum(t[p] for p in parts), t["train_time_s"])
            order = [t[f"step_time_ms_{q}"] for q in ("min", "p25", "median", "p75", "max")]
            self.assertEqual(order, sorted(order))
            self.assertGreater(t["step_time_ms_mean"], 0)
            self.assertGreater(t["memory_high_water_bytes"], 4 * 4 * model["params_empirical"])
            self.assert_close(t["samples_per_sec"], 3 * 36 / t["train_time_s"])
            self.assert_close(t["epoch_time_s_mean"], t["train_time_s"] / 3)
        none = self.compare("--timing-epochs", 0)["models"][0]["train"]
        self.assertIsNone(none["step_time_ms_mean"])
        eager = self.compare("--graph", "off")["models"][0]["train"]
        self.assertEqual(eager["timed_steps"], 6 - 2)

    def test_memory_is_that_of_training(self):
        def bytes_of(*args):
            return [m["train"]["memory_high_water_bytes"] for m in self.compare(*args)["models"]]
        self.assertEqual(bytes_of("--test-size", 5), bytes_of("--test-size", 4000))

    def test_nothing_is_best_where_no_loss_is_finite(self):
        best = self.compare("--lr", 1e38, "--epochs", 2, "--train-size", 200)["models"][1]["best"]
        self.assertEqual((best["epoch"], best["metrics_test"]), (None, None))

    def test_reference_lines(self):
        lines = {line["name"]: line for line in self.compare("--train-size", 400)["reference_lines"]}
        self.assertEqual(list(lines), ["mean", "least_squares"])
        self.assertLess(abs(lines["mean"]["metrics_train"]["r2"]), 1e-6)
        self.assertGreater(lines["least_squares"]["metrics_train"]["r2"], 0.02)
        self.assertIsNotNone(lines["mean"]["metrics_val"])

    # --- files ---
    def test_files(self):
        results = self.compare()
        self.assertEqual(sorted(os.listdir(self.path("out"))),
                         ["manifest.json", "results.json", "summary.csv"])
        self.assertEqual(json.loads(self.read("out/manifest.json")), results["manifest"])
        for key in ("hostname", "processor", "build", "threads", "isa", "devices", "driver",
                    "cuda_build", "tf32", "precision", "graph", "fusion"):
            self.assertIn(key, results["environment"])
        text = self.read("out/summary.csv").decode()
        rows = list(csv.DictReader(io.StringIO(text)))
        self.assertEqual([r["model"] for r in rows], MODELS)
        columns = list(rows[0])
        self.assertEqual(columns, sorted(columns))
        self.assertEqual(set(REFERENCE_COLUMNS) - set(columns), set())
        self.assertEqual(rows[0]["param_mismatch"], "")
        self.assertEqual(rows[0]["compile_time_s"], "")
        for row, model in zip(rows, results["models"]):
            self.assertEqual(float(row["test_mse"]), model["metrics_test"]["mse"])
            self.assertEqual(float(row["train_time_s"]), model["train"]["train_time_s"])
            self.assertEqual(int(row["best_epoch"]), model["best"]["epoch"])
        self.assertNotIn(b"NaN", self.read("out/results.json"))

    def test_not_finite_figures_are_null(self):
        model = self.compare("--lr", 1e30, "--epochs", 3)["models"][1]
        self.assertIsNone(model["mse_test"])
        self.assertIsNone(model["curve"][-1]["test_mse"])
        self.assertGreater(model["train"]["loss_nonfinite_steps"], 0)

    def test_remarks(self):
        plain = ["compare", *SMALL[:-1], "--overwrite", "--out", "out"]
        self.assertIn("\nno network predicts better than mean: more --epochs",
                      self.run_program(*plain, "--lr", 0, "--train-size", 400,
                                       "--test-size", 400).err)
        diverged = self.run_program(*plain, "--lr", 1e30)
        self.assertIn("\ngeo_sparse: the loss was not finite in ", diverged.err)
        self.assertIn("not finite", diverged.out)
        self.assertNotIn("no network", diverged.err)

    def test_table_and_progress(self):
        done = self.run_program("compare", *SMALL[:-1], "--out", "out", "--match-tolerance", 0)
        self.assertEqual(done.status, 0)
        lines = done.out.splitlines()
        self.assertEqual([line.split()[0] for line in lines[1:6]],
                         MODELS + ["mean", "least_squares"])
        self.assertEqual(lines[-1], "out: manifest.json, results.json, summary.csv")
        self.assertRegex(done.err, r"(?m)^dense_resrelu of width \d+ has \d+ parameters, geo_sparse "
                         r"\d+: \d+\.\d % apart$")
        self.assertRegex(done.err, r"(?m)^geo_sparse  epoch 1/2  train_loss \S+  ETA ")
        quiet = self.run_program("compare", *SMALL[:-1], "--out", "b", "--match-tolerance", 100)
        self.assertNotIn("apart", quiet.err)

    def test_the_default_folder_has_the_time_in_its_name(self):
        self.ok("compare", *SMALL)
        (name,) = os.listdir(self.path("reports/geo_sparse"))
        self.assertRegex(name, r"^\d{8}_\d{6}$")

    def test_a_failed_overwrite_leaves_no_old_results(self):
        self.compare()
        self.write("out/.sinew-old.tmp", "")
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2500, 2500))
        done = self.run_program("compare", *SMALL, "--lr", 0.5, "--overwrite", "--out", "out",
                                preexec_fn=limit)
        self.assertEqual(done.status, 1)
        self.assertNotIn("results.json", os.listdir(self.path("out")))
        self.assertNotIn(".sinew-old.tmp", os.listdir(self.path("out")))

    def test_a_folder_with_a_comparison_is_kept(self):
        self.compare()
        self.assert_one_line_error(["compare", *SMALL, "--out", "out"],
                                   says="out: holds a comparison (results.json); use --overwrite")

    # --- flags ---
    def test_network_flags_reach_the_network(self):
        results = self.compare(
            "--pattern", "hash", "--radius", 2, "--wrap-mode", "wrap", "--activation-config",
            '{"decay_init": 0.2}', "--norm", "layer", "--offset-order", "distance", "--distinct",
            "--net-seed", 7, "--baselines", "dense_respsann")
        network = results["manifest"]["network"]
        for key, value in {"pattern": "hash", "radius": 2, "wrap_mode": "wrap", "norm": "layer",
                           "offset_order": "distance", "distinct": True, "seed": 7,
                           "activation_config": {"decay_init": 0.2}}.items():
            self.assertEqual(network[key], value, key)
        self.write("net.json", {"shape": "3x3", "depth": 2, "k": 3})
        manifest = self.compare("--config", "net.json", small=SMALL[6:])["manifest"]
        self.assertEqual((manifest["shape"], manifest["depth_sparse"], manifest["k"]),
                         ([3, 3], 2, 3))

    def test_baselines(self):
        results = self.compare("--baselines", ",".join(reversed(BASELINES)))
        self.assertEqual([m["name"] for m in results["models"]], ["geo_sparse", *BASELINES])
        self.assertEqual(results["manifest"]["baselines"], BASELINES)
        for name in BASELINES:
            self.assertGreater(results["manifest"][name + "_width"], 0)
        alone = self.compare("--baselines", "none")
        self.assertEqual([m["name"] for m in alone["models"]], ["geo_sparse"])

    def test_sizes_of_the_dense_networks(self):
        results = self.compare("--dense-depth", 3, "--dense-max-width", 2)
        self.assertEqual(results["manifest"]["dense_depth"], 3)
        self.assertEqual([m.get("width") for m in results["models"]], [None, 2, 2])

    def test_training_flags_change_the_figures(self):
        base = figures(self.compare())
        for change in (["--lr", 0.01], ["--weight-decay", 0.5], ["--batch-size", 8],
                       ["--scale-x"], ["--scale-y"], ["--val-fraction", 0.5], ["--task", "sine"],
                       ["--task", "teacher_relu"], ["--task", "teacher_tanh"],
                       ["--precision", "f64"], ["--test-size", 13]):
            with self.subTest(change):
                results = self.compare(*change)
                self.assertNotEqual(figures(results), base)
                key = change[0][2:].replace("-", "_")
                if len(change) > 1:
                    self.assertEqual(str(results["manifest"][key]), str(change[1]))
                else:
                    self.assertIs(results["manifest"][key], True)

    # --- data files ---
    def write_data(self):
        draw = random.Random(5)
        rows = [[draw.uniform(-1, 1) for _ in range(6)] for _ in range(60)]
        flat = [v for row in rows for v in row]
        self.write("x.npy", npy(flat, (60, 6)))
        self.write("t.npy", npy([3 * r[0] - r[1] + 2 for r in rows]))
        self.write("c.npy", npy([int(r[0] > 0) + int(r[0] > 0.5) for r in rows], descr="<i8"))
        return rows

    def test_files_for_a_regression(self):
        self.write_data()
        small = [*SMALL[:6], *SMALL[10:]]
        results = self.compare("--data", "x.npy", "--target", "t.npy", "--test-fraction", 0.25,
                               small=small)
        m = results["manifest"]
        self.assertEqual((m["task"], m["data"], m["target"], m["train_size"], m["test_size"],
                          m["loss"], m["features"]), ("file", "x.npy", "t.npy", 45, 15, "mse", 6))
        self.assertGreater(results["reference_lines"][1]["metrics_test"]["r2"], 0.999999)
        other = self.compare("--data", "x.npy", "--target", "t.npy", "--test-data", "x.npy",
                             "--test-target", "t.npy", small=small)
        self.assertEqual((other["manifest"]["train_size"], other["manifest"]["test_size"]),
                         (60, 60))
        self.assertNotEqual(other["manifest"]["digest"], m["digest"])

    def test_files_for_a_classification(self):
        self.write_data()
        small = [*SMALL[:6], *SMALL[10:]]
        results = self.compare("--data", "x.npy", "--target", "c.npy", small=small)
        self.assertEqual((results["manifest"]["classes"], results["manifest"]["loss"]),
                         (3, "cross_entropy"))
        self.assertEqual([line["name"] for line in results["reference_lines"]],
                         ["most_frequent", "least_squares"])
        for model in results["models"]:
            self.assertEqual(sorted(model["metrics_test"]),
                             ["accuracy", "cross_entropy", "macro_f1"])
            self.assertEqual(model["accuracy_test"], model["metrics_test"]["accuracy"])
            self.assertEqual(model["curve"][-1]["test_accuracy"], model["accuracy_test"])
            self.assert_close(model["curve"][-1]["test_loss"],
                              model["metrics_test"]["cross_entropy"])
        as_numbers = self.compare("--data", "x.npy", "--target", "c.npy", "--loss", "mse",
                                  small=small)
        self.assertIn("mse_test", as_numbers["models"][0])
        done = self.run_program("compare", *small[:-1], "--data", "x.npy", "--target", "c.npy",
                                "--out", "table")
        self.assertIn("test accuracy", done.out)
        self.assertIn("x.npy: 43 rows to train, 5 for validation, 12 for testing; 6 inputs on a 2 x 3 "
                      "grid; 3 classes\n", done.err)

    def test_a_csv_whose_target_has_a_comma_in_its_name(self):
        rows = self.write_data()
        lines = ['a,b,"cost, net"'] + [f"{r[0]},{r[1]},{r[0] - r[1]}" for r in rows]
        self.write("t.csv", "\n".join(lines) + "\n")
        small = ["--depth", 1, "--k", 2, *SMALL[10:-1]]
        done = self.run_program("compare", *small, "--data", "t.csv", "--target-column",
                                "cost, net", "--out", "out")
        self.assertEqual(done.status, 0, done.err)
        self.assertIn("2 inputs on a 1 x 2 grid; 1 target (cost, net)\n", done.err)
        manifest = json.loads(self.read("out/manifest.json"))
        self.assertEqual(manifest["target_columns"], ["cost, net"])

    # --- errors ---
    def test_values_out_of_range(self):
        for args, says in (
                (["--shape", "0x4"], "a size of shape outside [1, 2^31) (0)"), (["--k", "-1"], "k"), (["--depth", 0], "depth"),
                (["--task", "cosine"], "task: unknown name"),
                (["--baselines", "dense"], "contenders: unknown baseline (dense"),
                (["--baselines", "dense_relu,"], "--baselines: an empty item (dense_relu,)"),
                (["--epochs", 0], "--epochs"), (["--batch-size", 0], "--batch-size"),
                (["--lr", "x"], "--lr"), (["--lr", "nan"], "lr"),
                (["--weight-decay", -1], "--weight-decay is no number >= 0 (-1.000000)"),
                (["--match-tolerance", "nan"], "--match-tolerance is no number >= 0 (nan)"),
                (["--val-fraction", 1], "--val-fraction outside [0, 1) (1.000000)"),
                (["--train-size", 0], "--train-size"), (["--test-size", 0], "--test-size"),
                (["--train-size", 2, "--val-fraction", 0.9], "split_rows"),
                (["--dense-depth", 0], "--dense-depth"),
                (["--dense-max-width", 0], "--dense-max-width"),
                (["--timing-epochs", -1], "--timing-epochs: needs a whole number, 0 or above (-1)"),
                (["--timing-warmup-steps", -1], "--timing-warmup-steps"),
                (["--seed", "1.5"], "--seed"), (["--sparse-activation", "mixed"], "activation_types"),
                (["--compile"], "--compile has no meaning here"),
                (["--num-workers", 2], "--num-workers has no meaning here"),
                (["--device", "tpu"], "--device"), (["--model", "mlp"], "--model"),
                (["--hidden-dim", 3], "--hidden-dim"), (["extra"], "extra")):
            with self.subTest(args):
                self.assert_refused(*args, says=says)
        self.write("mlp.json", {"model": "mlp", "hidden_dim": 3})
        self.assert_refused("--config", "mlp.json",
                            says="--config: a comparison starts from a geo_sparse network")

    def test_data_flags_that_do_not_fit_together(self):
        self.write_data()
        self.write("two.npy", npy([0.5] * 120, (60, 2)))
        files = ["--data", "x.npy", "--target", "t.npy"]
        for args, says in (
                ([*files, "--task", "sine"], "--task"), ([*files, "--train-size", 5], "--train-size"),
                (["--test-fraction", 0.1], "--data"), (["--loss", "mse"], "--data"),
                ([*files, "--loss", "l1"], "--loss"),
                ([*files, "--test-fraction", 1], "--test-fraction outside (0, 1) (1.000000)"),
                ([*files, "--test-data", "x.npy", "--test-fraction", 0.5], "--test-fraction"),
                ([*files, "--test-target", "t.npy"], "--test-data"),
                ([*files, "--test-data", "two.npy", "--test-target", "t.npy"],
                 "two.npy: has other columns than x.npy"),
                ([*files, "--shape", "5x5"], "25 inputs, the data 6 columns"),
                (["--data", "x.npy", "--target", "c.npy", "--scale-y"], "--scale-y is for numbers"),
                (["--data", "none.npy", "--target", "t.npy"], "none.npy: ")):
            with self.subTest(args):
                self.assert_refused(*args, says=says)

    def test_a_folder_that_cannot_be_written(self):
        self.write("file", "x")
        self.assert_one_line_error(["compare", *SMALL, "--out", "file/out"], says="file/out: ")
        self.assert_one_line_error(["compare", *SMALL, "--out", "/proc/x"], says="/proc/x: ")
        self.assert_one_line_error(["compare", *SMALL, "--out", ""], says="--out is empty")

    def test_a_full_disk(self):
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        done = self.run_program("compare", *SMALL, "--out", "out", preexec_fn=limit)
        self.assertEqual(done.status, 1)
        self.assertRegex(done.err, r"\Asinew compare: error: out/\S+: .*\n\Z")
        self.assertNotIn("results.json", os.listdir(self.path("out")))
        self.assertEqual([n for n in os.listdir(self.path("out")) if n.endswith(".tmp")], [])

    def test_a_signal_ends_it(self):
        with subprocess.Popen([PROGRAM, "compare", *ON_CPU, "--epochs", "1000000", "--out", "out"],
                              cwd=self.folder, stderr=subprocess.PIPE) as process:
            process.stderr.readline()
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 143)
        self.assertEqual(err.decode().splitlines()[-1],
                         "sinew compare: error: stopped by SIGTERM; nothing was written")
        self.assertEqual(os.listdir(self.path("out")), [])


if __name__ == "__main__":
    unittest.main()
