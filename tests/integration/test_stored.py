# SPDX-License-Identifier: MIT
"""Under a service manager that stores descriptors, clients of a daemon that dies keep their connections."""

import os
import select
import subprocess

import pytest

from harness import PYTHON, until
from manager import Managed

LEASE, MANAGE = "io.berth.lease", "io.berth.manage"


@pytest.fixture
def managed(databases):
    daemon = Managed({name: server.conninfo(name) for name, server in databases.items()})
    yield daemon
    daemon.remove()


class Run:
    """A lease, held by an open call, as berth run holds it."""

    def __init__(self, daemon, more=True):
        self.daemon = daemon
        self.wire = daemon.connection()
        granted = self.wire.call(f"{LEASE}.Acquire", {"label": "stored"}, more=more)["parameters"]
        self.namespace, self.secret = granted["context"]["namespace"], granted["secret"]

    def settle(self):
        """A kill between the reply and the daemon's next step would be a kill with a call in work."""
        self.daemon.json("status")

    @property
    def key(self):
        return {"namespace": self.namespace, "secret": self.secret}

    def slot(self, more=True, database="platform", **parameters):
        wire = self.daemon.connection()
        return wire, wire.call(f"{LEASE}.AcquireSlot", {**self.key, "database": database, **parameters}, more=more)


def runtime(daemon, namespace):
    [lease] = [x for x in daemon.leases() if x["context"]["namespace"] == namespace]
    return lease["runtime"]


def holders(daemon):
    return sorted((c["systemIdentifier"], h["slot"], h["namespace"])
                  for c in daemon.json("status")["clusters"] for h in c["holders"])


def is_open(wire):
    """Nothing has come, and nobody has hung up."""
    return not wire.has_answer()


def is_closed(wire):
    """Whatever has come before the end is thrown away."""
    try:
        return bool(select.select([wire.socket], [], [], 0)[0]) and wire.socket.recv(65536) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("how", ["kill", "stop"])
def test_holds_go_on_and_nobody_notices(managed, how):
    run, other = Run(managed), Run(managed)
    slot, granted = run.slot()
    worker = managed.connection()
    worker.call(f"{LEASE}.Attach", {**run.key, "role": "worker", "worker": "gw1"}, more=True)
    before = runtime(managed, run.namespace), holders(managed)
    written(managed, granted)
    for _ in range(3):
        managed.restart(how)
        assert all(map(is_open, [run.wire, other.wire, slot, worker]))
        after = until(lambda: holders(managed) == before[1] and runtime(managed, run.namespace), what="the slot")
        assert after["state"] == "live" and all(m["connected"] for m in after["members"])
        assert [m["process"] for m in after["members"]] == [m["process"] for m in before[0]["members"]]
    # The streams of these calls are those of the calls: their ends still arrive.
    _, second = other.slot()
    assert second["parameters"]["state"] == "granted" and second["parameters"]["slot"] == 1
    waiter, queued = other.slot()
    assert queued["parameters"]["state"] == "queued"
    with managed.connection() as aside:
        aside.call(f"{LEASE}.ReleaseSlot", {**run.key, "grant": granted["parameters"]["grant"]})
        assert slot.receive()["parameters"]["state"] == "released"
        assert waiter.receive()["parameters"]["state"] == "granted"
        aside.call(f"{LEASE}.Release", run.key)
        assert run.wire.receive()["parameters"]["state"] == "released"
        aside.call(f"{MANAGE}.Revoke", {"namespace": other.namespace, "reason": "enough"})
        assert other.wire.receive()["parameters"] == {"state": "revoked", "reason": "enough"}


def written(daemon, granted):
    """Slots are written behind; here it is about what is on record."""
    grant = granted["parameters"]["grant"]
    ask = ["sqlite3", "-readonly", daemon.state / "ledger.db", f'SELECT count(*) FROM slot WHERE "grant" = {grant}']
    until(lambda: subprocess.run(ask, capture_output=True, text=True).stdout.strip() == "1", what="the slot's row")


def test_an_idle_connection_goes_on_too(managed):
    run = Run(managed, more=False)
    granted = run.wire.call(f"{LEASE}.AcquireSlot", {"database": "tenant2"})
    written(managed, granted)
    managed.kill()
    run.wire.send(f"{LEASE}.ReleaseSlot", {"grant": granted["parameters"]["grant"]})  # while nobody is there
    managed.start()
    assert "error" not in run.wire.receive()
    again = run.wire.call(f"{LEASE}.AcquireSlot", {"database": "tenant2"})
    assert again["parameters"].get("state") == "granted", again
    assert "error" not in run.wire.call(f"{LEASE}.Release")


