# SPDX-License-Identifier: MIT
"""berth explain: why a schema or a namespace is kept, or when and why it went, as people and programs are told."""

import json
import re
import signal
import sqlite3
import subprocess
from contextlib import contextmanager

import pytest

from harness import BERTH, Proxy, until
from sweeps import EAGER, OLD, label, stale

GONE = "host=127.0.0.1 port=1 dbname=tenant1 user=postgres"


@pytest.fixture
def eager(make_daemon):
    def make(options=None, **instead):
        return make_daemon({**EAGER, **(options or {})}, **instead).after_first_sweep()
    return make


def explain(daemon, name, check=0):
    """(the answer as JSON, the text a person sees); the two agree, and the text keeps its measure."""
    told = daemon.json("explain", name, check=check)
    done = daemon.berth("explain", name, check=check)
    lines = done.stdout.splitlines()
    assert done.stderr == "" and 1 <= len(lines) <= 12 and max(map(len, lines)) <= 80, done.stdout
    assert told["name"] == name and lines[0][:18] == told["answer"][:18]
    times = re.findall(r"^  (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)  ", done.stdout, re.M)
    assert times == sorted(times)
    assert bool(told.get("advice")) == any(line.startswith("do: ") for line in lines)
    return told, done.stdout


@contextmanager
def reading(server, database, schema, who):
    """While inside, a transaction of somebody holds a lock in the schema."""
    connection = server.connect(database, who)
    connection.autocommit = False
    try:
        connection.cursor().execute(f'SELECT * FROM "{schema}".t0')
        yield
    finally:
        connection.close()


def hold(daemon, *words):
    """berth run, holding until its input ends; returns it and its namespace."""
    run = subprocess.Popen([BERTH, "run", *words, "--", "sh", "-c", "echo $BERTH_NAMESPACE; cat"], text=True,
                           env=daemon.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE)
    return run, run.stdout.readline().strip()


def let_go(run):
    run.stdin.close()
    assert run.wait(30) == 0, run.stderr.read()


def crash(daemon, run, namespace):
    run.kill()
    run.wait(30)
    run.stdin.close()
    until(lambda: namespace not in [one["context"]["namespace"] for one in daemon.leases()], what="the crash")


def verdicts_of(told):
    return [(one["database"], verdict["verdict"]) for one in told["schemas"] for verdict in one["verdicts"]]


def test_a_live_run_keeps_its_schema(eager, databases):
    daemon = eager()
    run, namespace = hold(daemon, "--label", "pytest -n 8")
    databases["platform"].make_schema("platform", f"test_{namespace}_gw0")
    told, text = explain(daemon, f"test_{namespace}_gw0")
    assert told["standing"] == "live" and told["kind"] == "schema" and told["worker"] == "gw0"
    assert re.match(rf"test_{namespace}_gw0 is kept: live: lease \d+ \(pytest -n 8\) has been live", told["answer"])
    [lease] = told["leases"]
    assert lease["state"] == "live" and lease["label"] == "pytest -n 8" and len(lease["members"]) >= 1
    assert [(one["database"], one["exists"]) for one in told["schemas"]] == [("platform", True)]
    assert re.search(r"lease \d+ granted to root.*: pytest -n 8$", text, re.M)
    let_go(run)


def test_a_crashed_run_before_and_after_its_sweep_and_after_a_restart(eager, databases):
    daemon = eager()
    run, namespace = hold(daemon)
    schema = f"test_{namespace}_gw0"
    blocker = databases["platform"].connect("platform", label(schema))  # keeps it until it has been asked about
    databases["platform"].make_schema("platform", schema)
    crash(daemon, run, namespace)
    told, _ = explain(daemon, schema)
    assert told["standing"] in ("unseen", "kept"), told["answer"]  # depending on whether the sweep has come
    assert told["leases"][0]["state"] == "crashed"
    blocker.close()
    until(lambda: not databases["platform"].schemas("platform"), what="the drop")
    until(lambda: explain(daemon, schema)[0]["standing"] == "dropped", what="the verdict")
    told, text = explain(daemon, schema)
    assert re.match(rf"{schema} was dropped in platform \d+s ago \(20.*Z\), by sweep \d+$", told["answer"])
    assert re.search(r"lease \d+ crashed", text) and re.search(r"sweep \d+: dropped in platform", text)
    daemon.stop(signal.SIGKILL)
    daemon.start()
    again, _ = explain(daemon, schema)
    assert again["standing"] == "dropped" and again["schemas"] == told["schemas"] and again["leases"] == told["leases"]


