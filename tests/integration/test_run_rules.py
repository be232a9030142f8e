# SPDX-License-Identifier: MIT
"""What berth run promises of the processes of a run, with the daemon, real pytest and its workers, and real terminals."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from harness import BERTH, PLUGIN, PYTHON, descendants, is_alive, until
from reports import validate
from terminal import COUNTING, Terminal

NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a pid namespace")


@pytest.fixture
def daemon(shared_daemon):
    yield shared_daemon
    until(lambda: shared_daemon.leases() == [], what="the end of every lease of the test")


@pytest.fixture
def environment(daemon, tmp_path):
    return daemon.environment(BERTH_REPORT_DIR=str(tmp_path / "reports"), NO_COLOR="1", LC_ALL="C.UTF-8")


@pytest.fixture
def start(environment):
    """start("true"): berth run of it, without a terminal."""

    def start(*words, prefix=(), **more):
        return subprocess.Popen([*prefix, BERTH, "run", *map(str, words)], env=environment, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                start_new_session=True, **more)

    return start


@pytest.fixture
def report(environment):
    """The one report of the run, as berth report has it."""

    def report(*words):
        done = subprocess.run([BERTH, "report", "--last", "9", "--json", *words], env=environment, text=True,
                              capture_output=True, check=True)
        [made] = validate(json.loads(done.stdout), "report-list.json")["reports"]
        return made

    return report


def state_of(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rsplit(")", 1)[1].split()[0]


def states(daemon):
    return {lease["context"]["namespace"]: lease["runtime"]["state"] for lease in daemon.json("list", "--all")["leases"]}


# ---- pytest, killed ----

SUITE = """
import os, pathlib, pytest, time

HERE = pathlib.Path(__file__).parent

def test_fails(): assert 1 == 2

@pytest.mark.parametrize("i", range({count}))
def test_stays(i):
    (HERE / f"in.{{i}}").touch()
    while not (HERE / "go").exists(): time.sleep(0.01)
"""


def start_suite(start, folder, count=2):
    """pytest with two workers: one has had a failure, and both are in a test that stays."""
    (folder / "test_suite.py").write_text(SUITE.format(count=count))
    run = start("--", "env", f"PYTHONPATH={PLUGIN}", PYTHON, "-B", "-m", "pytest", "-p", "pytest_berth.plugin", "-p",
                "no:cacheprovider", "-q", "-n", "2", folder)
    until(lambda: all((folder / f"in.{i}").exists() for i in range(count)), what="the tests")
    return run


def test_a_killed_pytest_leaves_no_worker_and_says_what_it_knew(start, report, tmp_path):
    run = start_suite(start, tmp_path)
    processes = descendants(run.pid)[1:]
    assert len(processes) == 3
    until(lambda: report()["failures"], what="the failure's line")
    began = time.monotonic()
    os.kill(processes[0], signal.SIGKILL)
    assert run.wait(60) == -signal.SIGKILL
    assert time.monotonic() - began < 10, "execnet would leave them for 15 s"
    assert not any(map(is_alive, processes))
    made = report()
    assert (made["status"], made["signal"], made["written_by"]) == ("died", 9, "runner")
    assert [one["nodeid"].split("::")[1] for one in made["failures"]] == ["test_fails"]
    assert made["argv"][-1] == str(tmp_path) and made["counts"]["failed"] == 1


def test_if_berth_run_is_killed_the_run_goes_on_and_its_lease_with_it(start, daemon, report, tmp_path):
    run = start_suite(start, tmp_path)
    [namespace] = states_of_live(daemon)
    processes = descendants(run.pid)[1:]
    run.kill()
    run.wait()
    assert all(map(is_alive, processes)) and report()["status"] == "running"
    (tmp_path / "go").touch()
    until(lambda: not any(map(is_alive, processes)), 60, "the run's end")
    assert states(daemon)[namespace] in ("live", "crashed")
    assert (report()["status"], report()["written_by"], report()["counts"]["passed"]) == ("failed", "plugin", 2)
    until(lambda: states(daemon)[namespace] == "crashed", what="the lease's end")


def states_of_live(daemon):
    return [lease["context"]["namespace"] for lease in daemon.leases()]


# ---- what flees ----

FLEEING = """
import os, signal, sys, time

def stay(*_):
    while True:
        time.sleep(60)

def flee(how, depth):
    if not os.fork():
        os.setsid()
        if depth:
            flee(how, depth - 1)
            os._exit(0)
        signal.signal(signal.SIGTERM, how)
        os.write(1, b"%d\\n" % os.getpid())
        stay()

lives = 30

def again(*_):
    global lives
    lives -= 1
    if not lives or os.fork():
        os._exit(0)

for depth in range(3):
    flee(signal.SIG_DFL, depth)
