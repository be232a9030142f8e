# SPDX-License-Identifier: MIT
"""
Schemas too big for one transaction, on a server as it comes: they go in batches, and nobody else notices.

A default server says it has room for 6,400 locks (max_locks_per_transaction 64, max_connections 100) and has it for
12,784. A drop needs one for each object that goes.
"""

import threading
from contextlib import contextmanager

import psycopg2
import pytest

from harness import Postgres, until
from sweeps import daemon_over, details, stale, verdicts

SETTINGS = 6400


@pytest.fixture(scope="module")
def server():
    server = Postgres("max_connections = 100", "max_locks_per_transaction = 64", "max_prepared_transactions = 0",
                      databases=["platform"])
    assert server.sql("SHOW max_connections")[0][0] == "100"
    yield server
    server.remove()


@pytest.fixture
def daemon(server):
    """A daemon that has had its first sweep, over a database with nothing in it."""
    for name in server.schemas("platform"):
        while server.sql(f"SELECT 1 FROM pg_tables WHERE schemaname = '{name}' LIMIT 1"):
            server.sql(f"""DO $$ DECLARE t text; BEGIN FOR t IN SELECT tablename FROM pg_tables
                           WHERE schemaname = '{name}' LIMIT 300 LOOP EXECUTE format('DROP TABLE %I.%I CASCADE',
                           '{name}', t); END LOOP; END $$""")
        server.sql(f'DROP SCHEMA "{name}" CASCADE')
    with daemon_over({"platform": server.conninfo("platform")}) as daemon:
        yield daemon


def dead(server, count, statement, first=""):
    """A dead run's schema: the statement count times, %1$s is the number, %2$s the schema; 200 a transaction."""
    [name] = stale({"platform": server}, 1, tables=0)
    if first:
        server.sql(first.format(name))
    fill(server, name, count, statement)
    return name


def fill(server, schema, count, statement):
    server.sql(f"""
        DO $$ BEGIN
            FOR i IN 1..{count} LOOP
                EXECUTE format('{statement}', i, '{schema}');
                IF i % 200 = 0 THEN COMMIT; END IF;
            END LOOP;
        END $$""")


TABLE = "CREATE TABLE %2$s.t%1$s (id serial PRIMARY KEY, a int, b text)"


class Sampler:
    """The most locks that one session of the daemon held at once, and all sessions together."""

    def __init__(self, server):
        self.server, self.most, self.all = server, 0, 0

    def __enter__(self):
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return self

    def run(self):
        connection = self.server.connect("platform", "sampler")
        cursor = connection.cursor()
        while not self.stopped.wait(0.01):
            cursor.execute("""SELECT coalesce(max(n) FILTER (WHERE a.application_name LIKE 'berthd-%'), 0), sum(n)
                                FROM (SELECT pid, count(*) AS n FROM pg_locks WHERE NOT fastpath GROUP BY pid) l
                                JOIN pg_stat_activity a USING (pid)""")
            most, everybody = cursor.fetchone()
            self.most, self.all = max(self.most, most), max(self.all, everybody or 0)
        connection.close()

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()


@contextmanager
def building(server, daemon):
    """A live run that builds and drops 100 tables again and again, each time under a slot; yields what went wrong."""
    stopped, wrong, builds = threading.Event(), [], [0]

    def build():
        with daemon.connection() as wire:
            wire.call("io.berth.lease.Acquire", {"namespace": "builder"})
            while not stopped.is_set():
                answer = wire.call("io.berth.lease.AcquireSlot", {"worker": "gw0", "database": "platform"})
                if "error" in answer:
                    wrong.append(answer)
                    return
                try:
                    server.make_schema("platform", "test_builder_gw0", 100)
                    server.sql("DROP SCHEMA test_builder_gw0 CASCADE")
                    builds[0] += 1
                except Exception as error:
                    wrong.append(error)
                wire.call("io.berth.lease.ReleaseSlot", {"grant": answer["parameters"]["grant"]})

    thread = threading.Thread(target=build)
    thread.start()
    until(lambda: builds[0] or wrong, what="a first build")
    try:
        yield wrong, builds
    finally:
        stopped.set()
        thread.join()


def test_five_thousand_tables_go_and_nobody_lacks_a_lock(server, daemon):
    schema = dead(server, 5000, TABLE)
    with building(server, daemon) as (wrong, builds), Sampler(server) as seen:
        before = builds[0]
        result = daemon.sweep()
        during = builds[0] - before
    assert verdicts(result)["platform", schema] == "dropped"
    assert schema not in server.schemas("platform")
    assert not wrong
    assert during >= 5, "the sweep did not give way"
    print(f"most locks of the drop {seen.most}, of all {seen.all}; {during} builds of 100 tables meanwhile")
    assert 500 < seen.most < SETTINGS / 2
    assert "out of shared memory" not in (server.directory / "log").read_text(errors="replace")


