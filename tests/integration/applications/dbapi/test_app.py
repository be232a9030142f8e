# SPDX-License-Identifier: MIT
import pytest


@pytest.mark.parametrize("title", ["Emma", "Momo"])
def test_a_test_sees_only_what_it_has_made(db, berth, title):
    with db.cursor() as cursor:
        cursor.execute("INSERT INTO book (title) VALUES (%s)", (title,))
        cursor.execute("SELECT title, current_schema() FROM book")
        assert cursor.fetchall() == [(title, berth.worker_schema())]
