# SPDX-License-Identifier: MIT
"""A daemon that cannot be reached: one line with the fix, the right exit code, and a pytest that goes on safely or not at all."""

import errno
import json
import os
import re
import socket
import subprocess
import time

import pytest

import said
from fake_berthd import GRANTED, FakeBerthd
from harness import BERTH, PLUGIN, PYTHON
from reports import reports_in, validate
from sandbox import within
from somebody import BECOME, copy_of_berth


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "s")


@pytest.fixture
def environment(path, tmp_path):
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("BERTH", "PYTEST"))}
    return {**clean, "BERTH_SOCKET": path, "LC_ALL": "C.UTF-8", "BERTH_REPORT_DIR": str(tmp_path / "reports"),
            "PYTHONPATH": str(PLUGIN)}


def listening(path, backlog=16):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(backlog)
    return listener


# ---- what may be in the way: each gives what to put before a command, and what to close ----


def nobody(path, environment):
    return [], []


def dead_socket(path, environment):
    listening(path).close()
    return [], []


def full_backlog(path, environment):
    held = [listening(path, 0)]
    while not held[1:] or held[-1].connect_ex(path) != errno.EAGAIN:
        held.append(socket.socket(socket.AF_UNIX))
        held[-1].setblocking(False)
    return [], held


def long_path(path, environment):
    environment["BERTH_SOCKET"] = "/" + "x" * 120
    return [], []


def sandbox(number):
    def make(path, environment):
        return within(number), [listening(path)]

    make.__name__ = f"sandbox_{errno.errorcode[number]}"
    return make


OBSTACLES = [
    (nobody, 69, "NoDaemon", "no socket at .*; berthd is not running; 'systemctl start berthd.socket' or set BERTH_SOCKET"),
    (dead_socket, 69, "DeadSocket", "nobody listens at .*; a dead daemon left its socket; restart berthd"),
    (full_backlog, 75, "Busy", r"no room at .*; berthd does not answer \(backlog full\); try again"),
    (long_path, 64, "PathTooLong", r"socket path too long \(121 > 107\); use a shorter path"),
    *((sandbox(number), 77, "SandboxForbidsSockets",
       r"cannot reach .*; this sandbox forbids Unix sockets \(seccomp\); run it outside the sandbox, or allow")
      for number in (errno.EPERM, errno.EACCES, errno.EAFNOSUPPORT)),
]


