# SPDX-License-Identifier: MIT
"""
A server that misbehaves in every way, at every message: nothing is dropped anywhere unless every database was heard,
and berthd lives on, small and responsive. The server is made of memory (fake_postgres.py); all combinations are in
tests/campaign cuts.
"""

import json

import pytest

from cuts import DEAD, LIVE, NAMES, OUT_OF_TIME, Watch, sweep_by_wire, trio
from fake_postgres import ENDLESS, WAYS, FakePostgres, error
from harness import until
from sweeps import daemon_over, details, verdicts

WAITING = ["stall", "copy in", "copy out", "copy both", "length 1 GB"]  # each costs a time-out, or a gigabyte of shadow
SWIFT = [way for way in WAYS if way not in WAITING + ENDLESS]
MIB = 300       # what a server that goes on for ever may cost, AddressSanitizer's shadow of a gigabyte included
PATIENCE = 0.5     # seconds; of what announces a gigabyte more: a sanitizer needs that to mark it as its own


@pytest.fixture(scope="module")
def three():
    """The first is to be spoken to with TLS only while it is offered, the last with a password."""
    with trio(["sslmode=prefer", "sslmode=disable", "sslmode=disable password=very-secret"]) as three:
        yield three


@pytest.fixture(scope="module")
def n_messages(three):
    n = 0
    while three.cut(n, "notice", 0):
        n += 1
    assert n > 25
    return n


