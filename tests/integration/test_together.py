# SPDX-License-Identifier: MIT
"""Everybody at once, as on a host where people and coding agents test: nobody notices anybody."""

import json
import textwrap

import pytest

from harness import BERTH, until
from stacks import DOCUMENTED, assert_nothing_is_left, environment, lay_out
from suites import CONFTEST, PYTEST, Pane, Suite

# Whoever has built waits for the others, so that all are there at once.
MEETS = """
    import json, os, subprocess, sys, time

    def test_meets_everybody(engines):
        while len({name.partition("-")[0] for name in os.listdir(os.environ["SEEN"])}) < 5:
            time.sleep(0.01)

    def test_starts_a_pytest(engines):
        if os.environ.get("ROLE") == "outer":
            with open("outer.new", "w") as file:
                json.dump(dict(os.environ), file)
            os.rename("outer.new", "outer")
            subprocess.run(COMMAND, env={**os.environ, "ROLE": "inner"}, check=True)
"""
STALE = {"BERTH_NAMESPACE": "p1t1000000000r00000000", "BERTH_LEASE": "0" * 32}
COMMAND = [*PYTEST, "-q", "-n", "4"]


@pytest.fixture
def suite(shared_daemon, databases, tmp_path):
    suite = Suite(tmp_path, shared_daemon)
    lay_out(suite.folder, "Several databases, and tenants")
    conftest = (suite.folder / "conftest.py").read_text() + textwrap.dedent(CONFTEST)
    suite.write("conftest.py", conftest).write("test_it.py", MEETS.replace("COMMAND", repr(COMMAND)))
    urls = environment(shared_daemon, databases, DOCUMENTED["Several databases, and tenants"])
    suite.urls = {key: value for key, value in urls.items() if key.startswith("APP_")}
    yield suite
    suite.end()


def test_five_runs_at_once_have_five_namespaces_and_leave_nothing(shared_daemon, databases, suite, tmp_path):
    """Three typed directly, of which one has a stale export and one starts another one in a test; and one under
    berth run, in a pane that has inherited the variables of a run that is going on."""
    plain = suite.start(*COMMAND, **suite.urls)
    stale = suite.start(*COMMAND, **suite.urls, **STALE)
    outer = suite.start(*COMMAND, **suite.urls, ROLE="outer")
    until(lambda: (suite.folder / "outer").exists() or outer.poll() is not None, 60, "a run that starts another one")
    inherited = json.loads((suite.folder / "outer").read_text())
    pane = Pane(tmp_path, {**inherited, "ROLE": ""})
    try:
        pane.type([BERTH, "run", "--", *COMMAND], suite.folder)
        ended = [(run.communicate(timeout=120)[0], run.returncode) for run in (plain, stale, outer)]
        status, output = pane.wait()
    finally:
        pane.close()
    assert [output for output, status in [*ended, (output, status)] if status] == []
    assert len(suite.namespaces()) == 5 and all(one["leased"] for one in suite.seen())
    assert_nothing_is_left(shared_daemon, databases)
