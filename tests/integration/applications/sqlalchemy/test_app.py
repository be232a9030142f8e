# SPDX-License-Identifier: MIT
import pytest
from app import BOOK


@pytest.mark.parametrize("title", ["Emma", "Momo", "Ulysses", "Dracula"])
def test_a_test_sees_only_what_it_has_made(connection, title):
    connection.execute(BOOK.insert().values(title=title))
    rows = connection.execute(BOOK.select()).fetchall()
    assert [row.title for row in rows] == [title]


def test_the_schema_is_the_workers(connection, berth):
    assert connection.exec_driver_sql("SELECT current_schema()").scalar() == berth.worker_schema()
