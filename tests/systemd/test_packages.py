# SPDX-License-Identifier: MIT
"""
A machine that has never heard of berth: the packages are built, checked, installed, used as an operator would, and
purged. The tests are one story, in the order they stand here.
"""

import os
import re
import subprocess

import pytest
from container import HERE, Container
from harness import until

TREE = HERE.parents[1]
NAMES = ["berthd", "berth", "libberth0", "libberth-dev", "python3-pytest-berth"]
SOCKET = "/run/testpg"
DATABASES = ["platform", "tenant1", "tenant2"]
FOOTPRINTS = r"find /etc /usr /var /run /lib /home -xdev \( -name '*berth*' -o -name 'io.berth*' \) " \
             r"-not -path '/var/log/*' -not -path '/home/dev/*' -not -path '/var/backups/*' -not -path '/run/testpg*'"

CONF = f"""[berthd]
start_grace = 0s
sweep_interval = 1h
operator_group = berth-operators

[databases]
""" + "".join(f"{name} = host={SOCKET} dbname={name} user=berth\n" for name in DATABASES)

# Two workers build, each in a slot, as soon as the gate of builds is open; a test then runs until its own is.
SUITE = """
import os, time
import psycopg2, pytest

def gate(name):
    while not os.path.exists(f"/srv/gates/{name}"):
        time.sleep(0.02)

@pytest.fixture(scope="session")
def db(berth):
    connection = psycopg2.connect(f"host=/run/testpg dbname={os.environ['DB']} user=dev", **berth.connect_args())
    def build(connection):
        gate("build")
        connection.cursor().execute("CREATE TABLE book (id int PRIMARY KEY)")
    with berth.schema(connection, build):
        connection.commit()
        yield connection

@pytest.mark.parametrize("n", range(2))
def test_it(db, n, berth):
    cursor = db.cursor()
    cursor.execute("INSERT INTO book VALUES (%s)", (n,))
    if os.environ["LOCK"]:
        cursor.execute(os.environ["LOCK"].format(berth.worker_id()))
    gate(os.environ["GATE"])
    db.rollback()
"""


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """name: file"""
    out = tmp_path_factory.mktemp("packages")
    quick = {**os.environ, "DEB_BUILD_OPTIONS": f"parallel={os.cpu_count()} noautodbgsym"}
    done = subprocess.run([TREE / "systemd/packages", out], text=True, capture_output=True, env=quick)
    assert done.returncode == 0, done.stderr[-4000:]
    return {re.match(r"([^_]+)_", path.name).group(1): path for path in out.glob("*.deb")}


@pytest.fixture(scope="module")
def machine(packages):
    if os.geteuid() != 0:
        pytest.skip("a container with systemd takes root")
    made = Container(build=None)
    made.footprints = set(made.run("sh", "-c", FOOTPRINTS).stdout.split())
    yield made
    made.remove()


def install(machine, packages):
    machine.run("mkdir", "-p", "/root/debs")
    for name in NAMES:
        machine.copy(packages[name], f"/root/debs/{name}.deb")
    machine.run("dpkg", "--force-unsafe-io", "--install", *(f"/root/debs/{name}.deb" for name in NAMES))


class Suite:
    """berth run -- pytest -n 2, by a user who is in group berth."""

    def __init__(self, machine, label, database, gate, lock=""):
        self.machine, self.label = machine, label
        words = ["setpriv", "--reuid", "4711", "--regid", "4711", "--init-groups", "env", "-C", "/srv/suite", "HOME=/home/dev",
                 f"DB={database}", f"GATE={gate}", f"LOCK={lock}", "PYTHONDONTWRITEBYTECODE=1",
                 "berth", "run", "--label", label, "--", "/usr/bin/python3", "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider"]
        self.process = machine.start(*words)
        lease = until(lambda: next((x for x in machine.json("list")["leases"] if x["context"]["label"] == label), None))
        self.namespace = lease["context"]["namespace"]

    def members(self):
        [lease] = [x for x in self.machine.json("list")["leases"] if x["context"]["namespace"] == self.namespace]
        return lease["runtime"]["members"]

    def end(self):
        out, _ = self.process.communicate(timeout=60)
        return self.process.returncode, out


