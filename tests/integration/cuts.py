# SPDX-License-Identifier: MIT
"""
What the cuts have in common: three databases, one of which misbehaves at message k, a sweep, and what must hold of it.

WAYS_OF_A_WIRE are what a network does; the fake can do all of fake_postgres.WAYS.

Census or drop: a census is cut where no drop begins in the database that misbehaves, a drop where one does.
"""

import threading
import time
import traceback
from contextlib import ExitStack, contextmanager

from fake_postgres import HARMLESS, FakePostgres
from harness import MessageProxy
from sweeps import OLD, daemon_over, details, verdicts

WAYS_OF_A_WIRE = ["close", "reset", "stall", "garbage", "slow"]
NAMES = ["first", "middle", "last"]
DEAD = f"test_{OLD}00000000_gw0"
LIVING = "p1t1700000001r000000ff"
LIVE = f"test_{LIVING}_gw0"
# Time-outs of a second where a stall must be seen through, and nothing waits for a lock.
SHORT = {"connect_timeout": "250ms", "lock_timeout": "100ms", "statement_timeout": "100ms", "unleased_grace": "0s"}
# Where many daemons share the machine.
PATIENT = {"connect_timeout": "1s", "statement_timeout": "1s"}
OUT_OF_TIME = "no answer within"  # on a busy machine, of anything
HELD_UP = "the daemon was held up meanwhile"  # on a busy machine, by a sanitizer that marks a gigabyte
# The daemon under test gives freed memory back, so that its size says what it uses.
FRUGAL = {"ASAN_OPTIONS": "detect_stack_use_after_return=1:quarantine_size_mb=8:allocator_release_to_os_interval_ms=100"}


def sweep_by_wire(daemon):
    """As berth sweep --json, without the price of a process."""
    with daemon.connection() as wire:
        while True:
            answer = wire.call("io.berth.manage.Sweep")
            if "result" in answer["parameters"]:
                return answer["parameters"]["result"]
            time.sleep(0.02)  # one of its own accord is under way


class Trio:
    """
    Three databases with a dead and a live run's schema in each, and a daemon over them. The live run is connected to
    one only, never to the one that is cut.
    """

    dead, live = DEAD, LIVE

    def cut(self, at, way, position, drop=False):
        """Does way at message at of the database at that position; True if there was one. Asserts what must hold."""
        self.prepare(position, drop)
        self.misbehave(position, at, way, drop)
        result = sweep_by_wire(self.daemon)
        acted = self.misbehave(position)
        self.check(result, position, way, at, acted, drop)
        return acted > 0

    def check(self, result, position, way, at, acted, drop):
        where = (NAMES[position], at, way, result)
        complete, seen = result["active_detection_complete"], verdicts(result)
        error = result["databases"][position]["error"]
        for number, database in enumerate(NAMES):
            left, said = self.schemas(number), seen.get((database, self.dead))
            assert self.live in left, where
            if said == "dropped":
                assert self.dead not in left, where
            elif said != "unknown" and (number != position or drop):
                assert self.dead in left, where
            if complete:
                assert seen[database, self.live] == "live", where
                if number != position:
                    # A connection that is lost takes the next census with it, which may be incomplete in its turn.
                    # On a busy machine 57014 is possible everywhere.
                    assert said in ("dropped", "57014") or drop and said == "active_detection_incomplete", where
        if not complete and not drop:
            reasons = set(details(result).values())
            assert set(seen.values()) == {"active_detection_incomplete"}, where
            assert all(why == f"{NAMES[position]}: {error}" or OUT_OF_TIME in why or why == HELD_UP
                       for why in reasons), where
        if not acted or way in HARMLESS and at > 0:  # before the log-in nothing but the log-in is taken
            assert complete and not error or OUT_OF_TIME in (error or ""), where
        if drop:
            self.clean_up(seen, where)

    def clean_up(self, seen, where):
        """What is dead is gone within two sweeps, when the fault is over."""
        if "unknown" in seen.values() and not self.may_know:
            return
        for _ in range(2):
            if any(self.dead in self.schemas(number) for number in range(3)):
                sweep_by_wire(self.daemon)
        assert not any(self.dead in self.schemas(number) for number in range(3)), where


class FakeTrio(Trio):
    may_know = True

    def __init__(self, daemon, fakes):
        self.daemon, self.fakes = daemon, fakes

    def prepare(self, position, drop=False):
        for number, fake in enumerate(self.fakes):
            fake.live = {LIVE}
            fake.databases = {NAMES[number]: {}}
            fake.make(NAMES[number], LIVE, *([DEAD] if drop or number != position else []))
            fake.sessions = [(f"pytest_gw0_{LIVING}", 4242, "x")] if number == (position + 1) % 3 else []

    def misbehave(self, position, at=None, way=None, once=False):
        acted = self.fakes[position].acted
        self.fakes[position].misbehave(at, way, once)
        return acted

    def schemas(self, number):
        assert not self.fakes[number].wrong and not self.fakes[number].unknown
        return self.fakes[number].schemas(NAMES[number])


