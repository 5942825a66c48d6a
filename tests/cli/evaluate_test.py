#!/usr/bin/env python3
"""sinew evaluate: figures of merit of regression and classification, and its errors."""
import json
import math
import unittest

from case import CliCase, idx, npy

ROWS = [[1.0, 2.0], [-3.0, 0.5], [0.0, 0.0], [4.0, 4.0]]
FLAT = [v for row in ROWS for v in row]
FIGURES = ("loss", "mse", "rmse", "mae", "smape", "r2")


def regression(p, t):
    """The formulas of include/sinew/metrics.h for one column; the loss is the mse."""
    mean = sum(t) / len(t)
    over = lambda f: sum(f(a, b) for a, b in zip(p, t)) / len(t)
    mse = over(lambda a, b: (a - b) ** 2)
    return {"rows": len(t), "loss": mse, "mse": mse, "rmse": math.sqrt(mse),
            "mae": over(lambda a, b: abs(a - b)),
            "smape": over(lambda a, b: 2 * abs(a - b) / (abs(a) + abs(b) + 1e-8)),
            "r2": 1 - mse * len(t) / sum((b - mean) ** 2 for b in t)}


class Evaluate(CliCase):
    def evaluate(self, *args):
        return json.loads(self.ok("evaluate", "--json", *args))

    def assert_figures(self, got, want):
        self.assertEqual(list(got), list(want))
        for key in want:
            self.assertAlmostEqual(got[key], want[key], 5, key)

    def test_regression(self):
        self.write("x.npy", npy(FLAT, (4, 2)))
        self.write("t.npy", npy([0.5, -1.0, 2.0, 7.0]))
        self.write_model("run", [[2.0, -1.0]], [0.25])
        predictions = [2 * a - b + 0.25 for a, b in ROWS]
        want = regression(predictions, [0.5, -1.0, 2.0, 7.0])
        args = ("--model", "run", "--data", "x.npy", "--target", "t.npy")
        self.assert_figures(self.evaluate(*args), want)
        self.assert_figures(self.evaluate(*args, "--batch-size", 3), want)
        lines = [line.split() for line in self.ok("evaluate", *args).splitlines()]
        self.assertEqual([line[0] for line in lines], ["rows", *FIGURES])
        for key, value in lines:
            self.assertAlmostEqual(float(value), want[key], 4)

    def test_the_loss_is_that_of_training(self):
        self.write("x.npy", npy(FLAT, (4, 2)))
        self.write("t.npy", npy([0.5, -1.0, 2.0, 7.0], (4, 1)))
        args = ("--model", "run", "--data", "x.npy", "--target", "t.npy")
        self.write_model("run", [[2.0, -1.0]], [0.25], loss="l1",
                         y_scaler={"shift": [1.0], "scale": [4.0]})
        predictions = [(2 * a - b + 0.25) * 4 + 1 for a, b in ROWS]
        want = regression(predictions, [0.5, -1.0, 2.0, 7.0])
        want["loss"] = want["mae"] / 4  # of scaled targets
        self.assert_figures(self.evaluate(*args), want)
        self.write_model("run", [[2.0, -1.0]], [0.25], loss="huber", loss_delta=0.5)
        d = [2 * a - b + 0.25 - t for (a, b), t in zip(ROWS, [0.5, -1.0, 2.0, 7.0])]
        huber = sum(v * v / 2 if abs(v) <= .5 else .5 * (abs(v) - .25) for v in d) / 4
        self.assertAlmostEqual(self.evaluate(*args)["loss"], huber, 5)

    def test_r2_of_a_constant_target_is_null(self):
        self.write("x.npy", npy(FLAT, (4, 2)))
        self.write("t.npy", npy([1.0] * 4))
        self.write_model("run", [[2.0, -1.0]], [0.25])
        args = ("--model", "run", "--data", "x.npy", "--target", "t.npy")
        self.assertIsNone(self.evaluate(*args)["r2"])
        self.assertRegex(self.ok("evaluate", *args), r"\nr2 +nan\n")

    def test_several_targets(self):
        self.write("x.npy", npy(FLAT, (4, 2)))
        self.write("t.npy", npy([1.0, 2, -3, 0.5, 0, 0, 4, 6], (4, 2)))
        self.write_model("run", [[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0])
        got = self.evaluate("--model", "run", "--data", "x.npy", "--target", "t.npy")
        self.assertAlmostEqual(got["mse"], 4 / 8)
        self.assert_one_line_error(
            ["evaluate", "--model", "run", "--data", "x.npy", "--target",
             self.write("one.npy", npy([0.0] * 4))], says="has 1 targets, the network 2 outputs")

    def classifier(self):
        """Three classes, 5, 7 and 9, one per input; 26 rows, 25 of them right."""
        labels = [(5, 7, 9)[i % 3] for i in range(26)]
        self.x = [[float(l == 5), float(l == 7), float(l == 9)] for l in labels]
        self.labels = [7] + labels[1:]
        identity = [[1.0 if i == j else 0.0 for j in range(3)] for i in range(3)]
        self.write_model("run", identity, [0.0] * 3, loss="cross_entropy", classes=[5, 7, 9],
                         inputs=["a", "b", "c"], targets=["kind"])
        self.write("x.npy", npy([v for row in self.x for v in row], (26, 3)))
        self.write("t.npy", npy(self.labels, descr="|u1"))

    def assert_classified(self, got):
        self.assertAlmostEqual(got["accuracy"], 25 / 26)
        right, wrong = (math.log(1 + 2 / math.e), math.log(2 + math.e))
        self.assertAlmostEqual(got["loss"], (25 * right + wrong) / 26, 6)
        self.assertEqual(got["rows"], 26)
        self.assertEqual(got["confusion"], [[8, 0, 0], [1, 9, 0], [0, 0, 8]])
        want = [(5, 8 / 9, 1.0, 8), (7, 1.0, 0.9, 10), (9, 1.0, 1.0, 8)]
        for row, (label, precision, recall, support) in zip(got["classes"], want):
            self.assertEqual((row["label"], row["support"]), (label, support))
            self.assertAlmostEqual(row["precision"], precision)
            self.assertAlmostEqual(row["recall"], recall)
            self.assertAlmostEqual(row["f1"], 2 * precision * recall / (precision + recall))

    def test_classification(self):
        self.classifier()
        self.assert_classified(self.evaluate("--model", "run", "--data", "x.npy", "--target",
                                             "t.npy"))
        text = self.ok("evaluate", "--model", "run", "--data", "x.npy", "--target", "t.npy")
        self.assertRegex(text, r"(?m)^accuracy +96\.2 %$")
        self.assertIn(["7", "1.0000", "0.9000", "0.9474", "10"],
                      [line.split() for line in text.splitlines()])

    def test_one_csv_by_the_models_names(self):
        self.classifier()
        rows = [(c, label, a, b) for (a, b, c), label in zip(self.x, self.labels)]
        self.write("d.csv", "c,kind,a,b\n" + "".join("%g,%d,%g,%g\n" % r for r in rows))
        self.assert_classified(self.evaluate("--model", "run", "--data", "d.csv"))
        self.assert_classified(self.evaluate("--model", "run", "--data", "d.csv",
                                             "--target-column", "kind"))
        self.assert_classified(self.evaluate("--model", "run", "--data", "d.csv",
                                             "--target-column", "1"))
        # X and T apart: X may hold the target as well.
        self.write("t.idx", idx(self.labels, (26,)))
        self.assert_classified(self.evaluate("--model", "run", "--data", "d.csv", "--target",
                                             "t.idx"))

    def test_labels(self):
        self.classifier()
        args = ["evaluate", "--model", "run", "--data", "x.npy", "--target", "bad.npy"]
        for values, says in (([5] * 25 + [6], "bad.npy: row 26: label 6 is none of the"),
                             ([5, 7.5] + [5] * 24, "bad.npy: row 2 is no label, which is whole"),
                             ([2.0 ** 24] + [5] * 25, "bad.npy: row 1 is too large for a label"),
                             ([5] * 25, "bad.npy: has 25 rows, x.npy has 26"),
                             ([5] * 52, "bad.npy: has 52 rows, x.npy has 26")):
            self.write("bad.npy", npy(values))
            self.assert_one_line_error(args, says=says)
        self.write("bad.npy", npy([5] * 52, (26, 2)))
        self.assert_one_line_error(args, says="cross_entropy needs one column of labels (2)")

    def test_usage(self):
        self.write("x.npy", npy(FLAT, (4, 2)))
        self.write("t.npy", npy([0.0] * 4))
        self.write("d.csv", "1,2,3\n")
        self.write_model("run", [[1.0, 1.0]], [0.0])
        data = ("--data", "x.npy", "--target", "t.npy")
        for args, says in ((data, "--model"), (("--model", "run"), "--data"),
                           (("--model", "run", "--data", "x.npy"), "x.npy: is no CSV"),
                           (("--model", "run", *data, "--target-column", "0"), "--target"),
                           (("--model", "none", *data), "none/config.json"),
                           (("--model", "run", "--data", "none", *data[2:]), "none: cannot be"),
                           (("--model", "run", *data[:2], "--target", "none"), "none: cannot be"),
                           (("--model", "run", *data, "--batch-size", "-1"), "--batch-size"),
                           (("--model", "run", *data, "--device", "cpu", "--tf32"), "--device cuda"),
                           (("--model", "run", *data, "--strict"), "unknown argument --strict")):
            with self.subTest(args):
                self.assert_one_line_error(["evaluate", *args], says=says)
        self.assertEqual(self.ok("evaluate", "--model", "run", *data, "--quiet"), "")


if __name__ == "__main__":
    unittest.main()
