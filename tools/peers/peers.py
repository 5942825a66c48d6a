"""Processes for run.py and report.py: workers that answer in lines of JSON, and single commands."""

import json
import os
import queue
import subprocess
import threading
import time
from pathlib import Path


class Worker:
    """A process that says what it has built, then answers every line with the times of a round."""

    def __init__(self, name, command, log, environment=None):
        self.name, self.ready, self.rounds = name, None, []
        self.lines = queue.Queue()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=log, text=True, bufsize=1, env=environment)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)  # it has ended

    def answer(self, seconds):
        """The next answer, None if none comes in time."""
        try:
            line = self.lines.get(timeout=max(seconds, 0.01))
            return line and json.loads(line)
        except (queue.Empty, ValueError):
            return None

    def round(self, seconds):
        """{key: ms}, appended to `rounds`; None, and the process ended, if it does not answer."""
        try:
            self.process.stdin.write("round\n")
        except OSError:
            return None
        times = self.answer(seconds)
        if times is None:
            self.process.kill()
            return None
        self.rounds.append({key: ms for key, ms in times.items() if not isinstance(ms, str)})
        return times

    def cpu_seconds(self):
        """Processor time so far; 0 where the system does not say."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            return 0
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")

    def end(self):
        try:
            self.process.stdin.close()
            self.process.wait(timeout=5)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        self.reader.join(timeout=5)
        if not self.reader.is_alive():  # else a process that it started still holds the pipe
            self.process.stdout.close()


def output_of(*command):
    """Its last line, None if it has none or fails."""
    try:
        lines = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               text=True, check=True, timeout=20).stdout.split("\n")
    except (OSError, subprocess.SubprocessError):
        return None
    return next((line.strip() for line in reversed(lines) if line.strip()), None)


def run_quiet(command, seconds, environment=None):
    """(standard output, None) of a command, or (None, what went wrong)."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=seconds, env=environment)
    except subprocess.TimeoutExpired:
        return None, f"no answer in {seconds:.0f} s"
    except OSError as error:
        return None, f"does not start ({error.strerror})"
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        return None, f"exit status {done.returncode}: {lines[-1][:200] if lines else 'no output'}"
    return done.stdout, None


def peak_mb(command, seconds):
    """Largest memory of a command's process, None where the system does not say.

    VmHWM, read until the process ends, and not ru_maxrss: that of a child is at least the memory
    of the process that started it.
    """
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end, peak = time.monotonic() + seconds, 0
    while process.poll() is None:
        try:
            with open(f"/proc/{process.pid}/status", encoding="ascii") as lines:
                peak = max(peak, next((int(line.split()[1]) for line in lines
                                       if line.startswith("VmHWM")), 0))
        except OSError:
            pass
        if time.monotonic() > end:
            process.kill()
        time.sleep(0.0001)
    return peak / 1024 if peak and process.returncode == 0 else None