def test_before_any_sweep_has_come_the_next_one_is_named(make_daemon, databases):
    daemon = make_daemon({"start_grace": "1h"})
    run, namespace = hold(daemon)
    databases["platform"].make_schema("platform", f"test_{namespace}_gw0")
    crash(daemon, run, namespace)
    told, _ = explain(daemon, namespace)
    assert told["standing"] == "unseen"
    assert re.match(rf"test_{namespace}_gw0 is in platform; lease \d+ crashed \d+s ago, and no sweep has looked since; "
                    r"the next is due in (59min|1h|60min)", told["answer"]), told["answer"]
    assert "berth sweep --dry-run" in told["advice"]


def test_a_kept_run_says_until_when(eager, databases):
    daemon = eager()
    run, namespace = hold(daemon, "--keep")
    databases["platform"].make_schema("platform", f"test_{namespace}_gw0")
    let_go(run)
    told, _ = explain(daemon, f"test_{namespace}_gw0")
    assert told["standing"] == "kept" and told["keptUntilUSec"]
    assert re.search(r"is kept: keep: until 20.*Z, for 23h more", told["answer"])
    daemon.sweep()
    assert explain(daemon, namespace)[0]["schemas"][0]["verdicts"][-1]["reason"] == "keep"


def test_what_depends_on_it_from_outside_is_named(eager, databases, clusters):
    daemon = eager()
    [schema] = stale({"platform": clusters[0]})
    clusters[0].sql(f'CREATE TABLE public.shared (id int); CREATE VIEW public.v AS SELECT id FROM "{schema}".t0')
    try:
        daemon.sweep()
        told, text = explain(daemon, schema)
        assert told["standing"] == "kept"
        assert re.search(r"is kept in platform: external_dependents: .*view public\.v", told["answer"])
        assert "do: drop or move what depends on it" in text
    finally:
        clusters[0].sql("DROP VIEW public.v; DROP TABLE public.shared")


def test_an_incomplete_census_names_the_database_that_was_not_heard(eager, databases):
    daemon = eager(tenant1=GONE)
    [schema] = stale(databases)
    daemon.sweep(check=3)
    told, text = explain(daemon, schema)
    assert told["standing"] == "kept" and "active_detection_incomplete" in told["answer"]
    assert not told["lastSweep"]["active_detection_complete"]
    assert [one["name"] for one in told["lastSweep"]["databases"] if one.get("error")] == ["tenant1"]
    assert [one["name"] for one in told["unheard"]] == ["tenant1"]
    assert re.search(r"tenant1 could not be asked: Connection refused", text, re.I)
    assert "do: mend the database" in text


def test_what_no_lease_had_is_kept_while_it_is_young(eager, databases, clusters):
    daemon = eager({"unleased_grace": "12h"})
    [schema] = stale({"platform": clusters[0]})
    told, _ = explain(daemon, schema)
    assert told["standing"] == "unseen" and re.search(
        r"is in platform, not seen by any sweep yet; the next is due in \d+", told["answer"])
    daemon.sweep()
    told, text = explain(daemon, schema)
    assert told["standing"] == "kept" and "kept in platform: unleased_recent" in told["answer"]
    assert told["schemas"][0]["firstSeenUSec"] and "first seen in platform" in text


