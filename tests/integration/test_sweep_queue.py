# SPDX-License-Identifier: MIT
"""Who asks for a sweep while one runs waits for the next, and shares it with all who want the same."""

import json

import pytest

from harness import Proxy, until
from sweeps import EAGER, everywhere, stale, verdicts


@pytest.fixture
def held(make_daemon, databases, clusters):
    """A daemon, and a way to hold its sweep at the list of schemas of tenant1."""
    proxy = Proxy(clusters[0])
    daemon = make_daemon(EAGER, tenant1=proxy.conninfo("tenant1")).after_first_sweep()
    yield daemon, lambda: proxy.hold("pg_namespace")
    proxy.close()


def ask(daemon, wait=True, **parameters):
    """Sweep on a connection of its own; wait: it has been told that it waits."""
    wire = daemon.connection()
    wire.send("io.berth.manage.Sweep", parameters, more=True)
    if wait:
        told = wire.receive()
        assert told["continues"] and told["parameters"].keys() == {"waitsForUSec"}, told
    return wire


def result(wire):
    """The replies of a sweep: (verdicts told on the way, the result)"""
    told = []
    while (reply := wire.receive()).get("continues"):
        told.append(reply["parameters"]["verdict"])
    wire.close()
    return told, reply["parameters"]["result"]


def test_those_who_want_the_same_share_the_next_sweep(held, databases):
    daemon, hold = held
    [name] = stale(databases)
    with hold() as seen:
        first = ask(daemon, wait=False, dryRun=True)
        assert seen.wait(30)
        same = [ask(daemon), ask(daemon)]
        other = ask(daemon, dryRun=True)
        here = ask(daemon, database="tenant1")
        late = ask(daemon, dryRun=True)
    told, first = result(first)
    assert told == ["would_drop"] * 3 and verdicts(first) == everywhere(databases, [name], "would_drop")
    (told_one, one), (told_other, two) = map(result, same)
    assert one == two and one["sweep_id"] == first["sweep_id"] + 1
    assert told_one == told_other == ["dropped"] * 3 and verdicts(one) == everywhere(databases, [name], "dropped")
    assert one["started_at"] >= first["finished_at"]
    (_, dry), (_, late), (_, here) = result(other), result(late), result(here)
    assert dry == late and dry["dry_run"] and dry["sweep_id"] == one["sweep_id"] + 1
    assert not here["dry_run"] and here["sweep_id"] == dry["sweep_id"] + 1


def test_the_command_line_waits_behind_a_sweep_or_is_refused(held, databases):
    daemon, hold = held
    names = stale(databases)
    with hold() as seen:
        first = ask(daemon, wait=False, dryRun=True)
        assert seen.wait(30)
        refused = daemon.berth("sweep", "-n", check=75)
        assert "another one is running" in refused.stderr
        assert daemon.json("sweep", "--no-wait", check=75)["error"] == "SweepRunning"
        waiting = daemon.start_sweep()
        # Nothing else waits for it.
        daemon.berth("status", check=0)
    output, _ = waiting.communicate(timeout=60)
    assert waiting.returncode == 0
    assert verdicts(json.loads(output)) == everywhere(databases, names, "dropped")
    assert result(first)[1]["dry_run"]


def test_a_waiter_that_hangs_up_leaves_the_queue(held, databases):
    daemon, hold = held
    [name] = stale(databases)
    with hold() as seen:
        first = ask(daemon, wait=False, dryRun=True)
        assert seen.wait(30)
        gone = ask(daemon)
        gone.close()
        behind = ask(daemon, dryRun=True)
    _, before = result(first)
    _, after = result(behind)
    assert after["sweep_id"] == before["sweep_id"] + 1
    assert verdicts(after) == everywhere(databases, [name], "would_drop"), "the sweep of one that left was made"


def test_a_sweep_goes_on_for_the_others_when_the_one_that_asked_first_hangs_up(held, databases):
    daemon, hold = held
    [name] = stale(databases)
    with hold() as seen:
        first = ask(daemon, wait=False, dryRun=True)
        assert seen.wait(30)
        asked, shares = ask(daemon), ask(daemon)
    result(first)
    asked.close()
    told, shared = result(shares)
    assert told == ["dropped"] * 3 and verdicts(shared) == everywhere(databases, [name], "dropped")


def test_a_wrong_database_is_refused_at_once_and_also_when_a_reload_takes_it_away(held, databases):
    daemon, hold = held
    with hold() as seen:
        first = ask(daemon, wait=False, dryRun=True)
        assert seen.wait(30)
        with daemon.connection() as wire:
            assert wire.call("io.berth.manage.Sweep", {"database": "nope"})["error"].endswith(".NoSuchDatabase")
        waiting = ask(daemon, database="tenant2")
        del daemon.databases["tenant2"]
        daemon.write_config()
        daemon.process.send_signal(1)
        until(lambda: [one["name"] for one in daemon.json("status")["databases"]] == ["platform", "tenant1"])
    result(first)
    answer = waiting.receive()
    assert answer["error"].endswith(".NoSuchDatabase") and answer["parameters"]["database"] == "tenant2"


def test_a_stop_does_not_begin_what_waits(held, databases):
    daemon, hold = held
    names = stale(databases)
    with hold() as seen:
        ask(daemon, wait=False, dryRun=True)
        assert seen.wait(30)
        waiting = ask(daemon)
        daemon.process.terminate()
        daemon.wait_for_log("stopping")
    with pytest.raises(ConnectionError):
        waiting.receive()
    daemon.stop()
    assert all(set(names) <= set(server.schemas(database)) for database, server in databases.items())
