# SPDX-License-Identifier: MIT
"""A stop takes no longer than what is under way."""

import signal
import time

from harness import Proxy, until
from sweeps import all_there, stale

LEASE = "io.berth.lease."


def test_a_stop_does_not_wait_for_the_slot_of_a_drop(make_daemon, databases):
    daemon = make_daemon({"unleased_grace": "0s", "ddl_slots": "1"}).after_first_sweep()
    with daemon.connection() as run:
        grant = run.call("io.berth.lease.Acquire", {"label": "holds every slot"})["parameters"]
        held = {"namespace": grant["context"]["namespace"], "secret": grant["secret"]}
        for database in databases:
            run.call("io.berth.lease.AcquireSlot", {**held, "database": database, "noWait": True})
        names = stale(databases)
        sweep = daemon.start_sweep()
        until(lambda: any(c["waiters"] for c in daemon.json("status")["clusters"]), what="a drop that waits")
        began = time.monotonic()
        daemon.stop()
        assert time.monotonic() - began < 10  # it was 15, and a claim stood
        sweep.communicate()
    assert all_there(databases, names)


def test_a_stop_waits_for_a_drop_in_flight_and_leases_and_slots_are_there_afterwards(make_daemon, databases, clusters):
    proxy = Proxy(clusters[0])
    daemon = make_daemon({"unleased_grace": "0s", "ddl_slots": "1", "start_grace": "2s"},
                         platform=proxy.conninfo("platform")).after_first_sweep()
    try:
        run, other = daemon.connection(), daemon.connection()
        lease = run.call(LEASE + "Acquire")["parameters"]
        slot = run.call(LEASE + "AcquireSlot", {"database": "tenant2"})["parameters"]
        other.call(LEASE + "Acquire", {"label": "waits"})
        other.send(LEASE + "AcquireSlot", {"database": "tenant2"})
        names = stale({"platform": databases["platform"]})
        with proxy.hold("DROP SCHEMA") as dropping:
            sweep = daemon.start_sweep("platform")
            assert dropping.wait(30)
            daemon.process.send_signal(signal.SIGTERM)
            daemon.wait_for_log("stopping: ")
            assert daemon.process.poll() is None
        daemon.stop()
        sweep.communicate()
        assert not set(names) & set(databases["platform"].schemas("platform"))

        daemon.start()
        with daemon.connection() as again:
            who = {"namespace": lease["context"]["namespace"], "secret": lease["secret"]}
            assert "error" not in again.call(LEASE + "Attach", who)
            same = again.call(LEASE + "AcquireSlot", {"database": "tenant2", "reclaim": slot["grant"]})["parameters"]
            assert (same["grant"], same["slot"]) == (slot["grant"], slot["slot"])
    finally:
        proxy.close()
