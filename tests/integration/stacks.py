# SPDX-License-Identifier: MIT
"""The applications in applications/, each with the conftest that docs/pytest.md has for its kind."""

import shutil
from pathlib import Path
from typing import NamedTuple

from documented import files
from harness import PYTHON, until

APPLICATIONS = Path(__file__).parent / "applications"
PYTEST = [PYTHON, "-B", "-m", "pytest", "-p", "pytest_berth.plugin", "-p", "no:cacheprovider"]


class Stack(NamedTuple):
    folder: str
    passed: int
    workers: int = 0
    scheme: str = "postgresql"


DOCUMENTED = {
    "SQLAlchemy": Stack("sqlalchemy", 5, workers=2),
    "SQLAlchemy on asyncpg": Stack("sqlalchemy_asyncpg", 2, scheme="postgresql+asyncpg"),
    "asyncpg": Stack("asyncpg", 1),
    "psycopg2": Stack("dbapi", 2),
    "psycopg 3": Stack("dbapi", 2),
    "Django": Stack("django", 6, workers=2),
    "alembic": Stack("alembic", 3),
    "Factory Boy": Stack("factory_boy", 2),
    "Several databases, and tenants": Stack("tenants", 3, workers=2),
    "A server in the same process": Stack("server", 1),
    "A server in a process of its own": Stack("server", 1, workers=1),
}


def url(server, database, scheme="postgresql"):
    return f"{scheme}://postgres@/{database}?host={server.host}&port={server.port}"


def environment(daemon, databases, stack, **more):
    return daemon.environment(
        APP_URL=url(databases["platform"], "platform", stack.scheme),
        APP_TENANT1_URL=url(databases["tenant1"], "tenant1"), APP_TENANT2_URL=url(databases["tenant2"], "tenant2"),
        APP_HOST=databases["platform"].host, APP_PORT=str(databases["platform"].port), **more)


def lay_out(folder, heading):
    """The application, and what the document says to put beside it."""
    for part in ("shared", DOCUMENTED[heading].folder):
        shutil.copytree(APPLICATIONS / part, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in files()[heading].items():
        (folder / name).write_text(text)


def rows_in_public(databases):
    return {name: rows for name, server in databases.items() if (rows := server.public_rows(name))}


def assert_nothing_is_left(daemon, databases):
    until(lambda: not any(server.schemas(name) for name, server in databases.items()), what="no schemas of runs")
    assert daemon.leases() == [] and rows_in_public(databases) == {}
