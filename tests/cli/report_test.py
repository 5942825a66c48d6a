#!/usr/bin/env python3
"""sinew report: pages of comparisons and sweeps, hostile and broken results, plots, every flag."""
import html.parser
import json
import math
import os
import random
import re
import shutil
import unittest

from case import CliCase, GOLDEN

BASELINES = ("dense_resrelu", "dense_respsann")
HOSTILE = "<script>alert('x&\"y')</script>"
SAME_COST = ", at 1 times its step time (1.5 ms against 1.5 ms) and 1 times its memory (1.5 MB " \
            "against 1.5 MB)"
VOID = {"meta", "br", "hr", "img", "input", "link"}


def figures(loss, accuracy=None):
    if accuracy is not None:
        return {"cross_entropy": loss, "accuracy": accuracy, "macro_f1": 0.9 * accuracy}
    return {"mse": loss, "rmse": math.sqrt(loss), "mae": 0.7 * math.sqrt(loss), "smape": 0.5,
            "r2": 1 - loss}


def model(name, test, *, parameters=900, epochs=3, validation=True, accuracy=None, step=1.5):
    """One entry of "models"; test is the final loss, accuracy that of a classification."""
    curve = []
    for epoch in range(1, epochs + 1):
        loss = test * (1 + 3 / epoch)
        if accuracy is None:
            curve.append({"epoch": epoch, "train_mse": 0.8 * loss, "test_mse": loss})
            if validation:
                curve[-1]["val_mse"] = 1.1 * loss
        else:
            curve.append({"epoch": epoch, "train_loss": 0.8 * loss, "test_loss": loss,
                          "test_accuracy": accuracy * epoch / epochs})
            if validation:
                curve[-1].update(val_loss=1.1 * loss, val_accuracy=0.9 * accuracy * epoch / epochs)
    out = {"name": name, "params_empirical": parameters, "params_trainable": parameters,
           "params_analytic": parameters - 20,
           "train": {"train_time_s": 2.5, "compile_time_s": None, "step_time_ms_mean": 1.1 * step,
                     "step_time_ms_median": step, "step_time_ms_min": 0.8 * step,
                     "step_time_ms_max": 3 * step, "step_time_ms_p25": 0.9 * step,
                     "step_time_ms_p75": 1.2 * step, "timed_steps": 30, "samples_per_sec": 40000,
                     "epoch_time_s_mean": 0.1, "grad_norm_max": 2.5, "loss_nonfinite_steps": 0,
                     "grad_nonfinite_steps": 0, "memory_high_water_bytes": 1500000},
           "curve": curve,
           "best": {"epoch": epochs, "by": "val" if validation else "train",
                    "metrics_test": figures(test, accuracy), "metrics_val": None},
           "metrics_train": figures(0.8 * test, accuracy),
           "metrics_val": figures(1.1 * test, accuracy) if validation else None,
           "metrics_test": figures(test, accuracy)}
    if name != "geo_sparse":
        out.update(width=12, param_mismatch=9, param_mismatch_ratio=0.01)
    return out


def results(losses=(0.01, 0.09, 0.12), *, shape=(8, 8), depth=4, k=8, activation="psann", seed=0,
            task="mixed", pattern="local", accuracies=None, **more):
    """What results.json of a comparison holds; `more` for model()."""
    network = {"model": "geo_sparse", "shape": list(shape), "depth": depth, "k": k,
               "pattern": pattern, "activation_type": activation, "seed": seed}
    if activation == "mixed":
        network["activation_config"] = {"types": ["psann", "relu"]}
    models = [model(name, loss, accuracy=accuracies and accuracies[i], **more)
              for i, (name, loss) in enumerate(zip(("geo_sparse", *BASELINES), losses))]
    lines = (("mean", 0.27), ("least_squares", 0.21))
    if accuracies:
        lines = (("most_frequent", 0.2), ("least_squares", 0.6))
    return {
        "environment": {"timestamp": "2026-11-21T18:00:00Z", "hostname": "here", "version": "0.1.0",
                        "commit": "0123456789ab", "compiler": "gcc 12.2.0", "processor": "A CPU",
                        "isa": "avx512", "threads": 2, "device": "cpu", "precision": "f32",
                        "graph": "auto", "cuda_build": None, "build": {"type": "release"}},
        "manifest": {"shape": list(shape), "features": shape[0] * shape[1], "depth_sparse": depth,
                     "k": k, "pattern": pattern, "radius": 1, "wrap_mode": "clamp",
                     "sparse_activation": activation, "activation_config": None, "network": network,
                     "baselines": list(BASELINES), "task": task, "train_size": 8192,
                     "val_fraction": 0.1 if more.get("validation", True) else 0.0,
                     "val_size": 819 if more.get("validation", True) else 0,
                     "test_size": 2048, "epochs": 3, "batch_size": 256, "lr": 1e-3,
                     "weight_decay": 0.0, "seed": seed, "classes": 5 if accuracies else 0,
                     "loss": "cross_entropy" if accuracies else "mse"},
        "reference_lines": [{"name": name, "metrics_train": {}, "metrics_val": None,
                             "metrics_test": figures(v) if not accuracies
                             else {"cross_entropy": None, "accuracy": v, "macro_f1": v}}
                            for name, v in lines],
        "models": models}


