# SPDX-License-Identifier: MIT
"""DDL slots with real processes, a real daemon and real servers: who gets them, and when they are handed on."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import psycopg2
import pytest

from harness import BERTH, Postgres, Wire, until
from sweeps import stale

WAITERS = 200


class Client:
    """A connection with a lease of its own."""

    def __init__(self, daemon, namespace=None):
        self.daemon = daemon
        self.wire = daemon.connection()
        reply = self.wire.call("io.berth.lease.Acquire", {"namespace": namespace} if namespace else {})
        self.namespace = reply["parameters"]["context"]["namespace"]
        self.secret = reply["parameters"]["secret"]

    def another(self):
        """One more connection that may ask for slots of this lease."""
        return self.daemon.connection()

    def ask(self, worker="gw0", wire=None, **more):
        """Asks for a slot of platform's cluster; returns the first reply."""
        wire = wire or self.wire
        wire.send("io.berth.lease.AcquireSlot",
                  {"namespace": self.namespace, "secret": self.secret, "worker": worker, "database": "platform", **more},
                  more=True)
        return wire.receive()["parameters"]

    def close(self):
        self.wire.close()


def granted(wire):
    """Reads until the slot is there."""
    while True:
        reply = wire.receive()
        assert "error" not in reply, reply
        if reply["parameters"]["state"] == "granted":
            return reply["parameters"]
        assert reply["parameters"]["state"] == "queued"


def is_granted(wire, within=0.0):
    """Has it been granted by now? Replies about places are read over."""
    end = time.monotonic() + within
    while True:
        while wire.has_answer():
            if wire.receive()["parameters"]["state"] == "granted":
                return True
        if time.monotonic() >= end:
            return False
        time.sleep(0.01)


def platform_cluster(daemon):
    [cluster] = [one for one in daemon.json("status")["clusters"] if "platform" in one["databases"]]
    return cluster


def end_call(client):
    """Gives the slot back on another connection, as the call that holds it stays open."""
    with client.another() as wire:
        reply = wire.call("io.berth.lease.ReleaseSlot", {"namespace": client.namespace, "secret": client.secret})
        assert "error" not in reply, reply


@contextmanager
def building(server, namespace, worker="gw0", tables=1, suffix="", database="platform"):
    """An open transaction that has made tables, labelled as that worker's; rolled back at the end."""
    connection = psycopg2.connect(server.conninfo(database), application_name=f"pytest_{worker}_{namespace}{suffix}")
    schema = f"test_{namespace}_{worker}"
    cursor = connection.cursor()
    cursor.execute(f"CREATE SCHEMA {schema}")
    for i in range(tables):
        cursor.execute(f"CREATE TABLE {schema}.t{i} (id int PRIMARY KEY, a int); CREATE INDEX ON {schema}.t{i} (a)")
    try:
        yield connection
    finally:
        connection.close()


# ---- two hundred ----

def one_of_many(path, index, plan, events, go):
    """A process of its own: queues when its turn has come, holds for a moment, then gives back or dies."""
    def say(what, slot=-1):
        os.write(events, f"{index} {what} {time.monotonic()} {slot}\n".encode())

    wire = Wire(path)
    wire.socket.settimeout(None)
    lease = wire.call("io.berth.lease.Acquire")["parameters"]
    say("leased")
    os.read(go, 1)
    wire.send("io.berth.lease.AcquireSlot", {"database": "platform"}, more=True)
    assert wire.receive()["parameters"]["state"] == "queued"
    say("queued")
    slot = granted(wire)["slot"]
    say("granted", slot)
    time.sleep(random.Random(index).uniform(0, 0.02))
    say("ends", slot)
    if plan == "releases":
        with Wire(path) as other:
            other.call("io.berth.lease.ReleaseSlot",
                       {"namespace": lease["context"]["namespace"], "secret": lease["secret"]})
    elif plan == "closes":
        wire.close()
    else:
        os.kill(os.getpid(), signal.SIGKILL)


