#!/usr/bin/env python3
"""The figures and the files of tools/gpu_report.sh, which starts this at its beginning.

Starts one PyTorch process (pytorch_bench.py) per mode at once, so that they compile while Sinew is
built. Reads lines from stdin:

    phase NAME STATUS SECONDS LIMIT     a phase has ended (status 124: it overran)
    measure SECONDS                     measure for at most so long: every case of `sinew bench`,
                                        then Sinew and PyTorch in turn, one round each

At the end of stdin it writes OUT/NAME.json and OUT/NAME.md, NAME with the GPU, the date and the
commit, from whatever there is by then; their paths without the ending are its only output.
"""

import argparse
import datetime
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from peers import Worker, output_of
from report_tables import markdown

HERE = Path(__file__).resolve().parent

def peer_cases(quick):
    """Names of `sinew bench` that PyTorch has too; it builds them in this order."""
    sizes = ["16x16-d8-k8-b256", "64x64-d8-k8-b1024", "16x16-d8-k32-b256", "8x8-d6-k8-b256"]
    ops = ["geo_linear-64x64-k8-b8192", "geo_linear-16x16-k8-b256", "sine", "rms_norm",
           "geo_linear-64x64-k8-b1024", "geo_linear-16x16-k32-b256", "linear-8192-256-256",
           "linear-1024-4096-1", "geo_linear-64x64-k8-b8192-random"]
    if quick:
        sizes, ops = ["4x4-d1-k3-b2"], ["geo_linear-4x4-k3-b2", "sine", "rms_norm", "linear-8-4-2"]
    dense = [f"step/dense_{kind}-{size}" for size in sizes
             for kind in ("respsann", "resrelu", "relu")]
    return ([f"step/geo_sparse-{size}" for size in sizes]
            + [f"op/{op}/{part}" for op in ops for part in ("forward", "gradient")]
            + ["op/adam_update"] + dense)


def start(mode, arguments, cases, log):
    command = [arguments.python, str(HERE / "pytorch_bench.py"), "--mode", mode, "--device",
               arguments.torch_device, "--limit", str(arguments.prepare), "--seconds",
               str(arguments.seconds), *(["--quick"] if arguments.quick else []), *cases]
    return Worker(mode, command, log)


