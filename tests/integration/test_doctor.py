# SPDX-License-Identifier: MIT
"""berth doctor and berth config: each check finds what it is for, with a daemon, and without one."""

import json
import os
import pathlib
import re
import signal
import socket
import sqlite3
import subprocess
from contextlib import contextmanager

import pytest

from harness import BERTHD, Daemon, Pooler, Wire, until
from said import FAILURE, validate
from somebody import BECOME, copy_of_berth

DOCS = pathlib.Path(__file__).parents[2] / "docs"
ROLES = """CREATE ROLE tester LOGIN; CREATE ROLE sweeper LOGIN IN ROLE pg_read_all_stats, tester; CREATE ROLE stranger LOGIN;
           GRANT tester TO sweeper"""


@pytest.fixture(scope="module")
def servers(clusters):
    """Two servers where all is as docs/operations.md wants it: {name: server}."""
    where = {"platform": clusters[0], "tenant1": clusters[0], "tenant2": clusters[1]}
    for server in clusters:
        server.sql(ROLES, "postgres")
    for name, server in where.items():
        server.sql(f"GRANT CREATE ON DATABASE {name} TO tester, stranger", name)
    yield where
    for name, server in where.items():
        server.sql(f"REVOKE CREATE ON DATABASE {name} FROM tester, stranger", name)
    for server in clusters:
        server.sql("DROP ROLE sweeper; DROP ROLE tester; DROP ROLE stranger", "postgres")


@pytest.fixture(scope="module")
def daemon(servers):
    conninfos = {name: server.conninfo(name, "sweeper") for name, server in servers.items()}
    daemon = Daemon(conninfos, unleased_grace="1h").after_first_sweep()
    yield daemon
    daemon.remove()


def diagnose(daemon, *words, check=None, **more):
    """{(check, database): finding} and the text; both say the same, and each finding is a line of three parts."""
    more.setdefault("BERTH_DAEMON", str(BERTHD))
    done = daemon.berth("doctor", "--json", *words, **more)
    findings = validate("doctor", json.loads(done.stdout))["findings"]
    bad = [finding for finding in findings if finding["level"] != "ok"]
    assert done.returncode == (1 if bad else 0) and check in (None, done.returncode), findings
    assert all(finding["why"] and finding["fix"] for finding in bad)
    assert not [finding for finding in findings if finding["level"] == "ok" and "fix" in finding]
    text = daemon.berth("doctor", *words, check=done.returncode, **more).stdout.splitlines()
    told = [line for line in text if line.startswith(("problem: ", "warning: "))]
    assert len(told) == len(bad) and text[-1] == f"{len(bad)} finding{'s' * (len(bad) != 1)}"
    assert all(FAILURE.fullmatch(re.sub("^(problem|warning)", "berth", line)) for line in told), told
    assert max(map(len, set(text) - set(told))) <= 80
    return {(finding["check"], finding.get("database")): finding for finding in findings}


def bad(found):
    return {key for key, finding in found.items() if finding["level"] != "ok"}


@contextmanager
def reloaded(daemon, **databases):
    """The daemon with another configuration: {name: conninfo}."""
    before = dict(daemon.databases)

    def apply():
        daemon.write_config()
        daemon.process.send_signal(signal.SIGHUP)
        until(lambda: [one["name"] for one in daemon.json("status")["databases"]] == list(daemon.databases))

    daemon.databases.update(databases)
    apply()
    try:
        yield
    finally:
        daemon.databases.clear()
        daemon.databases.update(before)
        apply()


def test_all_is_well_and_every_check_of_the_document_is_made(daemon):
    found = diagnose(daemon, check=0)
    documented = re.findall(r"^\| `(\w+)` \|", (DOCS / "operations.md").read_text().partition("## berth doctor")[2]
                            .partition("\n## ")[0], re.MULTILINE)
    assert {check for check, _ in found} == set(documented) - {"program"}
    assert ("direct", "tenant1") in found and ("clock", "tenant1") not in found and ("clock", "tenant2") in found


@pytest.mark.parametrize("check, before, after", [
    ("public", "GRANT CREATE ON SCHEMA public TO PUBLIC", "REVOKE CREATE ON SCHEMA public FROM PUBLIC"),
    ("public", "GRANT CREATE ON SCHEMA public TO tester; CREATE SCHEMA test_x_gw0 AUTHORIZATION tester",
     "REVOKE CREATE ON SCHEMA public FROM tester; DROP SCHEMA test_x_gw0"),
    ("drop", "CREATE SCHEMA test_x_gw0 AUTHORIZATION stranger", "DROP SCHEMA test_x_gw0"),
    ("old_names", "CREATE SCHEMA test_gw0; CREATE SCHEMA test_gw12_audit AUTHORIZATION stranger",
     "DROP SCHEMA test_gw0, test_gw12_audit"),
    ("see", "REVOKE pg_read_all_stats FROM sweeper", "GRANT pg_read_all_stats TO sweeper"),
])
def test_what_is_wrong_in_a_database_is_found(daemon, servers, check, before, after):
    servers["tenant2"].sql(before, "tenant2")
    try:
        found = diagnose(daemon, check=1)
        assert bad(found) == {(check, "tenant2")}
    finally:
        servers["tenant2"].sql(after, "tenant2")
    assert not bad(diagnose(daemon))