def start_one(path, index, plan, events, inherited):
    """Returns (pid, the pipe that lets it queue). plan: releases | closes | dies | dies waiting."""
    go, told = os.pipe()
    pid = os.fork()
    if pid:
        os.close(go)
        return pid, told
    try:
        for fd in (told, *inherited):
            os.close(fd)
        one_of_many(path, index, plan, events, go)
    finally:
        os._exit(0)


class Events:
    """What the processes say, as it comes: lists of (index, when, slot) by what they say."""

    def __init__(self):
        self.read, self.write = os.pipe()
        self.seen = {what: [] for what in ("leased", "queued", "granted", "ends")}
        threading.Thread(target=self._collect, daemon=True).start()

    def _collect(self):
        with os.fdopen(self.read) as lines:
            for line in lines:
                index, what, when, slot = line.split()
                self.seen[what].append((int(index), float(when), int(slot)))

    def indexes(self, what):
        return [index for index, _, _ in self.seen[what]]


def test_two_hundred_waiters_with_random_deaths(daemon):
    chance = random.Random(7)
    plans = chance.choices(["releases", "closes", "dies", "dies waiting"], [4, 2, 3, 2], k=WAITERS)
    keepers = [Client(daemon) for _ in range(2)]
    for keeper in keepers:
        assert keeper.ask()["state"] == "granted"
    events, children = Events(), []
    try:
        for index, plan in enumerate(plans):
            ours = [keeper.wire.socket.fileno() for keeper in keepers] + [told for _, told in children]
            children.append(start_one(daemon.socket, index, plan, events.write, ours))
        until(lambda: len(events.seen["leased"]) == WAITERS, 60, "all to have a lease")
        for index, (_, told) in enumerate(children):
            os.write(told, b"!")
            until(lambda: index in events.indexes("queued"), 10, f"the place of {index}")
        state = platform_cluster(daemon)
        assert len(state["waiters"]) == WAITERS and len(state["holders"]) == 2
        for index, plan in enumerate(plans):
            if plan == "dies waiting":
                os.kill(children[index][0], signal.SIGKILL)
        for keeper in keepers:
            keeper.close()
        alive = [index for index, plan in enumerate(plans) if plan != "dies waiting"]
        most = 0
        while len(events.seen["ends"]) < len(alive):
            last = len(events.seen["ends"])
            most = max(most, len(platform_cluster(daemon)["holders"]))
            until(lambda: len(events.seen["ends"]) > last, 10, f"more than {last} of {len(alive)} to be served")
    finally:
        for pid, told in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(told)
    assert most <= 2
    until(lambda: not platform_cluster(daemon)["holders"], 10, "the slots to be free")

    # First come, first served, though two are served side by side.
    order = [index for index, _, _ in sorted(events.seen["granted"], key=lambda one: one[1])]
    assert sorted(order) == alive
    assert max(abs(index - at) for index, at in zip(order, alive)) <= max(b - a for a, b in zip(alive, alive[2:]))
    # Never two in one slot, and never a slot without its next holder for long, however the last one ended.
    ends = dict((index, when) for index, when, _ in events.seen["ends"])
    for slot in (0, 1):
        held = sorted((when, ends[index], index) for index, when, one in events.seen["granted"] if one == slot)
        for (_, end, before), (begin, _, after) in zip(held, held[1:]):
            assert begin >= end, f"{before} and {after} held slot {slot} at once"
            assert begin - end <= 1, f"slot {slot} was free for {begin - end:.3f} s after {before} ({plans[before]})"


def test_a_run_of_many_workers_does_not_starve_its_neighbour(daemon):
    many, few = Client(daemon, "many"), Client(daemon, "few")
    wires = [many.another() for _ in range(24)]
    states = [many.ask(f"gw{i}", wire)["state"] for i, wire in enumerate(wires)]
    assert states == ["granted"] * 2 + ["queued"] * 22
    mine = few.another()
    assert few.ask("gw0", mine)["position"] <= 2
    wires[0].close()
    wires[1].close()
    granted(mine)


# ---- what waiting tells ----

