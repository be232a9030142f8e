# SPDX-License-Identifier: MIT
"""The names that runs, daemon and sweep agree on: proto/names.h in Python, with the same golden vectors.

    namespace         [a-z0-9]{1,32}; a token is p<PID>t<EPOCH>r<8 hex>
    worker            [a-z][a-z0-9]{0,15}; an undistributed run is gw0
    suffix            [a-z0-9_]+
    schema            test_{namespace}_{worker}[_{suffix}]
    application_name  pytest_{worker}_{namespace}[_{suffix}]

Everything fits in 63 bytes or is refused: PostgreSQL would cut it silently, and two names could become one.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Optional

from ._errors import BadName, NameTooLong

NAME_MAX = 63
NAMESPACE_MAX = 32
WORKER_MAX = 16
EPOCH_MAX = 99999999999  # so that every token fits in a namespace

_NAMESPACE = r"[a-z0-9]{1,32}"
_WORKER = r"[a-z][a-z0-9]{0,15}"
# Not compiled here: every pytest start would pay for it.
_TOKEN = r"p(0|[1-9][0-9]{0,9})t(0|[1-9][0-9]{0,10})r([0-9a-f]{8})"
_SCHEMA = rf"test_({_NAMESPACE})_({_WORKER})(?:_([a-z0-9_]+))?"
_APPLICATION_NAME = rf"pytest_({_WORKER})_({_NAMESPACE})(?:_([a-z0-9_]+))?"
_WORKER_NUMBER = r"gw(0|[1-9][0-9]{0,3})"
_ALIAS = r"[A-Za-z_][A-Za-z0-9_]{0,62}"
# What berth itself, the loader, the shell or Python goes by.
_NO_ALIAS = r"(?:BERTH_|LD_|PYTHON|PYTEST_).*|PATH|HOME|SHELL|USER|LOGNAME|IFS|ENV|PWD|TMPDIR|BASH_ENV"
# Anchored on the worker suffix. The first digits in a name belong to the PID, and would send every
# worker of one run to the same slot.
_SLOT = r"_gw([0-9]+)(?:_|\Z)"


class _Rule(NamedTuple):
    what: str
    max: int  # 0: only the whole name is bounded
    pattern: bytes  # matches the empty text, too
    allowed: str


_NAMESPACE_RULE = _Rule("namespace", NAMESPACE_MAX, b"[a-z0-9]*", "a-z and 0-9")
_WORKER_RULE = _Rule("worker", WORKER_MAX, b"(?:[a-z][a-z0-9]*)?", "a letter, then a-z and 0-9")
_SUFFIX_RULE = _Rule("suffix", 0, b"[a-z0-9_]*", "a-z, 0-9 and _")


class Name(NamedTuple):
    namespace: str
    worker: str
    suffix: Optional[str]


class Token(NamedTuple):
    pid: int
    epoch_sec: int
    random: int


def check_namespace(text: str) -> str:
    return _check(_NAMESPACE_RULE, text)


def check_worker(text: str) -> str:
    return _check(_WORKER_RULE, text)


def check_suffix(text: str) -> str:
    return _check(_SUFFIX_RULE, text)


def is_alias(text: str) -> bool:
    """May the namespace be exported under that name as well?"""
    return bool(re.fullmatch(_ALIAS, text)) and not re.fullmatch(_NO_ALIAS, text)


def suggest_namespace(text: str) -> Optional[str]:
    """`My_debug` -> `mydebug`; None where nothing usable remains."""
    ascii_only = text.encode("ascii", "ignore").decode("ascii")
    return re.sub("[^a-z0-9]", "", ascii_only.lower())[:NAMESPACE_MAX] or None


def make_token(pid: int, epoch_sec: int, random: int) -> str:
    """A clock that is far off costs the time, not the shape."""
    return f"p{pid}t{min(epoch_sec, EPOCH_MAX)}r{random:08x}"


def parse_token(namespace: str) -> Optional[Token]:
    match = re.fullmatch(_TOKEN, namespace)
    if not match or int(match[1]) >= 2**32:
        return None
    return Token(int(match[1]), int(match[2]), int(match[3], 16))


def make_schema(namespace: str, worker: str, suffix: Optional[str] = None) -> str:
    return _make("schema", "test", namespace, worker, suffix)


def make_application_name(namespace: str, worker: str, suffix: Optional[str] = None) -> str:
    return _make("application_name", "pytest", namespace, worker, suffix)


def parse_schema(schema: str) -> Optional[Name]:
    match = re.fullmatch(_SCHEMA, schema)
    return Name(match[1], match[2], match[3]) if match and len(schema) <= NAME_MAX else None


def parse_application_name(name: str) -> Optional[Name]:
    match = re.fullmatch(_APPLICATION_NAME, name)
    return Name(match[2], match[1], match[3]) if match and len(name) <= NAME_MAX else None


def worker_number(worker: str) -> Optional[int]:
    """N of gw<N>."""
    match = re.fullmatch(_WORKER_NUMBER, worker)
    return int(match[1]) if match else None


def ddl_slot(schema: str, slot_count: int) -> int:
    """The slot a lock-file scheme gives a schema. For those who port from one; berthd grants any."""
    match = re.search(_SLOT, schema)
    return int(match[1]) % slot_count if match else 0


def _check(rule: _Rule, text: str) -> str:
    """The text itself. Messages are those of proto/names.c, to the letter."""
    if not text:
        raise BadName(f"{rule.what} is empty; allowed are {rule.allowed}")
    data = text.encode("utf-8", "surrogateescape")
    match = re.match(rule.pattern, data)
    at = match.end() if match else 0
    if at < len(data):
        # Other people's bytes never reach a terminal as they are.
        shown = chr(data[at]) if 0x20 < data[at] < 0x7F else f"\\x{data[at]:02x}"
        raise BadName(f"{rule.what} has '{shown}' at byte {at + 1}; allowed are {rule.allowed}")
    if rule.max and len(data) > rule.max:
        raise NameTooLong(
            f"{rule.what} is {len(data)} bytes long, {len(data) - rule.max} more than the {rule.max} allowed")
    return text


def _make(what: str, prefix: str, namespace: str, worker: str, suffix: Optional[str]) -> str:
    check_namespace(namespace)
    check_worker(worker)
    first, second = (worker, namespace) if prefix == "pytest" else (namespace, worker)
    name = f"{prefix}_{first}_{second}"
    if suffix is not None:
        name = f"{name}_{check_suffix(suffix)}"
    if len(name) > NAME_MAX:
        excess = len(name) - NAME_MAX
        raise NameTooLong(
            f"{what} would be {len(name)} bytes long, {excess} more than the {NAME_MAX} PostgreSQL keeps",
            "shorten the suffix")
    return name
