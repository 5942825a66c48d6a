#!/usr/bin/env python3
"""tools/peers without any other framework: workers that fail, ratios per round, goals."""
import os
import subprocess
import sys
import time
import unittest
import unittest.mock
from pathlib import Path

sys.dont_write_bytecode = True
PEERS = Path(__file__).resolve().parent.parent / "tools" / "peers"
sys.path.insert(0, str(PEERS))
import bench_worker  # noqa: E402
import run_tables  # noqa: E402
from peers import Worker, run_quiet  # noqa: E402

STEP = "step/geo_sparse-16x16-d8-k8-b256"
DENSE = "step/dense_relu-16x16-d8-k8-b256"


def worker(program):
    return Worker("peer", [sys.executable, "-c", program], None)


class Workers(unittest.TestCase):
    def test_answers(self):
        w = worker("print('{\"ready\": true}', flush=True)\n"
                   "import sys\nfor _ in sys.stdin:\n"
                   "  print('{\"a -\": 2.5, \"b -\": \"KeyError: b\"}', flush=True)")
        self.assertEqual(w.answer(20), {"ready": True})
        self.assertEqual(w.round(20), {"a -": 2.5, "b -": "KeyError: b"})
        self.assertEqual(w.rounds, [{"a -": 2.5}])
        w.end()
        self.assertEqual(w.process.returncode, 0)

    def test_hangs(self):
        w = worker("import time\nprint('{\"ready\": true}', flush=True)\ntime.sleep(100)")
        self.assertEqual(w.answer(20), {"ready": True})
        self.assertIsNone(w.round(0.1))
        w.end()
        self.assertNotEqual(w.process.returncode, 0)
        self.assertEqual(w.rounds, [])

    def test_ends_early(self):
        w = worker("print('no JSON')")
        self.assertIsNone(w.answer(20))
        w.process.wait(timeout=20)
        self.assertIsNone(w.round(20))
        w.end()

    def test_commands(self):
        self.assertEqual(run_quiet([sys.executable, "-c", "print(1)"], 20), ("1\n", None))
        _, error = run_quiet([sys.executable, "-c", "raise ValueError('odd')"], 20)
        self.assertEqual(error, "exit status 1: ValueError: odd")
        _, error = run_quiet([sys.executable, "-c", "import time; time.sleep(9)"], 0.1)
        self.assertEqual(error, "no answer in 0 s")
        self.assertIn("does not start", run_quiet(["/nonexistent"], 1)[1])


class Bench:
    """Case x has two forms, of which one fails when it is built, one when it is called later."""

    def forms(self, case):
        return ("good", "bad", "later")

    def wait(self, result):
        pass

    def call(self, case, form):
        if form == "bad":
            raise KeyError("no such form")
        calls = []

        def call():
            calls.append(1)
            if form == "later" and len(calls) > 3:
                raise ValueError("broke")

        return call


class Building(unittest.TestCase):
    def test_failures_stay_with_their_case(self):
        built, skipped = bench_worker.build(Bench(), ["x"], 20)
        self.assertEqual(list(built), ["x good", "x later"])
        self.assertEqual(skipped, {"x bad": "KeyError: 'no such form'"})
        times = bench_worker.one_round(Bench(), built, 1e-9)
        self.assertGreaterEqual(times["x good"], 0)
        self.assertEqual(times["x later"], "ValueError: broke")

    def test_slow_calls_are_left_out(self):
        with unittest.mock.patch.object(bench_worker, "LONGEST", 0):
            built, skipped = bench_worker.build(Bench(), ["x"], 20)
        self.assertEqual(built, {})
        self.assertEqual(skipped["x good"], "ValueError: a call takes 0 s")

    def test_late(self):
        class Slow(Bench):
            def call(self, case, form):
                return (lambda: time.sleep(100)) if case == "slow" else super().call(case, form)

        built, skipped = bench_worker.build(Slow(), ["x", "slow"], 0.2)
        self.assertEqual(list(built), ["x good", "x later"])
        self.assertEqual(skipped.pop("x bad"), "KeyError: 'no such form'")
        self.assertEqual(skipped, {f"slow {form}": "no time left to build it"
                                   for form in ("good", "bad", "later")})


