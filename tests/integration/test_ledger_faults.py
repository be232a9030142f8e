# SPDX-License-Identifier: MIT
"""
The ledger under fault: a full disk, other programs at its files, a disk that fails. Each ends as docs/operations.md says,
nothing is dropped in the meantime, and the loop answers all along.
"""

import hashlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from contextlib import contextmanager

import pytest
from harness import BERTHD, BUILD, Daemon, until
from sweeps import EAGER, all_there, stale

LEASE, MANAGE = "io.berth.lease.", "io.berth.manage."
UNAVAILABLE = LEASE + "LedgerUnavailable"
ANSWER_MS = 100  # of GetInfo, whatever the disk does


class Stalls:
    """Asks GetInfo all the time, as a watchdog would; knows the longest it took."""

    def __init__(self, daemon):
        self.wire, self.longest, self.count, self.ends = daemon.connection(), 0.0, 0, threading.Event()
        self.thread = threading.Thread(target=self._ask, daemon=True)
        self.thread.start()

    def _ask(self):
        while not self.ends.wait(0.002):
            began = time.monotonic()
            try:
                self.wire.call("org.varlink.service.GetInfo")
            except (ConnectionError, OSError):
                return
            self.longest = max(self.longest, time.monotonic() - began)
            self.count += 1

    def end(self):
        self.ends.set()
        self.thread.join(10)
        print(f"{self.count} answers, the slowest after {self.longest * 1000:.1f} ms")
        return self.longest * 1000


@contextmanager
def no_stall(daemon):
    stalls = Stalls(daemon)
    try:
        yield
    finally:
        longest = stalls.end()
    assert stalls.count > 10
    assert longest < ANSWER_MS


@pytest.fixture
def alone(tmp_path):
    """A daemon without a database; its state directory may be a mount of its own."""
    daemon = Daemon({}, start=False)
    yield daemon
    if daemon.process and daemon.process.poll() in (70, -signal.SIGKILL):
        shutil.rmtree(daemon.directory)  # it ended as the test wanted it
    else:
        daemon.remove()


@pytest.fixture
def small_disk(alone):
    """The same, on a disk of 400 kB."""
    alone.state.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "none", alone.state], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no tmpfs may be mounted here: {done.stderr.strip()}")
    yield alone
    if alone.process and alone.process.poll() is None:
        alone.stop(signal.SIGKILL)
    subprocess.run(["umount", "-l", alone.state], check=True)


def fill(daemon):
    """Not a byte is left."""
    ballast = open(daemon.state / "ballast", "wb", buffering=0)
    for size in (65536, 4096, 1):
        try:
            while True:
                ballast.write(b"x" * size)
        except OSError:
            pass
    return ballast


def acquire(wire, **more):
    reply = wire.call(LEASE + "Acquire", more)
    return reply.get("error"), reply["parameters"]


def acquire_held(wire):
    """What a release of the new lease needs."""
    error, parameters = acquire(wire)
    assert error is None, parameters
    return {"namespace": parameters["context"]["namespace"], "secret": parameters["secret"]}


def ledger_state(daemon):
    return daemon.json("status")["ledger"]


