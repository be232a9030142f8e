# SPDX-License-Identifier: MIT
"""
A server restarts under live runs, or another stands in its place, before a sweep and in the middle of one: nothing is
dropped in any database, the reason is told, and what is dead goes when the server is itself again.
"""

import threading

import pytest

from faults import FAULTS, GRACE, Village, random_faults


@pytest.fixture(scope="module")
def village():
    with Village() as village:
        yield village


@pytest.fixture(autouse=True)
def afterwards(village):
    yield
    village.calm_down()


@pytest.mark.parametrize("how", ["restart", "immediate", "crash_of_a_backend"])
def test_a_server_that_restarts_under_live_runs(village, how):
    village.die(2)
    getattr(village, how)()
    reasons = village.refused(GRACE / 2)
    assert any("platform: the server started " in why for why in reasons), reasons
    village.check()


PLACES = {
    "clone": "platform: another server than before answers since ",
    "standby": "platform: hot standby: it shows the schemas and none of the primary's sessions",
    "pooler": "platform: a pooler is in between",
}


@pytest.mark.parametrize("place", PLACES)
def test_another_in_the_place_of_a_server_between_two_sweeps(village, place):
    village.die(2)
    village.proxy.upstream = getattr(village, place)
    assert all(why.startswith(PLACES[place]) for why in village.refused(GRACE / 4))
    village.check()


def test_a_clone_that_took_the_place_of_its_primary_is_believed_after_the_grace_only_and_the_primary_again(village):
    village.die()
    village.proxy.upstream = village.clone
    assert any(PLACES["clone"] in why for why in village.refused())
    village.proxy.upstream = village.primary
    assert any(PLACES["clone"] in why for why in village.refused(GRACE / 2))


@pytest.mark.parametrize("place, when", [("clone", "DROP SCHEMA"), ("standby", "BEGIN ISOLATION")])
def test_another_in_the_place_of_a_server_between_census_and_drop(village, place, when):
    """The connection breaks when the first drop begins, or drops, and whoever answers then is another."""
    platform, elsewhere = set(village.die(3)), set(village.other.schemas("elsewhere"))
    village.clone.sql("SELECT 1")
    with village.proxy.cut(when, 0), village.proxy.hold(when) as seen:
        sweep = threading.Thread(target=lambda: results.append(village.sweep()))
        results = []
        sweep.start()
        assert seen.wait(30)
        village.proxy.upstream = getattr(village, place)
    sweep.join()
    [error] = [one["error"] for one in results[0]["databases"] if one["name"] == "platform"]
    assert f"platform: {error}".startswith(PLACES[place]) or "another server or database now" in error, error
    assert platform <= set(village.primary.schemas("platform")), "dropped in spite of it"
    assert elsewhere - set(village.other.schemas("elsewhere")) <= elsewhere  # what went first went by a good census
    village.check()


def test_fifty_faults_in_any_order():
    with Village() as village:
        counts = random_faults(village, 50)
        assert sum(counts.values()) == 50 and set(counts) == set(FAULTS)
        assert village.complete > 5 and village.incomplete > 5 and village.dropped > 5, vars(village)
