# SPDX-License-Identifier: MIT
"""The sweep and the census beside bare libpq programs that do the same and look at nothing."""

import contextlib
import json
import os
import select
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from common import PROGRAMS, ROOT, Trouble, berthd, folder, run, say, sockets, values_of

TABLES = 220
BUILDS = 2  # schemas of each of the two live runs
OLD = "p999999t1700000000r"  # tokens of a process that is long gone
DATABASES, SESSIONS = 16, 100  # of a census
CENSUSES = 20  # of a run, in turns

BUILD_SCHEMA = """
    CREATE SCHEMA {schema};
    SET LOCAL search_path = {schema};
    DO $$ BEGIN
        FOR i IN 0 .. {tables} - 1 LOOP
            EXECUTE format('CREATE TABLE t%s (id serial PRIMARY KEY, a int REFERENCES t%s,'
                           ' b int REFERENCES t%s, c text);'
                           'CREATE INDEX ON t%1$s (a); CREATE INDEX ON t%1$s (b)', i, greatest(i - 1, 0), i / 2);
        END LOOP;
    END $$;
"""


class Cluster:
    """A throwaway PostgreSQL at default settings, but without fsync."""

    def __init__(self):
        self.directory = Path(tempfile.mkdtemp(prefix="bench-pg-"))
        os.chmod(self.directory, 0o755)
        where = dict(word.split("=", 1) for word in self._script("start").split())
        self.host, self.port = where["host"], where["port"]

    def _script(self, verb):
        return run(ROOT / "tests" / "lib" / "pg-cluster.sh", verb, self.directory)

    def conninfo(self, database):
        return f"host={self.host} port={self.port} dbname={database} user=postgres"

    def sql(self, text, database="postgres"):
        return run("psql", "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", text, self.conninfo(database))

    def processor_time(self):
        """Seconds, of all backends that have ended: it depends less on what else the machine does."""
        while self.sql("SELECT 1 FROM pg_stat_activity WHERE datname = 'platform' LIMIT 1"):
            time.sleep(0.01)
        pid = (self.directory / "data" / "postmaster.pid").read_text().split()[0]
        children = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[13:15]
        return sum(int(ticks) for ticks in children) / os.sysconf("SC_CLK_TCK")

    def restart(self):
        self._script("stop")
        self._script("start")

    def remove(self):
        self._script("remove")
        shutil.rmtree(self.directory, ignore_errors=True)


@contextlib.contextmanager
def cluster():
    made = Cluster()
    try:
        yield made
    finally:
        made.remove()


class Client:
    """One call after the other, and how long each took."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(path))

    def call(self, method, **parameters):
        began = time.monotonic()
        self.socket.sendall(json.dumps({"method": method, "parameters": parameters}).encode() + b"\0")
        reply = b""
        while not reply.endswith(b"\0"):
            chunk = self.socket.recv(1 << 20)
            if not chunk:
                raise Trouble("berthd hung up")
            reply += chunk
        took = time.monotonic() - began
        reply = json.loads(reply[:-1])
        if "error" in reply:
            raise Trouble(f"{method}: {reply}")
        return took, reply["parameters"]


# ---- the sweep ----


def names(schemas):
    return [f"test_{OLD}{i:08x}_gw0" for i in range(schemas)]


def fill(server):
    """The same backlog, file by file."""
    server.sql("DROP DATABASE IF EXISTS platform WITH (FORCE)")
    server.sql("CREATE DATABASE platform TEMPLATE backlog STRATEGY file_copy")
    server.sql("CHECKPOINT")


@contextlib.contextmanager
def daemon(server, start_grace):
    """One that has just started: asked before its first sweep a second later, it does nothing of its own accord."""
    options = f"start_grace = {start_grace}\nunleased_grace = 0s\nsweep_interval = 1d"
    with folder() as state, sockets() as path:
        with berthd(path / "berthd", state, options, [("platform", server.conninfo("platform"))]):
            yield path / "berthd"


def sweep(server, schemas):
    """Seconds on the clock, and of the server's processor time."""
    fill(server)
    before = server.processor_time()
    with daemon(server, "0s") as path:
        took, result = Client(path).call("io.berth.manage.Sweep")
    dropped = sum(len(database["dropped"]) for database in result["result"]["databases"])
    if dropped != schemas:
        raise Trouble(f"{dropped} of {schemas} schemas were dropped: {json.dumps(result)[:2000]}")
    return took, server.processor_time() - before


