# SPDX-License-Identifier: MIT
"""What schemas are built on: they differ in how SQL gets to the server, and where a transaction begins and ends.

    SQLAlchemy    an engine or a connection; an asynchronous engine
    DB-API        a connection of psycopg2, psycopg or Django
    asyncpg       a function that makes a connection
"""

from __future__ import annotations

import inspect
import sys
from contextlib import contextmanager, nullcontext
from typing import Any, Awaitable, Callable, ContextManager, Iterator, List, Optional, Tuple

from ._errors import BerthError

Row = Tuple[Any, ...]
Rows = List[Row]

_INSUFFICIENT_PRIVILEGE = "42501"


class Adapter:
    """How to talk to a target."""

    def __init__(self, target: Any) -> None:
        self.target = target

    def transact(self, function: Callable[[Any], Any], fresh: bool = False) -> Any:
        """function(connection), and commit. Fresh: whatever the connection was in the middle of is over."""
        with self.transaction(fresh) as connection:
            return function(connection)

    def examine(self, function: Callable[[Any], Any]) -> Any:
        """function(connection), which only reads."""
        with self.look() as connection:
            return function(connection)

    def finish(self, result: Any) -> None:
        """What a build returned may be left to wait for."""

    def watch_commits(self, check: Callable[[Any], None]) -> ContextManager[None]:
        """While inside, check(connection) before each commit, where the target can tell."""
        return nullcontext()

    def transaction(self, fresh: bool = False) -> ContextManager[Any]:
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
            return str(self.examine(lambda connection: self.run(connection, sql))[0][0])
        except Exception as e:
            if _sqlstate(e) != _INSUFFICIENT_PRIVILEGE:
                raise
            return None


class _AlchemyAdapter(Adapter):
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

    @contextmanager
    def watch_commits(self, check: Callable[[Any], None]) -> Iterator[None]:
        event = sys.modules["sqlalchemy.event"]
        target = getattr(self.target, "sync_engine", self.target)
        event.listen(target, "commit", check)
        try:
            yield
        finally:
            event.remove(target, "commit", check)


class _AsyncAlchemyAdapter(_AlchemyAdapter):
    """An asynchronous engine, in an event loop of our own: the application's does not run yet."""

    def transact(self, function: Callable[[Any], Any], fresh: bool = False) -> Any:
        async def main() -> Any:
            try:
                async with self.target.begin() as connection:
                    return await connection.run_sync(function)
            finally:
                await self.target.dispose()  # a connection in the pool would belong to our loop

        with _Loop() as loop:
            return loop.wait(main())

    def examine(self, function: Callable[[Any], Any]) -> Any:
        return self.transact(function)


class _AsyncpgAdapter(Adapter):
    """A function that makes a connection of asyncpg: it belongs to the loop that it is made in."""

    _loop: "_Loop"

    def transact(self, function: Callable[[Any], Any], fresh: bool = False) -> Any:
        with _Loop() as self._loop:
            connection = self._connect(self._loop)
            try:
                transaction = connection.transaction()
                self._loop.wait(transaction.start())
                try:
                    result = function(connection)
                except BaseException:
                    self._loop.wait(transaction.rollback())
                    raise
                self._loop.wait(transaction.commit())
                return result
            finally:
                self._loop.wait(connection.close())

    def _connect(self, loop: "_Loop") -> Any:
        made = self.target()
        if inspect.isawaitable(made):
            made = loop.wait(made)
        if not hasattr(made, "fetch") or not hasattr(made, "transaction"):
            raise BerthError(f"the function that was given makes {type(made).__name__}, and no connection of asyncpg",
                             "pass the connection itself, or a synchronous one")
        return made

    def examine(self, function: Callable[[Any], Any]) -> Any:
        return self.transact(function)

    def run(self, connection: Any, sql: str) -> Rows:
        return [tuple(row) for row in self._loop.wait(connection.fetch(sql))]

    def finish(self, result: Any) -> None:
        if inspect.isawaitable(result):
            self._loop.wait(result)


class _Loop:
    """An event loop for as long as we need one. The thread's own is not touched."""

    def __init__(self) -> None:
        import asyncio  # whoever gets here has loaded it

        self._loop = asyncio.new_event_loop()

    def __enter__(self) -> "_Loop":
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.close()

    def wait(self, result: Awaitable[Any]) -> Any:
        return self._loop.run_until_complete(result)


class _DbapiAdapter(Adapter):
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


def adapt(target: Any) -> Adapter:
    if hasattr(target, "begin") and hasattr(target, "sync_engine") and hasattr(target, "dispose"):
        _check_no_loop()
        return _AsyncAlchemyAdapter(target)
    if _is_asynchronous(target):
        raise BerthError(f"{type(target).__name__} is asynchronous, and belongs to an event loop",
                         "pass the asynchronous engine of SQLAlchemy, 'lambda: asyncpg.connect(...)', or, in"
                         " 'await connection.run_sync(...)', the connection it gives")
    if hasattr(target, "begin") and hasattr(target, "dialect"):
        return _AlchemyAdapter(target)
    if hasattr(target, "cursor") and hasattr(target, "commit"):
        return _DbapiAdapter(target)
    if callable(target):
        _check_no_loop()
        return _AsyncpgAdapter(target)
    raise BerthError(f"{type(target).__name__} is neither a SQLAlchemy engine or connection nor a DB-API"
                     " connection", "pass an object with .begin() or .cursor()")


def _check_no_loop() -> None:
    import asyncio

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise BerthError("an event loop is running, and would stand still while the schema is built",
                     "call it in a synchronous fixture")


def _is_asynchronous(target: Any) -> bool:
    methods = (getattr(target, name, None) for name in ("execute", "dispose", "close"))
    return any(inspect.iscoroutinefunction(method) for method in methods)
