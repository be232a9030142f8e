# SPDX-License-Identifier: MIT
"""What a run costs before and after its command: berth run beside the bare command, pytest with the plugin beside without."""

import os
import statistics
import subprocess
import time

from common import BUILD, ROOT, Trouble, berthd, folder, say, sockets

PAIRS = 15  # of a run; ours and the bare one take turns
PYTHON = "/usr/bin/python3"
ENTRY_POINT = "[pytest11]\nberth = pytest_berth.plugin\n"


def measure(command, environment, where):
    """By the clock, and by the processors, in ms; a busy machine shows in the first and hardly in the second."""
    command = [str(word) for word in command]
    with open(where / "stderr", "wb") as stderr:
        began = time.perf_counter()
        process = subprocess.Popen(command, env=environment, cwd=where, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=stderr)
        _, status, used = os.wait4(process.pid, 0)
        took = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise Trouble(f"{command}: exit status {process.returncode}\n{(where / 'stderr').read_text(errors='replace')}")
    return 1000 * took, 1000 * (used.ru_utime + used.ru_stime)


def take_turns(ours, bare, where):
    """Medians: ours, the bare one, by how much ours took longer beside it, and that in processor time."""
    for one in (ours, bare):
        measure(*one, where)  # byte code is compiled, files are in memory
    pairs = [(measure(*ours, where), measure(*bare, where)) for _ in range(PAIRS)]
    facts = [(a[0], b[0], a[0] - b[0], a[1] - b[1]) for a, b in pairs]
    return [statistics.median(part) for part in zip(*facts)]


def add(table, figure, results, most):
    ours, bare, more, processor = zip(*results)
    table.add(figure, ours, bare, "{:.1f}", "", lambda x: True)
    table.add("  more, ms", more, [], "{:.1f}", f"<= {most}", lambda x: x <= most, ratio=False)
    table.add("  more processor time, ms", processor, [], "{:.1f}", "", lambda x: True, ratio=False)


def plain_environment(state):
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("BERTH", "PYTEST", "PYTHON"))}
    return {**inherited, "XDG_STATE_HOME": str(state), "PYTHONPYCACHEPREFIX": str(state / "pycache")}


def installed(state):
    """The plugin as a package manager puts it: pytest finds its entry point."""
    site = state / "site"
    (site / "pytest_berth-0.dist-info").mkdir(parents=True)
    (site / "pytest_berth-0.dist-info" / "entry_points.txt").write_text(ENTRY_POINT)
    (site / "pytest_berth-0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: pytest-berth\nVersion: 0\n")
    return f"{site}:{ROOT / 'client' / 'pytest' / 'src'}"


def measure_start(table, runs):
    say("bench: start")
    with folder() as state, sockets() as path, berthd(path / "berthd", state):
        bare = plain_environment(state)
        leased = {**bare, "BERTH_SOCKET": str(path / "berthd"), "BERTH": "require"}
        (state / "test_it.py").write_text("def test_it(): pass\n")
        pytest = [PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", state / "test_it.py"]
        add(table, "8 start: berth run -- true beside true, ms",
            [take_turns(([BUILD / "client" / "cli" / "berth", "run", "--", "true"], leased), (["true"], bare), state)
             for _ in range(runs)], 15)
        add(table, "9 start: pytest of one test with the plugin beside without, ms",
            [take_turns((pytest, {**leased, "PYTHONPATH": installed(state / str(run))}), (pytest, bare), state)
             for run in range(runs)], 20)
