# SPDX-License-Identifier: MIT
"""
A census that may not be believed: nothing is dropped anywhere, and the reason names the database and the cause.

Every story here ends in one of two ways: the sweep is refused, or the census is right in spite of it all.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from contextlib import ExitStack

import psycopg2
import pytest

from harness import BlackHole, Pooler, Postgres, Proxy, until
from sweeps import EAGER, all_there, daemon_over, details, everywhere, label, refused_sweep, stale, verdicts


@pytest.fixture
def eager(make_daemon):
    """A daemon that takes any unknown namespace for old enough, and has had its first sweep."""
    def make(options=None, **instead):
        return make_daemon({**EAGER, **(options or {})}, **instead).after_first_sweep()
    return make


# ---- which server is this? ----


@pytest.fixture(scope="module")
def pair():
    """A primary, and a clone of it that was promoted: one system_identifier, the same oids."""
    primary = Postgres(databases=["platform"])
    clone = primary.standby()
    clone.promote()
    until(lambda: clone.sql("SELECT NOT pg_is_in_recovery()") == [(True,)], what="the promotion")
    yield primary, clone
    clone.remove()
    primary.remove()


IDENTITY = "SELECT system_identifier, (SELECT oid FROM pg_database WHERE datname = 'platform') FROM pg_control_system()"


def test_a_promoted_clone_is_another_cluster_with_sessions_and_schemas_of_its_own(pair):
    primary, clone = pair
    assert primary.sql(IDENTITY) == clone.sql(IDENTITY)
    with daemon_over({"one": primary.conninfo("platform"), "two": clone.conninfo("platform")}) as daemon:
        names = []
        for server in pair:
            names = stale({"platform": server}, 3)
        on_clone = clone.connect(application_name=label(names[1]))
        on_primary = primary.connect(application_name=label(names[2]))
        result = daemon.sweep()
        assert verdicts(result) == {**everywhere(["one", "two"], names[:1], "dropped"),
                                    **everywhere(["one", "two"], names[1:], "live")}
        assert primary.schemas("platform") == clone.schemas("platform") == names[1:]
        on_clone.close()
        on_primary.close()
        assert verdicts(daemon.sweep()) == everywhere(["one", "two"], names[1:], "dropped")


def test_a_promoted_clone_has_slots_of_its_own(pair):
    primary, clone = pair
    with daemon_over({"one": primary.conninfo("platform"), "two": clone.conninfo("platform")}) as daemon:
        clusters = daemon.json("status")["clusters"]
        assert sorted(cluster["databases"] for cluster in clusters) == [["one"], ["two"]]
        assert len({cluster["systemIdentifier"] for cluster in clusters}) == 1
        with ExitStack() as stack:
            wires = [stack.enter_context(daemon.connection()) for _ in range(6)]
            lease = wires[0].call("io.berth.lease.Acquire")["parameters"]
            answers = []
            for wire, database in zip(wires[1:], ["one", "one", "one", "two", "two"]):
                answers.append(wire.call("io.berth.lease.AcquireSlot", {
                    "namespace": lease["context"]["namespace"], "secret": lease["secret"], "database": database,
                    "noWait": True}))
            assert ["error" in answer for answer in answers] == [False, False, True, False, False], answers


def test_two_names_for_one_database_are_one(eager, databases, clusters):
    main, _ = clusters
    daemon = eager(alias=main.conninfo("platform", tcp=True))
    names = stale(databases, 2)
    run = main.connect("platform", label(names[1]))
    result = daemon.sweep()
    assert verdicts(result) == {**everywhere(databases, names[:1], "dropped"),
                                **everywhere(databases, names[1:], "live")}
    run.close()


def test_two_names_for_one_database_of_which_the_first_cannot_be_reached(eager, databases, clusters):
    main, _ = clusters
    proxy = Proxy(main)
    daemon = eager(platform=proxy.conninfo("platform"), second=main.conninfo("platform"))
    names = stale(databases)
    proxy.close()
    until(lambda: refuses(proxy.port), what="a closed port")
    why = refused_sweep(daemon, {**databases, "second": Alias(main)}, names, unheard=["platform"])
    assert why.startswith("platform: "), why


class Alias:
    """The database platform, for who looks schemas up by another name."""

    def __init__(self, server):
        self.server = server

    def schemas(self, _):
        return self.server.schemas("platform")


def refuses(port):
    try:
        psycopg2.connect(host="127.0.0.1", port=port, user="postgres", dbname="postgres").close()
    except psycopg2.OperationalError:
        return True


@pytest.fixture(scope="module")
def pooler(tmp_path_factory, clusters):
    """PgBouncer in transaction mode before tenant1; yields a conninfo."""
    with Pooler(clusters[0], "tenant1", tmp_path_factory.mktemp("pooler")) as pooler:
        yield pooler.conninfo()


def test_a_pooler_in_between_is_noticed_and_refused(eager, databases, pooler):
    daemon = eager(tenant1=pooler)
    names = stale(databases)
    run = psycopg2.connect(pooler, application_name=label(names[0]))
    why = refused_sweep(daemon, databases, names)
    assert why.startswith("tenant1: ") and "pooler" in why and "direct connection" in why
    run.close()


def test_a_server_that_has_just_started_is_not_believed_until_runs_have_come_back():
    with ExitStack() as stack:
        stack.callback((server := Postgres(databases=["platform"])).remove)
        daemon = stack.enter_context(daemon_over({"platform": server.conninfo("platform")}, start_grace="4s"))
        names = stale({"platform": server}, 2)
        until(lambda: daemon.berth("sweep", "--dry-run").returncode == 0, what="the end of the grace")
        server.connect(application_name=label(names[0]))
        server.stop()
        server.start()
        why = refused_sweep(daemon, {"platform": server}, names)
        assert why.startswith("platform: the server started ") and "start_grace (4 s)" in why
        run = server.connect(application_name=label(names[0]))  # it has come back
        result = until(lambda: (done := daemon.berth("sweep", "--json")).returncode == 0 and done.stdout,
                       what="the end of the server's grace")
        assert f'"{names[0]}"' in result and server.schemas("platform") == names[:1]
        run.close()


def test_a_role_that_sees_little_sees_labels_all_the_same(databases, clusters):
    main, other = clusters
    for server in clusters:
        server.sql("DROP ROLE IF EXISTS plain; CREATE ROLE plain LOGIN", next(iter(server.databases)))
    assert main.sql("SELECT pg_has_role('plain', 'pg_read_all_stats', 'USAGE')") == [(False,)]
    where = {name: server.conninfo(name, user="plain") for name, server in databases.items()}
    with daemon_over(where) as daemon:
        names = stale(databases, 2)
        for database, server in databases.items():
            for name in names:
                server.sql(f'ALTER SCHEMA "{name}" OWNER TO plain; ALTER TABLE "{name}".t0 OWNER TO plain', database)
        run = other.connect("tenant2", label(names[1]))
        result = daemon.sweep()
        assert result["active_detection_complete"] is True
        assert verdicts(result) == {**everywhere(databases, names[:1], "dropped"),
                                    **everywhere(databases, names[1:], "live")}
        run.close()
    for database, server in databases.items():
        server.sql("DROP OWNED BY plain CASCADE", database)


# ---- a server that does not let us in ----


@pytest.fixture(scope="module")
def strict():
    """A server with a certificate of its own making, where some may not enter."""
    server = Postgres("hba:hostssl all secure all trust", "hba:host all secure all reject",
                      "hba:host all scrammed all scram-sha-256", "max_connections = 12", databases=["open", "shut", "crowded"])
    subprocess.run(["openssl", "req", "-new", "-x509", "-days", "3", "-nodes", "-subj", "/CN=elsewhere",
                    "-out", server.directory / "data" / "server.crt", "-keyout", server.directory / "data" / "server.key"],
                   check=True, capture_output=True)
    for name in ("server.crt", "server.key"):
        path = server.directory / "data" / name
        path.chmod(0o600)
        shutil.chown(path, user=(server.directory / "data").owner(), group=(server.directory / "data").group())
    server.stop()
    server.start("ssl = on")
    server.sql("""CREATE ROLE secure LOGIN; CREATE ROLE scrammed LOGIN PASSWORD 'right'; CREATE ROLE nobody LOGIN;
                  CREATE ROLE barred LOGIN CONNECTION LIMIT 0; CREATE ROLE nologin""", "open")
    server.sql("ALTER DATABASE shut ALLOW_CONNECTIONS false", "open")
    server.sql("ALTER DATABASE crowded CONNECTION LIMIT 0", "open")
    yield server
    server.remove()


# what stands in the conninfo, and what the reason must say
REFUSALS = {
    "role connection limit": ("dbname=open user=barred", "too many connections for role"),
    "database connection limit": ("dbname=crowded user=nobody", "too many connections for database"),
    "ALLOW_CONNECTIONS false": ("dbname=shut user=postgres", "not currently accepting connections"),
    "missing database": ("dbname=gone user=postgres", 'database "gone" does not exist'),
    "missing role": ("dbname=open user=unheardof", 'role "unheardof" does not exist'),
    "role without login": ("dbname=open user=nologin", "not permitted to log in"),
    "verify-full without root": ("dbname=open user=secure sslmode=verify-full", "root certificate file"),
    "certificate of nobody": ("dbname=open user=secure sslmode=verify-ca sslrootcert={directory}/other.crt",
                              "certificate verify failed"),
    "certificate of another name": ("dbname=open user=secure sslmode=verify-full sslrootcert={directory}/data/server.crt",
                                    "does not match host name"),
    "no TLS where it must be": ("dbname=open user=secure sslmode=disable", "no encryption"),
    "wrong password": ("dbname=open user=scrammed password=wrong-secret", "password authentication failed"),
    "no password": ("dbname=open user=scrammed", "no password supplied"),
    "read-only": ("dbname=open user=postgres options='-c default_transaction_read_only=on'",
                  "default_transaction_read_only is on"),
}


@pytest.mark.parametrize("cause", REFUSALS)
def test_a_server_that_lets_us_not_in_makes_the_census_incomplete(databases, strict, cause):
    words, told = REFUSALS[cause]
    if "other.crt" in words:
        subprocess.run(["openssl", "req", "-new", "-x509", "-days", "3", "-nodes", "-subj", "/CN=x", "-out",
                        strict.directory / "other.crt", "-keyout", "/dev/null"], check=True, capture_output=True)
    conninfo = f"host=127.0.0.1 port={strict.port} " + words.format(directory=strict.directory)
    where = {**{name: server.conninfo(name) for name, server in databases.items()}, "strict": conninfo}
    with daemon_over(where) as daemon:
        names = stale(databases)
        why = refused_sweep(daemon, databases, names)
        assert why.startswith("strict: ") and told in why and "\n" not in why, why
        assert "wrong-secret" not in why + daemon.log + daemon.berth("status", "--json").stdout


@pytest.mark.parametrize("mode, told", [(0o644, "is ignored, because others than its owner may read it; chmod 0600 it"),
                                        (0o600, "password authentication failed"), (None, "no password supplied")])
def test_a_password_file_that_libpq_ignores_is_named(databases, strict, tmp_path, mode, told):
    file = tmp_path / "pgpass"
    if mode:
        file.write_text("*:*:*:scrammed:wrong-secret\n")
        file.chmod(mode)
    conninfo = f"host=127.0.0.1 port={strict.port} dbname=open user=scrammed passfile={file}"
    where = {**{name: server.conninfo(name) for name, server in databases.items()}, "strict": conninfo}
    with daemon_over(where) as daemon:
        why = refused_sweep(daemon, databases, stale(databases))
    assert why.startswith("strict: ") and told in why and "wrong-secret" not in why
    assert mode != 0o644 or str(file) in why


@pytest.fixture
def expired(strict, tmp_path):
    """The server's certificate is one of yesterday; yields the conninfo of whoever looks at it."""
    data = strict.directory / "data"
    before = {name: (data / name).read_bytes() for name in ("server.crt", "server.key")}
    for words in (["req", "-new", "-nodes", "-subj", "/CN=127.0.0.1", "-out", "csr", "-keyout", "server.key"],
                  ["x509", "-req", "-in", "csr", "-signkey", "server.key", "-days", "-1", "-out", "server.crt"]):
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=tmp_path)
    for name in before:
        (data / name).write_bytes((tmp_path / name).read_bytes())
    strict.sql("SELECT pg_reload_conf()", "open")
    yield f"host=127.0.0.1 port={strict.port} dbname=open user=secure sslmode=verify-ca sslrootcert={tmp_path}/server.crt"
    for name, content in before.items():
        (data / name).write_bytes(content)
    strict.sql("SELECT pg_reload_conf()", "open")


