# SPDX-License-Identifier: MIT
"""What --json prints, of every verb, by the real daemon in states worth looking at, against docs/schema."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading

import pytest

from harness import BERTH, Daemon, until
from said import check_object, check_run, validate

LEASE = "io.berth.lease."
LONG = "n" * 32


@pytest.fixture(scope="module")
def daemon(clusters):
    """Two live runs, one of them building and one waiting to; a lease in the queue; ended ones; a database that is away."""
    main, other = clusters
    away = "host=127.0.0.1 port=1 dbname=x user=postgres"
    daemon = Daemon({"platform": main.conninfo("platform"), "tenant1": main.conninfo("tenant1"),
                     "tenant2": other.conninfo("tenant2"), "away": away},
                    max_leases="4", ddl_slots="1", unleased_grace="0s").after_first_sweep()
    for server, database, schema in ((main, "platform", "test_onlook_gw0"), (other, "tenant2", "test_stranger_gw0")):
        server.make_schema(database, schema)
    yield daemon
    for server, name in ((main, "platform"), (main, "tenant1"), (other, "tenant2")):
        for schema in server.schemas(name):
            server.sql(f'DROP SCHEMA "{schema}" CASCADE', name)
    daemon.remove()


class Busy(str):
    """The namespace of the first run, and what another connection needs to carry it."""


@pytest.fixture(scope="module")
def busy(daemon):
    """Connections that hold and wait; the namespace of the first run."""
    wires = [daemon.connection() for _ in range(6)]
    first, second, worker, third, fourth, long = wires
    held = first.call(LEASE + "Acquire", {"label": "nightly; pytest -n 8"})["parameters"]
    namespace = held["context"]["namespace"]
    second.call(LEASE + "Acquire", {"namespace": "onlook", "role": "controller"})
    busy = Busy(namespace)
    busy.lease = {"namespace": namespace, "secret": held["secret"]}
    worker.call(LEASE + "Attach", {**busy.lease, "role": "worker", "worker": "gw0"})
    daemon.berth("run", "--keep", "true", check=0)
    third.call(LEASE + "Acquire", {"namespace": "third"})
    long.call(LEASE + "Acquire", {"namespace": LONG, "label": "a label that goes on and on; " * 6})
    fourth.send(LEASE + "Acquire", {"namespace": "fourth"})
    first.call(LEASE + "AcquireSlot", {"database": "platform", "worker": "gw3"})
    second.send(LEASE + "AcquireSlot", {"database": "tenant1"})
    until(lambda: daemon.json("status")["queued"] == 2, what="both queues")
    yield busy
    for wire in wires:
        wire.close()


def on_terminal(daemon, *words, columns=80, **more):
    """The lines that a terminal of 80 columns gets, and sees unwrapped."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = daemon.environment(LC_ALL="C.UTF-8", TERM="xterm", **more)
    process = subprocess.Popen([BERTH, *words], env=environment, stdin=subprocess.DEVNULL, stdout=theirs)
    os.close(theirs)
    text = b""
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # nobody writes any more
            break
        if not chunk:
            break
        text += chunk
    os.close(ours)
    process.wait(60)
    lines = [re.sub("\x1b\\[[0-9;]*m", "", line) for line in text.decode().splitlines()]
    assert all(len(line) <= columns for line in lines), lines
    assert "NO_COLOR" not in more or "\x1b" not in text.decode()
    assert "NO_COLOR" in more or words[0] == "explain" or "\x1b[" in text.decode()
    return lines


def printed(daemon, schema, *words, check=0):
    return validate(schema, daemon.json(*words, check=check))


ATTACH = """import json, sys; from harness import Wire; wire = Wire(sys.argv[1])
print(json.dumps(wire.call("io.berth.lease.Attach", json.loads(sys.argv[2]))), flush=True); sys.stdin.read()"""


