# SPDX-License-Identifier: MIT
"""What the application of most stacks is."""

import os

import sqlalchemy as sa

URL = DSN = os.environ["APP_URL"]
METADATA = sa.MetaData()
BOOK = sa.Table("book", METADATA, sa.Column("id", sa.Integer, primary_key=True), sa.Column("title", sa.Text))
SCHEMA_SQL = """
    CREATE TABLE author (id serial PRIMARY KEY, name text NOT NULL);
    CREATE TABLE book (id serial PRIMARY KEY, title text NOT NULL, author int REFERENCES author);
"""
