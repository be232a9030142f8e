# SPDX-License-Identifier: MIT
"""A worker's schema: slot, CREATE SCHEMA, build, guard, commit, hand over. And the guard alone."""

from __future__ import annotations

import warnings
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any, Callable, ContextManager, Iterator, Optional

from . import _names
from ._errors import BerthError, FallThroughError, RemoteError
from ._namespace import Run
from ._slots import Cluster, ddl_slot
from ._targets import Adapter, Rows, adapt

_DROP_LOCK_TIMEOUT = "5s"
_TOLD_MAX = 5  # tables in a message


@contextmanager
def schema(run: Run, target: Any, build: Callable[[Any], Any]) -> Iterator[Any]:
    name = _names.make_schema(run.namespace, run.worker)
    adapter = adapt(target)
    cluster = Cluster(system_identifier=adapter.system_identifier())

    def make(connection: Any) -> bool:
        existed = _exists(adapter, connection, name)
        adapter.run(connection, f"CREATE SCHEMA IF NOT EXISTS {name}")
        adapter.finish(build(connection))
        _guard(run, adapter, connection)
        return existed

    with _slot_of(run, cluster):
        existed = adapter.transact(make)
    try:
        with _watch_commits(run, adapter):
            yield target
    finally:
        # With a lease the daemon drops, when the run is over: a worker's teardown is cut short too often.
        if not run.leased and not existed:
            _drop(run, adapter, cluster, name)


def guard(run: Run, target: Any) -> None:
    adapter = adapt(target)
    adapter.examine(lambda connection: _guard(run, adapter, connection))


# ---- the guard ----


def _guard(run: Run, adapter: Adapter, connection: Any) -> None:
    if run.settings.guard == "off":
        return
    error = _fall_through(run, adapter, connection)
    if error is not None:
        _report(run, error)


def _report(run: Run, error: FallThroughError) -> None:
    if run.settings.guard == "error":
        raise error
    warnings.warn(str(error), stacklevel=2)


def _watch_commits(run: Run, adapter: Adapter) -> ContextManager[None]:
    """For the seeder that has its own idea of the schema: no test_gw0 is no error in `test_gw0, public`."""

    def check(connection: Any) -> None:
        try:
            path = adapter.run(connection, """
                SELECT current_setting('search_path') AS path
                WHERE current_schema() = 'public' AND pg_current_xact_id_if_assigned() IS NOT NULL""")
        except Exception:
            return  # a transaction that has failed: the commit is a rollback
        if path:
            _report(run, FallThroughError(
                f"a transaction that has written is about to be committed with public as its current schema"
                f" (search_path = {path[0][0]})", "compose the schema's name with berth.worker_schema()"))

    if run.settings.guard == "off" or "public" in run.search_path:
        return nullcontext()
    return adapter.watch_commits(check)


def _fall_through(run: Run, adapter: Adapter, connection: Any) -> Optional[FallThroughError]:
    mine, *extra = run.search_path
    fix = "connect with **berth.connect_args()"
    sql = "SELECT current_schema() AS current, current_setting('search_path') AS path"
    current, path = adapter.run(connection, sql)[0]
    if current != mine:
        return FallThroughError(f"the current schema is {current}, not {mine} (search_path = {path})", fix)
    visible = _visible_tables(adapter, connection)
    foreign: Rows = [(place, table) for place, table in visible if place not in (mine, *extra)]
    if foreign:
        return FallThroughError(f"{_tell(foreign)} can be seen without naming the schema, so that a build"
                                f" skips what it should have made in {mine} (search_path = {path})", fix)
    if visible and all(place != mine for place, _ in visible):
        return FallThroughError(f"the build made nothing in {mine}, but {_tell(visible)} can be seen"
                                f" (search_path = {path})", "leave berth_search_path_extra empty")
    return None


def _visible_tables(adapter: Adapter, connection: Any) -> Rows:
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


def _exists(adapter: Adapter, connection: Any, name: str) -> bool:
    return bool(adapter.run(connection, f"SELECT to_regnamespace('{name}') IS NOT NULL AS found")[0][0])


def _drop(run: Run, adapter: Adapter, cluster: Cluster, name: str) -> None:
    """What cannot be dropped is left behind and told: teardown changes no outcome."""
    try:
        # One statement, so that the time-out is local to it on an autocommit connection too.
        sql = f"""
            DO $$ BEGIN
                PERFORM set_config('lock_timeout', '{_DROP_LOCK_TIMEOUT}', true);
                DROP SCHEMA IF EXISTS {name} CASCADE;
            END $$"""
        with ddl_slot(run, cluster):
            adapter.transact(lambda connection: adapter.run(connection, sql), fresh=True)
    except Exception as e:
        run.leftovers.append(name)
        warnings.warn(f"berth: schema {name} is left behind: {e}", stacklevel=2)
