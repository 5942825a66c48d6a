#!/usr/bin/env python3
"""Compare Sinew with other frameworks on the CPU, in alternation.

Peers: PyTorch eager, with torch.compile and with torch.sparse_csr, JAX, and Eigen's SparseMatrix.
Each is a process that builds its cases first and then measures one round whenever it is asked to,
so that a slow spell of the machine meets all: Sinew, peer 1, peer 2, ..., and again. Printed are
medians, the ratio peer / Sinew of each round (median, least, largest), memory, the start of `sinew
predict` and goals. A peer that is missing or fails is named and left out. Measure on an idle
machine: two busy threads that wait for each other lose far more than their share. --quick shows
that everything works; its times mean nothing.

    python3 -m venv peers-venv
    peers-venv/bin/pip install torch numpy jax
    python3 tools/peers/run.py --python peers-venv/bin/python --sinew build/sinew
"""

import argparse
import datetime
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import run_extras
from peers import Worker, output_of, run_quiet
from run_peers import PEERS, Programs, cases_for, cases_of
from run_tables import as_markdown, as_text, render

PARTS = ("predict", "one-core", "memory")
ROUND_SECONDS = 600  # a peer that takes longer hangs


class Run:
    def __init__(self, arguments, folder):
        self.arguments, self.folder = arguments, Path(folder)
        self.notes, self.workers, self.rounds, self.versions = [], [], [], {}
        self.cases = [c for c in cases_of(arguments.quick)
                      if not arguments.only or any(o in c for o in arguments.only)]
        self.environment = {}
        self.programs = Programs(arguments, folder, self.note)

    def note(self, text):
        self.notes.append(text)
        self.say(text)

    def say(self, text):
        print(f"run: {text}", file=sys.stderr, flush=True)

    def wants(self, part):
        return not self.arguments.only or part in self.arguments.only

    # ---- Sinew ----------------------------------------------------------------------------------

    def bench(self, cases, seconds, rounds=1, threads=None):
        """{name: record} of `sinew bench`."""
        file = self.folder / "sinew.json"
        file.unlink(missing_ok=True)
        filters = [word for case in cases for word in ("--filter", case)]
        _, error = run_quiet(
            [self.arguments.sinew, "bench", "--device", "cpu", "--threads",
             str(threads or self.arguments.threads), "--rounds", str(rounds), "--seconds",
             str(seconds), "--quiet", "--json", str(file), *filters,
             *(["--quick"] if self.arguments.quick else [])], ROUND_SECONDS)
        if error or not file.exists():
            self.note(f"Sinew: {error or 'no figures were written'}")
            return {}
        record = json.loads(file.read_text(encoding="utf-8"))
        self.environment = record["environment"]
        for case in record["cases"]:
            if "error" in case:
                self.note(f"Sinew, {case['name']}: {case['error'][:120]}")
        return {c["name"]: c for c in record["cases"] if "median_ms" in c and c["name"] in cases}

    # ---- peers ----------------------------------------------------------------------------------

    def start(self, peer, cases):
        begin = time.monotonic()
        log = self.folder / f"{peer}.log"
        with open(log, "w", encoding="utf-8") as stream:
            worker = Worker(peer, self.programs.command(peer, cases), stream,
                            self.programs.variables)
        worker.ready = worker.answer(self.arguments.prepare + 60)
        if not worker.ready:
            worker.process.kill()
            lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            self.note(f"{peer}: did not get ready ({lines[-1][:200] if lines else 'no output'})")
            return
        for key, reason in worker.ready["skipped"].items():
            self.note(f"{peer}, {key}: {reason}")
        self.versions.update({k: worker.ready[k] for k in ("torch", "config", "jax", "eigen")
                              if k in worker.ready})
        self.workers.append(worker)
        self.say(f"{peer} is ready after {time.monotonic() - begin:.0f} s")

    def start_all(self):
        for peer in self.arguments.peers:
            cases = cases_for(peer, self.cases)
            if not cases:
                continue
            if reason := self.programs.missing(peer):
                self.note(f"{peer} is left out: {reason}")
            else:
                self.start(peer, cases)

    # ---- measuring ------------------------------------------------------------------------------

    def check_same_size(self, ours):
        """Drops workers that train another number of parameters than Sinew does."""
        for worker in list(self.workers):
            for key, count in worker.ready.get("parameters", {}).items():
                own = ours.get(key.split()[0], {}).get("parameters", count)
                if own != count:
                    self.drop(worker, f"{key} has {count} parameters, Sinew's {own}")
                    break

    def drop(self, worker, reason):
        self.note(f"{worker.name} is left out from now on: {reason}")
        worker.end()
        self.workers.remove(worker)

    def idle_seconds(self, busy):
        return sum(w.cpu_seconds() for w in self.workers if w is not busy)

    def one_round(self):
        times, idle = {}, 0
        for worker in [None, *self.workers]:
            if worker and worker not in self.workers:
                continue
            before = self.idle_seconds(worker)
            if worker:
                answer = worker.round(ROUND_SECONDS)
                idle += self.idle_seconds(worker) - before
                if answer is None:
                    self.drop(worker, "no answer to a round")
                    continue
                for key in set(answer) - set(worker.rounds[-1]):
                    self.note(f"{worker.name}, {key}: {answer[key]}")
                times[worker.name] = worker.rounds[-1]
            else:
                ours = self.bench(self.cases, self.arguments.seconds)
                idle += self.idle_seconds(None) - before
                self.check_same_size(ours)
                times["sinew"] = {name: case["median_ms"] for name, case in ours.items()}
        return times, idle

    def measure(self):
        idle, begin = 0, time.monotonic()
        for number in range(1, self.arguments.rounds + 1):
            start = time.monotonic()
            times, waste = self.one_round()
            self.rounds.append(times)
            idle += waste
            self.say(f"round {number} took {time.monotonic() - start:.0f} s")
        share = 100 * idle / max(time.monotonic() - begin, 1e-3)
        if share > 1:
            self.note(f"waiting peers took {share:.1f} % of a core from those that were measured")

    def memory(self, case):
        result = []
        if ours := run_extras.sinew_memory(self.arguments.sinew, case, self.arguments.threads):
            result.append({"who": "Sinew", "form": "-", **ours})
        for peer in self.arguments.peers:
            if peer in ("eigen", "pytorch-csr") or self.programs.missing(peer):
                continue
            forms = [key.split(" ", 1)[1] for key in self.median_times(peer, case)][:1] or [""]
            if peer == "pytorch-eager" and "index" not in forms:
                forms.append("index")
            for form in forms:
                text, error = run_quiet(self.programs.command(peer, [case], f"--memory={form}"),
                                        self.arguments.prepare, self.programs.variables)
                if error:
                    self.note(f"{peer}, memory: {error}")
                else:
                    result.append({"who": peer, "form": form or "-", **json.loads(text)})
        return result

    def median_times(self, peer, case):
        """{key: ms} of a case's forms, the fastest first."""
        keys = {key for r in self.rounds for key in r.get(peer, {}) if key.split()[0] == case}
        medians = {key: statistics.median(r[peer][key] for r in self.rounds
                                          if key in r.get(peer, {})) for key in keys}
        return dict(sorted(medians.items(), key=lambda item: item[1]))

    def guarded(self, part, function, otherwise):
        """A part of its own, whose failure is a note."""
        if not self.wants(part):
            return otherwise
        self.say(part)
        try:
            return function()
        except (OSError, LookupError, ValueError, subprocess.SubprocessError) as error:
            self.note(f"{part}: {error}")
            return otherwise

    def one_core(self):
        layer = "op/geo_linear-" + ("4x4-k3-b2" if self.arguments.quick else "16x16-k8-b256")
        if reason := self.programs.missing("eigen"):
            raise ValueError(f"no FMA rate ({reason})")
        bench = lambda names: self.bench(names, 0.5, rounds=5, threads=1)
        fma_rate = lambda: float(output_of(self.programs.eigen, "--fma"))
        return run_extras.one_core(bench, layer, fma_rate)

    def run(self):
        if self.cases:
            self.start_all()
            self.measure()
        for worker in self.workers:
            worker.end()
        sinew, threads = self.arguments.sinew, self.arguments.threads
        sizes = [c for c in cases_of(self.arguments.quick) if c.startswith("step/geo_sparse")]
        small, large = sizes[min(1, len(sizes) - 1)], sizes[-1]
        predict = self.guarded("predict",
                               lambda: run_extras.predict_ms(sinew, small, threads), None)
        core = self.guarded("one-core", self.one_core, None)
        memory = self.guarded("memory", lambda: self.memory(large), [])
        return {"about": self.about(), "notes": self.notes,
                "settings": {k: v for k, v in vars(self.arguments).items()
                             if k in ("threads", "rounds", "seconds", "quick", "only", "peers")},
                "cases": self.cases, "rounds": self.rounds, "memory_case": large,
                "memory": memory, "predict": predict, "predict_case": small, "one_core": core}

    def about(self):
        config = self.versions.pop("config", "")
        blas = re.search(r"BLAS_INFO=(\w+)", config)
        library = re.search(r"- (.*Math Kernel Library.*?|.*OpenBLAS.*?)(?: for .*)?\n", config)
        return {"date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
                "cpu": cpu_model(), "cores": len(os.sched_getaffinity(0)),
                "threads": self.arguments.threads, "system": platform.platform(terse=True),
                "python": platform.python_version(),
                "sinew": " ".join(filter(None, (self.environment.get("commit"),
                                                self.environment.get("compiler"),
                                                self.environment.get("isa")))),
                "torch_blas": " ".join(m[1] for m in (blas, library) if m), **self.versions,
                "eigen_compiler": self.programs.compiler}