def test_what_is_typed_as_the_finding_says_mends_it(daemon, servers):
    servers["tenant2"].sql("GRANT CREATE ON SCHEMA public TO PUBLIC", "tenant2")
    database, statement = diagnose(daemon)["public", "tenant2"]["fix"].removeprefix("in ").split(": ")
    servers[database].sql(statement, database)
    assert not bad(diagnose(daemon))


def test_no_name_of_a_schema_makes_another_statement_of_what_is_typed(daemon, servers):
    servers["tenant2"].sql('CREATE SCHEMA "test_gw0_x, victim"; CREATE SCHEMA victim', "tenant2")
    statement = diagnose(daemon)["old_names", "tenant2"]["fix"].partition(": ")[2]
    servers["tenant2"].sql(statement, "tenant2")
    assert not bad(diagnose(daemon))
    servers["tenant2"].sql("DROP SCHEMA victim", "tenant2")


def test_many_who_ask_at_once_are_all_told_of_the_ledger(daemon):
    wires = [Wire(daemon.socket) for _ in range(8)]
    for wire in wires:
        wire.send("io.berth.manage.Diagnose", more=True)
    for wire in wires:
        checks, more = [], True
        while more:
            reply = wire.receive()
            checks, more = [*checks, reply["parameters"]["check"]], reply.get("continues")
        assert checks.count("ledger") == 1
        wire.close()


def test_tests_that_run_as_superuser_are_told(daemon, servers):
    with_label = servers["platform"].connect("platform", "pytest_gw0_pnobody")
    try:
        assert "a superuser" in diagnose(daemon)["public", "platform"]["what"]
    finally:
        with_label.close()


def test_a_schema_without_a_lease_is_a_leftover(daemon, servers):
    servers["platform"].sql("CREATE SCHEMA test_unleased_gw0 AUTHORIZATION tester", "platform")
    try:
        daemon.sweep()
        found = diagnose(daemon)
        assert bad(found) == {("leftovers", "platform")}
        assert found["leftovers", "platform"]["fix"] == "berth explain test_unleased_gw0"
    finally:
        servers["platform"].sql("DROP SCHEMA test_unleased_gw0", "platform")
        daemon.sweep()


def test_what_is_in_between_is_found(daemon, servers, tmp_path):
    standby, pooler = servers["platform"].standby(), Pooler(servers["tenant1"], "tenant1", tmp_path)
    try:
        with reloaded(daemon, away="host=127.0.0.1 port=1 dbname=x user=postgres", behind=pooler.conninfo(),
                      copy=standby.conninfo("tenant1", "sweeper")):
            found = diagnose(daemon)
            assert {("reachable", "away"), ("direct", "behind"), ("primary", "copy")} <= bad(found)
            assert "Connection refused" in found["reachable", "away"]["why"]
    finally:
        pooler.close()
        standby.remove()


def test_a_configuration_that_is_not_in_force_and_a_password_that_all_may_read(daemon):
    good = daemon.config.read_text()
    with reloaded(daemon, tenant2=daemon.databases["tenant2"] + " password=hidden"):
        daemon.config.chmod(0o644)
        exposed = diagnose(daemon)
        assert bad(exposed) == {("passwords", None)} and "hidden" not in json.dumps(list(exposed.values()))
        daemon.config.chmod(0o640)
        assert not bad(diagnose(daemon))
        assert "hidden" not in daemon.berth("config", "--json", check=0).stdout
    daemon.config.write_text(good + "nonsense\n")
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for_log("the old one is kept")
    line = good.count("\n") + 1
    assert f"{daemon.config}:{line}: " in diagnose(daemon)["configuration", None]["why"]
    daemon.write_config()
    daemon.process.send_signal(signal.SIGHUP)
    until(lambda: not bad(diagnose(daemon)), what="the reload")


