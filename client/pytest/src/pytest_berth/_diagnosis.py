# SPDX-License-Identifier: MIT
"""What a database's error had to do with other sessions: asked for in the worker, right after its test has failed.

By then the statement has ended, and with it its wait. What still can be seen: who holds locks in the worker's schema
(whoever was in the way of a lock_timeout, as a rule, still is), who waits for whom now, and what the server itself
said about a deadlock.
"""

from __future__ import annotations

import re
import time
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Set, Tuple

from . import _names
from ._client import MANAGE, Connection
from ._errors import BerthError, DaemonUnavailable, RemoteError, describe_holders, plain
from ._evidence import CARRIED
from ._namespace import Run

TIMEOUT = 2.0
_DEAF_FOR = 60.0  # a daemon that has not answered costs the next failure no second wait
_SECTION = "berth"
_TITLE = "[pytest-xdist running] "
_CHAIN_MAX = 50
_TOLD_MAX = 5
_QUERY_MAX = 200

_UNDEFINED = ("3F000", "42P01")
_OUT_OF_MEMORY = "53200"
_DEADLOCK = "40P01"
_NO_LOCK = "55P03"
MEANINGS = {
    _NO_LOCK: "lock_not_available: a lock was not free within lock_timeout, or NOWAIT was asked for",
    _DEADLOCK: "deadlock_detected: sessions waited for each other, and the server ended this one's statement",
    "57014": "query_canceled: statement_timeout, or somebody cancelled it; perhaps it waited for a lock",
    _OUT_OF_MEMORY: "out_of_memory: as a rule the server's lock table is full",
    "3F000": "invalid_schema_name: no such schema",
    "42P01": "undefined_table: no such table in search_path",
}


class Diagnosis(NamedTuple):
    sqlstate: str
    lines: List[str]  # none: it is no error that has to do with others
    blockers: List[Dict[str, Any]]


def explain(run: Run, error: BaseException, report: Any) -> None:
    """Puts it into the failing test's report, from where it gets to the controller. Never in the way."""
    try:
        found = diagnose(run, error)
    except Exception as e:
        report.sections.append((_SECTION, f"please report this defect: {e!r}"))
        return
    if found:
        lines = [plain(line) for line in found.lines]
        setattr(report, CARRIED, {"sqlstate": found.sqlstate, "blockers": found.blockers, "diagnosis": lines})
        if lines:
            report.sections.append((_SECTION, "\n".join(lines)))


def diagnose(run: Run, error: BaseException) -> Optional[Diagnosis]:
    """None: no database said anything."""
    sqlstate, cause = _find(error)
    if sqlstate is None or cause is None:
        return None
    found = Diagnosis(sqlstate, [], [])
    if sqlstate in MEANINGS:
        found.lines.append(f"{sqlstate} {MEANINGS[sqlstate]}")
        _look(run, sqlstate, cause, found)
    return found


# ---- the exception ----


def _find(error: BaseException) -> Tuple[Optional[str], Optional[BaseException]]:
    """The first error of a database that says more than others; else the first of any."""
    first: Tuple[Optional[str], Optional[BaseException]] = (None, None)
    for one in _chain(error):
        sqlstate = _sqlstate(one)
        if sqlstate in MEANINGS:
            return sqlstate, one
        if sqlstate and first[0] is None:
            first = sqlstate, one
    return first


def _chain(error: BaseException) -> Iterator[BaseException]:
    """It, what it wraps, what it was raised from or while: nearest first."""
    waiting: List[Any] = [error]
    seen: Set[int] = set()
    while waiting and len(seen) < _CHAIN_MAX:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [getattr(one, "orig", None), one.__cause__, one.__context__]
        waiting += list(getattr(one, "exceptions", ()))


def _sqlstate(error: BaseException) -> Optional[str]:
    """psycopg 3 and asyncpg, psycopg2 and SQLAlchemy's asyncpg."""
    for name in ("sqlstate", "pgcode"):
        value = getattr(error, name, None)
        if isinstance(value, str) and re.fullmatch("[0-9A-Z]{5}", value):
            return value
    return None


def _detail(error: BaseException) -> str:
    told = getattr(getattr(error, "diag", None), "message_detail", None) or getattr(error, "detail", None)
    return told if isinstance(told, str) else ""


# ---- what berthd knows ----

_deaf_until = 0.0


