# SPDX-License-Identifier: MIT
"""A worker's schema: slot, CREATE SCHEMA, build, guard, commit, hand over. And the guard alone.

The three kinds of target differ only in how SQL gets to the server and where a transaction begins and ends.
"""

from __future__ import annotations

import inspect
import warnings
from contextlib import ExitStack, contextmanager
from typing import Any, Callable, ContextManager, Iterator, List, Optional, Tuple

from . import _names
from ._errors import BerthError, FallThroughError, RemoteError
from ._namespace import Run
from ._slots import Cluster, ddl_slot

Row = Tuple[Any, ...]
Rows = List[Row]

_DROP_LOCK_TIMEOUT = "5s"
_TOLD_MAX = 5  # tables in a message
_INSUFFICIENT_PRIVILEGE = "42501"


@contextmanager
def schema(run: Run, target: Any, build: Callable[[Any], Any]) -> Iterator[Any]:
    name = _names.make_schema(run.namespace, run.worker)
    adapter = _adapt(target)
    cluster = Cluster(system_identifier=adapter.system_identifier())
    with _slot_of(run, cluster):
        with adapter.transaction() as connection:
            existed = _exists(adapter, connection, name)
            adapter.run(connection, f"CREATE SCHEMA IF NOT EXISTS {name}")
            build(connection)
            _guard(run, adapter, connection)
    try:
        yield target
    finally:
        # With a lease the daemon drops, when the run is over: a worker's teardown is cut short too often.
        if not run.leased and not existed:
            _drop(run, adapter, cluster, name)


def guard(run: Run, target: Any) -> None:
    adapter = _adapt(target)
    with adapter.look() as connection:
        _guard(run, adapter, connection)


# ---- the guard ----


def _guard(run: Run, adapter: "_Adapter", connection: Any) -> None:
    if run.settings.guard == "off":
        return
    error = _fall_through(run, adapter, connection)
    if error is None:
        return
    if run.settings.guard == "error":
        raise error
    warnings.warn(str(error), stacklevel=2)


def _fall_through(run: Run, adapter: "_Adapter", connection: Any) -> Optional[FallThroughError]:
    mine, *extra = run.search_path
    fix = "connect with **berth.connect_args()"
    sql = "SELECT current_schema() AS current, current_setting('search_path') AS path"
    current, path = adapter.run(connection, sql)[0]
    if current != mine:
        return FallThroughError(f"the current schema is {current}, not {mine} (search_path = {path})", fix)
    visible = _visible_tables(adapter, connection)
    foreign = [(place, table) for place, table in visible if place not in (mine, *extra)]
    if foreign:
        return FallThroughError(f"{_tell(foreign)} can be seen without naming the schema, so that a build"
                                f" skips what it should have made in {mine} (search_path = {path})", fix)
    if visible and all(place != mine for place, _ in visible):
        return FallThroughError(f"the build made nothing in {mine}, but {_tell(visible)} can be seen"
                                f" (search_path = {path})", "leave berth_search_path_extra empty")
    return None


def _visible_tables(adapter: "_Adapter", connection: Any) -> Rows:
    """Tables and the like that need no schema in front. What belongs to an extension does not count."""
    return adapter.run(connection, """
        SELECT n.nspname AS place, c.relname AS relation
        FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = ANY (current_schemas(false))
          AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
          AND pg_catalog.pg_table_is_visible(c.oid)
          AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                          WHERE d.classid = 'pg_catalog.pg_class'::regclass
                            AND d.objid = c.oid AND d.deptype = 'e')
        ORDER BY 1, 2""")


def _tell(tables: Rows) -> str:
    names = ", ".join(f"{place}.{table}" for place, table in tables[:_TOLD_MAX])
    return names if len(tables) <= _TOLD_MAX else f"{names} and {len(tables) - _TOLD_MAX} more"


# ---- steps ----


@contextmanager
def _slot_of(run: Run, cluster: Cluster) -> Iterator[None]:
    """A daemon that serves one server only need not know its identifier."""
    with ExitStack() as stack:
        try:
            stack.enter_context(ddl_slot(run, cluster))
        except RemoteError as e:
            if e.error != "NoSuchDatabase":
                raise
            try:
                stack.enter_context(ddl_slot(run, Cluster()))
            except RemoteError as again:
                raise BerthError(
                    f"berthd has no database on this server (system identifier {cluster.system_identifier})",
                    "add one to [databases] in berth.conf", again.error) from again
        yield


def _exists(adapter: "_Adapter", connection: Any, name: str) -> bool:
    return bool(adapter.run(connection, f"SELECT to_regnamespace('{name}') IS NOT NULL AS found")[0][0])


