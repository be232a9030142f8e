# SPDX-License-Identifier: MIT
"""
Runs that never asked for a lease: live by label, by the pid in the token, and by age from first sight, which the
ledger keeps. Of namespaces that nobody knows only gw<N> workers are ever touched.
"""

import os
import signal
import sqlite3
import subprocess
import time
from contextlib import contextmanager

import pytest

from harness import Postgres, until
from sweeps import daemon_over, details, verdicts

HOUR = 3600
NOBODY = 4194304  # no pid is as high: the kernel's limit


@pytest.fixture(scope="module")
def servers():
    """Two databases of one server, and a third elsewhere."""
    main, other = Postgres(databases=["platform", "tenant1"]), Postgres(databases=["tenant2"])
    yield {"platform": main, "tenant1": main, "tenant2": other}
    main.remove()
    other.remove()


@pytest.fixture
def over(servers):
    """over(options) is a daemon over the three, with nothing of earlier tests in them."""
    for name, server in servers.items():
        for schema in server.schemas(name):
            server.sql(f'DROP SCHEMA "{schema}" CASCADE', name)
    return lambda **options: daemon_over({name: server.conninfo(name) for name, server in servers.items()}, **options)


@contextmanager
def process():
    """A process of this host that has nothing to do with berth."""
    child = subprocess.Popen(["sleep", "1000"])
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def token(pid, made, random=0x5EED):
    return f"p{pid}t{int(made)}r{random:08x}"


def make(servers, namespace, worker="gw0", database="platform"):
    schema = f"test_{namespace}_{worker}"
    servers[database].make_schema(database, schema)
    return schema


def verdict(result, schema, database="platform"):
    return verdicts(result).get((database, schema))


def first_seen(daemon, schema, moved_by=0):
    """When the ledger says the schema was first seen; moved_by seconds while the daemon is down."""
    with sqlite3.connect(daemon.state / "ledger.db") as ledger:
        ledger.execute("UPDATE sighting SET seen_usec = seen_usec + ? WHERE schema = ?", (moved_by * 1000000, schema))
        [(seen,)] = ledger.execute("SELECT seen_usec FROM sighting WHERE schema = ?", (schema,)).fetchall()
    ledger.close()
    return seen / 1e6


# ---- by label ----


def test_a_label_anywhere_keeps_every_worker_of_the_run(servers, over):
    with over() as daemon:
        name = token(NOBODY, time.time() - 24 * HOUR)
        schemas = [make(servers, name, worker) for worker in ("gw0", "gw1", "gw1_api")]
        run = servers["tenant2"].connect("tenant2", f"pytest_gw7_{name}_import")
        result = daemon.sweep()
        assert {verdict(result, schema) for schema in schemas} == {"live"}
        assert f"a session called pytest_*_{name} is connected" in details(result)["platform", schemas[0]]
        run.close()
        until(lambda: not servers["tenant2"].sql(
            f"SELECT 1 FROM pg_stat_activity WHERE application_name LIKE '%{name}%'", "tenant2"), what="its end")
        result = daemon.sweep()
        assert {verdict(result, schema) for schema in schemas} == {"dropped"}


@pytest.mark.parametrize("looks_like", ["pytest_gw0_{}1", "pytest_gw0_x{}", "Pytest_gw0_{}", "pytest_{}"])
def test_a_label_that_only_looks_alike_keeps_nothing(servers, over, looks_like):
    with over() as daemon:
        schema = make(servers, "nightly")
        run = servers["tenant1"].connect("tenant1", looks_like.format("nightly"))
        assert verdict(daemon.sweep(), schema) == "dropped"
        run.close()


# ---- by the pid in the token ----


def test_a_run_without_a_single_connection_lives_by_its_process(servers, over):
    """As with a pool that closes each connection after use."""
    with over() as daemon, process() as run:
        schema = make(servers, token(run.pid, time.time()))
        result = daemon.sweep()
        assert verdict(result, schema) == "live"
        assert details(result)["platform", schema] == f"process {run.pid} of its name is alive"
        run.send_signal(signal.SIGSTOP)
        assert verdict(daemon.sweep(), schema) == "live"  # a debugger may do that
        os.kill(run.pid, signal.SIGKILL)
        os.waitid(os.P_PID, run.pid, os.WEXITED | os.WNOWAIT)  # a zombie from here on
        assert verdict(daemon.sweep(), schema) == "dropped"


