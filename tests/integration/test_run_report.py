# SPDX-License-Identifier: MIT
"""What berth run writes where pytest could not: the report of a run that was killed, or that was no pytest at all."""

import json
import os
import shutil
import stat
import subprocess

import pytest

from fake_berthd import NAMESPACE, FakeBerthd
from harness import BERTH
from reports import (COUNTS, EPOCH, event, failure, lines, opened, report, reports_in, rfc3339, stamp, validate,
                     write)
from somebody import UID


@pytest.fixture(scope="module")
def fake(tmp_path_factory):
    daemon = FakeBerthd(tmp_path_factory.mktemp("d") / "s")
    yield daemon
    daemon.die()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "reports"


@pytest.fixture
def run(fake, folder):
    """run(shell script): the berth run of it, over."""

    def run(script, *options, **more):
        clean = {name: value for name, value in os.environ.items() if not name.startswith("BERTH")}
        return subprocess.run([BERTH, "run", *options, "sh", "-c", script], text=True, capture_output=True, timeout=60,
                              stdin=subprocess.DEVNULL, start_new_session=True,
                              env={**clean, "BERTH_SOCKET": fake.path, "BERTH_REPORT_DIR": str(folder), **more})

    return run


def only(folder):
    [(name, made)] = reports_in(folder).items()
    assert name.endswith(f"_{NAMESPACE}.json")
    return validate(made)


def in_the_folder(*events, name=f"29991121T090000.000001Z_{NAMESPACE}.jsonl", more=""):
    """Shell: what a pytest has written when it comes to its end. The stamp is later than any test runs."""
    text = lines(*events) + more
    return f"cat >\"$BERTH_REPORT_DIR/{name}\" <<'END'\n{text.rstrip(chr(10)) if not more else text}\nEND\n"


@pytest.mark.parametrize("script, told", [
    ("exit 0", {"status": "passed", "exit_status": 0, "signal": None}),
    ("exit 7", {"status": "failed", "exit_status": 7, "signal": None}),
    ("kill -KILL $$", {"status": "died", "exit_status": None, "signal": 9}),
])
def test_a_command_that_is_no_pytest_has_a_report_too(run, folder, script, told):
    assert run(script, "--label", "nightly").stderr == ""
    made = only(folder)
    assert {name: made[name] for name in told} == told
    assert made["written_by"] == "runner" and made["label"] == "nightly" and made["argv"] == ["sh", "-c", script]
    assert made["cwd"] == os.getcwd() and made["host"] == os.uname().nodename and made["duration_s"] < 60
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    [path] = folder.iterdir()
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o640


def test_of_a_killed_pytest_what_its_lines_say_is_kept(run, folder):
    known = [failure("test_x.py::test_a"), failure("test_x.py::test_b", phase="setup", sqlstate="55P03", worker="gw1")]
    wait = {"worker": "gw1", "database": "platform", "since": rfc3339(EPOCH), "holders": []}
    script = in_the_folder(
        opened(NAMESPACE), event("TestFailed", 1, **known[0]), event("SlotWait", 1, seconds=5, **wait),
        event("WorkerCrashed", 2, worker="gw0", replaced_by=None, nodeid="test_x.py::test_c"),
        event("SlotWait", 2, seconds=10.5, **wait), event("WorkerCrashed", 3, worker="gw0", replaced_by="gw2",
                                                          nodeid="test_x.py::test_c"),
        event("Novelty", 3, x=1), event("TestFailed", 4, **known[1]),
        event("PublicWrite", 5, database="platform", table="users", kind="rows"), more='{"event": "TestFai')
    assert run(f"mkdir -p $BERTH_REPORT_DIR; {script} kill -9 $$").returncode == -9
    made = only(folder)
    assert (made["status"], made["signal"], made["exit_status"]) == ("died", 9, None)
    assert made["failures"] == known and made["counts"] == {**COUNTS, "failed": 1, "error": 1}
    assert made["slot_waits"] == [{"worker": "gw1", "database": "platform", "seconds": 10.5, "holders": []}]
    assert made["worker_crashes"] == [{"worker": "gw0", "replaced_by": "gw2", "nodeid": "test_x.py::test_c"}]
    assert made["public_writes"] == [{"database": "platform", "table": "users", "kind": "rows"}]
    assert made["workers"] == 2 and made["argv"] == ["pytest", "-n", "4"] and made["started_at"] == rfc3339(EPOCH)


