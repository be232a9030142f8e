# SPDX-License-Identifier: MIT
"""A failing test says what other sessions had to do with it."""

import io
import os

import pytest
from _pytest.reports import TestReport

from pytest_berth import _diagnosis


class Error(Exception):
    """As drivers raise them."""

    def __init__(self, sqlstate=None, **more):
        super().__init__("database error")
        if sqlstate:
            self.sqlstate = sqlstate
        for name, value in more.items():
            setattr(self, name, value)


def wrapped(how, error):
    try:
        if how == "cause":
            raise ValueError from error
        if how == "context":
            try:
                raise error
            except Error:
                raise ValueError
        raise Error(orig=error)
    except Exception as e:
        return e


@pytest.mark.parametrize("how", ["cause", "context", "orig"])
@pytest.mark.parametrize("attribute", ["sqlstate", "pgcode"])
def test_the_sqlstate_is_found_wherever_it_is(settle, how, attribute):
    run = settle(mode="off")
    error = wrapped("cause", wrapped(how, Error(**{attribute: "55P03"})))
    assert _diagnosis.diagnose(run, error).sqlstate == "55P03"


def test_what_has_to_do_with_others_goes_before_what_has_not(settle):
    run = settle(mode="off")
    assert _diagnosis.diagnose(run, Error("23505", __cause__=Error("40P01"))).sqlstate == "40P01"
    unique = _diagnosis.diagnose(run, Error("23505"))
    assert (unique.sqlstate, unique.lines) == ("23505", [])
    assert _diagnosis.diagnose(run, ValueError()) is None
    assert _diagnosis.diagnose(run, Error(sqlstate=5)) is None


def test_a_chain_that_bites_its_tail_comes_to_an_end(settle):
    first, second = Error(), Error()
    first.__cause__, second.__cause__ = second, first
    assert _diagnosis.diagnose(settle(mode="off"), first) is None


def test_whose_run_it_is_and_what_it_runs(settle, fake, monkeypatch):
    run, other = settle(fake), settle(fake, label="pytest -n 8")
    fake.find(other.namespace).members = {type("Client", (), {"pid": os.getpid()}): ("worker", "gw3")}
    fake.holders = [{"database": "platform", "locks": "t RowShareLock", "holder": side(9, other.namespace, "gw3")}]
    titles = {f"/proc/{os.getpid()}/cmdline": "[pytest-xdist running] tests/x.py::test_y\0"}
    real = open
    monkeypatch.setattr("builtins.open", lambda path, *a, **k: io.StringIO(titles[path]) if path in titles else real(path, *a, **k))
    found = _diagnosis.diagnose(run, Error("55P03"))
    assert found.lines[-1].startswith(f'platform: pid 9 (gw3 of {other.namespace}, "pytest -n 8", in tests/x.py::test_y;'
                                      f" pytest_gw3_{other.namespace}) holds locks")


DETAIL = ("Process 123 waits for ShareLock on transaction 7; blocked by process 456.\n"
          "Process 456 waits for ShareLock on transaction 8; blocked by process 123.")


@pytest.mark.parametrize("where", [{"detail": DETAIL}, {"diag": type("Diag", (), {"message_detail": DETAIL})}], ids=str)
def test_the_server_itself_tells_of_a_deadlock(settle, where):
    found = _diagnosis.diagnose(settle(mode="off"), Error("40P01", **where))
    assert found.lines[1:] == ["pid 123 waited for ShareLock on transaction 7, blocked by pid 456",
                               "pid 456 waited for ShareLock on transaction 8, blocked by pid 123",
                               "this run is unleased, so berthd knows nothing of it"]
    assert [(one["blocked_pid"], one["blocker_pid"]) for one in found.blockers] == [(123, 456), (456, 123)]


def side(pid, namespace=None, worker=None, **more):
    label = f"pytest_{worker}_{namespace}" if namespace else "psql"
    return {"pid": pid, "applicationName": label, "namespace": namespace, "worker": worker, "query": None, **more}


