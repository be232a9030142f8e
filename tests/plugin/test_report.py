# SPDX-License-Identifier: MIT
"""The report of a run: what is in it, where it is, and that it never stands in the way."""

import json
import os
import resource
import signal
import subprocess
import sys

import pytest
from conftest import SOURCE, until

from pytest_berth import _report

OUTCOMES = """
    import pytest
    def test_passed(): pass
    def test_failed(): assert 1 == 2, "not so"
    def test_skipped(): pytest.skip()
    @pytest.mark.xfail
    def test_xfailed(): assert 0
    @pytest.mark.xfail
    def test_xpassed(): pass
    @pytest.fixture
    def bad(): raise ValueError("bad fixture")
    def test_error(bad): pass
    @pytest.fixture
    def bad_end():
        yield
        raise ValueError("bad end")
    def test_teardown(bad_end): pass
"""


@pytest.mark.parametrize("arguments,workers", [([], 1), (["-n2"], 2)], ids=str)
def test_it_says_what_happened(project, fake, arguments, workers):
    project.write("test_it.py", OUTCOMES)
    outcome = project.run("-q", *arguments, BERTH_SOCKET=fake.socket)
    assert outcome.status == 1, outcome
    report = project.report()
    assert report["counts"] == {"passed": 2, "failed": 1, "error": 2, "skipped": 1, "xfailed": 1, "xpassed": 1}
    assert (report["status"], report["exit_status"], report["workers"]) == ("failed", 1, workers)
    assert report["namespace"] == fake.leases[0].namespace and report["source"] == "new lease"
    assert report["argv"] == ["pytest", "-p", "no:cacheprovider", "-q", *arguments]
    assert report["label"] == " ".join(report["argv"]) and report["cwd"] == str(project.path)
    assert report["databases"] == ["platform"] and report["uid"] == os.getuid()
    failures = {failure["nodeid"]: failure for failure in report["failures"]}
    assert {nodeid: failure["phase"] for nodeid, failure in failures.items()} == {
        "test_it.py::test_failed": "call", "test_it.py::test_error": "setup", "test_it.py::test_teardown": "teardown"}
    assert failures["test_it.py::test_failed"]["message"].startswith("AssertionError: not so")
    assert failures["test_it.py::test_error"]["message"] == "ValueError: bad fixture"
    assert {failure["worker"] for failure in failures.values()} <= {"gw0", "gw1"}
    [path] = project.reports.iterdir()
    assert path.stat().st_mode & 0o777 == 0o640 and project.reports.stat().st_mode & 0o777 == 0o700
    assert outcome.last_line == f"berth: run {report['namespace']} 1 failed, 2 error; report {path}; locks: berth locks"


@pytest.mark.parametrize("text,arguments,status,exit_status", [
    ("def test_it(): pass", [], "passed", 0),
    ("", [], "no_tests", 5),
    ("import nothing_of_that_name", [], "interrupted", 2),
    ("import nothing_of_that_name", ["--continue-on-collection-errors"], "failed", 1),
    ("def test_it(): assert 0\ndef test_next(): pass", ["-x"], "failed", 1),
    ("def test_it(): assert 0\ndef test_next(): pass", ["-x", "-n1"], "failed", 2),
    ("def test_it(): raise KeyboardInterrupt", [], "interrupted", 2),
    ("import pytest\ndef test_it(): pytest.exit('enough', 7)", [], "error", 7),
    ("def test_it(): pass", ["nowhere.py"], "error", 4),
], ids=str)
def test_the_status_is_a_word(project, fake, text, arguments, status, exit_status):
    project.write("test_it.py", text)
    outcome = project.run("-q", *arguments, BERTH_SOCKET=fake.socket)
    report = project.report()
    assert (report["status"], report["exit_status"], outcome.status) == (status, exit_status, exit_status), outcome
    closing = [line for line in outcome.output.splitlines() if line.startswith("berth: ")]
    assert len(closing) == (status not in ("passed", "no_tests")), outcome
    if "import" in text and "pytest" not in text:
        [failure] = report["failures"]
        assert failure["phase"] == "collect" and "nothing_of_that_name" in failure["message"]
        assert report["counts"]["error"] == 1


@pytest.mark.parametrize("environ,told", [({"BERTH": "off"}, "off"), ({"BERTH_SOCKET": "/nonexistent"}, "unleased: ")],
                         ids=str)