def test_a_pytest_that_never_closed_has_died_also_if_its_shell_did_not(run, folder):
    assert run(f"mkdir -p $BERTH_REPORT_DIR; {in_the_folder(opened(NAMESPACE))} exit 137").returncode == 137
    made = only(folder)
    assert (made["status"], made["exit_status"]) == ("died", 137)


def test_a_pytest_that_closed_and_wrote_no_report_is_taken_at_its_word(run, folder):
    closed = event("Closed", 9, status="interrupted", exit_status=2, counts={**COUNTS, "passed": 3}, workers=4)
    run(f"mkdir -p $BERTH_REPORT_DIR; {in_the_folder(opened(NAMESPACE), closed)} exit 0")
    made = only(folder)
    assert (made["status"], made["exit_status"], made["workers"]) == ("interrupted", 2, 4)
    assert made["counts"]["passed"] == 3


def test_a_report_that_stands_there_is_left_alone(run, folder):
    name = f"29991121T090000.000001Z_{NAMESPACE}.json"
    text = json.dumps(report(NAMESPACE))
    run(f"mkdir -p $BERTH_REPORT_DIR; echo '{text}' >$BERTH_REPORT_DIR/{name}; exit 4")
    assert reports_in(folder) == {name: report(NAMESPACE)}


def test_of_two_pytests_of_one_run_the_killed_one_is_told_beside_the_other(run, folder):
    text = json.dumps(report(NAMESPACE))
    first = f"echo '{text}' >$BERTH_REPORT_DIR/29991121T090000.000000Z_{NAMESPACE}.json; "
    run(f"mkdir -p $BERTH_REPORT_DIR; {first} {in_the_folder(opened(NAMESPACE))} exit 1")
    assert [made["status"] for made in reports_in(folder).values()] == ["passed", "died"]


def test_lines_that_are_none_do_not_stand_for_a_report(run, folder):
    name = f"29991121T090000.000001Z_{NAMESPACE}.jsonl"
    run(f"mkdir -p $BERTH_REPORT_DIR; ln -s /dev/zero $BERTH_REPORT_DIR/{name}; exit 3")
    assert only(folder)["exit_status"] == 3
    assert os.readlink(folder / name) == "/dev/zero"


def test_an_earlier_run_of_the_same_name_does_not_count(run, folder):
    folder.mkdir()
    earlier = write(folder, report(NAMESPACE, started_at=rfc3339(EPOCH.replace(year=2020))))
    assert stamp(EPOCH.replace(year=2020)) in earlier.name
    run("exit 5")
    assert [made["exit_status"] for made in reports_in(folder).values()] == [0, 5]


def test_a_command_that_could_not_be_started_leaves_none(run, folder, fake):
    done = subprocess.run([BERTH, "run", "no-such-command"], capture_output=True,
                          env={"BERTH_SOCKET": fake.path, "BERTH_REPORT_DIR": str(folder), "PATH": "/bin"})
    assert done.returncode == 127 and not folder.exists()


def test_reports_can_be_switched_off(run, folder):
    assert run("echo $BERTH_REPORT_DIR", BERTH_REPORT_DIR="off").stdout == "off\n"
    assert run("exit 6", BERTH_REPORT_DIR="off", XDG_STATE_HOME=str(folder)).returncode == 6
    assert not folder.exists()


