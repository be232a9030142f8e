# SPDX-License-Identifier: MIT
"""The berth command against a daemon that says what each test wants: where it is, its errors, usage."""

import json
import os
import subprocess

import pytest

from cli_fake import BUSY, berth, failed, fake, path  # noqa: F401
from fake_berthd import FakeBerthd
from harness import BERTH

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
