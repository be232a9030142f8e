# SPDX-License-Identifier: MIT
"""The conftests of docs/pytest.md, to the letter, each with an application of its kind on a real server and daemon."""

import re
import subprocess

import pytest

from documented import files
from stacks import DOCUMENTED, PYTEST, assert_nothing_is_left, environment, lay_out


@pytest.fixture
def run(shared_daemon, databases, tmp_path):
    """The application of a section, tested; what pytest says."""

    def run(heading, **more):
        stack = DOCUMENTED[heading]
        lay_out(tmp_path, heading)
        done = subprocess.run([*PYTEST, "-n", str(stack.workers)], cwd=tmp_path, text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
                              env=environment(shared_daemon, databases, stack, **more))
        assert done.returncode == 0 and f" {stack.passed} passed" in done.stdout, done.stdout
        return done.stdout

    return run


@pytest.mark.parametrize("heading", DOCUMENTED)
def test_the_documented_conftest_works(shared_daemon, databases, run, heading):
    output = run(heading)
    assert re.search(r"^berth: p\w+ \(new lease\)$", output, re.MULTILINE), output
    assert_nothing_is_left(shared_daemon, databases)


@pytest.mark.parametrize("heading", ["Django", "SQLAlchemy on asyncpg", "asyncpg", "A server in a process of its own"])
def test_and_without_a_daemon_it_drops_what_it_has_made_itself(databases, run, heading):
    output = run(heading, BERTH="off")
    assert "left behind" not in output
    assert not any(server.schemas(name) for name, server in databases.items()), output


def test_every_file_that_the_document_shows_is_tried():
    assert files().keys() == DOCUMENTED.keys()


@pytest.mark.parametrize("heading", DOCUMENTED)
def test_what_is_shown_is_fifteen_lines_at_most(heading):
    for name, text in files(whole=False)[heading].items():
        assert len([line for line in text.splitlines() if line]) <= 15, f"{heading}: {name}"