@pytest.mark.parametrize("obstacle, code, word, line", OBSTACLES, ids=lambda value: getattr(value, "__name__", ""))
def test_the_command_says_it_in_a_line_and_in_an_object(path, environment, obstacle, code, word, line):
    prefix, held = obstacle(path, environment)
    began = time.monotonic()
    for options in ([], ["--json"]):
        done = subprocess.run([*prefix, BERTH, "run", *options, "--", "echo", "ran"], env=environment, text=True,
                              capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
        assert done.returncode == code, (done.stdout, done.stderr)
        if not options:
            assert done.stdout == "" and re.fullmatch(f"berth: .*{line}[^\n]*\n", done.stderr), done.stderr
    assert done.stderr == "" and json.loads(done.stdout)["error"] == word
    if obstacle is full_backlog:
        assert time.monotonic() - began > 3.8, "that one may pass by itself: two seconds each"
    said.check_object(done.stdout, code)
    for each in held:
        each.close()


def open_to_others(folder):
    for each in (folder, *folder.parents):
        if each.owner() == "root" and each.stat().st_mode & 0o055 != 0o055:
            each.chmod(each.stat().st_mode | 0o055)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
def test_who_is_not_in_the_group_is_told_how_to_come_in(path, environment, tmp_path):
    listener = listening(path)
    os.chmod(path, 0o600)
    open_to_others(tmp_path)
    program, variables = copy_of_berth(BERTH, tmp_path / "bin")
    done = subprocess.run([*BECOME, program, "run", "--json", "true"], env={**environment, **variables}, text=True,
                          capture_output=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 77
    said.check_object(done.stdout, 77)
    assert "usermod -aG berth NAME" in json.loads(done.stdout)["fix"]
    listener.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
def test_where_no_process_can_be_started_it_is_our_own_failure(path, environment, tmp_path):
    fake = FakeBerthd(path)
    os.chmod(path, 0o666)
    open_to_others(tmp_path)
    program, variables = copy_of_berth(BERTH, tmp_path / "bin")
    done = subprocess.run(["prlimit", "--nproc=0", "--", *BECOME, program, "run", "true"], text=True, capture_output=True,
                          env={**environment, **variables, "BERTH_REPORT_DIR": "off",
                               "ASAN_OPTIONS": "detect_leaks=0"}, stdin=subprocess.DEVNULL)
    assert done.returncode == 125, done
    assert done.stderr.startswith("berth: cannot start a process; Resource temporarily unavailable; see the limits")
    assert fake.of("Release")[0].parameters["exitStatus"] == 125
    fake.die()


# ---- pytest ----

SUITE = """
import pytest

@pytest.mark.parametrize("i", range(4))
def test_it(berth, i):
    assert berth.worker_schema().startswith("test_p")
"""


def run_pytest(environment, tmp_path, prefix, *options, **more):
    (tmp_path / "test_it.py").write_text(SUITE)
    return subprocess.run([*prefix, PYTHON, "-B", "-m", "pytest", "-p", "pytest_berth.plugin", "-p", "no:cacheprovider", "-q",
                           *options, "test_it.py"], env={**environment, **more}, cwd=tmp_path, text=True, timeout=120,
                          capture_output=True, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("number", [errno.EPERM, errno.EACCES])
def test_in_a_sandbox_pytest_goes_on_unleased_and_says_so_once(path, environment, tmp_path, number):
    listener = listening(path)
    done = run_pytest(environment, tmp_path, within(number), "-n2")
    assert done.returncode == 0, done
    text = done.stdout + done.stderr
    [line] = [line for line in text.splitlines() if "berth:" in line]
    assert line.startswith(f"berth: cannot reach {path}; this sandbox forbids Unix sockets (seccomp); going on unleased")
    assert line.endswith("run outside it, or allow Unix sockets there")
    [made] = reports_in(tmp_path / "reports").values()
    assert validate(made)["status"] == "passed" and made["source"].startswith("unleased: ")
    listener.close()


def test_in_a_sandbox_two_runs_have_two_namespaces(environment, tmp_path):
    for _ in range(2):
        assert run_pytest(environment, tmp_path, within(), "-n0").returncode == 0
    assert len({made["namespace"] for made in reports_in(tmp_path / "reports").values()}) == 2


def test_where_a_lease_is_required_a_sandbox_is_a_usage_error(environment, tmp_path):
    done = run_pytest(environment, tmp_path, within(), "-n2", BERTH="require")
    lines = (done.stdout + done.stderr).strip().splitlines()
    assert done.returncode == 4 and len(lines) == 1, done
    assert lines[0].startswith("ERROR: berth: cannot reach ") and "this sandbox forbids Unix sockets (seccomp)" in lines[0]


def test_a_dead_socket_is_told_once_and_the_run_goes_on(path, environment, tmp_path):
    dead_socket(path, environment)
    done = run_pytest(environment, tmp_path, [])
    assert done.returncode == 0 and (done.stdout + done.stderr).count("a dead daemon left its socket; going on unleased") == 1


# ---- names that the environment insists on ----


def test_an_alias_has_its_own_forced_name_also_one_that_only_berthd_knows(path, environment):
    """HONEY_NS is the user's alias, TEST_NS the operator's."""
    def grant(call):
        context = {**GRANTED["context"], "namespace": call.parameters.get("namespace", "pfresh"), "aliases": ["TEST_NS"]}
        call.reply({**GRANTED, "context": context}, continues=True)

    fake = FakeBerthd(path, Acquire=grant)

    def run(**more):
        done = subprocess.run([BERTH, "run", "sh", "-c", "echo $BERTH_NAMESPACE $TEST_NS $(env | grep -c FORCE)"], text=True,
                              env={**environment, "BERTH_NAMESPACE_ENV": "HONEY_NS", **more}, capture_output=True)
        return done.stdout or done.stderr

    assert run() == "pfresh pfresh 0\n" and len(fake.of("Acquire")) == 1
    assert run(HONEY_NS_FORCE="mine") == "mine mine 0\n" and len(fake.of("Acquire")) == 2
    assert run(TEST_NS_FORCE="theirs") == "theirs theirs 0\n"
    assert [call.parameters["namespace"] for call in fake.of("Release")] == ["pfresh", "mine", "pfresh", "theirs"]
    assert "try mydebug" in run(TEST_NS_FORCE="my_debug")
    fake.die()
