# SPDX-License-Identifier: MIT
"""The application: a platform that knows every reader, and two libraries with a database each.

    platform             reader
    tenant1, tenant2     book, loan

Each database has more tables than that, as applications do: EXAMPLE_TABLES of them, 20 by default.
"""

import os

URLS = {name: os.environ.get(f"EXAMPLE_{name.upper()}_URL", f"postgresql:///{name}")
        for name in ("platform", "tenant1", "tenant2")}

PLATFORM_TABLES = """
    CREATE TABLE reader (id bigserial PRIMARY KEY, name text NOT NULL UNIQUE);
"""
LIBRARY_TABLES = """
    CREATE TABLE book (id bigserial PRIMARY KEY, title text NOT NULL);
    CREATE TABLE loan (
        id          bigserial PRIMARY KEY,
        book_id     bigint NOT NULL REFERENCES book,
        reader_id   bigint NOT NULL,  -- in the platform's database
        is_returned boolean NOT NULL DEFAULT false
    );
    CREATE UNIQUE INDEX loan_is_exclusive ON loan (book_id) WHERE NOT is_returned;
"""


def build_platform(connection):
    build(connection, PLATFORM_TABLES)


def build_library(connection):
    build(connection, LIBRARY_TABLES)


BUILD = {"platform": build_platform, "tenant1": build_library, "tenant2": build_library}


def build(connection, sql):
    n_others = int(os.environ.get("EXAMPLE_TABLES", "20")) - sql.count("CREATE TABLE")
    with connection.cursor() as cursor:
        cursor.execute(sql + other_tables(n_others))


def other_tables(count):
    """Shelves, each beside another: a primary key, an index and a foreign key, as tables have."""
    return "".join(f"""
        CREATE TABLE shelf_{n} (
            id     bigint PRIMARY KEY,
            label  text NOT NULL,
            beside bigint REFERENCES shelf_{max(n - 1, 0)}
        );
        CREATE INDEX ON shelf_{n} (label);
    """ for n in range(count))


class AlreadyLent(Exception):
    pass


class Library:
    """Two connections: one to the platform, one to the library's own database."""

    def __init__(self, platform, books):
        self.platform, self.books = platform, books

    def register(self, name):
        return one(self.platform, "INSERT INTO reader (name) VALUES (%s) RETURNING id", name)

    def buy(self, title):
        return one(self.books, "INSERT INTO book (title) VALUES (%s) RETURNING id", title)

    def lend(self, book, reader):
        taken = "INSERT INTO loan (book_id, reader_id) VALUES (%s, %s) ON CONFLICT DO NOTHING RETURNING id"
        if one(self.books, taken, book, reader) is None:
            raise AlreadyLent(book)

    def give_back(self, book):
        returned = "UPDATE loan SET is_returned = true WHERE book_id = %s AND NOT is_returned RETURNING id"
        one(self.books, returned, book)

    def loans(self, reader):
        return one(self.books, "SELECT count(*) FROM loan WHERE reader_id = %s AND NOT is_returned", reader)

    def history(self):
        return one(self.books, "SELECT count(*) FROM loan")

    def commit(self):
        self.platform.commit()
        self.books.commit()

    def clear(self):
        for connection, tables in ((self.platform, "reader"), (self.books, "book, loan")):
            connection.rollback()
            one(connection, f"TRUNCATE {tables}; SELECT 1")
            connection.commit()


def one(connection, sql, *values):
    """The first column of the first row, or None."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        row = cursor.fetchone()
        return row[0] if row else None
