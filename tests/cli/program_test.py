#!/usr/bin/env python3
"""The program itself: help, version, usage errors, flags that every subcommand has, info."""
import json
import os
import re
import subprocess
import time
import unittest

from case import CliCase, ON_CPU, PROGRAM, SANITIZED

# Subcommands with a call that only lacks the flags under test.
CALLS = {"params": ("--shape", "4x4"), "info": (), "bench": ("--list",),
         "sweep": ("--dry-run", "--shapes", "2x2", "--out", "none")}


class Program(CliCase):
    def subcommands(self):
        text = self.ok("--help")
        return re.findall(r"(?m)^  (\w+) ", text[text.index("Subcommands:"):])

    def test_help(self):
        self.assertIn("Example: sinew", self.ok("--help"))
        found = self.subcommands()
        self.assertTrue({"predict", "evaluate", "params", "info"} <= set(found), found)
        for name in found:
            with self.subTest(name):
                text = self.ok(name, "--help")
                self.assertIn(f"Usage: sinew {name}", text)
                self.assertIn(f"Example: sinew {name}", text)
                flags = ("--device", "--threads", "--isa", "--precision", "--graph", "--fusion",
                         "--quiet")
                for flag in flags if name != "report" else flags[-1:]:  # which computes nothing
                    self.assertIn(flag, text)

    def test_version(self):
        self.assertRegex(self.ok("--version"), r"^sinew \d+\.\d+\.\d+\n$")

    def error(self, *args):
        done = self.run_program(*args)
        self.assertEqual((done.status, done.out, done.err.count("\n")), (2, "", 1), args)
        return done.err

    def test_wrong_subcommands(self):
        self.assertEqual(self.error("parms"),
                         "sinew: error: unknown subcommand 'parms' (see sinew --help)\n")
        self.assertEqual(self.error("--bar"),
                         "sinew: error: unknown argument --bar (see --help)\n")
        self.assertIn("subcommand is required", self.error())
        for given, shown in (("a\nb\x1b", "a\\x0ab\\x1b"), ("h\u00fc\u20ac\U0001f600", None),
                             (b"\xff\xe2\x82", "\\xff\\xe2\\x82"), (b"\xc2\x9b", "\\xc2\\x9b"),
                             (b"\xc0\xaf\xc3", "\\xc0\\xaf\\xc3"), ("\x7f\xa0", "\\x7f\xa0")):
            self.assertEqual(self.error(given), f"sinew: error: unknown subcommand "
                             f"'{shown or given}' (see sinew --help)\n")

    def test_unknown_arguments_are_named(self):
        for name in self.subcommands():
            for args in (["--bar"], ["--bar", "3"], ["--bar=3"], ["bar"], ["-b"],
                         ["--threads", "1", "--bar"]):
                named = args[-1] if args[0] == "--threads" else args[0]
                if name == "report" and args[0] in ("bar", "--threads"):
                    continue  # its folder; it has no such flag
                with self.subTest(name, args=args):
                    self.assertEqual(self.error(name, *args), f"sinew {name}: error: unknown "
                                     f"argument {named} (see --help)\n")

    def test_shared_flags_are_checked(self):
        refused = [(("--threads", "0"), "--threads"), (("--threads", "1025"), "--threads"),
                   (("--threads", "two"), "--threads"), (("--threads",), "--threads"),
                   (("--isa", "sse9"), "--isa"), (("--device", "tpu"), "--device"),
                   (("--precision", "f16"), "--precision"),
                   (("--device", "cpu", "--precision", "tf32"), "--precision tf32 is for --device cuda only"),
                   (("--device", "cpu", "--precision", "bf16"), "--precision bf16 is for --device cuda only"),
                   (("--device", "cpu", "--tf32"), "--precision tf32 is for"), (("--device", "cpu", "--amp"), "--precision bf16 is"),
                   (("--device", "cpu", "--dtype", "bfloat16"), "--precision bf16 is for --device cuda only"),
                   (("--dtype", "float16"), "use --precision bf16"),
                   (("--dtype", "int8"), "--dtype"),
                   (("--amp-dtype", "float16"), "use --amp, which is bfloat16"),
                   (("--amp", "--tf32"), "the precision is given as bf16 and as tf32"),
                   (("--tf32", "--amp"), "the precision is given as"),
                   (("--amp", "--precision", "f32"), "the precision is given as"),
                   (("--graph", "maybe"), "--graph"),
                   (("--fusion", "auto"), "--fusion"), (("--fusion",), "--fusion"),
                   (("--compile",), "--graph records steps"),
                   (("--compile-backend",), "--graph records steps"),
                   (("--compile-mode",), "--graph records steps"),
                   (("--num-workers",), "--threads sets the CPU threads"),
                   (("--quiet=perhaps",), "--quiet")]
        for name, call in CALLS.items():
            for args, says in refused:
                with self.subTest(name, args=args):
                    self.assert_one_line_error([name, *call, *args], says=says)

    def test_shared_flags_are_accepted(self):
        for name, call in CALLS.items():
            for args in (("--threads", "2"), ("--isa", "auto"), ("--device", "cpu"),
                         ("--device", "cpu"), ("--precision", "f64"), ("--dtype", "float64"),
                         ("--dtype", "float32"), ("--amp-dtype", "bfloat16"), ("--graph", "on"),
                         ("--graph=off",), ("--fusion", "on"), ("--fusion=off",)):
                with self.subTest(name, args=args):
                    self.ok(name, *call, *args)

    def test_output_that_cannot_be_written(self):
        for name, call in CALLS.items():
            with open("/dev/full", "wb") as full:
                done = subprocess.run([PROGRAM, name, *ON_CPU, *call], stdout=full,
                                      stderr=subprocess.PIPE,
                                      check=False)
            self.assertEqual(done.returncode, 1)
            self.assertEqual(done.stderr.decode(), f"sinew {name}: error: standard output: writing "
                             "failed (No space left on device)\n")

    def test_output_to_a_closed_pipe(self):
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run([PROGRAM, "info", *ON_CPU], stdout=write, stderr=subprocess.PIPE,
                              check=False)
        os.close(write)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"sinew info: error: standard output: writing failed (Broken pipe)\n",
                      done.stderr)

    @unittest.skipIf(SANITIZED, "a sanitizer takes its time")
    def test_start_up_takes_milliseconds(self):
        def fastest():
            begin = time.perf_counter()
            self.ok("--version")
            return time.perf_counter() - begin
        self.assertLess(min(fastest() for _ in range(20)), 0.1)