def test_a_process_that_began_after_the_token_was_made_is_somebody_else(servers, over):
    with over() as daemon, process() as other:
        schema = make(servers, token(other.pid, time.time() - HOUR))
        assert verdict(daemon.sweep(), schema) == "dropped"


def test_a_pid_of_another_host_is_nobody_here_and_age_decides(servers, over):
    with over(unleased_grace="12h") as daemon:
        young = make(servers, token(NOBODY, time.time()))
        assert verdict(daemon.sweep(), young) == "unleased_recent"
    with over() as daemon:
        gone = make(servers, token(NOBODY, time.time() - 1))
        assert verdict(daemon.sweep(), gone) == "dropped"


# ---- by age ----


def test_age_counts_from_first_sight_over_restarts(servers, over):
    with over(unleased_grace="12h") as daemon:
        schema = make(servers, token(NOBODY, time.time() - 24 * HOUR))
        began = time.time()
        assert verdict(daemon.sweep(), schema) == "unleased_recent"
        daemon.stop()
        seen = first_seen(daemon, schema)
        assert began - 1 <= seen <= time.time() + 1
        daemon.start().after_first_sweep()
        assert verdict(daemon.sweep(), schema) == "unleased_recent"
        daemon.stop()
        assert first_seen(daemon, schema) == seen, "a restart is no first sight"
        first_seen(daemon, schema, moved_by=-12 * HOUR)
        daemon.start().after_first_sweep()
        until(lambda: schema not in servers["platform"].schemas("platform"), what="the end of what is 12 h old")


def test_what_was_seen_long_ago_is_still_as_young_as_its_token(servers, over):
    with over(unleased_grace="12h") as daemon:
        schema = make(servers, token(NOBODY, time.time() - 11 * HOUR))
        daemon.sweep()
        daemon.stop()
        first_seen(daemon, schema, moved_by=-11.5 * HOUR)
        daemon.start().after_first_sweep()
        assert verdict(daemon.sweep(), schema) == "unleased_recent"


def test_a_schema_made_anew_is_as_young_as_itself(servers, over):
    with over(unleased_grace="12h") as daemon:
        schema = make(servers, "nightly")
        daemon.sweep()
        daemon.stop()
        first_seen(daemon, schema, moved_by=-13 * HOUR)
        servers["platform"].sql(f"DROP SCHEMA {schema} CASCADE")
        make(servers, "nightly")
        daemon.start().after_first_sweep()
        assert verdict(daemon.sweep(), schema) == "unleased_recent"


# ---- tokens from the future ----


def test_a_token_from_the_future_is_no_younger_than_the_first_sight_of_it(servers, over):
    with over(unleased_grace="12h") as daemon:
        schema = make(servers, token(NOBODY, time.time() + 1000 * HOUR))
        assert verdict(daemon.sweep(), schema) == "unleased_recent"
        daemon.stop()
        first_seen(daemon, schema, moved_by=-12 * HOUR)
        daemon.start().after_first_sweep()
        until(lambda: schema not in servers["platform"].schemas("platform"), what="its end")


def test_a_process_that_began_after_a_token_from_the_future_was_seen_is_somebody_else(servers, over):
    with over(unleased_grace="12h") as daemon, process() as run:
        schema = make(servers, token(run.pid, time.time() + 1000 * HOUR))
        assert verdict(daemon.sweep(), schema) == "live"  # it was there before
        daemon.stop()
        first_seen(daemon, schema, moved_by=-12 * HOUR)  # now it was not
        daemon.start().after_first_sweep()
        until(lambda: schema not in servers["platform"].schemas("platform"), what="its end")


# ---- whose ----


@pytest.mark.parametrize("worker", ["settings", "api", "gw", "gw0x", "master", "gw12345"])
def test_of_an_unknown_namespace_only_numbered_workers_are_ours(servers, over, worker):
    with over() as daemon:
        mine, other = make(servers, "user"), make(servers, "user", worker)
        for words in (["--dry-run"], []):
            assert verdict(daemon.sweep(*words), other) is None
        left = servers["platform"].schemas("platform")
        assert other in left and mine not in left


def test_of_a_namespace_that_had_a_lease_every_worker_is_ours(servers, over):
    with over() as daemon:
        with daemon.connection() as wire:
            wire.call("io.berth.lease.Acquire", {"namespace": "mine"})
            schemas = [make(servers, "mine", worker) for worker in ("gw0", "api")]
            result = daemon.sweep()
            assert {verdict(result, schema) for schema in schemas} == {"live"}
            wire.call("io.berth.lease.Release")
        until(lambda: not servers["platform"].schemas("platform"), what="the end of what the run left")
