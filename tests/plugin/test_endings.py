# SPDX-License-Identifier: MIT
"""Runs that end otherwise than by their last test: what is shown, and what the report says."""

import os
import re
import signal
import sys

import pexpect
import pytest
from conftest import until

CRASHING = """
    import os, pathlib, pytest, signal
    @pytest.mark.parametrize("n", range(4))
    def test_it(n):
        try:
            pathlib.Path("crashed").touch(exist_ok=False)
        except FileExistsError:
            return
        {crash}
"""


@pytest.mark.parametrize("crash", ["os._exit(3)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_a_crashed_worker_is_shown(project, fake, crash):
    project.write("test_it.py", CRASHING.format(crash=crash))
    outcome = project.run("-q", "-n2", BERTH_SOCKET=fake.socket)
    assert outcome.status == 1, outcome
    report = project.report()
    [crash] = report["worker_crashes"]
    assert crash["worker"] in ("gw0", "gw1") and crash["replaced_by"] == "gw2"
    assert report["workers"] == 2 and report["counts"]["failed"] == 1
    [failure] = report["failures"]
    assert (failure["nodeid"], failure["worker"], failure["phase"]) == (crash["nodeid"], crash["worker"], "call")
    told = f"berth: {crash['worker']} crashed in {crash['nodeid']}, replaced by gw2; its schemas go when the run ends"
    *_, shown, closing = outcome.output.splitlines()
    assert shown == told and closing.startswith(f"berth: run {report['namespace']} 1 failed; report ")


def test_an_unleased_workers_schema_is_a_leftover(project):
    project.write("test_it.py", CRASHING.format(crash="os._exit(3)"))
    outcome = project.run("-q", "-n1", "--max-worker-restart=0", BERTH="off")
    report = project.report()
    assert report["leftovers"] == [f"test_{report['namespace']}_gw0"]
    assert "crashed in test_it.py::test_it[0], not replaced; its schemas are left behind" in outcome.output


@pytest.mark.parametrize("arguments", [[], ["-n1"]], ids=str)
def test_what_an_unleased_run_could_not_drop_is_a_leftover(project, database, arguments):
    project.write("conftest.py", f"""
        import psycopg2, pytest, pytest_berth._schema as schema
        schema._DROP_LOCK_TIMEOUT = "1ms"
        @pytest.fixture(scope="session")
        def built(berth):
            target = psycopg2.connect(**{database!r}, **berth.connect_args())
            other = psycopg2.connect(**{database!r}, **berth.connect_args())
            with berth.schema(target, lambda c: c.cursor().execute("CREATE TABLE t ()")):
                other.cursor().execute("LOCK t")
                yield
            other.close()
    """)
    project.write("test_it.py", "def test_it(built): pass")
    outcome = project.run("-q", *arguments, BERTH="off")
    assert outcome.status == 0, outcome
    report = project.report()
    assert report["leftovers"] == [f"test_{report['namespace']}_gw0"]


def test_writes_into_public_are_one_line_also_of_a_green_run(project, fake):
    project.write("test_it.py", """
        import pathlib, time
        def test_it():
            while not pathlib.Path("go").exists(): time.sleep(0.01)
    """)
    process = project.start("-q", BERTH_SOCKET=fake.socket)
    fake.wait_for(lambda: fake.leases)
    mine = [fake.leases[0].namespace]
    fake.public_writes = [
        {"database": database, "table": table, "kind": kind, "rows": None, "firstUSec": 1, "lastUSec": 2,
         "namespaces": namespaces} for database, table, kind, namespaces in [
            ("platform", "public.users", "table", mine), ("platform", "public.users", "rows", ["pother", *mine]),
            ("tenant1", "public.a", "rows", mine), ("tenant1", "public.b", "rows", mine),
            ("tenant1", "public.c", "rows", mine), ("platform", "public.others", "rows", ["pother"])]]
    (project.path / "go").touch()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    [told] = [line for line in output.splitlines() if line.startswith("berth: ")]
    assert told == ("berth: public was written to while this run was live: public.a of tenant1, public.b of tenant1,"
                    " public.c of tenant1 and 1 more; perhaps by this run; connect with **berth.connect_args()")
    assert len(project.report()["public_writes"]) == 5


# ---- somebody sits at a breakpoint ----


@pytest.fixture
def terminal(project):
    """Starts pytest on a terminal."""
    started = []

    def start(*arguments, **environ):
        child = pexpect.spawn(sys.executable, ["-m", "pytest", "-p", "no:cacheprovider", *arguments],
                              cwd=project.path, env={**project.environ, **environ}, timeout=30, encoding="utf-8")
        started.append(child)
        return child

    yield start
    for child in started:
        child.close(force=True)


def test_a_debugger_keeps_the_lease_and_hears_nothing(project, fake, terminal):
    """The daemon restarts meanwhile, and a slot is waited for by nobody: nothing of ours is said."""
    project.write("conftest.py", "import pytest_berth._waits as w\nw.FIRST = 0.1\n")
    project.write("test_it.py", """
        def test_it(berth):
            with berth.ddl_slot():
                breakpoint()
            with berth.ddl_slot():
                pass
    """)
    child = terminal("-q", "--timeout=600", BERTH_SOCKET=fake.socket)
    child.expect(r"\(Pdb\) ")
    [lease] = fake.leases
    fake.restart()
    fake.wait_for(lambda: lease.members and any("reclaim" in call for call in fake.called("AcquireSlot")))
    asked = len(fake.calls)
    child.sendline("p berth.namespace()")
    child.expect(re.escape(f"'{lease.namespace}'"))
    child.expect(r"\(Pdb\) ")
    assert "berth:" not in child.before and len(fake.calls) == asked and lease.state == "live"
    child.sendline("continue")
    child.expect("1 passed")
    child.expect(pexpect.EOF)
    child.wait()
    assert child.exitstatus == 0
    fake.wait_for(lambda: lease.state == "released")
    assert project.report()["status"] == "passed"


def test_after_a_failure_the_debugger_comes_with_the_diagnosis_done(project, fake, terminal):
    project.write("test_it.py", "class Error(Exception): sqlstate = '55P03'\ndef test_it(): raise Error()\n")
    child = terminal("-q", "--pdb", BERTH_SOCKET=fake.socket)
    child.expect(r"\(Pdb\) ")
    assert fake.leases[0].state == "live" and len(fake.called("ListLocks")) == 1
    child.sendline("quit")
    child.expect(f"berth: run {fake.leases[0].namespace} 1 failed")
    child.expect(pexpect.EOF)
    assert project.report()["failures"][0]["sqlstate"] == "55P03"


def test_a_second_interrupt_that_comes_too_early_is_one_too(project, fake):
    project.write("conftest.py", """
        import os, signal
        def pytest_keyboard_interrupt(): os.kill(os.getpid(), signal.SIGINT)
    """)
    project.write("test_it.py", "import os, signal\ndef test_it(): os.kill(os.getpid(), signal.SIGINT)")
    project.run("-q", BERTH_SOCKET=fake.socket)
    report = project.report()
    assert (report["status"], report["exit_status"]) == ("interrupted", 2)
    fake.wait_for(lambda: fake.leases[0].state == "released")
    assert fake.leases[0].exit_status == 2


def test_two_interrupts_leave_no_worker_and_a_report(project, fake):
    """Ctrl-C goes to the whole group, and somebody who is impatient presses it twice."""
    project.write("test_it.py", """
        import pathlib, time, pytest
        @pytest.mark.parametrize("n", range(2))
        def test_it(n):
            pathlib.Path(f"ready{n}").touch()
            time.sleep(60)
    """)
    process = project.start("-q", "-n2", BERTH_SOCKET=fake.socket, session=True)
    until(lambda: len(list(project.path.glob("ready*"))) == 2)
    os.killpg(process.pid, signal.SIGINT)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode in (2, -signal.SIGINT), output
    fake.wait_for(lambda: fake.leases[0].state == "released")
    report = project.report()
    assert (report["status"], report["exit_status"]) == ("interrupted", 2), output
    assert f"berth: run {report['namespace']} interrupted; report " in output
