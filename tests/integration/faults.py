# SPDX-License-Identifier: MIT
"""
What happens to servers, under live runs: restarts, crashes, full houses, full lock tables, others in their place.

A Village is a primary, a promoted clone and a standby of it, a pooler, another server, a daemon that sweeps all the
time, and runs: some hold a lease and no session, some are known by their labelled session only and connect again when
they lose it. The schemas of those must outlive everything; those of the dead must be gone when it is over.
"""

import os
import random
import shutil
import signal
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import psycopg2

from cuts import sweep_by_wire
from harness import Pooler, Postgres, Proxy, until
from sweeps import OLD, daemon_over, details, verdicts

GRACE = 2.0  # seconds; a run is back long before


class Run:
    """A live run without a lease: a session under its label, made anew whenever it is lost."""

    def __init__(self, server, number):
        self.server, self.namespace = server, f"p1t1700000001r{number:08x}"
        self.schema = f"test_{self.namespace}_gw0"
        server.make_schema("platform", self.schema)
        self.oid = self.look()
        self.over, self.session = threading.Event(), None
        self.connect()
        self.thread = threading.Thread(target=self._stay, daemon=True)
        self.thread.start()

    def connect(self):
        self.session = self.server.connect("platform", f"pytest_gw0_{self.namespace}")

    def look(self):
        return self.server.sql(f"SELECT oid FROM pg_namespace WHERE nspname = '{self.schema}'")

    def _stay(self):
        while not self.over.wait(0.05):
            try:
                self.session.cursor().execute("SELECT 1")
            except psycopg2.Error:
                with suppress(psycopg2.Error):
                    self.connect()

    def end(self):
        self.over.set()
        self.thread.join()
        self.session.close()


