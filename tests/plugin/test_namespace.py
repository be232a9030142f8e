# SPDX-License-Identifier: MIT
"""Which namespace a controller gets, situation by situation; and what becomes of its lease."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import pytest_berth
from conftest import forked
from pytest_berth import _hold, _names, _namespace, _process
from pytest_berth._client import LEASE, MANAGE, Connection
from pytest_berth._errors import RemoteError
from pytest_berth._hold import Hold

STALE = "p1t1000000000r00000000"


def runtime(daemon, namespace):
    """What the daemon says about a lease, or None if it has ended."""
    with Connection(daemon.socket) as connection:
        connection.send(f"{MANAGE}.ListLeases", {"namespace": namespace}, more=True)
        return connection.receive(5).parameters.get("runtime")


def roles(daemon, namespace):
    return sorted((member.get("role") or "runner") for member in runtime(daemon, namespace)["members"]
                  if member["connected"])


def wait_until(condition, timeout=20):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


@pytest.fixture
def runner(daemon):
    """A lease of `berth run`: its environment, and the hold."""
    hold = Hold(daemon.socket)
    reply = hold.ask(f"{LEASE}.Acquire", {"label": "berth run"})
    hold.environ = {"BERTH_NAMESPACE": reply["context"]["namespace"], "BERTH_LEASE": reply["secret"]}
    yield hold
    hold.close()


# ---- with a daemon ----


def test_nothing_exported_gives_a_fresh_lease(daemon, settle):
    run = settle(daemon, label="pytest -n 8")
    assert run.own and run.leased
    assert _names.parse_token(run.namespace).pid == os.getpid()
    assert run.header == f"berth: {run.namespace} (new lease)"
    assert roles(daemon, run.namespace) == ["controller"]


def test_two_runs_have_two_namespaces(daemon, settle):
    assert settle(daemon).namespace != settle(daemon).namespace


def test_a_runners_lease_is_preserved(daemon, settle, runner):
    run = settle(daemon, runner.environ)
    assert run.namespace == runner.environ["BERTH_NAMESPACE"] and not run.own
    assert run.source == f"lease of berth run, pid {os.getpid()}"
    assert roles(daemon, run.namespace) == ["controller", "runner"]


@pytest.fixture
def elsewhere():
    """settle() in another process, which goes on until the end of the test. Returns its pid."""
    processes = []

    def settle(daemon, environ):
        code = ("import sys; from pytest_berth._namespace import Settings, resolve;"
                f" run = resolve(Settings(socket={daemon.socket!r}), {environ!r}); print(run.namespace, flush=True);"
                " sys.stdin.read()")
        process = subprocess.Popen([sys.executable, "-c", code], text=True, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
        processes.append(process)
        assert process.stdout.readline().strip() == environ["BERTH_NAMESPACE"]
        return process.pid

    yield settle
    for process in processes:
        process.communicate()


def test_a_second_pytest_of_the_same_run_takes_a_lease_of_its_own(daemon, settle, runner, elsewhere):
    elsewhere(daemon, runner.environ)
    second = settle(daemon, runner.environ)
    assert second.own and second.namespace != runner.environ["BERTH_NAMESPACE"]
    assert second.source.startswith(f"new; {runner.environ['BERTH_NAMESPACE']} is in use by pytest pid ")


def test_it_says_which_pytest_has_the_runs(fake, settle, elsewhere):
    run = settle(fake)
    run.lifeline.close()
    fake.wait_for(lambda: fake.find(run.namespace).state == "crashed")
    lease = fake.find(run.namespace)
    lease.state, lease.ended = "live", None
    first = elsewhere(fake, {"BERTH_NAMESPACE": run.namespace, "BERTH_LEASE": run.secret})
    second = settle(fake, {"BERTH_NAMESPACE": run.namespace, "BERTH_LEASE": run.secret})
    assert second.source == f"new; {run.namespace} is in use by pytest pid {first}"


def test_a_released_lease_is_stale(daemon, settle, runner):
    namespace = runner.environ["BERTH_NAMESPACE"]
    with Connection(daemon.socket) as connection:
        connection.call(f"{LEASE}.Release", {"namespace": namespace, "secret": runner.environ["BERTH_LEASE"]})
    runner.close()
    wait_until(lambda: runtime(daemon, namespace) is None)
    run = settle(daemon, runner.environ)
    assert run.own and run.namespace != namespace
    assert re.fullmatch(rf"new; ignored stale BERTH_NAMESPACE={namespace}, ended \d s ago", run.source)


@pytest.mark.parametrize("secret", ["0" * 32, "garbage", "\udcff"])
def test_a_wrong_secret_is_stale(daemon, settle, runner, secret):
    run = settle(daemon, {**runner.environ, "BERTH_LEASE": secret})
    assert run.own and run.source.startswith("new; ignored stale BERTH_NAMESPACE=p")


@pytest.mark.parametrize("namespace", ["not a name", "Ä", "\udcff", "x" * 500, "a\nb"])
def test_a_bad_name_is_stale_and_shown_harmlessly(daemon, settle, namespace):
    run = settle(daemon, {"BERTH_NAMESPACE": namespace, "BERTH_LEASE": "0" * 32})
    assert run.own and run.source.startswith("new; ignored stale") and run.source.isprintable()
    assert len(run.source) < 250 and run.source.isascii()


def test_a_foreign_runners_token_is_acquired_while_the_runner_lives(daemon, settle):
    """The runner of the first seed document: it knows nothing of leases, and exports p<PID>t<EPOCH>r<HEX>."""
    parent = os.getppid()
    token = _names.make_token(parent, int(_process.started_at(parent)) + 1, 1)
    run = settle(daemon, {"BERTH_NAMESPACE": token})
    assert (run.namespace, run.source, run.own) == (token, f"from runner pid {parent}", True)


def test_a_foreign_runners_second_pytest_takes_a_lease_of_its_own(daemon, settle):
    token = _names.make_token(os.getpid(), int(_process.started_at(os.getpid())), 1)
    settle(daemon, {"BERTH_NAMESPACE": token})
    second = settle(daemon, {"BERTH_NAMESPACE": token})
    assert second.own and second.source.startswith(f"new; {token} is in use by pytest pid ")


def test_a_runner_may_say_its_pid(daemon, settle):
    run = settle(daemon, {"BERTH_NAMESPACE": "nightly", "BERTH_RUNNER_PID": str(os.getppid())})
    assert (run.namespace, run.source) == ("nightly", f"from runner pid {os.getppid()}")


@pytest.mark.parametrize("environ", [
    {"BERTH_NAMESPACE": STALE},
    {"BERTH_NAMESPACE": "nightly"},
    {"BERTH_NAMESPACE": "nightly", "BERTH_RUNNER_PID": "999999999"},
    {"BERTH_NAMESPACE": "nightly", "BERTH_RUNNER_PID": "-1"},
], ids=str)
def test_an_export_that_nobody_alive_has_made_is_stale(daemon, settle, environ):
    run = settle(daemon, environ)
    assert run.namespace != environ["BERTH_NAMESPACE"]
    assert run.source == f"new; ignored stale BERTH_NAMESPACE={environ['BERTH_NAMESPACE']}"


def test_a_token_made_in_a_shell_long_after_its_start_is_stale(daemon, settle):
    parent = os.getppid()
    token = _names.make_token(parent, int(_process.started_at(parent)) + 3600, 1)
    assert settle(daemon, {"BERTH_NAMESPACE": token}).namespace != token


def test_an_unleased_parent_pytest_keeps_its_namespace(daemon, settle):
    """Its token looks like a living runner's, but it is in use."""
    parent = os.getppid()
    token = _names.make_token(parent, int(_process.started_at(parent)), 1)
    run = settle(daemon, {"BERTH_NAMESPACE": token, "BERTH_CONTROLLER_PID": str(parent)})
    assert run.namespace != token and run.source == f"new; {token} is in use by pytest pid {parent}"


