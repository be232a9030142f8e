# SPDX-License-Identifier: MIT
import pytest
from app import METADATA


@pytest.mark.parametrize("name", METADATA)
def test_one_name_of_a_schema_serves_in_every_database(engines, berth, name):
    with engines[name].begin() as connection:
        assert connection.exec_driver_sql("SELECT current_schema()").scalar() == berth.worker_schema()
        found = connection.exec_driver_sql("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
        assert set(found.scalars()) == set(METADATA[name].tables)
        for table in METADATA[name].sorted_tables:
            connection.execute(table.insert().values(name=name))
            assert {row.name for row in connection.execute(table.select())} == {name}