def test_what_one_transaction_cannot_drop_goes_in_several(server, daemon):
    schema = dead(server, 800, TABLE + "; CREATE INDEX ON %2$s.t%1$s (a); "
                  "ALTER TABLE %2$s.t%1$s ADD p int REFERENCES %2$s.t%1$s")
    with Sampler(server) as seen:
        assert verdicts(daemon.sweep()) == {("platform", schema): "dropped"}
    assert seen.most < SETTINGS / 2


KINDS = {
    "functions": "CREATE FUNCTION %2$s.f%1$s(int) RETURNS int LANGUAGE sql AS ''SELECT 1''",
    "views": "CREATE VIEW %2$s.v%1$s AS SELECT 1 AS a FROM %2$s.base",
    "partitions": "CREATE TABLE %2$s.p%1$s PARTITION OF %2$s.parted FOR VALUES IN (%1$s)",
    "columns of one type": "CREATE TABLE %2$s.c%1$s (a %2$s.mood, id int PRIMARY KEY REFERENCES %2$s.base)",
}


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_there_is_too_much_of_goes(server, daemon, kind):
    schema = dead(server, 6000 if kind == "functions" else 2000, KINDS[kind],
                  """CREATE TABLE {0}.base (id int PRIMARY KEY); CREATE TYPE {0}.mood AS ENUM ('sad');
                     CREATE TABLE {0}.parted (id int) PARTITION BY LIST (id)""")
    with Sampler(server) as seen:
        assert verdicts(daemon.sweep()) == {("platform", schema): "dropped"}
    assert 100 < seen.most < SETTINGS / 2


@contextmanager
def nearly_full_lock_table(server, spare):
    """Somebody holds advisory locks until there is room for that many more only."""
    hog = server.connect("platform", "hog")
    hog.autocommit = False
    cursor = hog.cursor()
    n, step = 0, 1000
    while step:
        cursor.execute("SAVEPOINT s")
        try:
            cursor.execute(f"SELECT count(pg_advisory_xact_lock(i)) FROM generate_series({n + 1}, {n + step}) i")
            n += step
        except psycopg2.errors.OutOfMemory:
            cursor.execute("ROLLBACK TO s")
            step //= 2
    hog.rollback()
    cursor.execute(f"SELECT count(pg_advisory_xact_lock(i)) FROM generate_series(1, {n - spare}) i")
    try:
        yield
    finally:
        hog.close()


def test_where_others_fill_the_lock_table_it_goes_in_ever_smaller_batches(server, daemon):
    schema = dead(server, 100, TABLE)
    with nearly_full_lock_table(server, 200):
        before = (server.directory / "log").read_text(errors="replace").count("out of shared memory")
        assert verdicts(daemon.sweep()) == {("platform", schema): "dropped"}
        refused = (server.directory / "log").read_text(errors="replace").count("out of shared memory") - before
    assert 1 <= refused < 15


def tables(server, schema):
    return server.sql(f"SELECT count(*) FROM pg_tables WHERE schemaname = '{schema}'")[0][0]


def test_a_daemon_killed_between_two_batches_goes_on_in_its_next_life(server, daemon):
    with daemon.connection() as wire:
        wire.call("io.berth.lease.Acquire", {"namespace": "victim"})
        server.sql("CREATE SCHEMA test_victim_gw0")
        fill(server, "test_victim_gw0", 2000, TABLE)
        wire.call("io.berth.lease.Release")
    until(lambda: tables(server, "test_victim_gw0") < 2000, what="a first batch")
    daemon.process.kill()
    daemon.process.wait()
    assert 0 < tables(server, "test_victim_gw0") < 2000
    daemon.options["start_grace"] = "3s"
    daemon.start()
    with daemon.connection() as wire:
        # Half a schema is granted to nobody, also not to who asks for its name.
        answer = wire.call("io.berth.lease.Acquire", {"namespace": "victim", "noWait": True})
        assert answer.get("error") == "io.berth.lease.Busy", answer
    with daemon.connection() as wire:
        answer = wire.call("io.berth.lease.Acquire", {"namespace": "victim"})
        assert answer["parameters"]["state"] == "granted"
        assert "test_victim_gw0" not in server.schemas("platform")


def test_a_stop_between_two_batches_leaves_the_rest_to_the_next_life(server, daemon):
    schema = dead(server, 2000, TABLE)
    sweep = daemon.start_sweep()
    until(lambda: tables(server, schema) < 2000, what="a first batch")
    daemon.stop()
    sweep.communicate(timeout=60)
    assert 0 < tables(server, schema) < 2000
    assert server.sql(f"SELECT obj_description('{schema}'::regnamespace)") == [("berth: being dropped",)]
    daemon.start()
    until(lambda: schema not in server.schemas("platform"), 60, "the end of the drop")