def test_a_lock_holder_and_the_next_try_are_named(eager, databases, clusters):
    daemon = eager({"lock_timeout": "1200ms"})
    [schema] = stale({"platform": clusters[0]})
    with reading(clusters[0], "platform", schema, "an editor left open"):
        daemon.sweep(check=1)
        told, text = explain(daemon, schema)
    assert told["standing"] in ("failed", "dropping")
    [verdict] = told["schemas"][0]["verdicts"]
    assert verdict["sqlState"] == "55P03" and "an editor left open" in verdict["detail"]
    if told["standing"] == "failed":
        assert re.search(r"could not be dropped in platform: 55P03: .*an editor left open.* ago, by sweep \d+; "
                         r"(the next is due in \d+s|one is running now)", told["answer"]), told["answer"]
    assert "55P03" in text


def test_of_two_databases_each_tells_its_own(eager, databases, clusters):
    daemon = eager({"lock_timeout": "1200ms"})
    [schema] = stale({"platform": clusters[0], "tenant2": clusters[1]})
    with reading(clusters[1], "tenant2", schema, "somebody"):
        daemon.sweep(check=1)
        told, text = explain(daemon, schema)
    assert set(verdicts_of(told)) == {("platform", "dropped"), ("tenant2", "failed")}
    assert {one["database"]: one["exists"] for one in told["schemas"]} == {"platform": False, "tenant2": True}
    assert "in tenant2" in told["answer"] and "sweep" in text and "dropped in platform" in text


@pytest.mark.parametrize("name, why", [
    ("test_gw0", r"it is no test_\{namespace\}_\{worker\}"),
    ("test_prod_", ""),
    ("Public", "it is no namespace"),
    ("", "it is no namespace"),
    ("test_" + "x" * 60, "65 bytes"),
    ("test_Bad_gw0", ""),
    ("pytest_gw0_", ""),
    ("test_x_gw0_Suffix", ""),
    ("'; DROP SCHEMA public --", "it is no namespace"),
])
def test_what_is_no_name_of_ours_is_never_a_candidate(daemon, name, why):
    told, _ = explain(daemon, name)
    assert told["standing"] == "never_candidate" and told["kind"] == "other" and told["answer"].startswith("never a can")
    assert re.search(why, told["answer"]) and told["schemas"] == told["leases"] == []


def test_a_look_alike_that_no_lease_had_is_never_a_candidate(daemon, databases):
    databases["platform"].make_schema("platform", "test_user_settings")
    told, text = explain(daemon, "test_user_settings")
    assert told["standing"] == "never_candidate" and "settings is no worker gw<N>" in told["answer"]
    assert "do: berth never drops it" in text


def test_an_application_name_stands_for_the_schemas_of_its_worker(eager, databases, clusters):
    daemon = eager()
    for worker in ("gw0", "gw1"):
        clusters[0].make_schema("platform", f"test_{OLD}0_{worker}")
    daemon.sweep()
    told, _ = explain(daemon, f"pytest_gw1_{OLD}0")
    assert told["kind"] == "application_name" and [one["schema"] for one in told["schemas"]] == [f"test_{OLD}0_gw1"]
    whole, text = explain(daemon, f"{OLD}0")
    assert len(whole["schemas"]) == 2 and whole["answer"].startswith(f"2 schemas of {OLD}0 were dropped in platform")
    assert "dropped 2 schemas in platform" in text


def test_nothing_known_is_said_and_exits_1(daemon):
    told, _ = explain(daemon, "test_nobody_gw0", check=1)
    assert told["standing"] == "nothing"
    assert told["answer"].startswith("nothing is known of test_nobody_gw0: no lease and no verdict on record")
    assert explain(daemon, "public", check=1)[0]["kind"] == "namespace"


