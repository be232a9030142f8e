# SPDX-License-Identifier: MIT
"""Namespaces, schema names and DDL slots for tests that share PostgreSQL servers.

Every run has a namespace nobody else has. A worker of it builds in `test_{namespace}_{worker}`, and connects
with that schema as its only search path and a label that says who it is:

    conn = psycopg.connect(DSN, **pytest_berth.connect_args())
    with pytest_berth.schema(conn, lambda c: c.execute(SCHEMA_SQL)):
        ...

Valid from the import of the first conftest module on. The session fixture `berth` has the same functions.
"""

from __future__ import annotations

from typing import Any, Callable, ContextManager, Dict, List, NamedTuple, Optional

from . import _names
from ._client import SERVICE, Connection
from ._errors import (BadName, BerthError, DaemonUnavailable, FallThroughError, LeaseLost, NameTooLong,
                      RemoteError, SlotTimeout)
from ._namespace import Run

__version__ = "0.1.0"
__all__ = [
    "BadName", "Berth", "BerthError", "DaemonUnavailable", "FallThroughError", "LeaseLost", "NameTooLong",
    "RemoteError", "RunInfo", "SlotTimeout", "application_name", "connect_args", "ddl_slot", "guard", "info",
    "namespace", "schema", "worker_id", "worker_schema",
]

# One per pytest session of this process, the innermost last: pytester runs a pytest inside a pytest.
_runs: List[Run] = []


class RunInfo(NamedTuple):
    namespace: str
    worker: str
    source: str  # where the namespace came from, as in pytest's header
    leased: bool
    socket: Optional[str]
    daemon_version: Optional[str]
    report: Optional[str]  # where the report will be; None: there is none


def namespace() -> str:
    """The run's: `p18234t1745178234r3af93d71`."""
    return _run().namespace


def worker_id() -> str:
    """`gw0`, `gw1`, ...; `gw0` where tests are not distributed."""
    return _run().worker


def worker_schema(suffix: Optional[str] = None) -> str:
    """`test_{namespace}_{worker}[_{suffix}]`: the only place where schema names are made."""
    run = _run()
    return _names.make_schema(run.namespace, run.worker, suffix)


def application_name(suffix: Optional[str] = None) -> str:
    """`pytest_{worker}_{namespace}[_{suffix}]`: by this label the daemon knows that a schema is in use."""
    run = _run()
    return _names.make_application_name(run.namespace, run.worker, suffix)


def connect_args(suffix: Optional[str] = None, driver: str = "libpq") -> Dict[str, Any]:
    """Label and search path for connect(). The suffix is the label's; the path is worker_schema() alone.

    In the start-up packet, so they hold for every connection of a pool, and through ROLLBACK and DISCARD ALL.
    driver: "libpq" for psycopg2, psycopg and what is built on them, or "asyncpg".
    """
    path = ",".join(_run().search_path)
    if driver == "libpq":
        return {"application_name": application_name(suffix), "options": f"-csearch_path={path}"}
    if driver == "asyncpg":
        return {"server_settings": {"application_name": application_name(suffix), "search_path": path}}
    raise BerthError(f"unknown driver {driver!r}", 'use "libpq" or "asyncpg"')


def ddl_slot(schema: Optional[str] = None, database: Optional[str] = None,
             timeout: Optional[float] = None) -> ContextManager[None]:
    """Hold a DDL slot while tables are made: `with ddl_slot(database="tenant1"): ...`

    database: as it is called in berth.conf; may be left out if there is one server. Reentrant in one process.
    schema: for those who port from lock files; berthd grants any free slot.
    timeout: seconds, then SlotTimeout.
    """
    if schema is not None and _names.parse_schema(schema) is None:
        raise BadName(f"{schema!r} is not the name of a worker's schema", "use worker_schema()")
    from . import _slots  # here and below: a run that builds nothing need not load it

    return _slots.ddl_slot(_run(), _slots.Cluster(database=database), timeout)


def schema(target: Any, build: Callable[[Any], Any]) -> ContextManager[Any]:
    """Make worker_schema() in a database: slot, CREATE SCHEMA, build, guard(), commit.

    target: a SQLAlchemy engine, asynchronous or not (build gets a connection of it, as `metadata.create_all`
    wants), or connection; a connection of psycopg2, psycopg or Django (build gets it); or a function that makes
    a connection of asyncpg (build may be a coroutine function). All made with connect_args().
    The daemon drops the schema when the run is over; without one it is dropped when the context ends.
    """
    from . import _schema

    return _schema.schema(_run(), target, build)


def guard(target: Any) -> None:
    """Raise FallThroughError if statements without a schema in front could end up outside worker_schema()."""
    from . import _schema

    _schema.guard(_run(), target)


def info() -> RunInfo:
    run = _run()
    return RunInfo(run.namespace, run.worker, run.source, run.leased, run.socket, _daemon_version(run), run.report)


class Berth:
    """What the session fixture `berth` is: the functions of this module."""

    namespace = staticmethod(namespace)
    worker_id = staticmethod(worker_id)
    worker_schema = staticmethod(worker_schema)
    application_name = staticmethod(application_name)
    connect_args = staticmethod(connect_args)
    ddl_slot = staticmethod(ddl_slot)
    schema = staticmethod(schema)
    guard = staticmethod(guard)
    info = staticmethod(info)


def _run() -> Run:
    if not _runs:
        raise BerthError("pytest-berth is not active in this process",
                         "is plugin autoload disabled? add -p pytest_berth.plugin")
    run = _runs[-1]
    if not run.namespace:
        raise BerthError(f"worker {run.worker} is on another host and is told its namespace after conftest"
                         " modules are imported", "ask for it in a fixture")
    return run


def _daemon_version(run: Run) -> Optional[str]:
    if not run.socket:
        return None
    try:
        with Connection(run.socket) as connection:
            return connection.call(f"{SERVICE}.GetInfo").get("version")
    except BerthError:
        return None
