#!/usr/bin/env python3
"""tools/count_tests.py on lines as Meson's testlog.json has them."""
import json
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tools"))
from count_tests import count  # noqa: E402


def line(result, stdout="", stderr=""):
    return json.dumps({"result": result, "stdout": stdout, "stderr": stderr})


class Count(unittest.TestCase):
    def test_plain(self):
        self.assertEqual(count(line("OK")), (1, 0))
        self.assertEqual(count(line("EXPECTEDFAIL")), (1, 0))
        self.assertEqual(count(line("FAIL")), (0, 1))
        self.assertEqual(count(line("TIMEOUT")), (0, 1))
        self.assertEqual(count(line("SKIP")), (0, 0))
        self.assertEqual(count(json.dumps({"result": "OK"})), (1, 0))

    def test_doctest(self):
        text = "[doctest] test cases:  14 |  12 passed | 2 failed | 306 skipped\n"
        self.assertEqual(count(line("FAIL", text)), (12, 2))
        self.assertEqual(count(line("OK", text.replace("2 failed", "0 failed"))), (12, 0))
        # A crash after the last case is a failure.
        self.assertEqual(count(line("FAIL", text.replace("2 failed", "0 failed"))), (12, 1))

    def test_unittest(self):
        rest = "...\n----\nRan 7 tests in 0.5s\n\n"
        self.assertEqual(count(line("OK", "", rest + "OK\n")), (7, 0))
        self.assertEqual(count(line("OK", "", rest + "OK (skipped=2)\n")), (5, 0))
        self.assertEqual(count(line("FAIL", "", rest + "FAILED (failures=1, errors=2)\n")), (4, 3))
        self.assertEqual(count(line("FAIL", "", rest + "FAILED (errors=1, skipped=1)\n")), (5, 1))
        # Failing subtests can be more than the tests.
        self.assertEqual(count(line("FAIL", "", rest + "FAILED (failures=9)\n")), (0, 9))
        self.assertEqual(count(line("OK", "", "Ran 1 test in 0s\n\nOK\n")), (1, 0))


if __name__ == "__main__":
    unittest.main()