def test_every_way_at_every_other_message(three, n_messages):
    ways = list(enumerate(SWIFT))
    garbage = ways.pop(SWIFT.index("garbage"))
    for some, peak in ((ways, 64), ([garbage], MIB * 2)):  # garbage may announce two gigabytes
        with Watch(three.daemon) as watch:
            for number, way in some:
                for at in range(number % 2, n_messages, 2):
                    three.cut(at, way, (at // 2 + number) % 3)
        assert watch.slowest < 0.1, f"a call was answered after {watch.slowest:.3f} s"
        assert watch.grown < peak, f"{watch.grown:.0f} MiB more"
        assert watch.size("VmRSS") - watch.size_before < 64, "it keeps what it took"


@pytest.mark.parametrize("way", WAITING)
def test_who_waits_for_more_waits_no_longer_than_its_time(three, n_messages, way):
    with Watch(three.daemon) as watch:
        for at in range(WAITING.index(way), n_messages, 7):
            three.cut(at, way, at % 3)
    assert watch.slowest < (6 * PATIENCE if way.startswith("length") else 0.1), f"{watch.slowest:.3f} s"
    assert way.startswith("length") or watch.computed < 0.5, f"{watch.computed} s of processor time"


@pytest.mark.parametrize("way", ENDLESS)
def test_what_does_not_come_to_an_end_is_ended(three, n_messages, way):
    with Watch(three.daemon) as watch:
        for at in (ENDLESS.index(way) % 6, n_messages // 2, n_messages - 3):
            three.cut(at, way, at % 3)
    announced = way.endswith(("1 GB", "an end"))  # or two
    assert watch.grown < MIB * (2 if announced else 1), f"{watch.grown:.0f} MiB more"
    assert watch.slowest < PATIENCE * (6 if announced else 1), f"a call was answered after {watch.slowest:.3f} s"


def test_an_answer_without_an_end_is_given_up_long_before_its_time():
    with trio(connect_timeout="20s") as three:
        with Watch(three.daemon) as watch:
            three.cut(25, "rows for ever", 1)
        assert "does not come to an end" in json.dumps(three.daemon.json("status")["lastSweep"])
        assert watch.grown < MIB and watch.computed < 10


# ---- what it says of itself ----

REFUSED = {  # what the server is, and what the reason says of it
    "no process number": (dict(key=False), "a pooler is in between"),
    "another process number": (dict(identity={"pid": 77}), "a pooler is in between"),
    "in recovery": (dict(identity={"in_recovery": "t"}), "hot standby"),
    "read-only": (dict(identity={"read_only": "t"}), "default_transaction_read_only is on"),
    "has started in the future": (dict(identity={"uptime": -3_000_000}), "how long the server has been up"),
    "does not know since when": (dict(identity={"uptime": "nonsense"}), "how long the server has been up"),
    "wants a password": (dict(auth="cleartext"), "no password supplied"),
    "wants a password, md5": (dict(auth="md5"), "no password supplied"),
    "wants a password, SCRAM": (dict(auth="scram"), "no password supplied"),
    "wants what nobody knows": (dict(auth=99), "authentication method 99 not supported"),
    "wants Kerberos": (dict(auth=7), "GSSAPI"),
    "offers TLS and does not speak it": (dict(offer=b"S" + b"~" * 64), "SSL"),
    "answers to TLS with nonsense": (dict(offer=b"~"), "invalid response to SSL negotiation"),
}
BY_SECRET = {
    "SCRAM, and cannot prove that it knows it": ("scram", "server signature"),
    "SCRAM, with a nonce of its own": ("scram, other nonce", "invalid SCRAM response"),
    "SCRAM, without salt": ("scram, no salt", "SCRAM"),
    "SCRAM, nonsense": ("scram, nonsense", "SCRAM"),
}


def why_not(three, position, **changes):
    """What the server at that position is: nothing is dropped, and this is the reason."""
    fake, before = three.fakes[position], {}
    three.prepare(position)
    for key, value in changes.items():
        before[key] = getattr(fake, key)
        setattr(fake, key, {**fake.identity, **value} if key == "identity" else value)
    result = sweep_by_wire(three.daemon)
    for key, value in before.items():
        setattr(fake, key, value)
    [why] = set(details(result).values())
    assert set(verdicts(result).values()) == {"active_detection_incomplete"}
    assert all(fake.schemas(name) for name, fake in zip(NAMES, three.fakes))
    assert why.startswith(f"{NAMES[position]}: ") and "\n" not in why and "very-secret" not in why
    return why


@pytest.mark.parametrize("cause", REFUSED)
def test_a_server_that_cannot_be_believed_is_not_and_says_why(three, cause):
    changes, told = REFUSED[cause]
    why = why_not(three, 0 if "offer" in changes else 1, **changes)
    assert told in why or "offer" in changes and OUT_OF_TIME in why  # TLS is for threads, which wait for a processor


@pytest.mark.parametrize("cause", BY_SECRET)
def test_a_password_that_does_not_lead_to_a_log_in(three, cause):
    auth, told = BY_SECRET[cause]
    assert told in why_not(three, 2, auth=auth)


def test_what_does_not_matter_does_not_matter(three):
    fake = three.fakes[2]
    for auth in ("ok", "cleartext", "md5"):
        for told in ({}, {"server_version": "banana"}, {"client_encoding": "SQL_ASCII"},
                     {"standard_conforming_strings": "off"}, {"is_superuser": "on", "x": "y" * 5000}):
            fake.auth, fake.parameters = auth, told
            three.cut(None, "none", 2, drop=True)
    fake.auth, fake.parameters = "ok", {}


@pytest.mark.parametrize("state", ["57P03", "53300", "3D000", "28P01", "28000", "XX000", None])
def test_a_refusal_at_the_log_in_is_told_in_the_servers_words(three, state):
    asleep = error("the database system is asleep", state, "FATAL")
    assert "the database system is asleep" in why_not(
        three, 1, at=0, way=lambda connection, _: connection.raw(asleep))


def test_one_database_under_two_names_is_seen_once_and_dropped_once():
    fake = FakePostgres({"platform": [DEAD]})
    with daemon_over({"one": fake.conninfo(), "two": fake.conninfo()}) as daemon:
        until(lambda: not fake.schemas("platform"), what="the drop")
        assert fake.dropped == [("platform", DEAD)] and daemon.json("status")["activeDetectionComplete"]
    fake.close()
