# SPDX-License-Identifier: MIT
"""How many a suite did it before: `test_gw0`, and `public` as a safety net.

Good for one run at a time. Start two with EXAMPLE_OLD_NAMES=1 and watch them drop each other's tables.
"""

import os
from contextlib import contextmanager

import pytest

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0")


class OldNames:
    def worker_schema(self):
        return f"test_{WORKER}"

    def application_name(self):
        return "pytest"

    def connect_args(self):
        return {"application_name": self.application_name(),
                "options": f"-csearch_path={self.worker_schema()},public -clock_timeout=5s"}

    @contextmanager
    def schema(self, connection, build):
        with connection.cursor() as cursor:
            cursor.execute(f"DROP SCHEMA IF EXISTS {self.worker_schema()} CASCADE")
            cursor.execute(f"CREATE SCHEMA {self.worker_schema()}")
        build(connection)
        connection.commit()
        yield connection


@pytest.fixture(scope="session")
def berth():
    return OldNames()
