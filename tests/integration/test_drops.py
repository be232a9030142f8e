# SPDX-License-Identifier: MIT
"""
Drops that go wrong: each has its own verdict and its reason, none stops the rest, and what is said of a schema is so.
"""

import json
import os
import signal
import threading
import time
from contextlib import contextmanager

import pytest

from harness import MessageProxy, Postgres, Proxy, until
from sweeps import daemon_over, details, label, stale, verdicts


@pytest.fixture(scope="module")
def server():
    server = Postgres("deadlock_timeout = 300ms", databases=["platform"])
    yield server
    server.remove()


@pytest.fixture
def names(server):
    """names(count) makes schemas of dead runs, and nothing else is there."""
    def make(count=3, tables=1):
        for schema in server.schemas("platform"):
            server.sql(f'DROP SCHEMA "{schema}" CASCADE')
        return stale({"platform": server}, count, tables)
    return make


def platform(found):
    return {("platform", name): verdict for name, verdict in found.items()}


def waiting_drop(server):
    """The pid of a drop of ours that waits for a lock."""
    found = until(lambda: server.sql("""SELECT a.pid FROM pg_stat_activity a WHERE application_name LIKE 'berthd-%'
                                        AND wait_event_type = 'Lock' AND query LIKE 'DROP%'"""),
                  what="a drop that waits")
    return found[0][0]


@contextmanager
def holding(server, schema, application_name="somebody else", table="t0"):
    """A transaction that has read a table, and does nothing more."""
    user = server.connect("platform", application_name)
    user.autocommit = False
    user.cursor().execute(f'SELECT * FROM "{schema}".{table}')
    try:
        yield user
    finally:
        user.close()


@contextmanager
def event_trigger(server, body, declare=""):
    """Runs body for each schema that is dropped; its name is in "schema"."""
    server.sql(f"""
        CREATE SEQUENCE public.attempts;
        CREATE FUNCTION public.on_drop() RETURNS event_trigger LANGUAGE plpgsql AS $$
        DECLARE schema text;
        BEGIN
            FOR schema IN SELECT object_name FROM pg_event_trigger_dropped_objects() WHERE object_type = 'schema' LOOP
                {body}
            END LOOP;
        END $$;
        CREATE EVENT TRIGGER on_drop ON sql_drop EXECUTE FUNCTION public.on_drop()""")
    try:
        yield
    finally:
        server.sql("DROP EVENT TRIGGER on_drop; DROP FUNCTION public.on_drop; DROP SEQUENCE public.attempts")


def attempts(server):
    return server.sql("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM public.attempts")[0][0]


# ---- what the server refuses ----


def test_a_schema_of_another_role_is_kept_and_the_rest_goes(server, names):
    server.sql("DROP ROLE IF EXISTS sweeper; CREATE ROLE sweeper LOGIN")
    with daemon_over({"platform": server.conninfo("platform", user="sweeper")}) as daemon:
        one, other, third = names()
        for name in (one, third):
            server.sql(f'ALTER SCHEMA "{name}" OWNER TO sweeper')
        result = daemon.sweep()
        assert verdicts(result) == platform({one: "dropped", other: "not_owner", third: "dropped"})
        assert "owner" in details(result)["platform", other]


def test_a_schema_that_changes_hands_before_the_drop_is_kept_for_its_owner(server, names):
    server.sql("DROP ROLE IF EXISTS sweeper; CREATE ROLE sweeper LOGIN")
    proxy = Proxy(server)
    conninfo = proxy.conninfo("platform").replace("user=postgres", "user=sweeper")
    with daemon_over({"platform": conninfo}) as daemon:
        one, other, third = names()
        for name in (one, other, third):
            server.sql(f'ALTER SCHEMA "{name}" OWNER TO sweeper')
        with proxy.hold(f'COMMENT ON SCHEMA "{other}"') as seen:
            sweep = daemon.start_sweep()
            assert seen.wait(30)
            server.sql(f'ALTER SCHEMA "{other}" OWNER TO postgres')
        result = json.loads(sweep.communicate(timeout=60)[0])
        assert verdicts(result) == platform({one: "dropped", other: "not_owner", third: "dropped"})
        assert details(result)["platform", other] == f"must be owner of schema {other}"
    proxy.close()