def query(daemon, sql):
    """A short-lived reader of its own process, as an operator's shell is."""
    done = subprocess.run(["sqlite3", "-readonly", daemon.state / "ledger.db", sql], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def start_and_fail(daemon, timeout=10):
    """(exit status, what it said, how long it took) of a start that is refused."""
    daemon.write_config()
    began = time.monotonic()
    done = subprocess.run([BERTHD, "--config", daemon.config, "--socket", daemon.socket, "--state-dir", daemon.state],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=timeout)
    return done.returncode, done.stderr, time.monotonic() - began


# ---- a full disk ----

def test_a_full_disk_refuses_leases_and_hands_slots_on(small_disk):
    daemon = small_disk
    daemon.options["ddl_slots"] = "1"
    daemon.start()
    with daemon.connection() as holder, daemon.connection() as waiter, daemon.connection() as late:
        grants = [acquire(wire)[1] for wire in (holder, waiter)]
        held = [{"namespace": grant["context"]["namespace"], "secret": grant["secret"]} for grant in grants]
        assert "error" not in holder.call(LEASE + "AcquireSlot", held[0])
        waiter.send(LEASE + "AcquireSlot", held[1])
        ballast = fill(daemon)
        with no_stall(daemon):
            error = until(lambda: acquire(late)[0], what="a refusal")  # the WAL may have some room left
            assert error == UNAVAILABLE
            state = ledger_state(daemon)
            assert not state["writable"] and "full" in state["message"] and "make room" in state["message"]
            assert "make room" in daemon.berth("status").stdout
            before = time.monotonic()
            assert "error" not in holder.call(LEASE + "ReleaseSlot")
            assert "error" not in waiter.receive()  # handed on
            assert "error" not in holder.call(LEASE + "Release", held[0])
            assert time.monotonic() - before < 1
            assert held[0]["namespace"] not in [one["context"]["namespace"] for one in daemon.leases()]
            assert acquire(late)[0] == UNAVAILABLE  # and its connection is still there
        ballast.truncate(0)
        ballast.close()
        until(lambda: ledger_state(daemon)["writable"], what="a recovery nobody asked for")
        assert "message" not in ledger_state(daemon)
        error, parameters = acquire(late)
        assert error is None
        released = f"SELECT outcome FROM lease WHERE namespace = '{held[0]['namespace']}'"
        assert until(lambda: query(daemon, released) == ["released"], what="the release in the ledger")
        daemon.stop(signal.SIGKILL)  # what was released stays so, what is live stays so
    daemon.start()
    assert {one["context"]["namespace"] for one in daemon.leases()} >= {held[1]["namespace"]}
    assert held[0]["namespace"] not in {one["context"]["namespace"] for one in daemon.leases()}


def test_nothing_is_swept_while_releases_wait_for_space(small_disk, databases):
    daemon = small_disk
    daemon.options.update(EAGER)
    daemon.databases = {name: server.conninfo(name) for name, server in databases.items()}
    daemon.start().after_first_sweep()
    with daemon.connection() as run, daemon.connection() as late:
        held = acquire(run)[1]
        ballast = fill(daemon)
        names = stale(databases)
        until(lambda: acquire(late)[0] == UNAVAILABLE, what="a refusal")
        run.call(LEASE + "Release", {"namespace": held["context"]["namespace"], "secret": held["secret"]})
        result = daemon.sweep(check=3)
        assert not any(database["dropped"] for database in result["databases"])
        assert all_there(databases, names)
        ballast.truncate(0)
        ballast.close()
        until(lambda: ledger_state(daemon)["writable"], what="a recovery")
        daemon.sweep()
        assert not any(set(names) & set(server.schemas(name)) for name, server in databases.items())


def test_a_start_with_a_full_disk_is_no_reason_to_stay_away(small_disk):
    """Exit status 78 would keep systemd from trying again."""
    daemon = small_disk.start()
    daemon.stop()
    for name in ("ledger.db-shm", "ledger.db-wal"):
        (daemon.state / name).unlink()
    ballast = fill(daemon)
    status, said, _ = start_and_fail(daemon)
    assert status == 74 and "check its permissions and the disk" in said, said
    ballast.truncate(0)
    ballast.close()
    daemon.start()


# ---- other programs ----

def test_somebody_elses_lock_delays_its_callers_and_nobody_else(alone):
    daemon = alone.start()
    shell = sqlite3.connect(daemon.state / "ledger.db", isolation_level=None)
    with daemon.connection() as wire, daemon.connection() as other:
        held = acquire(wire)[1]
        with no_stall(daemon):
            shell.execute("BEGIN IMMEDIATE")
            for _ in range(2):
                began = time.monotonic()
                assert acquire(other)[0] == UNAVAILABLE
                assert 1.5 < time.monotonic() - began < 6
            state = ledger_state(daemon)
            assert not state["writable"] and "locked" in state["message"]
            assert f"end pid {os.getpid()} (" in state["message"]
            assert "error" not in wire.call(LEASE + "Release", {"namespace": held["context"]["namespace"],
                                                                "secret": held["secret"]})
            assert not daemon.leases()
            other.send(LEASE + "Acquire")
            shell.execute("ROLLBACK")
            assert "error" not in other.receive()  # in time: it was only delayed
        until(lambda: ledger_state(daemon)["writable"], what="the end of the trouble")
        assert "can be written again" in daemon.log
        noted = query(daemon, "SELECT count(*) FROM history WHERE event = 'noted' AND detail LIKE '%locked%'")
        assert noted == ["1"]
    shell.close()


def test_a_parked_reader_is_named_and_what_it_holds_up_is_bounded(alone):
    """A small commit costs a few pages. 64 MiB is where it is told; nobody may take away what the reader looks at."""
    daemon = alone.start()
    reader = sqlite3.connect(daemon.state / "ledger.db", isolation_level=None)
    wal = daemon.state / "ledger.db-wal"
    with daemon.connection() as wire:
        held = acquire_held(wire)
        before, grants = wal.stat().st_size, 300
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM lease").fetchall()
        with no_stall(daemon):
            for _ in range(grants):
                assert "error" not in wire.call(LEASE + "Release", held)
                held = acquire_held(wire)
        a_grant = (wal.stat().st_size - before) / grants
        print(f"{a_grant / 1024:.1f} KiB of WAL a grant while a reader is parked")
        assert a_grant < 100 * 1024
        assert reader.execute("SELECT count(*) FROM lease").fetchone() == (1,)
        reader.execute("ROLLBACK")
        assert ledger_state(daemon) == {"writable": True}
    reader.close()
    assert daemon.stop() == 0
    assert query(daemon, "SELECT count(*) FROM lease") == [str(grants + 1)]


# ---- the files ----

@pytest.mark.parametrize("name", ["ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.lock"])
@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_file_lost_underneath_ends_the_daemon_at_once(alone, name, how):
    daemon = alone.start()
    with daemon.connection() as wire:
        assert acquire(wire)[0] is None
        path = daemon.state / name
        if how == "removed":
            path.rename(daemon.directory / "away")
        else:
            shutil.copy(path, daemon.directory / "copy")
            (daemon.directory / "copy").rename(path)
        assert daemon.process.wait(10) == 70  # with nothing to write at all
    assert "removed or replaced underneath" in daemon.log
    if (how, name) == ("removed", "ledger.db"):
        status, said, _ = start_and_fail(daemon)
        assert status == 78 and "it was there before" in said
        (daemon.directory / "away").rename(path)  # put back, it goes on
        assert len(daemon.start().leases()) == 1


@pytest.mark.parametrize("name", ["ledger.db", "ledger.db-wal"])
def test_a_file_cut_short_underneath_grants_nothing_any_more(alone, name):
    alone.start().stop()  # what the tables are made of is in the file
    daemon = alone.start()
    with daemon.connection() as wire, daemon.connection() as late:
        assert acquire(wire)[0] is None
        os.truncate(daemon.state / name, 4096 if name == "ledger.db" else 0)
        with pytest.raises(ConnectionError):
            acquire(late)
    assert daemon.process.wait(10) == 70
    assert "cut short underneath" in daemon.log


def run_sql(path, *statements):
    db = sqlite3.connect(path, isolation_level=None)
    for statement in statements:
        db.execute(statement)
    db.close()


def spoil_version(path):
    run_sql(path, "PRAGMA user_version = 1000", "PRAGMA wal_checkpoint(TRUNCATE)")


def spoil_bytes(path):
    with open(path, "r+b") as file:
        for page in range(1, 5):
            file.seek(page * 4096)
            file.write(b"\x5a" * 64)


def spoil_header(path):
    path.write_bytes(b"This is no database, whatever it was before.")


def put_foreign(path):
    path.unlink()
    run_sql(path, "CREATE TABLE bookmark (url)")


def put_folder(path):
    path.unlink()
    path.mkdir()


SPOILED = {spoil_version: "too new", spoil_bytes: "damaged", spoil_header: "damaged", put_foreign: "not a ledger",
           put_folder: "not a file"}


def checksum(path):
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else path.is_dir()


@pytest.mark.parametrize("spoil", SPOILED)
def test_a_ledger_it_must_not_touch_is_refused_and_left_as_it_is(alone, spoil):
    daemon = alone.start()
    with daemon.connection() as wire:
        for _ in range(20):
            wire.call(LEASE + "Release", acquire_held(wire))
    daemon.stop()
    path = daemon.state / "ledger.db"
    run_sql(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    spoil(path)
    for name in ("ledger.db-wal", "ledger.db-shm"):
        (daemon.state / name).unlink(missing_ok=True)
    before = checksum(path)
    status, said, _ = start_and_fail(daemon)
    assert status == 78 and SPOILED[spoil] in said, said
    assert len([line for line in said.splitlines() if line.startswith("<3>")]) == 1
    assert checksum(path) == before
    assert not daemon.socket.exists()


def test_a_ledger_without_permission_is_refused(alone):
    daemon = alone.start()
    daemon.stop()
    for path in (daemon.state / "ledger.db", daemon.state):
        mode = path.stat().st_mode & 0o7777
        path.chmod(0)
        os.chmod(daemon.directory, 0o777)
        daemon.write_config()
        done = subprocess.run(["setpriv", "--reuid", "65534", "--clear-groups", BERTHD, "--config", daemon.config,
                               "--socket", daemon.socket, "--state-dir", daemon.state],
                              capture_output=True, text=True, timeout=20)
        assert done.returncode == 78, done.stderr
        path.chmod(mode)
    daemon.start()


# ---- a second daemon ----

def test_a_second_daemon_names_the_first_within_a_second(alone):
    daemon = alone.start()
    own_state = (daemon.directory / "s2", daemon.state)
    own_socket = (daemon.socket, daemon.directory / "state2")
    for where, state in (own_state, own_socket):
        began = time.monotonic()
        done = subprocess.run([BERTHD, "--config", daemon.config, "--socket", where, "--state-dir", state],
                              capture_output=True, text=True, timeout=20)
        took = time.monotonic() - began
        assert done.returncode == 69, done.stderr
        assert f"pid {daemon.process.pid}" in done.stderr
        assert took < 1 if "fsanitize" not in (BUILD / "CMakeCache.txt").read_text() else took < 3
    assert daemon.answers()
    with daemon.connection() as wire:
        assert acquire(wire)[0] is None


# ---- a disk that fails ----

FAILING_SYNC = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

int fdatasync(int fd)
{
        static int (*real)(int);
        const char *switch_ = getenv("FAIL_WHEN_EXISTS");

        if (!real)
                *(void **)&real = dlsym(RTLD_NEXT, "fdatasync");
        if (switch_ && access(switch_, F_OK) == 0) {
                errno = EIO;
                return -1;
        }
        return real(fd);
}
"""


def test_a_sync_that_fails_ends_the_daemon_and_the_next_one_reads_the_file(alone):
    source, shim, switch = (alone.directory / name for name in ("sync.c", "sync.so", "fail"))
    source.write_text(FAILING_SYNC)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", shim, source, "-ldl"], check=True)
    # The sanitizer's library wants to be the first one.
    libraries = subprocess.run(["ldd", BERTHD], capture_output=True, text=True).stdout.split()
    asan = [word for word in libraries if word.startswith("/") and "asan" in word]
    alone.own_environment.update(LD_PRELOAD=":".join([*asan, str(shim)]), FAIL_WHEN_EXISTS=str(switch))
    daemon = alone.start()
    with daemon.connection() as one, daemon.connection() as two, daemon.connection() as late:
        granted = [acquire_held(wire)["namespace"] for wire in (one, two)]
        switch.touch()
        with pytest.raises(ConnectionError):
            acquire(late)  # neither yes nor no
        with pytest.raises((ConnectionError, OSError)):
            late.call("org.varlink.service.GetInfo")
    assert daemon.process.wait(10) == 70
    assert "in doubt" in daemon.log
    switch.unlink()
    daemon.start()
    live = query(daemon, "SELECT namespace FROM lease ORDER BY id")
    assert live[:2] == granted and len(live) in (2, 3)


def test_a_socket_left_behind_does_not_hold_up_the_next_start(alone):
    daemon = alone.start()
    daemon.stop(signal.SIGKILL)
    with pytest.raises(ConnectionRefusedError), socket.socket(socket.AF_UNIX) as s:
        s.connect(str(daemon.socket))
    daemon.start()