class Info(CliCase):
    KEYS = ["timestamp", "hostname", "platform", "version", "commit", "build", "compiler",
            "processor", "instruction_sets", "isa", "threads", "memory_total_bytes", "device",
            "precision", "tf32", "graph", "fusion", "cuda_build", "driver", "devices"]

    def info(self, *args):
        return json.loads(self.ok("info", "--json", *args))

    def test_json(self):
        record = self.info()
        self.assertEqual(list(record), self.KEYS)
        self.assertRegex(record["timestamp"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertEqual(record["hostname"], os.uname().nodename)
        self.assertEqual(f"sinew {record['version']}\n", self.ok("--version"))
        self.assertRegex(record["commit"], r"^([0-9a-f]{12}(-dirty)?|unknown)$")
        self.assertEqual(list(record["build"]), ["type", "isa", "static", "gzip"])
        self.assertIn("generic", record["build"]["isa"])
        self.assertTrue(set(record["instruction_sets"]) <= set(record["build"]["isa"]))
        self.assertEqual(record["isa"], record["instruction_sets"][-1])
        self.assertEqual(record["memory_total_bytes"],
                         os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        self.assertEqual(record["device"], "cpu")
        self.assertIs(record["tf32"], False)
        self.assertRegex(str(record["cuda_build"]), r"^(None|emulated|nvcc [\d.]+)$")

    def test_threads_follow_the_flag_and_the_affinity(self):
        allowed = os.sched_getaffinity(0)
        self.assertEqual(self.info()["threads"], len(allowed))
        self.assertEqual(self.info("--threads", "7")["threads"], 7)
        one = {min(allowed)}
        done = self.ok("info", "--json", preexec_fn=lambda: os.sched_setaffinity(0, one))
        self.assertEqual(json.loads(done)["threads"], 1)

    def test_isa(self):
        self.assertEqual(self.info("--isa", "generic")["isa"], "generic")
        for level in {"avx2", "avx512"} - set(self.info()["instruction_sets"]):
            self.assert_one_line_error(["info", "--isa", level], says=level)

    def test_fusion(self):
        for args, fused in (((), True), (("--fusion", "on"), True), (("--fusion", "off"), False)):
            self.assertIs(self.info(*args)["fusion"], fused)

    def test_text(self):
        lines = self.ok("info").splitlines()
        self.assertEqual([line[:20].strip() for line in lines],
                         [key.replace("_", " ") for key in self.KEYS])
        self.assertRegex(lines[-3], "^cuda build +(none|emulated|nvcc)")
        self.assertEqual(self.ok("info", "--quiet"), "")


if __name__ == "__main__":
    unittest.main()