def test_a_certificate_that_has_expired_makes_the_census_incomplete(databases, expired):
    where = {**{name: server.conninfo(name) for name, server in databases.items()}, "strict": expired}
    with daemon_over(where) as daemon:
        why = refused_sweep(daemon, databases, stale(databases))
        assert why.startswith("strict: ") and "certificate verify failed" in why, why  # libpq says no more


def test_a_server_full_of_clients_makes_the_census_incomplete(databases, strict):
    where = {**{name: server.conninfo(name) for name, server in databases.items()},
             "strict": strict.conninfo("open")}
    with daemon_over(where) as daemon:
        names = stale(databases)
        clients = []
        with pytest.raises(psycopg2.OperationalError):
            while True:
                clients.append(strict.connect("open"))
        why = refused_sweep(daemon, databases, names)
        assert why.startswith("strict: ") and "too many clients already" in why, why
        for client in clients:
            client.close()
        until(lambda: daemon.berth("sweep", "--dry-run").returncode == 0, what="a seat")
        assert verdicts(daemon.sweep()) == everywhere(databases, names, "dropped")


# ---- ways to the server ----


@pytest.mark.parametrize("first", ["refused", "black hole", "standby's place", "right"])
def test_of_several_hosts_the_one_that_answers_is_asked(eager, databases, clusters, first):
    main, _ = clusters
    hole = BlackHole()
    host, port = {"refused": ("127.0.0.1", 1), "black hole": ("127.0.0.1", hole.port),
                  "standby's place": ("/nowhere", 5432), "right": ("127.0.0.1", main.port)}[first]
    conninfo = f"host={host},127.0.0.1 port={port},{main.port} dbname=tenant1 user=postgres"
    daemon = eager(tenant1=conninfo)
    names = stale(databases, 2)
    run = main.connect("tenant1", label(names[1]))
    began = time.monotonic()
    result = daemon.sweep()
    assert time.monotonic() - began < 2 * 2 + 2
    assert verdicts(result) == {**everywhere(databases, names[:1], "dropped"),
                                **everywhere(databases, names[1:], "live")}
    run.close()
    hole.close()