def test_a_pytest_inside_this_process_takes_a_lease_of_its_own(daemon, settle, runner):
    """The daemon would take it for the same controller, come back."""
    settle(daemon, runner.environ)
    run = settle(daemon, runner.environ, nested=True)
    assert run.own and run.source == f"new; {runner.environ['BERTH_NAMESPACE']} is in use by this very process"


def test_an_alias_is_as_good_as_berth_namespace(daemon, settle):
    run = settle(daemon, {"HONEY": "nightly", "BERTH_RUNNER_PID": str(os.getppid())}, aliases=("HONEY",))
    assert run.namespace == "nightly"


@pytest.mark.parametrize("environ,settings", [
    ({}, {"forced": "mydebug"}),
    ({"BERTH_NAMESPACE_FORCE": "mydebug"}, {}),
    ({"HONEY_FORCE": "mydebug"}, {"aliases": ("HONEY",)}),
    ({"BERTH_NAMESPACE_FORCE": "other", "BERTH_NAMESPACE": STALE}, {"forced": "mydebug"}),
], ids=str)
def test_a_forced_name_is_taken(daemon, settle, environ, settings):
    run = settle(daemon, environ, **settings)
    assert run.header == "berth: mydebug (forced)" and run.own


@pytest.mark.parametrize("name,told", [
    ("my_debug", "namespace has '_' at byte 3; allowed are a-z and 0-9; try 'mydebug'"),
    ("x" * 33, f"namespace is 33 bytes long, 1 more than the 32 allowed; try '{'x' * 32}'"),
    ("../../etc", "namespace has '.' at byte 1; allowed are a-z and 0-9; try 'etc'"),
    ("---", "namespace has '-' at byte 1; allowed are a-z and 0-9; choose another name"),
])
def test_a_bad_forced_name_is_refused_with_the_rule_and_a_proposal(fake, settle, name, told):
    with pytest.raises(_namespace.Refused) as caught:
        settle(fake, {"BERTH_NAMESPACE_FORCE": name})
    assert str(caught.value) == f"berth: {told}"
    assert fake.calls == []