def content(*rounds, **parts):
    return {"rounds": list(rounds), "cases": [STEP, DENSE], "memory": [], "predict": None,
            "one_core": None, "notes": [], "about": {}, "memory_case": STEP,
            "settings": {"quick": False}, **parts}


ROUNDS = (
    {"sinew": {STEP: 1.0, DENSE: 4.0},
     "pytorch-eager": {f"{STEP} index": 50.0, f"{STEP} index_select": 20.0, f"{DENSE} -": 3.0}},
    {"sinew": {STEP: 2.0, DENSE: 4.0},
     "pytorch-eager": {f"{STEP} index": 60.0, f"{STEP} index_select": 20.0, f"{DENSE} -": 8.0}},
    {"sinew": {STEP: 1.0}, "pytorch-eager": {f"{STEP} index": 45.0}})


class Tables(unittest.TestCase):
    def test_ratios_are_of_one_round(self):
        record = run_tables.Record(content(*ROUNDS))
        self.assertEqual(record.ratios("pytorch-eager", STEP, "index"), [50, 30, 45])
        self.assertEqual(record.ratios("pytorch-eager", DENSE, "-"), [0.75, 2])
        self.assertEqual(record.ratios("pytorch-eager", DENSE, "-", STEP), [3, 4])
        self.assertEqual(record.best(["pytorch-eager"], STEP), ("pytorch-eager", "index_select"))
        self.assertIsNone(record.best(["jax"], STEP))

    def test_goals(self):
        memory = [{"who": who, "form": "-", "start_mb": 1, "peak_mb": mb}
                  for who, mb in (("Sinew", 50), ("pytorch-eager", 1000), ("pytorch-default", 400))]
        record = run_tables.Record(content(
            *ROUNDS, memory=memory, predict={"median_ms": 21},
            one_core={"fma": 200, "forward": 120, "backward": 80}))
        rows = run_tables.table_of_goals(record)[2]
        self.assertEqual([row[2:] for row in rows], [
            ["45", "reached"], ["15 (pytorch-eager index_select)", "missed"],
            ["3.5 (pytorch-eager)", "reached"], ["60 (200 Gop/s)", "reached"],
            ["40 (200 Gop/s)", "missed"], ["1.38 (pytorch-eager)", "missed"],
            ["0.125", "missed"], ["21", "missed"]])

    def test_layouts(self):
        for layout in (run_tables.as_text, run_tables.as_markdown):
            text = run_tables.render(content(*ROUNDS), layout)
            self.assertIn("45", text)
            self.assertNotIn("not measured", text)
            self.assertNotIn("not measured", run_tables.render(content(), layout))


class Arguments(unittest.TestCase):
    def run_with(self, *flags):
        return subprocess.run([sys.executable, str(PEERS / "run.py"), *flags],
                              capture_output=True, text=True, check=False)

    def test_what_does_not_exist_is_refused(self):
        result = self.run_with("--sinew", "/bin/true", "--only", "9x9")
        self.assertEqual(result.returncode, 2)
        self.assertIn("--only 9x9: no case has this in its name; there are step/geo", result.stderr)
        result = self.run_with("--sinew", str(PEERS))
        self.assertEqual(result.returncode, 1)
        self.assertIn("is no program", result.stderr)

    def test_without_figures_of_sinew_the_run_fails(self):
        result = self.run_with("--sinew", "/bin/true", "--quick", "--only", "op/sine", "--peers",
                               "eigen")
        self.assertEqual(result.returncode, 1)
        self.assertIn("run: Sinew was not measured", result.stderr)


if __name__ == "__main__":
    unittest.main()