def big_sweep(folder, epochs=25):
    """A sweep of 144 cells with plausible figures, to look at."""
    draw = random.Random(3)
    for shape in ((8, 8), (16, 16)):
        for depth in (4, 8, 12):
            for k in (4, 8, 16, 32):
                for activation in ("relu", "psann"):
                    for seed in range(3):
                        noise = lambda: math.exp(draw.gauss(0, 0.15))
                        geo = 0.06 / depth ** 0.5 / k ** 0.4 * (0.35 if activation == "psann" else 1)
                        wide = 2.2 if shape[0] == 16 else 1
                        cell = results((geo * noise(), 0.08 * wide * noise(), 0.1 * wide * noise()),
                                       shape=shape, depth=depth, k=k, activation=activation,
                                       seed=seed, epochs=epochs, validation=False)
                        size = shape[0] * shape[1] * (2 * depth * (k + 2) + 1)
                        for one, times in zip(cell["models"], (1, 1.3, 1.6)):
                            one["params_empirical"] = int(size * draw.uniform(0.98, 1.02))
                            step = times * depth * (0.2 + 0.01 * k * shape[0] / 8) * noise()
                            one["train"]["step_time_ms_median"] = step
                        name = f"task_mixed_shape_{shape[0]}x{shape[1]}_depth_{depth}_k_{k}_act_" \
                               f"{activation}_seed_{seed}"
                        os.makedirs(os.path.join(folder, name))
                        with open(os.path.join(folder, name, "results.json"), "w",
                                  encoding="utf-8") as f:
                            json.dump(cell, f)