def test_who_is_refused_as_second_controller_is_told_of_the_first_and_not_of_the_runner(daemon):
    with daemon.connection() as runner, daemon.connection() as other:
        held = runner.call(LEASE + "Acquire", {"namespace": "second"})["parameters"]
        carried = {"namespace": "second", "secret": held["secret"], "role": "controller"}
        with subprocess.Popen([sys.executable, "-c", ATTACH, daemon.socket, json.dumps(carried)], text=True,
                              cwd=os.path.dirname(__file__), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
            assert "error" not in json.loads(first.stdout.readline())
            refused = other.call(LEASE + "Attach", carried)
        assert refused["error"] == LEASE + "AlreadyAttached"
        assert refused["parameters"]["holder"]["process"]["pid"] == first.pid
        runner.call(LEASE + "Release")


def test_status(daemon, busy):
    status = printed(daemon, "status", "status")
    [cluster] = [one for one in status["clusters"] if "platform" in one["databases"]]
    assert cluster["holders"] and cluster["waiters"] and not status["activeDetectionComplete"]
    assert [one["name"] for one in status["databases"] if not one["reachable"]] == ["away"]
    assert printed(daemon, "status_namespace", "status", busy)["runtime"]["members"]
    assert printed(daemon, "status_namespace", "status", "fourth")["runtime"]["position"] == 1


def test_list(daemon, busy):
    leases = printed(daemon, "list", "list", "--all")["leases"]
    assert {"live", "queued", "released"} <= {lease["runtime"]["state"] for lease in leases}
    assert any(lease["runtime"].get("keptUntilUSec") for lease in leases)
    assert all("action" not in lease for lease in leases)


def test_list_watch(daemon, busy):
    watch = subprocess.Popen([BERTH, "list", "--watch", "--json"], env=daemon.environment(), text=True,
                             stdout=subprocess.PIPE)
    try:
        seen = []
        while "ready" not in seen:
            seen.append(validate("list_watch", json.loads(watch.stdout.readline()))["action"])
        assert seen.count("add") >= 3
        with daemon.connection() as wire:
            wire.call(LEASE + "Attach", {**busy.lease, "role": "worker", "worker": "gw1"})
            assert validate("list_watch", json.loads(watch.stdout.readline()))["action"] == "change"
    finally:
        watch.kill()
        watch.wait()


def look(daemon, busy, lock):
    """The same as a graph, and as people see it."""
    boxes, arrows = {}, []
    for line in daemon.berth("locks", "platform", "--dot", check=0).stdout.splitlines()[4:-1]:
        arrow = re.fullmatch(r'  "(.+)" -> "(.+)" \[label="(relation .+)"\];', line)
        box = re.fullmatch(r'  "(.+)" \[label="(.+)", fillcolor=(\w+)\];', line)
        assert arrow or box, line
        if arrow:
            arrows.append(arrow.groups())
        else:
            boxes[box[1]] = box[2]
    assert [(one, other) for one, other, _ in arrows] == [
        (f"platform {lock['blocked']['pid']}", f"platform {lock['blocker']['pid']}")]
    assert set(boxes) == set(arrows[0][:2])
    assert [boxes[one].split("\\n")[0] for one in arrows[0][:2]] == ["gw0 of onlook", f"gw3 of {busy}"]
    assert on_terminal(daemon, "locks", "platform")[0].startswith("platform: gw0 of onlook (pid ")


def test_a_prepared_transaction_is_somebodys_too(daemon, busy, clusters):
    server = clusters[0]
    server.sql("BEGIN; LOCK TABLE test_onlook_gw0.t0; PREPARE TRANSACTION 'left \"over\"'", "platform")
    waiter = threading.Thread(target=server.sql, args=("SELECT * FROM test_onlook_gw0.t0",), kwargs={"application_name": "x"})
    waiter.start()
    try:
        until(lambda: daemon.json("locks", "platform")["locks"], what="a lock wait")
        [lock] = printed(daemon, "locks", "locks", "platform")["locks"]
        assert lock["blocker"]["pid"] == 0 and lock["blocker"]["gid"] == 'left "over"'
        assert lock["blocker"]["namespace"] == "onlook" and lock["blocker"]["worker"] == "gw0"
        text = daemon.berth("locks", "platform", check=0).stdout
        assert "behind   gw0 of onlook, prepared transaction left" in text and "ROLLBACK PREPARED 'left" in text
        assert '"platform prepared left \\"over\\""' in daemon.berth("locks", "platform", "--dot", check=0).stdout
    finally:
        server.sql("ROLLBACK PREPARED 'left \"over\"'", "platform")
        waiter.join(60)


def test_locks(daemon, busy, clusters):
    blocker = clusters[0].connect("platform", f"pytest_gw3_{busy}")
    blocker.autocommit = False
    blocker.cursor().execute("LOCK TABLE test_onlook_gw0.t0")
    waiter = threading.Thread(target=clusters[0].sql, args=("SELECT * FROM test_onlook_gw0.t0",),
                              kwargs={"application_name": "pytest_gw0_onlook"})
    waiter.start()
    try:
        until(lambda: daemon.json("locks", "platform")["locks"], what="a lock wait")
        lock = printed(daemon, "locks", "locks", "platform")["locks"][0]
        assert lock["blocked"]["namespace"] == "onlook" and lock["blocker"]["namespace"] == busy
        look(daemon, busy, lock)
    finally:
        blocker.close()
        waiter.join(60)
    assert printed(daemon, "locks", "locks", "tenant1") == {"locks": []}
    assert "database away could not be asked; " in daemon.berth("locks", check=75).stderr
    check_object(daemon.berth("locks", "--json", check=75).stdout, 75)


def test_sweep(daemon, busy):
    for words in (("--dry-run",), ()):
        result = printed(daemon, "sweep", "sweep", *words, check=3)
        reasons = {kept["reason"] for one in result["databases"] for kept in one["kept"]}
        assert reasons == {"active_detection_incomplete"} and not result["active_detection_complete"]
    away = daemon.databases.pop("away")
    try:
        daemon.write_config()
        daemon.process.send_signal(1)
        until(lambda: len(daemon.json("status")["databases"]) == 3, what="the reload")
        assert printed(daemon, "sweep", "sweep", "--dry-run")["databases"][2]["would_drop"] == ["test_stranger_gw0"]
        result = printed(daemon, "sweep", "sweep")
        assert result["databases"][2]["dropped"] == ["test_stranger_gw0"] and result["databases"][0]["kept"]
        assert printed(daemon, "status", "status")["activeDetectionComplete"]
    finally:
        daemon.databases["away"] = away
        daemon.write_config()
        daemon.process.send_signal(1)
        until(lambda: len(daemon.json("status")["databases"]) == 4, what="the reload")


def test_everything_fits_80_columns_and_has_colours_only_on_a_terminal(daemon, busy):
    for words in (["status"], ["status", busy], ["status", LONG], ["list"], ["list", "--all"], ["explain", LONG],
                  ["explain", busy], ["sweep", "--dry-run"]):
        assert on_terminal(daemon, *words), words
        assert "\x1b" not in daemon.berth(*words).stdout
        on_terminal(daemon, *words, NO_COLOR="1")
        assert "\x1b" in daemon.berth("--color", "always", *words).stdout or words[0] == "explain", words
    assert any(LONG in line for line in on_terminal(daemon, "list", NO_COLOR="1"))
    assert len(on_terminal(daemon, "history", NO_COLOR="1")) > 3
    assert any(len(line) > 80 for line in daemon.berth("history").stdout.splitlines())


def test_history(daemon, busy):
    events = printed(daemon, "history", "history")["events"]
    assert len({event["event"] for event in events}) > 3
    assert printed(daemon, "history", "history", "nobody") == {"events": []}


def test_explain(daemon, busy):
    assert printed(daemon, "explain", "explain", busy)["slots"]
    assert printed(daemon, "explain", "explain", "fourth")["standing"] == "queued"
    told = printed(daemon, "explain", "explain", "test_onlook_gw0")
    assert told["schemas"][0]["verdicts"] and told["unheard"] and told["lastSweep"]
    assert printed(daemon, "explain", "explain", "test_gw0")["kind"] == "other"
    assert printed(daemon, "explain", "explain", "pnone", check=1)["standing"] == "nothing"


def test_metrics(daemon, busy):
    assert printed(daemon, "metrics", "metrics")["metrics"]


def test_keep_and_revoke_and_name(daemon, busy):
    assert printed(daemon, "keep", "keep", "onlook", "--for", "3d")["namespace"] == "onlook"
    assert printed(daemon, "revoke", "revoke", "third", "--reason", "in the way") == {"namespace": "third"}
    assert printed(daemon, "name", "name", "gw3", "audit", "--namespace", "pa") == {"name": "test_pa_gw3_audit"}


@pytest.mark.parametrize("words, code, error", [
    (["list", "--watsch"], 64, "Usage"),
    (["locks", "nowhere"], 64, "NoSuchDatabase"),
    (["status", "pnone"], 1, "NoSuchLease"),
    (["revoke", "pnone"], 1, "NoSuchLease"),
    (["keep", "Not a name"], 64, "BadName"),
    (["run", "-n", "true"], 75, "Busy"),
    (["run", "--namespace", "onlook", "true"], 75, "NamespaceInUse"),
    (["slot", "-n", "--database", "platform", "true"], 75, "Busy"),
    (["status", "--socket", "/nonexistent"], 69, "NoDaemon"),
    (["status", "--socket", "/x" * 100], 64, "PathTooLong"),
])
def test_a_failure_is_an_object_and_a_line(daemon, busy, words, code, error):
    shown = daemon.berth(words[0], "--json", *words[1:], check=code)
    check_object(shown.stdout, code)
    assert json.loads(shown.stdout)["error"] == error and shown.stderr == ""
    line = daemon.berth(*words, check=code).stderr
    assert line.startswith("berth: ") and line.count("\n") == 1


@pytest.mark.parametrize("stdout, stderr", [
    ("", "berth: it went wrong\n"),
    ("", "berth: nothing is free; all are in use; try again.\n"),
    ('{"error":"Busy","message":"nothing is free; all are in use","fix":"try again","retryable":false}', ""),
    ('{"error":"Busyness","message":"nothing is free; all are in use","fix":"try again","retryable":true}', ""),
    ('{"error":"Busy","message":"nothing is free","fix":"try again","retryable":true}', ""),
])
def test_a_failure_that_is_none_of_the_documented_is_noticed(stdout, stderr):
    done = subprocess.CompletedProcess([], 75, stdout, stderr)
    with pytest.raises(AssertionError):
        check_run(["/x/berth", "run", "--json", "--", "true"], done)
