# SPDX-License-Identifier: MIT
import asyncio


def test_a_book_is_found(connect, berth):
    async def main():
        connection = await connect()
        try:
            await connection.execute("INSERT INTO book (title) VALUES ('Emma')")
            return await connection.fetchrow("SELECT title, current_schema() FROM book")
        finally:
            await connection.close()

    assert tuple(asyncio.run(main())) == ("Emma", berth.worker_schema())