def drop_bare(server, schemas):
    fill(server)
    before = server.processor_time()
    stdin = "\n".join(names(schemas)) + "\n"
    done = subprocess.run([PROGRAMS / "bench_drop", server.conninfo("platform")], input=stdin,
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise Trouble(done.stderr)
    return values_of(done.stdout)["seconds"], server.processor_time() - before


def start_builders(server, path):
    command = [PROGRAMS / "bench_build", path, server.conninfo("platform"), "platform", TABLES, BUILDS]
    return [subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(2)]


def seconds_of(builders):
    """What a live run takes: the mean of the two."""
    found = []
    for builder in builders:
        output, errors = builder.communicate()
        if builder.returncode:
            raise Trouble(f"a live build failed: {errors}")
        found.append(values_of(output)["seconds"])
    return statistics.mean(found)


def build_alone(server, _):
    """Two live runs build while a backlog lies there, and nobody sweeps."""
    fill(server)
    with daemon(server, "1h") as path:
        return seconds_of(start_builders(server, path))


def build_beside(server, _):
    """The same while it is swept, from the first drop on."""
    fill(server)
    with daemon(server, "0s") as path:
        client, sweeping = Client(path), Client(path)
        sweeping.socket.sendall(b'{"method":"io.berth.manage.Sweep"}\0')
        while not any(one["holders"] for one in client.call("io.berth.manage.GetStatus")[1]["clusters"]):
            pass
        seconds = seconds_of(start_builders(server, path))
        if select.select([sweeping.socket], [], [], 0)[0]:
            raise Trouble("the backlog was gone before the builds; take more --schemas")
        return seconds


def make_backlog(server, schemas):
    """A database to be copied, so that each backlog is the same."""
    say(f"bench: building a backlog of {schemas} schemas of {TABLES} tables")
    server.sql("CREATE DATABASE backlog")
    for schema in names(schemas):
        server.sql(BUILD_SCHEMA.format(schema=schema, tables=TABLES), "backlog")
    server.sql("CREATE DATABASE platform")


def measure_sweep(table, runs, schemas):
    parts = (sweep, drop_bare, build_beside, build_alone)
    found = {part: [] for part in parts}
    with cluster() as server:
        make_backlog(server, schemas)
        for i in range(runs):
            say(f"bench: sweep, run {i + 1} of {runs}")
            for part in parts if i % 2 else parts[::-1]:  # nobody is always the first
                found[part].append(part(server, schemas))
    figures = (f"7 sweep: {schemas} schemas of {TABLES} tables, s", "  processor time of the server, s")
    for i, figure in enumerate(figures):
        table.add(figure, [pair[i] for pair in found[sweep]], [pair[i] for pair in found[drop_bare]], "{:.2f}",
                  "<= 1.25 of bare drops", lambda x: x <= 1.25)
    table.add(f"  two live runs beside it, {BUILDS} builds each, s", found[build_beside], found[build_alone], "{:.2f}",
              "<= 1.10 of without", lambda x: x <= 1.1)


# ---- the census ----


def take_turns(client, conninfos):
    """The medians of one run: ours, all at once, one after the other."""
    sql = ROOT / "daemon" / "pg" / "sql"
    words = [sql / f"{name}.sql" for name in ("identify", "schemas", "sessions")] + ["--", *conninfos]
    found = ([], [], [])
    for _ in range(CENSUSES):
        found[0].append(census(client))
        for part, mode in ((found[1], "parallel"), (found[2], "serial")):
            part.append(values_of(run(PROGRAMS / "bench_ask", mode, *words))["seconds"])
    return [1000 * statistics.median(part) for part in found]


def measure_census(table, runs):
    databases = [f"database{i}" for i in range(DATABASES)]
    with cluster() as server, folder() as state, sockets() as path:
        for name in databases:
            server.sql(f"CREATE DATABASE {name}")
        server.sql("ALTER SYSTEM SET max_connections = 200")
        server.restart()
        conninfos = [server.conninfo(name) for name in databases]
        options = "start_grace = 0s\nsweep_interval = 1d\nconnect_timeout = 30s"
        with sessions(server, databases), berthd(path / "berthd", state, options, list(zip(databases, conninfos))):
            client = Client(path / "berthd")
            results = []
            for i in range(runs):
                say(f"bench: census, run {i + 1} of {runs}")
                results.append(take_turns(client, conninfos))
    ours, parallel, serial = zip(*results)
    table.add(f"6 census: {DATABASES} databases, {SESSIONS} sessions, ms", ours, parallel, "{:.1f}",
              "<= 1.2 of bare libpq", lambda x: x <= 1.2)
    table.add("  the same beside one database after the other", ours, serial, "{:.1f}", "<= 0.65", lambda x: x <= 0.65)


@contextlib.contextmanager
def sessions(server, databases):
    """Live runs: labelled, and idle."""
    found = []
    try:
        for i in range(SESSIONS):
            label = f"pytest_gw{i % 8}_p999999t1700000000r{i // 8:08x}"
            conninfo = f"{server.conninfo(databases[i % len(databases)])} application_name={label}"
            found.append(subprocess.Popen(["psql", "-qAtX", conninfo], stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        for session in found:
            session.stdin.write(b"SELECT 1;\n")
            session.stdin.flush()
            session.stdout.readline()
        yield
    finally:
        for session in found:
            session.terminate()
            session.wait()


def census(client):
    """A dry run over databases without schemas of ours: candidates and sessions, and nothing to judge."""
    took, result = client.call("io.berth.manage.Sweep", dryRun=True)
    if not result["result"]["active_detection_complete"]:
        raise Trouble(f"the census was incomplete: {json.dumps(result)[:2000]}")
    return took
