# SPDX-License-Identifier: MIT
"""The berth command against a daemon that says what each test wants: errors, exit codes, signals, lost connections."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from fake_berthd import GRANTED, NAMESPACE, SECRET, FakeBerthd
from harness import BERTH, until
from terminal import COUNTING, Terminal

BUSY = {"waitedUSec": 5000000, "position": 1,
        "holders": [{"namespace": "p1t2r00000001", "worker": "gw3", "label": "x", "uid": 0, "process": None,
                     "heldUSec": 1200000}]}


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "io.berth.lease")


@pytest.fixture
def fake(path):
    daemon = FakeBerthd(path)
    yield daemon
    daemon.die()


def environment(path, **more):
    clean = {key: value for key, value in os.environ.items()
             if not key.startswith(("BERTH", "PYTEST_XDIST")) and key != "XDG_RUNTIME_DIR"}
    return {**clean, "BERTH_SOCKET": path, "LC_ALL": "C.UTF-8", "NO_COLOR": "1", **more}


def berth(path, *words, prefix=(), **more):
    return subprocess.run([*prefix, BERTH, *map(str, words)], env=environment(path, **more), text=True, timeout=60,
                          capture_output=True, stdin=subprocess.DEVNULL, start_new_session=True)


def start(path, *words, **more):
    """In a session without a terminal."""
    return subprocess.Popen([BERTH, *map(str, words)], env=environment(path, **more), text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                            start_new_session=True)


def failed(done, code, pattern):
    assert done.returncode == code, (done.stdout, done.stderr)
    assert done.stdout == ""
    assert re.fullmatch(r"berth: [^;\n]+; .+; [^;\n]+\n", done.stderr), done.stderr
    assert re.search(pattern, done.stderr), done.stderr


# ---- which socket; what may be in the way of it is in test_out_of_reach.py ----


def test_no_socket_anywhere_names_the_system_one(tmp_path):
    done = subprocess.run([BERTH, "status"], env={"XDG_RUNTIME_DIR": str(tmp_path)}, text=True, capture_output=True)
    if os.path.exists("/run/berth/io.berth.lease"):
        pytest.skip("a system daemon is there")
    failed(done, 69, "no socket at /run/berth/io.berth.lease")


def test_the_user_daemon_is_found_by_the_runtime_directory(tmp_path):
    (tmp_path / "berth").mkdir()
    daemon = FakeBerthd(tmp_path / "berth" / "io.berth.lease")
    env = {"XDG_RUNTIME_DIR": str(tmp_path), "PATH": os.environ["PATH"]}
    done = subprocess.run([BERTH, "run", "sh", "-c", "echo $BERTH_SOCKET"], env=env, text=True, capture_output=True)
    daemon.die()
    assert done.stdout == f"{daemon.path}\n"


def test_a_stopped_daemon_is_told(path):
    daemon = FakeBerthd(path, GetStatus=lambda call: None)
    failed(berth(path, "status"), 75, "berthd is stopped or overloaded")
    daemon.die()


def test_errors_are_an_object_with_json(path):
    done = berth(path, "status", "--json")
    told = json.loads(done.stdout)
    assert done.returncode == 69 and done.stderr == ""
    assert set(told) == {"error", "message", "fix", "retryable"}
    assert told["error"] == "NoDaemon" and told["retryable"] is True


# ---- errors of the daemon ----


@pytest.mark.parametrize("name, parameters, code, pattern", [
    ("io.berth.lease.Busy", BUSY, 75, r"nothing became free within 5s; held by gw3 of p1t2r00000001 for 1.2s"),
    ("io.berth.lease.LimitReached", {"limit": "max_connections", "value": 512}, 75, "max_connections is 512"),
    ("io.berth.lease.LedgerUnavailable", {"message": "disk full"}, 125, "cannot use its ledger; disk full"),
    ("io.berth.lease.NamespaceInUse", {"namespace": "x", "holder": {
        "namespace": "x", "label": "pytest -q", "uid": 7, "process": {"pid": 99}, "heldUSec": 3000000}}, 75,
     r"namespace x is in use; held by pytest -q \(pid 99, uid 7\) for 3s"),
    ("io.berth.lease.BadName", {"parameter": "namespace", "message": "too long by 3"}, 64, "too long by 3"),
    ("org.varlink.service.PermissionDenied", {}, 77, "belongs to another user"),
    ("org.varlink.service.InvalidParameter", {"parameter": "request"}, 64, "parameter request"),
    ("org.varlink.service.MethodNotFound", {"method": "io.berth.lease.Acquire"}, 125, "another version"),
    ("io.berth.lease.Novel", {}, 125, "io.berth.lease.Novel"),
])
def test_an_error_before_the_command_runs(path, name, parameters, code, pattern):
    daemon = FakeBerthd(path, Acquire=lambda call: call.reply(parameters, error=name))
    failed(berth(path, "run", "echo", "ran"), code, pattern)
    daemon.die()


def test_garbage_from_the_daemon_is_told(path):
    daemon = FakeBerthd(path, Acquire=lambda call: call.raw(b"hello\0"))
    failed(berth(path, "run", "true"), 125, "cannot read the answer")
    daemon.die()


# ---- usage ----


@pytest.mark.parametrize("words, pattern", [
    (["stauts"], "did you mean 'berth status'"),
    (["lokcs"], "did you mean 'berth locks'"),
    (["frobnicate"], "see 'berth --help'"),
    (["run"], "an argument is missing"),
    (["run", "--lable", "x", "true"], "try --label"),
    (["run", "-x", "true"], "unknown option -x"),
    (["run", "-w", "3 weeks", "true"], "no duration"),
    (["run", "--namespace", "my_debug", "true"], r"\[a-z0-9\]\{1,32\}.*; try mydebug"),
    (["run", "--namespace", "../../etc", "true"], "try etc"),
    (["list", "extra"], "unexpected argument extra"),
    (["status", "p1_2"], "bad namespace"),
    (["slot", "--worker", "GW1", "true"], "bad worker"),
    (["name", "gw0"], "BERTH_NAMESPACE is not set"),
    (["--color", "pink", "list"], "auto, always or never"),
])
def test_usage_errors_exit_64(path, words, pattern):
    failed(berth(path, *words), 64, pattern)


def test_a_forced_name_is_checked_before_the_daemon_is_asked(path, fake):
    failed(berth(path, "run", "true", BERTH_NAMESPACE_FORCE="my_debug"), 64, "try mydebug")
    assert fake.calls == []


def test_help_begins_with_examples(path):
    for words in (["--help"], ["help"], ["run", "--help"], ["help", "sweep"]):
        done = berth(path, *words)
        assert done.returncode == 0 and done.stdout.startswith("Examples:\n")
        assert max(map(len, done.stdout.splitlines())) <= 80


def test_every_verb_has_help_and_words(path):
    verbs = [word for word in berth(path, "__words").stdout.split() if not word.startswith("--")]
    assert {"run", "slot", "status", "list", "locks", "sweep", "name", "history", "revoke", "keep"} <= set(verbs)
    for verb in verbs:
        assert f"Usage: berth {verb} " in berth(path, verb, "--help").stdout
        assert "--json" in berth(path, "__words", verb).stdout


def test_a_full_disk_is_no_success(path):
    with open("/dev/full", "w") as full:
        done = subprocess.run([BERTH, "--help"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "No space left" in done.stderr


# ---- run: what the command gets, and what it gives back ----


def test_what_the_command_finds_in_its_environment(path, fake, tmp_path):
    done = berth(path, "run", "--", "env", BERTH_NAMESPACE="pold", BERTH_CONTROLLER_PID="1",
                 PYTEST_XDIST_WORKER="gw3", PYTEST_XDIST_WORKER_COUNT="4", BERTH_NAMESPACE_ENV="HONEY_NS, OTHER_NS",
                 XDG_STATE_HOME=str(tmp_path))
    found = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert done.returncode == 0 and done.stderr == ""
    assert found["BERTH_NAMESPACE"] == found["HONEY_NS"] == found["OTHER_NS"] == NAMESPACE
    assert found["BERTH_LEASE"] == SECRET and found["BERTH_SOCKET"] == path
    assert found["BERTH_REPORT_DIR"] == f"{tmp_path}/berth/reports"
    assert not [name for name in found if name.startswith("PYTEST_XDIST") or name == "BERTH_CONTROLLER_PID"]


def test_a_bad_alias_is_a_configuration_error(path, fake):
    failed(berth(path, "run", "true", BERTH_NAMESPACE_ENV="A=B"), 78, "no name of a variable")


def test_a_run_asks_and_releases(path, fake):
    done = berth(path, "run", "-w", "90s", "sh", "-c", "exit 7")
    acquire, release = fake.of("Acquire")[0], fake.of("Release")[0]
    assert done.returncode == 7 and done.stdout == done.stderr == ""
    assert acquire.more and acquire.parameters["label"] == "sh -c exit 7"
    assert 80e6 < acquire.parameters["timeoutUSec"] <= 90e6 and "namespace" not in acquire.parameters
    assert 8 <= len(acquire.parameters["request"]) <= 64
    assert release.parameters == {"namespace": NAMESPACE, "secret": SECRET, "exitStatus": 7}


def test_keep_label_force_and_no_wait_reach_the_daemon(path, fake):
    fake.answers["Release"] = lambda call: call.reply({"keptUntilUSec": 1800000000000000})
    done = berth(path, "run", "-n", "--keep", "--label", "né\n\x1b[1m", "true", BERTH_NAMESPACE_FORCE="mydebug")
    acquire = fake.of("Acquire")[0].parameters
    assert acquire["namespace"] == "mydebug" and acquire["noWait"] is True and acquire["label"] == "né??[1m"
    assert fake.of("Release")[0].parameters["keep"] is True
    assert re.match("berth: schemas of .* are kept until .* 2027", done.stderr)


def test_a_label_of_any_bytes_is_sent(path, fake):
    done = subprocess.run([os.fsencode(BERTH), b"run", b"true", b"\xff\xfe", "…".encode() * 100],
                          env=environment(path), capture_output=True)
    assert done.returncode == 0
    label = fake.of("Acquire")[0].parameters["label"]
    assert label.startswith("true ?? ……") and len(label.encode()) <= 200


def test_standard_streams_are_the_commands(path, fake):
    done = subprocess.run([BERTH, "run", "sh", "-c", "cat; echo err >&2"], env=environment(path), input="in\n",
                          text=True, capture_output=True)
    assert (done.stdout, done.stderr) == ("in\n", "err\n")


def test_command_not_found_and_not_executable(path, fake, tmp_path):
    failed(berth(path, "run", "no-such-command-at-all"), 127, "command not found")
    (tmp_path / "plain").write_text("x")
    failed(berth(path, "run", tmp_path / "plain"), 126, "Permission denied")
    assert fake.of("Release")[0].parameters["exitStatus"] == 127


def test_death_by_a_signal_is_repeated(path, fake):
    done = berth(path, "run", "sh", "-c", "kill -USR1 $$")
    assert done.returncode == -signal.SIGUSR1
    assert fake.of("Release")[0].parameters["exitStatus"] == 128 + signal.SIGUSR1
    assert berth(path, "run", "sh", "-c", "kill -KILL $$").returncode == -signal.SIGKILL


def test_options_behind_the_command_are_its_own(path, fake):
    assert berth(path, "run", "echo", "-n", "--help").stdout == "--help"


def test_the_command_inherits_the_lifeline_and_nothing_else(path, fake):
    done = berth(path, "run", "sh", "-c", "ls -l /proc/self/fd | grep -c socket:; ls /proc/self/fd | sort -n | tail -1")
    n_sockets, highest = map(int, done.stdout.split())
    assert n_sockets == 1 and highest == 64
    done = berth(path, "slot", "sh", "-c", "ls -l /proc/self/fd | grep -c socket:")
    assert done.stdout == "0\n"


def test_the_lease_outlives_a_killed_wrapper(path, fake):
    run = start(path, "run", "sh", "-c", "echo $$; exec sleep 60")
    command = int(run.stdout.readline())
    lifeline = fake.wait_for("Acquire")
    run.kill()
    run.wait()
    os.kill(command, 0)
    assert ("closed", lifeline.peer) not in fake.calls
    os.kill(command, signal.SIGKILL)
    fake.wait_closed(lifeline)
    assert not fake.of("Release")


# ---- run: orphans ----


def test_what_the_command_left_is_ended_before_release(path, fake, tmp_path):
    note = tmp_path / "pid"
    alive = []

    def release(call):
        alive.append(os.path.exists(f"/proc/{note.read_text().strip()}"))
        call.reply()

    fake.answers["Release"] = release
    done = berth(path, "run", "sh", "-c", f"setsid sh -c 'echo $$ >{note}; exec sleep 60' & "
                                          f"while ! [ -s {note} ]; do sleep 0.01; done; exit 3")
    assert done.returncode == 3 and alive == [False]


def test_a_process_that_ignores_term_is_killed_after_two_seconds(path, fake, tmp_path):
    note = tmp_path / "pid"
    began = time.monotonic()
    done = berth(path, "run", "sh", "-c", f"setsid sh -c 'trap \"\" TERM; echo $$ >{note}; sleep 60; sleep 60' & "
                                          f"while ! [ -s {note} ]; do sleep 0.01; done")
    assert done.returncode == 0 and 1.9 < time.monotonic() - began < 20
    assert not os.path.exists(f"/proc/{note.read_text().strip()}")


def test_a_stopped_orphan_is_ended_too(path, fake):
    began = time.monotonic()
    done = berth(path, "run", "sh", "-c", "sleep 60 & kill -STOP $!; exit 0")
    assert done.returncode == 0 and time.monotonic() - began < 1.9


def test_children_that_were_there_before_are_left_alone(path, fake, tmp_path):
    note = tmp_path / "pid"
    done = subprocess.run(["bash", "-c", f"sleep 60 >/dev/null 2>&1 & echo $! >{note}; exec {BERTH} run true"],
                          env=environment(path), timeout=30)
    child = int(note.read_text())
    assert done.returncode == 0
    os.kill(child, 0)
    os.kill(child, signal.SIGKILL)


# ---- run: signals ----


TRAPPING = "trap 'echo got TERM; exit 9' TERM; trap 'echo got INT' INT; echo ready; while :; do sleep 0.05; done"


def test_without_a_terminal_signals_go_to_the_group(path, fake):
    run = start(path, "run", "sh", "-c", TRAPPING)
    assert run.stdout.readline() == "ready\n"
    run.send_signal(signal.SIGINT)
    assert run.stdout.readline() == "got INT\n"
    run.send_signal(signal.SIGTERM)
    assert run.stdout.readline() == "got TERM\n"
    assert run.wait(20) == 9


def test_ignored_signals_stay_ignored(path, fake):
    script = f"trap '' INT HUP; exec {BERTH} run grep SigIgn /proc/self/status"
    done = subprocess.run(["sh", "-c", script], env=environment(path), text=True, capture_output=True)
    ignored = int(done.stdout.split()[1], 16)
    assert ignored & 1 << (signal.SIGINT - 1) and ignored & 1 << (signal.SIGHUP - 1)
    assert not ignored & 1 << (signal.SIGPIPE - 1)


def test_a_signal_we_ignore_is_not_passed_on(path, fake):
    ignoring = f"trap '' INT; exec {BERTH} run {sys.executable} -c '{COUNTING}'"
    run = subprocess.Popen(["sh", "-c", ignoring], env=environment(path), text=True, stdout=subprocess.PIPE,
                           start_new_session=True)
    assert run.stdout.readline() == "ready\n"
    run.send_signal(signal.SIGINT)
    run.send_signal(signal.SIGTERM)
    assert run.stdout.readline() == f"{signal.SIGTERM:d}\n" and run.wait(20) == 0


def test_the_command_has_the_mask_that_we_were_given(path, fake):
    done = berth(path, "run", "grep", "SigBlk", "/proc/self/status")
    assert int(done.stdout.split()[1], 16) == 0


def test_an_ignored_sigchld_hides_no_status(path, fake):
    script = ("import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); "
              f"os.execv({str(BERTH)!r}, ['berth', 'run', 'sh', '-c', 'exit 5'])")
    done = subprocess.run([sys.executable, "-c", script], env=environment(path), timeout=30)
    assert done.returncode == 5


def test_stop_and_continue_without_a_terminal(path, fake):
    run = start(path, "run", "sh", "-c", "echo $$; exec sleep 60")
    command = int(run.stdout.readline())

    def state(pid):
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0]

    run.send_signal(signal.SIGTSTP)
    until(lambda: state(command) == state(run.pid) == "T")
    run.send_signal(signal.SIGCONT)
    until(lambda: state(command) != "T" and state(run.pid) != "T")
    run.send_signal(signal.SIGTERM)
    assert run.wait(20) == -signal.SIGTERM


def on_terminal(path, *words):
    return Terminal([BERTH, *words], environment(path, TERM="xterm"))


def test_the_terminals_interrupt_is_delivered_once(path, fake):
    run = on_terminal(path, "run", sys.executable, "-c", COUNTING)
    run.read_until("ready\r\n")
    run.type("\x03")
    run.read_until("2\r\n")
    os.kill(run.pid, signal.SIGTERM)  # sent by a process: that one is passed on
    assert run.wait() == 0
    run.read_until("15\r\n")
    assert re.findall(r"^\d+", run.text.replace("^C", ""), re.M) == ["2", "15"]


def test_ctrl_c_ends_a_plain_command_and_us(path, fake):
    run = on_terminal(path, "run", "sh", "-c", "echo ready; exec sleep 60")
    run.read_until("ready")
    run.type("\x03")
    assert run.wait() == -signal.SIGINT


def test_the_command_may_read_the_terminal(path, fake):
    run = on_terminal(path, "run", "sh", "-c", "echo ready; read word </dev/tty; echo you said $word")
    run.read_until("ready")
    run.type("hello\n")
    run.read_until("you said hello")
    assert run.wait() == 0


def test_ctrl_z_stops_both_and_a_shell_brings_both_back(path, fake):
    shell = Terminal(["/bin/bash", "--norc", "--noprofile", "-i"], environment(path, TERM="dumb", PS1="$ "))
    shell.type(f"{BERTH} run sh -c 'echo rea''dy; read w; echo said $w'\n")
    shell.read_until(r"ready\r")
    shell.type("\x1a")
    shell.read_until("Stopped")
    shell.type("fg\n")
    shell.read_until(r"fg\r\n.*run sh")
    shell.type("hello\n")
    shell.read_until("said hello")
    shell.type("exit\n")
    assert shell.wait() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a pid namespace")
def test_as_pid_1(path, fake):
    """It reaps, repeats the status as a number, and can be ended while it waits."""
    unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    assert berth(path, "run", "sh", "-c", "kill -TERM $$", prefix=unshare).returncode == 143
    fake.answers["Acquire"] = lambda call: call.reply({"state": "queued", "position": 1, "holders": []}, continues=True)
    run = subprocess.Popen([*unshare, BERTH, "run", "true"], env=environment(path))
    fake.wait_for("Acquire", 2)
    inner = int(until(lambda: open(f"/proc/{run.pid}/task/{run.pid}/children").read().strip()))
    os.kill(inner, signal.SIGTERM)
    assert run.wait(20) == 143


# ---- waiting ----


def queued(position, *, then=None):
    def answer(call):
        call.reply({"state": "queued", "position": position, "holders": BUSY["holders"]}, continues=True)
        if then:
            then(call)
    return answer


def test_waiting_is_told_once_a_change_and_not_in_the_first_second(path, fake):
    fake.answers["Acquire"] = queued(2)
    run = start(path, "run", "echo", "ran")
    call = fake.wait_for("Acquire")
    began = time.monotonic()
    assert run.stderr.readline() == ("berth: waiting for a lease, 2nd in queue; held by gw3 of p1t2r00000001 "
                                     "for 1.2s\n")
    assert time.monotonic() - began > 0.7
    call.reply({"state": "queued", "position": 1, "holders": []}, continues=True)
    assert run.stderr.readline() == "berth: waiting for a lease, 1st in queue\n"
    call.reply(GRANTED, continues=True)
    assert run.wait(20) == 0 and run.stdout.read() == "ran\n" and run.stderr.read() == ""


def test_a_short_wait_is_silent(path, fake):
    fake.answers["Acquire"] = queued(1, then=lambda call: call.reply(GRANTED, continues=True))
    done = berth(path, "run", "true")
    assert done.returncode == 0 and done.stderr == ""


def test_on_a_terminal_the_line_is_rewritten_and_goes_away(path, fake):
    fake.answers["Acquire"] = queued(2)
    run = on_terminal(path, "run", "echo", "ran")
    call = fake.wait_for("Acquire")
    run.read_until("\r\x1b\\[Kberth: waiting for a lease, 2nd in queue")
    call.reply(GRANTED, continues=True)
    run.read_until("\r\x1b\\[Kran")
    assert run.wait() == 0 and run.text.count("\n") == 1


def test_a_daemon_that_never_answers_does_not_hold_an_impatient_run(path, fake):
    fake.answers["Acquire"] = lambda call: None
    done = berth(path, "run", "-w", "100ms", "true")
    progress, line = done.stderr.splitlines()
    assert progress == "berth: waiting for a lease, berthd has not answered yet"
    assert done.returncode == 75 and "berthd is stopped or overloaded; try again" in line


def test_interrupted_while_waiting(path, fake):
    fake.answers["Acquire"] = queued(1)
    run = start(path, "run", "true")
    call = fake.wait_for("Acquire")
    run.send_signal(signal.SIGINT)
    assert run.wait(20) == -signal.SIGINT
    fake.wait_closed(call)


# ---- a daemon that goes away ----


def test_a_lost_daemon_does_not_end_the_run_and_the_run_attaches_again(path, fake, tmp_path):
    go = tmp_path / "go"
    run = start(path, "run", "sh", "-c", f"echo ready; while ! [ -e {go} ]; do sleep 0.02; done; echo fine")
    assert run.stdout.readline() == "ready\n"
    fake.die()
    fake.listen()
    attached = fake.wait_for("Attach")
    assert attached.more and attached.parameters == {"namespace": NAMESPACE, "secret": SECRET}
    go.touch()
    assert run.wait(20) == 0 and run.stdout.read() == "fine\n" and run.stderr.read() == ""
    assert len(fake.of("Release")) == 1


def test_a_daemon_that_is_gone_at_the_end_costs_a_line_and_no_outcome(path, fake, tmp_path):
    go = tmp_path / "go"
    run = start(path, "run", "sh", "-c", f"echo ready; while ! [ -e {go} ]; do sleep 0.02; done; exit 4")
    assert run.stdout.readline() == "ready\n"
    fake.die()
    go.touch()
    assert run.wait(20) == 4
    assert re.search("berth: lease .* is not released; .*; berthd will end it by itself\n", run.stderr.read())


def test_a_wait_survives_a_restart_and_asks_with_the_same_request(path, fake):
    fake.answers["Acquire"] = queued(1)
    run = start(path, "run", "-w", "60s", "true")
    first = fake.wait_for("Acquire")
    fake.die()
    fake.answers["Acquire"] = lambda call: call.reply(GRANTED, continues=True)
    fake.listen()
    second = fake.wait_for("Acquire", 2)
    assert run.wait(20) == 0
    assert first.parameters["request"] == second.parameters["request"]
    assert second.parameters["timeoutUSec"] <= first.parameters["timeoutUSec"]


def test_a_revoked_lease_is_told_and_the_run_goes_on(path, fake):
    run = start(path, "run", "sh", "-c", "echo ready; sleep 0.3; exit 6")
    assert run.stdout.readline() == "ready\n"
    fake.of("Acquire")[0].reply({"state": "revoked", "reason": "by ana"})
    assert run.wait(20) == 6
    assert "ended while the command ran; the hold was revoked; by ana" in run.stderr.read()
    assert not fake.of("Release")


# ---- slot ----


def test_a_slot_in_a_run(path, fake):
    done = berth(path, "slot", "--database", "tenant1", "echo", "built", BERTH_NAMESPACE=NAMESPACE, BERTH_LEASE=SECRET,
                 PYTEST_XDIST_WORKER="gw5")
    slot, given_back = fake.of("AcquireSlot")[0], fake.of("ReleaseSlot")[0]
    assert done.returncode == 0 and done.stdout == "built\n" and done.stderr == ""
    assert re.fullmatch("[0-9a-f]{32}", slot.parameters.pop("request"))
    assert slot.more and slot.parameters == {"namespace": NAMESPACE, "secret": SECRET, "worker": "gw5",
                                             "database": "tenant1"}
    assert given_back.parameters == {"namespace": NAMESPACE, "secret": SECRET, "grant": 7}
    assert not fake.of("Acquire") and not fake.of("Release")


def test_a_slot_without_a_run_takes_a_lease_of_its_own(path, fake):
    done = berth(path, "slot", "sh", "-c", "echo $BERTH_NAMESPACE; exit 8")
    assert done.returncode == 8 and done.stdout == f"{NAMESPACE}\n"
    assert [call.method for call in fake.calls if not isinstance(call, tuple)] == [
        "Acquire", "AcquireSlot", "ReleaseSlot", "Release"]


def test_a_slot_is_waited_for_and_told(path, fake):
    fake.answers["AcquireSlot"] = queued(3)
    run = start(path, "slot", "true", BERTH_NAMESPACE=NAMESPACE, BERTH_LEASE=SECRET)
    assert run.stderr.readline().startswith("berth: waiting for a DDL slot, 3rd in queue; held by gw3 of")
    run.terminate()
    run.wait(20)


def test_a_slot_that_is_busy(path, fake):
    fake.answers["AcquireSlot"] = lambda call: call.reply(BUSY, error="io.berth.lease.Busy")
    failed(berth(path, "slot", "-n", "true", BERTH_NAMESPACE=NAMESPACE, BERTH_LEASE=SECRET), 75, "held by gw3")
    assert fake.of("AcquireSlot")[0].parameters["noWait"] is True


def test_a_stale_lease_in_the_environment_is_told(path, fake):
    fake.answers["AcquireSlot"] = lambda call: call.reply({"namespace": NAMESPACE}, error="io.berth.lease.NoSuchLease")
    failed(berth(path, "slot", "true", BERTH_NAMESPACE=NAMESPACE, BERTH_LEASE=SECRET), 125,
           "unset BERTH_NAMESPACE and BERTH_LEASE")


def test_a_slot_is_claimed_again_from_a_restarted_daemon(path, fake, tmp_path):
    go = tmp_path / "go"
    run = start(path, "slot", "sh", "-c", f"echo ready; while ! [ -e {go} ]; do sleep 0.02; done",
                BERTH_NAMESPACE=NAMESPACE, BERTH_LEASE=SECRET)
    assert run.stdout.readline() == "ready\n"
    fake.die()
    fake.listen()
    assert fake.wait_for("AcquireSlot", 2).parameters["reclaim"] == 7
    go.touch()
    assert run.wait(20) == 0 and run.stderr.read() == ""


def test_what_a_command_in_a_slot_starts_may_go_on(path, fake, tmp_path):
    note = tmp_path / "pid"
    done = berth(path, "slot", "sh", "-c", f"sleep 60 >/dev/null 2>&1 & echo $! >{note}")
    server = int(note.read_text())
    os.kill(server, 0)
    os.kill(server, signal.SIGKILL)
    assert done.returncode == 0


# ---- queries ----


NOW = int(time.time() * 1e6)
SWEEP = {"sweep_id": 12, "dry_run": False, "started_at": "2026-11-20T23:17:34Z", "finished_at": "2026-11-20T23:17:35Z",
         "active_namespaces": ["pa"], "active_detection_complete": True, "databases": [
             {"name": "platform", "reachable": True, "error": None, "dropped": ["test_pz_gw0"], "failed": [],
              "unknown": [], "kept": [{"schema": "test_pa_gw0", "reason": "live", "detail": None}]}]}
STATUS = {"version": "0.1.0", "startedUSec": NOW - 7200000000, "leases": 3, "queued": 1,
          "activeDetectionComplete": True, "lastSweep": SWEEP,
          "clusters": [{"systemIdentifier": "7412345678901234567", "databases": ["platform", "tenant1"], "slots": 2,
                        "holders": [{"namespace": "p18234t1745178234r3af93d71", "worker": "gw3", "slot": 0,
                                     "database": "platform", "sinceUSec": NOW - 1200000}],
                        "waiters": [], "lockTable": 6400, "lockPeak": 3959}],
          "databases": [{"name": "platform", "reachable": True, "sinceUSec": NOW},
                        {"name": "tenant1", "reachable": True, "sinceUSec": NOW},
                        {"name": "tenant2", "reachable": False, "sinceUSec": NOW - 40000000,
                         "message": "connection refused"}]}
LEASE = {"context": {"namespace": NAMESPACE, "label": "pytest -n 8 " + "tests/a/very/long/path " * 5, "databases": []},
         "runtime": {"lease": 4, "state": "live", "uid": 0, "sinceUSec": NOW - 60000000, "sessions": 9, "members": [
             {"role": None, "worker": None, "process": {"pid": 11}, "connected": True, "sinceUSec": NOW},
             {"role": "worker", "worker": "gw0", "process": {"pid": 12}, "connected": False, "sinceUSec": NOW}]}}


def answer_with(*replies):
    def answer(call):
        for reply in replies[:-1]:
            call.reply(reply, continues=True)
        call.reply(replies[-1])
    return answer


def test_status_fits_a_terminal(path, fake):
    fake.answers["GetStatus"] = answer_with(STATUS)
    done = berth(path, "status")
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and max(map(len, lines)) <= 80 or len(path) > 60
    assert lines[0] == "● berthd 0.1.0 - serving 3 leases, 1 waiting"
    assert re.search(r"tenant2 UNREACHABLE \(connection refused, \w+\)", done.stdout)
    assert not [line for line in lines if line.endswith(" ")]
    assert "[0] gw3 p18234t17451… " in done.stdout and "[1] free" in done.stdout
    assert "peak 3,959 of 6,400" in done.stdout
    assert "Sweep: 1 dropped, 1 kept" in done.stdout


def test_status_as_json_is_what_the_daemon_said(path, fake):
    fake.answers["GetStatus"] = answer_with(STATUS)
    assert json.loads(berth(path, "status", "--json").stdout) == STATUS


def test_colors_only_when_asked_for(path, fake):
    fake.answers["GetStatus"] = answer_with(STATUS)
    assert "\x1b" not in berth(path, "status", NO_COLOR="").stdout
    assert "\x1b[32m" in berth(path, "--color=always", "status").stdout


def test_status_of_a_lease_shows_its_last_one(path, fake):
    older = {**LEASE, "runtime": {**LEASE["runtime"], "lease": 2, "state": "crashed"}}
    fake.answers["ListLeases"] = answer_with(older, LEASE)
    done = berth(path, "status", NAMESPACE)
    assert done.stdout.startswith(f"● {NAMESPACE} - live\n") and "gw0 pid 12 (not connected)" in done.stdout
    assert fake.of("ListLeases")[0].parameters == {"namespace": NAMESPACE, "all": True}


def test_status_of_an_unknown_lease(path, fake):
    fake.answers["ListLeases"] = answer_with({})
    failed(berth(path, "status", "pnone"), 1, "no lease of namespace pnone")


def test_list_is_a_table_of_80_columns(path, fake):
    fake.answers["ListLeases"] = answer_with(LEASE, LEASE)
    lines = berth(path, "list").stdout.splitlines()
    assert lines[0].split() == ["NAMESPACE", "OWNER", "LABEL", "AGE", "MEMBERS", "STATE"]
    assert len(lines) == 3 and max(map(len, lines)) <= 80
    assert "…" in lines[1] and lines[1].endswith("live")


def test_an_empty_list_is_empty(path, fake):
    fake.answers["ListLeases"] = answer_with({})
    assert berth(path, "list").stdout == ""
    assert json.loads(berth(path, "list", "--json").stdout) == {"leases": []}


def test_list_watch_writes_each_change_at_once(path, fake):
    fake.answers["ListLeases"] = lambda call: (call.reply({"action": "add", **LEASE}, continues=True),
                                               call.reply({"action": "ready"}, continues=True))
    run = start(path, "list", "--watch")
    assert f" + {NAMESPACE}" in run.stdout.readline()
    fake.of("ListLeases")[0].reply({"action": "remove", **LEASE}, continues=True)
    assert f" - {NAMESPACE}" in run.stdout.readline()
    run.terminate()
    run.wait(20)


def test_locks_show_both_sides(path, fake):
    lock = {"database": "tenant1", "waitEvent": "relation", "waitUSec": 3200000,
            "blocked": {"pid": 1, "namespace": "pa", "worker": "gw3", "query": "CREATE TABLE x\n(y int)"},
            "blocker": {"pid": 2, "namespace": "pb", "worker": "gw0", "query": "DROP SCHEMA " + "z" * 200,
                        "transactionUSec": 5000000}}
    fake.answers["ListLocks"] = answer_with(lock)
    done = berth(path, "locks", "tenant1")
    assert "tenant1: gw3 of pa (pid 1)" in done.stdout and "gw0 of pb (pid 2), in transaction for 5s" in done.stdout
    assert "CREATE TABLE x (y int)" in done.stdout and max(map(len, done.stdout.splitlines())) <= 80
    assert fake.of("ListLocks")[0].parameters == {"database": "tenant1"}
    assert json.loads(berth(path, "locks", "--json").stdout) == {"locks": [lock]}


def sweep_of(**changes):
    row = {"database": "platform", "schema": "test_pz_gw0", "verdict": "dropped"}
    return answer_with(row, {"result": {**SWEEP, **changes}})


def test_sweep_prints_the_result_and_nothing_else(path, fake):
    fake.answers["Sweep"] = sweep_of()
    done = berth(path, "sweep", "--json")
    assert done.returncode == 0 and json.loads(done.stdout) == SWEEP
    text = berth(path, "sweep").stdout
    assert re.search(r"^  dropped +test_pz_gw0$", text, re.M) and re.search(r"^  kept +test_pa_gw0  live$", text, re.M)
    assert text.endswith("sweep 12: 1 dropped, 1 kept\n")


def test_sweep_exits_1_if_something_failed(path, fake):
    fake.answers["Sweep"] = sweep_of(databases=[{**SWEEP["databases"][0], "failed": [
        {"schema": "test_px_gw0", "sqlstate": "55P03", "message": "lock timeout"}]}])
    done = berth(path, "sweep")
    assert done.returncode == 1 and "55P03: lock timeout" in done.stdout


def test_sweep_exits_3_if_the_census_is_incomplete(path, fake):
    kept = [{"schema": "test_pz_gw0", "reason": "active_detection_incomplete", "detail": "tenant2"}]
    fake.answers["Sweep"] = sweep_of(active_detection_complete=False, databases=[
        {**SWEEP["databases"][0], "dropped": [], "kept": kept},
        {"name": "tenant2", "reachable": False, "error": "connection refused", "dropped": [], "failed": [],
         "unknown": [], "kept": []}])
    done = berth(path, "sweep", "--dry-run", "platform")
    assert done.returncode == 3
    assert "held back: detection incomplete (tenant2); 1 candidate kept" in done.stdout
    assert fake.of("Sweep")[0].parameters == {"dryRun": True, "database": "platform"}


def test_a_running_sweep_is_told(path, fake):
    fake.answers["Sweep"] = lambda call: call.reply({"sinceUSec": 1}, error="io.berth.manage.SweepRunning")
    failed(berth(path, "sweep", "-n"), 75, "another one is running")
    assert fake.of("Sweep")[0].parameters == {"noWait": True}


def test_history_revoke_and_keep(path, fake):
    event = {"timeUSec": NOW, "event": "lease_granted", "namespace": NAMESPACE, "detail": "x"}
    fake.answers["GetHistory"] = answer_with(event)
    fake.answers["Revoke"] = answer_with({})
    fake.answers["Keep"] = answer_with({"keptUntilUSec": 1800000000000000})
    assert f"lease_granted    {NAMESPACE} x" in berth(path, "history", "--since", "2h", "--limit", 5).stdout
    asked = fake.of("GetHistory")[0].parameters
    assert asked["limit"] == 5 and abs(time.time() * 1e6 - 7200e6 - asked["sinceUSec"]) < 60e6
    assert berth(path, "revoke", NAMESPACE, "--reason", "old").returncode == 0
    assert fake.of("Revoke")[0].parameters == {"namespace": NAMESPACE, "reason": "old"}
    assert "is kept until" in berth(path, "keep", NAMESPACE, "--for", "3d").stdout
    assert fake.of("Keep")[0].parameters == {"namespace": NAMESPACE, "keepUSec": 259200000000}


def test_names_need_no_daemon(path):
    assert berth(path, "name", "gw3", "audit", BERTH_NAMESPACE="pa").stdout == "test_pa_gw3_audit\n"
    assert berth(path, "name", "gw3", "--app", "--namespace", "pa").stdout == "pytest_gw3_pa\n"
    assert json.loads(berth(path, "name", "gw3", "--json", BERTH_NAMESPACE="pa").stdout) == {"name": "test_pa_gw3"}
    failed(berth(path, "name", "gw3", "s" * 60, BERTH_NAMESPACE="pa"), 64, "63")


def test_a_long_reply_in_pieces_is_read_whole(path, fake):
    rows = [{**LEASE, "context": {**LEASE["context"], "label": "x" * 3000}} for _ in range(100)]
    fake.answers["ListLeases"] = answer_with(*rows)
    assert len(json.loads(berth(path, "list", "--json").stdout)["leases"]) == 100


def test_progress_on_a_terminal_after_a_second(path, fake):
    fake.answers["Sweep"] = lambda call: None
    run = on_terminal(path, "sweep")
    call = fake.wait_for("Sweep")
    run.read_until("berth: sweeping")
    call.reply({"result": SWEEP})
    run.read_until("sweep 12: 1 dropped")
    assert run.wait() == 0


def test_whoever_waits_behind_another_sweep_is_told_so_on_a_terminal(path, fake):
    fake.answers["Sweep"] = lambda call: call.reply({"waitsForUSec": int(time.time() * 1e6) - 7000000}, continues=True)
    run = on_terminal(path, "sweep", "--dry-run")
    call = fake.wait_for("Sweep")
    run.read_until("berth: waiting for a sweep that has been running for ")
    call.reply({"verdict": "would_drop"}, continues=True)
    run.read_until("berth: asking every database who is alive")
    call.reply({"result": SWEEP})
    run.read_until("sweep 12: 1 dropped")
    assert run.wait() == 0


EXPLAINED = {
    "name": NAMESPACE, "kind": "namespace", "namespace": NAMESPACE, "standing": "failed",
    "answer": f"{NAMESPACE} could not be dropped in platform: 55P03: " + "held by somebody " * 20,
    "advice": "end what holds the lock " * 10,
    "leases": [{"lease": n, "state": "crashed", "label": "x\u001b[31m" * 40, "uid": 0, "forced": True, "joined": 8,
                "sinceUSec": 1700000000000000 + n, "endedUSec": 1700000100000000 + n} for n in range(1, 9)],
    "slots": [{"namespace": NAMESPACE, "worker": "gw1", "database": "platform", "sinceUSec": 1700000200000000}],
    "schemas": [{"database": "platform", "schema": f"test_{NAMESPACE}_gw{n}", "exists": True, "standing": "failed",
                 "verdicts": [{"sweep": 7, "verdict": "failed", "sqlState": "55P03", "detail": "held by somebody",
                               "timeUSec": 1700000300000000, "lastUSec": 1700000300000000}]} for n in range(2)],
    "unheard": [], "sweepRunning": False}


def test_an_explanation_is_a_dozen_lines_of_80_columns(path, fake):
    fake.answers["Explain"] = answer_with(EXPLAINED)
    done = berth(path, "explain", NAMESPACE, TZ="UTC")
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and len(lines) == 12 and max(map(len, lines)) <= 80 and "\x1b" not in done.stdout
    assert lines[0].startswith(f"{NAMESPACE} could not be dropped") and lines[2].endswith("…")
    assert lines[3] == "  12 earlier; --json has them"
    assert lines[-4] == "  2023-11-14 22:16:40  gw1 waits for a DDL slot in platform"
    assert lines[-3] == "  2023-11-14 22:18:20  sweep 7: failed 2 schemas in platform: 55P03: held by so…"
    assert lines[-2].startswith("do: end what holds the lock") and lines[-1].startswith("    ")
    assert fake.of("Explain")[0].parameters == {"name": NAMESPACE}
    assert json.loads(berth(path, "explain", NAMESPACE, "--json").stdout) == EXPLAINED


def test_of_databases_whose_names_begin_alike_each_is_named(path, fake):
    dropped = {"sweep": 7, "verdict": "dropped", "timeUSec": 1700000300000000, "lastUSec": 1700000300000000}
    fake.answers["Explain"] = answer_with({
        "name": NAMESPACE, "standing": "dropped", "answer": "it was dropped",
        "schemas": [{"database": name, "schema": f"test_{NAMESPACE}_gw0", "verdicts": [dropped]}
                    for name in ("tenant10", "tenant1", "tenant10")]})
    line = berth(path, "explain", NAMESPACE, TZ="UTC").stdout.splitlines()[1]
    assert line.endswith("sweep 7: dropped 2 schemas in tenant10, tenant1")


def test_of_what_nothing_is_known_the_exit_code_tells(path, fake):
    fake.answers["Explain"] = answer_with({"name": "x", "standing": "nothing", "answer": "nothing is known of x"})
    done = berth(path, "explain", "x")
    assert done.returncode == 1 and done.stdout == "nothing is known of x\n" and done.stderr == ""
    assert berth(path, "explain", "x", "--json").returncode == 1
    assert berth(path, "explain", "--help").stdout.startswith("Examples:\n  berth explain test_")
    assert "explain" in berth(path, "__words").stdout.split()
