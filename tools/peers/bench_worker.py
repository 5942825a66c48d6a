"""What the workers of run.py and report.py share: names of cases, building, timing, the answers.

A worker builds every case, then prints one JSON line {"ready": true, ..., "skipped": {key: reason},
"parameters": {key: count}}. For every line that it then reads it measures one round and prints one
JSON line {key: ms}, with the error's text in place of ms where a call fails. A key is a case, a
space, and the form of the program ("-" where there is one only).

What has not been built after --limit seconds is skipped. Times are those of a call: calls for about
--seconds in a row, the first of them not timed where there are several, as `sinew bench` does it.
"""

import argparse
import json
import re
import resource
import signal
import sys
import time

SPARSE = re.compile(r"op/geo_linear-(\d+)x(\d+)-k(\d+)-b(\d+)(-random)?/(forward|gradient)$")
DENSE = re.compile(r"op/linear-(\d+)-(\d+)-(\d+)/(forward|gradient)$")
FEATURES = re.compile(r"op/(sine|rms_norm)/(forward|gradient)$")
STEP = re.compile(r"step/(\w+)-(\d+)x(\d+)-d(\d+)-k(\d+)-b(\d+)$")
SLOW = 1.0  # seconds of a call that is not repeated to warm up
LONGEST = 60.0  # seconds of a call above which a form is left out


def block(quick):
    """Rows and features of op/sine and op/rms_norm, as in tools/bench_op.h."""
    return (8, 16) if quick else (16384, 1024)


def update_size(quick):
    """Weights of op/adam_update, as add_updates in tools/bench_nets.cpp has them."""
    return 64 if quick else 1 << 24


class Late(BaseException):  # no Exception: a compiler would take it for a fault of its own
    """The time to build cases is over."""


def late(number, frame):
    raise Late()


def reason(error):
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200] if lines else ''}"


def seconds_of(bench, call, calls):
    """Time of one of so many calls; `bench.wait` waits for the device with the last result."""
    bench.wait(None)
    begin = time.perf_counter()
    for _ in range(calls):
        result = call()
    bench.wait(result)
    return (time.perf_counter() - begin) / calls


def build(bench, cases, limit):
    """{key: (call, seconds of one)} of what could be built, {key: reason} of the others."""
    built, skipped = {}, {}
    keys = [(case, form) for case in cases for form in bench.forms(case)]
    signal.signal(signal.SIGALRM, late)
    try:
        signal.setitimer(signal.ITIMER_REAL, limit)
        for case, form in keys:
            try:
                call = bench.call(case, form)
                seconds_of(bench, call, 1)  # may compile
                if (once := seconds_of(bench, call, 1)) < SLOW:
                    once = seconds_of(bench, call, 1)
                if once > LONGEST:
                    raise ValueError(f"a call takes {once:.0f} s")
                built[f"{case} {form}"] = (call, once)
            except Exception as error:  # whatever a compiler throws
                skipped[f"{case} {form}"] = reason(error)
        signal.setitimer(signal.ITIMER_REAL, 0)
    except Late:
        rest = {f"{case} {form}" for case, form in keys} - {*built, *skipped}
        skipped.update({key: "no time left to build it" for key in sorted(rest)})
    return built, skipped


def one_round(bench, built, seconds):
    times = {}
    for key, (call, once) in built.items():
        try:
            calls = max(1, int(seconds / once))
            if calls > 1:
                call()
            times[key] = 1000 * seconds_of(bench, call, calls)
        except Exception as error:
            times[key] = reason(error)
    return times


def resident_mb():
    """Memory that this process has now; 0 where the system does not say."""
    try:
        with open("/proc/self/status", encoding="ascii") as lines:
            return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
    except (OSError, StopIteration):
        return 0


def memory_of(bench, case, form, start_mb):
    """Memory at the start (frameworks imported) and at the peak of two calls."""
    call = bench.call(case, form or bench.forms(case)[0])
    for _ in range(2):
        bench.wait(call())
    return {"start_mb": start_mb,
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def parser(description):
    """The flags that every worker has."""
    result = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("cases", nargs="*", help="names as `sinew bench --list` prints them")
    result.add_argument("--limit", type=float, default=120, help="seconds to build cases in (120)")
    result.add_argument("--seconds", type=float, default=0.05, help="of a case and round (0.05)")
    result.add_argument("--quick", action="store_true", help="the sizes of sinew bench --quick")
    result.add_argument("--memory", metavar="FORM", nargs="?", const="",
                        help="print only the memory of a few calls of the one case")
    return result


def serve(bench, arguments, about):
    """Answers until stdin ends. `bench` has forms, call, wait and the counts `parameters`."""
    out, sys.stdout = sys.stdout, sys.stderr  # what a compiler prints is no answer
    say = lambda record: print(json.dumps(record), file=out, flush=True)
    if arguments.memory is not None:
        say(memory_of(bench, arguments.cases[0], arguments.memory, resident_mb()))
        return
    built, skipped = build(bench, arguments.cases, arguments.limit)
    say({"ready": True, **about, "skipped": skipped, "parameters": bench.parameters})
    for _ in sys.stdin:
        say(one_round(bench, built, arguments.seconds))
