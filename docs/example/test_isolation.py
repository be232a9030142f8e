# SPDX-License-Identifier: MIT
"""What berth promises, seen from inside a test."""

import pytest
from library import URLS, one

TABLES = ["reader", "book", "loan", "shelf_0"]


@pytest.fixture(params=list(URLS))
def connection(request, databases):
    yield databases[request.param]
    databases[request.param].rollback()


def schemas_of(connection, condition):
    sql = "SELECT array_agg(DISTINCT schemaname) FROM pg_tables WHERE tablename = ANY(%s) AND "
    return one(connection, sql + condition, TABLES)


def test_we_work_in_a_schema_of_our_own(connection, berth):
    assert one(connection, "SELECT current_schema()") == berth.worker_schema()
    assert schemas_of(connection, "schemaname = current_schema()") == [berth.worker_schema()]


def test_nothing_of_ours_is_in_public(connection):
    assert schemas_of(connection, "schemaname = 'public'") is None


def test_our_connection_says_who_we_are(connection, berth):
    assert one(connection, "SELECT current_setting('application_name')") == berth.application_name()
