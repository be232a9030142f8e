# SPDX-License-Identifier: MIT
"""A server under test that outlives its pytest: the situation of the second seed document, and worse."""

import os
import signal
import subprocess
import urllib.error
import urllib.request

import pytest

from harness import until
from stacks import DOCUMENTED, PYTEST, assert_nothing_is_left, environment, lay_out

HEADING = "A server in a process of its own"
WAITS = """
import os, pathlib, time

def test_waits_for_ever(server, engine):
    pathlib.Path("server.new").write_text(server)
    os.rename("server.new", "server")
    while True:
        time.sleep(1)
"""


class Hosted:
    """A pytest in the middle of a test, and the server it has started."""

    def __init__(self, daemon, databases, folder):
        (folder / "test_app.py").write_text(WAITS)
        self.pytest = subprocess.Popen(PYTEST, cwd=folder, stdin=subprocess.DEVNULL, stdout=open(folder / "out", "wb"),
                                       stderr=subprocess.STDOUT,
                                       env=environment(daemon, databases, DOCUMENTED[HEADING]))
        until(lambda: (folder / "server").exists() or self.pytest.poll() is not None, 60, "a server")
        assert self.pytest.poll() is None, (folder / "out").read_text()
        self.url = (folder / "server").read_text()
        [self.pid] = map(int, subprocess.run(["pgrep", "-P", str(self.pytest.pid)], text=True,
                                             stdout=subprocess.PIPE).stdout.split())

    def kill_pytest(self):
        self.pytest.kill()
        self.pytest.wait()

    def answer(self):
        return urllib.request.urlopen(self.url, timeout=30).read().decode().split()


@pytest.fixture
def start(shared_daemon, databases, tmp_path):
    started = []

    def start():
        started.append(Hosted(shared_daemon, databases, tmp_path))
        return started[-1]

    lay_out(tmp_path, HEADING)
    yield start
    for hosted in started:
        hosted.kill_pytest()
        try:
            os.kill(hosted.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    assert_nothing_is_left(shared_daemon, databases)


def members(daemon):
    return sorted((member.get("role"), member["connected"]) for lease in daemon.leases()
                  for member in lease["runtime"]["members"])


def test_nothing_is_dropped_under_a_server_whose_pytest_was_killed(shared_daemon, databases, start):
    hosted = start()
    before = databases["platform"].schemas("platform")
    hosted.kill_pytest()
    until(lambda: ("child", True) in members(shared_daemon) and ("controller", True) not in members(shared_daemon),
          what="a lease that only the server carries")
    kept = [kept for database in shared_daemon.sweep()["databases"] for kept in database["kept"]]
    assert [(one["schema"], one["reason"]) for one in kept] == [(before[0], "live")]
    assert hosted.answer()[:2] == ["0", before[0]]
    os.kill(hosted.pid, signal.SIGTERM)


def test_without_the_lease_it_would_be(shared_daemon, databases, start, tmp_path):
    """The test of the test above: between two requests nothing else speaks for the schema."""
    conftest = tmp_path / "conftest.py"
    conftest.write_text(conftest.read_text().replace('"-m", "pytest_berth", sys.executable, ', ""))
    hosted = start()
    assert hosted.answer()[0] == "0"
    hosted.kill_pytest()
    until(lambda: databases["platform"].schemas("platform") == [], what="a schema dropped under a server")
    with pytest.raises((urllib.error.HTTPError, OSError)):
        hosted.answer()