def test_who_waits_hears_who_holds_and_for_how_long(daemon):
    holders = [Client(daemon, "first"), Client(daemon, "second")]
    for i, client in enumerate(holders):
        assert client.ask(f"gw{i}")["state"] == "granted"
    time.sleep(0.2)
    waiter = Client(daemon, "third")
    queued = waiter.ask()
    assert (queued["state"], queued["position"]) == ("queued", 1)
    assert [(one["namespace"], one["worker"]) for one in queued["holders"]] == [("first", "gw0"), ("second", "gw1")]
    assert all(200_000 <= one["heldUSec"] < 20_000_000 for one in queued["holders"])
    assert {one["process"]["pid"] for one in queued["holders"]} == {os.getpid()}

    done = daemon.berth("slot", "-w", "300ms", "--database", "platform", "--", "true", check=75)
    assert "first" in done.stderr and done.stderr.count("\n") == 1
    daemon.berth("slot", "-n", "--database", "platform", "--", "true", check=75)
    daemon.berth("slot", "-n", "--database", "tenant2", "--", "true", check=0)  # another server


def test_an_operator_takes_a_slot_from_a_silent_holder(daemon):
    silent, other, waiter = Client(daemon, "silent"), Client(daemon, "other"), Client(daemon, "waiter")
    assert silent.ask()["state"] == other.ask()["state"] == "granted"
    assert waiter.ask()["state"] == "queued"
    assert not is_granted(waiter.wire, 1)
    daemon.berth("revoke", "silent", check=0)
    last = silent.wire.receive()["parameters"]
    assert last["state"] == "revoked" and last["reason"]
    granted(waiter.wire)
    assert {one["namespace"] for one in platform_cluster(daemon)["holders"]} == {"other", "waiter"}


def test_an_operator_s_revoke_waits_for_what_is_being_built(daemon, clusters):
    main, _ = clusters
    silent, other, waiter = Client(daemon, "silent"), Client(daemon, "other"), Client(daemon, "waiter")
    assert silent.ask()["state"] == other.ask()["state"] == "granted"
    assert waiter.ask()["state"] == "queued"
    with building(main, "silent"):
        daemon.berth("revoke", "silent", check=0)
        assert not is_granted(waiter.wire, 1)
    assert is_granted(waiter.wire, 1)


# ---- draining ----

@pytest.mark.parametrize("how", ["closes", "releases"])
def test_a_dead_holder_s_slot_is_handed_on_when_its_sessions_have_finished(daemon, clusters, how):
    main, _ = clusters
    holder, other, waiter = Client(daemon, "holder"), Client(daemon, "other"), Client(daemon, "waiter")
    assert holder.ask("gw3")["state"] == other.ask("gw3")["state"] == "granted"
    assert waiter.ask()["state"] == "queued"
    with building(main, "holder", "gw3", suffix="_engine"), building(main, "elsewhere", "gw3"):
        if how == "releases":
            end_call(holder)
            assert is_granted(waiter.wire, 1)
            return
        holder.close()
        assert not is_granted(waiter.wire, 1.5)
        # It still stands among the holders, for those who wait and for those who look.
        [draining] = [one for one in platform_cluster(daemon)["holders"] if one.get("draining")]
        assert (draining["namespace"], draining["worker"]) == ("holder", "gw3")
        assert "draining" in daemon.berth("status", check=0).stdout
        late = Client(daemon, "late")
        assert "holder" in {one["namespace"] for one in late.ask()["holders"]}
    assert is_granted(waiter.wire, 1)


def test_draining_is_bounded_and_said(make_daemon, clusters):
    main, _ = clusters
    daemon = make_daemon({"statement_timeout": "2s"})
    holder, other, waiter = Client(daemon, "holder"), Client(daemon, "other"), Client(daemon, "waiter")
    assert holder.ask()["state"] == other.ask()["state"] == "granted"
    assert waiter.ask()["state"] == "queued"
    with building(main, "holder"):
        began = time.monotonic()
        holder.close()
        granted(waiter.wire)
        assert 1.9 <= time.monotonic() - began <= 3.5
    daemon.wait_for_log("slot handed on all the same: namespace=holder worker=gw0 slot=0")
    assert "handed on all the same" in daemon.berth("history", "holder", check=0).stdout


