# SPDX-License-Identifier: MIT
"""`python -m pytest_berth COMMAND`: a program that a test starts, and that carries the run's lease."""

import os
import subprocess
import sys

import pytest
from conftest import SOURCE
from test_namespace import roles, wait_until


@pytest.fixture
def start():
    processes = []

    def start(*command, **environ):
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("BERTH")}
        process = subprocess.Popen([sys.executable, "-m", "pytest_berth", *command], text=True, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env={**inherited, "PYTHONPATH": str(SOURCE), **environ})
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.__exit__(None, None, None)


def of(run):
    return {"BERTH_NAMESPACE": run.namespace, "BERTH_LEASE": run.secret, "BERTH_SOCKET": run.socket}


def test_it_carries_the_lease_from_before_the_program_starts_until_it_ends(daemon, settle, start):
    run = settle(daemon)
    child = start("sh", "-c", "echo ready; cat", **of(run))
    assert child.stdout.readline() == "ready\n"
    assert roles(daemon, run.namespace) == ["child", "controller"]
    run.lifeline.close()
    wait_until(lambda: roles(daemon, run.namespace) == ["child"])
    assert child.communicate() == ("", "") and child.returncode == 0


def test_a_program_that_it_starts_in_turn_carries_it_on(fake, settle, start):
    run = settle(fake)
    child = start("sh", "-c", "exec 9<&0; cat <&9 & echo", **of(run))
    child.stdout.readline()
    child.wait()
    run.lifeline.close()
    assert ("child", None) in fake.find(run.namespace).members.values()
    child.stdin.close()
    fake.wait_for(lambda: fake.find(run.namespace).state == "crashed")


@pytest.mark.parametrize("environ,told", [
    ({}, ""),
    ({"BERTH_NAMESPACE": "x"}, ""),
    ({"BERTH_NAMESPACE": "x", "BERTH_LEASE": "0" * 32, "BERTH_SOCKET": "/nonexistent"},
     "berth: cat starts without the run's lease; no socket at /nonexistent; berthd is not running\n"),
], ids=str)
def test_without_a_lease_it_just_starts(start, environ, told):
    assert start("cat", **environ).communicate("in")[:2] == ("in", told)


def test_with_a_stale_export_it_starts_and_says_so(daemon, start):
    child = start("cat", BERTH_NAMESPACE="x", BERTH_LEASE="0" * 32, BERTH_SOCKET=daemon.socket)
    assert child.communicate("in") == (
        "in", "berth: cat starts without the run's lease; there is no lease of x (any more)\n")


def test_the_program_has_the_signals_that_a_shell_would_give_it(start):
    status, _ = start("grep", "SigIgn", "/proc/self/status").communicate()
    assert status.split() == ["SigIgn:", "0" * 16]


@pytest.mark.parametrize("command,status,told", [
    (["/nonexistent"], 127, "berth: cannot start /nonexistent; No such file or directory\n"),
    (["/"], 126, "berth: cannot start /; Permission denied\n"),
    ([], 1, "usage: python -m pytest_berth COMMAND...\n"),
], ids=str)
def test_what_cannot_be_started_is_told(start, command, status, told):
    child = start(*command)
    assert (child.communicate()[1], child.returncode) == (told, status)
