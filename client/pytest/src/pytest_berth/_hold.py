# SPDX-License-Identifier: MIT
"""Something held by a call that stays open: a lease, or a DDL slot.

    ask() ──▶ held ──EOF──▶ resuming ──▶ held       the daemon restarted: reconnect with back-off
               │                └──▶ lost           it does not know of it any more
               └──released, revoked──▶ lost

A small daemon thread watches the connection. It never fails a test: whoever needs the hold looks at `lost`.
"""

from __future__ import annotations

import os
import random
import threading
import time
from typing import Any, Callable, Dict, Mapping, Optional, TypeVar

from ._client import ANSWER_TIMEOUT, Connection
from ._errors import BerthError, ConnectionLost, DaemonUnavailable, RemoteError

T = TypeVar("T")

_BACK_OFF_FIRST = 0.05
_BACK_OFF_MAX = 5.0
# Errors that no further attempt can cure.
_FINAL = {"NoSuchLease", "NotHeld"}


class Hold:
    def __init__(self, path: str) -> None:
        self.path = path
        self.lost: Optional[str] = None
        self._pid = os.getpid()
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._connection: Optional[Connection] = None

    def ask(self, method: str, parameters: Mapping[str, Any],
            answer_timeout: Optional[float] = ANSWER_TIMEOUT,
            queued: Optional[Callable[[Dict[str, Any]], None]] = None) -> Dict[str, Any]:
        """Call and wait for `granted`. Whoever is queued waits for as long as the daemon lets it."""
        connection = Connection(self.path)
        try:
            connection.send(method, parameters, more=True)
            reply = connection.receive(answer_timeout)
            while reply.parameters.get("state") == "queued":
                if queued:
                    queued(reply.parameters)
                reply = connection.receive(None)
            if reply.parameters.get("state") != "granted":
                raise RemoteError("io.berth.lease.NoSuchLease", {})
            if not self._adopt(connection):
                raise ConnectionLost("the hold has been closed meanwhile")
        except BaseException:
            connection.close()
            raise
        return reply.parameters

    def watch(self, resume_method: str, resume_parameters: Mapping[str, Any]) -> None:
        """Keep it from now on. If there is no connection yet, the first one is made by the thread, too."""
        threading.Thread(target=self._keep, args=(resume_method, dict(resume_parameters)),
                         name="berth-hold", daemon=True).start()

    def close(self) -> None:
        """Let go. In a forked child, which holds nothing, it does nothing."""
        if self._pid != os.getpid():
            return
        self._closed.set()
        with self._lock:
            if self._connection:
                self._connection.close()

    def _keep(self, method: str, parameters: Dict[str, Any]) -> None:
        try:
            while self._connection or self._resume(method, parameters):
                self._wait_for_end()
                if self.lost or self._closed.is_set():
                    return
        except Exception as e:  # a defect here must not look like a failing test
            self.lost = f"internal error: {e!r}"

    def _wait_for_end(self) -> None:
        """Until the daemon ends the hold (`lost`), or the connection ends (try again)."""
        assert self._connection is not None
        try:
            reply = self._connection.receive(None)
            while reply.continues:
                reply = self._connection.receive(None)
            self.lost = reply.parameters.get("reason") or reply.parameters.get("state") or "ended"
        except ConnectionLost:
            pass
        except RemoteError as e:
            self.lost = e.message
        with self._lock:
            self._connection.close()
            self._connection = None

    def _resume(self, method: str, parameters: Dict[str, Any]) -> bool:
        delay = _BACK_OFF_FIRST
        while not self._closed.wait(delay * random.uniform(0.5, 1.0)):
            try:
                self.ask(method, parameters)
                return True
            except RemoteError as e:
                if e.error in _FINAL:
                    self.lost = e.message
                    return False
            except BerthError:
                pass
            delay = min(delay * 2, _BACK_OFF_MAX)
        return False

    def _adopt(self, connection: Connection) -> bool:
        with self._lock:
            if self._closed.is_set():
                return False
            self._connection = connection
            return True


def retry(attempt: Callable[[], T], patience: float) -> T:
    """Again and again while the daemon is away: a restarting one is back in 0.2 s."""
    deadline = time.monotonic() + patience
    delay = _BACK_OFF_FIRST
    while True:
        try:
            return attempt()
        except DaemonUnavailable:
            if time.monotonic() + delay > deadline:
                raise
        time.sleep(delay)
        delay = min(delay * 2, _BACK_OFF_MAX)