@pytest.fixture(scope="module")
def suites(machine):
    """What the story leaves for the next test: the suites that run, by label."""
    return {}


def gate(machine, name):
    machine.run("touch", f"/srv/gates/{name}")


def sql(machine, text, database="platform", user="berth"):
    return machine.run("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", SOCKET, "-U", user, "-d", database, "-c", text).stdout.strip()


def start_postgres(machine):
    bin = sorted(machine.run("sh", "-c", "ls -d /usr/lib/postgresql/*/bin").stdout.split())[-1]
    machine.run("useradd", "--create-home", "--uid", "4711", "--groups", "berth", "dev")
    for folder in ("/run/testpg", "/srv/pg"):
        machine.run("install", "-d", "-o", "postgres", folder)
    machine.run("runuser", "-u", "postgres", "--", f"{bin}/initdb", "-D", "/srv/pg", "-A", "trust", "-U", "berth", "--no-sync")
    machine.run("systemd-run", "--quiet", "--unit=testpg", "-p", "User=postgres", f"{bin}/postgres", "-D", "/srv/pg", "-k", SOCKET,
                "-c", "listen_addresses=", "-c", "fsync=off")
    until(lambda: machine.run("psql", "-h", SOCKET, "-U", "berth", "-d", "postgres", "-c", "SELECT 1", check=False).returncode == 0)
    sql(machine, "CREATE ROLE dev LOGIN", "postgres")
    for name in DATABASES:
        sql(machine, f"CREATE DATABASE {name} OWNER dev", "postgres")
        sql(machine, "CREATE TABLE public.shared (id int)", name, "dev")


def test_they_build_without_a_warning_and_lintian_is_silent(packages):
    assert sorted(packages) == sorted(NAMES)
    folder = packages["berth"].parent
    log = (folder / "build.log").read_text()
    assert re.findall(r".*warning: .*", log) == []
    [changes] = folder.glob("*.changes")
    done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", changes], text=True, capture_output=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def test_installing_gives_a_socket_that_waits(machine, packages):
    install(machine, packages)
    assert machine.run("systemctl", "is-enabled", "berthd.socket").stdout.strip() == "enabled"
    assert machine.show("ActiveState", "berthd.socket") == "active"
    assert machine.show("ActiveState") == "inactive"
    assert machine.run("stat", "-c", "%U:%G %a", "/run/berth/io.berth.lease").stdout.strip() == "root:berth 660"
    assert machine.run("getent", "passwd", "berth").stdout.split(":")[5:] == ["/var/lib/berth", "/usr/sbin/nologin\n"]
    told = machine.run("systemd-analyze", "security", "--no-pager", "berthd.service", check=False).stdout
    assert float(re.search(r"Overall exposure level for berthd.service: ([\d.]+)", told).group(1)) <= 1.5
    # the configuration names every option, and changes none
    machine.run("berthd", "--check-config")
    lines = machine.run("cat", "/etc/berth/berth.conf").stdout.splitlines()
    assert ";ddl_slots = 2" in lines and "[databases]" in lines
    assert all(line == "" or line[0] in ";[" for line in lines)
    machine.run("pkg-config", "--libs", "berth")
    assert "no process of the run is alive" in re.sub(r"\s+", " ", machine.run("mandoc", "/usr/share/man/man1/berth-run.1.gz").stdout)
    assert "Berth test-namespace lease daemon" in machine.run("systemctl", "cat", "berthd.service").stdout


def test_the_first_client_starts_it_and_it_knows_no_database(machine):
    assert machine.json("status")["databases"] == []
    assert machine.run("ps", "-o", "user=", "-p", machine.show("MainPID")).stdout.strip() == "berth"
    told = machine.run("berth", "doctor", check=False)
    assert told.returncode == 1 and told.stdout.count("\nok: ") >= 5
    [finding] = [line for line in told.stdout.splitlines() if not line.startswith("ok: ")][:-1]
    assert "no database is configured" in finding and "[databases]" in finding and "systemctl reload berthd" in finding
    # the journal explains itself, with no command of ours
    assert "91b4958d88664da389d2a00f394dc307" in machine.run("journalctl", "--list-catalog").stdout


