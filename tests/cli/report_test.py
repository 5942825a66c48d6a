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
        self.tables, self.heads = [], []
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
