# SPDX-License-Identifier: MIT
"""What all benchmarks share: building, servers that come and go, and the table of figures."""

import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("BERTH_BUILD", ROOT / "build" / "release")).resolve()
PROGRAMS = BUILD / "tests" / "benchmark"

# A peer whose runs differ by more was not measured alone: the machine was busy, or its disk held back.
STEADY = 1.5


class Trouble(Exception):
    """Something could not be run."""


def say(text):
    print(text, file=sys.stderr, flush=True)


# ---- programs ----


def run(*command):
    command = [str(part) for part in command]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Trouble(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def values_of(output):
    return {name: float(value) for name, value in (line.split() for line in output.splitlines())}


def build():
    say(f"bench: building in {BUILD}")
    run(ROOT / "tests" / "lib" / "packages.sh", "build")
    run("cmake", "-S", ROOT, "--preset", "release", "-B", BUILD, "-G", "Ninja", "-DBERTH_BENCHMARK=ON")
    run("cmake", "--build", BUILD, "--target", "benchmark")


@contextlib.contextmanager
def folder():
    """Beside the build, because /tmp may be memory, where nothing that is durable costs anything."""
    path = Path(tempfile.mkdtemp(prefix="bench.", dir=BUILD))
    try:
        filesystem = run("stat", "-f", "-c", "%T", path).strip()
        if filesystem in ("tmpfs", "ramfs"):
            raise Trouble(f"{BUILD} is on {filesystem}; durable writes cost nothing there; set BERTH_BUILD to a disk")
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def server(path, log, *command):
    with open(log, "wb") as output:
        process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=output,
                                   stderr=output)
    try:
        deadline = time.monotonic() + 10
        while not path.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise Trouble(f"{Path(command[0]).name} did not start:\n{log.read_text(errors='replace')}")
            time.sleep(0.01)
        yield process
    finally:
        process.terminate()
        process.wait(20)


@contextlib.contextmanager
def sockets():
    """A socket's path must be short."""
    with tempfile.TemporaryDirectory(prefix="bench.") as path:
        yield Path(path)


def berthd(path, state, more="", databases=()):
    """more: further options; databases: (name, conninfo)."""
    config = state / "berth.conf"
    lines = [f"[berthd]\nsocket = {path}\nstate_dir = {state}\n{more}"]
    lines += ["[databases]", *(f"{name} = {conninfo}" for name, conninfo in databases)] if databases else []
    config.write_text("\n".join(lines) + "\n")
    return server(path, state / "log", BUILD / "daemon" / "berthd", "--config", config)


# ---- figures ----


class Table:
    """One line a figure; of each run ours and the peer's, and their ratio."""

    def __init__(self):
        self.is_doubtful = False
        self.lines = [("figure: median (least-most)", "berthd", "peer", "ratio", "goal", "")]

    @staticmethod
    def is_steady(values):
        return max(values) <= STEADY * min(values)

    @staticmethod
    def spread(values, form):
        return f"{form.format(statistics.median(values))} ({form.format(min(values))}-{form.format(max(values))})"

    def add(self, figure, ours, peer, form, goal, is_met, ratio=True):
        """goal: what is shown; is_met: of the median of the ratios, or of ours where there is no ratio."""
        ratios = [a / b for a, b in zip(ours, peer)] if ratio else []
        judged = statistics.median(ratios if ratio else ours)
        verdict = "" if not goal else "met" if is_met(judged) else "missed"
        if not self.is_steady(peer or ours):
            verdict = f"{verdict} ?".strip()
            self.is_doubtful = True
        self.lines.append((
            figure,
            self.spread(ours, form),
            self.spread(peer, form) if peer else "",
            self.spread(ratios, "{:.2f}") if ratio else "",
            goal,
            verdict,
        ))

    def show(self):
        widths = [max(len(line[i]) for line in self.lines) for i in range(6)]
        rule = tuple("-" * width for width in widths)
        for line in [self.lines[0], rule, *self.lines[1:]]:
            print("| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |")
        if self.is_doubtful:
            print(f"\n?: the peer's own runs (or, without one, ours) differ by more than {STEADY} times, so this says "
                  "little; run it again on a quiet machine")