@pytest.mark.parametrize("where, why", [("/proc/nowhere", "No such file"), ("/dev/full", "Not a directory")])
def test_a_folder_that_cannot_be_written_costs_a_line_and_no_outcome(run, where, why):
    done = run("exit 9", BERTH_REPORT_DIR=where)
    assert done.returncode == 9 and done.stdout == ""
    assert done.stderr == (f"berth: the report of {NAMESPACE} is not written; {where}: {why}"
                           f"{' or directory' * (why == 'No such file')}; set BERTH_REPORT_DIR to a folder of yours, or to off\n")


@pytest.mark.parametrize("what, why", [("theirs", "it belongs to another user"), ("link", "Not a directory")])
def test_a_default_folder_that_somebody_else_has_laid_is_refused(run, tmp_path, what, why):
    if os.geteuid() != 0:
        pytest.skip("needs root, to be somebody else")
    trap = tmp_path / "berth" / "reports"
    trap.parent.mkdir()
    if what == "link":
        (tmp_path / "other").mkdir()
        trap.symlink_to(tmp_path / "other")
    else:
        trap.mkdir()
        os.chown(trap, UID, UID)
    done = run("exit 1", BERTH_REPORT_DIR="", XDG_STATE_HOME=str(tmp_path))
    assert done.returncode == 1 and why in done.stderr and list(trap.iterdir()) == []


def test_a_relative_folder_is_the_one_of_where_berth_was_started(run, tmp_path, fake):
    done = subprocess.run([BERTH, "run", "sh", "-c", "cd /; echo $BERTH_REPORT_DIR"], text=True, capture_output=True,
                          cwd=tmp_path, env={"BERTH_SOCKET": fake.path, "BERTH_REPORT_DIR": "here", "PATH": "/bin"})
    assert done.stdout == f"{tmp_path}/here\n" and len(reports_in(tmp_path / "here")) == 1


def git(folder, *words):
    done = subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=folder, check=True, text=True,
                          capture_output=True, env={"PATH": os.environ["PATH"], "HOME": str(folder)})
    return done.stdout.strip()


def test_the_commit_is_that_of_the_work_tree(run, folder, tmp_path, fake):
    """A branch, a packed one, a linked work tree, a detached head; and no commit at all."""
    tree = tmp_path / "tree"
    tree.mkdir()

    def head_of(place):
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([BERTH, "run", "true"], cwd=place, check=True,
                       env={"BERTH_SOCKET": fake.path, "BERTH_REPORT_DIR": str(folder), "PATH": "/bin"})
        return only(folder)["git_head"]

    git(tree, "init", "-q")
    assert head_of(tree) is None
    git(tree, "commit", "-q", "--allow-empty", "-m", "x")
    commit = git(tree, "rev-parse", "HEAD")
    (tree / "sub").mkdir()
    assert head_of(tree / "sub") == commit
    git(tree, "worktree", "add", "-q", "-b", "other", tmp_path / "linked")
    assert head_of(tmp_path / "linked") == commit
    git(tree, "pack-refs", "--all")
    assert head_of(tree) == head_of(tmp_path / "linked") == commit
    git(tree, "checkout", "-q", "--detach")
    assert head_of(tree) == commit


@pytest.mark.parametrize("trap", ["HEAD", "packed-refs", "commondir"])
def test_a_pipe_among_gits_files_is_not_waited_for(folder, tmp_path, fake, trap):
    """Anybody may put a .git into /tmp, above the folders of others."""
    (tmp_path / ".git").mkdir()
    if trap != "HEAD":
        (tmp_path / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    os.mkfifo(tmp_path / ".git" / trap)
    subprocess.run([BERTH, "run", "true"], cwd=tmp_path, check=True, timeout=20,
                   env={"BERTH_SOCKET": fake.path, "BERTH_REPORT_DIR": str(folder), "PATH": "/bin"})
    assert only(folder)["git_head"] is None
