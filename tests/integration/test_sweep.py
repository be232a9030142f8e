# SPDX-License-Identifier: MIT
"""The sweep against real servers: what it drops, what it keeps, and what it says."""

import json
import time

import pytest

from harness import BlackHole, Postgres, Proxy
from sweeps import all_there, everywhere, stale, verdicts


@pytest.fixture
def eager(make_daemon):
    """A daemon that takes any unknown namespace for old enough, and has had its first sweep."""
    def make(**instead):
        return make_daemon({"unleased_grace": "0s", "connect_timeout": "1s"}, **instead).after_first_sweep()
    return make


def test_a_sweep_drops_what_is_stale_in_every_database_and_nothing_else(eager, databases):
    daemon = eager()
    names = stale(databases, 2)
    decoys = ["test_gw0", "test_prod", "test_user_settings", "testing_data", "TEST_x_gw0", "other"]
    for database, server in databases.items():
        for decoy in decoys:
            server.sql(f'CREATE SCHEMA "{decoy}"', database)
    try:
        result = daemon.sweep()
        assert verdicts(result) == everywhere(databases, names, "dropped")
        assert result["active_detection_complete"] is True
        for database, server in databases.items():
            left = {name for (name,) in server.sql("SELECT nspname FROM pg_namespace", database)}
            assert set(decoys) <= left and not left & set(names)
    finally:
        for database, server in databases.items():
            for decoy in decoys:
                server.sql(f'DROP SCHEMA IF EXISTS "{decoy}" CASCADE', database)


def test_a_dry_run_says_what_it_would_drop_and_drops_nothing(eager, databases):
    daemon = eager()
    names = stale(databases)
    assert verdicts(daemon.sweep("--dry-run")) == everywhere(databases, names, "would_drop")
    assert all_there(databases, names)


def test_a_sweep_of_one_database_leaves_the_others_alone(eager, databases):
    daemon = eager()
    [name] = stale(databases)
    assert verdicts(daemon.sweep("tenant1")) == {("tenant1", name): "dropped"}
    assert name in databases["platform"].schemas("platform") and name in databases["tenant2"].schemas("tenant2")


def test_nobody_is_taken_for_dead_before_the_grace_after_a_start_has_passed(make_daemon, databases):
    daemon = make_daemon({"unleased_grace": "0s", "start_grace": "1h"})
    names = stale(databases)
    result = daemon.sweep(check=3)
    assert verdicts(result) == everywhere(databases, names, "active_detection_incomplete")
    assert all_there(databases, names)


def test_what_the_ledger_does_not_know_is_kept_while_it_is_young(make_daemon, databases):
    daemon = make_daemon({"unleased_grace": "12h"}).after_first_sweep()
    names = stale(databases)
    assert verdicts(daemon.sweep()) == everywhere(databases, names, "unleased_recent")


def test_a_label_in_any_one_database_keeps_the_namespace_in_all(eager, databases):
    daemon = eager()
    [name] = stale(databases)
    run = databases["tenant2"].connect("tenant2", f"pytest_gw0_{name.split('_')[1]}")
    assert verdicts(daemon.sweep()) == everywhere(databases, [name], "live")
    run.close()


def test_an_object_of_somebody_else_that_would_go_along_keeps_the_schema(eager, databases, clusters):
    main, _ = clusters
    daemon = eager()
    names = stale({"platform": main}, 2)
    main.sql(f'CREATE TABLE public.shared (id int); CREATE VIEW public.v AS SELECT id FROM "{names[0]}".t0', "platform")
    for words, other in ((["--dry-run"], "would_drop"), ([], "dropped")):
        result = daemon.sweep(*words)
        assert verdicts(result) == {("platform", names[0]): "external_dependents", ("platform", names[1]): other}
        [kept] = result["databases"][0]["kept"]
        assert "view public.v" in kept["detail"]
    assert main.sql("SELECT count(*) FROM public.v", "platform") == [(0,)]


TROUBLES = ["refused", "black hole", "wrong password", "cut", "standby"]


@pytest.fixture
def broken(clusters, request):
    """A conninfo under which tenant1 cannot be heard, and the context in which it is so."""
    main, _ = clusters
    parts = []

    def make(trouble):
        if trouble == "refused":
            return "host=127.0.0.1 port=1 dbname=tenant1 user=postgres"
        if trouble == "black hole":
            parts.append((hole := BlackHole()).close)
            return hole.conninfo()
        if trouble == "wrong password":
            locked = Postgres("hba:host all all 127.0.0.1/32 scram-sha-256", databases=["tenant1"])
            parts.append(locked.remove)
            locked.sql("ALTER ROLE postgres PASSWORD 'right'", "tenant1")
            return locked.conninfo("tenant1", tcp=True) + " password=wrong-secret"
        if trouble == "standby":
            parts.append((standby := main.standby()).remove)
            return standby.conninfo("tenant1")
        proxy = Proxy(main)
        cut = proxy.cut("pg_stat_activity", 20)
        cut.__enter__()
        parts.append(lambda: (cut.__exit__(None, None, None), proxy.close()))
        return proxy.conninfo("tenant1")

    yield make
    for end in parts:
        end()