def test_a_server_that_is_gone_does_not_keep_the_slot(make_daemon):
    server = Postgres(databases=["platform"])
    try:
        daemon = make_daemon({"connect_timeout": "500ms"}, platform=server.conninfo("platform"))
        holders, waiter = [Client(daemon), Client(daemon)], Client(daemon)
        for client in holders:
            assert client.ask()["state"] == "granted"
        assert waiter.ask()["state"] == "queued"
        server.stop("immediate")
        holders[0].close()
        assert is_granted(waiter.wire, 3)
        daemon.wait_for_log("slot handed on all the same: .*its server does not answer")
    finally:
        server.remove()


BUILD = """
import os, sys, psycopg2
connection = psycopg2.connect(sys.argv[1], application_name=f"pytest_gw0_{os.environ['BERTH_NAMESPACE']}_build")
cursor = connection.cursor()
cursor.execute("CREATE TABLE public.under_way (id int)")
print(connection.get_backend_pid(), flush=True)
cursor.execute("SELECT pg_sleep(60)")
"""


def start_slot(daemon, *command):
    return subprocess.Popen([BERTH, "slot", "--database", "platform", "--", *command], env=daemon.environment(),
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)


def test_kill_9_of_berth_slot_in_the_middle_of_a_build(make_daemon, clusters):
    """The backend does not notice that its client is dead: its CREATE TABLE keeps its locks, and its slot."""
    main, _ = clusters
    daemon = make_daemon({"ddl_slots": "1"})
    looks = ("import sys, psycopg2; c = psycopg2.connect(sys.argv[1]).cursor();"
             "c.execute('SELECT count(*) FROM pg_stat_activity WHERE pid = %s', (int(sys.argv[2]),));"
             "print(c.fetchone()[0])")
    build = start_slot(daemon, sys.executable, "-c", BUILD, main.conninfo("platform"))
    backend = int(build.stdout.readline())
    children = [int(pid) for pid in subprocess.run(["ps", "-o", "pid=", "--ppid", str(build.pid)],
                                                   capture_output=True, text=True).stdout.split()]
    waiter = start_slot(daemon, sys.executable, "-c", looks, main.conninfo("platform"), str(backend))
    until(lambda: len(platform_cluster(daemon)["waiters"]) == 1, what="the second berth slot to wait")
    build.kill()
    build.wait()
    for pid in children:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    until(lambda: [one for one in platform_cluster(daemon)["holders"] if one.get("draining")], 5, "a draining slot")
    time.sleep(1.5)
    assert waiter.poll() is None and len(platform_cluster(daemon)["waiters"]) == 1
    assert main.sql(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {backend}") == [(1,)]
    main.sql(f"SELECT pg_terminate_backend({backend})")
    output, _ = waiter.communicate(timeout=10)
    assert (waiter.returncode, output) == (0, "0\n")


# ---- the lock table ----

def test_what_a_holder_locks_is_seen_and_told(daemon, clusters):
    main, _ = clusters
    assert "lockPeak" not in platform_cluster(daemon)
    assert "locks:" not in daemon.berth("status", check=0).stdout
    holder = Client(daemon, "holder")
    assert holder.ask()["state"] == "granted"
    with building(main, "holder", tables=100):
        objects = main.sql("""SELECT count(*) FROM (SELECT DISTINCT locktype, database, relation, classid, objid,
                              transactionid FROM pg_locks JOIN pg_stat_activity USING (pid)
                              WHERE application_name = 'pytest_gw0_holder' AND NOT fastpath) one""")[0][0]
        until(lambda: platform_cluster(daemon).get("lockPeak") == objects, 5, f"a peak of {objects}")
    end_call(holder)
    state = platform_cluster(daemon)
    assert state["lockPeak"] == objects >= 300
    assert f"locks: peak {objects} of {state['lockTable']:,}" in daemon.berth("status", check=0).stdout
    until(lambda: not main.sql("SELECT 1 FROM pg_stat_activity WHERE application_name ~ '^berthd'"), 5,
          "the daemon to have left the server")


@pytest.fixture
def small_server():
    """Its lock table takes 988 of such tables while they are made: two schemas of 400, and not three."""
    server = Postgres("max_locks_per_transaction = 20", "max_connections = 40", databases=["platform"])
    yield server
    server.remove()


class Builder(threading.Thread):
    """Makes schemas of that many tables, one after the other, each in a slot and in one transaction."""

    def __init__(self, daemon, server, namespace, tables):
        super().__init__()
        self.client, self.server, self.tables = Client(daemon, namespace), server, tables
        self.stop, self.built, self.error = threading.Event(), 0, None
        self.start()

    def run(self):
        try:
            while not self.stop.is_set():
                with self.client.another() as wire:
                    if self.client.ask(f"gw{self.built}", wire)["state"] != "granted":
                        granted(wire)
                    with building(self.server, self.client.namespace, f"gw{self.built}", self.tables):
                        pass
                    end_call(self.client)
                self.built += 1
        except (psycopg2.Error, ConnectionError, AssertionError) as error:
            self.error = error

    def finish(self):
        self.stop.set()
        self.join(60)
        return self.error


def test_a_backlog_beside_two_builders_fills_no_lock_table(make_daemon, small_server):
    databases = {"platform": small_server}
    where = {name: small_server.conninfo("platform") for name in ("platform", "tenant1", "tenant2")}
    daemon = make_daemon({"unleased_grace": "0s"}, **where).after_first_sweep()
    names = stale(databases, 6, tables=150)
    builders = [Builder(daemon, small_server, f"builder{i}", 400) for i in range(2)]
    until(lambda: all(one.built for one in builders) or any(one.error for one in builders), 60, "a build of each")
    result = daemon.sweep()
    errors = [one.finish() for one in builders]
    assert errors == [None, None]
    assert [database["failed"] for database in result["databases"]] == [[]] * len(result["databases"])
    assert not set(names) & set(small_server.schemas("platform"))
    assert platform_cluster(daemon)["lockPeak"] > 1000
    daemon.wait_for_log(r"lock table nearly too small: .*ddl_slots=2 peak=1\d\d\d lock_table=1000;")
    assert "all slots need" in daemon.berth("status", check=0).stdout
    assert "53200" not in daemon.log and "out of shared memory" not in (small_server.directory / "log").read_text()


def test_the_sweep_gives_way_between_schemas(make_daemon, small_server):
    databases = {"platform": small_server}
    where = {name: small_server.conninfo("platform") for name in ("platform", "tenant1", "tenant2")}
    daemon = make_daemon({"unleased_grace": "0s", "ddl_slots": "1", "lock_timeout": "20s"}, **where).after_first_sweep()
    names = stale(databases, 4)
    reader = psycopg2.connect(small_server.conninfo("platform"), application_name="psql")
    for name in names:
        reader.cursor().execute(f'LOCK TABLE "{name}".t0 IN ACCESS SHARE MODE')

    def left():
        return set(small_server.schemas("platform")) & set(names)

    first, second, third = Client(daemon, "first"), Client(daemon, "second"), Client(daemon, "third")
    assert first.ask()["state"] == "granted"
    sweep = daemon.start_sweep()
    until(lambda: [one for one in platform_cluster(daemon)["waiters"] if not one.get("worker")], 20, "the sweep to wait")
    assert second.ask()["position"] == 1  # behind nobody: the sweep stands last
    first.close()
    assert is_granted(second.wire, 5)
    assert len(left()) == 4
    second.close()
    until(lambda: [one for one in platform_cluster(daemon)["holders"] if not one.get("worker")], 20, "a drop to begin")
    assert third.ask()["state"] == "queued"
    reader.close()
    granted(third.wire)
    assert len(left()) == 3
    time.sleep(1)
    assert len(left()) == 3, "a drop went on while a run held the only slot"
    third.close()
    assert sweep.wait(60) == 0, sweep.communicate()
    assert not left()
