# SPDX-License-Identifier: MIT
"""Whole runs: real pytest with real xdist workers, several at once, over three databases on two servers."""

import os
import signal
import subprocess
import threading

import pytest

from harness import BERTH, EXAMPLE, PLUGIN, PYTHON, Postgres, descendants, is_alive, until

HERE = os.path.dirname(__file__)
PYTEST = [PYTHON, "-B", "-m", "pytest", "-p", "pytest_berth.plugin", "-p", "no:cacheprovider", "-q", str(EXAMPLE)]


class Run:
    """The example suite, running."""

    def __init__(self, daemon, databases, out, workers=4, runner=True, **environment):
        environment.setdefault("PYTHONPATH", f"{PLUGIN}:{HERE}")
        urls = {f"EXAMPLE_{name.upper()}_URL": server.conninfo(name) for name, server in databases.items()}
        command = [*PYTEST, "-n", str(workers)]
        self.out = out
        with open(out, "wb") as stream:
            self.process = subprocess.Popen(
                [BERTH, "run", "--label", out.name, "--", *command] if runner else command,
                env=daemon.environment(**urls, **environment), cwd=EXAMPLE, stdin=subprocess.DEVNULL,
                stdout=stream, stderr=subprocess.STDOUT, start_new_session=True)

    def wait(self):
        return self.process.wait(300)

    @property
    def output(self):
        return self.out.read_text(errors="replace")

    def pytest_pid(self):
        return next(pid for pid in descendants(self.process.pid)[1:])

    def kill(self):
        for pid in descendants(self.process.pid):
            os.kill(pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def start(databases, tmp_path):
    runs = []

    def start(daemon, name="run", **more):
        runs.append(Run(daemon, databases, tmp_path / name, **more))
        return runs[-1]

    yield start
    for run in runs:
        if run.process.poll() is None:
            run.kill()


def left_behind(databases):
    schemas = {name: server.schemas(name) for name, server in databases.items()}
    return {name: found for name, found in schemas.items() if found}


def rows_in_public(databases):
    return {name: server.public_rows(name) for name, server in databases.items() if server.public_rows(name)}


@pytest.mark.parametrize("runner, count", [(True, 2), (True, 3), (False, 2)])
def test_runs_at_once_are_green_and_leave_nothing(daemon, databases, start, runner, count):
    runs = [start(daemon, f"run{i}", runner=runner) for i in range(count)]
    assert [(run.wait(), run.output) for run in runs if run.wait()] == []
    until(lambda: not left_behind(databases), 60, "databases without schemas of runs")
    assert rows_in_public(databases) == {}
    assert daemon.leases() == []


def test_the_old_names_collide(daemon, databases, start):
    """The test of the test above: without namespaces the same suite, twice at once, is not green."""
    for _ in range(3):
        runs = [start(daemon, f"old{i}", runner=False, EXAMPLE_OLD_NAMES="1", BERTH="off") for i in range(2)]
        if any([run.wait() for run in runs]):
            break
    else:
        pytest.fail("six runs with test_gw0 names, two at once, and none failed")


class Builders:
    """Counts how many sessions of tests hold locks of a build at once: the most that was ever seen."""

    def __init__(self, server, databases):
        self.most = 0
        self.stop = threading.Event()
        self.connection = server.connect(databases[0])
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()

    def _watch(self):
        with self.connection.cursor() as cursor:
            while not self.stop.is_set():
                cursor.execute("SELECT pg_stat_clear_snapshot()")
                # Whoever builds has made relations, and holds them until it commits.
                cursor.execute("""
                    SELECT count(*) FROM (
                        SELECT l.pid FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                         WHERE l.mode = 'AccessExclusiveLock' AND a.application_name ~ '^pytest_'
                         GROUP BY l.pid HAVING count(*) >= 20) building""")
                self.most = max(self.most, cursor.fetchone()[0])

    def finish(self):
        self.stop.set()
        self.thread.join()
        self.connection.close()
        return self.most


@pytest.fixture
def small_server():
    """Its lock table takes two builds of 224 tables, and no more."""
    server = Postgres("max_locks_per_transaction = 40", "max_connections = 100",
                      databases=["platform", "tenant1", "tenant2"])
    yield server
    server.remove()


def test_two_slots_are_what_a_small_lock_table_bears(make_daemon, small_server, tmp_path):
    databases = {name: small_server for name in small_server.databases}
    daemon = make_daemon(**{name: small_server.conninfo(name) for name in databases})

    def pair(name, **environment):
        runs = [Run(daemon, databases, tmp_path / f"{name}{i}", workers=8, runner=False, EXAMPLE_TABLES="224",
                    EXAMPLE_SECONDS="0", **environment) for i in range(2)]
        return [(run.wait(), run.output) for run in runs]

    watcher = Builders(small_server, ["platform"])
    try:
        with_slots = pair("slots")
    finally:
        most = watcher.finish()
    assert [output for status, output in with_slots if status] == []
    assert 1 <= most <= 2, f"{most} builders at once"
    until(lambda: not left_behind(databases), 120, "databases without schemas of runs")

    without = pair("none", PYTEST_PLUGINS="without_slots")
    assert any("OutOfMemory" in output or "out of shared memory" in output for _, output in without)


def test_killing_a_whole_run_frees_exactly_its_schemas(daemon, databases, start):
    live = start(daemon, "live", EXAMPLE_SECONDS="5")
    dead = start(daemon, "dead", EXAMPLE_SECONDS="5")

    def both_have_built():
        found, live_ones = left_behind(databases), namespaces(daemon)
        return len(live_ones) == 2 and all(
            sum(f"_{one}_" in schema for schemas in found.values() for schema in schemas) == 12 for one in live_ones)

    until(both_have_built, 120, "both to have built")
    [doomed] = [ns for ns, label in namespaces(daemon).items() if label == "dead"]
    [kept] = [ns for ns, label in namespaces(daemon).items() if label == "live"]
    dead.kill()
    until(lambda: not any(f"_{doomed}_" in schema for found in left_behind(databases).values() for schema in found),
          60, "the dead run's schemas to go")
    now = left_behind(databases)
    assert live.process.poll() is None and kept in namespaces(daemon), "the live run was to outlast the sweep"
    for database in databases:
        assert sum(f"_{kept}_" in schema for schema in now.get(database, [])) == 4, f"{kept}: {now}\n{daemon.log}"
    assert live.wait() == 0, live.output
    until(lambda: not left_behind(databases), 60, "databases without schemas of runs")


def namespaces(daemon):
    """{namespace: label} of the live leases"""
    return {one["context"]["namespace"]: one["context"].get("label") for one in daemon.leases()}


def test_while_orphaned_workers_of_a_killed_controller_live_nothing_of_theirs_goes(daemon, databases, start):
    run = start(daemon, "run", runner=False, EXAMPLE_SECONDS="2")
    until(lambda: sum(map(len, left_behind(databases).values())) >= 12, 120, "all workers to have built")
    workers = descendants(run.process.pid)[1:]
    before = left_behind(databases)
    os.kill(run.process.pid, signal.SIGKILL)
    run.process.wait()
    orphans = [pid for pid in workers if is_alive(pid)]
    assert orphans, "execnet leaves workers running for up to 15 s"
    looked = 0
    while any(map(is_alive, orphans)):
        kept = {kept["schema"]: kept["reason"] for database in daemon.sweep()["databases"] for kept in database["kept"]}
        now = left_behind(databases)
        if not any(map(is_alive, orphans)):
            break
        assert now == before
        assert set(kept.values()) == {"live"}
        looked += 1
    assert looked, "no sweep was made while they lived"
    until(lambda: not left_behind(databases), 60, "the schemas to go once the last orphan has ended")


def test_a_green_run_says_nothing_of_its_own_and_gives_the_status_of_its_command(daemon):
    done = daemon.berth("run", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")
    done = daemon.berth("run", "--", "sh", "-c", "kill -TERM $$")
    assert done.returncode == -signal.SIGTERM
    assert daemon.berth("run", "--", "/nonexistent").returncode == 127
