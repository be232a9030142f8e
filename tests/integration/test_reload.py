# SPDX-License-Identifier: MIT
"""A reload under load: what is held stays held, and a bad configuration changes nothing."""

import signal
import threading

from harness import until

LEASE = "io.berth.lease."
AGAIN = "configuration read again"


class Load:
    """Clients that take leases and slots as fast as they can, over one connection each."""

    def __init__(self, daemon, n=4):
        self.daemon, self.stopping, self.failures, self.n_slots = daemon, False, [], 0
        self.threads = [threading.Thread(target=self._work, args=(i,)) for i in range(n)]
        for thread in self.threads:
            thread.start()

    def _work(self, index):
        try:
            while not self.stopping:
                with self.daemon.connection() as wire:
                    self._expect(wire, "Acquire", {"label": f"client {index}"})
                    for _ in range(5):
                        self._expect(wire, "AcquireSlot", {"database": "tenant2"})
                        self._expect(wire, "ReleaseSlot", {})
                        self.n_slots += 1
                    self._expect(wire, "Release", {})
        except Exception as error:  # told by whoever stops it
            self.failures.append(error)

    @staticmethod
    def _expect(wire, method, parameters):
        reply = wire.call(LEASE + method, parameters)
        assert "error" not in reply, (method, reply)

    def more(self):
        now = self.n_slots
        until(lambda: self.failures or self.n_slots > now + 20, what="progress of the clients")

    def stop(self):
        self.stopping = True
        for thread in self.threads:
            thread.join()
        assert not self.failures, self.failures


def reload(daemon, pattern):
    """SIGHUP, and the log line that it comes to."""
    n = daemon.log.count(pattern)
    daemon.process.send_signal(signal.SIGHUP)
    until(lambda: daemon.log.count(pattern) > n, what=f"log line {pattern!r}")


def hold(daemon, database):
    wire = daemon.connection()
    lease = wire.call(LEASE + "Acquire")["parameters"]
    assert "error" not in wire.call(LEASE + "AcquireSlot", {"database": database})
    return wire, lease["context"]["namespace"]


def test_good_and_bad_reloads_under_load_disturb_nobody(make_daemon):
    daemon = make_daemon()
    load = Load(daemon)
    wire, namespace = hold(daemon, "platform")
    for i in range(10):
        load.more()
        daemon.options["ddl_slots"] = "nonsense" if i % 2 else str(1 + i % 3)
        daemon.write_config()
        reload(daemon, "configuration not replaced" if i % 2 else AGAIN)
    load.more()
    load.stop()
    assert [lease["context"]["namespace"] for lease in daemon.leases()] == [namespace]
    assert "error" not in wire.call(LEASE + "ReleaseSlot")


def test_a_database_comes_and_goes_while_runs_live(make_daemon, databases):
    daemon = make_daemon()
    load = Load(daemon)
    wire, namespace = hold(daemon, "platform")
    tenant1 = daemon.databases.pop("tenant1")
    daemon.write_config()
    reload(daemon, AGAIN)
    assert wire.call(LEASE + "AcquireSlot", {"database": "tenant1"})["error"] == LEASE + "NoSuchDatabase"
    daemon.databases["tenant1"] = tenant1
    platform = daemon.databases.pop("platform")  # in which a slot is held
    daemon.write_config()
    reload(daemon, AGAIN)
    load.more()
    # The same server: what was held there still is.
    with daemon.connection() as other:
        other.call(LEASE + "Acquire")
        assert "error" not in other.call(LEASE + "AcquireSlot", {"database": "tenant1", "timeoutUSec": 5_000_000})
        busy = other.call(LEASE + "AcquireSlot", {"database": "tenant1", "noWait": True})
        assert busy["error"] == LEASE + "Busy"
        other.call(LEASE + "Release")
    daemon.databases["platform"] = platform
    daemon.write_config()
    reload(daemon, AGAIN)
    load.more()
    load.stop()
    assert "error" not in wire.call(LEASE + "ReleaseSlot")
    assert [lease["context"]["namespace"] for lease in daemon.leases()] == [namespace]


def test_a_database_added_while_runs_live_is_swept_like_the_others(make_daemon, databases):
    daemon = make_daemon({"unleased_grace": "0s"}).after_first_sweep()
    wire, namespace = hold(daemon, "platform")
    tenant2 = daemon.databases.pop("tenant2")
    daemon.write_config()
    reload(daemon, AGAIN)
    databases["tenant2"].make_schema("tenant2", f"test_{namespace}_gw0")
    databases["tenant2"].make_schema("tenant2", "test_p999999t1700000000r00000000_gw0")
    daemon.sweep()
    assert len(databases["tenant2"].schemas("tenant2")) == 2
    daemon.databases["tenant2"] = tenant2
    daemon.write_config()
    reload(daemon, AGAIN)
    daemon.sweep()
    assert databases["tenant2"].schemas("tenant2") == [f"test_{namespace}_gw0"]
    wire.close()


def test_a_first_database_takes_the_place_of_the_server_that_was_only_asked_for(make_daemon):
    daemon = make_daemon()
    conninfos, daemon.databases = daemon.databases, {}
    daemon.stop()
    daemon.start()
    assert [c["databases"] for c in daemon.json("status")["clusters"]] == [[]]
    wire, _ = hold(daemon, None)
    with wire:
        daemon.databases = conninfos
        daemon.write_config()
        reload(daemon, AGAIN)
        until(lambda: len(daemon.json("status")["clusters"]) == 3, what="the clusters that are configured")
        wire.call(LEASE + "ReleaseSlot")
        clusters = until(lambda: len(c := daemon.json("status")["clusters"]) == 2 and c, what="the end of the other")
    assert sorted(name for c in clusters for name in c["databases"]) == sorted(conninfos)