def test_two_suites_run_on_three_databases_and_it_is_seen_who_waits_for_whom(machine, suites):
    start_postgres(machine)
    machine.write("/etc/berth/berth.conf", CONF)
    machine.run("systemctl", "restart", "berthd.service")
    until(lambda: [d["reachable"] for d in machine.json("status")["databases"]] == [True] * 3, what="three databases")
    assert machine.run("berth", "doctor").stdout.endswith("\n0 findings\n")
    machine.run("install", "-d", "-m", "777", "/srv/suite", "/srv/gates")
    machine.write("/srv/suite/test_it.py", SUITE)
    suites["nightly"] = nightly = Suite(machine, "nightly", "platform", "nightly", "SELECT 1")
    until(lambda: len(machine.json("status")["clusters"][0]["holders"]) == 2, what="two builds")
    suites["branch"] = branch = Suite(machine, "branch", "tenant1", "branch", "LOCK TABLE public.shared IN ACCESS SHARE MODE")
    [cluster] = until(lambda: [c for c in machine.json("status")["clusters"] if len(c["waiters"]) == 2], what="two waiters")
    assert {(h["namespace"], h["worker"]) for h in cluster["holders"]} == {(nightly.namespace, "gw0"), (nightly.namespace, "gw1")}
    assert {w["namespace"] for w in cluster["waiters"]} == {branch.namespace}
    for words in (("status",), ("list",)):
        shown = machine.run("berth", *words).stdout
        assert nightly.namespace[:11] in shown and branch.namespace[:11] in shown, shown
        assert max(map(len, shown.splitlines())) <= 80, shown
    gate(machine, "build")
    until(lambda: not machine.json("status")["clusters"][0]["holders"] and len(schemas(machine)) == 4, what="four schemas")


def schemas(machine):
    return {(name, schema) for name in DATABASES
            for schema in sql(machine, "SELECT nspname FROM pg_namespace WHERE nspname ~ '^test_'", name).split()}