def test_a_forced_name_that_is_live_is_refused_and_its_holder_named(daemon, settle):
    settle(daemon, forced="mydebug")
    with pytest.raises(_namespace.Refused, match=f"mydebug is in use by pid {os.getpid()}"):
        settle(daemon, forced="mydebug")


def test_the_runners_lease_wins_over_a_force_in_the_environment(daemon, settle, runner):
    run = settle(daemon, {**runner.environ, "BERTH_NAMESPACE_FORCE": "mydebug"})
    assert run.namespace == runner.environ["BERTH_NAMESPACE"]


def test_a_name_that_the_runner_has_forced_is_not_acquired_twice(daemon, settle, runner):
    run = settle(daemon, runner.environ, forced=runner.environ["BERTH_NAMESPACE"])
    assert run.namespace == runner.environ["BERTH_NAMESPACE"] and not run.own


# ---- without ----


def test_off_never_asks(fake, settle):
    run = settle(fake, {"BERTH_NAMESPACE": "x", "BERTH_LEASE": "0" * 32}, mode="off")
    assert run.header == "berth: off" and not run.leased and run.warning is None
    assert _names.parse_token(run.namespace).pid == os.getpid()
    assert fake.calls == []


def test_without_a_daemon_the_run_goes_on_unleased(settle):
    run = settle(socket="/nonexistent/berth")
    assert not run.leased and _names.parse_token(run.namespace).pid == os.getpid()
    assert run.source == "unleased: no socket at /nonexistent/berth; berthd is not running"
    assert run.warning.startswith("berth: no socket at /nonexistent/berth; berthd is not running; going on unleased")


def test_require_refuses_to_start_without_a_daemon(settle):
    with pytest.raises(_namespace.Refused, match="berthd is not running; 'systemctl start berthd.socket'"):
        settle(socket="/nonexistent/berth", mode="require")


