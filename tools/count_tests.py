#!/usr/bin/env python3
"""Prints 'N passed, N failed' for Meson's testlog.json; exits 1 if a test failed or none ran.

A doctest program and one of Python's unittest count with their test cases, any other test as one.
"""
import json
import os
import re
import sys

CASES = re.compile(r"test cases: *\d+ *\| *(\d+) passed *\| *(\d+) failed")
RAN = re.compile(r"(?m)^Ran (\d+) tests? in .*\n\n(?:OK|FAILED) ?(?:\((.*)\))?$")


def count(line):
    """(passed, failed) of one line of the log, which is one test of Meson."""
    test = json.loads(line)
    if test["result"] == "SKIP":
        return 0, 0
    ok = test["result"] in ("OK", "EXPECTEDFAIL")
    cases = CASES.search(test.get("stdout") or "")
    ran = RAN.search(test.get("stderr") or "")
    passed, failed = int(ok), int(not ok)
    if cases:
        passed, failed = map(int, cases.groups())
    elif ran:
        numbers = dict(part.split("=") for part in (ran[2] or "").split(", ") if part)
        failed = sum(int(numbers.get(kind, 0)) for kind in ("failures", "errors"))
        passed = max(0, int(ran[1]) - failed - int(numbers.get("skipped", 0)))
    return passed, failed if ok else max(failed, 1)


def main():
    counts = []
    if os.path.exists(sys.argv[1]):
        with open(sys.argv[1], encoding="utf-8") as log:
            counts = [count(line) for line in log]
    passed = sum(p for p, _ in counts)
    failed = sum(f for _, f in counts)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
