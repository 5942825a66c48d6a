"""--device cuda: the same results as the CPU's in every precision, eager and replayed; refusals
where there is no GPU. In an emulated build the GPU is the emulation."""
import json
import unittest

from case import BUILD, GOLDEN, CliCase, read_npy

CASE = f"{GOLDEN}/wrap_local_psann"
DATA = ("--data", f"{CASE}/X.npy", "--target", f"{CASE}/T.npy")


class Cuda(CliCase):
    def usable(self):
        return self.run_program("info", "--device", "cuda").status == 0

    def train(self, out, *args):
        self.ok("train", *DATA, "--shape", "5x6", "--depth", "2", "--k", "4", "--epochs", "2",
                "--batch-size", "16", "--drop-path-max", "0.3", "--out", out, "--quiet",
                *args)
        return json.loads(self.read(f"{out}/history.json"))

    def predict(self, model, *args):
        self.ok("predict", "--model", model, "--input", f"{CASE}/X.npy", "--output", "y.npy", *args)
        return read_npy(self.path("y.npy"))[2]

    def test_without_a_gpu(self):
        if self.usable():
            self.skipTest("there is one")
        fault = "this build has no CUDA" if BUILD is None else "no NVIDIA driver was found"
        self.assert_one_line_error(["info", "--device", "cuda"],
                                   says=f"--device cuda: {fault} (use cpu or auto)")
        done = self.run_program("info", "--json", "--device", "auto")
        self.assertEqual(json.loads(done.out)["device"], "cpu")
        notice = f"--device auto: {fault}; using the CPU\n"
        self.assertEqual(done.err, "" if BUILD is None else notice)
        self.assertEqual(self.run_program("info", "--device", "auto", "--quiet").err, "")

    def test_the_record_names_the_gpu(self):
        if not self.usable():
            self.skipTest("no GPU")
        record = json.loads(self.ok("info", "--json", "--device", "cuda", "--tf32"))
        self.assertEqual((record["device"], record["tf32"]), ("cuda", True))
        gpu = record["devices"][0]
        self.assertGreater(gpu["memory_bytes"], 0)
        self.assertRegex(gpu["compute_capability"], r"^\d+\.\d+$")

    def test_precision_and_device_must_fit(self):
        if not self.usable():
            self.skipTest("no GPU")
        for args in (["--precision", "f64"], ["--dtype", "float64"]):
            self.assert_one_line_error(["info", "--device", "cuda", *args],
                                       says="--precision f64 is for --device cpu only")
        self.assertEqual(json.loads(self.ok("info", "--json", "--precision", "f64"))["device"], "cpu")

    def test_trains_and_predicts_as_the_cpu_does(self):
        if not self.usable():
            self.skipTest("no GPU")
        cpu = self.train("cpu", "--device", "cpu")
        expected = self.predict("cpu", "--device", "cpu")
        scale = max(abs(v) for v in expected)
        # Losses are means of many roundings, outputs follow ten or so, of half a spacing each.
        for precision, loss, value in (("f32", 1e-5, 1e-5), ("tf32", 2 ** -11, 10 * 2 ** -11),
                                       ("bf16", 2 ** -8, 10 * 2 ** -8)):
            with self.subTest(precision):
                args = ("--device", "cuda", "--precision", precision)
                gpu = self.train(precision, *args)
                for a, b in zip(gpu, cpu):
                    self.assertAlmostEqual(a["train_loss"], b["train_loss"],
                                           delta=loss * b["train_loss"])
                for a, b in zip(self.predict("cpu", *args), expected):
                    self.assertAlmostEqual(a, b, delta=value * scale)
                self.train(precision + "-eager", *args, "--graph", "off")
                self.assertEqual(self.read(f"{precision}/model.safetensors"),
                                 self.read(f"{precision}-eager/model.safetensors"))
        self.assertEqual(len({self.read(f"{p}/model.safetensors")
                              for p in ("cpu", "f32", "tf32", "bf16")}), 4)  # each does something
        figures = [json.loads(self.ok("evaluate", "--model", "cpu", *DATA, "--json", "--device", d))
                   for d in ("cpu", "cuda")]
        self.assertAlmostEqual(figures[0]["rmse"], figures[1]["rmse"], places=5)

    def test_bench_runs_there(self):
        if not self.usable():
            self.skipTest("no GPU")
        for precision in ("f32", "bf16"):
            self.ok("bench", "--quick", "--device", "cuda", "--precision", precision, "--rounds", "1",
                    "--seconds", "0.001", "--filter", "module/", "--json", "b.json", "--quiet")
            cases = json.loads(self.read("b.json"))["cases"]
            self.assertGreater(len(cases), 20)
            self.assertEqual([c["name"] for c in cases if "error" in c], [])

    def test_compares_as_the_cpu_does(self):
        if not self.usable():
            self.skipTest("no GPU")
        small = ("--shape", "3x3", "--depth", "1", "--k", "3", "--task", "teacher_tanh", "--epochs",
                 "2", "--train-size", "40", "--test-size", "12", "--batch-size", "16", "--quiet",
                 "--overwrite", "--out", "out")

        def losses(*args):
            self.ok("compare", *small, *args)
            results = json.loads(self.read("out/results.json"))
            parts = [*results["models"], *results["reference_lines"]]
            return results["manifest"]["device"], [m["metrics_test"]["mse"] for m in parts]
        _, cpu = losses("--device", "cpu")
        for precision, tolerance in (("f32", 1e-5), ("tf32", 2 ** -9), ("bf16", 2 ** -6)):
            device, gpu = losses("--device", "cuda", "--precision", precision)
            self.assertEqual(device, "cuda")
            self.assertEqual(losses("--device", "cuda", "--precision", precision,
                                    "--graph", "off")[1], gpu)
            for a, b in zip(gpu, cpu, strict=True):
                self.assertAlmostEqual(a, b, delta=tolerance * b)

    def test_sweeps_one_cell_at_a_time(self):
        if not self.usable():
            self.skipTest("no GPU")
        grid = ("--shapes", "2x2", "--depths", "1", "--ks", "2", "--activations", "relu,psann",
                "--seeds", "0", "--epochs", "1", "--train-size", "20", "--test-size", "8",
                "--batch-size", "10", "--device", "cuda")
        done = self.run_program("sweep", *grid, "--out", "one")
        self.assertEqual(done.status, 0, done.err)
        self.assertIn("one: 2 cells to run, 1 at a time\n", done.err)
        self.ok("sweep", *grid, "--out", "two", "--jobs", "2", "--quiet")
        means = [json.loads(self.read(f"{out}/summary_by_model.json")) for out in ("one", "two")]
        self.assertEqual(means[0]["geo_sparse"]["mse_test"], means[1]["geo_sparse"]["mse_test"])

    def test_resumes_to_the_same_bits(self):
        if not self.usable():
            self.skipTest("no GPU")
        self.train("whole", "--device", "cuda", "--epochs", "4")
        self.train("parts", "--device", "cuda")
        self.train("parts", "--device", "cuda", "--epochs", "4", "--resume")
        self.assertEqual(self.read("whole/model.safetensors"), self.read("parts/model.safetensors"))


if __name__ == "__main__":
    unittest.main()
