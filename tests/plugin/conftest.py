# SPDX-License-Identifier: MIT
"""Fixtures: a fake daemon, a project that a real pytest runs in, a throwaway PostgreSQL."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from contextlib import closing, contextmanager
from pathlib import Path

import jsonschema
import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "client" / "pytest" / "src"
sys.path[:0] = [str(SOURCE), str(Path(__file__).parent)]

from fake_daemon import FakeDaemon  # noqa: E402
from real_daemon import RealDaemon  # noqa: E402

import pytest_berth  # noqa: E402
from pytest_berth import _namespace  # noqa: E402

BERTHD = os.environ.get("BERTHD")


@pytest.fixture
def short_path():
    """A folder for sockets: pytest's own is too deep for them."""
    path = Path(tempfile.mkdtemp(prefix="berth-", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def fake(short_path):
    return FakeDaemon(short_path / "s")


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.skipif(not BERTHD, reason="BERTHD is not set"))])
def daemon(request, short_path):
    """The fake one, and the real one where BERTHD names its program."""
    if request.param == "fake":
        yield FakeDaemon(short_path / "s")
        return
    real = RealDaemon(BERTHD, short_path)
    yield real
    real.stop()


@pytest.fixture
def settle(monkeypatch):
    """resolve(), and at the end of the test everything it took is let go."""
    runs = []

    def settle(daemon=None, environ=(), nested=False, queued=None, **settings):
        settings.setdefault("socket", daemon.socket if daemon else "/nonexistent/berth")
        run = _namespace.resolve(_namespace.Settings(**settings), dict(environ), nested, queued)
        runs.append(run)
        return run

    yield settle
    for run in reversed(runs):
        _namespace.release(run, 0)


@pytest.fixture
def active(monkeypatch):
    """Makes a run the one that the module's functions speak of."""
    return lambda run: monkeypatch.setattr(pytest_berth, "_runs", [run])


@contextmanager
def forked(function):
    """A child that calls function() and then lives until the block ends."""
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(go[1])
            kept = function()
            os.write(ready[1], b"x")
            os.read(go[0], 1)
            del kept
        finally:
            os._exit(0)
    os.close(ready[1])
    try:
        assert os.read(ready[0], 1) == b"x"
        yield child
    finally:
        for fd in (ready[0], *go):
            os.close(fd)
        os.waitpid(child, 0)


def until(condition):
    """For what is no event of the fake daemon: files, say."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def check_schema(name, value):
    folder = ROOT / "docs" / "schema"
    schema = json.loads((folder / name).read_text())
    resolver = jsonschema.RefResolver(f"{folder.as_uri()}/{name}", schema)
    jsonschema.Draft202012Validator(schema, resolver=resolver).validate(value)


class Project:
    """A folder with tests, and a pytest that has the plugin by its entry point, as if installed."""

    def __init__(self, path):
        self.path = path / "project"
        self.site = path / "site"
        info = self.site / "pytest_berth-0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pytest-berth\nVersion: 0\n")
        (info / "entry_points.txt").write_text("[pytest11]\nberth = pytest_berth.plugin\n")
        self.path.mkdir()
        self.environ = {key: value for key, value in os.environ.items()
                        if not key.startswith(("BERTH", "PYTEST_", "XDG_", "COV_", "PG"))}
        self.reports = path / "reports"
        self.environ["BERTH_REPORT_DIR"] = str(self.reports)
        self.environ["PYTHONPATH"] = os.pathsep.join([str(SOURCE), str(self.site)])

    def write(self, name, text):
        (self.path / name).write_text(textwrap.dedent(text))
        return self

    def start(self, *arguments, session=False, **environ):
        return subprocess.Popen([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments], cwd=self.path,
                                env={**self.environ, **environ}, text=True, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=session)

    def report(self):
        """The one there is, which is as docs/schema says."""
        [path] = self.reports.glob("*.json")
        report = json.loads(path.read_text())
        check_schema("report.json", report)
        assert path.name.endswith(f"_{report['namespace']}.json")
        return report

    def lines(self):
        """Of a run that goes on, or was killed."""
        [path] = self.reports.glob("*.jsonl")
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            check_schema("report_line.json", line)
        return lines

    def run(self, *arguments, **environ):
        process = self.start(*arguments, **environ)
        output, _ = process.communicate(timeout=120)
        return Outcome(process.returncode, output)


class Outcome:
    def __init__(self, status, output):
        self.status, self.output = status, output

    @property
    def header(self):
        return next((line for line in self.output.splitlines() if line.startswith("berth: ")), None)

    @property
    def last_line(self):
        return self.output.splitlines()[-1]

    def __repr__(self):
        return f"status {self.status}\n{self.output}"


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


# ---- PostgreSQL ----


@pytest.fixture(scope="session")
def cluster():
    """host=... port=... of a throwaway server."""
    if not Path("/usr/lib/postgresql").exists() and not os.environ.get("PG_BIN"):
        pytest.skip("no PostgreSQL server is installed")
    script = ROOT / "tests" / "lib" / "pg-cluster.sh"
    path = Path(tempfile.mkdtemp(prefix="plugin-pg-", dir="/tmp"))
    path.chmod(0o755)
    try:
        where = subprocess.run(["bash", script, "start", path / "c"], check=True, text=True, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE).stdout
        yield dict(item.split("=", 1) for item in where.split())
    finally:
        subprocess.run(["bash", script, "remove", path / "c"], check=False, stdin=subprocess.DEVNULL)
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def _database(cluster):
    psycopg2 = pytest.importorskip("psycopg2")
    where = {"host": cluster["host"], "port": int(cluster["port"]), "user": "postgres"}
    with closing(psycopg2.connect(dbname="postgres", **where)) as admin:
        admin.autocommit = True
        admin.cursor().execute("CREATE DATABASE platform")
    return {**where, "dbname": "platform"}


@pytest.fixture
def database(_database):
    """Connection arguments of a database that is empty at first."""
    import psycopg2

    yield _database
    with closing(psycopg2.connect(**_database)) as admin:
        admin.autocommit = True
        admin.cursor().execute(EMPTY)


EMPTY = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
    DROP SCHEMA public CASCADE;
    CREATE SCHEMA public;
    DO $$ DECLARE name text; BEGIN
        FOR name IN SELECT nspname FROM pg_namespace WHERE nspname ^@ 'test_' LOOP
            EXECUTE format('DROP SCHEMA %I CASCADE', name);
        END LOOP;
    END $$
"""
