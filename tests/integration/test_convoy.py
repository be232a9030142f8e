# SPDX-License-Identifier: MIT
"""No live reader waits long behind a drop: neither for a table outside that a dead schema's foreign keys reach, nor for
one that it is a partition of."""

import threading
import time
from contextlib import contextmanager

import pytest

from harness import Postgres, until
from sweeps import daemon_over, details, stale, verdicts

BOUND = 0.5


@pytest.fixture(scope="module")
def server():
    server = Postgres(databases=["platform"])
    yield server
    server.remove()


@pytest.fixture
def dead(server):
    """dead(count, tables) makes schemas whose tables refer to public.countries and public.currencies, all of them, and
    are built in such a way that the drop of one takes a while."""
    def make(count, tables):
        for name in server.schemas("platform"):
            server.sql(f'DROP SCHEMA "{name}" CASCADE')
        server.sql("""DROP TABLE IF EXISTS public.countries, public.currencies CASCADE;
                      CREATE TABLE public.countries (id int PRIMARY KEY); INSERT INTO public.countries VALUES (1);
                      CREATE TABLE public.currencies (id int PRIMARY KEY)""")
        names = stale({"platform": server}, count, tables)
        for name in names:
            server.sql(f"""DO $$ BEGIN FOR i IN 0..{tables - 1} LOOP
                EXECUTE format('ALTER TABLE {name}.t%s ADD c int REFERENCES public.countries,
                                ADD m int REFERENCES public.currencies', i); END LOOP; END $$""")
        return names
    return make


class Reader:
    """Reads a table in public all the time, each read a transaction; the longest it took."""

    def __init__(self, server, table):
        self.connection = server.connect("platform", f"reader of {table}")
        self.table, self.longest, self.count = table, 0.0, 0

    def __enter__(self):
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return self

    def run(self):
        cursor = self.connection.cursor()
        while not self.stopped.wait(0.002):
            began = time.monotonic()
            cursor.execute(f"SELECT count(*) FROM public.{self.table}")
            self.longest, self.count = max(self.longest, time.monotonic() - began), self.count + 1

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()
        self.connection.close()


@contextmanager
def idle_in_transaction(server, table, application_name="a debugger"):
    user = server.connect("platform", application_name)
    user.autocommit = False
    user.cursor().execute(f"SELECT * FROM {table}")
    try:
        yield user
    finally:
        user.close()


def test_no_reader_of_a_shared_table_waits_long_for_a_sweep(server, dead):
    with daemon_over({"platform": server.conninfo("platform")}) as daemon:
        names = dead(3, 220)
        with Reader(server, "countries") as one, Reader(server, "currencies") as other:
            assert verdicts(daemon.sweep()) == {("platform", name): "dropped" for name in names}
        print(f"longest read: {one.longest * 1000:.0f} ms, {other.longest * 1000:.0f} ms")
        assert one.count > 100 and max(one.longest, other.longest) < BOUND


def test_no_reader_waits_long_while_somebody_holds_a_shared_table(server, dead):
    with daemon_over({"platform": server.conninfo("platform")}) as daemon:
        names = dead(2, 20)
        with Reader(server, "countries") as one, Reader(server, "currencies") as other:
            with idle_in_transaction(server, "public.currencies"):
                result = daemon.sweep(check=1)
                assert set(verdicts(result).values()) == {"55P03"}
                assert "a debugger" in details(result)["platform", names[0]]
            assert verdicts(daemon.sweep()) == {("platform", name): "dropped" for name in names}
        print(f"longest read: {one.longest * 1000:.0f} ms, {other.longest * 1000:.0f} ms")
        assert one.count > 100 and max(one.longest, other.longest) < BOUND


def test_a_holder_inside_the_schema_does_not_make_readers_of_shared_tables_wait(server, dead):
    with daemon_over({"platform": server.conninfo("platform")}, lock_timeout="2s") as daemon:
        [name] = dead(1, 20)
        with Reader(server, "countries") as one, idle_in_transaction(server, f"{name}.t3", "an editor"):
            result = daemon.sweep(check=1)
            assert verdicts(result) == {("platform", name): "55P03"}
            assert "an editor" in details(result)["platform", name]
        assert one.longest < BOUND
        assert verdicts(daemon.sweep()) == {("platform", name): "dropped"}


def test_a_partition_of_a_shared_table_goes_without_a_wait(server, dead):
    with daemon_over({"platform": server.conninfo("platform")}) as daemon:
        [name] = dead(1, 100)
        server.sql(f"""DROP TABLE IF EXISTS public.events; CREATE TABLE public.events (id int) PARTITION BY LIST (id);
                       CREATE TABLE {name}.e1 PARTITION OF public.events FOR VALUES IN (1)""")
        with Reader(server, "events") as one:
            assert verdicts(daemon.sweep()) == {("platform", name): "dropped"}
        assert one.longest < BOUND


def test_autovacuum_gives_way_inside_also_where_the_schema_reaches_outside(server, dead):
    server.sql("ALTER SYSTEM SET autovacuum_naptime = '1s'; ", "postgres")
    server.sql("SELECT pg_reload_conf()", "postgres")
    # Shorter than deadlock_timeout (1 s): then it is not used.
    with daemon_over({"platform": server.conninfo("platform")}, lock_timeout="300ms") as daemon:
        [name] = dead(1, 1)
        server.sql(f"""ALTER TABLE "{name}".t0 SET (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1,
                                                   autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0);
                       INSERT INTO "{name}".t0 SELECT i, i, repeat('x', 1000), 1 FROM generate_series(1, 20000) i;
                       DELETE FROM "{name}".t0 WHERE id % 2 = 0""")
        until(lambda: server.sql(f"""SELECT 1 FROM pg_locks WHERE relation = '"{name}".t0'::regclass
                                     AND mode = 'ShareUpdateExclusiveLock' AND granted"""), 60, what="autovacuum")
        with Reader(server, "countries") as one:
            assert verdicts(daemon.sweep()) == {("platform", name): "dropped"}
        assert one.longest < BOUND
        assert "lock_timeout is not above the server's deadlock_timeout" in daemon.log
    server.sql("ALTER SYSTEM RESET autovacuum_naptime", "postgres")


# ---- what has failed waits ----


def test_what_has_failed_is_not_tried_again_at_once_but_when_somebody_asks(server, dead):
    with daemon_over({"platform": server.conninfo("platform")}, lock_timeout="1500ms") as daemon:
        one, other = dead(2, 1)
        with idle_in_transaction(server, f"{one}.t0"):
            assert verdicts(daemon.sweep(check=1)) == {("platform", one): "55P03", ("platform", other): "dropped"}
            tries = (server.directory / "log").read_text(errors="replace").count("lock timeout")
            # The end of a lease makes the daemon sweep by itself.
            with daemon.connection() as wire:
                wire.call("io.berth.lease.Acquire", {"namespace": "shortlived"})
                server.make_schema("platform", "test_shortlived_gw0")
                wire.call("io.berth.lease.Release")
            until(lambda: "test_shortlived_gw0" not in server.schemas("platform"), what="the automatic sweep")
            assert (server.directory / "log").read_text(errors="replace").count("lock timeout") == tries
        assert one in server.schemas("platform")
        assert verdicts(daemon.sweep()) == {("platform", one): "dropped"}
