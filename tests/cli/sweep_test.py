#!/usr/bin/env python3
"""sinew sweep and sinew sweep merge: the grid, resuming, kills, shards, files, every flag."""
import csv
import fcntl
import glob
import io
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import time
import unittest

from case import CliCase, ON_CPU, PROGRAM, SANITIZED, volatile_fields

TINY = ["--train-size", 32, "--test-size", 8, "--epochs", 1, "--batch-size", 16]
GRID = ["--shapes", "2x2", "--depths", 1, "--ks", "2", "--activations", "relu,psann", "--seeds",
        "0,1"]
IDS = [f"task=mixed_shape=2x2_depth=1_k=2_act={a}_seed={s}"
       for a in ("relu", "psann") for s in (0, 1)]
SLOW = ["--epochs", 4 if SANITIZED else 40]  # some 10 ms per cell
# All columns and keys that may differ between two runs of the same cells.
VOLATILE = {"env_timestamp", "env_hostname", *("train_" + name for name in volatile_fields())}
BAD_RESULTS = [
    ("empty", b"", "no JSON"), ("cut", b'{"environment": {', "no JSON"), ("binary", b"\0\xff", "no JSON"),
    ("no UTF-8", b'{"models": "\xff"}', "no JSON"), ("NaN", b"NaN", "no JSON"),
    ("infinite", b"[1e999]", "no JSON"), ("deep", b"[" * 100000, "deeper than 16 levels"),
    ("list", b"[]", "no results of a comparison (environment, manifest)"),
    ("no models", b'{"environment": {}, "manifest": {}}', "(models, reference_lines)"),
    ("too few models", b'{"environment": {}, "manifest": {"baselines": ["a", "b"]}, "reference_lines": '
     b'[{"name": "mean", "metrics_test": {}}], "models": [{"name": "geo_sparse", "metrics_test": {}}]}',
     "not the models of its manifest")]


def folder_of(run_id):
    return re.sub(r"[:/\\ ,=]", "_", run_id)


def edited(results, *path, value):
    """A copy of the JSON with another value at a place."""
    copy = json.loads(json.dumps(results))
    part = copy
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    return copy