def _look(run: Run, sqlstate: str, cause: BaseException, found: Diagnosis) -> None:
    global _deaf_until
    if sqlstate == _DEADLOCK:
        _read_deadlock(_detail(cause), found)
    if sqlstate in _UNDEFINED:
        found.lines.append(f"expected is search_path {','.join(run.search_path)}: connect with **berth.connect_args()")
    if not run.leased or not run.socket:
        found.lines.append("this run is unleased, so berthd knows nothing of it")
    elif time.monotonic() < _deaf_until:
        found.lines.append("berthd was not asked: it did not answer a moment ago")
    else:
        try:
            _ask(run, sqlstate, found)
        except DaemonUnavailable as e:
            _deaf_until = time.monotonic() + _DEAF_FOR
            found.lines.append(f"berthd could not be asked: {e.message}")
        except BerthError as e:
            found.lines.append(f"berthd could not be asked: {e.message}")


def _ask(run: Run, sqlstate: str, found: Diagnosis) -> None:
    assert run.socket is not None
    deadline = time.monotonic() + TIMEOUT
    with Connection(run.socket, TIMEOUT) as connection:
        if sqlstate in _UNDEFINED:
            _ask_for_schema(run, connection, deadline, found)
        elif sqlstate == _OUT_OF_MEMORY:
            _ask_for_lock_table(connection, deadline, found)
        else:
            _ask_for_locks(run, connection, deadline, found)
            _ask_for_holders(run, sqlstate, connection, deadline, found)


def _left(deadline: float) -> float:
    return max(0.05, deadline - time.monotonic())


def _ask_for_schema(run: Run, connection: Connection, deadline: float, found: Diagnosis) -> None:
    name = _names.make_schema(run.namespace, run.worker)
    reply = connection.call(f"{MANAGE}.Explain", {"name": name}, _left(deadline))
    there = sorted(one["database"] for one in reply.get("schemas", []) if one.get("schema") == name and one.get("exists"))
    unheard = sorted(one["name"] for one in reply.get("unheard", []))
    if there:
        missing = sorted(set(run.databases) - set(there) - set(unheard))
        found.lines.append(f"schema {name} exists in {', '.join(there)}"
                           + (f", and not in {', '.join(missing)}" if missing else ""))
    else:
        found.lines.append(f"schema {name} exists in no database that berthd knows: build it with berth.schema()")
    if unheard:
        found.lines.append(f"not heard just now: {', '.join(unheard)}")


def _ask_for_lock_table(connection: Connection, deadline: float, found: Diagnosis) -> None:
    status = connection.call(f"{MANAGE}.GetStatus", timeout=_left(deadline))
    now = time.time() * 1e6
    for cluster in status.get("clusters", []):
        holders = [{**use, "heldUSec": now - use["sinceUSec"]} for use in cluster.get("holders", [])]
        table = cluster.get("lockTable")
        told = f"lock table of {', '.join(cluster['databases'])}: "
        told += f"{table} objects" if table else "size unknown"
        if cluster.get("lockPeak"):
            told += f", most seen of one slot holder {cluster['lockPeak']}"
        told += f"; {len(holders)} of {cluster['slots']} DDL slots held"
        found.lines.append(told + (f": {describe_holders(holders)}" if holders else ""))
    found.lines.append("build inside berth.schema() or berth.ddl_slot(), or raise max_locks_per_transaction")


# ---- who is in the way ----


def _ask_for_locks(run: Run, connection: Connection, deadline: float, found: Diagnosis) -> None:
    """Who waits for whom now, as far as this run has to do with it."""
    told, whose = 0, _Whose(run, deadline)
    for pair in _list(connection, f"{MANAGE}.ListLocks", {}, deadline, found):
        if not pair.get("blocker"):
            continue
        blocked, blocker = pair["blocked"], pair["blocker"]
        if run.namespace not in (blocked.get("namespace"), blocker.get("namespace")):
            continue
        told += 1
        if told > _TOLD_MAX:
            continue
        wait = pair.get("waitUSec")
        found.lines.append(f"{pair['database']}: {whose.tell(blocked)} waits{_for(wait)}, blocked by {whose.tell(blocker)}"
                           f"{_query(blocker)}")
        if (blocked.get("namespace"), blocked.get("worker")) == (run.namespace, run.worker):
            found.blockers.append(_blocker(pair["database"], blocked["pid"], blocker, wait))
    if told > _TOLD_MAX:
        found.lines.append(f"and {told - _TOLD_MAX} more: berth locks")
    elif not told:
        found.lines.append("the wait is over: no session of this run waits for another now, or keeps one waiting")


def _ask_for_holders(run: Run, sqlstate: str, connection: Connection, deadline: float, found: Diagnosis) -> None:
    """Who could have been in the way: what waited is over, what it waited for need not be."""
    name, told, whose = _names.make_schema(run.namespace, run.worker), 0, _Whose(run, deadline)
    for one in _list(connection, f"{MANAGE}.ListLockHolders", {"schema": name}, deadline, found):
        holder = one.get("holder")
        if holder is None:
            if one.get("message"):
                found.lines.append(f"not heard just now: {one['database']}")
            continue
        told += 1
        if told <= _TOLD_MAX:
            found.lines.append(f"{one['database']}: {whose.tell(holder)} holds locks in {name} now ({one.get('locks')})"
                               f"{_query(holder)}")
        if sqlstate == _NO_LOCK:
            found.blockers.append(_blocker(one["database"], None, holder, None))
    if told > _TOLD_MAX:
        found.lines.append(f"and {told - _TOLD_MAX} more")
    elif not told:
        found.lines.append(f"nobody holds a lock in {name} now")


