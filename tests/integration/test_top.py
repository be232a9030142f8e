# SPDX-License-Identifier: MIT
"""berth top on a real pseudo-terminal: what stands on the screen, keys, sizes, ends."""

import os
import signal
import subprocess
import threading

import pytest

from harness import BERTH, Daemon, until
from screens import Terminal


@pytest.fixture(scope="module")
def daemon(clusters):
    daemon = Daemon({"platform": clusters[0].conninfo("platform")})
    yield daemon.after_first_sweep()
    daemon.remove()


@pytest.fixture
def top(daemon):
    opened = []

    def open_terminal(**more):
        environment = daemon.environment(**more.pop("environment", {}))
        opened.append(Terminal("top", *more.pop("words", ()), environment=environment, **more))
        return opened[-1]

    yield open_terminal
    for terminal in opened:
        terminal.close()


@pytest.fixture
def run(daemon):
    """A command that holds a lease, or a slot, until the test ends; its namespace."""
    held = []

    def hold(*words):
        process = subprocess.Popen([BERTH, *words, "--", "sh", "-c", "echo $BERTH_NAMESPACE; read x; exit 0"],
                                   env=daemon.environment(), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL)
        held.append(process)
        return process.stdout.readline().strip()

    yield hold
    for process in held:
        process.stdin.close()
        assert process.wait(30) == 0


def test_runs_and_waiters_come_and_go_and_q_leaves_the_terminal_as_it_was(daemon, top, run):
    terminal = top()
    terminal.wait_for("0 runs, 0 waiting  1 database ok")
    namespace = run("run", "--label", "pytest -n 8")
    terminal.wait_for(lambda text: f"{namespace} " in text and "pytest" in text and "1 run," in text)
    holders = [run("slot", "--worker", "gw3"), run("slot")]
    waiter = subprocess.Popen([BERTH, "slot", "--worker", "gw7", "true"], env=daemon.environment(), stderr=subprocess.DEVNULL)
    # a screen may come in several parts: what is waited for is all that is looked at
    text = terminal.wait_for(lambda text: "WAITING FOR A SLOT" in text and "gw7 of p" in text)
    assert "gw7 of p" in text and f"[0] gw3 {holders[0][:11]}" in text and "building" in text
    assert all(len(line) <= 80 for line in terminal.lines)
    waiter.terminate()
    waiter.wait(30)
    terminal.wait_for(lambda text: "WAITING FOR A SLOT" not in text)
    assert terminal.end("q") == 0 and terminal.is_restored()


def test_who_blocks_whom_is_red_and_a_resize_keeps_all_in_sight(daemon, clusters, top, run):
    namespace = run("run")
    server = clusters[0]
    server.make_schema("platform", f"test_{namespace}_gw0")
    blocker = server.connect("platform", application_name=f"pytest_gw0_{namespace}")
    blocked = server.connect("platform", application_name=f"pytest_gw1_{namespace}")
    blocker.cursor().execute(f"BEGIN; LOCK TABLE test_{namespace}_gw0.t0")
    waiting = threading.Thread(target=lambda: blocked.cursor().execute(f"BEGIN; LOCK TABLE test_{namespace}_gw0.t0"), daemon=True)
    waiting.start()
    terminal = top(width=120, height=40)
    text = terminal.wait_for(lambda text: "BLOCKED" in text and f"gw1 of {namespace}, platform" in text and "behind  gw0" in text)
    assert f"gw1 of {namespace}, platform" in text and f"behind  gw0 of {namespace}: BEGIN; LOCK TABLE" in text
    row = next(i for i, line in enumerate(terminal.lines) if f"gw1 of {namespace}" in line)
    assert terminal.screen.buffer[row][3].fg == "red"
    for width, height in ((60, 12), (20, 5), (3, 2), (1, 1), (80, 24)):
        terminal.resize(width, height)
        terminal.wait_for(lambda text: "q"[:width] in terminal.lines[-1][:1])
    terminal.wait_for(lambda text: "BLOCKED" in text and "q quit" in text)
    blocker.close()
    waiting.join(30)
    blocked.close()
    terminal.wait_for(lambda text: "BLOCKED" not in text)
    assert terminal.end(number=signal.SIGTERM) == 0 and terminal.is_restored()


def test_keys_sort_select_and_pause_and_control_c_ends_it(top, run):
    terminal = top()
    first, second = run("run"), run("run", "--namespace", "aaa")
    terminal.wait_for(lambda text: 0 < text.find(first) < text.find("aaa "))
    terminal.press("s")
    terminal.wait_for(lambda text: "sort: namespace" in text and 0 < text.find("aaa ") < text.find(first))
    terminal.press("r")
    terminal.wait_for(lambda text: "(reversed)" in text and text.find("aaa ") > text.find(first))
    terminal.press("\x1b[12~")  # F2
    terminal.wait_for(lambda text: "NAMESPACE" not in text)
    terminal.press("0p")
    terminal.wait_for("PAUSED")
    third = run("run", "--namespace", "bbb")
    terminal.press("s")
    assert "bbb " not in terminal.wait_for("sort: owner")
    terminal.press("p")
    terminal.wait_for("bbb ")
    assert second == "aaa" and third == "bbb"
    assert terminal.end("\x03") == 0 and terminal.is_restored()


def test_a_daemon_that_restarts_is_waited_for(daemon, top, run):
    terminal = top(environment={"NO_COLOR": "1"})
    terminal.wait_for("1 database ok")
    daemon.stop(signal.SIGKILL)
    terminal.wait_for("berthd is away, trying again")
    daemon.start()
    terminal.wait_for(lambda text: "away" not in text and "1 database ok" in text)
    assert not any(cell.fg != "default" for row in terminal.screen.buffer.values() for cell in row.values())
    assert terminal.end("q") == 0 and terminal.is_restored()


@pytest.mark.parametrize("term, why", [("dumb", "TERM says that it cannot be painted"), ("", "TERM says that it cannot be painted"),
                                       ("no-such-terminal", "TERM names none that is known here")])
def test_a_terminal_that_cannot_be_painted_gets_one_line(top, term, why):
    terminal = top(term=term, width=200)
    assert terminal.end() == 64
    assert terminal.raw.decode() == f"berth: top needs a terminal; {why}; use 'berth status', or 'berth list --watch'\r\n"


def test_without_a_terminal_or_a_daemon_there_is_one_line(daemon):
    done = daemon.berth("top", check=64)
    assert done.stdout == "" and done.stderr.startswith("berth: top needs a terminal; standard input or output is none; use")
    assert daemon.berth("top", "--json", check=64).stdout.startswith('{"error":')
    gone = daemon.berth("top", "--socket", daemon.directory / "nothing", check=69)
    assert gone.stderr.count("\n") == 1 and gone.stderr.startswith("berth: ")


def test_it_ends_with_its_terminal(daemon, top):
    terminal = top()
    terminal.wait_for("1 database ok")
    os.close(terminal.master)
    try:
        assert terminal.process.wait(30) in (0, 1)
    finally:
        terminal.master = os.dup(terminal.slave)
    until(lambda: daemon.json("metrics") and True, what="an answer")