class Report:
    def __init__(self, arguments):
        self.arguments, self.out = arguments, Path(arguments.out)
        self.phases, self.notes, self.workers = [], [], []
        self.table, self.cases, self.status = None, [], 0
        self.sinew = {"replayed": [], "eager": []}

    def note(self, text):
        self.notes.append(text)
        print(f"report: {text}", file=sys.stderr, flush=True)

    # ---- Sinew ----------------------------------------------------------------------------------

    def bench(self, name, seconds, *flags):
        """The JSON of a call of `sinew bench`; what it has by then if it overruns."""
        file = self.out / name
        command = [self.arguments.sinew, "bench", "--device", self.arguments.device, "--quiet",
                   "--json", str(file), *(["--quick"] if self.arguments.quick else []), *flags]
        file.unlink(missing_ok=True)
        with open(self.out / "bench.log", "a", encoding="utf-8") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
            try:
                process.wait(timeout=max(seconds, 1))
            except subprocess.TimeoutExpired:
                self.note(f"sinew bench overran {seconds:.0f} s ({name}): figures so far")
                process.send_signal(signal.SIGINT)  # it writes what it has
                try:
                    process.wait(timeout=10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        self.status = process.returncode
        try:
            return json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self.note(f"sinew bench wrote nothing ({name}, exit status {process.returncode})")
            return None

    def sinew_round(self, kind, cases, seconds):
        filters = [flag for case in cases for flag in ("--filter", case)]
        graph = "on" if kind == "replayed" else "off"
        record = self.bench(f"{kind}.json", seconds, "--rounds", "1", "--seconds",
                            str(self.arguments.seconds), "--graph", graph, *filters)
        if record:
            self.sinew[kind].append({c["name"]: c["median_ms"] for c in record["cases"]
                                     if "median_ms" in c and c["name"] in cases})

    # ---- the run --------------------------------------------------------------------------------

    def start_workers(self):
        if not self.arguments.modes:
            return
        probe = subprocess.run([self.arguments.python, "-c", "import torch, numpy"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        if probe.returncode != 0:
            self.note(f"{self.arguments.python} has no PyTorch: no comparison")
            return
        self.cases = peer_cases(self.arguments.quick)
        for mode in self.arguments.modes.split(","):
            with open(self.out / f"pytorch-{mode}.log", "w", encoding="utf-8") as log:
                self.workers.append(start(mode, self.arguments, self.cases, log))

    def measure(self, seconds):
        end = time.monotonic() + seconds
        left = lambda: end - time.monotonic()
        for worker in self.workers:
            worker.ready = worker.answer(min(left() / 2, self.arguments.prepare + 15))
            if worker.ready is None:
                self.note(f"PyTorch, {worker.name}: did not get ready")
                worker.process.kill()
        self.workers = [w for w in self.workers if w.ready]
        share = 0.5 if self.workers else 1
        begin = time.monotonic()
        self.table = self.bench("table.json", share * left(), "--rounds", "3", "--seconds",
                                str(self.arguments.seconds))
        self.phases.append(["every case", 124 if self.status == 130 else self.status,
                            time.monotonic() - begin, share * seconds])
        cases = self.table["cases"] if self.table else []
        if failed := sum("error" in c for c in cases):
            self.note(f"{failed} of {len(cases)} cases failed")
        self.rounds(left)

    def rounds(self, left):
        begin, limit, count = time.monotonic(), left(), 0
        longest = 0.0
        while self.workers and count < self.arguments.rounds and left() > longest:
            start = time.monotonic()
            self.sinew_round("replayed", self.cases, left())
            self.sinew_round("eager", [c for c in self.cases if c.startswith("step/")], left())
            for worker in self.workers:
                worker.round(left())
            longest, count = max(longest, time.monotonic() - start), count + 1
        if self.workers:
            late = count < self.arguments.rounds
            if late:
                self.note(f"{count} of {self.arguments.rounds} rounds: no time left")
            self.phases.append([f"rounds beside PyTorch ({count})", 124 if late else 0,
                                time.monotonic() - begin, limit])

    def run(self):
        self.start_workers()
        for line in sys.stdin:
            words = line.split()
            if words[:1] == ["phase"] and len(words) == 5:
                self.phases.append([words[1], *map(int, words[2:])])
            elif words[:1] == ["measure"]:
                self.measure(float(words[1]))
        for worker in self.workers:
            worker.end()

    # ---- the files ------------------------------------------------------------------------------

    def tests(self):
        try:
            lines = (self.out / "tests.log").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return None
        counts = re.findall(r"^(\d+) passed, (\d+) failed$", lines, re.M)
        return [int(n) for n in counts[-1]] if counts else None

    def about(self):
        environment = (self.table or {}).get("environment", {})
        first = next((w.ready for w in self.workers if w.ready), {})
        gpu = (environment.get("devices") or [{}])[0]
        commit = output_of("git", "describe", "--always", "--dirty", "--exclude=*", "--abbrev=12")
        return {
            "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "commit": (commit or environment.get("commit") or "unknown").strip(),
            "gpu": "emulated" if self.arguments.emulated else gpu.get("name") or first.get("gpu"),
            "driver": output_of("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
                      or environment.get("driver"),
            "cuda_driver": gpu.get("driver_cuda"), "cuda_runtime": gpu.get("runtime"),
            "nvcc": output_of("nvcc", "--version"),
            "torch": first.get("torch"), "torch_cuda": first.get("cuda"),
            "torch_device": self.arguments.torch_device if self.workers else None}

    def compared(self):
        """One record per case that both sides were asked for: ms of every round."""
        records = []
        for case in self.cases:
            ours = {kind: [r[case] for r in rounds if case in r]
                    for kind, rounds in self.sinew.items()}
            record = {"name": case, "sinew_ms": {k: v for k, v in ours.items() if v},
                      "pytorch_ms": {}, "skipped": {}}
            for worker in self.workers:
                skipped = worker.ready["skipped"] if worker.ready else {}
                for key in dict.fromkeys([*(k for r in worker.rounds for k in r), *skipped]):
                    if key.split()[0] != case:
                        continue
                    kind = f"{worker.name} {key.split(' ', 1)[1]}".rstrip(" -")
                    if key in skipped:
                        record["skipped"][kind] = skipped[key]
                    else:
                        record["pytorch_ms"][kind] = [r[key] for r in worker.rounds if key in r]
            records.append(record)
        return records

    def write(self):
        about, compared = self.about(), self.compared()
        slug = re.sub(r"[^A-Za-z0-9]+", "-", about["gpu"] or "no-gpu").strip("-").lower()
        stem = self.out / f"gpu-{slug}-{about['date'][:10]}-{about['commit']}"
        content = {
            "about": about, "notes": self.notes, "tests": self.tests(),
            "phases": [dict(zip(("name", "status", "seconds", "limit_s"), p)) for p in self.phases],
            "sinew": self.table, "compared": compared}
        Path(f"{stem}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        Path(f"{stem}.md").write_text(markdown(content, self.out), encoding="utf-8")
        print(stem)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sinew", required=True, help="the program, once `measure` is read")
    parser.add_argument("--out", required=True, help="folder of the results and of the logs")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has torch")
    parser.add_argument("--device", default="cuda", help="of Sinew (cuda)")
    parser.add_argument("--torch-device", default="cuda", help="of PyTorch (cuda)")
    parser.add_argument("--modes", default="eager,default,reduce-overhead", help="of PyTorch")
    parser.add_argument("--prepare", type=float, default=180, help="seconds to build its cases in")
    parser.add_argument("--rounds", type=int, default=5, help="at most so many (5)")
    parser.add_argument("--seconds", type=float, default=0.05, help="of a case and round (0.05)")
    parser.add_argument("--quick", action="store_true", help="the sizes of sinew bench --quick")
    parser.add_argument("--emulated", action="store_true", help="there is no GPU")
    return parser.parse_args()


def main():
    os.makedirs((arguments := parse_arguments()).out, exist_ok=True)
    report = Report(arguments)
    report.run()
    report.write()


if __name__ == "__main__":
    main()
