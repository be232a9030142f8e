# SPDX-License-Identifier: MIT
"""A stop takes no longer than what is under way."""

import time

from harness import until
from sweeps import all_there, stale


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
