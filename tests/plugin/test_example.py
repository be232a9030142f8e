# SPDX-License-Identifier: MIT
"""The example suite of the documentation, without a daemon and with the fake one; and the collision it is about."""

import shutil

import psycopg2
import pytest
from conftest import ROOT


@pytest.fixture
def example(project, cluster, database):
    """Three databases on one server."""
    where = f"host={cluster['host']} port={cluster['port']} user=postgres"
    admin = psycopg2.connect(f"{where} dbname=postgres")
    admin.autocommit = True
    for name in ("example_tenant1", "example_tenant2"):
        admin.cursor().execute(f"CREATE DATABASE {name}")
    project.environ["EXAMPLE_PLATFORM_URL"] = f"{where} dbname={database['dbname']}"
    for number in (1, 2):
        project.environ[f"EXAMPLE_TENANT{number}_URL"] = f"{where} dbname=example_tenant{number}"
    shutil.copytree(ROOT / "docs" / "example", project.path, dirs_exist_ok=True,
                    ignore=shutil.ignore_patterns("__pycache__"))
    yield project
    for name in ("example_tenant1", "example_tenant2"):
        admin.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")
    admin.close()


def server_of(project):
    connection = psycopg2.connect(project.environ["EXAMPLE_PLATFORM_URL"])
    with connection.cursor() as cursor:
        cursor.execute("SELECT system_identifier::text FROM pg_control_system()")
        identifier = cursor.fetchone()[0]
    connection.close()
    return identifier


def schemas(project):
    found = set()
    for name in ("PLATFORM", "TENANT1", "TENANT2"):
        connection = psycopg2.connect(project.environ[f"EXAMPLE_{name}_URL"])
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT nspname FROM pg_namespace WHERE nspname ^@ 'test_'")
            found |= {name for (name,) in cursor.fetchall()}
        connection.close()
    return found


def run_twice(project, **environ):
    processes = [project.start("-n2", **environ) for _ in range(2)]
    return [(process.communicate(timeout=120)[0], process.returncode) for process in processes]


def test_two_runs_at_once_are_green_and_leave_nothing_behind(example):
    for output, status in run_twice(example, BERTH="off"):
        assert status == 0, output
    assert schemas(example) == set()


def test_with_a_daemon_each_run_has_its_schemas_in_every_database(example, fake):
    fake.clusters = {server_of(example): ["platform", "tenant1", "tenant2"]}
    for output, status in run_twice(example, BERTH_SOCKET=fake.socket):
        assert status == 0, output
    assert schemas(example) == {f"test_{lease.namespace}_gw{n}" for lease in fake.leases for n in (0, 1)}
    assert len(fake.leases) == 2 and fake.max_slots_held <= 2
    assert len(fake.called("AcquireSlot")) == 2 * 2 * 3


def test_a_big_schema_is_built_too(example):
    outcome = example.run("test_isolation.py", BERTH="off", EXAMPLE_TABLES="224")
    assert outcome.status == 0, outcome


def test_with_the_old_names_two_runs_collide(example):
    """A test of the tests above: they could fail."""
    assert example.run(EXAMPLE_OLD_NAMES="1").status == 0
    assert any(status for _, status in run_twice(example, EXAMPLE_OLD_NAMES="1"))
