# SPDX-License-Identifier: MIT
import asyncio

import pytest
from app import BOOK


@pytest.mark.parametrize("title", ["Emma", "Momo"])
def test_a_book_is_found(engine, berth, title):
    """Each test in a loop of its own, as with pytest-asyncio."""

    async def main():
        async with engine.begin() as connection:
            await connection.execute(BOOK.insert().values(title=title))
            rows = (await connection.execute(BOOK.select().where(BOOK.c.title == title))).fetchall()
            current = (await connection.exec_driver_sql("SELECT current_schema()")).scalar()
        await engine.dispose()
        return len(rows), current

    assert asyncio.run(main()) == (1, berth.worker_schema())