class Village:
    def __init__(self, seed=None):
        self.seed = random.SystemRandom().randrange(1 << 32) if seed is None else seed
        self.chance = random.Random(self.seed)
        self.stack = ExitStack()
        self.n_dead = 0
        self.reasons = set()
        self.complete = self.incomplete = self.dropped = 0
        try:
            self._build()
        except BaseException:
            self.stack.close()
            raise

    def _build(self):
        enter, callback = self.stack.enter_context, self.stack.callback
        self.primary = Postgres("max_connections = 30", "max_locks_per_transaction = 10", databases=["platform"])
        callback(self.primary.remove)
        self.other = Postgres(databases=["elsewhere"])
        callback(self.other.remove)
        self.clone = self.primary.standby()
        callback(self.clone.remove)
        self.clone.promote()
        self.standby = self.primary.standby()
        callback(self.standby.remove)
        folder = Path(tempfile.mkdtemp(prefix="berth-pooler-"))
        callback(shutil.rmtree, folder, True)
        self.pooler = enter(Pooler(self.primary, "platform", folder))
        self.proxy = Proxy(self.primary)
        callback(self.proxy.close)
        where = {"platform": self.proxy.conninfo("platform"), "elsewhere": self.other.conninfo("elsewhere")}
        self.daemon = enter(daemon_over(where, start_grace=f"{GRACE:.0f}s", connect_timeout="2s", lock_timeout="300ms",
                                        statement_timeout="2s"))
        self.runs = [Run(self.primary, number) for number in range(3)]
        for run in self.runs:
            callback(run.end)
        self.wires = [enter(self.daemon.connection()) for _ in range(2)]
        self.leased = []
        for wire in self.wires:
            lease = wire.call("io.berth.lease.Acquire")["parameters"]
            self.leased.append(f"test_{lease['context']['namespace']}_gw0")
            self.primary.make_schema("platform", self.leased[-1])
        self.living = sorted([run.schema for run in self.runs] + self.leased)
        self.settle()

    def settle(self):
        until(lambda: sweep_by_wire(self.daemon)["active_detection_complete"], 60, "a complete census")

    def die(self, count=1):
        """Somebody dies and leaves a schema in both databases."""
        names = []
        for _ in range(count):
            names.append(f"test_{OLD}{self.n_dead:08x}_gw0")
            self.n_dead += 1
            self.primary.make_schema("platform", names[-1])
            self.other.make_schema("elsewhere", names[-1])
        return names

    def sweep(self):
        """One sweep; what it says is checked against what there is."""
        result = sweep_by_wire(self.daemon)
        seen = verdicts(result)
        there = {"platform": self._schemas(), "elsewhere": self.other.schemas("elsewhere")}
        for (database, schema), verdict in seen.items():
            assert verdict != "dropped" or there[database] is None or schema not in there[database], (schema, result)
            assert schema not in self.living or verdict in ("live", "active_detection_incomplete"), (schema, verdict)
        if result["active_detection_complete"]:
            self.complete += 1
        else:
            self.incomplete += 1
            self.reasons |= set(details(result).values())
        self.dropped += list(seen.values()).count("dropped")
        return result

    def refused(self, seconds=0.0):
        """Sweeps, at least once and for so long; nothing may go anywhere. Returns why."""
        reasons, end = set(), time.monotonic() + seconds
        while True:
            result = self.sweep()
            assert not result["active_detection_complete"] and "dropped" not in verdicts(result).values(), result
            reasons |= set(details(result).values())
            if time.monotonic() >= end:
                return reasons

    def check(self):
        """Everybody who lives has what is theirs, and the very same."""
        there = until(lambda: self._schemas(), what="the server's answer")
        assert set(self.living) <= set(there), f"seed {self.seed}: gone: {set(self.living) - set(there)}"
        for run in self.runs:
            assert run.look() == run.oid, f"seed {self.seed}: {run.schema} is another one"

    def _schemas(self):
        with suppress(psycopg2.OperationalError):
            return self.primary.schemas("platform")

    def calm_down(self):
        self.proxy.upstream = self.primary
        self.settle()
        self.check()
        until(lambda: self.sweep() and self._schemas() == self.living and not self.other.schemas("elsewhere"), 40,
              "an end of the dead")

    def close(self):
        self.stack.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- faults; each is over when it returns --

    def restart(self, mode="fast"):
        self.primary.stop(mode)
        self.sweep()
        self.primary.start()

    def immediate(self):
        self.restart("immediate")

    def crash_of_a_backend(self):
        victim, before = self.primary.connect(), self._statistics_since()
        os.kill(victim.info.backend_pid, signal.SIGKILL)
        until(lambda: self._lost(victim), what="the crash")
        until(lambda: self._statistics_since() not in (None, before), what="the server's recovery")

    def _statistics_since(self):
        with suppress(psycopg2.OperationalError):
            return self.primary.sql("SELECT stats_reset FROM pg_stat_archiver")

    @staticmethod
    def _lost(connection):
        try:
            connection.cursor().execute("SELECT 1")
        except psycopg2.Error:
            return True

    def terminate_us(self):
        sweep = threading.Thread(target=self.sweep)
        sweep.start()
        while sweep.is_alive():
            self.primary.sql("""SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                                 WHERE application_name LIKE 'berthd-%' AND random() < 0.3""", "postgres")
        sweep.join()

    def stop_us(self):
        os.kill(self.daemon.process.pid, signal.SIGSTOP)
        os.kill(self.daemon.process.pid, signal.SIGCONT)

    def full_house(self):
        guests = []
        with suppress(psycopg2.OperationalError):
            while True:
                guests.append(self.primary.connect())
        self.sweep()
        for guest in guests:
            guest.close()

    def prepared_transaction(self):
        [name] = self.die()
        self.primary.sql(f"""BEGIN; INSERT INTO "{name}".t0 VALUES (1); PREPARE TRANSACTION '{name}'""")
        self.sweep()
        self.primary.sql(f"ROLLBACK PREPARED '{name}'")

    def locked(self):
        [name] = self.die()
        reader = self.primary.connect()
        reader.autocommit = False
        reader.cursor().execute(f'SELECT * FROM "{name}".t0')
        self.sweep()
        reader.close()

    def locks_full(self):
        hog = self.primary.connect()
        hog.autocommit = False
        with suppress(psycopg2.OperationalError):
            for at in range(0, 100000, 50):
                hog.cursor().execute("SELECT pg_advisory_xact_lock(i) FROM generate_series(%s, %s) i", (at, at + 49))
                hog.cursor().execute("SAVEPOINT so_far")
        self.sweep()
        hog.close()

    def instead(self, server):
        self.proxy.upstream = server
        self.sweep()
        self.proxy.upstream = self.primary

    def clone_instead(self):
        self.instead(self.clone)

    def standby_instead(self):
        self.instead(self.standby)

    def pooler_instead(self):
        self.instead(self.pooler)


# How often which: those that take long are few.
FAULTS = {"restart": 1, "immediate": 1, "crash_of_a_backend": 1, "terminate_us": 4, "stop_us": 1, "full_house": 3,
          "prepared_transaction": 4, "locked": 4, "locks_full": 4, "clone_instead": 1, "standby_instead": 2,
          "pooler_instead": 3}
IN_A_DROP = {"terminate_us", "prepared_transaction", "locked", "locks_full"}  # nothing to disturb in a grace


def random_faults(village, n):
    """n of them; how many of which."""
    counts = dict.fromkeys(FAULTS, 0)
    for fault in village.chance.choices(list(FAULTS), FAULTS.values(), k=n):
        village.die(village.chance.randrange(3))
        if fault in IN_A_DROP:
            village.proxy.upstream = village.primary
            village.settle()
            village.die()
        elif village.chance.random() < 0.5:
            village.sweep()
        getattr(village, fault)()
        counts[fault] += 1
        village.check()
    village.calm_down()
    return counts
