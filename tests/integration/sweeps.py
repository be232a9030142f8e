# SPDX-License-Identifier: MIT
"""What the tests of the sweep share: schemas of dead runs, and what a result says of them."""

from contextlib import contextmanager

from harness import Daemon

OLD = "p999999t1700000000r"  # tokens of a process that is long gone
# Any unknown namespace is old enough.
EAGER = {"unleased_grace": "0s", "connect_timeout": "2s"}


@contextmanager
def daemon_over(databases, environment=None, **options):
    """A daemon that takes any unknown namespace for old enough, and has had its first sweep. {name: conninfo}"""
    daemon = Daemon(databases, environment=environment, **{**EAGER, **options})
    try:
        yield daemon.after_first_sweep()
    finally:
        daemon.remove()


def stale(databases, count=1, tables=1):
    """Schemas of runs that nobody remembers, in every database."""
    names = [f"test_{OLD}{i:08x}_gw0" for i in range(count)]
    for database, server in databases.items():
        for name in names:
            server.make_schema(database, name, tables)
    return names


def build(schema, tables):
    """SQL, one transaction: a schema as an application's: three indexes and two foreign keys a table."""
    return f"""
        CREATE SCHEMA "{schema}";
        SET LOCAL search_path = "{schema}";
        DO $$ BEGIN
            FOR i IN 0 .. {tables - 1} LOOP
                EXECUTE format('CREATE TABLE t%s (id serial PRIMARY KEY, a int REFERENCES t%s, b int REFERENCES t%s,
                                c text); CREATE INDEX ON t%1$s (a); CREATE INDEX ON t%1$s (b)',
                               i, greatest(i - 1, 0), i / 2);
            END LOOP;
        END $$;"""


def label(schema, worker="gw0"):
    """The application_name of the run that a schema belongs to."""
    return f"pytest_{worker}_{schema.split('_')[1]}"


def verdicts(result):
    """{(database, schema): what became of it}"""
    found = {}
    for database in result["databases"]:
        for key in ("dropped", "would_drop", "unknown"):
            found.update({(database["name"], schema): key for schema in database.get(key) or []})
        found.update({(database["name"], kept["schema"]): kept["reason"] for kept in database["kept"]})
        found.update({(database["name"], one["schema"]): one["sqlstate"] for one in database["failed"]})
    return found


def details(result):
    """{(database, schema): why it was kept or failed}"""
    found = {}
    for database in result["databases"]:
        found.update({(database["name"], kept["schema"]): kept["detail"] for kept in database["kept"]})
        found.update({(database["name"], one["schema"]): one["message"] for one in database["failed"]})
    return found


def everywhere(databases, names, verdict):
    return {(database, name): verdict for database in databases for name in names}


def all_there(databases, names):
    return all(set(names) <= set(server.schemas(database)) for database, server in databases.items())


def refused_sweep(daemon, databases, names, unheard=()):
    """
    Sweeps; nothing may go, in any database. Returns why. unheard: databases that could not even be listed.
    """
    result = daemon.sweep(check=3)
    assert result["active_detection_complete"] is False
    assert verdicts(result) == everywhere([name for name in databases if name not in unheard], names,
                                          "active_detection_incomplete")
    assert all_there(databases, names)
    [why] = set(details(result).values())
    return why