def test_of_several_hosts_none_that_answers_makes_it_incomplete_and_each_is_named(eager, databases):
    hole = BlackHole()
    daemon = eager(tenant1=f"host=127.0.0.1,127.0.0.1 port=1,{hole.port} dbname=tenant1 user=postgres")
    names = stale(databases)
    why = refused_sweep(daemon, databases, names, unheard=["tenant1"])
    assert why.startswith("tenant1: ") and "Connection refused" in why and "no answer within" in why
    hole.close()


SLOW_NAMES = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **res)
{
        int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
                dlsym(RTLD_NEXT, "getaddrinfo");

        if (node && !strcmp(node, "slow.invalid")) {
                sleep(4);
                return EAI_AGAIN;
        }
        return real(node, service, hints, res);
}
"""


def test_a_name_look_up_that_hangs_keeps_nobody_waiting(databases, tmp_path):
    (tmp_path / "slow.c").write_text(SLOW_NAMES)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", tmp_path / "slow.so", tmp_path / "slow.c", "-ldl"], check=True)
    asan = os.environ.get("ASAN_OPTIONS", "")
    where = {**{name: server.conninfo(name) for name, server in databases.items()},
             "tenant1": "host=slow.invalid dbname=tenant1 user=postgres"}
    with daemon_over(where, {"LD_PRELOAD": str(tmp_path / "slow.so"),
                             "ASAN_OPTIONS": f"verify_asan_link_order=0:{asan}"}) as daemon:
        names = stale(databases)
        sweep = daemon.start_sweep()
        slowest, calls = 0.0, 0
        with daemon.connection() as wire:
            while sweep.poll() is None:
                began = time.monotonic()
                assert "parameters" in wire.call("io.berth.manage.GetStatus")
                slowest = max(slowest, time.monotonic() - began)
                calls += 1
                time.sleep(0.005)
        output, _ = sweep.communicate()
        assert sweep.returncode == 3 and calls > 10 and slowest < 0.1, f"{calls} calls, slowest {slowest:.3f} s"
        assert '"tenant1: no answer within 2 s"' in output, output
        assert all_there(databases, names)


NONSENSE = {
    "PGHOST": "/nowhere", "PGHOSTADDR": "192.0.2.1", "PGPORT": "1", "PGDATABASE": "gone", "PGUSER": "unheardof",
    "PGPASSWORD": "wrong", "PGPASSFILE": "/nowhere", "PGSERVICE": "gone", "PGSERVICEFILE": "/nowhere",
    "PGOPTIONS": "-c search_path=gone -c statement_timeout=1 -c role=unheardof", "PGAPPNAME": "pytest_gw0_nonsense",
    "PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/nowhere", "PGREQUIRESSL": "1", "PGGSSENCMODE": "require",
    "PGCHANNELBINDING": "require", "PGCLIENTENCODING": "LATIN1", "PGDATESTYLE": "German", "PGTZ": "Nowhere/Land",
    "PGCONNECT_TIMEOUT": "nonsense", "PGTARGETSESSIONATTRS": "standby", "PGSYSCONFDIR": "/nowhere", "PGGEQO": "nonsense",
    "PGREQUIREPEER": "nobody", "PGSSLMINPROTOCOLVERSION": "nonsense", "PGKRBSRVNAME": "x", "PGLOCALEDIR": "/nowhere",
}


def test_no_variable_of_the_environment_changes_where_and_how_we_ask(databases):
    where = {name: server.conninfo(name, tcp=name == "tenant1") for name, server in databases.items()}
    with daemon_over(where, NONSENSE) as daemon:
        names = stale(databases, 2)
        run = databases["tenant2"].connect("tenant2", label(names[1]))
        result = daemon.sweep()
        assert verdicts(result) == {**everywhere(databases, names[:1], "dropped"),
                                    **everywhere(databases, names[1:], "live")}
        assert "nonsense" not in result["active_namespaces"]
        run.close()


# ---- time that passes without us ----


def test_a_daemon_that_was_stopped_during_the_census_does_not_trust_it(eager, databases, clusters):
    proxy = Proxy(clusters[0])
    daemon = eager({"connect_timeout": "20s"}, tenant1=proxy.conninfo("tenant1"))
    names = stale(databases)
    with proxy.hold("pg_stat_activity") as seen:
        sweep = daemon.start_sweep()
        assert seen.wait(30)
        os.kill(daemon.process.pid, signal.SIGSTOP)
        time.sleep(2)
    time.sleep(0.3)  # the answer lies in the socket when it wakes up
    os.kill(daemon.process.pid, signal.SIGCONT)
    output, _ = sweep.communicate(timeout=60)
    assert sweep.returncode == 3, output
    assert "held up" in output
    assert all_there(databases, names)
    proxy.close()


def test_a_daemon_that_was_stopped_while_it_rested_gives_everybody_the_grace(databases):
    where = {name: server.conninfo(name) for name, server in databases.items()}
    with daemon_over(where, start_grace="4s") as daemon:
        until(lambda: daemon.berth("sweep").returncode == 0, what="the end of the grace after the start")
        assert daemon.json("status").get("unsettled") is None
        names = stale(databases)
        os.kill(daemon.process.pid, signal.SIGSTOP)
        os.kill(daemon.process.pid, signal.SIGCONT)
        told = until(lambda: daemon.json("status").get("unsettled"), what="the grace after a stall")
        assert told.startswith("berthd was held up less than start_grace (4 s) ago"), told
        assert "none now: berthd was held up" in daemon.berth("status").stdout
        assert refused_sweep(daemon, databases, names).startswith("berthd was held up less than start_grace (4 s) ago")
        until(lambda: not all_there(databases, names), what="a sweep of its own accord")
        assert daemon.json("status").get("unsettled") is None
        until(lambda: not any(server.schemas(name) for name, server in databases.items()), what="all of it")


def test_a_drop_that_is_held_up_before_it_drops_is_given_up(databases, clusters):
    proxy = Proxy(clusters[0])
    where = {**{name: server.conninfo(name) for name, server in databases.items()}, "platform": proxy.conninfo("platform")}
    with daemon_over(where, start_grace="3s") as daemon:
        until(lambda: daemon.berth("sweep").returncode == 0, what="the end of the grace after the start")
        names = stale(databases)
        with proxy.hold("WITH RECURSIVE kin") as seen:  # its last question before the DROP
            sweep = daemon.start_sweep()
            assert seen.wait(30)
            os.kill(daemon.process.pid, signal.SIGSTOP)
            os.kill(daemon.process.pid, signal.SIGCONT)
            until(lambda: "event=\"berthd was held up\"" in daemon.log, what="the signal's effect")
        result = json.loads(sweep.communicate(timeout=60)[0])
        assert verdicts(result) == everywhere(databases, names, "active_detection_incomplete"), result
        assert all("berthd was held up" in why for why in details(result).values())
        assert all_there(databases, names)
    proxy.close()
