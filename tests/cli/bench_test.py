#!/usr/bin/env python3
"""sinew bench: every case at tiny sizes, costs by hand, records, comparisons, every flag."""
import json
import math
import os
import re
import resource
import signal
import subprocess
import unittest

from case import CliCase, ON_CPU, PROGRAM, SANITIZED

FAST = ("bench", "--quick", "--seconds", "1e-6", "--rounds", "1")
KINDS = {"ceiling", "op", "module", "step"}

# Files that are no results, with what the error says.
RESULT = {"name": "op/sin/forward", "median_ms": 2, "min_ms": 1, "max_ms": 3}


def results(*cases, **more):
    return {"settings": {}, "cases": list(cases), **more}


MALFORMED = [
    ("empty", b"", "no JSON"), ("cut", b'{"settings": {', "no JSON"), ("binary", b"\x00\xff", "JSON"),
    ("no UTF-8", b'{"settings": {}, "cases": [{"name": "\xff"}]}', "no JSON"),
    ("list", [], "no results of sinew bench"), ("number", 3, "no results of sinew bench"),
    ("no settings", {"cases": []}, "no results"), ("no cases", {"settings": {}}, "no results"),
    ("settings no object", {"settings": [], "cases": []}, "no results"),
    ("cases no list", {"settings": {}, "cases": {}}, "no results"),
    ("a number as case", results(3), "a case without a name"),
    ("no name", results({}), "a case without a name"),
    ("name no text", results({"name": 3}), "a case without a name"),
    ("no times", results({"name": "op/sin/forward"}), "case op/sin/forward: median_ms is no time"),
    ("zero", results(dict(RESULT, min_ms=0)), "min_ms is no time above 0"),
    ("negative", results(dict(RESULT, max_ms=-1)), "max_ms is no time above 0"),
    ("text", results(dict(RESULT, min_ms="1")), "min_ms is no time above 0"),
    ("true", results(dict(RESULT, min_ms=True)), "min_ms is no time above 0"),
    ("null", results(dict(RESULT, min_ms=None)), "min_ms is no time above 0"),
    ("too large", b'{"settings": {}, "cases": [{"name": "op/a", "median_ms": 1e999}]}', "no JSON"),
    ("order", results(dict(RESULT, min_ms=2.5)), "median_ms is not between"),
    ("order above", results(dict(RESULT, max_ms=1.5)), "median_ms is not between"),
    ("twice", results(RESULT, RESULT), "case op/sin/forward occurs twice"),
    ("odd name", results({"name": "op/\n\x1b" + "x" * 5000}), "case op/\\x0a\\x1bxxx"),
    ("deep", b'{"settings": ' + b"[" * 100000, "deeper than 8 levels"),
    ("large", b" " * ((16 << 20) + 1), "larger than 16 MiB")]


