# SPDX-License-Identifier: MIT
"""What a bad week leaves behind, at default settings of the server, while live runs build: 56 schemas of 220 tables."""

import json
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import BERTH, Postgres, until
from sweeps import OLD, build, daemon_over, details, verdicts

SCHEMAS, TABLES = 56, 220
BUILDS = 2  # one after the other, of each of two runs
NAMES = [f"test_{OLD}{i:08x}_gw{i % 8}" for i in range(SCHEMAS)]
HELD, PREPARED, FOREIGN = NAMES[5], NAMES[25], NAMES[45]

EVERYTHING_ELSE = """
    SELECT md5(string_agg(row::text, E'\\n' ORDER BY row::text)) FROM (
        SELECT (nspname, relname, relkind, c.oid, relfilenode, relacl) AS row
          FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
         WHERE nspname IN ('public', 'somebody', 'test_prod', 'test_user_settings')
        UNION ALL SELECT (i, text) FROM public.precious
        UNION ALL SELECT (i, text) FROM somebody.precious) everything"""


@pytest.fixture(scope="module")
def server():
    server = Postgres("log_line_prefix = '%e '", databases=["platform"])
    yield server
    server.remove()


def make_backlog(server):
    """The sweeper's, but for one; on two sessions."""
    for schema in ("somebody", "test_prod", "test_user_settings"):
        server.sql(f"CREATE SCHEMA {schema} AUTHORIZATION sweeper")
    for schema in ("public", "somebody"):
        server.sql(f"CREATE TABLE {schema}.precious AS SELECT i, i::text AS text FROM generate_series(1, 1000) i")
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda name: server.sql("SET ROLE sweeper;" + build(name, TABLES)), NAMES))
    server.sql(f"ALTER SCHEMA {FOREIGN} OWNER TO stranger")
    server.sql(f"BEGIN; INSERT INTO {PREPARED}.t0 (a) VALUES (1); PREPARE TRANSACTION 'the forgotten one'")


def tables(server):
    """{schema: how many tables it has}"""
    return dict(server.sql("""SELECT nspname, count(c.oid) FROM pg_namespace n
                              LEFT JOIN pg_class c ON relnamespace = n.oid AND relkind = 'r'
                              WHERE nspname ~ '^test_' GROUP BY 1"""))


class LiveRun:
    """A run with a lease, which builds one schema after the other in a DDL slot, and keeps them until told to end."""

    def __init__(self, server, daemon, database="platform"):
        conninfo = server.conninfo(database)
        script = f"""
            for worker in {" ".join(f"gw{i}" for i in range(BUILDS))}; do
                sed "s/THE_SCHEMA/test_${{BERTH_NAMESPACE}}_$worker/" "$0" |
                    {BERTH} slot --worker $worker --database {database} \\
                        psql -qX -v ON_ERROR_STOP=1 -1 "{conninfo}" || exit
                echo "built test_${{BERTH_NAMESPACE}}_$worker"
            done
            read -r end"""
        self.sql = daemon.directory / "build.sql"
        self.sql.write_text(build("THE_SCHEMA", TABLES))
        self.process = subprocess.Popen([BERTH, "run", "--", "sh", "-c", script, str(self.sql)], text=True,
                                        env=daemon.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)

    def built(self):
        found, said = [], []
        while len(found) < BUILDS:
            said.append(self.process.stdout.readline())  # and what berth slot says of a wait
            assert said[-1], said
            found += re.findall("^built (.*)", said[-1])
        return found

    def end(self):
        self.process.communicate("end\n", timeout=60)
        return self.process.returncode


@pytest.fixture
def daemon(server):
    """Its first sweep has found nothing: the backlog comes after it."""
    server.sql("CREATE ROLE sweeper LOGIN; GRANT CREATE ON DATABASE platform TO sweeper; CREATE ROLE stranger")
    with daemon_over({"platform": server.conninfo("platform", user="sweeper")}, lock_timeout="1500ms") as daemon:
        yield daemon


def test_a_backlog_goes_while_live_runs_build_and_what_cannot_go_is_named(server, daemon):
    make_backlog(server)
    before = server.sql(EVERYTHING_ELSE)
    user = server.connect("platform", "an editor left open")
    user.autocommit = False
    user.cursor().execute(f"SELECT * FROM {HELD}.t219")

    sweep = daemon.start_sweep()
    until(lambda: "schema dropped" in daemon.log, 60, "the first drop")
    runs = [LiveRun(server, daemon) for _ in range(2)]
    built = [name for run in runs for name in run.built()]
    assert sweep.poll() is None, "the builds had the server to themselves"
    result = json.loads(sweep.communicate(timeout=300)[0])

    assert sweep.returncode == 1
    found, told = verdicts(result), details(result)
    assert {name: found.pop(("platform", name)) for name in (HELD, PREPARED, FOREIGN)} == {
        HELD: "55P03", PREPARED: "55P03", FOREIGN: "not_owner"}
    assert found == {("platform", name): "dropped" for name in NAMES if name not in (HELD, PREPARED, FOREIGN)}
    assert len(found) == 53
    assert f"held by pid {user.info.backend_pid} (an editor left open)" in told["platform", HELD]
    assert "held by prepared transaction the forgotten one" in told["platform", PREPARED]

    kept = dict.fromkeys((HELD, PREPARED, FOREIGN, *built), TABLES)
    assert len(kept) == 3 + 2 * BUILDS
    assert tables(server) == {**kept, "test_prod": 0, "test_user_settings": 0}
    assert server.sql(EVERYTHING_ELSE) == before
    for log in (server.directory / "log").read_text(errors="replace"), daemon.log:
        assert not re.search("53200|out of shared memory", log)
    assert [run.end() for run in runs] == [0, 0]
    user.close()