def test_unleased_runs_leave_one_too(project, environ, told):
    project.write("test_it.py", "def test_it(): assert 0")
    outcome = project.run("-q", **environ)
    report = project.report()
    [path] = project.reports.iterdir()
    assert report["source"].startswith(told)
    assert outcome.last_line == f"berth: run {report['namespace']} 1 failed; report {path}"


def test_a_stale_export_is_in_it(project, fake):
    project.write("test_it.py", "def test_it(): pass")
    project.run(BERTH_SOCKET=fake.socket, BERTH_NAMESPACE="p1t1000000000r00000000")
    assert project.report()["stale_export"] == {"namespace": "p1t1000000000r00000000",
                                                "reason": "no living run of that name"}


@pytest.mark.parametrize("arguments", [[], ["-n1"]], ids=str)
def test_tests_may_ask_where_it_will_be(project, fake, arguments):
    project.write("test_it.py", """
        def test_it(berth):
            assert berth.info().report.endswith(f"_{berth.namespace()}.json")
    """)
    outcome = project.run(*arguments, BERTH_SOCKET=fake.socket)
    assert outcome.status == 0, outcome


@pytest.mark.parametrize("option", ["--collect-only", "--help", "--setup-plan"])
def test_discovery_leaves_nothing(project, fake, option):
    project.write("test_it.py", "def test_it(): pass")
    project.run(option, BERTH_SOCKET=fake.socket)
    assert not project.reports.exists()


def test_a_pytest_that_a_test_starts_writes_its_own(project, fake):
    project.write("test_it.py", """
        import os, subprocess, sys
        def test_it():
            if "INNER" not in os.environ:
                subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_it.py"], check=True,
                               env={**os.environ, "INNER": "1"})
    """)
    outcome = project.run("-n1", BERTH_SOCKET=fake.socket)
    assert outcome.status == 0, outcome
    reports = [json.loads(path.read_text()) for path in project.reports.iterdir()]
    assert len({report["namespace"] for report in reports}) == 2


def test_a_strict_reader_takes_what_tests_are_called_and_say(project, fake):
    """C's strings have no NUL, UTF-8 has no lone surrogate: in ids, messages and arguments."""
    project.write("test_it.py", """
        import pytest
        @pytest.mark.parametrize("x", ["\\udcff", "a\\0b"])
        def test_it(x): raise ValueError("bad \\udcff and \\0" + x)
    """)
    assert project.run("-q", "--tb=no", "--no-summary", BERTH_SOCKET=fake.socket).status == 1
    [path] = project.reports.iterdir()
    made = json.loads(path.read_text())
    json.dumps(made, ensure_ascii=False).encode()
    assert [one["message"] for one in made["failures"]] == ["ValueError: bad ? and \ufffd?",
                                                            "ValueError: bad ? and \ufffda\ufffdb"]


# ---- while it runs ----


@pytest.mark.parametrize("arguments", [[], ["-n1"]], ids=str)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
def test_what_was_known_is_there_after_a_kill(project, fake, arguments, number):
    project.write("test_it.py", """
        import pathlib, time
        def test_first(): assert 0, "known"
        def test_second():
            pathlib.Path("ready").touch()
            time.sleep(60)
    """)
    process = project.start(*arguments, BERTH_SOCKET=fake.socket, session=True)
    until((project.path / "ready").exists)
    until(lambda: len(project.lines()) == 2)
    process.send_signal(number)
    assert process.wait(30) == -number
    if arguments:
        os.killpg(process.pid, signal.SIGKILL)  # the worker would linger
    process.communicate(timeout=30)
    opened, failed = project.lines()
    assert opened["event"] == "ReportOpened" and opened["namespace"] == fake.leases[0].namespace
    assert opened["pid"] == process.pid
    assert (failed["event"], failed["nodeid"]) == ("TestFailed", "test_it.py::test_first")
    assert not list(project.reports.glob("*.json"))


def test_an_interrupt_is_told(project, fake):
    """And a second one does not take the report away."""
    project.write("conftest.py", """
        import os, signal
        def pytest_sessionfinish():
            os.kill(os.getpid(), signal.SIGINT)
    """)
    project.write("test_it.py", """
        import os, signal
        def test_it(): os.kill(os.getpid(), signal.SIGINT)
    """)
    outcome = project.run("-q", BERTH_SOCKET=fake.socket)
    report = project.report()
    assert (report["status"], report["exit_status"]) == ("interrupted", 2), outcome
    assert f"berth: run {report['namespace']} interrupted; report " in outcome.output