def test_each_errno_tells_its_story(settle, short_path, monkeypatch):
    import socket

    def reason(path):
        return settle(socket=str(path)).source

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(short_path / "dead"))
    listener.close()
    assert "a dead daemon left its socket" in reason(short_path / "dead")
    assert "socket path too long (200 > 107)" in reason("/" + "x" * 199)
    assert "uid" not in reason(short_path / "none")
    monkeypatch.setattr(socket, "socket", lambda *_: (_ for _ in ()).throw(PermissionError(1, "not permitted")))
    assert "this sandbox forbids Unix sockets" in reason(short_path / "any")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_somebody_outside_the_group_is_told_which_one(fake, short_path):
    short_path.chmod(0o755)
    os.chmod(fake.socket, 0o600)
    # The tree may lie where nobody else can read.
    package = Path(pytest_berth.__file__).parent
    shutil.copytree(package, short_path / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    code = ("import os; os.setuid(65534); from pytest_berth import _namespace as n;"
            f" print(n.resolve(n.Settings(socket={fake.socket!r}), {{}}).warning)")
    told = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True,
                          env={**os.environ, "PYTHONPATH": str(short_path)}, cwd="/").stdout
    assert "uid 65534 may not use it" in told and "usermod -aG berth NAME" in told


def test_a_full_backlog_is_waited_for_and_then_told(short_path):
    import socket

    from pytest_berth import _client

    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(short_path / "s"))
    listener.listen(0)
    fillers = [socket.socket(socket.AF_UNIX) for _ in range(2)]
    for filler in fillers:
        filler.setblocking(False)
        filler.connect_ex(str(short_path / "s"))
    with pytest.raises(_client.DaemonUnavailable, match="backlog full"):
        _client.Connection(str(short_path / "s"), timeout=0.1)
    for each in (listener, *fillers):
        each.close()


def test_a_deaf_daemon_does_not_hang_the_run(fake, settle, monkeypatch):
    monkeypatch.setattr(_namespace, "ANSWER_TIMEOUT", 0.1)
    fake.deaf = True
    assert "berthd is stopped or overloaded" in settle(fake).source


def test_an_exported_lease_deserves_patience(fake, settle):
    """A daemon that is being restarted is back in 0.2 s."""
    import threading

    first = settle(fake)
    environ = {"BERTH_NAMESPACE": first.namespace, "BERTH_LEASE": first.secret}
    first.lifeline.close()
    fake.wait_for(lambda: fake.find(first.namespace).state == "crashed")
    fake.find(first.namespace).state = "live"
    fake.stop()
    threading.Timer(0.2, fake.start).start()
    run = settle(fake, environ)
    assert run.namespace == first.namespace and run.leased


# ---- the life of a lease ----


def test_a_lost_reply_does_not_cost_a_second_lease(fake, settle):
    fake.lose_next_reply = "Acquire"
    run = settle(fake)
    assert [lease.namespace for lease in fake.leases] == [run.namespace]


def test_a_queued_run_waits_and_is_told_its_place(fake, settle, monkeypatch):
    told = []

    def queue_first(client, more, **parameters):
        client.reply({"state": "queued", "position": 3, "holders": []}, continues=True)
        type(fake)._Acquire(fake, client, more, **parameters)

    monkeypatch.setattr(fake, "_Acquire", queue_first)
    assert settle(fake, queued=told.append).leased
    assert [reply["position"] for reply in told] == [3]


def test_the_end_releases_a_lease_of_our_own_with_the_exit_status(fake, settle):
    run = settle(fake, keep=True)
    _namespace.release(run, 1)
    fake.wait_for(lambda: fake.find(run.namespace).state == "released")
    assert (fake.find(run.namespace).exit_status, fake.find(run.namespace).keep) == (1, True)


def test_the_end_leaves_the_runners_lease_to_the_runner(daemon, settle, runner):
    run = settle(daemon, runner.environ)
    _namespace.release(run, 1)
    wait_until(lambda: roles(daemon, run.namespace) == ["runner"])
    assert runtime(daemon, run.namespace)["state"] == "live"