def test_who_had_asked_and_got_no_answer_is_hung_up_on(managed):
    one, two = Run(managed), Run(managed)
    first, second = one.slot(), two.slot()
    waiting = Run(managed, more=False)
    waiting.wire.send(f"{LEASE}.AcquireSlot", {"database": "platform"})
    watching = Run(managed, more=False)
    watching.wire.call(f"{MANAGE}.ListLeases", {"subscribe": True}, more=True)
    torn = Run(managed, more=False)
    torn.wire.socket.sendall(b'{"method":"io.berth.lease.Rel')
    behind = Run(managed)
    behind.wire.send(f"{LEASE}.Release")  # waits behind the open call, and is read
    until(lambda: managed.json("status")["clusters"][0]["waiters"] or managed.json("status")["clusters"][-1]["waiters"])
    with managed.connection() as aside:
        aside.call(f"{MANAGE}.GetStatus")
    managed.restart()
    for what, run in {"waiting": waiting, "watching": watching, "torn": torn, "behind": behind}.items():
        until(lambda: is_closed(run.wire), what=f"the end of the connection that was {what}")
        assert runtime(managed, run.namespace)["state"] == "recovering"
        back = managed.connection()
        attached = back.call(f"{LEASE}.Attach", run.key, more=True)["parameters"]
        assert attached["state"] == "granted"
        assert runtime(managed, run.namespace)["state"] == "live"
        run.back = back
    assert is_open(one.wire) and is_open(first[0]) and is_open(second[0])


def test_who_holds_nothing_is_not_stored(managed):
    idle = managed.connection()
    idle.call(f"{MANAGE}.GetStatus")
    assert managed.connections() == []
    run = Run(managed, more=False)
    until(lambda: len(managed.connections()) == 1, what="the connection in the store")
    run.wire.call(f"{LEASE}.AcquireSlot", {"database": "platform"})
    run.wire.call(f"{LEASE}.ReleaseSlot")
    run.wire.call(f"{LEASE}.Release")
    until(lambda: managed.connections() == [], what="an empty store")
    assert run.wire.call(f"{MANAGE}.GetStatus")
    with managed.connection() as gone:
        gone.call(f"{LEASE}.Acquire", {}, more=True)
        until(lambda: len(managed.connections()) == 1, what="the connection in the store")
    until(lambda: managed.connections() == [], what="an empty store")


def test_who_died_meanwhile_is_missed(managed):
    code = """
import json, socket, sys
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])
s.sendall(json.dumps({"method": "io.berth.lease.Acquire", "more": True}).encode() + b"\\0")
print(s.recv(65536).rstrip(b"\\0").decode(), flush=True); sys.stdin.read()
"""
    with subprocess.Popen([PYTHON, "-c", code, managed.socket], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as client:
        assert b"granted" in client.stdout.readline()
        lives = Run(managed)
        lives.settle()
        until(lambda: len(managed.connections()) == 2, what="both in the store")
        managed.kill()
        client.kill()
        client.wait(30)
    managed.start()
    assert [x["context"]["namespace"] for x in managed.leases()] == [lives.namespace]
    assert is_open(lives.wire)


def test_a_store_that_was_emptied_is_as_none(managed):
    run = Run(managed)
    until(lambda: len(managed.connections()) == 1, what="the connection in the store")
    managed.kill()
    for name in list(managed.store):
        os.close(managed.store.pop(name))
    managed.start()
    until(lambda: is_closed(run.wire), what="the end of the connection")
    assert runtime(managed, run.namespace)["state"] == "recovering"


def test_what_cannot_be_told_apart_is_hung_up_on(managed):
    """Stored connections without the table that says what they hold: of another version, or damaged."""
    run = Run(managed)
    until(lambda: len(managed.connections()) == 1, what="the connection in the store")
    managed.kill()
    os.pwrite(managed.store["holds"], b"something else", 0)
    managed.start()
    until(lambda: is_closed(run.wire), what="the end of the connection")
    until(lambda: managed.connections() == [], what="an empty store")
    assert runtime(managed, run.namespace)["state"] == "recovering"
    again = Run(managed)
    again.settle()
    managed.restart()
    assert is_open(again.wire)