def test_an_event_trigger_that_raises_fails_its_schema_alone(server, names):
    with daemon_over({"platform": server.conninfo("platform")}) as daemon:
        one, other, third = names()
        with event_trigger(server, f"IF schema = '{other}' THEN RAISE 'not on my watch'; END IF;"):
            result = daemon.sweep(check=1)
            assert verdicts(result) == platform({one: "dropped", other: "P0001", third: "dropped"})
            assert details(result)["platform", other] == "not on my watch"
        assert server.schemas("platform") == [other]
        assert verdicts(daemon.sweep()) == platform({other: "dropped"})


def test_a_deadlock_is_tried_once_again(server, names):
    raising = "IF schema = '{}' AND nextval('public.attempts') <= {} THEN RAISE 'lost' USING ERRCODE = '40P01'; END IF;"
    with daemon_over({"platform": server.conninfo("platform")}) as daemon:
        one, other, third = names()
        with event_trigger(server, raising.format(other, 1)):
            assert verdicts(daemon.sweep()) == platform(dict.fromkeys((one, other, third), "dropped"))
            assert attempts(server) == 2
        one, other, third = names()
        with event_trigger(server, raising.format(other, 99)):
            result = daemon.sweep(check=1)
            assert verdicts(result) == platform({one: "dropped", other: "40P01", third: "dropped"})
            assert details(result)["platform", other] == "lost"
            assert attempts(server) == 2


def test_a_deadlock_with_a_live_session_is_lost_by_the_sweep_and_won_later(server, names):
    with daemon_over({"platform": server.conninfo("platform")}) as daemon:
        [name] = names(1, tables=2)
        with holding(server, name, table="t1") as user:
            user.cursor().execute("SET deadlock_timeout = '1min'")  # so that it is not the victim
            sweep = daemon.start_sweep()
            waiting_drop(server)
            held = server.sql(f"""SELECT relation::regclass::text FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                                   WHERE granted AND mode = 'AccessExclusiveLock' AND locktype = 'relation'
                                     AND a.application_name LIKE 'berthd-%' AND relation::regclass::text LIKE '%.t0'""")
            assert held, "the drop holds nothing that a session could want"
            user.cursor().execute(f'SELECT * FROM "{name}".t0')  # has it when the drop has given up
        assert verdicts(json.loads(sweep.communicate(timeout=60)[0])) == platform({name: "dropped"})
        assert "deadlock detected" in (server.directory / "log").read_text(errors="replace")


def test_a_drop_that_takes_too_long_fails_alone(server, names):
    with daemon_over({"platform": server.conninfo("platform")}, statement_timeout="500ms") as daemon:
        one, other, third = names()
        with event_trigger(server, f"IF schema = '{other}' THEN PERFORM pg_sleep(3); END IF;"):
            result = daemon.sweep(check=1)
            assert verdicts(result) == platform({one: "dropped", other: "57014", third: "dropped"})
            assert "statement timeout" in details(result)["platform", other]
        assert server.schemas("platform") == [other]


# ---- who holds it ----


def test_a_prepared_transaction_is_named_by_its_gid(server, names):
    with daemon_over({"platform": server.conninfo("platform")}, lock_timeout="500ms") as daemon:
        one, other, third = names()
        server.sql(f"""BEGIN; INSERT INTO "{other}".t0 VALUES (1); PREPARE TRANSACTION 'the forgotten one'""")
        result = daemon.sweep(check=1)
        assert verdicts(result) == platform({one: "dropped", other: "55P03", third: "dropped"})
        assert "held by prepared transaction the forgotten one" in details(result)["platform", other]
        server.sql("ROLLBACK PREPARED 'the forgotten one'")
        assert verdicts(daemon.sweep()) == platform({other: "dropped"})


