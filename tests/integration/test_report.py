# SPDX-License-Identifier: MIT
"""berth report, over folders of reports: no daemon is there to ask."""

import json
import os
import re
import subprocess
from datetime import datetime, timedelta, timezone
from xml.etree import ElementTree

import pytest

import said
from harness import BERTH
from reports import (COUNTS, EPOCH, blocker, event, failed, failure, name_of, report, rfc3339, stamp, validate, write,
                     write_lines)

ONE = "p18234t1745178234r3af93d71"
TWO = "p20491t1745178241r9c12d4fe"
LONG = "sqlalchemy.exc.OperationalError: (psycopg2.errors.LockNotAvailable) canceling statement due to lock timeout"
RICH = failed(
    ONE, failure("tests/api/test_x.py::TestA::test_name[a-b]", LONG, "gw3", sqlstate="55P03", blockers=[blocker()]),
    failure("tests/test_y.py::test_z", phase="setup"),
    slot_waits=[{"worker": "gw1", "database": "platform", "seconds": 12.5,
                 "holders": [{"namespace": "pother", "worker": "gw2", "seconds": 3.1},
                             {"namespace": None, "worker": None, "seconds": 1}]}],
    worker_crashes=[{"worker": "gw0", "replaced_by": "gw4", "nodeid": "tests/test_y.py::test_crash"}],
    public_writes=[{"database": "platform", "table": "users", "kind": "rows"},
                   {"database": "tenant1", "table": "orders", "kind": "table"}],
    leftovers=["test_p1_gw0"], stale_export={"namespace": "pold", "reason": "ended 3 h ago"})
DIED = report("pdied", 2, status="died", signal=9, exit_status=None, written_by="runner", counts=COUNTS, workers=1)


@pytest.fixture
def ask(tmp_path):
    """ask("--last", 3): what berth report says."""

    def ask(*words, **more):
        clean = {name: value for name, value in os.environ.items() if not name.startswith("BERTH")}
        return subprocess.run([BERTH, "report", *map(str, words)], text=True, capture_output=True, timeout=60,
                              stdin=subprocess.DEVNULL, env={**clean, "BERTH_REPORT_DIR": str(tmp_path), "LC_ALL": "C.UTF-8",
                                                             "TZ": "UTC", "BERTH_SOCKET": "/nonexistent", **more})

    return ask


def found(done):
    assert done.returncode == 0 and done.stderr == "", (done.stdout, done.stderr)
    return done.stdout


def none(done, why):
    assert done.returncode == 1 and done.stdout == ""
    assert re.fullmatch(r"berth: [^;\n]+; [^;\n]+; [^;\n]+\n", done.stderr) and why in done.stderr, done.stderr


# ---- one run ----


def test_the_last_run_is_told_at_a_glance(ask, tmp_path):
    path = write(tmp_path, RICH)
    write(tmp_path, report(TWO, minutes=-5))
    text = found(ask())
    assert max(len(line) for line in text.splitlines() if "Report:" not in line) <= 80
    lines = [line.strip() for line in text.splitlines()]
    assert lines[0] == f"● {ONE} - failed, exit status 1"
    for expected in ("Tests: 1 failed, 1 error, 80 passed (4 workers)", f"Report: {path}",
                     "Crashed: gw0 in tests/test_y.py::test_crash, replaced by gw4",
                     "Waited: gw1 12s for a slot of platform, behind gw2 of pother and the sweep",
                     "In public: rows of users in platform; table orders in tenant1", "Left behind: test_p1_gw0",
                     "Ignored: BERTH_NAMESPACE=pold, ended 3 h ago",
                     "FAILED tests/api/test_x.py::TestA::test_name[a-b] (gw3, 55P03)",
                     "sqlalchemy.exc.OperationalError: (psycopg2.errors.LockNotAvailable)",
                     "canceling statement due to lock timeout",
                     "blocked in platform by gw3 of pother (pid 8) for 3.2s: DROP SCHEMA test_x",
                     "ERROR tests/test_y.py::test_z (gw0, setup)"):
        assert expected in lines


def test_a_green_run_is_short(ask, tmp_path):
    write(tmp_path, report(ONE))
    lines = found(ask()).splitlines()
    assert lines[0] == f"● {ONE} - passed" and len(lines) == 6 and "Tests: 80 passed" in lines[4]


def test_a_run_that_died_says_of_what(ask, tmp_path):
    write(tmp_path, DIED)
    text = found(ask())
    assert text.startswith("● pdied - died, signal 9 (Killed)\n") and "Tests:" not in text