# ---- where it is ----


def environ_of(project, **more):
    environ = {key: value for key, value in project.environ.items() if key != "BERTH_REPORT_DIR"}
    project.environ = {**environ, **more}


@pytest.mark.parametrize("option,environ,ini,where", [
    ("by_option", "by_environ", "by_ini", "by_option"),
    (None, "by_environ", "by_ini", "by_environ"),
    (None, None, "by_ini", "by_ini"),
    (None, None, None, "../state/berth/reports"),
    ("off", "by_environ", "by_ini", None),
    (None, "off", "by_ini", None),
    (None, None, "off", None),
], ids=str)
def test_option_environment_ini_default_in_this_order(project, option, environ, ini, where):
    environ_of(project, XDG_STATE_HOME=str(project.path.parent / "state"),
               **({"BERTH_REPORT_DIR": environ} if environ else {}))
    project.write("pytest.ini", "[pytest]\n" + (f"berth_report_dir = {ini}\n" if ini else ""))
    project.write("test_it.py", "def test_it(): assert 0")
    outcome = project.run("-q", *([f"--berth-report={option}"] if option else []), BERTH="off")
    assert outcome.status == 1
    if where is None:
        assert not list(project.path.parent.glob("**/*.json")) and outcome.last_line.endswith("1 failed")
    else:
        project.reports = project.path / where
        assert project.report()["status"] == "failed"


def test_without_a_state_folder_it_is_in_the_home(monkeypatch):
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/ana")
    assert _report.default_directory() == "/home/ana/.local/state/berth/reports"
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert _report.default_directory() == "/state/berth/reports"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert _report.default_directory() is None


def foreign(folder):
    folder.mkdir(parents=True)
    os.chown(folder, 12345, 12345)


def linked(folder):
    folder.parent.mkdir(parents=True)
    (folder.parent / "elsewhere").mkdir()
    folder.symlink_to("elsewhere")


@pytest.mark.parametrize("prepare", [foreign, linked])
def test_a_default_folder_that_is_not_ours_is_refused(project, prepare):
    state = project.path.parent / "state"
    environ_of(project, XDG_STATE_HOME=str(state))
    prepare(state / "berth" / "reports")
    assert_one_warning(project, f"not a folder of uid {os.geteuid()}")
    assert not list(state.glob("**/*.json*"))


def test_no_folder_can_be_made(project):
    project.environ["BERTH_REPORT_DIR"] = "/sys/berth"
    assert_one_warning(project, "is not written; /sys/berth: ")


def test_no_home(project):
    environ_of(project)
    del project.environ["HOME"]
    assert_one_warning(project, "HOME is not set")


def assert_one_warning(project, told):
    project.write("test_it.py", "def test_good(): pass\ndef test_bad(): assert 0")
    for arguments in (["-q"], ["-q", "-n1"]):
        outcome = project.run(*arguments, BERTH="off")
        assert outcome.status == 1 and "1 failed, 1 passed" in outcome.output, outcome
        [warning, closing] = [line for line in outcome.output.splitlines() if line.startswith("berth: ")]
        assert told in warning and "report" not in closing, outcome


def test_a_full_disk_changes_nothing_else(project):
    """No file can grow past a few bytes: the first line is cut, and the object cannot be written."""
    project.write("test_it.py", "def test_good(): pass\ndef test_bad(): assert 0")
    outcome = subprocess.run(
        [sys.executable, "-B", "-m", "pytest", "-p", "no:cacheprovider", "-q"], cwd=project.path,
        env={**project.environ, "BERTH": "off"}, capture_output=True, text=True, stdin=subprocess.DEVNULL,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)))
    assert outcome.returncode == 1 and "1 failed, 1 passed" in outcome.stdout, outcome
    assert outcome.stderr.count(" is not written; ") == 1 and "Traceback" not in outcome.stderr, outcome
    assert outcome.stdout.splitlines()[-1].endswith(" 1 failed")
    assert [path.suffix for path in project.reports.iterdir()] == [".jsonl"]


def test_a_defect_of_ours_changes_no_outcome(project):
    project.write("conftest.py", """
        import pytest_berth._evidence as evidence
        evidence._message = lambda report: 1 / 0
    """)
    project.write("test_it.py", "def test_good(): pass\ndef test_bad(): assert 0\ndef test_worse(): assert 0")
    outcome = project.run("-q", BERTH="off")
    assert outcome.status == 1 and "2 failed, 1 passed" in outcome.output, outcome
    assert outcome.output.count("ZeroDivisionError") == 1 and "Traceback" not in outcome.output
    assert project.report()["counts"]["failed"] == 2