def test_a_session_idle_in_transaction_is_named_and_not_ended(server, names):
    with daemon_over({"platform": server.conninfo("platform")}, lock_timeout="500ms") as daemon:
        one, other, third = names()
        with holding(server, other, "an editor left open") as user:
            result = daemon.sweep(check=1)
            assert verdicts(result) == platform({one: "dropped", other: "55P03", third: "dropped"})
            told = details(result)["platform", other]
            assert f"held by pid {user.info.backend_pid} (an editor left open)" in told
            user.cursor().execute("SELECT 1")
        assert verdicts(daemon.sweep()) == platform({other: "dropped"})


def test_two_holders_of_one_schema_are_both_named(server, names):
    with daemon_over({"platform": server.conninfo("platform")}, lock_timeout="500ms") as daemon:
        [name] = names(1)
        with holding(server, name, "first"), holding(server, name, "second"):
            told = details(daemon.sweep(check=1))["platform", name]
            assert "(first)" in told and "(second)" in told


def test_autovacuum_gives_way(server, names):
    server.sql("ALTER SYSTEM SET autovacuum_naptime = '1s'; ", "postgres")
    server.sql("SELECT pg_reload_conf()", "postgres")
    with daemon_over({"platform": server.conninfo("platform")}, lock_timeout="5s") as daemon:
        [name] = names(1)
        server.sql(f"""ALTER TABLE "{name}".t0 SET (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1,
                                                   autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0);
                       INSERT INTO "{name}".t0 SELECT i, i, repeat('x', 1000) FROM generate_series(1, 20000) i;
                       DELETE FROM "{name}".t0 WHERE id % 2 = 0""")
        until(lambda: server.sql(f"""SELECT 1 FROM pg_locks WHERE relation = '"{name}".t0'::regclass
                                     AND mode = 'ShareUpdateExclusiveLock' AND granted"""), 60, what="autovacuum")
        assert verdicts(daemon.sweep()) == platform({name: "dropped"})
    server.sql("ALTER SYSTEM RESET autovacuum_naptime", "postgres")


def test_a_schema_that_somebody_else_drops_first_is_gone(server, names):
    proxy = Proxy(server)
    with daemon_over({"platform": proxy.conninfo("platform")}) as daemon:
        one, other, third = names()
        with proxy.hold(f'COMMENT ON SCHEMA "{other}"') as seen:
            sweep = daemon.start_sweep()
            assert seen.wait(30)
            server.sql(f'DROP SCHEMA "{other}" CASCADE')
        output, _ = sweep.communicate(timeout=60)
        assert sweep.returncode == 0
        assert verdicts(json.loads(output)) == platform(dict.fromkeys((one, other, third), "dropped"))
    proxy.close()


# ---- connections and servers that break ----


def test_a_commit_whose_answer_is_lost_is_looked_up(server, names):
    proxy = Proxy(server)
    with daemon_over({"platform": proxy.conninfo("platform")}) as daemon:
        [name] = names(1)
        with proxy.cut("COMMIT\0", 0) as seen:
            assert verdicts(daemon.sweep()) == platform({name: "dropped"})
            assert seen.is_set()
        assert server.schemas("platform") == []
    proxy.close()


def test_a_connection_cut_before_the_commit_fails_and_the_next_sweep_drops(server, names):
    proxy = Proxy(server)
    with daemon_over({"platform": proxy.conninfo("platform")}) as daemon:
        one, other, third = names()
        with proxy.cut(f'DROP SCHEMA "{other}"', 0):
            result = daemon.sweep(check=1)
        assert verdicts(result) == platform({one: "dropped", other: None, third: "dropped"})
        assert details(result)["platform", other].startswith("connection lost while dropping: ")
        assert server.schemas("platform") == [other]
        assert verdicts(daemon.sweep()) == platform({other: "dropped"})
    proxy.close()


