# SPDX-License-Identifier: MIT
"""What a run says of others and of itself, with real drivers, a real server and a real daemon."""

import json
import re
import subprocess
import textwrap
from pathlib import Path

import pytest
from harness import BERTH, PYTHON, Daemon, Postgres
from reports import validate

CONFTEST = """
    import psycopg2, pytest
    DSN = {dsn!r}

    @pytest.fixture(scope="session")
    def built(berth):
        with psycopg2.connect(DSN, **berth.connect_args()) as target:
            with berth.schema(target, lambda c: c.cursor().execute("CREATE TABLE t (id int PRIMARY KEY)")):
                yield

    @pytest.fixture
    def connect(berth, built):
        made = []
        def connect(suffix=None):
            made.append(psycopg2.connect(DSN, **berth.connect_args(suffix)))
            return made[-1]
        yield connect
        for one in made:
            one.close()

    @pytest.fixture
    def locked(connect):
        connect("seed").cursor().execute("LOCK t IN SHARE MODE")
"""
TESTS = """
    import asyncio, threading
    import asyncpg, psycopg, psycopg2, sqlalchemy
    from conftest import DSN

    def test_psycopg2(locked, connect):
        connect().cursor().execute("SET lock_timeout = '10ms'; INSERT INTO t VALUES (1)")

    def test_psycopg(locked, berth):
        with psycopg.connect(DSN, **berth.connect_args()) as c:
            c.execute("SET statement_timeout = '10ms'")
            c.execute("INSERT INTO t VALUES (1)")

    def test_sqlalchemy(locked, berth):
        engine = sqlalchemy.create_engine("postgresql+psycopg2://", creator=lambda: psycopg2.connect(DSN, **berth.connect_args()))
        with engine.begin() as c:
            c.exec_driver_sql("SET lock_timeout = '10ms'")
            c.exec_driver_sql("INSERT INTO t VALUES (1)")

    def test_missing(connect):
        connect().cursor().execute("SELECT * FROM nowhere")

    def test_asyncpg(locked, berth):
        words = dict(word.split("=", 1) for word in DSN.split())
        async def main():
            c = await asyncpg.connect(host=words["host"], port=words["port"], user=words["user"],
                                      database=words["dbname"], **berth.connect_args(driver="asyncpg"))
            await c.execute("SET lock_timeout = '10ms'; INSERT INTO t VALUES (1)")
        asyncio.run(main())

    def test_deadlock(connect):
        one, other = connect("one"), connect("other")
        for c, key in ((one, 1), (other, 2)):
            c.cursor().execute("SET deadlock_timeout = '10ms'; SELECT pg_advisory_xact_lock(%s)", (key,))
        def wait():
            try:
                other.cursor().execute("SET deadlock_timeout = '1h'; SELECT pg_advisory_xact_lock(1)")
            except Exception:
                pass
        thread = threading.Thread(target=wait)
        thread.start()
        try:
            one.cursor().execute("SELECT pg_advisory_xact_lock(2)")
        finally:
            one.rollback()
            thread.join()
"""


PYTEST = [PYTHON, "-B", "-m", "pytest", "-p", "pytest_berth.plugin", "-p", "no:cacheprovider", "-q"]


@pytest.fixture(scope="module")
def server():
    server = Postgres(databases=["platform", "tenant1"])
    yield server
    server.remove()


@pytest.fixture(scope="module")
def daemon(server):
    daemon = Daemon({name: server.conninfo(name) for name in server.databases})
    yield daemon
    daemon.remove()