def test_one_run_in_another_leaves_no_descriptor_open(project, fake):
    project.write("test_it.py", """
        import os, pytest
        def test_it(tmp_path):
            (tmp_path / "test_inner.py").write_text("def test_it(): pass")
            inner = lambda: pytest.main(["-q", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", str(tmp_path)])
            assert inner() == 0
            before = os.listdir("/proc/self/fd")
            assert inner() == 0
            assert len(os.listdir("/proc/self/fd")) == len(before)
    """)
    outcome = project.run("-q", BERTH_SOCKET=fake.socket)
    assert outcome.status == 0, outcome


def test_nothing_is_ever_overwritten(tmp_path, monkeypatch):
    times = iter([1.0, 1.0, 2.0])
    monkeypatch.setattr(_report.time, "time", lambda: next(times, 3.0))
    first, second = _report.Report(str(tmp_path), "a"), _report.Report(str(tmp_path), "a")
    assert first.path == str(tmp_path / "19700101T000001.000000Z_a.json")
    assert second.path == str(tmp_path / "19700101T000002.000000Z_a.json")
    (tmp_path / "19700101T000001.000000Z_a.json").write_text("mine")
    with pytest.raises(FileExistsError):
        first.close({})
    second.close({"whole": True})
    assert (tmp_path / "19700101T000001.000000Z_a.json").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "19700101T000001.000000Z_a.json", "19700101T000001.000000Z_a.jsonl", "19700101T000002.000000Z_a.json"]


def test_a_file_system_without_links_does_too(tmp_path, monkeypatch):
    def link(source, target):
        raise PermissionError(1, "no links here", target)

    monkeypatch.setattr(_report.os, "link", link)
    report = _report.Report(str(tmp_path), "a")
    report.close({"whole": True})
    assert [path.suffix for path in tmp_path.iterdir()] == [".json"]
    other = _report.Report(str(tmp_path), "a")
    (tmp_path / os.path.basename(other.path)).write_text("mine")
    with pytest.raises(PermissionError):
        other.close({})
    assert (tmp_path / os.path.basename(other.path)).read_text() == "mine"


# ---- git ----


def git(folder, *words):
    return subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=folder, check=True,
                          capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path):
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main/line")
    return folder


def test_the_commit_is_found_wherever_git_keeps_it(repository):
    assert _report.git_head(str(repository)) is None  # nothing is committed yet
    git(repository, "commit", "-q", "--allow-empty", "-m", "one")
    head = git(repository, "rev-parse", "HEAD")
    (repository / "deep" / "er").mkdir(parents=True)
    assert _report.git_head(str(repository / "deep" / "er")) == head
    git(repository, "worktree", "add", "-q", "-b", "other", "../tree")
    tree = repository.parent / "tree"
    git(tree, "commit", "-q", "--allow-empty", "-m", "two")
    assert _report.git_head(str(tree)) == git(tree, "rev-parse", "HEAD") != head
    git(repository, "pack-refs", "--all")
    assert _report.git_head(str(tree)) == git(tree, "rev-parse", "HEAD")
    assert _report.git_head(str(repository)) == head
    git(repository, "checkout", "-q", "--detach")
    assert _report.git_head(str(repository)) == head


def test_no_repository_no_commit(tmp_path):
    assert _report.git_head(str(tmp_path)) is None
    (tmp_path / ".git").write_text("nonsense")
    assert _report.git_head(str(tmp_path)) is None
    (tmp_path / ".git").write_bytes(b"gitdir: \xff")
    assert _report.git_head(str(tmp_path)) is None


@pytest.mark.parametrize("trap", ["HEAD", "packed-refs", "commondir"])
def test_a_pipe_among_gits_files_is_not_waited_for(tmp_path, trap):
    """Anybody may put a .git into /tmp, above the folders of others."""
    (tmp_path / ".git").mkdir()
    if trap != "HEAD":
        (tmp_path / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    os.mkfifo(tmp_path / ".git" / trap)
    ask = f"from pytest_berth._report import git_head; print(git_head({str(tmp_path)!r}))"
    assert subprocess.run([sys.executable, "-c", ask], cwd=SOURCE, capture_output=True, text=True, timeout=20,
                          check=True).stdout == "None\n"