def test_each_life_of_a_forced_name_is_told(eager, databases, clusters):
    daemon = eager()
    for _ in range(3):
        run, _ = hold(daemon, "--namespace", "thrice", "--label", "again")
        clusters[0].make_schema("platform", "test_thrice_gw0")
        crash(daemon, run, "thrice")
        until(lambda: not clusters[0].schemas("platform"), what="the drop")
    until(lambda: len(verdicts_of(daemon.json("explain", "thrice"))) == 3, what="the third verdict")
    told, text = explain(daemon, "thrice")
    assert [one["state"] for one in told["leases"]] == ["crashed"] * 3
    assert verdicts_of(told) == [("platform", "dropped")] * 3
    assert len({one["oid"] for one in told["schemas"][0]["verdicts"]}) == 3
    assert "earlier; --json has them" in text
    # Made anew by hand, it is another one, which no sweep has seen.
    clusters[0].make_schema("platform", "test_thrice_gw0")
    assert explain(daemon, "test_thrice_gw0")[0]["standing"] == "unseen"


def test_who_holds_and_who_waits_is_told(make_daemon, databases):
    daemon = make_daemon({**EAGER, "ddl_slots": "1", "max_leases": "2"})
    with daemon.connection() as first, daemon.connection() as second, daemon.connection() as third:
        for wire, name in ((first, "one"), (second, "two")):
            assert wire.call("io.berth.lease.Acquire", {"namespace": name})["parameters"]["state"] == "granted"
        assert first.call("io.berth.lease.AcquireSlot", {"database": "platform"})["parameters"]["slot"] == 0
        second.send("io.berth.lease.AcquireSlot", {"database": "tenant1", "worker": "gw3"})
        third.send("io.berth.lease.Acquire", {"namespace": "three"})
        until(lambda: daemon.json("explain", "two")["slots"], what="the waiter")
        assert "gw0 holds DDL slot 0 in platform" in explain(daemon, "one")[1]
        assert "gw3 waits for a DDL slot in tenant1" in explain(daemon, "two")[1]
        until(lambda: daemon.json("status")["queued"] == 2, what="the queue")
        told, _ = explain(daemon, "three")
        assert told["standing"] == "queued" and "waits for its lease, number 1 in the queue" in told["answer"]


def test_a_parked_writer_of_the_ledger_disturbs_no_answer(eager, databases, clusters):
    daemon = eager()
    [schema] = stale({"platform": clusters[0]})
    daemon.sweep()
    parked = sqlite3.connect(daemon.state / "ledger.db", isolation_level=None)
    parked.execute("BEGIN IMMEDIATE")
    try:
        assert explain(daemon, schema)[0]["standing"] == "dropped"
    finally:
        parked.rollback()
        parked.close()


def test_one_who_hangs_up_and_one_database_that_is_slow_hold_up_nobody(eager, databases, clusters):
    proxy = Proxy(clusters[0])
    daemon = eager(tenant1=proxy.conninfo("tenant1"))
    [schema] = stale({"platform": clusters[0]})
    daemon.sweep()
    with proxy.hold("pg_namespace") as seen:
        with daemon.connection() as wire, daemon.connection() as other:
            wire.send("io.berth.manage.Explain", {"name": schema})
            assert seen.wait(30)
            other.send("io.berth.manage.Explain", {"name": schema})
            daemon.berth("status", check=0)
            wire.close()
            answer = other.receive()["parameters"]  # by the deadline: connect_timeout
    assert answer["standing"] == "dropped" and [one["name"] for one in answer["unheard"]] == ["tenant1"]
    proxy.close()


def test_a_name_is_required(daemon):
    with daemon.connection() as wire:
        assert wire.call("io.berth.manage.Explain")["parameters"] == {"parameter": "name"}
        assert wire.call("io.berth.manage.Explain", {"name": 3})["error"].endswith("InvalidParameter")
    assert daemon.berth("explain", check=64).stdout == ""
    assert json.loads(daemon.berth("explain", "x", "--json", BERTH_SOCKET="/nonexistent", check=69).stdout)["error"]
