# SPDX-License-Identifier: MIT
"""Whatever is written into public while leases live is noticed, and laid to them; nothing else is."""

import signal

import pytest
from harness import Daemon, Postgres, until

LEASE = "io.berth.lease."


@pytest.fixture(scope="module")
def server():
    server = Postgres("log_min_duration_statement = 0", databases=["platform", "tenant1"])
    yield server
    server.remove()


@pytest.fixture(scope="module")
def daemon(server):
    daemon = Daemon({name: server.conninfo(name) for name in server.databases}).after_first_sweep()
    yield daemon
    daemon.remove()


def looks(server):
    """How many looks at public the server has answered, as its log has it."""
    return (server.directory / "log").read_text(errors="replace").count("pg_partition_root")


class Run:
    """A lease that lives."""

    def __init__(self, daemon):
        self.wire = daemon.connection()
        self.namespace = self.wire.call(LEASE + "Acquire")["parameters"]["context"]["namespace"]

    def end(self):
        self.wire.call(LEASE + "Release")
        self.wire.close()


def noticed(daemon):
    return {(one["table"], one["kind"]): one for one in daemon.json("status")["publicWrites"]}


def notice(daemon, server, table):
    """Makes one more table, and waits until it is noticed: all that was there before it has been looked at then."""
    server.sql(f"CREATE TABLE public.{table} (i int)")
    Run(daemon).end()  # so that there is a look soon
    return until(lambda: (found := noticed(daemon)) and (f"public.{table}", "table") in found and found, what=table)


BEFORE = """
CREATE TABLE public.lookup (i int); INSERT INTO public.lookup SELECT generate_series(1, 50);
CREATE TABLE public.parts (i int) PARTITION BY RANGE (i);
CREATE TABLE public.part_1 PARTITION OF public.parts FOR VALUES FROM (1) TO (100);
CREATE TABLE public.quiet (i int); INSERT INTO public.quiet SELECT generate_series(1, 50);
"""
SEEDER = """
INSERT INTO public.lookup VALUES (51), (52), (53);
CREATE TABLE public.part_2 PARTITION OF public.parts FOR VALUES FROM (100) TO (200);
INSERT INTO public.parts VALUES (1), (100);
CREATE TABLE public."Fallen Through" (i int); INSERT INTO public."Fallen Through" VALUES (1);
CREATE TABLE public.of_extension (i int); ALTER EXTENSION plpgsql ADD TABLE public.of_extension;
CREATE TEMP TABLE gone (i int); CREATE SCHEMA elsewhere CREATE TABLE t (i int);
"""


def test_a_seeder_that_falls_through_is_noticed_and_laid_to_those_who_lived(daemon, server):
    server.sql(BEFORE)
    before = looks(server)
    one, other = Run(daemon), Run(daemon)
    until(lambda: looks(server) >= before + 2, what="the first look")
    server.sql(SEEDER)
    found = notice(daemon, server, "marker_1")
    assert {(table, kind): one["rows"] for (table, kind), one in found.items()} == {
        ("public.lookup", "rows"): 3, ("public.parts", "rows"): 2, ('public."Fallen Through"', "table"): 1,
        ("public.marker_1", "table"): 0,
    }
    for write in found.values():
        assert {one.namespace, other.namespace} <= set(write["namespaces"]) and write["database"] == "platform"

    # Once, in the journal and in the ledger of each.
    assert len([line for line in daemon.log.splitlines() if "public written: " in line and "lookup" in line]) == 1
    assert f"namespace={one.namespace} namespace={other.namespace}" in daemon.log
    for run in (one, other):
        events = [event for event in daemon.json("history", run.namespace)["events"] if event["event"] == "public_written"]
        assert sorted(event["detail"] for event in events) == [
            "2 rows of public.parts written", "3 rows of public.lookup written",
            'public."Fallen Through" appeared', "public.marker_1 appeared",
        ]
    shown = daemon.berth("status", check=0).stdout
    lines = [line for line in shown.splitlines() if " public." in line]
    assert len(lines) == 4 and all(len(line) <= 80 for line in lines) and one.namespace[:12] in lines[0]
    assert "search_path" in shown

    answer = daemon.json("explain", one.namespace)
    assert {write["what"] for write in answer["publicWrites"]} == {event["detail"] for event in events}
    assert "noticed in platform: 3 rows of public.lookup written" in daemon.berth("explain", one.namespace).stdout

    # Nothing of this is a write. A rollback does not make one undone, and what was said is not said again.
    server.sql("VACUUM FULL public.quiet")
    server.sql("VACUUM ANALYZE")
    server.sql("ALTER TABLE public.quiet ALTER COLUMN i TYPE bigint; CREATE INDEX ON public.quiet (i)")
    server.sql("BEGIN; INSERT INTO public.lookup VALUES (54); ROLLBACK")
    again = notice(daemon, server, "marker_2")
    assert set(again) == set(found) | {("public.marker_2", "table")}
    assert again["public.lookup", "rows"]["rows"] == 4

    # The counts begin anew, and pass what they were before.
    server.sql("SELECT pg_stat_reset()")
    server.sql("UPDATE public.quiet SET i = i + 1; UPDATE public.quiet SET i = i + 1")
    assert set(notice(daemon, server, "marker_3")) == set(again) | {("public.marker_3", "table")}
    server.stop("immediate")
    server.start()
    server.sql("UPDATE public.quiet SET i = i + 1; UPDATE public.quiet SET i = i + 1; UPDATE public.quiet SET i = i + 1")
    assert set(notice(daemon, server, "marker_4")) == set(again) | {(f"public.marker_{i}", "table") for i in (3, 4)}
    one.end(), other.end()


def test_with_public_watch_off_nothing_is_said(daemon, server):
    run = Run(daemon)
    daemon.options["public_watch"] = "off"
    daemon.write_config()
    daemon.process.send_signal(signal.SIGHUP)
    until(lambda: noticed(daemon) == {}, what="the end of it")
    server.sql("CREATE TABLE public.unseen (i int)")
    daemon.options["public_watch"] = "on"
    daemon.write_config()
    before = looks(server)
    daemon.process.send_signal(signal.SIGHUP)
    until(lambda: looks(server) >= before + 2, what="the first look")
    assert set(notice(daemon, server, "seen")) == {("public.seen", "table")}
    run.end()