def test_a_name_shows_the_last_run_of_that_name_and_a_path_that_file(ask, tmp_path):
    path = write(tmp_path, report("mydebug", label="first"))
    write(tmp_path, report("mydebug", minutes=1, label="second"))
    write(tmp_path, report(ONE, minutes=2))
    assert "Label: second" in found(ask("mydebug"))
    assert "Label: first" in found(ask(path))
    assert found(ask("mydebug", "--last", 5)).count("mydebug") == 2


@pytest.mark.parametrize("facts, line", [
    ({}, "blocked in platform by gw3 of pother (pid 8) for 3.2s: DROP"),
    ({"wait_s": None}, "blocked in platform by gw3 of pother (pid 8): DROP"),
    ({"wait_s": None, "blocked_pid": None}, "locks are held in platform by gw3 of pother (pid 8): DROP"),
    ({"namespace": None, "worker": None, "blocker_pid": 0}, "blocked in platform by a prepared transaction for 3.2s: DROP"),
    ({"namespace": None, "worker": None, "application_name": "psql"}, "blocked in platform by psql (pid 8) for 3.2s: DROP"),
    ({"namespace": None, "worker": None, "application_name": None, "query": None}, "by a session (pid 8) for 3.2s: ?"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_whoever_was_in_the_way_is_named(ask, tmp_path, facts, line):
    write(tmp_path, failed(ONE, failure("t.py::test_a", blockers=[blocker(**facts)])))
    assert line in found(ask())


def test_many_failures_are_cut_and_said_so(ask, tmp_path):
    write(tmp_path, failed(ONE, *(failure(f"t.py::test_{i}") for i in range(50))))
    text = found(ask())
    assert text.count("FAILED") == 20 and text.endswith("and 30 more; --json has them\n")


def test_what_tests_have_said_does_not_move_the_cursor(ask, tmp_path):
    write(tmp_path, failed(ONE, failure("t.py::test_a", "E\x1b[2J\r\x07 line\nnext", blockers=[blocker(query="\x9b31m")]),
                           label="\x1b]0;x\x07"))
    for words in ([], ["--last", 3], ["--diff", ONE, ONE]):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", found(ask(*words)))


# ---- running, or died without a word ----


def test_a_run_that_goes_on_is_running(ask, tmp_path):
    write_lines(tmp_path, ONE, event("TestFailed", **failure("t.py::test_a")), pid=os.getpid(), started=datetime.now(timezone.utc))
    text = found(ask())
    assert text.startswith(f"● {ONE} - running\n") and "going on for" in text and "FAILED t.py::test_a" in text
    [told] = validate(json.loads(found(ask("--json"))), "report-list.json")["reports"]
    assert told["status"] == "running" and told["ended_at"] is None and told["counts"]["failed"] == 1
    none(ask("--failed"), "no report of a failed run")


@pytest.mark.parametrize("pid", ["dead", "another's"])
def test_one_whose_process_is_gone_has_died_also_if_its_pid_is_anothers_now(ask, tmp_path, pid):
    gone = subprocess.Popen(["true"])
    gone.wait()
    write_lines(tmp_path, ONE, event("Novelty", 7), pid=gone.pid if pid == "dead" else os.getpid(),
                started=EPOCH - timedelta(days=3000))
    [told] = json.loads(found(ask("--json")))["reports"]
    assert told["status"] == "died" and told["ended_at"] == rfc3339(EPOCH + timedelta(seconds=7))


def test_of_another_hosts_run_nobody_knows_that_it_died(ask, tmp_path):
    write_lines(tmp_path, ONE, pid=2**22 + 1, host="elsewhere")
    assert " - running" in found(ask())


def test_a_run_that_closed_and_left_only_lines_is_what_it_said(ask, tmp_path):
    write_lines(tmp_path, ONE, event("Closed", 3, status="failed", exit_status=1, counts={**COUNTS, "failed": 2}, workers=2))
    assert f"● {ONE} - failed, exit status 1" in found(ask())


def test_half_a_line_is_not_looked_at(ask, tmp_path):
    write_lines(tmp_path, ONE, event("TestFailed", **failure("t.py::test_a")), more='{"event": "TestFailed", "no')
    assert found(ask()).count("FAILED") == 1


# ---- many ----


def test_the_last_runs_are_a_table_of_80_columns(ask, tmp_path):
    for made in (RICH, DIED, report(TWO, 1, label="pytest " + "tests/long/path " * 9)):
        write(tmp_path, made)
    lines = found(ask("--last", 2)).splitlines()
    assert lines[0].split() == ["AGE", "NAMESPACE", "STATUS", "FAILED", "PASSED", "TOOK", "LABEL"]
    assert [line.split()[1] for line in lines[1:]] == ["pdied", TWO] and max(map(len, lines)) <= 80
    assert len(found(ask("--last", 99)).splitlines()) == 4
    assert [line.split()[1] for line in found(ask("--last", 99, "--failed")).splitlines()[1:]] == ["pdied", ONE]
    assert "● pdied" in found(ask("--failed"))


def test_a_file_that_is_no_report_costs_a_line_and_hides_nothing(ask, tmp_path):
    good = write(tmp_path, report(ONE, minutes=-60))
    (tmp_path / "junit.xml").write_text("<x/>")
    (tmp_path / "notes.json").write_text("not of ours by its name")
    bad = {"ppipe": None, "plink": None, "phuge": None, "phalf": '{"schema_version": 1, "names', "pfuture": '{"schema_version": 2}',
           "pshort": '{"schema_version": 1}', "pwrong": json.dumps({**report("pwrong"), "failures": "none"}),
           "pdoubled": '{"a": 1, "a": 2}', "pdeep": "[" * 1000}
    for name, text in bad.items():
        path = tmp_path / f"{stamp(EPOCH)}_{name}.json"
        if text:
            path.write_text(text)
    os.mkfifo(tmp_path / f"{stamp(EPOCH)}_ppipe.json")
    os.symlink(good, tmp_path / f"{stamp(EPOCH)}_plink.json")
    os.truncate(os.open(tmp_path / f"{stamp(EPOCH)}_phuge.json", os.O_WRONLY | os.O_CREAT), 17 << 20)
    done = ask()
    assert done.returncode == 0 and f"● {ONE} - passed" in done.stdout
    assert len(done.stderr.splitlines()) == len(bad)
    for name, why in (("ppipe", "no regular file"), ("plink", "a symbolic link"), ("phuge", "more than 16 MiB"),
                      ("phalf", "unfinished string"), ("pfuture", "no report of version 1"), ("pshort", "is missing"),
                      ("pwrong", "its failures is wrong"), ("pdoubled", "doubled"), ("pdeep", "nested too deeply")):
        assert re.search(rf"^berth: \S+_{name}\.json is ignored; [^;\n]*{why}[^;\n]*; remove it$", done.stderr, re.M), why


# ---- comparing ----


def test_a_comparison_says_what_fails_newly_no_longer_and_still(ask, tmp_path):
    write(tmp_path, failed(ONE, failure("t.py::a"), failure("t.py::b"), failure("t.py::b", phase="teardown")))
    after = write(tmp_path, failed(TWO, failure("t.py::b", "anew"), failure("t.py::c"), minutes=1))
    text = found(ask("--diff", ONE, after))
    assert re.search(r"^fail newly: 1\nFAILED t.py::c .*\n.*\n\nfail no longer, or were not run: 1\n  t.py::a\n\n"
                     r"still fail: 1\n  t.py::b\n", text, re.M), text
    told = validate(json.loads(found(ask("--diff", ONE, after, "--json"))), "report-diff.json")
    assert [[one["nodeid"] for one in told[key]] for key in ("newly", "no_longer", "still")] == [
        ["t.py::c"], ["t.py::a"], ["t.py::b"]]
    assert told["still"][0]["message"] == "anew" and told["after"]["file"] == str(after)


def test_a_failure_without_a_name_is_compared_all_the_same(ask, tmp_path):
    nameless = failure("")
    del nameless["nodeid"]
    paths = [write(tmp_path, failed(run, nameless, minutes=n)) for n, run in enumerate((ONE, TWO))]
    assert "(null)" not in found(ask("--diff", *paths))


# ---- other people's formats ----

AWKWARD = failure('tests/a b.py::T::test[<&">%:,\n]', 'E <tag> & "quote" %0A\x01\x1b\ufffe\uffff\nnext, line: 100%é', "gw1",
                  blockers=[blocker(query='SELECT "<&>"')])


def test_junit_is_well_formed_whatever_the_tests_said(ask, tmp_path):
    write(tmp_path, RICH)
    write(tmp_path, failed(TWO, AWKWARD, minutes=1, label="a & <b>"))
    write(tmp_path, DIED)
    root = ElementTree.fromstring(found(ask("--junit", "--last", 9)).encode())
    died, awkward, rich = root
    assert [suite.get("name") for suite in root] == ["pdied", TWO, ONE]
    assert {name: rich.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "82", "failures": "1", "errors": "1", "skipped": "0"}
    assert [(case.get("classname"), case.get("name"), case[0].tag) for case in rich.iter("testcase")] == [
        ("tests.api.test_x.TestA", "test_name[a-b]", "failure"), ("tests.test_y", "test_z", "error")]
    [case] = awkward.iter("testcase")
    assert case.get("name") == 'test[<&">%:,\n]' and case.get("classname") == "tests.a b.T"
    assert case[0].get("message") == 'E <tag> & "quote" %0A????\nnext, line: 100%é'
    assert 'SELECT "<&>"' in case[0].text
    assert died.get("errors") == "1" and died.find("testcase/error").get("message") == "signal 9 (Killed)"


def test_a_test_deep_down_keeps_its_whole_name_in_junit(ask, tmp_path):
    deep = "é" * 1200
    write(tmp_path, failed(ONE, failure(f"a/{deep}.py::test")))
    [case] = ElementTree.fromstring(found(ask("--junit")).encode()).iter("testcase")
    assert case.get("classname") == f"a.{deep}"


def test_annotations_are_one_line_each_and_escaped(ask, tmp_path):
    write(tmp_path, RICH)
    write(tmp_path, failed(TWO, AWKWARD, minutes=1))
    write(tmp_path, DIED)
    lines = found(ask("--github", "--last", 9)).splitlines()
    assert lines[0] == "::error title=run pdied died::signal 9 (Killed)"
    assert lines[1].startswith('::error file=tests/a b.py,title=tests/a b.py%3A%3AT%3A%3Atest[<&">%25%3A%2C%0A]::E <tag> & '
                               '"quote" %250A%01%1B') and "%0Anext, line: 100%25é%0Ablocked by pother, pid 8: " in lines[1]
    assert lines[2].startswith("::error file=tests/api/test_x.py,title=tests/api/test_x.py%3A%3ATestA%3A%3Atest_name[a-b]::sql")
    assert lines[4:] == ["::error title=worker gw0 crashed::tests/test_y.py::test_crash",
                         "::warning title=written into public::rows users in platform",
                         "::warning title=written into public::table orders in tenant1"]


def test_json_is_the_reports_as_they_are(ask, tmp_path):
    path = write(tmp_path, RICH)
    assert validate(json.loads(found(ask("--json"))), "report-list.json") == {"reports": [{**RICH, "file": str(path)}]}


# ---- none ----


def test_no_report_is_exit_code_1(ask, tmp_path):
    none(ask(), f"there is none in {tmp_path}")
    none(ask("pnone"), "none of its runs has one")
    none(ask("/nonexistent.json"), "cannot read /nonexistent.json; No such file")
    none(ask("--diff", "pnone", "pother"), "no report of pnone")
    none(ask(BERTH_REPORT_DIR=str(tmp_path / "never")), "no report of a run")
    none(ask(BERTH_REPORT_DIR="off"), "reports are off")
    none(ask(BERTH_REPORT_DIR="/dev/null"), "cannot read /dev/null; Not a directory")
    told = json.loads(ask("--json").stdout)
    assert told["error"] == "NoReport"
    said.check_object(ask("--json").stdout, 1)


@pytest.mark.parametrize("words, why", [
    (["--diff", ONE], "--diff compares two runs"), ([ONE, TWO], "unexpected argument"), (["my_debug"], "try mydebug"),
    (["--json", "--junit"], "three forms"), (["--last", "x"], "no number")])
def test_usage(ask, words, why):
    done = ask(*words)
    assert done.returncode == 64 and why in done.stderr + done.stdout


def test_the_default_folder_is_that_of_the_runs(ask, tmp_path):
    folder = tmp_path / "berth" / "reports"
    folder.mkdir(parents=True)
    write(folder, report(ONE))
    assert ONE in found(ask(BERTH_REPORT_DIR="", XDG_STATE_HOME=str(tmp_path)))
    assert name_of(report(ONE)) in found(ask(BERTH_REPORT_DIR="", XDG_STATE_HOME=str(tmp_path)))


def test_a_folder_of_hundreds_is_no_burden(ask, tmp_path):
    """Of all the others only the names are looked at."""
    for i in range(300):
        (tmp_path / f"{stamp(EPOCH + timedelta(seconds=i - 400))}_p{i}.json").write_text("{")
    write(tmp_path, report(ONE))
    assert ONE in found(ask())
