#!/usr/bin/env python3
"""What the flags of a network make: seen in the tables, weights and configuration of a model that
has been trained for one epoch. (Counts of parameters: params_test.py.)"""
import json
import unittest

from case import CliCase, GOLDEN, GOLDEN_CASES, npy, read_safetensors

TABLE = "blocks.0.fc1.in_index_per_out"


class NetworkFlags(CliCase):
    def setUp(self):
        super().setUp()
        self.write("t.npy", npy([0.5, -0.5, 1.5]))

    def train(self, *args, shape=(3, 16)):
        size = 1
        for n in shape:
            size *= n
        self.write("x.npy", npy([i % 7 / 7 for i in range(size)], shape))
        done = self.run_program("train", "--data", "x.npy", "--target", "t.npy", "--epochs", 1,
                                "--lr", "1e-30", "--out", "run", "--overwrite", *args)
        self.assertEqual(done.status, 0, done.err)
        return (json.loads(self.read("run/config.json")),
                read_safetensors(self.path("run/model.safetensors")))

    def row(self, o, *args):
        """The inputs of output o of the first block on 4 x 4 with k = 4."""
        _, state = self.train("--shape", "4x4", "--depth", 1, "--k", 4, *args)
        return state[TABLE][2][4 * o:4 * o + 4]

    def test_tables(self):
        # Section 1 of the specification, and its definitions applied by hand.
        self.assertEqual(self.row(5), [0, 1, 2, 4])
        self.assertEqual(self.row(0), [0, 0, 1, 0])
        self.assertEqual(self.row(0, "--wrap-mode", "wrap"), [15, 12, 13, 3])
        self.assertEqual(self.row(0, "--wrap-mode", "clamp"), [0, 0, 1, 0])
        self.assertEqual(self.row(0, "--pattern", "random", "--net-seed", 0), [5, 0, 1, 4])
        self.assertEqual(self.row(2, "--pattern", "hash", "--net-seed", 0), [7, 2, 5, 6])
        self.assertNotEqual(self.row(2, "--pattern", "hash", "--net-seed", 1), [7, 2, 5, 6])
        self.assertEqual(self.row(10, "--radius", 2), [0, 1, 2, 3])
        self.assertEqual(self.row(5, "--offsets", "[[0, 1], [1, 0], [0, 0]]"), [6, 9, 5, 6])
        self.assertEqual(self.row(5, "--offsets", "[[0, 1], [0, 0]]", "--no-include-self"), [6] * 4)
        self.assertEqual(self.row(0, "--no-allow-repeats"), [0, 1, 4, 5])
        self.assertEqual(sorted(self.row(5, "--offset-order", "distance"))[1:], [4, 5, 6])
        self.assertEqual(self.row(5, "--dilation", 2, "--wrap-mode", "wrap"), [15, 13, 15, 7])
        self.assertEqual(self.row(0, "--distinct"), [0, 1, 4, 5])
        self.assertEqual(len(set(self.row(0, "--distinct", "--no-include-self"))), 4)
        self.assertNotIn(0, self.row(0, "--distinct", "--no-include-self"))

    def test_radius_auto_is_the_smallest_that_has_k_candidates(self):
        auto = self.row(0, "--radius", "auto", "--no-allow-repeats")
        self.assertEqual(auto, self.row(0, "--radius", 1, "--no-allow-repeats"))
        config, _ = self.train("--shape", "4x4", "--radius", "auto")
        self.assertEqual(config["radius"], "auto")

    def test_golden_tables(self):
        for name in GOLDEN_CASES:
            case = f"{GOLDEN}/{name}"
            with open(f"{case}/case.json", encoding="utf-8") as f:
                self.write("c.json", json.load(f)["config"])
            done = self.run_program("train", "--config", "c.json", "--data", f"{case}/X.npy",
                                    "--target", f"{case}/T.npy", "--epochs", 1, "--out", "run",
                                    "--overwrite")
            self.assertEqual(done.status, 0, done.err)
            got = read_safetensors(self.path("run/model.safetensors"))
            want = read_safetensors(f"{case}/init.safetensors")
            self.assertEqual(list(got), list(want))
            tables = [t for t in want if t.endswith(("in_index_per_out", "src_index", "dst_index"))]
            self.assertTrue(tables)
            for table in tables:
                self.assertEqual(got[table], want[table], f"{name}: {table}")

    def test_weights(self):
        _, state = self.train("--residual-alpha-init", "0.75", "--depth", 2)
        self.assertEqual([state[f"blocks.{i}.alpha"][2] for i in (0, 1)], [[0.75]] * 2)
        names = {"psann": "act._A", "phase_psann": "act._phi", "relu_sigmoid_psann": "act._slope"}
        for activation, parameter in names.items():
            _, state = self.train("--activation", activation, "--depth", 1)
            self.assertIn("blocks.0." + parameter, state)
        _, state = self.train("--activation", "tanh", "--norm", "layer", "--no-bias", "--depth", 1)
        self.assertEqual([n for n in state if not n.endswith(("out", "index"))],
                         ["blocks.0.alpha", "blocks.0.norm.weight", "blocks.0.norm.bias",
                          "blocks.0.fc1.weight", "blocks.0.fc2.weight", "head.weight", "head.bias"])
        _, state = self.train("--activation-config", '{"phase_init": 0.5}', "--activation",
                              "phase_psann", "--depth", 1)
        self.assertEqual(state["blocks.0.act._phi"][2], [0.5] * 16)

    def test_the_rest_is_kept_in_the_configuration(self):
        config, _ = self.train("--drop-path-max", "0.25", "--compute-mode", "scatter", "--net-seed",
                               "-5", "--output-dim", 1, "--input-dim", 16)
        self.assertEqual((config["drop_path_max"], config["compute_mode"], config["seed"]),
                         (0.25, "scatter", -5))
        config, state = self.train("--model", "mlp", "--hidden-dim", 5, "--depth", 1)
        self.assertEqual((config["model"], config["input_dim"]), ("mlp", 16))
        self.assertEqual(state["layers.0.fc.weight"][1], [5, 16])
        config, state = self.train("--model", "dense_residual", "--hidden-dim", 5)
        self.assertEqual(state["in_proj.weight"][1], [5, 16])

    def test_what_the_data_decide(self):
        for shape, want in (((3, 16), [4, 4]), ((3, 12), [3, 4]), ((3, 7), [1, 7]),
                            ((3, 2, 6), [2, 6])):
            config, _ = self.train("--k", 1, shape=shape)
            self.assertEqual((config["shape"], config["output_dim"]), (want, 1))
        self.write("t.npy", npy([0.5] * 6, (3, 2)))
        config, state = self.train()
        self.assertEqual((config["output_dim"], state["head.weight"][1]), (2, [2, 16]))
        self.write("t.npy", npy([4, 9, 4], descr="<i4"))
        config, _ = self.train()
        self.assertEqual((config["output_dim"], config["sinew"]["classes"]), (2, [4, 9]))

    def test_what_contradicts_the_data(self):
        self.write("x.npy", npy([0.0] * 36, (3, 2, 6)))
        self.write("flat.npy", npy([0.0] * 36, (3, 12)))
        for data, args, says in (
                ("x.npy", ("--shape", "3x4"), "the network's shape is 3 x 4, the data's 2 x 6"),
                ("x.npy", ("--shape", "6x2"), "the network's shape is 6 x 2, the data's 2 x 6"),
                ("flat.npy", ("--shape", "3x5"), "the network has 15 inputs, the data 12 columns"),
                ("flat.npy", ("--input-dim", 5), "input_dim is not H * W (5, 12)"),
                ("flat.npy", ("--model", "mlp", "--hidden-dim", 3, "--input-dim", 5),
                 "the network has 5 inputs, the data 12 columns"),
                ("flat.npy", ("--model", "mlp"), "mlp: hidden_dim outside [1, 2^31) (0)")):
            with self.subTest(args):
                self.assert_one_line_error(["train", "--data", data, "--target", "t.npy", "--out",
                                            "run", *args], says=says)


if __name__ == "__main__":
    unittest.main()
