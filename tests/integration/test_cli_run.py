# SPDX-License-Identifier: MIT
"""berth run against a daemon that says what each test wants: environment, exit codes, orphans, signals, waits, losses."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from cli_fake import berth, environment, failed, fake, on_terminal, path, queued, start  # noqa: F401
from fake_berthd import GRANTED, NAMESPACE, SECRET
from harness import BERTH, until
from terminal import COUNTING, Terminal

# ---- what the command gets, and what it gives back ----


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


# ---- orphans ----


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


# ---- signals ----


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


def test_a_blocked_signal_is_not_blocked_for_the_command(path, fake):
    done = subprocess.run([BERTH, "run", "grep", "SigBlk", "/proc/self/status"], env=environment(path), text=True,
                          capture_output=True, check=True,
                          preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR1}))
    assert int(done.stdout.split()[1], 16) == 0


def test_the_connection_never_takes_the_place_of_a_closed_standard_error(path, fake):
    """And the command finds it closed, as it was given to us."""
    script = f"exec {BERTH} run sh -c 'readlink /proc/$PPID/fd/2; test ! -e /proc/$$/fd/2' 2>&-"
    done = subprocess.run(["sh", "-c", script], env=environment(path), text=True, stdout=subprocess.PIPE)
    assert (done.returncode, done.stdout) == (0, "/dev/null\n")


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