class RealTrio(Trio):
    """
    Databases of their own on two shared servers, each behind a proxy; names that nobody else uses. Another daemon's
    sweep on the same server is not to be told from a lost one of ours: what is unknown then stays so.
    """

    may_know = False

    def __init__(self, daemon, proxies, servers, databases, number):
        self.daemon, self.proxies, self.number, self.points = daemon, proxies, number, 0
        self.hands = [server.connect(database) for server, database in zip(servers, databases)]

    def prepare(self, position, drop=False):
        self.points += 1
        self.dead = f"test_{OLD}{self.number:04x}{self.points:04x}_gw0"
        living = f"p1t1700000001r{self.number:04x}ffff"
        self.live = f"test_{living}_gw0"
        for number, hand in enumerate(self.hands):
            self.tell(number, "SET application_name = '{}'".format(
                f"pytest_gw0_{living}" if number == (position + 1) % 3 else "hand"))
            self.tell(number, "".join(f'DROP SCHEMA "{name}" CASCADE;' for name in self.schemas(number)) or "SELECT 1")
            for name in [self.live, self.dead] if drop or number != position else [self.live]:
                self.tell(number, f'CREATE SCHEMA "{name}"; CREATE TABLE "{name}".t0 (id int PRIMARY KEY)')

    def tell(self, number, sql):
        with self.hands[number].cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall() if cursor.description else None

    def misbehave(self, position, at=None, way=None, once=False):
        acted = self.proxies[position].acted
        self.proxies[position].set(at, way, once)
        return acted

    def schemas(self, number):
        return [name for (name,) in self.tell(number, "SELECT nspname FROM pg_namespace WHERE nspname ~ '^test_'")]


@contextmanager
def trio(ways=("sslmode=disable",) * 3, **options):
    """Over fakes. ways: how each is to be reached."""
    fakes = [FakePostgres({name: []}) for name in NAMES]
    where = {name: fake.conninfo(more=way) for name, fake, way in zip(NAMES, fakes, ways)}
    try:
        with daemon_over(where, FRUGAL, **{**SHORT, **options}) as daemon:
            yield FakeTrio(daemon, fakes)
    finally:
        for fake in fakes:
            fake.close()


@contextmanager
def real_trio(servers, number, **options):
    """Over real servers, three databases of which are made for it. The first server has two of them."""
    places = [servers[0], servers[1], servers[0]]
    databases = [f"cut{number}_{name}" for name in NAMES]
    for server, database in zip(places, databases):
        server.sql(f'CREATE DATABASE "{database}"', "postgres")
    proxies = [MessageProxy(server) for server in places]
    where = {name: proxy.conninfo(database) for name, proxy, database in zip(NAMES, proxies, databases)}
    try:
        with daemon_over(where, FRUGAL, **{**SHORT, **options}) as daemon:
            yield RealTrio(daemon, proxies, places, databases, number)
    finally:
        for proxy in proxies:
            proxy.close()


# ---- many of them ----


def n_messages(trio, drop):
    """How many messages a server has to say to a sweep."""
    n = 0
    for position in range(3):
        at = 0
        while trio.cut(at, "slow", position, drop):
            at += 8
        n = max(n, at)
    return n


def points_of(kind, n, drop, ways):
    return [(kind, drop, way, at, position) for way in ways for at in range(n) for position in range(3)]


class Campaign:
    """Runs points, several at a time, each worker with a daemon and databases of its own; stalls overlap."""

    def __init__(self, points, servers, jobs):
        self.left, self.servers, self.jobs = list(points), servers, jobs
        self.done, self.acted, self.failed = 0, 0, []
        self.lock = threading.Lock()

    def run(self):
        threads = [threading.Thread(target=self._work, args=(number,)) for number in range(self.jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self

    def _next(self):
        with self.lock:
            return self.left.pop() if self.left else None

    def _work(self, number):
        try:
            with ExitStack() as stack:
                trios = {"fake": stack.enter_context(trio(**PATIENT))}
                if self.servers:
                    trios["real"] = stack.enter_context(real_trio(self.servers, number, **PATIENT))
                while point := self._next():
                    self._one(trios[point[0]], point)
        except Exception:  # of a thread nobody else would hear
            with self.lock:
                self.failed.append((None, traceback.format_exc()))

    def _one(self, on, point):
        kind, drop, way, at, position = point
        try:
            acted, why = on.cut(at, way, position, drop), None
        except AssertionError:
            acted, why = True, traceback.format_exc()
        with self.lock:
            self.done += 1
            self.acted += acted
            if why:
                self.failed.append((point, why))


class Watch:
    """Of a daemon, while inside: how long others wait for an answer, how large it gets, how much it computes."""

    def __init__(self, daemon):
        self.daemon, self.slowest, self.late, self.calls, self.over = daemon, 0.0, 0.0, 0, False
        self.pid = daemon.process.pid

    def __enter__(self):
        with open(f"/proc/{self.pid}/clear_refs", "w") as file:
            file.write("5")  # the peak begins anew
        self.size_before, self.busy_before = self.size("VmRSS"), self.busy()
        self.thread = threading.Thread(target=self._ask)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over = True
        self.thread.join()
        self.slowest = max(0.0, self.slowest - 2 * self.late)  # that is the machine's, not the daemon's
        self.grown = self.size("VmHWM") - self.size_before
        self.computed = self.busy() - self.busy_before

    def _ask(self):
        with self.daemon.connection() as wire:
            while not self.over:
                began = time.monotonic()
                wire.call("io.berth.manage.GetStatus")
                self.slowest = max(self.slowest, time.monotonic() - began)
                self.calls += 1
                began = time.monotonic()
                time.sleep(0.01)
                self.late = max(self.late, time.monotonic() - began - 0.01)

    def size(self, which):
        with open(f"/proc/{self.pid}/status") as status:
            [kilobytes] = [int(line.split()[1]) for line in status if line.startswith(which + ":")]
        return kilobytes / 1024

    def busy(self):
        """Seconds of processor time."""
        with open(f"/proc/{self.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100