flee(again, 1)
stay()
"""


def test_nothing_that_double_forks_or_leaves_the_session_or_forks_when_told_is_left(start):
    """The last one forks and dies each time it is told to end, so that between two looks it is always another."""
    run = start("--", sys.executable, "-c", FLEEING)
    pids = [int(run.stdout.readline()) for _ in range(4)]
    run.send_signal(signal.SIGTERM)
    assert run.wait(60) == -signal.SIGTERM and not any(map(is_alive, pids))
    os.set_blocking(run.stdout.fileno(), False)
    while os.read(run.stdout.fileno(), 65536):  # BlockingIOError: somebody whom nobody knows has the pipe still
        pass


@NEEDS_ROOT
def test_as_pid_1_it_reaps_everything_and_passes_a_TERM_on(start, daemon, report):
    """As the first process of a container: whatever loses its parent becomes its child."""
    waits = "while ps -o stat= --ppid 1 | grep -q Z; do :; done"
    orphans = "for i in 1 2 3 4 5 6 7 8 9; do (sh -c 'exit 0' &); done"
    run = start("--", "sh", "-c", f"trap 'exit 9' TERM; {orphans}; {waits}; echo reaped; while :; do sleep 0.05; done",
                prefix=["unshare", "--pid", "--fork", "--mount-proc"])
    assert run.stdout.readline() == "reaped\n"
    [inner] = descendants(run.pid)[1:2]
    [lease] = daemon.leases()
    assert [member["process"]["pid"] for member in lease["runtime"]["members"]] == [inner]
    os.kill(inner, signal.SIGTERM)
    assert run.wait(60) == 9
    assert (report()["status"], report()["exit_status"]) == ("failed", 9)


# ---- terminals ----


def test_an_interrupt_of_the_terminal_comes_once_also_through_two_of_us(environment):
    run = Terminal([BERTH, "run", BERTH, "run", sys.executable, "-c", COUNTING], environment)
    run.read_until("ready\r\n")
    run.type("\x03")
    run.read_until("2\r\n")
    os.kill(run.pid, signal.SIGTERM)
    assert run.wait() == 0
    run.read_until("15\r\n")
    assert re.findall(r"^\d+", run.text.replace("^C", ""), re.M) == ["2", "15"]


def test_stopped_by_somebody_it_stops_its_command_and_both_go_on_together(environment):
    """Under a shell with job control: the command is stopped, the shell gets its prompt; CONT to us alone is enough."""
    shell = Terminal(["/bin/bash", "--norc", "--noprofile", "-i"], {**environment, "TERM": "dumb", "PS1": "$ "})
    shell.type(f"{BERTH} run sh -c 'echo pids $PPID'' $$; exec sleep 60'\n")
    shell.read_until(r"pids \d+ \d+\r")
    ours, command = map(int, re.search(r"pids (\d+) (\d+)\r", shell.text).groups())
    os.kill(ours, signal.SIGTSTP)
    until(lambda: state_of(ours) == state_of(command) == "T")
    shell.read_until("Stopped")
    os.kill(ours, signal.SIGCONT)
    until(lambda: state_of(ours) != "T" and state_of(command) != "T")
    os.kill(ours, signal.SIGSTOP)
    until(lambda: state_of(ours) == "T")
    assert state_of(command) != "T", "nobody can pass a SIGSTOP on"
    os.kill(ours, signal.SIGCONT)
    os.kill(ours, signal.SIGTERM)
    until(lambda: not is_alive(ours))
    assert not is_alive(command)
    shell.type("exit\n")
    shell.wait()


def test_a_terminal_that_hangs_up_ends_the_run_in_order(environment, daemon):
    run = Terminal([BERTH, "run", "sh", "-c", "echo $BERTH_NAMESPACE; exec sleep 60"], environment)
    namespace = re.search(r"(p\w+)\r\n", run.read_until(r"p\w+\r\n"))[1]
    os.close(run.fd)
    assert run.wait() == -signal.SIGHUP
    assert states(daemon)[namespace] == "released"


# ---- names ----


def test_a_run_in_a_run_has_a_namespace_of_its_own(start, daemon):
    run = start("--", "sh", "-c", f"echo $BERTH_NAMESPACE; {BERTH} run sh -c 'echo $BERTH_NAMESPACE'; echo $BERTH_NAMESPACE")
    outer, inner, again = run.stdout.read().split()
    assert run.wait(60) == 0 and outer == again != inner
    assert states(daemon)[outer] == states(daemon)[inner] == "released"


def test_a_forced_name_whose_schemas_are_being_dropped_is_waited_for_as_long_as_one_may(daemon, databases, start):
    server = databases["platform"]
    daemon.berth("run", "--namespace", "mydebug", "--keep", "true", check=0)
    server.make_schema("platform", "test_mydebug_gw0")
    reader = server.connect("platform")
    reader.autocommit = False
    reader.cursor().execute("SELECT * FROM test_mydebug_gw0.t0")
    daemon.berth("run", "--namespace", "mydebug", "true", check=0)  # not kept, so it goes now
    until(lambda: server.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'DROP%'"),
          what="a drop that waits for the reader")
    began = time.monotonic()
    assert daemon.berth("run", "-n", "--namespace", "mydebug", "true").returncode == 75
    assert daemon.berth("run", "-w", "300ms", "--namespace", "mydebug", "true").returncode == 75
    assert time.monotonic() - began < 5
    waiting = start("--namespace", "mydebug", "echo", "ran")
    assert "waiting for a lease" in waiting.stderr.readline()
    reader.close()
    assert waiting.wait(60) == 0 and waiting.stdout.read() == "ran\n"
    assert server.schemas("platform") == []