def test_a_restarted_daemon_is_found_again(daemon, settle):
    run = settle(daemon)
    daemon.restart()
    wait_until(lambda: roles(daemon, run.namespace) == ["controller"])
    assert run.lifeline.lost is None
    assert runtime(daemon, run.namespace)["state"] == "live"


def test_a_daemon_that_stays_away_is_waited_for(fake, settle, monkeypatch):
    attempts = []
    run = settle(fake)
    monkeypatch.setattr(_hold, "Connection", lambda path: attempts.append(path) or Connection(path))
    fake.stop()
    wait_until(lambda: len(attempts) >= 3)
    fake.start()
    fake.wait_for(lambda: fake.find(run.namespace).members)


def test_a_revoked_lease_is_known_to_be_lost(fake, settle):
    run = settle(fake)
    fake.revoke(run.namespace, "operator: disk full")
    wait_until(lambda: run.lifeline.lost)
    assert run.lifeline.lost == "operator: disk full"


def test_a_lease_that_ended_while_the_daemon_was_away_is_known_to_be_lost(fake, settle):
    run = settle(fake)
    fake.find(run.namespace).state = "revoked"
    fake.restart()
    wait_until(lambda: run.lifeline.lost)
    assert "no lease" in run.lifeline.lost


def test_a_forked_child_does_not_end_its_parents_lease(fake, settle):
    """As it would by leaving through pytest."""
    run = settle(fake)
    with forked(lambda: _namespace.release(run, 0)):
        assert fake.find(run.namespace).state == "live" and not fake.called("Release")


def test_a_forked_child_closes_its_copy(fake):
    """Else a lease would live as long as the longest child."""
    code = ("import os, sys; from pytest_berth._namespace import Settings, resolve;"
            f" resolve(Settings(socket={fake.socket!r}), {{}});"
            " child = os.fork(); print(child, flush=True) if child else sys.stdin.read(); os._exit(0)")
    with subprocess.Popen([sys.executable, "-c", code], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}) as parent:
        child = int(parent.stdout.readline())
        parent.wait()
        fake.wait_for(lambda: fake.leases[0].state == "crashed")
        os.kill(child, 0)  # still there


def test_a_worker_attaches_with_its_id(daemon, settle):
    run = settle(daemon)
    worker = _namespace.of_worker(run.settings, "gw3", run.namespace, run.socket, run.secret)
    _namespace.attach_worker(worker)
    members = runtime(daemon, run.namespace)["members"]
    assert sorted((member["role"], member.get("worker")) for member in members) == [("controller", None),
                                                                                    ("worker", "gw3")]
    worker.lifeline.close()


def test_a_worker_without_a_daemon_starts_all_the_same(fake, settle):
    run = settle(fake)
    fake.stop()
    worker = _namespace.of_worker(run.settings, "gw3", run.namespace, run.socket, run.secret)
    _namespace.attach_worker(worker)
    fake.start()
    fake.wait_for(lambda: ("worker", "gw3") in fake.find(run.namespace).members.values())
    worker.lifeline.close()


@pytest.mark.parametrize("text,shown", [("pytest -n 8", "pytest -n 8"), ("ä" * 300, "ä" * 100), ("a\x00b\nc", "a b c"),
                                        ("\udcff", " "), ("", None)])
def test_labels_fit(text, shown):
    assert _namespace._label(text) == shown


@pytest.mark.parametrize("seconds,shown", [(0.4, "0 s"), (59, "59 s"), (61, "1 min"), (3 * 3600, "3 h"),
                                           (200000, "2 d"), (-5, "0 s")])
def test_ages_are_readable(seconds, shown):
    assert _namespace._age(seconds) == shown


def test_an_unknown_error_is_still_one_line():
    told = str(RemoteError("io.berth.lease.Surprise", {"why": "so"}))
    assert told.startswith("berth: berthd answers Surprise") and "\n" not in told