class Sweep(CliCase):
    def sweep(self, *args, out="s", tiny=(*GRID, *TINY), status=0):
        """Runs a sweep without a word on stderr; (stdout)."""
        done = self.run_program("sweep", *tiny, "--out", out, *args)
        self.assertEqual(done.status, status, done)
        return done

    def quiet(self, *args, out="s", tiny=(*GRID, *TINY)):
        self.assertEqual(self.ok("sweep", *tiny, "--out", out, "--quiet", *args), "")

    def refused(self, *args, says, status=2, **options):
        self.assert_one_line_error(["sweep", *args], says=says, status=status, **options)

    def rows(self, out="s"):
        return list(csv.DictReader(io.StringIO(self.read(f"{out}/summary.csv").decode())))

    def by_model(self, out="s"):
        return json.loads(self.read(f"{out}/summary_by_model.json"))

    def results(self, run_id, out="s"):
        return json.loads(self.read(f"{out}/{folder_of(run_id)}/results.json"))

    def steady(self, out="s"):
        """What of the summary may not change."""
        rows = [{k: v for k, v in row.items() if k not in VOLATILE}
                for row in self.rows(out)]
        models = {name: {k: v for k, v in m.items() if k not in VOLATILE}
                  for name, m in self.by_model(out).items()}
        return rows, models

    def assert_no_temporaries(self, out="s"):
        self.assertEqual(glob.glob(self.path(f"{out}/**/.sinew-*"), recursive=True), [])

    # --- the grid ---
    def test_files_and_lines(self):
        done = self.sweep("--jobs", 1)
        self.assertEqual([r["run_id"] for r in self.rows()], [i for i in IDS for _ in range(3)])
        for run_id in IDS:
            names = sorted(os.listdir(self.path(f"s/{folder_of(run_id)}")))
            self.assertEqual(names, ["manifest.json", "results.json", "summary.csv"])
        self.assertEqual(folder_of(IDS[0]), "task_mixed_shape_2x2_depth_1_k_2_act_relu_seed_0")
        lines = done.err.splitlines()
        self.assertEqual(lines[0], "s: 4 cells to run, 1 at a time")
        for i, (line, run_id) in enumerate(zip(lines[1:5], IDS)):
            results = self.results(run_id)
            figures = "  ".join(f"{m['name']} {m['mse_test']:.4g}" for m in results["models"])
            self.assertRegex(line, rf"^cell {i + 1}/4  {run_id}  \d+\.\d s  {re.escape(figures)}  "
                                   r"elapsed \d+\.\d s  ETA \d+\.\d s$")
        self.assertRegex(lines[5], rf"^further off than --match-tolerance: \d+ dense networks, "
                                   rf"first {IDS[0]}: dense_resrelu of width \d+ has ")
        self.assertEqual(len(lines), 6)
        out = done.out.splitlines()
        self.assertEqual(out[0], "s: 4 cells: 0 kept, 4 run, 0 failed")
        m = self.by_model()["dense_resrelu"]
        self.assertEqual(out[2], f"dense_resrelu: mean mse_test {m['mse_test']:.5g}, mean training "
                         f"time {m['train_train_time_s']:.5g} s; geo_sparse is better in "
                         f"{m['geo_wins']} of {m['geo_compared']}")

    def test_summary(self):
        self.quiet("--val-fraction", 0)
        rows = self.rows()
        self.assertEqual(list(rows[0]), sorted(rows[0]))
        for at, row in enumerate(rows):
            results = self.results(IDS[at // 3])
            model, lines = results["models"][at % 3], results["reference_lines"]
            self.assertEqual((row["model"], row["status"], row["result_dir"]),
                             (model["name"], "ok", folder_of(row["run_id"])))
            self.assertEqual([line["name"] for line in lines], ["mean", "least_squares"])
            expected = {
                "env_hostname": os.uname().nodename, "env_threads": 1,
                "env_build_type": results["environment"]["build"]["type"],
                "manifest_k": 2, "manifest_shape": [2, 2], "manifest_seed": at // 3 % 2,
                "manifest_dataset_meta_task": "mixed", "mse_test": model["mse_test"],
                "mse_val": "", "metrics_test_mae": model["metrics_test"]["mae"],
                "metrics_train_r2": model["metrics_train"]["r2"], "metrics_val": "",
                "best_epoch": 1, "best_by": "train",
                "best_metrics_test_mse": model["best"]["metrics_test"]["mse"],
                "train_train_time_s": model["train"]["train_time_s"],
                "params_empirical": model["params_empirical"],
                "param_mismatch": model.get("param_mismatch", ""),
                "width": model.get("width", ""),
                "predict_mean_mse_test": lines[0]["metrics_test"]["mse"],
                "least_squares_mse_test": lines[1]["metrics_test"]["mse"]}
            for column, value in expected.items():
                text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
                self.assertEqual(row[column], text, column)

    def test_means_and_wins(self):
        self.quiet()
        models = self.by_model()
        self.assertEqual(list(models), ["geo_sparse", "dense_resrelu", "dense_respsann"])
        geo = [r["mse_test"] for r in self.rows() if r["model"] == "geo_sparse"]
        for name, m in models.items():
            rows = [r for r in self.rows() if r["model"] == name]
            self.assertEqual((m["rows"], m["errors"]), (4, 0))
            for key in ("mse_test", "mse_train", "mse_val", "train_train_time_s",
                        "train_epoch_time_s_mean", "train_samples_per_sec"):
                mean = sum(float(r[key]) for r in rows) / 4
                self.assertLess(abs(m[key] - mean), 1e-12 * abs(mean), key)
            self.assertIsNone(m["train_step_time_ms_mean"])  # both steps are warm-up
            if name != "geo_sparse":
                wins = sum(float(g) < float(r["mse_test"]) for g, r in zip(geo, rows))
                self.assertEqual((m["geo_wins"], m["geo_compared"]), (wins, 4))
        # A figure that is no number counts nowhere.
        place = f"s/{folder_of(IDS[0])}/results.json"
        results = self.results(IDS[0])
        self.write(place, edited(results, "models", 1, "mse_test", value=None))
        self.quiet("--resume")
        m = self.by_model()["dense_resrelu"]
        rest = [self.results(i)["models"][1]["mse_test"] for i in IDS[1:]]
        self.assertLess(abs(m["mse_test"] - sum(rest) / 3), 1e-12)
        self.assertEqual((m["rows"], m["geo_compared"]), (4, 3))

    def test_a_cell_is_what_compare_makes(self):
        self.quiet("--pattern", "hash", "--scale-y", "--baselines", "dense_relu")
        self.ok("compare", *TINY, "--shape", "2x2", "--depth", 1, "--k", 2, "--activation", "psann",
                "--seed", 1, "--pattern", "hash", "--scale-y", "--baselines", "dense_relu", "--out",
                "one", "--quiet", "--threads", 1)
        one = json.loads(self.read("one/results.json"))
        cell = self.results(IDS[3])
        self.assertEqual(cell["manifest"], one["manifest"])
        for a, b in zip(cell["models"], one["models"]):
            a.pop("train"), b.pop("train")
            self.assertEqual(a, b)

    def test_order_of_the_grid(self):
        lists = (["2x2", "1x3"], [2, 1], [3, 1], ["tanh", "relu"], [5, -1])
        words = [",".join(map(str, values)) for values in lists]
        out = self.ok("sweep", *TINY, "--dry-run", "--task", "SINE", "--shapes", words[0],
                      "--depths", words[1], "--ks", words[2], "--activations", words[3],
                      "--seeds", words[4], "--out", "s")
        expected = [f"run  task=sine_shape={s}_depth={d}_k={k}_act={a}_seed={n}" for s in lists[0]
                    for d in lists[1] for k in lists[2] for a in lists[3] for n in lists[4]]
        self.assertEqual(out.splitlines()[:-1], expected)
        self.assertEqual(out.splitlines()[-1], "dry run, s: 32 cells: 0 kept, 32 run")

    def test_defaults(self):
        out = self.ok("sweep", "--dry-run").splitlines()
        self.assertEqual(len(out), 2 * 2 * 3 * 3 * 2 + 1)
        self.assertEqual(out[0], "run  task=mixed_shape=4x4_depth=4_k=4_act=relu_seed=0")
        self.assertEqual(out[-2],
                         "run  task=mixed_shape=8x8_depth=8_k=16_act=relu_sigmoid_psann_seed=1")
        self.assertRegex(out[-1], r"^dry run, reports/geo_sparse_sweep/\d{8}_\d{6}: 72 cells")
        self.assertEqual(os.listdir(self.folder), [])
        self.ok("sweep", *GRID, *TINY, "--seeds", 0, "--quiet")
        self.assertEqual(len(glob.glob(self.path("reports/geo_sparse_sweep/*/summary.csv"))), 1)

    def test_wrong_settings(self):
        cases = [
            (["--shapes", "0x4"], "shape"), (["--shapes", "4"], "--shapes: needs HxW (4)"),
            (["--shapes", "2xx"], "--shapes: needs a whole number (x)"),
            (["--shapes", "2x2,"], "--shapes: an empty item"), (["--ks", "-1"], "k outside"),
            (["--ks", "two"], "--ks: needs a whole number (two)"),
            (["--depths", "0"], "depth outside"), (["--depths", "1.5"], "--depths: needs a whole"),
            (["--activations", "swish"], "--activations: activation: unknown type (swish"),
            (["--activations", "mixed"], "activation_types is missing"),
            (["--seeds", "1e3"], "--seeds: needs a whole number (1e3)"),
            (["--seeds", "9" * 30], "--seeds: needs a whole number (999"),
            (["--seeds", "0,0"], f"the grid has {IDS[0]} twice"), (["--task", "x"], "(x; nearest"),
            (["--ks", ",".join(map(str, range(1, 401))), "--seeds", ",".join(map(str, range(126)))],
             "the grid has more than 100000 cells"),
            (["--baselines", "dense"], "dense"), (["--jobs", "0"], "--jobs"),
            (["--jobs", "1025"], "--jobs"), (["--progress-every", "0"], "--progress-every"),
            (["--shard", "3/2"], "--shard: needs i/n with 0 <= i < n (3/2)"),
            (["--shard", "2/2"], "--shard: needs i/n"), (["--shard", "-1/2"], "--shard: needs i/n"),
            (["--shard", "0/0"], "--shard: needs i/n"), (["--shard", "0/9999999999"], "needs i/n"),
            (["--shard", "1"], "--shard: needs i/n or slurm (1)"),
            (["--shard", "a/2"], "--shard: needs a whole number (a)"),
            (["--shard", "0/2", "--plot"], "sinew sweep merge --plot draws that of all"),
            (["--k", "2"], "--k"), (["--shape", "2x2"], "--shape"), (["--seed", "1"], "--seed"),
            (["--timing-epochs", "1"], "--timing-epochs"), (["--num-workers", "1"], "--num-workers"),
            (["--compile"], "--compile"), (["--dtype", "float16"], "float16"),
            (["--epochs", "0"], "--epochs"), (["--precision", "bf16"], "for --device cuda only")]
        for args, says in cases:
            with self.subTest(args=args):
                self.refused(*GRID, *TINY, "--device", "cpu", "--out", "s", *args, says=says)

    def test_slurm(self):
        def task(i, first=0, last=1, count=2):
            return {"SLURM_ARRAY_TASK_ID": i, "SLURM_ARRAY_TASK_MIN": first,
                    "SLURM_ARRAY_TASK_MAX": last, "SLURM_ARRAY_TASK_COUNT": count}

        def run(variables, assertion, **options):
            env = {k: v for k, v in os.environ.items() if not k.startswith("SLURM")}
            env.update({k: str(v) for k, v in variables.items()})
            return assertion("sweep", *GRID, *TINY, "--out", "s", "--shard", "slurm", "--dry-run",
                             env=env, **options)

        def refuse(*args, **options):
            self.assert_one_line_error(list(args), **options)
        for i, ids in ((0, IDS[::2]), (1, IDS[1::2])):
            for first in (0, 7):
                out = run(task(i + first, first, first + 1), self.ok)
                self.assertEqual(out.splitlines()[:-1], [f"run  {run_id}" for run_id in ids])
        run({}, refuse, says="--shard slurm: SLURM_ARRAY_TASK_ID is not set (is this a Slurm")
        for name in task(0):
            missing = {k: v for k, v in task(0).items() if k != name}
            run(missing, refuse, says=f"--shard slurm: {name} is not set")
            run(dict(task(0), **{name: "x"}), refuse, says=f"{name}: needs a whole number (x)")
        run(task(0, 0, 2, 2), refuse, says="2 indices are not all of those from 0 to 2 (use --array")
        run(task(0, 0, -1, 0), refuse, says="0 indices are not all of those")
        run(task(5), refuse, says="task 5 is not between 0 and 1")

    # --- the folder ---
    def test_folders_that_cannot_be_used(self):
        self.write("file", "x")
        self.refused(*GRID, *TINY, "--out", "file", says="file: is no folder")
        self.refused(*GRID, *TINY, "--out", "file/s", says="file/s: cannot be made")
        self.refused(*GRID, *TINY, "--out", "/proc/s", says="/proc/s: cannot be made")
        self.write("other/manifest.json", {"k": 1})
        self.refused(*GRID, *TINY, "--out", "other", says="other: holds a sweep (manifest.json)")
        for content, says in (({"k": 1}, "is not the manifest of a sweep (settings)"),
                              ({"settings": {}}, "is not the manifest of a sweep (cells)"),
                              ({"settings": {}, "cells": []}, "(cells)"),
                              ({"settings": {}, "cells": [1]}, "(run_id)"),
                              ({"settings": {}, "cells": [{"run_id": "task=1"}]}, "(settings)"),
                              ({"settings": {}, "cells": [{"run_id": "../x", "settings": {}}]},
                               "(run_id)"),
                              (b"[" * 100000, "deeper than 16 levels"), (b"{", "no JSON"),
                              (b" " * ((64 << 20) + 1), "larger than 64 MiB")):
            self.write("other/manifest.json", content)
            self.refused(*GRID, *TINY, "--out", "other", "--resume",
                         says=f"other/manifest.json: ")
            self.refused(*GRID, *TINY, "--out", "other", "--resume", says=says)
            self.refused("merge", "other", says=says)
        os.remove(self.path("other/manifest.json"))
        os.mkfifo(self.path("other/manifest.json"))
        self.refused(*GRID, *TINY, "--out", "other", "--resume", says="manifest.json: is no file")
        self.refused("merge", "nothing", says="nothing/manifest.json: is no file")

    def test_folder_without_permission(self):
        os.chmod(self.folder, 0o755)
        os.makedirs(self.path("s"), mode=0o555)
        nobody = {"user": 65534} if os.geteuid() == 0 else {}  # root may write everywhere
        try:
            self.refused(*GRID, *TINY, "--out", "s", says="s: cannot be written (Permission denied)",
                         **nobody)
            if nobody:
                self.refused(*GRID, *TINY, "--out", "new", says="new: cannot be made", **nobody)
            shutil.rmtree(self.path("s"))
            self.quiet()
            os.chmod(self.path("s"), 0o555)
            self.refused("merge", "s", says="s: cannot be written (Permission denied)", **nobody)
        except PermissionError:
            self.skipTest("the program lies where nobody else may read")

    def test_two_sweeps_in_one_folder(self):
        self.quiet()
        with open(self.path("s/.sweep.lock"), "r+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.refused(*GRID, *TINY, "--out", "s", "--resume",
                         says="s/.sweep.lock: another sweep is writing to this folder")
            self.ok("sweep", *GRID, *TINY, "--out", "s", "--resume", "--dry-run")
            fcntl.flock(lock, fcntl.LOCK_SH)  # as a shard does
            self.refused(*GRID, *TINY, "--out", "s", "--resume", says="another sweep is writing")
            self.quiet("--resume", "--shard", "0/2")
        with open(self.path("s/.shard-0-of-2.lock"), "r+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.refused(*GRID, *TINY, "--out", "s", "--resume", "--shard", "0/2",
                         says="s/.shard-0-of-2.lock: this shard is being run already")
        os.remove(self.path("s/.sweep.lock"))
        os.symlink("nowhere/lock", self.path("s/.sweep.lock"))
        self.refused(*GRID, *TINY, "--out", "s", "--resume",
                     says="s/.sweep.lock: cannot be locked (No such file or directory)")

    def test_dry_run_touches_nothing(self):
        self.sweep("--dry-run")
        self.assertEqual(os.listdir(self.folder), [])
        self.quiet("--seeds", 0)
        self.write(f"s/{folder_of(IDS[2])}/results.json", "{")
        self.write(f"s/{folder_of(IDS[1])}/error.json", {"error": "was\nbad"})
        before = self.tree()
        out = self.sweep("--resume", "--dry-run").out
        self.assertEqual(self.tree(), before)
        self.assertEqual(out.splitlines(), [
            f"keep  {IDS[0]}", f"run  {IDS[1]} (it failed before: was\\x0abad)",
            f"run  {IDS[2]} (its results.json is not whole: "
            f"s/{folder_of(IDS[2])}/results.json: no JSON)", f"run  {IDS[3]}",
            "dry run, s: 4 cells: 1 kept, 3 run (1 of them because its results.json was not whole, "
            "1 of them because it failed before)"])
        self.refused(*GRID, *TINY, "--out", "s", "--dry-run", says="use --resume")

    # --- resuming ---
    def test_resume(self):
        self.refused("merge", "s", says="s/manifest.json: is no file")
        self.quiet("--resume")  # nothing to go on from
        reference = self.tree()
        self.refused(*GRID, *TINY, "--out", "s", says="s: holds a sweep (manifest.json); use --resume")
        out = self.sweep("--resume").out
        self.assertTrue(out.startswith("s: 4 cells: 4 kept, 0 run, 0 failed\n"), out)
        self.assertEqual(self.tree(), reference)  # the summary is that of the same files
        os.remove(self.path("s/manifest.json"))  # then nothing is kept
        out = self.sweep("--resume").out
        self.assertTrue(out.startswith("s: 4 cells: 0 kept, 4 run, 0 failed\n"), out)

    def test_the_grid_may_change(self):
        self.quiet("--seeds", 0)
        out = self.sweep("--resume").out
        self.assertTrue(out.startswith("s: 4 cells: 2 kept, 2 run, 0 failed\n"), out)
        self.quiet(out="whole")
        self.assertEqual(self.steady("s"), self.steady("whole"))
        self.assertEqual(self.read("s/manifest.json"), self.read("whole/manifest.json"))
        err = self.sweep("--resume", "--seeds", 1).err
        self.assertIn("2 cells of s are not in this grid; their results stay, the summary leaves "
                      "them out\n", err)
        self.assertEqual({r["run_id"] for r in self.rows()}, set(IDS[1::2]))

    def test_diverged_trainings_are_named(self):
        err = self.sweep("--lr", 1e30, "--epochs", 3).err
        self.assertIn(f"trainings, first {IDS[0]}: geo_sparse\n", err)

    def test_other_settings(self):
        self.quiet()
        for args, says in [(["--lr", "0.01"], "lr: 0.001, now 0.01"),
                           (["--epochs", "2"], "epochs: 1, now 2"),
                           (["--train-size", "33"], "train_size: 32, now 33"),
                           (["--pattern", "hash"], 'pattern: "local", now "hash"'),
                           (["--fusion", "off"], "fusion: true, now false"),
                           (["--task", "sine"], 'task: "mixed", now "sine"'),
                           (["--norm", "none"], 'network.norm: "rms", now "none"'),
                           (["--net-seed", "3"], "network.seed: nothing, now 3"),
                           (["--dense-depth", "1"], "dense_depth: null, now 1"),
                           (["--dense-max-width", "9"], "dense_max_width: 4096, now 9"),
                           (["--baselines", "dense_relu"],
                            'baselines: ["dense_resrelu","dense_respsann"], now ["dense_relu"]'),
                           (["--scale-x"], "scale_x: false, now true"),
                           (["--fresh-seed-per-model"], "fresh_seed_per_model: false, now true"),
                           (["--precision", "f64"], 'precision: "f32", now "f64"')]:
            with self.subTest(args=args):
                self.refused(*GRID, *TINY, "--out", "s", "--resume", *args,
                             says=f"s: holds a sweep with other settings ({says}); name another --out")
        self.quiet("--resume", "--threads", 2, "--jobs", 3)  # these do not matter

    def test_results_that_are_not_whole(self):
        self.quiet()
        expected = self.steady()
        whole = self.results(IDS[1])
        place = f"s/{folder_of(IDS[1])}/results.json"
        bad = BAD_RESULTS + [
            ("models empty", edited(whole, "models", value=[]), "(models, reference_lines)"),
            ("models object", edited(whole, "models", value={"a": 1}), "(models, reference_lines)"),
            ("a number as model", edited(whole, "models", 0, value=3), "without a name"),
            ("name", edited(whole, "models", 0, "name", value=[]), "without a name"),
            ("twice", edited(whole, "models", 0, "name", value="dense_resrelu"), "occurs twice"),
            ("line", edited(whole, "reference_lines", 0, value=None), "without a name"),
            ("metrics", edited(whole, "models", 1, "metrics_test", value=3), "without metrics_test"),
            ("manifest", edited(whole, "manifest", value=3), "(environment, manifest)")]
        while bad:
            now, bad = bad[:4], bad[4:]  # one in each cell
            for run_id, (_, content, _) in zip(IDS, now):
                self.write(f"s/{folder_of(run_id)}/results.json", content)
            done = self.sweep("--resume")
            for run_id, (name, _, says) in zip(IDS, now):
                self.assertRegex(done.err, rf"(?m)^anew: {run_id} \(its results\.json is not whole: "
                                           rf".*{re.escape(says)}.*\)$", name)
            n = len(now)
            self.assertIn(f"s: 4 cells: {4 - n} kept, {n} run ({n} of them because its results.json "
                          "was not whole), 0 failed\n", done.out)
            self.assertEqual(self.steady(), expected)
        os.remove(self.path(place))
        os.truncate(os.open(self.path(place), os.O_CREAT | os.O_WRONLY), 1 << 40)
        self.assertIn("larger than 64 MiB", self.sweep("--resume").err)
        os.remove(self.path(place))
        os.mkfifo(self.path(place))
        self.assertIn("results.json: is no file", self.sweep("--resume").err)
        self.assertEqual(self.steady(), expected)
        # Odd values where no type is asked for.
        odd = edited(whole, "models", 1, "train", value=["\u0000\u202e", {"a": {"b": 1}}])
        odd = edited(odd, "models", 1, "best", value=7)
        odd = edited(odd, "models", 1, "mse_test", value="much")
        self.write(place, edited(odd, "environment", "a,\"b\n", value=[[1]]))
        self.quiet("--resume")
        self.assertEqual(self.rows()[4]["mse_test"], "much")
        self.assertEqual(self.rows()[4]["env_a,\"b\n"], "[[1]]")

    def test_results_of_other_settings(self):
        self.quiet()
        expected = self.steady()
        whole = self.results(IDS[1])
        place = f"s/{folder_of(IDS[1])}/results.json"
        for key, value, says in (("lr", 0.5, "lr: 0.5, now 0.001"), ("k", None, "k: null, now 2"),
                                 ("seed", 7, "seed: 7, now 1")):
            self.write(place, edited(whole, "manifest", key, value=value))
            done = self.sweep("--resume")
            self.assertIn(f"anew: {IDS[1]} (its results.json has other settings: {says})", done.err)
            self.assertIn("1 run (1 of them because its results.json has other settings)", done.out)
            self.assertEqual(self.steady(), expected)
        del whole["manifest"]["lr"]
        self.write(place, whole)
        self.assertIn("(its results.json has other settings: lr: nothing, now 0.001)",
                      self.sweep("--resume").err)

    # --- kills ---
    def start(self, *args, out="s", **options):
        words = ["sweep", *ON_CPU, *GRID, *TINY, *SLOW, "--out", out, "--resume", *args]
        return subprocess.Popen([PROGRAM, *map(str, words)], cwd=self.folder, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

    def test_killed_at_any_moment(self):
        seeds = ["--seeds", ",".join(map(str, range(12)))]
        begin = time.perf_counter()
        self.quiet("--jobs", 1, *SLOW, *seeds, out="whole")
        per_cell = (time.perf_counter() - begin) / 24
        draw = random.Random(0)

        def complete():
            return glob.glob(self.path("s/*/results.json"))
        for more in (0, 1, 2, 0, 1, 1):
            kept = {name: os.stat(name).st_mtime_ns for name in complete()}
            process = self.start("--jobs", str(draw.choice((1, 2))), *seeds)
            while len(complete()) < len(kept) + more and process.poll() is None:
                time.sleep(0.0005)
            time.sleep(draw.uniform(0, per_cell))
            self.assertIsNone(process.poll())
            process.kill()
            process.communicate()
            for name in glob.glob(self.path("s/**/*.json"), recursive=True):
                with open(name, encoding="utf-8") as f:
                    json.load(f)  # no half file
            self.assertEqual({name: os.stat(name).st_mtime_ns for name in kept}, kept)
        out = self.sweep("--resume", *SLOW, *seeds).out
        self.assertRegex(out, r"^s: 24 cells: ([5-9]|1\d|2[0-3]) kept, \d+ run, 0 failed\n")
        self.assertEqual(self.steady(), self.steady("whole"))
        self.assert_no_temporaries()

    def test_signals(self):
        for sent, status, name in ((signal.SIGINT, 130, "SIGINT"), (signal.SIGTERM, 143, "SIGTERM")):
            with self.subTest(name):
                process = self.start("--jobs", "1", "--seeds", "0,1,2,3,4,5,6,7,8,9",
                                     "--activations", "psann")
                process.stderr.readline()
                process.stderr.readline()  # a cell has ended
                process.send_signal(sent)
                out, err = process.communicate(timeout=60)
                self.assertEqual((process.returncode, out), (status, ""))
                ended = len(glob.glob(self.path("s/*/results.json")))
                last = err.splitlines()[-1]
                self.assertRegex(last, rf"^sinew sweep: error: stopped by {name}; \d+ of \d+ cells "
                                       r"were run; --resume goes on from there$")
                self.assertTrue(1 <= ended < 10, ended)
                self.assertEqual({r["status"] for r in self.rows()}, {"ok"})
                self.assertEqual(len(self.rows()), 3 * ended)
                self.assert_no_temporaries()
                shutil.rmtree(self.path("s"))

    def test_cells_at_a_time_do_not_matter(self):
        self.quiet("--jobs", 1)
        for args in (["--jobs", 2], ["--jobs", 9], [], ["--graph", "off"]):
            self.quiet(*args, out="other")
            rows, models = self.steady("other")
            for row in rows:
                for key in ("env_graph", "manifest_graph"):
                    row[key] = "true"
            self.assertEqual((rows, models), self.steady())
            shutil.rmtree(self.path("other"))
        self.quiet("--threads", 2, out="other")
        self.assertEqual({r["env_threads"] for r in self.rows("other")}, {"2"})

    def test_fusion_reaches_every_cell(self):
        """Cells run in threads of their own, and a thread's setting is its own."""
        size = ["--shapes", "8x8", "--depths", 3, "--ks", 4, "--train-size", 64, "--epochs", 8]
        self.quiet("--jobs", 2, *size)
        for jobs in (1, 3):
            self.quiet("--jobs", jobs, *size, "--fusion", "off", out=f"off{jobs}")
        self.assertEqual(self.steady("off1"), self.steady("off3"))
        for fused, single in zip(self.rows(), self.rows("off3"), strict=True):
            for row, setting in ((fused, "true"), (single, "false")):
                self.assertEqual((row["env_fusion"], row["manifest_fusion"]), (setting, setting))
            figures = [[row[f"metrics_test_{name}"] for name in ("mse", "mae", "r2")] +
                       [row["mse_train"]] for row in (fused, single)]
            if fused["model"] != "geo_sparse":
                self.assertEqual(*figures)
                continue
            self.assertNotEqual(*figures)
            for a, b in zip(*figures):
                self.assertAlmostEqual(float(a), float(b), delta=1e-5 * abs(float(a)))

    # --- failures ---
    # More elements than a task may have, which is found when the cell makes its data.
    LARGE = ["--shapes", "8192x8192,2x2", "--seeds", "0", "--activations", "relu"]

    def test_a_cell_fails(self):
        bad = IDS[0].replace("2x2", "8192x8192")
        fault = "task: 2^31 or more elements (rows 40, features 67108864)"
        done = self.sweep(*self.LARGE, status=1)
        self.assertEqual(done.err.splitlines()[-1],
                         f"sinew sweep: error: 1 of 2 cells failed, first {bad}: {fault}")
        self.assertTrue(any(bad in line and "failed: " + fault in line
                            for line in done.err.splitlines()[1:-1]), done.err)
        self.assertIn("s: 2 cells: 0 kept, 2 run, 1 failed\n", done.out)
        self.assertEqual(json.loads(self.read(f"s/{folder_of(bad)}/error.json")),
                         {"run_id": bad, "error": fault})
        row = self.rows()[0]
        self.assertEqual({k: v for k, v in row.items() if v},
                         {"run_id": bad, "status": "error", "error": fault,
                          "result_dir": folder_of(bad)})
        self.assertEqual(len(self.rows()), 1 + 3)
        self.assertEqual([(m["rows"], m["errors"]) for m in self.by_model().values()], [(1, 1)] * 3)
        done = self.sweep(*self.LARGE, "--resume", status=1)
        self.assertIn(f"anew: {bad} (it failed before: {fault})", done.err)
        self.assertIn("1 run (1 of them because it failed before), 1 failed", done.out)
        # One that succeeds leaves no error behind.
        self.write(f"s/{folder_of(IDS[1])}/error.json", {"error": "x"})
        self.quiet("--resume")
        self.assertFalse(os.path.exists(self.path(f"s/{folder_of(IDS[1])}/error.json")))

    def test_full_disk(self):
        self.quiet("--seeds", 0)
        size = os.stat(self.path(f"s/{folder_of(IDS[0])}/results.json")).st_size
        self.assertLess(os.stat(self.path("s/manifest.json")).st_size * 2, size)

        def full():
            resource.setrlimit(resource.RLIMIT_FSIZE, (size - 100, size - 100))
        before = self.tree()
        done = self.run_program("sweep", *GRID, *TINY, "--out", "s", "--resume", "--quiet",
                                preexec_fn=full)
        self.assertEqual((done.status, done.out), (1, ""))
        self.assertRegex(done.err, r"^sinew sweep: error: s/.*results.json: .*File too large.*\n$")
        after = self.tree()
        for path in before:
            if "/summary" not in path and not path.endswith("s/manifest.json"):
                self.assertEqual(before[path], after[path], path)
        self.assert_no_temporaries()
        self.quiet("--resume")
        self.quiet(out="whole")
        self.assertEqual(self.steady(), self.steady("whole"))

    def test_a_file_in_place_of_a_cell(self):
        self.quiet("--seeds", 0)
        self.write(f"s/{folder_of(IDS[3])}", "x")
        done = self.sweep("--resume", status=1)
        self.assertIn(f"sinew sweep: error: s/{folder_of(IDS[3])}: cannot be made", done.err)

    # --- shards ---
    def test_shards_and_merge(self):
        self.quiet(out="whole")
        running = [subprocess.Popen(
            [PROGRAM, "sweep", *ON_CPU, *map(str, [*GRID, *TINY]), "--out", "s", "--shard", f"{i}/3"],
            cwd=self.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            for i in range(3)]  # at the same time
        for i, process in enumerate(running):
            out, err = process.communicate(timeout=60)
            count = 2 if i == 0 else 1
            self.assertEqual(process.returncode, 0, err)
            self.assertEqual(out, f"s: {count} cells: 0 kept, {count} run, 0 failed\n"
                                  "when all shards have ended: sinew sweep merge s\n")
        self.assertFalse(os.path.exists(self.path("s/summary.csv")))
        out = self.ok("sweep", "merge", "s")
        self.assertTrue(out.startswith("s: 4 of 4 cells complete\ngeo_sparse: mean mse_test "), out)
        self.assertEqual(self.steady(), self.steady("whole"))
        self.assertEqual(self.read("s/manifest.json"), self.read("whole/manifest.json"))
        self.assertEqual(self.ok("sweep", "merge", "--quiet", "s"), "")
        self.refused(*GRID, *TINY, "--out", "s", "--shard", "1/3",
                     says=f"s: holds results of this shard ({IDS[1]}); use --resume")
        self.refused(*GRID, *TINY, "--out", "s", "--shard", "1/3", "--seeds", "0",
                     says="s: holds a sweep of another grid; use --resume")
        self.refused(*GRID, *TINY, "--out", "s", "--shard", "1/3", "--lr", "1",
                     says="s: holds a sweep with other settings (lr: 0.001, now 1.0)")
        self.quiet("--resume", "--shard", "1/3")
        more = self.sweep("--resume", "--shard", "1/2", "--seeds", "0,1,2").out
        self.assertTrue(more.startswith("s: 3 cells: 2 kept, 1 run, 0 failed\n"), more)
        self.quiet("--shard", "4/5", out="empty")  # no cell is left for it
        self.assertEqual(os.listdir(self.path("empty")).count("manifest.json"), 1)

    def test_merge_of_what_there_is(self):
        self.quiet("--shard", "0/2")
        done = self.run_program("sweep", "merge", "s")
        self.assertEqual((done.status, done.err), (
            1, f"sinew sweep: error: 2 of 4 cells are missing, first {IDS[1]}\n"))
        self.assertTrue(done.out.startswith("s: 2 of 4 cells complete\n"))
        self.assertEqual(len(self.rows()), 2 * 3)
        self.write(f"s/{folder_of(IDS[0])}/results.json", "{")
        done = self.run_program("sweep", "merge", "s")
        self.assertEqual(done.err, f"left out: {IDS[0]} (its results.json is not whole: "
                         f"s/{folder_of(IDS[0])}/results.json: no JSON)\nsinew sweep: error: "
                         f"3 of 4 cells are missing, first {IDS[0]}\n")
        for i in (0, 1, 3):
            shutil.rmtree(self.path(f"s/{folder_of(IDS[i])}"), ignore_errors=True)
            self.write(f"s/{folder_of(IDS[i])}/error.json", {"error": f"fault {i}"})
        done = self.run_program("sweep", "merge", "s", "--quiet")
        self.assertEqual((done.status, done.err), (
            1, f"sinew sweep: error: 3 of 4 cells failed, first {IDS[0]}: fault 0\n"))
        self.assertEqual([r["error"] for r in self.rows()], ["fault 0", "fault 1", "", "", "", "fault 3"])
        for content, error in ((b"{", "error.json: no JSON"), ([], "unknown")):
            self.write(f"s/{folder_of(IDS[0])}/error.json", content)
            self.assertIn(error, self.run_program("sweep", "merge", "s").err)

    def test_merge_of_an_odd_manifest(self):
        self.quiet("--seeds", 0)
        plan = json.loads(self.read("s/manifest.json"))
        plan["cells"][0]["run_id"] = odd = "task=../\x1b[2J\n" + "x" * 300
        plan["cells"][1]["run_id"] = "task=a"
        self.write("s/manifest.json", plan)
        self.write("s/task_a/results.json", "{")
        plan["cells"][0]["run_id"] = short = odd[:20]
        self.write("s/manifest2.json", plan)
        done = self.run_program("sweep", "merge", "s")
        self.assertEqual((done.status, done.err.count("\n")), (1, 2), done.err)
        self.assertIn("error: 2 of 2 cells are missing, first task=../\\x1b[2J\\x0axxx", done.err)
        os.replace(self.path("s/manifest2.json"), self.path("s/manifest.json"))
        self.write(f"s/{folder_of(short)}/results.json", "[]")
        err = self.run_program("sweep", "merge", "s").err
        self.assertTrue(err.startswith("left out: task=../\\x1b[2J\\x0axxx"), err)

    def test_merge_takes_few_flags(self):
        self.quiet()
        self.refused("merge", says="DIR is required")
        self.refused("merge", "s", "t", says="t")
        self.refused("--out", "x", "merge", "s", says="merge does not take --out (see sinew sweep "
                     "merge --help)")
        self.refused("merge", "s", "--jobs", "2", says="--jobs")
        self.assertIn("Example: sinew sweep merge", self.ok("sweep", "merge", "--help"))

    # --- output ---
    def test_progress(self):
        def cells(*args):
            err = self.sweep("--jobs", 1, *args).err
            shutil.rmtree(self.path("s"))
            return [int(n) for n in re.findall(r"(?m)^cell (\d)/4", err)]
        self.assertEqual(cells(), [1, 2, 3, 4])
        self.assertEqual(cells("--progress-every", 2), [2, 4])
        self.assertEqual(cells("--progress-every", 3), [3, 4])
        self.assertEqual(cells("--progress-every", 9), [4])
        self.assertEqual(self.sweep("--quiet").err, "")

    def test_live_line(self):
        import pty
        main, terminal = pty.openpty()
        done = subprocess.run([PROGRAM, "sweep", *ON_CPU, *map(str, [*GRID, *TINY, *SLOW]), "--out",
                               "s", "--jobs", "1"], cwd=self.folder, stderr=terminal,
                              stdout=subprocess.DEVNULL, check=True)
        os.close(terminal)
        text = b""
        try:
            while part := os.read(main, 65536):
                text += part
        except OSError:
            pass  # the end
        os.close(main)
        self.assertEqual(done.returncode, 0)
        self.assertRegex(text.decode(), r"\rcell 4/4  task=[^\r]*ETA 0\.0 s\x1b\[K\r?\n")

    def test_plot(self):
        self.quiet("--plot", "--seeds", 0)
        if shutil.which("gnuplot"):
            self.assertEqual(self.read("s/summary_plot.png")[:8], b"\x89PNG\r\n\x1a\n")
            svg = self.read("s/summary_plot.svg").decode()
            for text in ("geo_sparse", "dense_respsann", "mean training time in s", "mean test mse"):
                self.assertIn(text, svg)
            os.remove(self.path("s/summary_plot.svg"))
            self.ok("sweep", "merge", "s", "--plot", "--quiet")
            self.assertTrue(os.path.exists(self.path("s/summary_plot.svg")))
            self.assert_no_temporaries()
            os.remove(self.path("s/summary_plot.svg"))
            place = f"s/{folder_of(IDS[0])}/results.json"
            whole = json.loads(self.read(place))
            for value in ("`touch bad`'$(touch bad)\nEND\n!touch bad", "x"):
                self.write(place, edited(whole, "models", 1, "name", value=value))
                self.ok("sweep", "merge", "s", "--plot", "--quiet")
            self.assertNotIn("bad", os.listdir(self.folder) + os.listdir(self.path("s")))
            for i in range(3):
                whole["models"][i]["mse_test"] = None
            for run_id in IDS[::2]:
                self.write(f"s/{folder_of(run_id)}/results.json", dict(whole, manifest=self.results(
                    run_id)["manifest"]))
            os.remove(self.path("s/summary_plot.svg"))
            self.ok("sweep", "merge", "s", "--plot", "--quiet")  # nothing to draw
        done = self.run_program("sweep", "merge", "s", "--plot", env={"PATH": self.folder})
        self.assertEqual((done.status, done.err),
                         (0, "--plot: gnuplot is not in PATH; no picture was made\n"))
        self.assertFalse(os.path.exists(self.path("s/summary_plot.svg")))


if __name__ == "__main__":
    unittest.main()
