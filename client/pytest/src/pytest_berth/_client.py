# SPDX-License-Identifier: MIT
"""A Varlink client in the standard library: JSON objects with a NUL after each, replies in call order.

Each connection belongs to one thread at a time. A forked child closes its copies: a hold must not outlive its
process because a child has inherited the socket.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import time
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

from ._errors import ConnectionLost, DaemonUnavailable, RemoteError

LEASE = "io.berth.lease"
MANAGE = "io.berth.manage"
SERVICE = "org.varlink.service"

SYSTEM_SOCKET = "/run/berth/io.berth.lease"
SOCKET_NAME = "berth/io.berth.lease"
SOCKET_PATH_MAX = 107  # sizeof sun_path - 1

CONNECT_TIMEOUT = 2.0
ANSWER_TIMEOUT = 5.0  # a grant waits for the ledger's disk

_open: Dict[int, "Connection"] = {}


class Reply(NamedTuple):
    parameters: Dict[str, Any]
    continues: bool


class Connection:
    """One connection to the daemon. Every failure is a BerthError that says what to do."""

    def __init__(self, path: str, timeout: float = CONNECT_TIMEOUT) -> None:
        self._buffer = bytearray()
        self._socket = _connect(path, timeout)
        self.path = path
        _open[id(self)] = self

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def send(self, method: str, parameters: Optional[Mapping[str, Any]] = None, more: bool = False) -> None:
        """Parameters that are None are left out."""
        call: Dict[str, Any] = {"method": method}
        given = {key: value for key, value in (parameters or {}).items() if value is not None}
        if given:
            call["parameters"] = given
        if more:
            call["more"] = True
        try:
            self._socket.settimeout(CONNECT_TIMEOUT)
            self._socket.sendall(json.dumps(call).encode("utf-8", "replace") + b"\0")
        except OSError as e:
            raise self._lost(e) from None

    def receive(self, timeout: Optional[float]) -> Reply:
        """The next reply. None waits for ever. An error reply is raised as RemoteError."""
        try:
            self._receive_frame(None if timeout is None else time.monotonic() + timeout)
        except socket.timeout:
            raise DaemonUnavailable(
                f"no answer from {self.path} within {timeout:g} s; berthd is stopped or overloaded",
                "try again; 'systemctl status berthd' tells more", "Unanswered") from None
        frame, _, rest = self._buffer.partition(b"\0")
        self._buffer = rest
        try:
            reply = json.loads(frame.decode("utf-8"))
            error, parameters = reply.get("error"), reply.get("parameters") or {}
        except (ValueError, AttributeError):
            raise ConnectionLost(f"cannot read the answer from {self.path}", "check BERTH_SOCKET",
                                 "BadAnswer") from None
        if error:
            raise RemoteError(error, parameters)
        return Reply(parameters, bool(reply.get("continues")))

    def call(self, method: str, parameters: Optional[Mapping[str, Any]] = None,
             timeout: Optional[float] = ANSWER_TIMEOUT) -> Dict[str, Any]:
        self.send(method, parameters)
        return self.receive(timeout).parameters

    def close(self) -> None:
        """Also wakes a thread that is waiting in receive()."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.abandon()

    def abandon(self) -> None:
        """Close our copy only; the connection goes on if another process has one."""
        _open.pop(id(self), None)
        self._socket.close()

    def keep_over_exec(self) -> None:
        """The program that this process becomes has it open, too."""
        self._socket.set_inheritable(True)

    def _receive_frame(self, deadline: Optional[float]) -> None:
        while b"\0" not in self._buffer:
            try:
                self._socket.settimeout(None if deadline is None else max(0.001, deadline - time.monotonic()))
                data = self._socket.recv(65536)
            except socket.timeout:
                raise
            except OSError as e:
                raise self._lost(e) from None
            if not data:
                raise self._lost(None)
            self._buffer += data

    def _lost(self, e: Optional[OSError]) -> ConnectionLost:
        why = e.strerror if e and e.strerror else "berthd closed it"
        return ConnectionLost(f"connection to {self.path} lost; {why}", "try again")


