# SPDX-License-Identifier: MIT
import os
import subprocess

import pytest

import said
from harness import Daemon, Postgres

collect_ignore = ["applications"]  # their tests lay them out


@pytest.fixture(scope="session", autouse=True)
def what_berth_says_is_looked_at():
    """Each failure of the command that any test provokes: said.check, whoever runs it and however."""
    run = subprocess.run

    def look(words, *more, **options):
        done = run(words, *more, **options)
        said.check_run(words, done)
        return done

    subprocess.run = look
    yield
    subprocess.run = run


@pytest.fixture(scope="session", autouse=True)
def reports_of_runs_stay_out_of_the_home(tmp_path_factory):
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="session")
def session_clusters():
    main, other = Postgres(databases=["platform", "tenant1"]), Postgres(databases=["tenant2"])
    yield main, other
    main.remove()
    other.remove()


@pytest.fixture(scope="module")
def clusters(session_clusters):
    """Two servers: platform and tenant1 on one, tenant2 on the other; nothing of another file's tests in them."""
    emptied(session_clusters)
    return session_clusters


@pytest.fixture(scope="module")
def shared_daemon(clusters):
    """One berthd for all tests of a module, over the three databases."""
    main, other = clusters
    daemon = Daemon({"platform": main.conninfo("platform"), "tenant1": main.conninfo("tenant1"),
                     "tenant2": other.conninfo("tenant2")})
    yield daemon
    daemon.remove()


def emptied(clusters):
    """Names and servers of the three databases, with nothing of earlier tests in them."""
    main, other = clusters
    where = {"platform": main, "tenant1": main, "tenant2": other}
    for name, server in where.items():
        for schema in server.schemas(name):
            server.sql(f'DROP SCHEMA "{schema}" CASCADE', name)
        for table in server.public_rows(name):
            server.sql(f'DROP TABLE public."{table}" CASCADE', name)
    return where


@pytest.fixture
def databases(clusters):
    return emptied(clusters)


@pytest.fixture
def make_daemon(databases):
    """make_daemon(platform=other conninfo, options={...}) starts a berthd over the three databases."""
    made = []

    def make(options=None, **instead):
        conninfos = {name: server.conninfo(name) for name, server in databases.items()}
        daemon = Daemon({**conninfos, **instead}, **(options or {}))
        made.append(daemon)
        return daemon

    yield make
    for daemon in made:
        daemon.remove()


@pytest.fixture
def daemon(make_daemon):
    return make_daemon()
