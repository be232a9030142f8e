# SPDX-License-Identifier: MIT
import pytest
from app import BOOK


def test_the_migrated_table_can_be_used(engine):
    with engine.begin() as connection:
        connection.execute(BOOK.insert().values(title="Emma"))


@pytest.mark.parametrize("table", ["book", "alembic_version"])
def test_the_table_is_the_workers(engine, berth, table):
    with engine.connect() as connection:
        sql = f"SELECT count(*) FROM pg_tables WHERE tablename = '{table}' AND schemaname = '{berth.worker_schema()}'"
        assert connection.exec_driver_sql(sql).scalar() == 1
