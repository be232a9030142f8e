# SPDX-License-Identifier: MIT
"""No silent public: what goes wrong without a word elsewhere ends here in the session fixture, before a test runs.

Each case is shown thrice: caught; without the guard, so that it is seen to be the real thing; and done right.
"""

import re
import subprocess

import pytest

from stacks import DOCUMENTED, PYTEST, environment, lay_out

WRONG_PATH = ("connect_args=berth.connect_args()",
              'connect_args={"options": f"-csearch_path={berth.worker_schema()},public"}')
UNPINNED = ("connection=connection, version_table_schema=berth.worker_schema()", "connection=connection")

# The seeder of the first seed document: it has the old idea of what the schema is called.
LEGACY_SEEDER = '''
from app import BOOK
from sqlalchemy.orm import Session

@pytest.fixture(scope="session", autouse=True)
def seeds(engine, {fixture}):
    with Session(engine) as session:
        session.execute(sa.text(f"SET LOCAL search_path TO {{{schema}}}, public"))
        session.execute(BOOK.insert().values(title="a seed"))
        session.commit()
'''
OLD_SEEDER = LEGACY_SEEDER.format(fixture="worker_id", schema="'test_' + worker_id")
NEW_SEEDER = LEGACY_SEEDER.format(fixture="berth", schema="berth.worker_schema()")


class Case:
    """An application whose tables are in public, too, and a conftest with a mistake in it."""

    def __init__(self, daemon, databases, folder, heading):
        self.stack = DOCUMENTED[heading]
        self.daemon, self.databases, self.folder = daemon, databases, folder
        lay_out(folder, heading)
        self.public("CREATE TABLE book (id serial PRIMARY KEY, title text)")
        self.public("CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
        self.public("INSERT INTO alembic_version VALUES ('0001')")

    def public(self, sql):
        return self.databases["platform"].sql(sql)

    def books_in_public(self):
        return self.public("SELECT count(*) FROM public.book")[0][0]

    def change(self, old, new):
        conftest = self.folder / "conftest.py"
        assert old in conftest.read_text()
        conftest.write_text(conftest.read_text().replace(old, new))

    def add(self, text):
        with open(self.folder / "conftest.py", "a") as conftest:
            conftest.write(text)

    def run(self, *arguments):
        done = subprocess.run([*PYTEST, *arguments], cwd=self.folder, text=True, stdin=subprocess.DEVNULL, timeout=120,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env=environment(self.daemon, self.databases, self.stack))
        return done.returncode, done.stdout

    def assert_caught(self, told, remedy):
        status, output = self.run()
        assert status == 1 and re.search(r"^=+ \d+ errors? in ", output, re.MULTILINE), output
        [message] = set(re.findall(r"^E +pytest_berth._errors.FallThroughError: (.*)", output, re.MULTILINE))
        assert re.match(rf"berth: .*{told}.*; {re.escape(remedy)}$", message)
        assert self.books_in_public() == 0

    def assert_right(self):
        status, output = self.run()
        assert status == 0, output
        assert self.books_in_public() == 0


@pytest.fixture
def case(shared_daemon, databases, tmp_path):
    return lambda heading: Case(shared_daemon, databases, tmp_path, heading)


COMMITS = '''
from app import BOOK
def test_writes(engine):
    with engine.begin() as connection:
        connection.execute(BOOK.insert().values(title="Emma"))
'''


def test_create_all_that_skipped_what_public_has(case):
    case = case("SQLAlchemy")
    (case.folder / "test_app.py").write_text(COMMITS)
    case.assert_right()
    case.change(*WRONG_PATH)
    case.assert_caught(r"public\.book can be seen without naming the schema", "connect with **berth.connect_args()")
    status, output = case.run("--berth-guard=off")
    assert (status, case.books_in_public()) == (0, 1), output


def test_an_alembic_upgrade_that_found_the_version_table_of_public_and_did_nothing(case):
    case = case("alembic")
    case.assert_right()
    case.change(*WRONG_PATH)
    case.change(*UNPINNED)
    case.assert_caught(r"public\.alembic_version, public\.book can be seen without",
                       "connect with **berth.connect_args()")
    status, output = case.run("--berth-guard=off", "-k", "can_be_used")
    assert (status, case.books_in_public()) == (0, 1), output


def test_a_pinned_version_table_is_not_mistaken_even_with_public_in_the_path(case):
    case = case("alembic")
    case.change(*WRONG_PATH)
    case.assert_right()


def test_without_public_in_the_path_the_version_table_need_not_be_pinned(case):
    case = case("alembic")
    case.change(*UNPINNED)
    case.assert_right()


def test_a_seeder_with_the_old_name_of_the_schema(case):
    case = case("SQLAlchemy")
    (case.folder / "test_app.py").write_text("def test_nothing(engine): pass")
    conftest = (case.folder / "conftest.py").read_text()
    case.add(NEW_SEEDER)
    case.assert_right()
    (case.folder / "conftest.py").write_text(conftest + OLD_SEEDER)
    case.assert_caught(r"written .* with public as its current schema .search_path = test_master, public.",
                       "compose the schema's name with berth.worker_schema()")
    status, output = case.run("--berth-guard=off")
    assert (status, case.books_in_public()) == (0, 1), output