def _drop(run: Run, adapter: "_Adapter", cluster: Cluster, name: str) -> None:
    """What cannot be dropped is left behind and told: teardown changes no outcome."""
    try:
        with ddl_slot(run, cluster), adapter.transaction(fresh=True) as connection:
            # One statement, so that the time-out is local to it on an autocommit connection too.
            adapter.run(connection, f"""
                DO $$ BEGIN
                    PERFORM set_config('lock_timeout', '{_DROP_LOCK_TIMEOUT}', true);
                    DROP SCHEMA IF EXISTS {name} CASCADE;
                END $$""")
    except Exception as e:
        warnings.warn(f"berth: schema {name} is left behind: {e}", stacklevel=2)


# ---- targets ----


class _Adapter:
    """How to talk to a target."""

    def __init__(self, target: Any) -> None:
        self.target = target

    def transaction(self, fresh: bool = False) -> ContextManager[Any]:
        """Commits at the end. Fresh: whatever the connection was in the middle of is over."""
        raise NotImplementedError

    def look(self) -> ContextManager[Any]:
        """To read only: leaves a transaction as it is, and none open where there was none."""
        raise NotImplementedError

    def run(self, connection: Any, sql: str) -> Rows:
        """All rows, or none for what returns none. No SQL of ours has a percent sign: drivers differ."""
        raise NotImplementedError

    def system_identifier(self) -> Optional[str]:
        """None where the server does not tell everybody."""
        sql = "SELECT system_identifier::text AS id FROM pg_catalog.pg_control_system()"
        try:
            with self.look() as connection:
                return str(self.run(connection, sql)[0][0])
        except Exception as e:
            if _sqlstate(e) != _INSUFFICIENT_PRIVILEGE:
                raise
            return None


class _AlchemyAdapter(_Adapter):
    """A SQLAlchemy engine, or a connection of one."""

    @contextmanager
    def transaction(self, fresh: bool = False) -> Iterator[Any]:
        if not hasattr(self.target, "in_transaction"):
            with self.target.begin() as connection:
                yield connection
            return
        if self.target.in_transaction():
            if not fresh:
                yield self.target  # its owner commits
                return
            self.target.get_transaction().rollback()
        with self.target.begin():
            yield self.target

    def look(self) -> ContextManager[Any]:
        return self.transaction()

    def run(self, connection: Any, sql: str) -> Rows:
        result = connection.exec_driver_sql(sql)
        return [tuple(row) for row in result.fetchall()] if result.returns_rows else []


class _DbapiAdapter(_Adapter):
    """psycopg2, psycopg, Django: a connection with cursor() and commit()."""

    @contextmanager
    def transaction(self, fresh: bool = False) -> Iterator[Any]:
        if fresh:
            self._end("rollback")
        try:
            yield self.target
        except BaseException:
            self._end("rollback")
            raise
        self._end("commit")

    @contextmanager
    def look(self) -> Iterator[Any]:
        was_idle = self._is_idle()
        try:
            yield self.target
        finally:
            if was_idle:
                self._end("rollback")

    def run(self, connection: Any, sql: str) -> Rows:
        cursor = connection.cursor()
        try:
            cursor.execute(sql)
            return [_values(row) for row in cursor.fetchall()] if cursor.description else []
        finally:
            cursor.close()

    def _end(self, how: str) -> None:
        # Django's atomic() commits by itself, and lets nobody else.
        if not self.target.autocommit and not getattr(self.target, "in_atomic_block", False):
            getattr(self.target, how)()

    def _is_idle(self) -> bool:
        # Django wraps one, which is None before the first use.
        connection = getattr(self.target, "connection", self.target)
        return connection is None or connection.info.transaction_status == 0  # PQTRANS_IDLE


def _values(row: Any) -> Row:
    return tuple(row.values()) if hasattr(row, "values") else tuple(row)


def _sqlstate(e: BaseException) -> Optional[str]:
    cause = getattr(e, "orig", None) or e.__cause__ or e
    return getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)


def _adapt(target: Any) -> _Adapter:
    if _is_asynchronous(target):
        raise BerthError(f"{type(target).__name__} is asynchronous, and building a schema is not",
                         "use 'await connection.run_sync(...)' of SQLAlchemy, or a synchronous driver in a"
                         " session fixture")
    if hasattr(target, "begin") and hasattr(target, "dialect"):
        return _AlchemyAdapter(target)
    if hasattr(target, "cursor") and hasattr(target, "commit"):
        return _DbapiAdapter(target)
    raise BerthError(f"{type(target).__name__} is neither a SQLAlchemy engine or connection nor a DB-API"
                     " connection", "pass an object with .begin() or .cursor()")


def _is_asynchronous(target: Any) -> bool:
    methods = (getattr(target, name, None) for name in ("execute", "dispose", "close"))
    return any(inspect.iscoroutinefunction(method) for method in methods)