@pytest.mark.parametrize("way", ["close", "reset"])
def test_whatever_message_of_a_drop_is_cut_what_is_said_is_so(server, names, way):
    proxy = MessageProxy(server)
    said = set()
    with daemon_over({"platform": proxy.conninfo("platform")}) as daemon:
        at = 20
        while True:
            [name] = names(1)
            proxy.set(at, way)
            result = daemon.sweep(check=None)
            found = verdicts(result).get(("platform", name), "not listed")
            there = name in server.schemas("platform")
            assert (found == "dropped") == (not there), (at, found)
            if not proxy.acted:
                break
            assert found == "dropped" or found is None or not result["active_detection_complete"], (at, found)
            said.add(found)
            at += 1
        proxy.set()
    assert said == {None, "dropped", "not listed", "active_detection_incomplete"} and at > 60, (said, at)
    proxy.close()


def test_a_backend_that_is_terminated_takes_its_drop_with_it(server, names):
    with daemon_over({"platform": server.conninfo("platform")}) as daemon:
        one, other, third = names()
        with holding(server, other):
            sweep = daemon.start_sweep()
            server.sql(f"SELECT pg_terminate_backend({waiting_drop(server)})")
            output, _ = sweep.communicate(timeout=60)
        result = json.loads(output)
        assert sweep.returncode == 1
        assert verdicts(result) == platform({one: "dropped", other: None, third: "dropped"})
        assert "terminating connection due to administrator command" in details(result)["platform", other]
        assert verdicts(daemon.sweep()) == platform({other: "dropped"})


def test_a_server_that_crashes_during_a_drop_has_the_schema_afterwards(names, server):
    with daemon_over({"platform": server.conninfo("platform")}) as daemon:
        one, other, third = names()
        with holding(server, other):
            sweep = daemon.start_sweep()
            waiting_drop(server)
            server.stop("immediate")
            server.start()
            output, _ = sweep.communicate(timeout=60)
        found = verdicts(json.loads(output))
        assert found["platform", one] == "dropped" and found["platform", other] is None
        assert found["platform", third] in ("dropped", "active_detection_incomplete")
        assert other in server.schemas("platform")
        until(lambda: daemon.berth("sweep").returncode == 0, what="a sweep that goes through")
        assert server.schemas("platform") == []


# ---- a daemon that dies ----


@pytest.mark.parametrize("notices", [True, False])
def test_a_name_is_not_granted_while_a_drop_of_an_earlier_life_may_be_under_way(server, names, notices):
    """notices: the server learns at once that the daemon which had sent the DROP is dead."""
    names(0)
    way = Proxy(server, keep_upstream=not notices)
    with daemon_over({"platform": way.conninfo("platform")}, start_grace="0s", lock_timeout="1min",
                     statement_timeout="1min") as daemon:
        with daemon.connection() as wire:
            wire.call("io.berth.lease.Acquire", {"namespace": "victim"})
            server.make_schema("platform", "test_victim_gw0")
            with holding(server, "test_victim_gw0"):
                wire.call("io.berth.lease.Release")
                pid = waiting_drop(server)
                daemon.process.kill()
                daemon.process.wait()
                daemon.start()
                with daemon.connection() as again:
                    began = time.monotonic()
                    answer = again.call("io.berth.lease.Acquire", {"namespace": "victim", "noWait": True})
                    assert answer.get("error") == "io.berth.lease.Busy", answer
                with daemon.connection() as waiter:
                    waiter.send("io.berth.lease.Acquire", {"namespace": "victim"})
                    until(waiter.has_answer, 25, "the name")
                    # It has the name: the old drop has come to its end, without having done anything.
                    assert server.sql(f"SELECT 1 FROM pg_stat_activity WHERE pid = {pid}") == []
                    assert waiter.receive()["parameters"]["state"] == "granted"
                    assert "test_victim_gw0" in server.schemas("platform")
                    assert time.monotonic() - began < 25
            time.sleep(0.5)  # the lock is free: a drop that still waited would go on now
            assert "test_victim_gw0" in server.schemas("platform")
    way.close()