def test_what_blocks_is_named_on_both_sides(machine, suites):
    nightly, branch = suites["nightly"].namespace, suites["branch"].namespace
    until(lambda: sql(machine, "SELECT count(*) FROM pg_locks WHERE relation = 'public.shared'::regclass", "tenant1") == "2")
    blocked = machine.start("env", f"PGAPPNAME=pytest_gw1_{nightly}", "psql", "-X", "-h", SOCKET, "-U", "dev", "-d", "tenant1", "-c",
                            "BEGIN; LOCK TABLE public.shared; SELECT pg_backend_pid()")
    pairs = until(lambda: len(machine.json("locks")["locks"]) == 2 and machine.json("locks")["locks"], what="a blocked session")
    for pair in pairs:
        assert (pair["database"], pair["blocked"]["namespace"], pair["blocked"]["worker"]) == ("tenant1", nightly, "gw1")
        assert pair["blocker"]["namespace"] == branch and "ACCESS SHARE" in pair["blocker"]["query"]
    assert {pair["blocker"]["worker"] for pair in pairs} == {"gw0", "gw1"}
    shown = machine.run("berth", "locks").stdout
    assert nightly in shown and branch in shown
    sql(machine, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'", "tenant1")
    blocked.stdin.close()
    blocked.wait(30)


def test_what_a_crashed_run_left_is_swept_or_kept_and_both_are_explained(machine, suites):
    nightly, branch = suites["nightly"], suites["branch"].namespace
    kept, swept = f"test_{nightly.namespace}_gw0", f"test_{nightly.namespace}_gw1"
    # somebody's view reaches into one of them
    sql(machine, f"CREATE VIEW public.books AS SELECT * FROM {kept}.book", "platform", "dev")
    machine.run("kill", "-KILL", *(str(m["process"]["pid"]) for m in nightly.members()))
    assert nightly.end()[0] != 0
    until(lambda: ("platform", swept) not in schemas(machine), what="the sweep of the crashed run")
    assert {schema for _, schema in schemas(machine)} == {kept, f"test_{branch}_gw0", f"test_{branch}_gw1"}

    def explained(name):
        return machine.json("explain", name)

    assert explained(swept)["standing"] == "dropped"
    answer = until(lambda: explained(kept)["standing"] == "kept" and explained(kept), what="the verdict")
    assert "view" in answer["answer"] and "books" in answer["answer"]
    assert explained(f"test_{branch}_gw0")["standing"] == "live"
    assert explained(nightly.namespace)["leases"][0]["state"] == "crashed"
    assert "crashed" in machine.run("berth", "history", nightly.namespace).stdout
    last = machine.json("sweep")
    verdicts = {k["schema"]: k["reason"] for d in last["databases"] for k in d["kept"]}
    assert verdicts == {kept: "external_dependents", f"test_{branch}_gw0": "live", f"test_{branch}_gw1": "live"}


def test_operators_read_the_ledger_while_it_works_and_those_who_may_lease_do_not(machine, suites):
    words = "SELECT count(*) FROM lease WHERE ended_usec IS NULL"

    def read(group):
        return machine.run("setpriv", "--reuid", "65534", "--regid", "65534", "--groups", group, "sqlite3", "-readonly",
                           "/var/lib/berth/ledger.db", words, check=False)

    assert read("berth-operators").stdout.strip() == "1"
    assert read("berth").returncode != 0


def test_an_upgrade_in_the_middle_of_a_run_is_not_noticed_by_it(machine, packages, suites):
    branch = suites["branch"]
    before, pid = branch.members(), machine.show("MainPID")
    install(machine, packages)
    assert until(lambda: machine.show("MainPID") not in ("0", pid) and machine.show("MainPID"), what="the new daemon")
    assert machine.run("cat", "/etc/berth/berth.conf").stdout == CONF
    assert branch.members() == before and all(m["connected"] for m in before)
    gate(machine, "branch")
    code, out = branch.end()
    assert code == 0 and "2 passed" in out
    sql(machine, "DROP VIEW public.books", "platform")
    assert machine.json("sweep")["active_detection_complete"]
    until(lambda: not schemas(machine), what="nothing left")


def test_every_command_of_the_runbook_works(machine):
    text = (TREE / "docs/operations.md").read_text().split("## Runbook")[1].split("\n## ")[0]
    commands = re.findall(r"^\$ (.*)$", "".join(re.findall(r"```console\n(.*?)```", text, re.DOTALL)), re.MULTILINE)
    assert len(commands) > 40
    forgotten = Suite(machine, "forgotten", "tenant2", "forgotten")
    until(lambda: ("tenant2", f"test_{forgotten.namespace}_gw0") in schemas(machine), what="a schema to ask about")
    environment = [f"NAMESPACE={forgotten.namespace}", f"SCHEMA=test_{forgotten.namespace}_gw0", "PGHOST=" + SOCKET, "PGUSER=berth",
                   "PGDATABASE=platform"]
    for command in commands:
        done = machine.run("env", *environment, "sh", "-c", command, check=False)
        assert done.returncode == 0 or command == "berth doctor" and done.returncode == 1, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}\n{machine.journal()}"
        if "ended_leases" in command:
            assert "namespace" in done.stdout, command
    gate(machine, "forgotten")
    forgotten.end()


def test_purge_leaves_nothing(machine):
    machine.run("dpkg", "--purge", *NAMES)
    left = set(machine.run("sh", "-c", FOOTPRINTS).stdout.split()) - machine.footprints
    assert left == set()
    assert machine.run("getent", "passwd", "berth", check=False).returncode == 2
    assert machine.run("getent", "group", "berth", "berth-operators", check=False).stdout == ""
    assert machine.run("systemctl", "list-unit-files", "berthd*", check=False).stdout.count("berthd") == 0
