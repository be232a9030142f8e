# SPDX-License-Identifier: MIT
"""Every error of this package: what happened, what to do about it, and whether trying again may help."""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Optional

_CONTROL = r"[\x00-\x1f\x7f-\x9f]"  # not compiled here: every start would pay for it


def plain(text: str) -> str:
    """One line that a terminal shows and does not obey: queries, tables and labels are other people's words."""
    return re.sub(_CONTROL, "?", re.sub(r"\s*\n\s*|\t", " ", text))


class BerthError(Exception):
    """Something went wrong that has a name, a message and, where there is one, a cure."""

    retryable = False

    def __init__(self, message: str, fix: str = "", error: Optional[str] = None) -> None:
        message = plain(message)
        super().__init__(message, fix)
        self.message = message
        self.fix = fix
        self.error = error or type(self).__name__

    def __str__(self) -> str:
        return f"berth: {self.message}; {self.fix}" if self.fix else f"berth: {self.message}"


class DaemonUnavailable(BerthError):
    """Nobody answers at the socket."""

    retryable = True


class ConnectionLost(DaemonUnavailable):
    """The daemon closed the connection in the middle of a call: a restart, as a rule."""


class LeaseLost(BerthError):
    """The lease has ended under us: revoked by an operator, or released elsewhere."""


class SlotTimeout(BerthError):
    """No DDL slot became free in time; the message names who holds them."""

    retryable = True


class BadName(BerthError, ValueError):
    """A namespace, worker id or suffix that breaks its rule."""


class NameTooLong(BadName):
    """A name that PostgreSQL would cut off silently."""


class FallThroughError(BerthError):
    """Statements without a schema in front would not end up in the worker's schema."""


class RemoteError(BerthError):
    """An error reply of the daemon: `error` without the interface in front, `parameters` as they came."""

    def __init__(self, name: str, parameters: Mapping[str, Any]) -> None:
        error = name.rpartition(".")[2]
        message, fix, self.retryable = _tell(error, parameters)
        super().__init__(message, fix, error)
        self.name = name
        self.parameters = dict(parameters)


def describe_holders(holders: Optional[List[Dict[str, Any]]]) -> str:
    """`gw0 of p18…71 for 12 s, the sweep for 3 s`"""
    return ", ".join(_describe_holder(holder) for holder in holders or []) or "nobody that is known"


def describe_process(holder: Optional[Mapping[str, Any]]) -> str:
    """`pid 123`, or less where the daemon cannot see it."""
    pid = ((holder or {}).get("process") or {}).get("pid")
    return f"pid {pid}" if pid else "another process"


def _describe_holder(holder: Mapping[str, Any]) -> str:
    held = holder.get("heldUSec", 0) / 1e6
    who = f"{holder['worker']} of {holder.get('namespace')}" if holder.get("worker") else "the sweep"
    return f"{who} for {held:.0f} s"


def _tell(error: str, parameters: Mapping[str, Any]) -> "tuple[str, str, bool]":
    """Message, fix and retryable of an error reply."""
    namespace = parameters.get("namespace", "")
    holder = parameters.get("holder") or {}
    told = {
        "Busy": (
            f"nothing is free: held by {describe_holders(parameters.get('holders'))}",
            "try again later", True),
        "LimitReached": (
            f"berthd is full ({parameters.get('limit')} = {parameters.get('value')})",
            "end other runs, or raise the limit in berth.conf", True),
        "LedgerUnavailable": (
            f"berthd cannot write its ledger ({parameters.get('message')}) and grants nothing",
            "look at 'berth status' and the disk", True),
        "NamespaceInUse": (
            f"namespace {namespace} is in use by {describe_process(holder)}",
            "wait for that run, or choose another name", True),
        "BadName": (str(parameters.get("message")), "choose another name", False),
        "NoSuchLease": (f"there is no lease of {namespace} (any more)", "start a new run", False),
        "AlreadyAttached": (
            f"another pytest ({describe_process(holder)}) drives the run {namespace}",
            "take a lease of your own", False),
        "NotHeld": ("the slot is not held (any more)", "see 'berth status'", False),
        "NoSuchDatabase": (
            "berthd does not know which database server this is",
            "add the database to [databases] in berth.conf, or name one of several servers", False),
        "DatabaseUnreachable": (
            f"berthd cannot reach database {parameters.get('database') or ''}: {parameters.get('message')}",
            "see 'berth status'", True),
        "InvalidParameter": (
            f"berthd does not take the parameter {parameters.get('parameter')!r}",
            "use versions of berthd and pytest-berth that fit", False),
        "PermissionDenied": ("berthd does not permit that", "ask an operator", False),
    }
    unknown = f"berthd answers {error} {dict(parameters) or ''}".rstrip()
    return told.get(error, (unknown, "see the journal", False))
