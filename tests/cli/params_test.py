#!/usr/bin/env python3
"""sinew params: counts, the layer table, matched widths, and every flag of a network."""
import json
import unittest

from case import CliCase, GOLDEN, GOLDEN_CASES

# Reference values (section 5 of the specification): analytic, empirical, widths.
REFERENCE = [("8x8", "relu", 4, 4, 2629, 2885, [15, 14, 22, 20]),
             ("8x8", "psann", 12, 32, 50765, 53837, [45, 45, 67, 65]),
             ("16x16", "relu", 8, 16, 69897, 71945, [59, 58, 84, 83]),
             ("16x16", "psann", 12, 32, 203021, 215309, [89, 88, 128, 127])]

BASE = ("--shape", "4x4", "--depth", "2", "--k", "4")


class Params(CliCase):
    def count(self, *args):
        return json.loads(self.ok("params", "--json", *args))

    def empirical(self, *args):
        return self.count(*args)["params_empirical"]

    def test_reference_counts_and_widths(self):
        for shape, activation, depth, k, analytic, empirical, widths in REFERENCE:
            counts = self.count("--shape", shape, "--activation", activation, "--depth", depth,
                                "--k", k)
            self.assertEqual((counts["params_analytic"], counts["params_empirical"]),
                             (analytic, empirical))
            self.assertEqual([m["width"] for m in counts["matched"]], widths)
            self.assertEqual([m["name"] for m in counts["matched"]],
                             ["dense_resrelu", "dense_respsann", "dense_relu", "dense_psann"])
            for m in counts["matched"]:
                self.assertEqual(m["param_mismatch"], abs(m["params_empirical"] - empirical))
                self.assertAlmostEqual(m["param_mismatch_ratio"], m["param_mismatch"] / empirical)

    def test_golden_cases_have_the_reference_names_and_counts(self):
        for name in GOLDEN_CASES:
            with open(f"{GOLDEN}/{name}/case.json", encoding="utf-8") as f:
                case = json.load(f)
            counts = self.count("--config", self.write("config.json", case["config"]))
            tables = ("in_index_per_out", "src_index", "dst_index")
            self.assertEqual([layer["name"] for layer in counts["layers"]],
                             [k for k in case["keys"] if not k.endswith(tables)])
            self.assertEqual(counts["params_empirical"], case["params"])
            self.assertEqual(sum(layer["params"] for layer in counts["layers"]), case["params"])

    def test_text(self):
        lines = self.ok("params", *BASE).splitlines()
        self.assertEqual([line.split() for line in lines[:3]],
                         [["analytic", "339"], ["empirical", "467"], ["trainable", "467"]])
        self.assertIn(["blocks.1.fc2.weight", "[16,", "4]", "64"], [line.split() for line in lines])
        self.assertIn(["dense_relu", "14", "463", "4", "0.86", "%"],
                      [line.split() for line in lines])

    def test_trainable_counts_leave_out_what_is_frozen(self):
        args = (*BASE, "--activation-config", '{"learnable": "none"}')
        counts = self.count(*args)
        self.assertEqual(counts["params_trainable"], 467 - 2 * 3 * 16)
        self.assertEqual([layer["name"] for layer in counts["layers"] if not layer["trainable"]],
                         [f"blocks.{i}.act.{p}" for i in (0, 1) for p in ("_A", "_f", "_d")])
        self.assertEqual(self.ok("params", *args).count("frozen"), 6)

    def test_sizes(self):
        self.assertEqual(self.count(*BASE)["params_empirical"], 467)
        self.assertEqual(self.empirical("--shape", "2,8", "--depth", 2, "--k", 4), 467)
        self.assertEqual(self.empirical(*BASE, "--output-dim", 3), 467 + 2 * 17)
        self.assertEqual(self.empirical(*BASE, "--input-dim", 16), 467)
        self.assertEqual(self.empirical(*BASE, "--no-bias"), 467 - 4 * 16)
        self.assertEqual(self.empirical(*BASE, "--bias"), 467)
        self.assertEqual(self.empirical(*BASE, "--no-bias", "--bias"), 467)  # the last one counts
        self.assertEqual(self.empirical(*BASE, "--norm", "layer"), 467 + 2 * 16)
        for name in ("--activation", "--activation-type", "--sparse-activation"):
            self.assertEqual(self.empirical(*BASE, name, "relu"), 467 - 6 * 16)
        dense = ("--input-dim", 5, "--hidden-dim", 3, "--depth", 2, "--activation", "relu")
        self.assertEqual(self.empirical("--model", "mlp", *dense), 18 + 12 + 4)
        self.assertEqual(self.empirical("--model", "dense_residual", *dense),
                         18 + 2 * (24 + 1 + 3) + 4)

    def test_activation_config_from_a_file(self):
        self.write("mixed.json", {"types": ["relu", "psann"]})
        self.assertEqual(self.empirical(*BASE, "--activation", "mixed", "--activation-config",
                                        "mixed.json"), 467 - 2 * 3 * 8)
        self.assert_one_line_error(["params", *BASE, "--activation-config", "none.json"],
                                   says="none.json")
        self.write("bad.json", "{")
        self.assert_one_line_error(["params", *BASE, "--activation-config", "bad.json"],
                                   says="--activation-config: bad.json: no valid JSON")

    def test_flags_override_the_file_and_null_is_absent(self):
        self.write("c.json", {"shape": [4, 4], "depth": 2, "k": 9, "norm": None, "sinew": {"a": 1}})
        self.assertEqual(self.empirical("--config", "c.json"), 467 + 4 * 16 * 5)
        self.assertEqual(self.empirical("--config", "c.json", "--k", 4), 467)
        self.assertEqual(self.empirical("--config", "c.json", "--k=4"), 467)
        self.assertEqual(self.empirical("--config", "c.json", "--model", "mlp", "--hidden-dim", 2,
                                        "--input-dim", 3, "--depth", 1), 8 + 6 + 3)

    def test_flags_without_parameters_reach_the_tables(self):
        """Of flags that change no count: values that cannot be built are refused."""
        refused = [(("--pattern", "ring"), "--pattern: connectivity: unknown pattern (ring"),
                   (("--radius", "-1"), "radius"),
                   (("--radius", "big"), "--radius: network: radius needs a whole number or"),
                   (("--offsets", "[]"), "offsets"),
                   (("--offsets", "[[0]]"), "offset"),
                   (("--offsets", "[[0,"), "--offsets: no valid JSON"),
                   (("--wrap-mode", "mirror"), "--wrap-mode: connectivity: unknown wrap mode"),
                   (("--offset-order", "random"), "--offset-order: connectivity: unknown offset"),
                   (("--no-include-self", "--radius", "0"), "no offset is left without (0, 0)"),
                   (("--no-allow-repeats", "--k", "9"), "too few different candidates (k 9"),
                   (("--distinct", "--k", "17"), "different candidates"),
                   (("--dilation", "0"), "dilation"),
                   (("--compute-mode", "both"), "--compute-mode: network: unknown compute_mode"),
                   (("--drop-path-max", "1"), "drop_path_max outside [0, 1) (1)"),
                   (("--residual-alpha-init", "x"), "residual_alpha_init needs a number"),
                   (("--net-seed", "1.5"), "--net-seed: network: seed needs a whole number"),
                   (("--activation-config", '{"amp": 1}'), "unknown key (amp; nearest is amp_"),
                   (("--norm", "batch"), "--norm: norm: unknown kind (batch; nearest is"),
                   (("--activation", "swish"), "--activation: activation: unknown"),
                   (("--model", "cnn"), "--model: network: unknown model (cnn; nearest is"),
                   (("--shape", "4"), "shape needs two sizes (has 1)"),
                   (("--shape", "4xx"), '--shape: network: shape needs [H, W] or "HxW"'),
                   (("--input-dim", "15"), "input_dim is not H * W (15, 16)"),
                   (("--hidden-dim", "3"), "--hidden-dim: network: geo_sparse has no hidden_dim"),
                   (("--k", "1e400"), "--k: network: k needs a whole number"),
                   (("--depth", "0"), "depth outside [1, 2^31) (0)"),
                   (("--output-dim", "0"), "output_dim outside [1, 2^31) (0)")]
        for extra, says in refused:
            given = {flag for flag in extra if flag.startswith("--")}
            base = [a for flag, value in zip(BASE[::2], BASE[1::2]) if flag not in given
                    for a in (flag, value)]
            with self.subTest(extra):
                self.assert_one_line_error(["params", *base, *extra], says=says)

    def test_flags_without_parameters_are_accepted(self):
        for extra in (("--pattern", "hash"), ("--radius", "2"), ("--radius", "auto"),
                      ("--offsets", "[[0,1],[1,0]]"), ("--wrap-mode", "wrap"),
                      ("--offset-order", "distance"), ("--include-self", "--radius", "0"),
                      ("--allow-repeats", "--radius", "0"), ("--no-distinct", "--radius", "0"),
                      ("--dilation", "2"), ("--compute-mode", "scatter"),
                      ("--drop-path-max", "0.5"), ("--residual-alpha-init", "-1"),
                      ("--net-seed", "-3"), ("--distinct", "--k", "16")):
            with self.subTest(extra):
                base = BASE[:4] if "--k" in extra else BASE
                self.ok("params", *base, *extra)

    def test_errors(self):
        self.assert_one_line_error(["params"], says="shape is missing (H x W)")
        self.assertEqual(self.ok("params", "--shape", "9x9", *BASE), self.ok("params", *BASE))
        self.assert_one_line_error(["params", "--config", "none.json"], says="none.json")
        self.assert_one_line_error(["params", "--config", "."], says=".: is a folder")
        self.write("c.json", {"shape": [4, 4], "widht": 1})
        self.assert_one_line_error(["params", "--config", "c.json"],
                                   says="c.json: network: unknown key (widht")
        self.assert_one_line_error(["params", "--shape", "40000x40000", "--k", "1", "--depth", 99],
                                   says="do not fit into memory")

    def test_quiet(self):
        self.assertEqual(self.ok("params", *BASE, "--quiet"), "")


if __name__ == "__main__":
    unittest.main()
