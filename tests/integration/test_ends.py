# SPDX-License-Identifier: MIT
"""However a run ends, with `berth run` and without: the exit status, who is left, what is left, and what it tells."""

import json
import os
import signal
import subprocess
import textwrap
from typing import Callable, NamedTuple

import pytest

from documented import files
from harness import BERTH, until
from reports import reports_in, validate
from stacks import assert_nothing_is_left, url
from suites import CONFTEST, PYTEST, Suite

APP = """
    import os
    DSN = os.environ["APP_URL"]
    SCHEMA_SQL = "CREATE TABLE book (id serial PRIMARY KEY, title text NOT NULL)"
"""
TEST = """
    import os, pathlib, pytest, time

    def test_goes_wrong(db):
        db.cursor().execute("INSERT INTO book (title) VALUES ('Emma')")
        pathlib.Path(f"built-{os.environ['BERTH_CONTROLLER_PID']}").touch()
        WRONG

    def test_is_right(db):
        db.cursor().execute("SELECT FROM book")
"""
WAITS = "while not os.path.exists('go'): time.sleep(0.01)"


def interrupt_twice(run):
    """As somebody who is in a hurry; a terminal would tell the whole group."""
    for _ in range(2):
        os.kill(run.process.pid, signal.SIGINT)


class End(NamedTuple):
    """What goes wrong in a test, what is done to the run from outside, and what is to come of it."""

    wrong: str
    options: "list[str]"
    reports: "dict[int, dict]"  # by exit status
    act: "Callable[[Run], None] | None" = None


ENDS = {
    "SIGKILL": End(WAITS, ["-n2"], {-signal.SIGKILL: {"status": "died", "signal": 9}},
                   lambda run: os.kill(run.controller, signal.SIGKILL)),
    "SIGTERM": End(WAITS, ["-n2"], {-signal.SIGTERM: {"status": "died", "signal": 15}},
                   lambda run: os.kill(run.process.pid, signal.SIGTERM)),
    # The second one may come while pytest still looks at the first, and end it there.
    "Ctrl-C twice": End(WAITS, [], {2: {"status": "interrupted", "exit_status": 2}, -signal.SIGINT: {}},
                        interrupt_twice),
    "-x": End("assert 0", ["-x"], {1: {"status": "failed", "exit_status": 1}}),
    "os._exit": End("os._exit(3)", ["-n0"], {3: {"status": "died", "exit_status": 3}}),
    "a worker's crash": End("os._exit(3)", ["-n1"], {1: {"status": "failed", "exit_status": 1, "worker_crashes": [
        {"worker": "gw0", "replaced_by": "gw1", "nodeid": "test_it.py::test_goes_wrong"}]}}),
}


# The documented one, and what writes down where the tests were.
CONFTEST_OF_BOTH = files()["psycopg2"]["conftest.py"] + textwrap.dedent(CONFTEST)


class Run:
    def __init__(self, suite, end, runner, reports, databases):
        command = [*PYTEST, "-q", *end.options]
        self.suite, self.reports = suite, reports
        self.out = suite.folder / "out"
        with open(self.out, "wb") as out:
            self.process = subprocess.Popen(
                [BERTH, "run", "--", *command] if runner else command, cwd=suite.folder, stdin=subprocess.PIPE,
                stdout=out, stderr=subprocess.STDOUT, start_new_session=True, env=suite.environment(
                    APP_URL=url(databases["platform"], "platform"), BERTH_REPORT_DIR=str(reports)))
        built = until(lambda: list(suite.folder.glob("built-*")) or self.process.poll() is not None, 60, "a schema")
        self.controller = int(built[0].name.partition("-")[2]) if built is not True else None

    def wait(self):
        return self.process.wait(60), self.out.read_text(errors="replace")


@pytest.fixture
def start(shared_daemon, databases, tmp_path):
    runs = []

    def start(end, runner):
        suite = Suite(tmp_path, shared_daemon)
        suite.write("app.py", APP).write("test_it.py", TEST.replace("WRONG", end.wrong))
        suite.write("conftest.py", CONFTEST_OF_BOTH)
        runs.append(Run(suite, end, runner, tmp_path / "reports", databases))
        return runs[-1]

    yield start
    for run in runs:
        run.suite.end()
        run.process.wait()


def assert_reported(run, expected):
    [made] = reports_in(run.reports).values()
    validate(made)
    assert {key: made[key] for key in expected} == expected
    assert made["namespace"] == run.suite.namespace() and made["databases"] == ["platform", "tenant1", "tenant2"]


@pytest.mark.parametrize("how", ENDS)
def test_the_end_of_a_run_under_berth_run(shared_daemon, databases, start, how):
    end = ENDS[how]
    run = start(end, runner=True)
    if end.act:
        end.act(run)
    status, output = run.wait()
    assert run.suite.alive() == []
    assert status in end.reports, output
    assert_nothing_is_left(shared_daemon, databases)
    assert_reported(run, end.reports[status])


@pytest.mark.parametrize("how", ENDS)
def test_the_end_of_a_plain_run(shared_daemon, databases, start, how):
    end = ENDS[how]
    run = start(end, runner=False)
    if end.act:
        end.act(run)
    status, output = run.wait()
    assert status in end.reports, output
    (run.suite.folder / "go").touch()  # orphaned workers end with their test
    until(lambda: run.suite.alive() == [], what="the end of orphaned workers")
    assert_nothing_is_left(shared_daemon, databases)
    if reports_in(run.reports):
        assert_reported(run, end.reports[status])
    else:  # nobody was left to write more than the lines
        assert end.reports[status].get("status", "died") == "died"
        [lines] = run.reports.glob("*.jsonl")
        assert json.loads(lines.read_text().splitlines()[0])["namespace"] == run.suite.namespace()


def test_a_run_in_a_debugger_loses_nothing_and_goes_on(shared_daemon, databases, start):
    """For hours, as far as anybody can tell: nothing of it expires, asleep or awake."""
    run = start(End("breakpoint()", ["-n0", "-s"], {}), runner=False)
    before = databases["platform"].schemas("platform")
    for doze in (False, True):
        if doze:
            os.kill(run.controller, signal.SIGSTOP)
        kept = [kept for database in shared_daemon.sweep()["databases"] for kept in database["kept"]]
        assert [(one["schema"], one["reason"]) for one in kept] == [(before[0], "live")]
    os.kill(run.controller, signal.SIGCONT)
    run.process.stdin.write(b"continue\n")
    run.process.stdin.close()
    assert run.wait()[0] == 0
    assert_nothing_is_left(shared_daemon, databases)