@pytest.mark.parametrize("trouble", TROUBLES)
def test_one_database_that_cannot_be_heard_keeps_every_schema_everywhere(eager, databases, broken, trouble):
    daemon = eager(tenant1=broken(trouble))
    names = stale(databases)
    result = daemon.sweep(check=3)
    assert result["active_detection_complete"] is False
    seen = verdicts(result)
    assert set(seen.values()) == {"active_detection_incomplete"}
    assert {("platform", names[0]), ("tenant2", names[0])} <= set(seen)
    assert all_there(databases, names)
    assert [one["name"] for one in result["databases"] if one["error"]] == ["tenant1"]
    assert "wrong-secret" not in daemon.log + json.dumps(result)


def test_other_commands_answer_at_once_while_a_database_is_a_black_hole(make_daemon, databases):
    hole = BlackHole()
    daemon = make_daemon({"connect_timeout": "3s"}, tenant1=hole.conninfo()).after_first_sweep()
    sweep = daemon.start_sweep()
    try:
        slowest, calls = 0.0, 0
        with daemon.connection() as wire:
            while sweep.poll() is None:
                began = time.monotonic()
                assert "parameters" in wire.call("io.berth.manage.GetStatus")
                slowest = max(slowest, time.monotonic() - began)
                calls += 1
        assert sweep.returncode == 3
        assert calls > 10 and slowest < 0.1, f"{calls} calls, slowest {slowest * 1000:.0f} ms"
    finally:
        sweep.wait()
        hole.close()


def test_a_run_that_starts_between_candidates_and_census_lives_on(eager, databases, clusters):
    proxy = Proxy(clusters[0])
    daemon = eager(tenant1=proxy.conninfo("tenant1"))
    [name] = stale(databases)
    with proxy.hold("pg_namespace") as seen:
        sweep = daemon.start_sweep()
        assert seen.wait(30), "no list of schemas was asked for"
        # tenant1's list of candidates is under way, the others' have been read: now the run begins.
        run = databases["tenant2"].connect("tenant2", f"pytest_gw0_{name.split('_')[1]}")
    output, _ = sweep.communicate(timeout=60)
    assert verdicts(json.loads(output)) == everywhere(databases, [name], "live")
    assert all_there(databases, [name])
    run.close()
    proxy.close()


def test_a_run_that_starts_between_census_and_drop_lives_on(eager, databases, clusters):
    main, _ = clusters
    proxy = Proxy(main)
    daemon = eager(platform=proxy.conninfo("platform"))
    [name] = stale({"platform": main})
    with proxy.hold("COMMENT ON SCHEMA") as seen:
        sweep = daemon.start_sweep()
        assert seen.wait(30), "no drop began"
        # The verdict has been reached. The run's only session is in another database of that cluster.
        run = main.connect("tenant1", f"pytest_gw0_{name.split('_')[1]}")
    output, _ = sweep.communicate(timeout=60)
    assert verdicts(json.loads(output)) == {("platform", name): "live"}
    assert name in main.schemas("platform")
    run.close()
    proxy.close()


def test_a_schema_made_anew_between_census_and_drop_is_another_one(eager, databases, clusters):
    main, _ = clusters
    proxy = Proxy(main)
    daemon = eager(platform=proxy.conninfo("platform"))
    [name] = stale({"platform": main})
    with proxy.hold("COMMENT ON SCHEMA") as seen:
        sweep = daemon.start_sweep()
        assert seen.wait(30), "no drop began"
        main.sql(f'DROP SCHEMA "{name}" CASCADE; CREATE SCHEMA "{name}"', "platform")
    output, _ = sweep.communicate(timeout=60)
    assert verdicts(json.loads(output)) == {("platform", name): "live"}
    assert name in main.schemas("platform")
    proxy.close()


def test_a_schema_in_use_fails_with_its_holder_named_and_the_rest_goes(make_daemon, databases, clusters):
    main, _ = clusters
    daemon = make_daemon({"unleased_grace": "0s", "lock_timeout": "1500ms"}).after_first_sweep()
    names = stale({"platform": main}, 3)
    user = main.connect("platform", "somebody else")
    user.autocommit = False
    user.cursor().execute(f'SELECT * FROM "{names[1]}".t0')
    result = daemon.sweep(check=1)
    assert verdicts(result) == {("platform", names[0]): "dropped", ("platform", names[1]): "55P03",
                                ("platform", names[2]): "dropped"}
    assert "somebody else" in result["databases"][0]["failed"][0]["message"]
    user.close()
    assert verdicts(daemon.sweep()) == {("platform", names[1]): "dropped"}


def test_a_dry_run_that_cannot_list_dependents_promises_nothing(eager, databases, clusters):
    proxy = Proxy(clusters[0])
    daemon = eager(platform=proxy.conninfo("platform"))
    [name] = stale({"platform": databases["platform"]})
    with proxy.cut("pg_depend", 20) as seen:
        result = daemon.sweep("--dry-run")
    assert seen.is_set()
    assert verdicts(result) == {("platform", name): "active_detection_incomplete"}
    assert "could not be listed" in result["databases"][0]["kept"][0]["detail"]
    proxy.close()