class Bench(CliCase):
    def record(self, *args):
        self.ok(*FAST, *args, "--quiet", "--json", "r.json")
        return json.loads(self.read("r.json"))

    def case(self, name, *args):
        return next(c for c in self.record("--filter", name, *args)["cases"] if c["name"] == name)

    def names(self, *args):
        return self.ok("bench", "--list", *args).splitlines()

    def test_every_case_runs(self):
        for graph in ("on", "off"):
            text = self.ok(*FAST, "--json", "all.json", "--graph", graph)
            record = json.loads(self.read("all.json"))
            names = [c["name"] for c in record["cases"]]
            self.assertEqual(names, self.names("--quick"))
            rows = text.splitlines()
            self.assertEqual([row.split()[0] for row in rows[2:]], names)
            self.assertTrue(rows[0].startswith("settings: {"), rows[0])
            self.assertEqual(record["settings"]["replay"], graph == "on")
            copy, matmul = (record["ceilings"][k] for k in ("copy_gb_per_s", "matmul_gflop_per_s"))
            for c in record["cases"]:
                with self.subTest(c["name"], graph=graph):
                    self.assertNotIn("error", c)
                    self.assertGreater(c["min_ms"], 0)
                    self.assertEqual(c["rounds_ms"], [c["median_ms"]])
                    self.assertGreater(c["first_call_ms"], 0)
                    self.assertGreater(c["second_call_ms"], 0)
                    self.assertGreater(c["bytes"], 0)
                    rate = 1e-6 * c["bytes"] / c["median_ms"]
                    self.assertAlmostEqual(c["gb_per_s"] / rate, 1)
                    self.assertAlmostEqual(c["share_of_copy"] * copy / rate, 1)
                    rate = 1e-6 * c["operations"] / c["median_ms"]
                    self.assertAlmostEqual(c["gflop_per_s"], rate)
                    self.assertAlmostEqual(c["share_of_matmul"] * matmul, rate)

    def test_every_public_op_has_a_case(self):
        root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "include/sinew")
        with open(f"{root}/ops.h", encoding="utf-8") as f:
            ops = set(re.findall(r"(?m)^(?:Tensor|void) (\w+)\(", f.read()))
        self.assertGreater(len(ops), 50)
        names = " ".join(self.names())
        ops -= {"reshape", "cast", "max", "min", "pow"}  # nothing to time; under another name
        for op in (*ops, "cast_bf16", "max_columns", "min_rows", "pow", "pow_number", "geo_linear",
                   "geo_blocks"):
            self.assertRegex(names, rf"\bop/{op}\b")

    def test_list_and_filter(self):
        names = self.names()
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual({name.split("/")[0] for name in names}, KINDS)
        for name in ("op/sin/forward", "op/sin/gradient", "op/geo_linear-64x64-k8-b8192/gradient",
                     "op/geo_linear-16x16-k8-b256/input_gradient",
                     "op/geo_linear-16x16-k8-b256/weight_gradient",
                     "op/geo_blocks-16x16-d8-k8-b256/forward",
                     "op/geo_blocks-64x64-d8-k8-b1024/gradient",
                     "op/adam_update", "module/GeoBlock/forward", "step/geo_sparse-8x8-d6-k8-b256",
                     "step/geo_sparse-16x16-d8-k8-b256", "step/geo_sparse-16x16-d8-k32-b256",
                     "step/geo_sparse-64x64-d8-k8-b1024", "step/dense_relu-16x16-d8-k8-b256"):
            self.assertIn(name, names)
        self.assertEqual(self.names("--filter", "step/"), [n for n in names if "step/" in n])
        self.assertEqual(self.names("--filter", ""), names)
        self.assertEqual(self.names("--filter", "step/", "--filter=module/"),
                         [n for n in names if "step/" in n or "module/" in n])
        found = [c["name"] for c in self.record("--filter", "op/sin/")["cases"]]
        self.assertEqual(found, ["ceiling/copy", "ceiling/matmul", "op/sin/forward",
                                 "op/sin/gradient"])
        self.assert_one_line_error(["bench", "--filter", "cosine"],
                                   says="--filter cosine: no case has this in its name")

    def test_costs_by_hand(self):
        x = 8 * 16  # elements of the block at tiny sizes
        blocks = 2 * (1 + 2 * 48 + 6 * 16)
        expected = {"op/sin/forward": (2 * 4 * x, x), "op/sin/gradient": (5 * 4 * x, 3 * x),
                    "op/neg/gradient": (4 * 4 * x, 2 * x), "op/add/forward": (3 * 4 * x, x),
                    "op/mul/gradient": (4 * x * (3 + 1 + 2 + 2), 3 * x),
                    "op/mul_vector/forward": (2 * 4 * x + 4 * 16, x),
                    "op/less/forward": (2 * 4 * x + x, x),
                    "op/matmul-8/forward": (3 * 4 * 64, 2 * 8 ** 3),
                    "op/matmul-8/gradient": (4 * 64 * (3 + 1 + 2 + 2), 6 * 8 ** 3),
                    # x and y (2, 16), weights (16, 3), bias, table
                    "op/geo_linear-4x4-k3-b2/forward": (4 * (64 + 48 + 16 + 48), 2 * 32 * 3),
                    "op/geo_linear-4x4-k3-b2/gradient":
                        (4 * (64 + 48 + 16 + 48) + 4 * (32 + (32 + 48 + 16 + 48) + 96), 6 * 32 * 3),
                    # and dy, weights, table and dx; dy, x, table and dw
                    "op/geo_linear-4x4-k3-b2/input_gradient":
                        (4 * (64 + 48 + 16 + 48) + 4 * (32 + 48 + 48 + 32), 4 * 32 * 3),
                    "op/geo_linear-4x4-k3-b2/weight_gradient":
                        (4 * (64 + 48 + 16 + 48) + 4 * (32 + 32 + 48 + 48), 4 * 32 * 3),
                    # two blocks of alpha, two weights (16, 3) and six vectors; norm, fcs, sine, sum
                    "op/geo_blocks-4x4-d2-k3-b2/forward":
                        (4 * (64 + blocks + 48), 2 * 32 * (4 + 12 + 7 + 2)),
                    "op/geo_blocks-4x4-d2-k3-b2/gradient":
                        (4 * (64 + blocks + 48) + 4 * (32 + (32 + blocks + 48) + 32 + blocks),
                         2 * 32 * (4 + 12 + 7 + 2 + 10 + 24 + 21 + 3)),
                    "op/adam_update": (7 * 4 * 64, 14 * 64), "op/clip_update": (2 * 4 * 64, 64),
                    "op/pack": (2 * 4 * 64, 0), "op/tally_update": (2 * 9 * 8 + 2 * 4, 8)}
        for name, (bytes_, operations) in expected.items():
            with self.subTest(name):
                c = self.case(name)
                self.assertEqual((c["bytes"], c["operations"]), (bytes_, operations))
        self.assertEqual(self.case("op/add/forward", "--precision", "f64")["bytes"], 3 * 8 * x)

    def test_operations_of_a_step(self):
        """One block of two sparse layers, and its head; each product three times."""
        n, k, batch = 16, 3, 2
        c = self.case("step/geo_sparse-4x4-d1-k3-b2")
        products = 6 * batch * (2 * n * k + n)
        elements = batch * n * ((4 + 10) + (7 + 21) + 2 * (1 + 1.5))
        self.assertEqual(c["operations"],
                         products + elements + batch * (3 + 2) + 14 * c["parameters"])

    def test_networks_of_a_step_have_matched_sizes(self):
        counts = json.loads(self.ok("params", "--json", "--shape", "4x4", "--depth", 1, "--k", 3))
        expected = {m["name"]: m["params_empirical"] for m in counts["matched"]}
        expected["geo_sparse"] = counts["params_empirical"]
        cases = [c for c in self.record("--filter", "step/")["cases"] if "parameters" in c]
        self.assertEqual(len(cases), 4)
        for c in cases:
            name = c["name"].split("/")[1].split("-")[0]
            self.assertEqual(c["parameters"], expected[name], name)

    def test_record(self):
        self.ok("bench", "--quick", "--filter", "op/exp/", "--rounds", 4, "--seconds=1e-3",
                "--threads", 1, "--json", "r.json")
        record = json.loads(self.read("r.json"))
        self.assertEqual(list(record), ["environment", "settings", "ceilings", "cases"])
        self.assertEqual(record["environment"]["threads"], 1)
        isa = record["environment"]["isa"]
        self.assertEqual(record["settings"], {
            "device": "cpu", "threads": 1, "isa": isa, "precision": "f32", "replay": True,
            "fusion": True, "quick": True, "rounds": 4, "seconds": 1e-3})
        for c in record["cases"]:
            rounds = c["rounds_ms"]
            self.assertEqual((len(rounds), sorted(rounds)), (4, rounds))
            self.assertEqual((c["min_ms"], c["median_ms"], c["max_ms"]),
                             (rounds[0], rounds[2], rounds[3]))
            self.assertGreaterEqual(c["calls_per_round"], 1)

    def test_quiet_and_json_on_standard_output(self):
        self.assertEqual(self.ok(*FAST, "--filter", "op/sin/", "--quiet"), "")
        out = self.ok(*FAST, "--filter", "op/sin/", "--quiet", "--json", "/dev/stdout")
        self.assertEqual(len(json.loads(out)["cases"]), 4)

    def test_compare(self):
        self.ok(*FAST, "--filter", "op/sin", "--json", "old.json", "--threads", 2)
        old = json.loads(self.read("old.json"))
        gone = dict(RESULT, name="op/sinh\x1b/forward")
        old["cases"] = [c for c in old["cases"] if c["name"] != "op/sin/gradient"] + [
            gone, dict(RESULT, name="op/other/forward")]
        for c in old["cases"]:
            c.update(median_ms=2e6, min_ms=1e6, max_ms=3e6)
        self.write("old.json", old)
        self.ok(*FAST, "--filter", "op/sin", "--json", "new.json", "--threads", 1)
        text = self.ok(*FAST, "--filter", "op/sin", "--json", "new.json", "--threads", 1,
                       "--compare", "old.json")
        rows = {row.split()[0]: row.split() for row in text.split("case ")[2].splitlines()}
        new = {c["name"]: c for c in json.loads(self.read("new.json"))["cases"]}
        c = new["op/sin/forward"]
        for at, value in ((1, 2e6), (2, c["median_ms"]), (3, 2e6 / c["median_ms"]),
                          (4, 1e6 / c["max_ms"]), (5, 3e6 / c["min_ms"])):
            self.assertTrue(math.isclose(float(rows["op/sin/forward"][at]), value, rel_tol=1e-3,
                                         abs_tol=1e-4), (at, value, rows["op/sin/forward"]))
        self.assertNotIn("op/sin/gradient", rows)
        lines = text.splitlines()
        self.assertIn("settings differ: threads 2 then, 1 now", lines)
        self.assertIn("only now: op/sin/gradient", lines)
        self.assertIn("only then: op/sinh\\x1b/forward", lines)
        self.assertNotIn("op/other", text)

    def test_compare_leaves_out_what_failed_then(self):
        self.write("old.json", results({"name": "op/sin/forward", "error": "out of memory"}))
        text = self.ok(*FAST, "--filter", "op/sin/forward", "--compare", "old.json")
        self.assertIn("settings differ: device unknown then, \"cpu\" now\n", text)
        self.assertIn("only now: op/sin/forward\n", text)

    def test_compare_with_malformed_files(self):
        for what, content, says in MALFORMED:
            self.write("old.json", content)
            with self.subTest(what):
                self.assert_one_line_error([*FAST, "--compare", "old.json"], says="old.json: ")
                self.assert_one_line_error([*FAST, "--compare", "old.json"], says=says)
        self.assert_one_line_error([*FAST, "--compare", "none"], says="none: cannot be read")
        self.assert_one_line_error([*FAST, "--compare", "."], says=".: is a folder")

    def test_flags_are_checked(self):
        for args, says in ((("--rounds", "0"), "--rounds"), (("--rounds", "10001"), "--rounds"),
                           (("--rounds", "2.5"), "--rounds"), (("--rounds", "9" * 30), "--rounds"),
                           (("--seconds", "0"), "--seconds"), (("--seconds", "-1"), "--seconds"),
                           (("--seconds", "nan"), "--seconds"), (("--seconds", "inf"), "--seconds"),
                           (("--seconds", "3601"), "--seconds"), (("--seconds", "1x"), "--seconds"),
                           (("--filter",), "--filter"), (("--json",), "--json"),
                           (("--compare",), "--compare"), (("--list=maybe",), "--list"),
                           (("--quick=maybe",), "--quick"),
                           (("--json", "no/folder.json"), "no/folder.json: its folder cannot"),
                           (("--json", "."), ".: is a folder"),
                           (("--json", ""), "a file name is empty"),
                           (("--compare", ""), "cannot be read")):
            with self.subTest(args=args):
                self.assert_one_line_error(["bench", "--quick", *args], says=says)

    def test_a_full_disk(self):
        done = self.run_program(*FAST, "--filter", "op/sin/", "--quiet", "--json", "/dev/full")
        self.assertEqual(done.status, 1)
        self.assertIn("sinew bench: error: /dev/full: ", done.err)

    @unittest.skipIf(SANITIZED, "a sanitizer needs more address space than this test leaves")
    def test_a_case_that_fails_is_one_of_the_results(self):
        limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (200 << 20, 200 << 20))
        done = self.run_program("bench", "--filter", "16x16-k8-b256/forward", "--seconds", "1e-3",
                                "--json", "r.json", "--threads", 1, preexec_fn=limit)
        self.assertEqual(done.status, 1)
        self.assertEqual(done.err, "sinew bench: error: 1 of 3 cases failed, first ceiling/copy: "
                         "out of memory\n")
        self.assertRegex(done.out, r"\nceiling/copy +failed: out of memory\n")
        record = json.loads(self.read("r.json"))
        self.assertEqual(record["cases"][0], {"name": "ceiling/copy", "error": "out of memory"})
        self.assertIsNone(record["ceilings"]["copy_gb_per_s"])
        self.assertIsNone(record["cases"][2]["share_of_copy"])
        self.assertGreater(record["cases"][2]["share_of_matmul"], 0)

    def test_a_signal_ends_it_and_what_there_is_gets_written(self):
        cases = len(self.names("--quick"))
        for sent, status, name in ((signal.SIGTERM, 143, "SIGTERM"), (signal.SIGINT, 130, "SIGINT")):
            with subprocess.Popen([PROGRAM, "bench", *ON_CPU, "--quick", "--seconds", "3600",
                                   "--rounds",
                                   "10000", "--json", self.path("r.json")], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE) as process:
                process.stdout.readline()
                process.send_signal(sent)
                _, err = process.communicate(timeout=60)
            self.assertEqual(process.returncode, status)
            record = json.loads(self.read("r.json"))
            self.assertEqual(err.decode(), f"sinew bench: error: stopped by {name}; "
                             f"{len(record['cases'])} of {cases} cases were run\n")


if __name__ == "__main__":
    unittest.main()
