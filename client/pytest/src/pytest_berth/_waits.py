# SPDX-License-Identifier: MIT
"""Waits for a DDL slot, so that they do not look like a hang: told after a while, recorded, not charged to the test.

    with workers     the controller asks berthd who waits: a worker's terminal is nobody's
    without          a thread does so while this process waits in ddl_slot()

Told by `berth: gw3 waits for a DDL slot (2/2 held: gw0 of p18… 12 s, gw1 of p20… 3 s)`, again at growing intervals.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

from ._client import MANAGE, Connection
from ._namespace import Run

FIRST = 5.0  # seconds until a wait is told
_GROWTH = 3.0
_POLL = 2.0
_ANSWER_TIMEOUT = 2.0


class Wait:
    """One worker's. As long as it lasts `seconds` grow."""

    def __init__(self, worker: str, database: Optional[str], since: float) -> None:
        self.worker, self.database, self.since = worker, database, since
        self.seconds = 0.0
        self.holders: List[Dict[str, Any]] = []
        self.slots = 0
        self.tell_at = FIRST

    @property
    def facts(self) -> Dict[str, Any]:
        return {"worker": self.worker, "database": self.database, "seconds": round(self.seconds, 1),
                "holders": self.holders}


Look = Callable[[], List[Wait]]


class Watcher:
    """A thread that looks now and then, and says what is worth it. It never fails anybody."""

    def __init__(self, look: Look, say: Callable[[str], None], record: Callable[[Wait], None]) -> None:
        self._look, self._say, self._record = look, say, record
        self._waits: Dict[Tuple[str, float], Wait] = {}
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="berth-waits", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        self._thread.join(_ANSWER_TIMEOUT)

    def _watch(self) -> None:
        delay = FIRST
        while not self._end.wait(delay):
            delay = min(_POLL, FIRST)
            try:
                waits = self._look()
                if not self._end.is_set():  # it may have taken its time, and the report is closed
                    self.tell(waits)
            except Exception:  # no daemon just now, or no terminal: nobody is told anything
                continue

    def tell(self, seen: List[Wait]) -> None:
        told: Dict[str, List[Wait]] = {}
        for new in seen:
            wait = self._waits.setdefault((new.worker, new.since), new)
            wait.seconds, wait.holders, wait.slots = new.seconds, new.holders, new.slots
            if wait.seconds >= wait.tell_at:
                while wait.tell_at <= wait.seconds:
                    wait.tell_at *= _GROWTH
                self._record(wait)
                told.setdefault(describe(wait), []).append(wait)
        for why, waits in told.items():
            self._say(_sentence(waits, why))


def _sentence(waits: List[Wait], why: str) -> str:
    who = ", ".join(sorted({wait.worker for wait in waits}))
    verb = "waits" if len(waits) == 1 else "wait"
    longest = max(wait.seconds for wait in waits)
    since = f" for {longest:.0f} s" if longest >= FIRST * _GROWTH else ""
    return f"berth: {who} {verb} for a DDL slot{since} ({why})"


def describe(wait: Wait) -> str:
    """`2/2 held: gw0 of p18… 12 s, the sweep 3 s`"""
    holders = [(f"{one['worker']} of {one['namespace']}" if one["worker"] else "the sweep") + f" {one['seconds']:.0f} s"
               for one in wait.holders]
    return f"{len(holders)}/{wait.slots} held" + (f": {', '.join(holders)}" if holders else "")


def look_at_daemon(run: Run) -> List[Wait]:
    """The waiting workers of this run, as berthd sees them."""
    with Connection(str(run.socket)) as connection:
        clusters = connection.call(f"{MANAGE}.GetStatus", timeout=_ANSWER_TIMEOUT).get("clusters", [])
    now, waits = time.time(), []
    for cluster in clusters:
        for use in cluster.get("waiters", []):
            if use.get("namespace") == run.namespace and use.get("worker"):
                wait = Wait(use["worker"], use.get("database") or None, use["sinceUSec"] / 1e6)
                wait.seconds = max(0.0, now - wait.since)
                wait.slots = cluster["slots"]
                wait.holders = [{"namespace": one.get("namespace") or None, "worker": one.get("worker"),
                                 "seconds": round(max(0.0, now - one["sinceUSec"] / 1e6), 1)}
                                for one in cluster.get("holders", [])]
                waits.append(wait)
    return waits


# ---- pytest-timeout ----


class _Rest(float):
    """What is left of a time-out, which is told as the whole it was."""

    whole: float

    def __new__(cls, rest: float, whole: float) -> "_Rest":
        made = super().__new__(cls, rest)
        made.whole = whole
        return made

    def __str__(self) -> str:
        return str(self.whole)


class Timer(NamedTuple):
    """Of pytest-timeout, running: see its hooks pytest_timeout_set_timer and pytest_timeout_cancel_timer."""

    item: Any
    settings: Any
    since: float


class OwnWaits:
    """What ddl_slot() does while this process waits: see Run.waits."""

    def __init__(self) -> None:
        self.timer: Optional[Timer] = None
        self.watch: Optional[Callable[[Look], Watcher]] = None  # in a worker: the controller sees to it
        self.past: List[Dict[str, Any]] = []  # as in the report, and `since`

    @contextmanager
    def waiting(self, worker: str, database: Optional[str], look: Look) -> Iterator[None]:
        wait = Wait(worker, database, time.time())
        watcher = self.watch(look) if self.watch else None
        timer, used = self.timer, self._suspend()
        try:
            yield
        finally:
            if timer is not None and used is not None:
                _resume(timer, used)
            if watcher:
                watcher.stop()
            wait.seconds = time.time() - wait.since
            if wait.seconds >= FIRST:
                self.past.append({**wait.facts, "since": wait.since})

    def _suspend(self) -> Optional[float]:
        """How much of it is used up. Only the test's own thread: pytest-timeout's signals are for no other."""
        timer = self.timer
        if timer is None or threading.current_thread() is not threading.main_thread():
            return None
        timer.item.ihook.pytest_timeout_cancel_timer(item=timer.item)
        return time.monotonic() - timer.since


def _resume(timer: Timer, used: float) -> None:
    whole = timer.settings.timeout
    rest = _Rest(max(0.001, whole - used), getattr(whole, "whole", whole))
    timer.item.ihook.pytest_timeout_set_timer(item=timer.item, settings=timer.settings._replace(timeout=rest))