def socket_candidates(explicit: Optional[str]) -> List[str]:
    """Where a daemon may listen, best first. Explicit: a path or unix:PATH."""
    if explicit:
        return [_absolute(explicit[len("unix:"):] if explicit.startswith("unix:") else explicit)]
    runtime = os.environ.get("XDG_RUNTIME_DIR") or ""
    if not os.path.isabs(runtime):
        runtime = f"/run/user/{os.geteuid()}"
    return [os.path.join(runtime, SOCKET_NAME), SYSTEM_SOCKET]


def _absolute(path: str) -> str:
    """Tests go to other folders. But one may be relative because it would be too long otherwise."""
    absolute = os.path.abspath(path) if path else path
    return absolute if len(os.fsencode(absolute)) <= SOCKET_PATH_MAX else path


def find_socket(explicit: Optional[str]) -> str:
    """The first path that somebody listens at; raises what the most telling of them said."""
    told: Optional[DaemonUnavailable] = None
    for path in socket_candidates(explicit):
        try:
            Connection(path).close()
            return path
        except DaemonUnavailable as e:
            if told is None or e.error != "NoDaemon" or told.error == "NoDaemon":
                told = e
    assert told is not None
    raise told


def _connect(path: str, timeout: float) -> socket.socket:
    if len(os.fsencode(path)) > SOCKET_PATH_MAX:
        size = len(os.fsencode(path))
        raise DaemonUnavailable(
            f"cannot connect to {path[:60]}...; socket path too long ({size} > {SOCKET_PATH_MAX})",
            "use a shorter path, or a symbolic link to its directory", "PathTooLong")
    try:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    except OSError as e:
        raise _explain(path, e, making=True) from e
    deadline = time.monotonic() + timeout
    while True:
        try:
            sock.settimeout(max(0.001, deadline - time.monotonic()))
            sock.connect(path)
            return sock
        except OSError as e:
            # A full backlog is EAGAIN at once, however long we are willing to wait.
            if e.errno != errno.EAGAIN or time.monotonic() >= deadline:
                sock.close()
                raise _explain(path, e, making=False) from e
            time.sleep(0.02)


def _explain(path: str, e: OSError, making: bool) -> DaemonUnavailable:
    """Each errno tells its story. Sandboxes refuse the address family, or the call."""
    if e.errno == errno.EPERM or (making and e.errno in (errno.EACCES, errno.EAFNOSUPPORT)):
        return DaemonUnavailable(f"cannot reach {path}; this sandbox forbids Unix sockets (seccomp)",
                                 "run outside it, or allow Unix sockets there", "SandboxForbidsSockets")
    if e.errno in (errno.ENOENT, errno.ENOTDIR):
        return DaemonUnavailable(f"no socket at {path}; berthd is not running",
                                 "'systemctl start berthd.socket' or set BERTH_SOCKET", "NoDaemon")
    if e.errno == errno.ECONNREFUSED:
        return DaemonUnavailable(f"nobody listens at {path}; a dead daemon left its socket", "restart berthd",
                                 "DeadSocket")
    if e.errno == errno.EACCES:
        return DaemonUnavailable(f"no access to {path}; uid {os.geteuid()} may not use it",
                                 "add the user to group berth (usermod -aG berth NAME), then log in again",
                                 "NotPermitted")
    if e.errno == errno.EAGAIN or isinstance(e, socket.timeout):
        return DaemonUnavailable(f"no room at {path}; berthd does not answer (backlog full)", "try again",
                                 "Busy")
    return DaemonUnavailable(f"cannot connect to {path}; {e.strerror or e}", "see that berthd listens there",
                             "NotConnected")


def _close_copies() -> None:
    for connection in list(_open.values()):
        connection.abandon()


os.register_at_fork(after_in_child=_close_copies)