def cpu_model():
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        return re.search(r"model name\s*: (.*)", lines)[1]
    except (OSError, TypeError):
        return platform.processor()


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sinew", required=True, metavar="PATH", help="the program sinew")
    parser.add_argument("--python", default=sys.executable, metavar="PATH",
                        help="interpreter that has torch and numpy (the one running this)")
    parser.add_argument("--jax-python", metavar="PATH",
                        help="interpreter that has jax and numpy (that of --python)")
    parser.add_argument("--peers", default=",".join(PEERS), metavar="NAMES",
                        help="which, in this order (%(default)s)")
    parser.add_argument("--only", action="append", metavar="NAME", help="only cases whose name "
                        f"contains this, or one of {', '.join(PARTS)}; several times: any of them")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (2)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of every program (5)")
    parser.add_argument("--seconds", type=float, default=0.2, help="of a case and round (0.2)")
    parser.add_argument("--prepare", type=float, default=1200,
                        help="seconds in which a peer has to build its cases (1200)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, two rounds")
    parser.add_argument("--json", metavar="FILE", help="write all figures to FILE")
    parser.add_argument("--markdown", metavar="FILE", help="write the tables to FILE")
    arguments = parser.parse_args()
    arguments.jax_python = arguments.jax_python or arguments.python
    arguments.peers = arguments.peers.split(",")
    if unknown := set(arguments.peers) - set(PEERS):
        parser.error(f"--peers: {', '.join(sorted(unknown))} is none of {', '.join(PEERS)}")
    if arguments.rounds < 1 or arguments.threads < 1:
        parser.error("--rounds and --threads must be at least 1")
    for name in arguments.only or []:
        if name not in PARTS and not any(name in case for case in cases_of(arguments.quick)):
            parser.error(f"--only {name}: no case has this in its name; there are "
                         f"{', '.join([*cases_of(arguments.quick), *PARTS])}")
    if arguments.quick:
        arguments.rounds, arguments.seconds = min(arguments.rounds, 2), 0.001
    return arguments


def main():
    arguments = parse_arguments()
    if not (os.path.isfile(arguments.sinew) and os.access(arguments.sinew, os.X_OK)):
        sys.exit(f"run: {arguments.sinew} is no program")
    arguments.sinew = os.path.abspath(arguments.sinew)
    processors = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, processors[:arguments.threads])  # holds for every peer, XLA too
    with tempfile.TemporaryDirectory() as folder:
        content = Run(arguments, folder).run()
    print(render(content, as_text), end="")
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if arguments.markdown:
        Path(arguments.markdown).write_text(render(content, as_markdown), encoding="utf-8")
    if any(not times.get("sinew") for times in content["rounds"]):
        sys.exit("run: Sinew was not measured")


if __name__ == "__main__":
    main()