def _list(connection: Connection, method: str, parameters: Dict[str, Any], deadline: float,
          found: Diagnosis) -> Iterator[Dict[str, Any]]:
    connection.send(method, parameters, more=True)
    more = True
    while more:
        try:
            reply, more = connection.receive(_left(deadline))
        except RemoteError as e:
            found.lines.append(f"not heard just now: {e.parameters.get('database') or e.message}")
            return
        yield reply


def _read_deadlock(detail: str, found: Diagnosis) -> None:
    """`Process 123 waits for ShareLock on transaction 7; blocked by process 456.`, a line each, the victim first."""
    for line in detail.splitlines():
        edge = re.search(r"(\d+) waits for (.+); blocked by process (\d+)", line)
        if edge:
            blocked, what, blocker = edge.groups()
            found.lines.append(f"pid {blocked} waited for {what}, blocked by pid {blocker}")
            found.blockers.append(_blocker("", int(blocked), {"pid": int(blocker)}, None))


def _blocker(database: str, blocked_pid: Optional[int], side: Mapping[str, Any], wait: Optional[int]) -> Dict[str, Any]:
    return {"database": database, "blocked_pid": blocked_pid, "blocker_pid": side["pid"],
            "namespace": side.get("namespace"), "worker": side.get("worker"),
            "application_name": side.get("applicationName"), "query": side.get("query"),
            "wait_s": None if wait is None else round(wait / 1e6, 3)}


class _Whose:
    """Which run a session belongs to, and which test it is in: as far as that can be learned in time."""

    def __init__(self, run: Run, deadline: float) -> None:
        self._run, self._deadline = run, deadline
        self._leases: Dict[str, Dict[str, Any]] = {}

    def tell(self, side: Mapping[str, Any]) -> str:
        """`pid 123 (gw1 of p20…, "pytest -n 8", in tests/x.py::test_y; pytest_gw1_p20…_seed)`"""
        if side["pid"] == 0:
            return "a prepared transaction"
        return f"pid {side['pid']} ({self._run_of(side)}; {side.get('applicationName') or 'without a name'})"

    def _run_of(self, side: Mapping[str, Any]) -> str:
        name, worker, run = side.get("namespace"), side.get("worker"), self._run
        if not name:
            return "of no run"
        if (name, worker) == (run.namespace, run.worker):
            return "this worker"
        lease = self._lease(name)
        label = (lease.get("context") or {}).get("label")
        told = f"{worker} of this run" if name == run.namespace else f"{worker} of {name}"
        told += f', "{label}"' if label and name != run.namespace else ""
        test = _test_of(lease, worker)
        return told + (f", in {test}" if test else "")

    def _lease(self, namespace: str) -> Dict[str, Any]:
        """{}: it has ended, or there is no time."""
        if namespace not in self._leases and time.monotonic() < self._deadline:
            self._leases[namespace] = {}
            try:
                with Connection(str(self._run.socket)) as connection:
                    connection.send(f"{MANAGE}.ListLeases", {"namespace": namespace}, more=True)
                    self._leases[namespace] = connection.receive(_left(self._deadline)).parameters
            except BerthError:
                pass
        return self._leases.get(namespace, {})


def _test_of(lease: Mapping[str, Any], worker: Optional[str]) -> Optional[str]:
    """xdist tells it in the worker's process title, where setproctitle is installed."""
    for member in (lease.get("runtime") or {}).get("members", []):
        if member.get("worker") == worker:
            try:
                with open(f"/proc/{(member.get('process') or {}).get('pid')}/cmdline", encoding="utf-8") as file:
                    title = file.read().rstrip("\0")
            except (OSError, UnicodeDecodeError):
                return None
            return title[len(_TITLE):] if title.startswith(_TITLE) else None
    return None


def _for(usec: Optional[int]) -> str:
    return "" if usec is None else f" for {usec / 1e6:.1f} s"


def _query(side: Mapping[str, Any]) -> str:
    age = side.get("transactionUSec")
    told = "" if age is None else f", in its transaction for {age / 1e6:.1f} s"
    query = " ".join((side.get("query") or "").split())
    if len(query) > _QUERY_MAX:
        query = query[:_QUERY_MAX] + "…"
    return told + (f": {query}" if query else "")