class Page(html.parser.HTMLParser):
    """Fails on tags that are not balanced; collects what the tests ask about."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.used, self.tags, self.text = [], [], [], [], ""
        self.tables, self.titles = [], []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        if "id" in attrs:
            self.ids.append(attrs["id"])
        self.used += attrs.get("aria-labelledby", "").split()
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
            if tag == "th":
                assert attrs.get("scope") in ("col", "row"), attrs
                self.titles.append(attrs.get("title"))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (tag, self.open[-5:])
        self.open.pop()

    def handle_data(self, data):
        if "style" in self.open or "script" in self.open:
            return
        self.text += data
        if ("td" in self.open or "th" in self.open) and "svg" not in self.open:
            self.tables[-1][-1][-1] += data

    def count(self, tag, kind=None):
        return sum(1 for t, a in self.tags
                   if t == tag and (kind is None or kind in a.get("class", "").split()))


class ReportCase(CliCase):
    def single(self, *args, name="run", **options):
        self.write(f"{name}/results.json", results(*args, **options))
        return name

    def sweep(self, cells, name="sweep"):
        for folder, content in cells.items():
            kind = "error" if "status" in content else "results"
            self.write(f"{name}/{folder}/{kind}.json", content)
        return name

    def page(self, folder, *args):
        self.ok("report", folder, *args, "--quiet")
        text = self.read(f"{folder}/report.html").decode()
        page = Page(text)
        self.assertEqual(len(page.ids), len(set(page.ids)))
        self.assertLessEqual(set(page.used), set(page.ids))
        self.assertNotRegex(text, r"(?i)https?:|src=|@import|url\((?!#)|\bon\w+=|<link|NaN\b(?!\()")
        self.assertEqual(page.count("script"), 1)
        for tag, attrs in page.tags:
            if tag == "svg" and "chart" in attrs.get("class", ""):
                self.assertIn("aria-labelledby", attrs)
        for table in page.tables:
            self.assertEqual({len(row) for row in table}, {len(table[0])})
        return page

    def rows(self, page, table):
        return {tuple(row[:2]) if table else row[0]: row for row in page.tables[table][1:]}

    def read_page(self, folder):
        self.page(folder)
        return self.read(f"{folder}/report.html").decode()


class Report(ReportCase):
    def test_a_comparison(self):
        out = self.ok("report", self.single())
        self.assertEqual(out, "run/report.html: 1 cell\n"
                         "geo_sparse is better than dense_resrelu: test mse 0.01000 against 0.09000"
                         f" (9 times smaller){SAME_COST}\n"
                         "geo_sparse is better than dense_respsann: test mse 0.01000 against 0.1200"
                         f" (12 times smaller){SAME_COST}\n"
                         "geo_sparse is better than predicting the mean: 0.2700\n"
                         "geo_sparse is better than least squares: 0.2100\n")
        page = self.page("run")
        for text in ("geo_sparse against dense_resrelu, dense_respsann: task mixed",
                     "8x8, depth 4, k 8, psann, seed 0; cpu; A CPU; 2026-11-21T18:00:00Z",
                     "better than dense_respsann: test mse 0.01000 against 0.1200 (12 times smaller), ",
                     "Test mse against parameters", "Test mse against training time", "Step time against parameters", "Loss by epoch",
                     "Neuron (4, 4), in the middle: 8 inputs, all different, its own cell among "
                     "them.", "Neuron (0, 0), in a corner: 8 inputs, 3 different",
                     "One of 4 blocks; after the last one a dense layer with 1 output.",
                     "0123456789ab", "gcc 12.2.0"):
            self.assertIn(text, page.text)
        self.assertNotIn("By configuration", page.text)
        self.assertEqual(len(page.tables), 2)
        self.assertEqual(page.tables[0], [
            ["model", "test mse", "train mse", "validation", "at best epoch", "parameters",
             "step (ms)", "training (s)", "memory (MB)"],
            ["geo_sparse", "0.01000", "0.008000", "0.01100", "0.01000", "900", "1.500", "2.500",
             "1.500"],
            ["dense_resrelu", "0.09000", "0.07200", "0.09900", "0.09000", "900", "1.500", "2.500",
             "1.500"],
            ["dense_respsann", "0.1200", "0.09600", "0.1320", "0.1200", "900", "1.500", "2.500",
             "1.500"],
            ["predicting the mean", "0.2700", *[""] * 7], ["least squares", "0.2100", *[""] * 7]])
        self.assertEqual(page.tables[1][2], [
            "dense_resrelu", "0.09000", "8x8", "4", "8", "psann", "0", "0.07200", "0.09900", "3",
            "0.09000", "0.9100", "0.2100", "900", "1.0 %", "1.500", "1.350 to 1.800", "2.500",
            "40000", "1.500", "0"])
        self.assertEqual(page.count("svg", "chart"), 4 + 2 + 1)
        # Two curves and two lines of reference, for three models.
        self.assertEqual(page.count("path", "curve"), 6)
        self.assertEqual(page.count("path", "dashed"), 3)

    def test_a_sweep(self):
        cells = {f"k{k}_s{seed}": results((loss * k * (1 + seed), 0.1, 0.05), k=k, seed=seed,
                                          validation=False)
                 for k, loss in ((4, 0.01), (8, 0.01)) for seed in (0, 1)}
        self.sweep(cells)
        page = self.page("sweep")
        self.assertIn("4 cells; cpu", page.text)
        self.assertIn("No validation rows: nothing was stopped early; figures are of the last epoch.",
                      page.text)
        self.assertIn("Mean over the seeds (2 seeds), thin lines from the smallest to the largest; ",
                      page.text)
        self.assertEqual(page.count("path", "whisker"), 2 * 3)
        # geo: 0.04, 0.08, 0.08, 0.16
        self.assertIn("better than dense_resrelu in 3 of 4 cells; mean test mse 0.09000 against "
                      f"0.1000 (1.1 times smaller){SAME_COST}.", page.text)
        self.assertIn("better than dense_respsann in 1 of 4 cells; mean test mse 0.09000 against "
                      "0.05000 (1.8 times larger), at", page.text)
        self.assertIn("better than least squares in 4 of 4 cells", page.text)
        self.assertIn("Best configuration of geo_sparse: 8x8, depth 4, k 4, psann, test mse 0.06000 "
                      "(mean of 2 seeds)", page.text)
        models = self.rows(page, 0)
        self.assertNotIn("validation", models.get("model", page.tables[0][0]))
        self.assertEqual(models["dense_resrelu"][-2:], ["3 of 4", "1 of 2"])
        self.assertEqual(models["dense_respsann"][-2:], ["1 of 4", "0 of 2"])
        self.assertEqual(page.tables[1], [
            ["configuration", "shape", "seeds", "geo_sparse", "dense_resrelu", "dense_respsann",
             "geo better"],
            ["depth 4, k 4, psann", "8x8", "2", "0.06000 0.04000 to 0.08000",
             "0.1000 0.1000 to 0.1000", "0.05000 0.05000 to 0.05000", "3 of 4"],
            ["depth 4, k 8, psann", "8x8", "2", "0.1200 0.08000 to 0.1600",
             "0.1000 0.1000 to 0.1000", "0.05000 0.05000 to 0.05000", "1 of 4"]])
        self.assertEqual(len(page.tables[2]), 1 + 4 * 3)
        self.assertEqual(page.count("details"), 2)
        self.assertIn("One of 4 blocks;", page.text)
        self.assertIn("By configuration", page.text)

    def test_shapes_have_charts_of_their_own(self):
        cells = {"a": results(shape=(16, 16)), "b": results(shape=(8, 8), depth=6, activation="relu"),
                 "c": results(shape=(10, 12))}
        page = self.page(self.sweep(cells))
        heads = page.tables[0][0]
        self.assertEqual(heads[1:5], ["test mse", "8x8", "10x12", "16x16"])
        self.assertEqual(page.count("svg", "chart"), 5 * 3 + 3 * 2 + 1)
        for text in ("One of 4 or 6 blocks", "relu or psann", "8x8, k 8, local", "10x12, k 8, local", "of 16x16."):
            self.assertIn(text, page.text)

    def test_a_classification(self):
        cells = {f"s{seed}": results((0.1, 0.2, 0.3), accuracies=(0.97 - 0.02 * seed, 0.93, 0.96),
                                     seed=seed) for seed in (0, 1)}
        page = self.page(self.sweep(cells))
        self.assertIn("better than dense_resrelu in 2 of 2 cells; mean test accuracy 96.0 % against "
                      "93.0 %", page.text)
        self.assertIn("better than dense_respsann in 1 of 2 cells", page.text)
        self.assertIn("predicting the most frequent class", page.text)
        self.assertIn("Accuracy by epoch", page.text)
        self.assertEqual(page.tables[1][1][1], "97.0 %")
        self.assertIn("macro F1", page.tables[1][0])
        self.assertIn("accuracy (%)", page.text)

    def test_results_of_the_reference_program(self):
        self.write("run/results.json", self.read(os.path.join(GOLDEN, "compare", "results.json")))
        page = self.page("run")
        self.assertIn("geo_sparse is not better than dense_resrelu: test mse 0.2902 against 0.2580",
                      page.text)
        self.assertNotIn("The geo_sparse network", page.text)

    def test_cells_without_figures(self):
        cells = {"good": results(), "failed": {"run_id": "x", "status": "error", "error": HOSTILE},
                 "mute": {"run_id": "y", "status": "error"}, "classes": results(accuracies=(1, 1, 1))}
        self.sweep(cells)
        self.write("sweep/broken/results.json", b'{"models": [')
        self.write("sweep/killed/manifest.json", {})
        os.makedirs(self.path("sweep/begun"))
        self.write("sweep/plots/accuracy.dat", "")
        self.write("sweep/stranger/results.json", json.dumps(results()))  # of a larger grid
        planned = [*cells, "broken", "killed", "begun", "task=1", "task=2"]
        self.write("sweep/manifest.json", {"cells": [{"run_id": name} for name in planned]})
        # The first in the order of names says which kind the page is about.
        out = self.ok("report", "sweep")
        self.assertTrue(out.startswith("sweep/report.html: 5 of 9 cells; 4 are missing, 4 without "
                                       "figures\n"), out)
        page = self.page("sweep")
        self.assertIn("5 of 9 cells; 4 are missing, 4 without figures; cpu", page.text)
        self.assertEqual(page.tables[1][1:], [
            ["broken", "unreadable: results.json: no JSON"],
            ["failed", HOSTILE],
            ["good", "left out: other settings than classes (classes: 5, now 0)"],
            ["mute", "failed without a message"]])
        for content, says in (([], "is no object"), ({"cells": {}}, "cells is no list"),
                              ({"cells": [{}]}, "cells[0].run_id is absent or empty"),
                              (b"{", "no JSON")):
            self.write("sweep/manifest.json", content)
            self.assert_one_line_error(["report", "sweep"], says=f"sweep/manifest.json: {says}")

    def test_means_are_of_the_cells_that_both_models_have(self):
        cells = {f"s{i}": results((0.01 * i, 0.1 * i, 0.2), seed=i) for i in (1, 2, 3)}
        del cells["s3"]["models"][0]
        cells["s2"]["models"][2]["metrics_test"] = None
        page = self.page(self.sweep(cells))
        self.assertNotIn("\u2013 against", page.text)
        self.assertIn("geo_sparse is better than dense_resrelu in 2 of 2 cells; mean test mse "
                      "0.01500 against 0.1500 (10 times smaller), at", page.text)
        self.assertIn("geo_sparse is better than dense_respsann in 1 of 1 comparable cell; mean "
                      "test mse 0.01000 against 0.2000 (20 times smaller), at", page.text)
        self.assertIn("dense_respsann diverged in 1 of 3 cells (loss not finite).", page.text)

    def test_a_sweep_that_failed_whole(self):
        self.sweep({"a": {"status": "error", "error": "out of memory"}})
        page = self.page("sweep")
        self.assertIn("No cell has figures.", page.text)
        self.assertEqual(page.count("svg"), 0)

    def test_hostile_text(self):
        content = results(task=HOSTILE, activation=HOSTILE)
        content["manifest"].pop("network")
        content["manifest"].update(data=HOSTILE, pattern=HOSTILE, wrap_mode="\u202e\x1b\n")
        content["environment"].update(hostname=HOSTILE, processor=HOSTILE, timestamp=HOSTILE)
        content["models"][0]["name"] = HOSTILE
        content["reference_lines"][0]["name"] = HOSTILE
        self.sweep({"<b>&": content, "b": {"status": "error", "error": HOSTILE}})
        page = self.page("sweep")
        for tag in ("alert", "b", "script"):
            self.assertLessEqual(page.count(tag), 1 if tag == "script" else 0)
        self.assertGreater(page.text.count(HOSTILE), 8)
        self.assertIn("\\x1b\\x0a", page.text)

    def test_values_that_cannot_be_drawn(self):
        odd = [None, 0, -1, 1e300, 1e-300, 1e30, 5e-324, 1.7976931348623157e308]
        for i, value in enumerate(odd):
            content = results((0.01, 0.02, 0.03))
            for one in content["models"][:2]:
                one["metrics_test"]["mse"] = value
                one["train"]["step_time_ms_median"] = value
                one["curve"][0]["test_mse"] = value
                one["params_empirical"] = 10 ** 15 + i
            self.sweep({f"s{i}": dict(content, manifest=dict(content["manifest"], seed=i))})
        page = self.page("sweep")
        self.assertIn("without a finite value, or not above 0 on a logarithmic axis", page.text)
        for _, attrs in page.tags:
            for name in ("d", "points", "x", "y", "x1", "y2", "cx", "cy"):
                self.assertNotRegex(attrs.get(name) or "", r"(?i)nan|inf")
        self.assertEqual(self.rows(page, 0)["geo_sparse"][page.tables[0][0].index("with figures")],
                         "7 of 8")

    def test_values_that_are_all_missing(self):
        content = results()
        for one in content["models"]:
            one.update(metrics_test=None, metrics_train={}, metrics_val=None, train={}, curve=[],
                       best=None, params_empirical=None)
        content.update(environment=None)
        self.write("run/results.json", content)
        page = self.page("run")
        self.assertEqual(page.tables[0][1], ["geo_sparse", *["\u2013"] * 6, "0 of 1"])
        self.assertEqual(page.count("svg", "chart"), 3)
        self.assertEqual(self.ok("report", "run").split("\n")[1:], [
            f"{name} diverged (loss not finite)" for name in ("geo_sparse", *BASELINES)] + [""])

    def test_many_cells(self):
        os.makedirs(self.path("sweep"))
        big_sweep(self.path("sweep"), epochs=3)
        page = self.page("sweep")
        self.assertEqual(len(page.tables[2]), 1 + 144 * 3)
        self.assertEqual(len(page.tables[1]), 1 + 48)
        self.assertEqual(page.count("details"), 8)
        self.assertLess(len(self.read("sweep/report.html")), 1 << 20)

    def test_long_curves_are_thinned_out(self):
        self.single(epochs=2000)
        self.page("run")
        self.assertLess(len(self.read("run/report.html")), 100000)

    def test_malformed_results(self):
        def changed(path, value):
            content = results()
            *keys, last = path
            at = content
            for key in keys:
                at = at[key]
            if value is Ellipsis:
                del at[last]
            else:
                at[last] = value
            return content
        cases = [
            (b"", "no JSON"), (b"{", "no JSON"), (b'{"a": "\xff"}', "no JSON"),
            (b"[1e999]", "no JSON"), ([], "is no object"), ({}, "no results of a comparison"),
            ({"manifest": {}}, "no results of a comparison"),
            (b'{"manifest": ' + b"[" * 100000, "JSON is deeper than 32 levels"),
            (b" " * ((16 << 20) + 1), "larger than 16 MiB"),
            (changed(["manifest"], 3), "manifest is no object"),
            (changed(["manifest", "shape"], ...), "manifest.shape is no list of two sizes"),
            (changed(["manifest", "shape"], "8x8"), "manifest.shape is no list"),
            (changed(["manifest", "shape"], [8]), "manifest.shape is no list of two sizes"),
            (changed(["manifest", "shape"], [8] * 3), "manifest.shape has more than 2 entries"),
            (changed(["manifest", "shape"], [8, 0]), "manifest.shape[1] is no size above 0"),
            (changed(["manifest", "shape"], [8, 2 ** 40]), "manifest.shape[1] is no size"),
            (changed(["manifest", "shape"], [8, 8.5]), "manifest.shape[1] is no whole number"),
            (changed(["manifest", "k"], True), "manifest.k is no whole number"),
            (changed(["manifest", "k"], 2 ** 64 - 1), "manifest.k is no whole number"),
            (changed(["manifest", "depth_sparse"], ...), "manifest.depth_sparse is no size"),
            (changed(["manifest", "task"], 3), "manifest.task is no text"),
            (changed(["manifest", "task"], ""), "manifest.task is absent or empty"),
            (changed(["manifest", "seed"], "0"), "manifest.seed is no whole number"),
            (changed(["manifest", "lr"], [1]), "manifest.lr is a list or an object"),
            (changed(["manifest", "network"], []), "manifest.network is no object"),
            (changed(["manifest", "network"], {}), "manifest.network has no shape"),
            (changed(["manifest", "network", "kk"], 3), "manifest.network: "),
            (changed(["environment", "hostname"], {}), "environment.hostname is a list or"),
            (changed(["reference_lines"], {}), "reference_lines is no list"),
            (changed(["reference_lines"], [{}] * 17), "reference_lines has more than 16 entries"),
            (changed(["reference_lines", 0, "name"], ...), "reference_lines[0].name is absent"),
            (changed(["models"], []), "models is empty"), (changed(["models"], {}), "models is no"),
            (changed(["models", 1], 3), "models[1] is no object"),
            (changed(["models", 1, "name"], "geo_sparse"), "models[1].name occurs twice"),
            (changed(["models", 1, "train"], []), "models[1].train is no object"),
            (changed(["models", 1, "train", "step_time_ms_median"], "1"),
             "models[1].train.step_time_ms_median is no number"),
            (changed(["models", 2, "curve", 1], 7), "models[2].curve[1] is no object"),
            (changed(["models", 2, "curve", 1, "test_mse"], True),
             "models[2].curve[1].test_mse is no number"),
            (changed(["models", 0, "metrics_test", "mse"], "nan"),
             "models[0].metrics_test.mse is no number")]
        for i, (content, says) in enumerate(cases):
            with self.subTest(says):
                self.write("run/results.json", content)
                self.assert_one_line_error(["report", "run"],
                                           says=f"error: run/results.json: {says}")
                os.makedirs(self.path("sweep"), exist_ok=True)
                shutil.copytree(self.path("run"), self.path(f"sweep/c{i:02}"))
        self.page("sweep")
        table = Page(self.read("sweep/report.html").decode()).tables[0]
        self.assertEqual(len(table), 1 + len(cases))
        for (_, says), (_, why) in zip(cases, table[1:]):
            self.assertTrue(why.startswith(f"unreadable: results.json: {says}"), (why, says))
        self.write("pipe/x", "")
        os.mkfifo(self.path("pipe/results.json"))
        self.assert_one_line_error(["report", "pipe"], says="results.json: is no file")

    def test_too_many_models(self):
        cells = {}
        for i in range(13):
            cells[f"c{i}"] = results(seed=i)
            cells[f"c{i}"]["models"][0]["name"] = f"m{i}"
        self.assert_one_line_error(["report", self.sweep(cells)], says="sweep: more than 16 models")

    def test_grids_that_are_not_drawn(self):
        for shape, k, says in (((300, 300), 8, "The grid is too large to be drawn."),
                               ((64, 64), 5000, "The grid is too large to be drawn.")):
            self.single(shape=shape, k=k)
            self.assertIn(says, self.page("run").text)
        content = results(pattern="random")
        content["manifest"]["network"]["seed"] = None
        self.write("run/results.json", content)
        self.assertIn("The connectivity cannot be drawn: ", self.page("run").text)

    def test_drawing_of_the_connectivity(self):
        """The inputs of two neurons by hand: local, radius 1, k 4: up-left, up, up-right, left."""
        self.single(k=4, shape=(5, 7))
        text = self.read_page("run")
        self.assertIn("Neuron (row, column) (2, 3) reads (1, 2), (1, 3), (1, 4), (2, 2).", text)
        self.assertIn("Neuron (row, column) (0, 0) reads (0, 0) 3 times, (0, 1).", text)
        self.assertIn("4 inputs, 2 different, its own cell among them.", text)
        page = Page(text)
        self.assertEqual(page.count("rect", "read"), 4 + 2)
        self.assertEqual(page.count("line", "edge"), 4 + 2)

    def test_folders_and_outputs(self):
        self.single()
        os.makedirs(self.path("empty/sub"))
        self.write("file", "")
        wrong = [(["none"], "none: is no folder"), (["file"], "file: is no folder"),
                 ([""], ": is no folder"),
                 (["empty"], "empty: holds no results of sinew compare or sinew sweep"),
                 (["run", "--out", "no/such/page.html"], "no/such/page.html: "),
                 (["run", "--out", "empty"], "empty: is a folder"),
                 (["run", "--out", ""], "a file name is empty"), (["run", "--out"], "--out"),
                 (["run", "--plots", "pdf"], "--plots"), (["run", "--plots", "png,pdf"], "--plots"),
                 (["run", "--plots", ""], "--plots"), (["run", "--plots"], "--plots"),
                 ([], "DIR is required"), (["run", "run"], "unknown argument run"),
                 (["run", "--device", "cpu"], "unknown argument --device")]
        for args, says in wrong:
            with self.subTest(args=args):
                self.assert_one_line_error(["report", *args], says=says)
        self.assertEqual(self.ok("report", "run", "--quiet", "--out", "here.html"), "")
        self.assertFalse(os.path.exists(self.path("run/report.html")))
        self.assertEqual(self.ok("report", "run", "--out=/dev/stdout", "--quiet"),
                         self.read("here.html").decode())
        before = self.read("here.html")
        self.ok("report", "run/", "--out", "here.html")
        self.assertEqual(self.read("here.html"), before)
        self.assert_one_line_error(["report", "run", "--out", "/dev/full"], status=1,
                                   says="/dev/full: ")

    @unittest.skipIf(os.geteuid() == 0, "root may write anywhere")
    def test_a_folder_that_cannot_be_written(self):
        self.single()
        os.chmod(self.path("run"), 0o500)
        self.addCleanup(os.chmod, self.path("run"), 0o700)
        self.assert_one_line_error(["report", "run"], says="run/report.html: its folder cannot be "
                                   "written")


class Comparable(ReportCase):
    """Which cells stand beside each other, and what is said of those that cannot."""

    def curve_of(self, scaler):
        content = results()
        content["manifest"]["dataset_meta"] = scaler
        self.write("run/results.json", content)
        page = self.page("run")
        self.ok("report", "run", "--plots", "svg", "--quiet", env=self.gnuplot())
        blocks = self.read("run/plots/mse_by_epoch.dat").decode().split("\n\n\n")
        return page, {b.split("\n")[0]: float(b.split("\n")[1].split()[1]) for b in blocks}

    def gnuplot(self):
        self.write("bin/gnuplot", "#!/bin/sh\ncat > /dev/null\necho '</svg>' > .sinew-plot.tmp\n")
        os.chmod(self.path("bin/gnuplot"), 0o755)
        return dict(os.environ, PATH=self.path("bin") + ":" + os.environ["PATH"])

    def test_training_losses_are_in_units_of_the_data(self):
        loss = 0.01 * (1 + 3 / 1)
        for scaler, factor in ((None, 1), ({"y_scaler": None}, 1),
                               ({"y_scaler": "standard", "y_scaler_std": 4.0}, 16)):
            page, curves = self.curve_of(scaler)
            self.assertAlmostEqual(curves["# geo_sparse, training"], 0.8 * loss * factor)
            self.assertAlmostEqual(curves["# geo_sparse"], loss)
            self.assertIn("Solid: test rows; dashed: training rows", page.text)
        for scaler in ({"y_scaler": "standard", "y_scaler_std": [1.0, 2.0]},
                       {"y_scaler": "standard"}):
            page, curves = self.curve_of(scaler)
            self.assertNotIn("# geo_sparse, training", curves)
            self.assertEqual(page.count("path", "dashed"), 0)
            self.assertIn("Test rows. The training loss is of the scaled targets, each by a number "
                          "of its own, and has no place on this axis.", page.text)

    def test_other_settings_are_left_out(self):
        changes = {"b": ("epochs", 5), "c": ("lr", 0.1), "d": ("task", "sine"),
                   "e": ("train_size", 10), "f": ("val_fraction", 0.5), "g": ("digest", "ff"),
                   "h": ("isa", "avx2"), "i": ("baselines", []), "j": ("scale_y", True)}
        cells = {name: results(seed=i) for i, name in enumerate("abcdefghij")}
        for name, (key, value) in changes.items():
            cells[name]["manifest"][key] = value
        cells["k"] = results(seed=99)
        cells["k"]["manifest"]["network"]["norm"] = "none"
        # What belongs to a cell or follows from it may differ.
        cells["l"] = results(seed=12, k=4, depth=6, shape=(4, 4), activation="relu")
        cells["l"]["manifest"].update(dense_relu_width=7, dense_depth=6,
                                      dataset_meta={"features": 16})
        page = self.page(self.sweep(cells))
        why = {row[0]: row[1] for row in page.tables[1][1:]}
        self.assertEqual(why.keys(), set("bcdefghijk"))
        self.assertEqual(why["b"], "left out: other settings than a (epochs: 3, now 5)")
        self.assertEqual(why["d"], 'left out: other settings than a (task: "mixed", now "sine")')
        self.assertEqual(why["g"], 'left out: other settings than a (digest: nothing, now "ff")')
        self.assertEqual(why["k"],
                         'left out: other settings than a (network.norm: nothing, now "none")')
        self.assertIn("12 cells, 10 without figures; cpu", page.text)

    def test_seeds_count_once(self):
        cells = {"a": results(), "b": results((0.5, 0.5, 0.5)), "c": results(k=4),
                 "d": results(k=4, seed=1)}
        cells["e"] = results()
        cells["e"]["manifest"]["dense_depth"] = 2
        page = self.page(self.sweep(cells))
        self.assertEqual(page.tables[1][1:],
                         [["b", "left out: same configuration and seed as a"]])
        self.assertEqual([row[:3] for row in page.tables[2][1:]],
                         [["depth 4, k 4, psann", "8x8", "2"], ["depth 4, k 8, psann", "8x8", "1"],
                          ["depth 4 (dense 2), k 8, psann", "8x8", "1"]])
        self.assertIn("Mean over the seeds (1 to 2 seeds)", page.text)

    def test_networks_that_diverged_are_not_defeats(self):
        cells = {f"s{i}": results((0.01, 0.02, 0.005), seed=i) for i in range(4)}
        cells["s0"]["models"][0]["metrics_test"]["mse"] = None
        cells["s1"]["models"][1]["metrics_test"]["mse"] = None
        text = self.ok("report", self.sweep(cells))
        self.assertIn("geo_sparse is better than dense_resrelu in 2 of 2 comparable cells; mean "
                      "test mse 0.01000 against 0.02000 ", text)
        self.assertIn("geo_sparse is better than dense_respsann in 0 of 3 comparable cells; mean "
                      "test mse 0.01000 against 0.005000 ", text)
        self.assertIn("better than predicting the mean in 3 of 3 comparable cells\n", text)
        self.assertIn("\ngeo_sparse diverged in 1 of 4 cells (loss not finite)\n", text)
        self.assertIn("\ndense_resrelu diverged in 1 of 4 cells (loss not finite)\n", text)
        page = self.page("sweep")
        self.assertEqual(self.rows(page, 0)["dense_resrelu"][-3:], ["3 of 4", "2 of 2", "1 of 1"])

    def test_answers_of_a_network_that_diverged_are_none(self):
        content = results((0.1, 0.2, 0.3), accuracies=(0.9, 0.95, 0.8))
        content["models"][1]["metrics_test"]["cross_entropy"] = None
        self.write("run/results.json", content)
        out = self.ok("report", "run")
        self.assertIn("dense_resrelu diverged (loss not finite)\n", out)
        self.assertNotIn("better than dense_resrelu", out)
        self.assertNotIn("95.0 %", out)

    def test_cost_and_size(self):
        cells = {f"s{i}": results((0.01, 0.04, 0.02), seed=i) for i in range(3)}
        for i, cell in enumerate(cells.values()):
            cell["manifest"]["match_tolerance"] = 0.01
            geo, one, other = cell["models"]
            geo["train"].update(step_time_ms_median=3.0, memory_high_water_bytes=4e6)
            one["train"].update(step_time_ms_median=0.8, memory_high_water_bytes=None)
            other["train"].update(step_time_ms_median=None, step_time_ms_mean=None,
                                  memory_high_water_bytes=1e6)
            one["param_mismatch_ratio"] = 0.01 * (i + 1)
            other["param_mismatch_ratio"] = 0.02 if i == 2 else 0.0
        text = self.ok("report", self.sweep(cells))
        self.assertIn("3 of 3 cells; mean test mse 0.01000 against 0.04000 (4 times smaller), at "
                      "3.8 times its step time (3 ms against 0.8 ms)\n", text)
        self.assertIn("(2 times smaller), at 4 times its memory (4 MB against 1 MB)\n", text)
        self.assertIn("\n2 of 3 dense_resrelu have more than 1 % more or fewer parameters than "
                      "geo_sparse, at most 3.0 %\n", text)
        self.assertIn("\n1 of 3 dense_respsann has more than 1 % more or fewer", text)
        self.write("run/results.json", cells["s2"])
        self.assertIn("\nThe parameters of dense_resrelu are off those of geo_sparse by 3.0 %, more "
                      "than 1 %\n", self.ok("report", "run"))

    def test_sweeps_that_have_not_ended(self):
        ids = [f"task=mixed_shape=8x8_depth=4_k=8_act=psann_seed={i}" for i in range(3)]
        self.write("sweep/manifest.json", {"settings": {}, "cells": [{"run_id": i} for i in ids]})
        self.assertEqual(self.ok("report", "sweep"), "sweep/report.html: 0 of 3 cells; 3 are missing"
                         "\nNo cell has figures\n")
        page = self.page("sweep")
        self.assertIn("0 of 3 cells; 3 are missing", page.text)
        self.assertIn("No cell has figures.", page.text)
        for i, one in enumerate(ids[:2]):
            self.write(f"sweep/{one.replace('=', '_')}/results.json", results(seed=i))
            left = 2 - i
            self.assertTrue(self.ok("report", "sweep").startswith(
                f"sweep/report.html: {i + 1} of 3 cells; {left} {'are' if left > 1 else 'is'} "
                "missing\n"))
        self.assertIn("2 of 3 cells; 1 is missing; cpu", self.page("sweep").text)

    def test_names_of_columns_are_explained(self):
        page = self.page(self.single(validation=False))
        self.assertIn("at lowest train loss", page.tables[0][0])
        self.assertIn("the test figure after the epoch with the lowest training loss", page.titles)
        self.assertIn("test then: the test figure after the epoch with the lowest training loss; "
                      "off by: how far the parameters are from those of geo_sparse; ", page.text)
        self.assertIn("8192 rows", page.text)
        self.assertNotIn("for validation", page.text)
        page = self.page(self.single())
        self.assertIn("at best epoch", page.tables[0][0])
        self.assertIn("the test figure after the epoch with the best validation figure", page.titles)
        self.assertIn("8192 rows, of these 819 for validation", page.text)
        self.assertNotIn("No validation rows", page.text)

    def test_singular(self):
        cells = {"a": results(), "b": {"status": "error", "error": "no memory"}}
        cells["a"]["manifest"].update(train_size=1, val_size=0)
        page = self.page(self.sweep(cells))
        for text in ("2 cells, 1 without figures", "1 cell without figures", "1 row"):
            self.assertIn(text, page.text)
        self.assertNotRegex(page.text, r"\b1 (cells|rows|seeds|blocks|outputs)\b")


class Plots(ReportCase):
    """With and without gnuplot."""

    def without(self):
        os.makedirs(self.path("bin"), exist_ok=True)
        return {"env": dict(os.environ, PATH=self.path("bin"))}

    def test_without_gnuplot(self):
        self.single()
        done = self.run_program("report", "run", "--plots", "png", **self.without())
        self.assertEqual((done.status, done.err),
                         (0, "--plots: gnuplot is not in PATH; no plots written\n"))
        self.assertEqual(sorted(os.listdir(self.path("run"))), ["report.html", "results.json"])
        done = self.run_program("report", "run", "--plots", "png", "--quiet", **self.without())
        self.assertEqual(done, (0, "", ""))

    def fake(self, script):
        """A program gnuplot of our own, the only one in PATH; its picture is whole."""
        options = self.without()
        self.write("bin/gnuplot", "#!/bin/sh\necho '</svg>IEND' > .sinew-plot.tmp\n" + script)
        os.chmod(self.path("bin/gnuplot"), 0o755)
        return options

    def test_scripts(self):
        self.single()
        done = self.run_program("report", "run", "--plots=png,svg", **self.fake(
            "echo \"$@\" >> args; while read -r l; do echo \"$l\" >> script; done\n"))
        self.assertEqual((done.status, done.err), (0, ""))
        names = ["mse_against_parameters", "mse_against_training_time", "mse_by_epoch",
                 "step_time_against_parameters"]
        self.assertEqual(set(os.listdir(self.path("run/plots"))),
                         {"args", "script", *(f"{name}.{end}" for name in names
                                              for end in ("dat", "png", "svg"))})
        self.assertEqual(self.read("run/plots/args"), b"-d -\n" * 8)
        script = self.read("run/plots/script").decode()
        self.assertEqual(script.count("set output '.sinew-plot.tmp'\n"), 8)
        self.assertEqual(script.count("noenhanced size 960,500"), 12)
        for title in ("1 title 'solid: test'", "2 title 'dashed: training'"):
            self.assertEqual(script.count("NaN with lines lw 2 lc rgb '#1b1e23' dt " + title), 2)
        self.assertNotIn('"', script)
        self.assertIn("set logscale y", script)
        blocks = self.read("run/plots/mse_against_parameters.dat").decode().split("\n\n\n")
        self.assertEqual([b.split("\n")[0] for b in blocks], [
            "# predicting the mean 0.2700", "# least squares 0.2100", "# geo_sparse", "# dense_resrelu", "# dense_respsann"])
        self.assertEqual(blocks[2:], ["# geo_sparse\n900 0.01", "# dense_resrelu\n900 "
                                      "0.089999999999999997", "# dense_respsann\n900 0.12\n"])
        self.run_program("report", "run", "--plots", "svg", "--plots", "png", **self.fake(
            "while read -r l; do echo \"$l\" >> script2; done\n"))
        self.assertEqual(self.read("run/plots/script2").count(b"set output '"), 8)

    def test_gnuplot_that_fails(self):
        self.single()
        for script, says in (("echo 'line 3: unknown terminal' >&2; exit 1", "line 3: unknown term"),
                             ("echo 'no display'; exit 2", "no display"), ("kill -9 $$", "failed ("),
                             ("exec /none", "failed (")):
            done = self.run_program("report", "run", "--plots", "png", **self.fake(script))
            self.assertEqual(done.status, 1)
            self.assertRegex(done.err, r"^sinew report: error: gnuplot: failed \(.*\)\n$")
            self.assertIn(says, done.err)
        done = self.run_program("report", "run", "--plots", "png", env={"PATH": ""})
        self.assertEqual((done.status, done.out.count("\n")), (0, 5))

    def test_a_picture_that_is_cut(self):
        self.single()
        self.write("run/plots/mse_against_parameters.png", "an earlier one")
        done = self.run_program("report", "run", "--plots", "png", **self.fake(
            "echo 'IEN' > .sinew-plot.tmp"))
        self.assertEqual((done.status, done.err),
                         (1, "sinew report: error: run/plots/mse_against_parameters.png: gnuplot "
                          "could not write all of it (is the disk full?)\n"))
        self.assertEqual(self.read("run/plots/mse_against_parameters.png"), b"an earlier one")
        self.assertNotIn(".sinew-plot.tmp", os.listdir(self.path("run/plots")))

    def test_a_plots_folder_that_cannot_be(self):
        self.single()
        self.write("run/plots", "")
        for args in (["report", "run", "--plots", "png"],):
            self.assert_one_line_error(args, says="run/plots: cannot be made (",
                                       **self.fake("exit 0"))

    @unittest.skipUnless(shutil.which("gnuplot"), "gnuplot is not installed")
    def test_pictures(self):
        attack = "'; system('touch bad'); set title \"`touch bad`\" # {/=90 x}"
        cells = {f"s{i}": results((0.01, 0.05, 0.02 + i), k=4 + i, activation=attack)
                 for i in range(2)}
        for cell in cells.values():
            cell["manifest"].pop("network")
            cell["models"][0]["name"] = attack
            cell["reference_lines"][0]["name"] = attack
        self.sweep(cells, name="<odd 'name'>")
        self.ok("report", "<odd 'name'>", "--plots", "png,svg")
        names = sorted(os.listdir(self.path("<odd 'name'>/plots")))
        charts = ("mse_against_parameters", "mse_against_training_time", "mse_by_configuration",
                  "mse_by_epoch", "step_time_against_parameters")
        self.assertEqual(names, sorted(f"{c}.{e}" for c in charts for e in ("dat", "png", "svg")))
        for chart in charts:
            self.assertEqual(self.read(f"<odd 'name'>/plots/{chart}.png")[:8], b"\x89PNG\r\n\x1a\n")
            self.assertIn(b"</svg>", self.read(f"<odd 'name'>/plots/{chart}.svg"))
        self.assertFalse([f for f in self.tree() if f.endswith("bad")])


if __name__ == "__main__":
    unittest.main()