def test_who_is_in_the_way_is_named(settle, fake):
    run = settle(fake)
    mine = side(1, run.namespace, "gw0")
    fake.locks = [
        {"database": "platform", "blocked": mine, "waitUSec": 3250000,
         "blocker": side(2, "pother", "gw3", query="UPDATE\n  users", transactionUSec=12000000)},
        {"database": "platform", "blocked": side(3), "blocker": side(4)},
        {"database": "tenant1", "blocked": side(5, run.namespace, "gw1"), "blocker": mine},
        {"database": "tenant1", "blocked": mine, "blocker": side(0, query="a prepared one")},
    ]
    fake.unreachable = "tenant2"
    found = _diagnosis.diagnose(run, Error("55P03"))
    assert found.lines[1:] == [
        f"platform: pid 1 (this worker; pytest_gw0_{run.namespace}) waits for 3.2 s, blocked by pid 2 (gw3 of pother;"
        " pytest_gw3_pother), in its transaction for 12.0 s: UPDATE users",
        f"tenant1: pid 5 (gw1 of this run; pytest_gw1_{run.namespace}) waits, blocked by pid 1 (this worker;"
        f" pytest_gw0_{run.namespace})",
        f"tenant1: pid 1 (this worker; pytest_gw0_{run.namespace}) waits, blocked by a prepared transaction:"
        " a prepared one",
        "not heard just now: tenant2",
        f"nobody holds a lock in test_{run.namespace}_gw0 now",
    ]
    assert found.blockers[0] == {
        "database": "platform", "blocked_pid": 1, "blocker_pid": 2, "namespace": "pother", "worker": "gw3",
        "application_name": "pytest_gw3_pother", "query": "UPDATE\n  users", "wait_s": 3.25}
    assert len(found.blockers) == 2


@pytest.mark.parametrize("sqlstate", ["55P03", "40P01", "57014"])
def test_a_wait_that_is_over_is_said_to_be(settle, fake, sqlstate):
    found = _diagnosis.diagnose(settle(fake), Error(sqlstate))
    assert found.lines[-2].startswith("the wait is over: ") and found.blockers == []


def test_whoever_still_holds_what_was_waited_for_is_named(settle, fake):
    run = settle(fake)
    fake.holders = [
        {"database": "platform", "locks": "users AccessShareLock",
         "holder": side(7, run.namespace, "gw0", query="SELECT 1", transactionUSec=1000000)},
        {"database": "tenant1", "message": "gone"},
        *[{"database": "tenant2", "locks": "t RowShareLock", "holder": side(pid)} for pid in range(10, 16)],
    ]
    found = _diagnosis.diagnose(run, Error("55P03"))
    name = f"test_{run.namespace}_gw0"
    assert found.lines[2:4] == [f"platform: pid 7 (this worker; pytest_gw0_{run.namespace}) holds locks in {name} now"
                                " (users AccessShareLock), in its transaction for 1.0 s: SELECT 1",
                                "not heard just now: tenant1"]
    assert found.lines[4] == f"tenant2: pid 10 (of no run; psql) holds locks in {name} now (t RowShareLock)"
    assert found.lines[-1] == "and 2 more" and len(found.blockers) == 7
    assert (found.blockers[0]["blocked_pid"], found.blockers[0]["blocker_pid"]) == (None, 7)


def test_a_full_lock_table_shows_who_builds(settle, fake):
    run = settle(fake)
    from pytest_berth._slots import Cluster, ddl_slot

    with ddl_slot(run, Cluster()):
        found = _diagnosis.diagnose(run, Error("53200"))
    assert found.lines[1] == (f"lock table of platform, tenant1: 12784 objects, most seen of one slot holder 2639; 1 of 2"
                              f" DDL slots held: gw0 of {run.namespace} for 0 s")


