# SPDX-License-Identifier: MIT
"""Where there is no daemon, `berth run` and the plugin start one for their user: one, however many start at once."""

import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
from pathlib import Path

import pytest

from harness import BERTH, BERTHD, PLUGIN, PYTHON, is_alive, until

# /run is the machine's: where a test needs it to look otherwise, it gets one of its own.
OWN_RUN = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs /run && mkdir /run/berth && exec "$@"', "sh"]


class User:
    """Folders of its own, and nothing in its environment that says where a daemon is."""

    def __init__(self):
        self.home = Path(tempfile.mkdtemp(prefix="berth-u-"))
        self.socket = self.home / "run" / "berth" / "io.berth.lease"
        for folder in ("run", "config/berth"):
            (self.home / folder).mkdir(parents=True)
        self.environment = {key: value for key, value in os.environ.items()
                            if not key.startswith(("BERTH", "PYTEST", "XDG_"))}
        self.environment.update(
            HOME=str(self.home), XDG_RUNTIME_DIR=str(self.home / "run"), XDG_CONFIG_HOME=str(self.home / "config"),
            XDG_STATE_HOME=str(self.home / "state"), BERTH_DAEMON=str(BERTHD), PYTHONPATH=PLUGIN,
            ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", ""))

    def configure(self, **options):
        lines = ["[berthd]", *(f"{key} = {value}" for key, value in options.items())]
        (self.home / "config/berth/berth.conf").write_text("\n".join(lines) + "\n")

    def start(self, *words, **environment):
        return subprocess.Popen([str(word) for word in words], env={**self.environment, **environment}, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def do(self, *words, **environment):
        process = self.start(*words, **environment)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    @property
    def log(self):
        path = self.home / "state" / "berth" / "berthd.log"
        return path.read_text() if path.exists() else ""

    def daemon(self):
        """The pid of whoever serves the socket; 0: nobody."""
        with socket.socket(socket.AF_UNIX) as s:
            try:
                s.connect(str(self.socket))
            except OSError:
                return 0
            return struct.unpack("iII", s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]

    def daemons(self):
        """Every berthd of this user, also one that nobody can reach."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if (path / "cmdline").read_bytes().startswith(str(BERTHD).encode()):
                    if f"XDG_RUNTIME_DIR={self.home}/run".encode() in (path / "environ").read_bytes():
                        found.append(int(path.name))
            except OSError:
                continue
        return found

    def remove(self):
        for pid in self.daemons():
            os.kill(pid, signal.SIGTERM)
            until(lambda: not is_alive(pid), 30, "the end of the daemon")
        shutil.rmtree(self.home)


@pytest.fixture
def user():
    user = User()
    yield user
    user.remove()


def test_a_hundred_that_start_at_once_start_one_daemon(user):
    runs = [user.start(BERTH, "run", "--", "sh", "-c", "echo $BERTH_NAMESPACE") for _ in range(100)]
    ended = [(*run.communicate(timeout=120), run.returncode) for run in runs]
    assert {(err, status) for _, err, status in ended} == {("", 0)}
    assert len({out for out, _, _ in ended}) == 100
    assert user.daemons() == [user.daemon()]
    assert user.log.count("lease granted") == 100


def test_a_daemon_that_serves_already_is_left_alone(user):
    foreground = user.start(BERTHD, "--user")
    until(user.daemon, 30, "berthd")
    assert user.daemon() == foreground.pid
    for _ in range(3):
        detached = user.do(BERTHD, "--user", "--detach")
        assert (detached.returncode, detached.stderr) == (0, "")
    assert user.do(BERTH, "run", "--", "true").returncode == 0
    assert user.daemons() == [foreground.pid]
    foreground.send_signal(signal.SIGTERM)
    assert foreground.wait(30) == 0
    foreground.communicate()


def test_what_a_killed_daemon_left_is_no_obstacle(user):
    assert user.do(BERTH, "run", "--", "true").returncode == 0
    first = user.daemon()
    os.kill(first, signal.SIGKILL)
    until(lambda: not is_alive(first), 10, "its end")
    assert user.socket.exists()
    assert user.do(BERTH, "run", "--", "true").returncode == 0
    assert user.daemons() == [user.daemon()] != [first]


def test_a_daemon_that_nobody_needs_goes_and_one_that_holds_a_lease_stays(user):
    user.configure(idle_exit="200ms")
    gate = user.home / "gate"
    os.mkfifo(gate)
    run = user.start(BERTH, "run", "--", "sh", "-c", f"echo ready; read line < {gate}")
    assert run.stdout.readline() == "ready\n"
    pid = user.daemon()
    # Five times its idle time, measured by another daemon that has nothing to do.
    other = User()
    other.configure(idle_exit="1s")
    assert other.do(BERTHD, "--user", "--detach").returncode == 0
    until(lambda: not other.daemons(), 30, "the end of an idle daemon")
    assert "nobody has needed it" in other.log
    assert not other.socket.exists()
    other.remove()
    assert user.daemons() == [pid]
    gate.write_text("\n")
    assert run.communicate(timeout=30) == ("", "")
    assert run.returncode == 0
    until(lambda: not is_alive(pid), 30, "the end of the daemon")
    assert not user.socket.exists()


def test_who_comes_while_it_goes_is_served_all_the_same(user):
    """Each time the daemon says that it goes, three runs come."""
    user.configure(idle_exit="100ms")
    for n_gone in range(15):
        runs = [user.start(BERTH, "run", "--", "true") for _ in range(3)]
        for run in runs:
            assert run.communicate(timeout=60) == ("", "")
            assert run.returncode == 0
        until(lambda: user.log.count("nobody has needed it") > n_gone, 30, "the end of the daemon")


def test_a_system_daemon_s_socket_is_preferred_even_when_nobody_answers_there(user):
    dead = f"{PYTHON} -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"/run/berth/io.berth.lease\")'"
    done = user.do(*OWN_RUN, "sh", "-c", f"{dead}; exec {BERTH} run -- true")
    assert done.returncode == 69
    assert done.stderr == ("berth: nobody listens at /run/berth/io.berth.lease; a dead daemon left its socket; "
                           "restart berthd\n")
    assert user.daemons() == []


@pytest.mark.parametrize("words, environment, expected", [
    (["run"], {"BERTH_DAEMON": ""}, "no socket at /run/berth/io.berth.lease; berthd is not running"),
    (["run"], {"BERTH_DAEMON": "/nonexistent"}, "berthd --user could not be started; No such file or directory"),
    (["run"], {"XDG_RUNTIME_DIR": "/proc/none"}, "berthd --user could not be started; cannot lock /proc/none"),
    (["run", "--socket", "/nonexistent"], {}, "no socket at /nonexistent; berthd is not running"),
])
def test_where_none_can_be_started_one_line_says_why(user, words, environment, expected):
    done = user.do(BERTH, *words, "--", "true", **environment)
    assert done.returncode == 69
    assert expected in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert user.daemons() == []


def test_a_configuration_that_is_wrong_is_told_by_the_run_that_needed_it(user):
    user.configure(ddl_slots="many")
    done = user.do(BERTH, "run", "--", "true")
    assert done.returncode == 69
    assert re.search(r"berth\.conf:2: .*ddl_slots", done.stderr) and done.stderr.count("\n") == 1, done.stderr


def run_pytest(user, *options, **environment):
    test = user.home / "test_it.py"
    test.write_text("import pytest_berth\ndef test_it():\n    print(pytest_berth.namespace())\n")
    return user.start(PYTHON, "-B", "-m", "pytest", "-p", "pytest_berth.plugin", "-p", "no:cacheprovider", *options,
                      test, **environment)


def test_plain_pytest_starts_one_and_is_leased(user):
    runs = [run_pytest(user, "-n", "2") for _ in range(3)]
    for run in runs:
        out, err = run.communicate(timeout=120)
        assert run.returncode == 0, out + err
        assert re.search(r"^berth: p\w+ \(new lease\)", out, re.MULTILINE), out
    assert user.daemons() == [user.daemon()]
    assert user.log.count("how=released") == 3


def test_pytest_that_may_start_none_goes_on_unleased_or_refuses(user):
    out, err = run_pytest(user, BERTH_DAEMON="/nonexistent").communicate(timeout=60)
    assert "1 passed" in out
    assert "berthd --user could not be started" in err and "going on unleased" in err, err
    required = run_pytest(user, "--berth=require", BERTH_DAEMON="/nonexistent")
    out, err = required.communicate(timeout=60)
    assert required.returncode == 4
    assert "berthd --user could not be started" in err, err
