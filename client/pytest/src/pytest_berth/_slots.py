# SPDX-License-Identifier: MIT
"""DDL slots: two schema builds at once per database server, and no more.

With a lease the daemon grants them. Without, lock files do: two for all runs of this user on this host,
whatever server they talk to. A process holds a slot once, however often it asks.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import stat
import threading
import time
from contextlib import contextmanager, nullcontext
from typing import ContextManager, Dict, Iterator, List, NamedTuple, Optional, Union

from ._client import LEASE, MANAGE, Connection
from ._errors import BerthError, DaemonUnavailable, LeaseLost, RemoteError, SlotTimeout, describe_holders
from ._hold import Hold
from ._namespace import Run
from ._waits import Look, Wait, look_at_daemon

LOCK_FILES = 2
_LOCK_ROOT = "/tmp"  # not $TMPDIR: all runs of a user must meet in one place
_LOCK_POLL = 0.05
_RELEASE_TIMEOUT = 2.0
_ANSWER_TIMEOUT = 30.0  # the daemon may first have to ask the server who it is


class Cluster(NamedTuple):
    """Which database server: by a configured database, or by what the server says. Neither: there is one."""

    database: Optional[str] = None
    system_identifier: Optional[str] = None


class DaemonSlot:
    """A slot on a connection of its own. Survives a restart of the daemon."""

    def __init__(self, run: Run, cluster: Cluster, timeout: float) -> None:
        assert run.socket is not None
        self._run = run
        self._hold = Hold(run.socket)
        self._call = {"namespace": run.namespace, "secret": run.secret, "worker": run.worker,
                      "database": cluster.database, "systemIdentifier": cluster.system_identifier,
                      "request": secrets.token_hex(16)}  # a reply that a restart lost is given again
        self._grant = self._ask(timeout)
        self._hold.watch(f"{LEASE}.AcquireSlot", {**self._call, "reclaim": self._grant})

    def release(self) -> None:
        """By a call: a mere close looks like a death, and the daemon would first ask the server."""
        deadline = time.monotonic() + _RELEASE_TIMEOUT
        while not self._release_once() and time.monotonic() < deadline:
            time.sleep(0.05)
        self._hold.close()

    def _release_once(self) -> bool:
        """False: no daemon. One that comes back would keep the slot for us, and from everybody else."""
        try:
            with Connection(self._hold.path) as connection:
                connection.call(f"{LEASE}.ReleaseSlot", {
                    "namespace": self._run.namespace, "secret": self._run.secret, "grant": self._grant})
        except DaemonUnavailable:
            return False
        except BerthError:
            pass
        return True

    def abandon(self) -> None:
        """In a forked child: the connection is closed already."""

    def _ask(self, timeout: float) -> int:
        """A daemon that restarts forgets who waits, so ask again for as long as there is time."""
        deadline = time.monotonic() + timeout
        delay = 0.05
        while True:
            left = max(0.0, deadline - time.monotonic())
            limit = {"timeoutUSec": int(left * 1e6)} if left else {"noWait": True}
            try:
                reply = self._hold.ask(f"{LEASE}.AcquireSlot", {**self._call, **limit}, _ANSWER_TIMEOUT)
                return int(reply["grant"])
            except RemoteError as e:
                raise self._explain(e, timeout) from e
            except DaemonUnavailable:
                if time.monotonic() + delay > deadline:
                    raise
            time.sleep(delay)
            delay = min(delay * 2, 5.0)

    def _explain(self, e: RemoteError, timeout: float) -> BerthError:
        if e.error == "Busy":
            return SlotTimeout(f"no DDL slot within {timeout:.0f} s, held by "
                               f"{describe_holders(e.parameters.get('holders'))}",
                               "wait for them, see 'berth locks', or raise --berth-slot-timeout")
        if e.error == "NoSuchLease":
            return lease_lost(self._run)
        return e


class FileSlot:
    """A lock on one of a few files in a directory of this user."""

    def __init__(self, run: Run, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        directory = _lock_directory()
        self._pid = os.getpid()
        while True:
            fd = _lock_any(directory)
            if fd is not None:
                break
            if time.monotonic() >= deadline:
                raise SlotTimeout(f"no DDL slot within {timeout:.0f} s, held by {_lock_holders(directory)}",
                                  "wait for them, or raise --berth-slot-timeout")
            time.sleep(_LOCK_POLL)
        self._fd = fd
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{run.worker} of {run.namespace}, pid {self._pid}\n".encode(), 0)

    def release(self) -> None:
        os.ftruncate(self._fd, 0)
        os.close(self._fd)

    def abandon(self) -> None:
        """In a forked child: its copy would keep the lock when the parent has gone."""
        os.close(self._fd)


Slot = Union[DaemonSlot, FileSlot]


class _Held:
    """The slot of one cluster in this process, and how often it is in use."""

    def __init__(self) -> None:
        self.lock = threading.Lock()  # while it is being acquired or released
        self.slot: Optional[Slot] = None
        self.uses = 0


_held: Dict[Cluster, _Held] = {}
_held_lock = threading.Lock()


@contextmanager
def ddl_slot(run: Run, cluster: Cluster, timeout: Optional[float] = None) -> Iterator[None]:
    if run.names_only:
        raise BerthError("nothing is run, so there are no DDL slots (--collect-only, --setup-plan, ...)",
                         "do not build schemas while conftest modules are imported")
    pid = os.getpid()
    held = _find_held(run, cluster)
    with held.lock:
        if held.slot is None:
            held.slot = _acquire(run, cluster, run.settings.slot_timeout if timeout is None else timeout)
        held.uses += 1
    try:
        yield
    finally:
        if pid == os.getpid():
            with held.lock:
                held.uses -= 1
                if held.uses == 0 and held.slot is not None:
                    slot, held.slot = held.slot, None
                    slot.release()


def lease_lost(run: Run) -> LeaseLost:
    why = run.lifeline.lost if run.lifeline and run.lifeline.lost else "it has ended"
    return LeaseLost(f"the lease of {run.namespace} is lost ({why})", "start the run again")


def _acquire(run: Run, cluster: Cluster, timeout: float) -> Slot:
    since = time.time()
    if not run.leased or run.socket is None:
        with _telling(run, cluster, lambda: [_wait_for_files(run, since)]):
            return FileSlot(run, timeout)
    if run.lifeline and run.lifeline.lost:
        raise lease_lost(run)
    with _telling(run, cluster, lambda: look_at_daemon(run)):
        return DaemonSlot(run, cluster, timeout)


def _telling(run: Run, cluster: Cluster, look: Look) -> ContextManager[None]:
    telling: ContextManager[None] = nullcontext()
    if run.waits:
        telling = run.waits.waiting(run.worker, cluster.database, look)
    return telling


def _find_held(run: Run, cluster: Cluster) -> _Held:
    """A second slot of the same server would never come if all are held by workers that want a second one."""
    if not run.leased:
        cluster = Cluster()
    with _held_lock:
        in_use = {key: held for key, held in _held.items() if held.uses}
    if cluster not in in_use and in_use:
        same = next((key for key in in_use if _is_same(run, key, cluster)), None)
        cluster = cluster if same is None else same
    with _held_lock:
        return _held.setdefault(cluster, _Held())


def _is_same(run: Run, held: Cluster, wanted: Cluster) -> bool:
    if wanted == Cluster() or held == Cluster():
        return True
    known = _identifiers(run)
    return (held.system_identifier or known.get(str(held.database))) == (
        wanted.system_identifier or known.get(str(wanted.database)))


def _identifiers(run: Run) -> Dict[str, str]:
    """System identifier of each configured database, as the daemon knows them."""
    try:
        with Connection(str(run.socket)) as connection:
            clusters = connection.call(f"{MANAGE}.GetStatus").get("clusters", [])
    except BerthError:
        return {}
    return {name: cluster["systemIdentifier"] for cluster in clusters for name in cluster["databases"]}


# ---- lock files ----


def _lock_directory() -> str:
    """One per uid, that nobody else can write to."""
    path = os.path.join(_LOCK_ROOT, f"berth-{os.getuid()}")
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        pass
    status = os.lstat(path)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise BerthError(f"{path} is not a directory that only uid {os.getuid()} can write to", "remove it")
    return path


def _lock_files(directory: str) -> List[str]:
    return [os.path.join(directory, f"ddl-slot-{n}.lock") for n in range(LOCK_FILES)]


def _lock_any(directory: str) -> Optional[int]:
    for path in _lock_files(directory):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return fd
        except OSError:
            os.close(fd)
    return None


def _lock_owners(directory: str) -> Iterator["tuple[str, float]"]:
    """`gw0 of p18…, pid 18234`, and since when."""
    for path in _lock_files(directory):
        with open(path, encoding="utf-8", errors="replace") as file:
            told = file.read(200).strip()
            if told:
                yield told, os.fstat(file.fileno()).st_mtime


def _lock_holders(directory: str) -> str:
    return ", ".join(told for told, _ in _lock_owners(directory)) or "nobody that is known"


def _wait_for_files(run: Run, since: float) -> Wait:
    now = time.time()
    wait = Wait(run.worker, None, since)
    wait.seconds, wait.slots = now - since, LOCK_FILES
    for told, locked in _lock_owners(_lock_directory()):
        worker, _, rest = told.partition(" of ")
        wait.holders.append({"namespace": rest.partition(",")[0], "worker": worker,
                             "seconds": round(max(0.0, now - locked), 1)})
    return wait


def _forget_in_child() -> None:
    """A slot does not outlive its process: the child holds nothing, and asks for itself."""
    global _held_lock
    _held_lock = threading.Lock()
    for held in list(_held.values()):
        if held.slot is not None:
            held.slot.abandon()
    _held.clear()


os.register_at_fork(after_in_child=_forget_in_child)