@pytest.mark.parametrize("exist,told", [
    ({"platform": True}, "exists in platform, and not in tenant1"),
    ({"platform": True, "tenant1": True}, "exists in platform, tenant1"),
    ({"platform": False}, "exists in no database that berthd knows: build it with berth.schema()"),
], ids=str)
@pytest.mark.parametrize("sqlstate", ["3F000", "42P01"])
def test_a_missing_table_shows_what_is_expected(settle, fake, exist, told, sqlstate):
    run = settle(fake)
    run.databases = ["platform", "tenant1"]
    name = f"test_{run.namespace}_gw0"
    fake.explained["schemas"] = [{"database": key, "schema": name, "exists": value} for key, value in exist.items()]
    fake.explained["unheard"] = [{"name": "tenant2"}]
    found = _diagnosis.diagnose(run, Error(sqlstate))
    assert found.lines[1:] == [f"expected is search_path {name}: connect with **berth.connect_args()",
                               f"schema {name} {told}", "not heard just now: tenant2"]


def test_a_daemon_that_does_not_answer_costs_two_seconds_once(settle, fake, monkeypatch):
    run = settle(fake)
    monkeypatch.setattr(_diagnosis, "TIMEOUT", 0.1)
    monkeypatch.setattr(_diagnosis, "_deaf_until", 0.0)
    fake.deaf = True
    assert "no answer from" in _diagnosis.diagnose(run, Error("55P03")).lines[-1]
    asked = len(fake.calls)
    assert _diagnosis.diagnose(run, Error("55P03")).lines[-1] == "berthd was not asked: it did not answer a moment ago"
    assert len(fake.calls) == asked
    fake.deaf = False


@pytest.mark.parametrize("arguments", [["-q"], ["-q", "-n1"]], ids=str)
def test_it_is_a_section_of_the_failing_test_and_in_the_report(project, fake, arguments):
    project.write("test_it.py", """
        import pytest
        class Error(Exception):
            sqlstate = "55P03"
        @pytest.fixture
        def bad(): raise Error("in a fixture")
        def test_setup(bad): pass
        def test_call(): raise Error("no lock")
        def test_caught():
            with pytest.raises(Error): raise Error()
        @pytest.mark.xfail
        def test_expected(): raise Error()
    """)
    fake.locks = [{"database": "platform", "blocked": side(1, "pother", "gw0"), "blocker": side(2)}]
    outcome = project.run(*arguments, BERTH_SOCKET=fake.socket)
    assert outcome.status == 1, outcome
    assert outcome.output.count("- berth -") == outcome.output.count("55P03 lock_not_available") == 2, outcome
    assert len(fake.called("ListLocks")) == 2
    failures = project.report()["failures"]
    assert [failure["sqlstate"] for failure in failures] == ["55P03", "55P03"]
    assert all(failure["diagnosis"][-2].startswith("the wait is over") for failure in failures)


def test_other_peoples_words_are_shown_and_not_obeyed(settle, fake):
    run, report = settle(fake), TestReport("x", ("x", 0, "x"), {}, "failed", None, "call")
    fake.locks = [{"database": "platform", "blocked": side(1, run.namespace, "gw0"),
                   "blocker": side(2, query="SELECT '\x1b]0;title\x07\x9b2J'")}]
    _diagnosis.explain(run, Error("55P03"), report)
    [(_, text)] = report.sections
    assert "SELECT '?]0;title??2J'" in text
    assert all(line.isprintable() for line in [*text.split("\n"), *getattr(report, _diagnosis.CARRIED)["diagnosis"]])


def test_a_defect_of_ours_is_no_failure_of_the_test(project, fake):
    project.write("conftest.py", "import pytest_berth._diagnosis as d\nd._find = lambda error: 1 / 0\n")
    project.write("test_it.py", "def test_it(): assert 0, 'mine'")
    outcome = project.run("-q", BERTH_SOCKET=fake.socket)
    assert outcome.status == 1 and "mine" in outcome.output and "please report this defect" in outcome.output
    assert "INTERNALERROR" not in outcome.output, outcome
    assert os.listdir(project.reports) and project.report()["failures"][0]["sqlstate"] is None
