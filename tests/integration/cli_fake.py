# SPDX-License-Identifier: MIT
"""The berth command and a daemon that says what each test wants, for the tests of each verb."""

import os
import re
import subprocess

import pytest

from fake_berthd import FakeBerthd
from harness import BERTH
from terminal import Terminal

BUSY = {"waitedUSec": 5000000, "position": 1,
        "holders": [{"namespace": "p1t2r00000001", "worker": "gw3", "label": "x", "uid": 0, "process": None,
                     "heldUSec": 1200000}]}


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "io.berth.lease")


@pytest.fixture
def fake(path):
    daemon = FakeBerthd(path)
    yield daemon
    daemon.die()


def environment(path, **more):
    clean = {key: value for key, value in os.environ.items()
             if not key.startswith(("BERTH", "PYTEST_XDIST")) and key != "XDG_RUNTIME_DIR"}
    return {**clean, "BERTH_SOCKET": path, "LC_ALL": "C.UTF-8", "NO_COLOR": "1", **more}


def berth(path, *words, prefix=(), **more):
    return subprocess.run([*prefix, BERTH, *map(str, words)], env=environment(path, **more), text=True, timeout=60,
                          capture_output=True, stdin=subprocess.DEVNULL, start_new_session=True)


def start(path, *words, **more):
    """In a session without a terminal."""
    return subprocess.Popen([BERTH, *map(str, words)], env=environment(path, **more), text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                            start_new_session=True)


def failed(done, code, pattern):
    assert done.returncode == code, (done.stdout, done.stderr)
    assert done.stdout == ""
    assert re.fullmatch(r"berth: [^;\n]+; .+; [^;\n]+\n", done.stderr), done.stderr
    assert re.search(pattern, done.stderr), done.stderr


def on_terminal(path, *words):
    return Terminal([BERTH, *words], environment(path, TERM="xterm"))


def queued(position, *, then=None):
    def answer(call):
        call.reply({"state": "queued", "position": position, "holders": BUSY["holders"]}, continues=True)
        if then:
            then(call)
    return answer


def answer_with(*replies):
    def answer(call):
        for reply in replies[:-1]:
            call.reply(reply, continues=True)
        call.reply(replies[-1])
    return answer