def test_config_says_where_each_value_comes_from(daemon):
    shown = validate("config", daemon.json("config"))
    options = {option["name"]: option for option in shown["options"]}
    assert options["unleased_grace"] == {"name": "unleased_grace", "value": "1h", "standard": "12h", "origin": "file",
                                         "file": str(daemon.config), "line": 4}
    assert options["socket"]["origin"] == "command_line" and options["socket"]["value"] == str(daemon.socket)
    assert options["history"]["origin"] == "standard" and shown["files"] == [str(daemon.config)]
    assert [one["name"] for one in shown["databases"]] == ["platform", "tenant1", "tenant2"]
    text = daemon.berth("config", check=0).stdout
    assert max(map(len, text.splitlines())) <= 80 and re.search(r"^unleased_grace +1h +12h ", text, re.M)
    table = subprocess.run([BERTHD, "--help-config"], capture_output=True, text=True, check=True).stdout
    assert set(options) == set(re.findall(r"^;?(\w+) =", table.partition("[databases]")[0], re.M))


# ---- with the daemon down ----


def test_without_a_daemon_the_same_is_found(daemon, servers):
    servers["tenant2"].sql("CREATE SCHEMA test_gw0", "tenant2")
    try:
        found = diagnose(daemon, "--config", daemon.config, "--socket", "/nonexistent/s")
    finally:
        servers["tenant2"].sql("DROP SCHEMA test_gw0", "tenant2")
    assert bad(found) == {("socket", None), ("old_names", "tenant2")}
    assert ("clock", "tenant2") in found and ("clock", "tenant1") not in found
    shown = validate("config", daemon.json("config", "--config", daemon.config, BERTH_DAEMON=str(BERTHD)))
    assert len(shown["databases"]) == 3


@pytest.fixture
def lonely(tmp_path):
    """A daemon that does not run; berthd can be run once."""
    daemon = Daemon({}, directory=tmp_path, start=False)
    daemon.options["state_dir"] = str(daemon.state)
    daemon.write_config()
    return daemon


def test_an_empty_configuration_says_what_to_fill_in(lonely):
    lonely.config.write_text("")
    found = diagnose(lonely, "--config", lonely.config)
    assert bad(found) == {("socket", None), ("databases", None)}
    assert "below [databases]" in found["databases", None]["fix"]


def test_a_wrong_configuration_has_file_and_line(lonely):
    lonely.config.write_text("[berthd]\nddl_slots = many\nddl_slotts = 2\n")
    done = lonely.berth("doctor", "--config", lonely.config, check=1, BERTH_DAEMON=str(BERTHD))
    assert f"{lonely.config}:2: " in done.stdout and f"{lonely.config}:3: " in done.stdout
    failed = lonely.berth("config", "--config", lonely.config, check=78, BERTH_DAEMON=str(BERTHD))
    assert f"{lonely.config}:2: " in failed.stderr


def files(daemon):
    """Of the ledger; whoever reads marks his place in -shm, as any reader does."""
    return {path.name: path.name.endswith("-shm") or path.read_bytes() for path in daemon.state.iterdir()}


def test_a_ledger_is_looked_at_with_and_without_a_daemon(lonely):
    lonely.start()
    lonely.berth("run", "true", check=0)
    assert diagnose(lonely)["ledger", None]["level"] == "ok"
    lonely.stop()
    before = files(lonely)
    assert diagnose(lonely, "--config", lonely.config)["ledger", None]["what"].startswith("the ledger is sound")
    assert files(lonely) == before
    with sqlite3.connect(lonely.state / "ledger.db") as ledger:
        [(page,)] = ledger.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'event'").fetchall()
        [(size,)] = ledger.execute("PRAGMA page_size").fetchall()
    ledger.close()
    with open(lonely.state / "ledger.db", "r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    damaged = diagnose(lonely, "--config", lonely.config)
    assert damaged["ledger", None]["level"] == "problem"


@pytest.mark.parametrize("make, words, why", [
    (lambda path: None, [], "berthd is not running"),
    (lambda path: path.touch(), [], "nobody listens"),
    (lambda path: socket.socket(socket.AF_UNIX).bind(str(path)), [], "a dead daemon left its socket"),
    (lambda path: None, ["--socket", "/x" * 100], "path too long"),
])
def test_each_story_of_a_socket_is_told(lonely, make, words, why):
    make(lonely.socket)
    found = diagnose(lonely, "--config", lonely.config, *words)["socket", None]
    assert why in f"{found['what']}; {found['why']}"


def test_who_is_not_in_the_group_is_told_so(daemon, tmp_path):
    program, library = copy_of_berth(pathlib.Path(os.environ["BERTH_BUILD"]) / "client/cli/berth",
                                     daemon.directory / "bin")
    daemon.directory.chmod(0o711)
    daemon.socket.chmod(0o660)
    done = subprocess.run([*BECOME, program, "doctor", "--json", "--config", daemon.config], text=True,
                          capture_output=True, env=daemon.environment(**library, BERTH_DAEMON="/nonexistent/berthd"))
    found = {finding["check"]: finding for finding in validate("doctor", json.loads(done.stdout))["findings"]}
    assert found["socket"]["fix"].startswith("add the user to group") and "is not in group" in found["group"]["what"]
    assert found["program"]["level"] == "problem"