@pytest.fixture
def suite(daemon, server, tmp_path):
    """suite(tests, arguments): pytest's output, and the report."""
    (tmp_path / "conftest.py").write_text(textwrap.dedent(CONFTEST.format(dsn=server.conninfo("platform"))))

    def start(tests, *arguments):
        (tmp_path / "test_it.py").write_text(textwrap.dedent(tests))
        return subprocess.Popen([*PYTEST, *arguments], cwd=tmp_path, stdin=subprocess.DEVNULL, text=True,
                                env=daemon.environment(BERTH_REPORT_DIR=str(tmp_path / "reports")),
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def suite(tests, *arguments, process=None):
        output, _ = (process or start(tests, *arguments)).communicate(timeout=120)
        [path] = (tmp_path / "reports").glob("*.json")
        return output, validate(json.loads(path.read_text()))

    suite.start, suite.folder = start, tmp_path
    return suite


def test_each_driver_tells_who_was_in_the_way(suite):
    output, report = suite(TESTS, "-n1")
    failed = {failure["nodeid"].partition("::")[2]: failure for failure in report["failures"]}
    assert {name: one["sqlstate"] for name, one in failed.items()} == {
        "test_psycopg2": "55P03", "test_psycopg": "57014", "test_sqlalchemy": "55P03", "test_missing": "42P01",
        "test_asyncpg": "55P03", "test_deadlock": "40P01"}, output
    schema = f"test_{report['namespace']}_gw0"
    seed = f"pytest_gw0_{report['namespace']}_seed"
    for name in ("test_psycopg2", "test_psycopg", "test_sqlalchemy", "test_asyncpg"):
        [told] = [line for line in failed[name]["diagnosis"] if "holds locks in" in line]
        assert f"(this worker; {seed}) holds locks in {schema} now (t ShareLock)" in told
        assert told.endswith(": LOCK t IN SHARE MODE") and told in output
    assert {one["application_name"] for one in failed["test_sqlalchemy"]["blockers"]} == {seed}
    assert f"schema {schema} exists in platform, and not in tenant1" in failed["test_missing"]["diagnosis"]
    edges = failed["test_deadlock"]["blockers"]
    assert (edges[0]["blocked_pid"], edges[0]["blocker_pid"]) == (edges[1]["blocker_pid"], edges[1]["blocked_pid"])


def test_a_session_that_still_waits_is_told_with_its_blocker(suite):
    """Here two wait for one: the first gives up, the other is seen waiting."""
    output, report = suite("""
        import threading, psycopg2
        from conftest import DSN

        def test_it(locked, connect, berth):
            waiting = connect("patient")
            def wait():
                waiting.cursor().execute("INSERT INTO t VALUES (1)")
            thread = threading.Thread(target=wait, daemon=True)
            thread.start()
            with psycopg2.connect(DSN) as c:
                while True:
                    cursor = c.cursor()
                    cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
                    if cursor.fetchone()[0]:
                        break
            connect().cursor().execute("SET lock_timeout = '10ms'; INSERT INTO t VALUES (1)")
    """)
    assert " waits for 0" in output or " waits for 1" in output, output
    [failure] = report["failures"]
    waits = [one for one in failure["blockers"] if one["wait_s"] is not None]
    assert waits and waits[0]["application_name"].endswith("_seed") and waits[0]["worker"] == "gw0"


def test_a_short_run_that_writes_into_public_hears_of_it(suite):
    output, report = suite("""
        import psycopg2
        from conftest import DSN

        def test_it(built):
            with psycopg2.connect(DSN) as c:
                c.cursor().execute("CREATE TABLE public.seeded AS SELECT 1 AS one")
            c.close()
    """)
    assert report["status"] == "passed"
    assert {"database": "platform", "table": "public.seeded", "kind": "table"} in report["public_writes"]
    [told] = [line for line in output.splitlines() if line.startswith("berth: ")]
    assert told.startswith("berth: public was written to while this run was live: public.seeded of platform; "), output


def test_who_holds_the_slots_is_told_to_who_waits(suite, daemon):
    holders = [subprocess.Popen([BERTH, "run", "--", BERTH, "slot", "--worker", f"gw{n}", "--database", "platform", "--",
                                 "sh", "-c", "echo held; cat"], env=daemon.environment(), text=True,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE) for n in (3, 4)]
    assert [one.stdout.readline() for one in holders] == ["held\n", "held\n"]
    with open(Path(suite.folder, "conftest.py"), "a") as conftest:
        conftest.write("\nimport pytest_berth._waits as waits\nwaits.FIRST = 0.2\n")
    process = suite.start("def test_it(built): pass", "-n1")
    told = next(line for line in process.stdout if "waits for a DDL slot" in line)
    for one in holders:
        one.stdin.close()
        assert one.wait(30) == 0
    output, report = suite(None, process=process)
    assert process.returncode == 0, output
    assert re.fullmatch(r"berth: gw0 waits for a DDL slot \(2/2 held: gw[34] of p\w+ \d s, gw[34] of p\w+ \d s\)\n", told)
    [wait] = report["slot_waits"]
    assert {one["worker"] for one in wait["holders"]} == {"gw3", "gw4"}
