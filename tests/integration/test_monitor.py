# SPDX-License-Identifier: MIT
"""The subscription behind live screens: everything at once, then again when it has changed, and nothing in between."""

import socket
import threading

import pytest

from harness import Daemon, until

LEASE, MANAGE = "io.berth.lease.", "io.berth.manage."


@pytest.fixture(scope="module")
def daemon(clusters):
    for name, server in (("platform", clusters[0]), ("tenant2", clusters[1])):
        for schema in server.schemas(name):
            server.sql(f'DROP SCHEMA "{schema}" CASCADE', name)
    daemon = Daemon({"platform": clusters[0].conninfo("platform"), "tenant2": clusters[1].conninfo("tenant2")})
    yield daemon.after_first_sweep()
    daemon.remove()


class Watcher:
    def __init__(self, daemon):
        self.wire = daemon.connection()
        self.wire.send(MANAGE + "Monitor", more=True)
        self.n = 0

    def next(self):
        reply = self.wire.receive()
        assert reply["continues"], reply
        self.n += 1
        return reply["parameters"]

    def wait_for(self, look):
        """The first telling of which it is true."""
        while True:
            told = self.next()
            if look(told):
                return told


@pytest.fixture
def watcher(daemon):
    watcher = Watcher(daemon)
    yield watcher
    watcher.wire.close()


def namespaces(told):
    return {lease["namespace"] for lease in told["leases"]}


def acquire(daemon, **parameters):
    wire = daemon.connection()
    context = wire.call(LEASE + "Acquire", parameters)["parameters"]["context"]
    return wire, context["namespace"]


def test_the_first_telling_is_whole_and_the_next_has_what_has_changed(daemon, watcher):
    first = watcher.next()
    status = daemon.connection().call(MANAGE + "GetStatus")["parameters"]
    assert first["status"].keys() == status.keys() - {"lastSweep"}
    assert first["leases"] == [] and first["sweep"]["complete"] and first["sweep"]["failed"] == 0
    wire, namespace = acquire(daemon, label="pytest -n 8")
    told = watcher.wait_for(lambda t: namespaces(t) == {namespace})
    lease, = told["leases"]
    assert (lease["label"], lease["state"], lease["members"], lease["connected"]) == ("pytest -n 8", "live", 1, 1)
    wire.close()
    with daemon.connection() as other:
        other.call(MANAGE + "Revoke", {"namespace": namespace})
    watcher.wait_for(lambda t: not t["leases"])


def test_slots_and_waiters_are_told(daemon, watcher):
    wires = [acquire(daemon)[0] for _ in range(3)]
    for wire in wires:
        wire.send(LEASE + "AcquireSlot", {"database": "platform"})
    told = watcher.wait_for(lambda t: any(cluster["waiters"] for cluster in t["status"]["clusters"]))
    cluster, = (cluster for cluster in told["status"]["clusters"] if "platform" in cluster["databases"])
    assert (len(cluster["holders"]), len(cluster["waiters"]), told["status"]["queued"]) == (2, 1, 1)
    for lease in told["leases"]:
        with daemon.connection() as other:
            other.call(MANAGE + "Revoke", {"namespace": lease["namespace"]})
    for wire in wires:
        wire.close()
    watcher.wait_for(lambda t: not any(cluster["waiters"] for cluster in t["status"]["clusters"]))


def test_many_changes_make_few_tellings(daemon, watcher):
    watcher.next()
    before = watcher.n
    for _ in range(200):
        with daemon.connection() as wire:
            wire.call(LEASE + "Acquire")
            wire.call(LEASE + "Release")
    wire, namespace = acquire(daemon)
    watcher.wait_for(lambda t: namespaces(t) == {namespace})
    assert watcher.n - before < 20
    wire.call(LEASE + "Release")
    wire.close()


def test_who_blocks_whom_and_how_much_a_run_has_is_told_while_somebody_watches(daemon, clusters, watcher):
    wire, namespace = acquire(daemon)
    server = clusters[0]
    server.make_schema("platform", f"test_{namespace}_gw0")
    blocker = server.connect("platform", application_name=f"pytest_gw0_{namespace}")
    blocked = server.connect("platform", application_name=f"pytest_gw1_{namespace}")
    with blocker.cursor() as cursor:
        cursor.execute(f"BEGIN; LOCK TABLE test_{namespace}_gw0.t0")
    waiting = threading.Thread(target=lambda: blocked.cursor().execute(f"BEGIN; LOCK TABLE test_{namespace}_gw0.t0"), daemon=True)
    waiting.start()
    told = watcher.wait_for(lambda t: t["locks"])
    pair, = told["locks"]
    assert (pair["database"], pair["blocked"]["worker"], pair["blocker"]["worker"]) == ("platform", "gw1", "gw0")
    lease = watcher.wait_for(lambda t: t["leases"] and t["leases"][0].get("sessions") == 2)["leases"][0]
    assert lease["schemas"] == 1
    metrics = daemon.berth("metrics", check=0).stdout
    assert 'berth_lock_blocked_backends{database="platform"} 1\n' in metrics
    assert 'berth_lock_blocked_backends{database="tenant2"} 0\n' in metrics
    blocker.close()
    waiting.join(30)
    blocked.close()
    watcher.wait_for(lambda t: not t["locks"])
    wire.call(LEASE + "Release")
    wire.close()


def test_a_scrape_asks_who_blocks_whom_for_the_next_one(daemon):
    daemon.stop()
    daemon.start()
    assert "lock_blocked_backends{" not in daemon.berth("metrics").stdout
    until(lambda: 'berth_lock_blocked_backends{database="platform"} 0\n' in daemon.berth("metrics").stdout, what="the answer")


def test_whoever_does_not_read_gets_the_latest_and_holds_up_nobody(daemon):
    slow, quick = Watcher(daemon), Watcher(daemon)
    slow.wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    wires = [acquire(daemon, label="x" * 200)[0] for _ in range(200)]
    quick.wait_for(lambda t: len(t["leases"]) == 200)
    for wire in wires:
        wire.call(LEASE + "Release")
        wire.close()
    quick.wait_for(lambda t: not t["leases"])
    slow.wait_for(lambda t: not t["leases"] and slow.n > 1)
    assert slow.n <= quick.n + 1
    for one in (slow, quick):
        one.wire.close()


def test_there_is_a_bound_on_watchers(daemon):
    watchers = [Watcher(daemon) for _ in range(32)]
    for one in watchers:
        one.next()
    with daemon.connection() as wire:
        reply = wire.call(MANAGE + "Monitor", more=True)
        assert reply["error"] == LEASE + "LimitReached" and reply["parameters"] == {"limit": "watchers", "value": 32}
        assert wire.call(MANAGE + "Monitor")["error"] == "org.varlink.service.ExpectedMore"
    watchers.pop().wire.close()

    def is_let_in():
        with daemon.connection() as wire:
            return "error" not in wire.call(MANAGE + "Monitor", more=True)

    until(is_let_in, what="the place of the one that has left")
    for one in watchers:
        one.wire.close()
