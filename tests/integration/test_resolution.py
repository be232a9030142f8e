# SPDX-License-Identifier: MIT
"""Where a namespace comes from, row by row of docs/pytest.md's table, with a real berthd, runner and xdist."""

import re
import signal
import subprocess

import pytest

from harness import BERTH, Daemon, is_alive, until
from suites import PYTEST, Pane, Suite, headers

MAKEFILE = f"all: one two\none two:\n\t@{' '.join(PYTEST)} -n1 > out-$@ 2>&1\n"
EXPORT = "TOKEN=p$$t$(date +%s)r0a1b2c3d; export"
PYTEST_IN_A_TEST = """
    import os, subprocess, sys

    def test_starts_a_pytest():
        if "INNER" not in os.environ:
            inner = {**os.environ, "INNER": "1"}
            subprocess.run(COMMAND, env=inner, check=True)
"""


@pytest.fixture(scope="module")
def daemon():
    """It needs no database to say who has which name."""
    daemon = Daemon({})
    yield daemon
    daemon.remove()


@pytest.fixture
def suite(daemon, tmp_path):
    suite = Suite(tmp_path, daemon)
    yield suite
    suite.end()
    until(lambda: daemon.leases() == [], what="the end of all leases")


def nested(suite, *options):
    return suite.write("test_it.py", PYTEST_IN_A_TEST.replace("COMMAND", repr([*PYTEST, *options])))


# ---- the runner's ----


@pytest.mark.parametrize("options", [["-n2"], ["-n0"], ["-p", "no:xdist"]], ids=" ".join)
def test_under_berth_run_it_is_the_runners(suite, options):
    output = suite.run(*suite.under_berth_run(*options))
    namespace = suite.namespace()
    runner = re.match(r"p(\d+)t", namespace)[1]
    assert headers(output) == {namespace: f"lease of berth run, pid {runner}"}
    assert {one["worker"] for one in suite.seen()} == ({"gw0", "gw1"} if options == ["-n2"] else {"gw0"})
    assert all(one["schema"] == f"test_{namespace}_{one['worker']}" for one in suite.seen())


def test_of_two_that_make_starts_at_once_one_has_the_runners(suite):
    """Whoever comes first; both wait for the other's namespace, so that they are there at once."""
    suite.write("Makefile", MAKEFILE).write("test_it.py", """
        import os, time
        def test_waits_for_the_other():
            while len([name for name in os.listdir(os.environ["SEEN"]) if name.endswith(".json")]) < 2:
                time.sleep(0.01)
    """)
    suite.run(BERTH, "run", "--", "make", "-s", "-j2")
    said = headers((suite.folder / "out-one").read_text() + (suite.folder / "out-two").read_text())
    assert said.keys() == suite.namespaces() and len(said) == 2
    [runners] = [namespace for namespace, source in said.items() if source.startswith("lease of berth run")]
    [other] = said.keys() - {runners}
    assert re.fullmatch(rf"new; {runners} is in use by pytest pid \d+", said[other])


@pytest.mark.parametrize("command", [["-n2"], [BERTH, "run", "--", *PYTEST, "-n2"]], ids=["plain", "berth run"])
def test_a_pytest_that_a_test_starts_has_one_of_its_own(suite, command):
    nested(suite, "-n1")
    suite.run(*command)
    [inner] = [one for one in suite.seen() if one["source"].startswith("new; ")] or [None]
    assert len(suite.namespaces()) == 2 and all(one["leased"] for one in suite.seen())


def test_a_relative_socket_is_the_one_of_where_the_run_was_started(daemon, tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (tmp_path / "test_it.py").write_text(
        f"import os\ndef test_it(berth):\n    os.chdir({str(folder)!r})\n"
        f"    assert berth.info().socket == os.environ['BERTH_SOCKET'] == {str(daemon.socket)!r}\n")
    for command in (PYTEST, [*PYTEST, "-n1"], [BERTH, "run", "--", "sh", "-c", f"test $BERTH_SOCKET = {daemon.socket}"]):
        done = subprocess.run([*command, *([str(tmp_path / "test_it.py")] if command[0] != BERTH else [])],
                              env=daemon.environment(BERTH_SOCKET=daemon.socket.name), cwd=daemon.directory,
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_of_two_in_a_row_under_one_runner_both_have_the_runners(suite):
    suite.run(BERTH, "run", "--", "sh", "-c", f"{' '.join(PYTEST)} && {' '.join(PYTEST)} -n2")
    assert suite.namespace()


def test_a_pytest_in_a_tmux_pane_that_inherited_an_ended_runs_variables_ignores_them(suite, tmp_path):
    inherited = dict(line.split("=", 1) for line in suite.run(BERTH, "run", "--", "env").splitlines()
                     if line.startswith("BERTH_"))
    pane = Pane(tmp_path, suite.environment(**inherited))
    try:
        pane.type([*PYTEST, "-n2"], suite.folder)
        status, output = pane.wait()
    finally:
        pane.close()
    assert status == 0, output
    stale = inherited["BERTH_NAMESPACE"]
    assert suite.namespace() != stale
    assert re.fullmatch(rf"new; ignored stale BERTH_NAMESPACE={stale}, ended \d+ \w+ ago", *headers(output).values())


# ---- others' ----


def test_a_foreign_runners_token_is_its_runs(suite):
    """The runner of the first seed document: it exports a token, and knows nothing of leases."""
    output = suite.run("sh", "-c", f"{EXPORT} BERTH_NAMESPACE=$TOKEN; echo $$; {' '.join(PYTEST)} -n2; true")
    pid = output.splitlines()[0]
    assert headers(output) == {suite.namespace(): f"from runner pid {pid}"}
    assert suite.namespace().startswith(f"p{pid}t") and suite.namespace().endswith("r0a1b2c3d")


def test_by_the_name_that_its_variable_has(suite):
    suite.write("pytest.ini", "[pytest]\nberth_namespace_env = HONEY_TEST_SCHEMA_NAMESPACE\n")
    output = suite.run("sh", "-c", f"{EXPORT} HONEY_TEST_SCHEMA_NAMESPACE=$TOKEN; {' '.join(PYTEST)}; true")
    assert headers(output)[suite.namespace()].startswith("from runner pid ")


def test_of_two_pytests_of_a_foreign_runner_the_second_has_one_of_its_own(suite):
    nested(suite)
    output = suite.run("sh", "-c", f"{EXPORT} BERTH_NAMESPACE=$TOKEN; {' '.join(PYTEST)} -s; true")
    assert sorted(source.partition(" ")[0] for source in headers(output).values()) == ["from", "new;"]


def test_an_export_that_nobody_alive_has_made_is_ignored(suite):
    output = suite.run("-n2", BERTH_NAMESPACE="p1t1000000000r00000000")
    assert headers(output) == {suite.namespace(): "new; ignored stale BERTH_NAMESPACE=p1t1000000000r00000000"}


def test_a_forced_name_is_taken_and_nobody_else_can_have_it(suite):
    suite.write("test_it.py", """
        import os, time
        def test_waits():
            while not os.path.exists("go"):
                time.sleep(0.01)
    """)
    first = suite.start("-n1", "--berth-namespace=mydebug")
    until(lambda: suite.seen() or first.poll() is not None, what="a first run")
    refused = suite.run(status=4, BERTH_NAMESPACE_FORCE="mydebug")
    assert re.search(rf"^ERROR: berth: namespace mydebug is in use by pid {first.pid}; wait for that run, or choose"
                     " another name$", refused, re.MULTILINE), refused
    (suite.folder / "go").touch()
    output, _ = first.communicate(timeout=60)
    assert headers(output) == {"mydebug": "forced"} and first.returncode == 0
    assert suite.run(BERTH_NAMESPACE_FORCE="mydebug")  # its run has ended


# ---- none ----


@pytest.mark.parametrize("mode,leased", [("auto", True), ("require", True), ("off", False)])
def test_the_modes_where_there_is_a_daemon(suite, mode, leased):
    output = suite.run(f"--berth={mode}")
    assert {one["leased"] for one in suite.seen()} == {leased}
    assert ("berth: off\n" in output) == (mode == "off") and "new lease" in output or mode == "off"


# ---- xdist ----


@pytest.mark.parametrize("way", ["each", "loadscope", "worksteal"])
def test_every_way_to_distribute_gives_each_worker_a_schema_in_one_namespace(suite, way):
    process = suite.start("-n2", f"--dist={way}")
    output, _ = process.communicate(timeout=60)
    if process.returncode == 4 and f"invalid choice: '{way}'" in output and way == "worksteal":
        print("this pytest-xdist is older than 3.2 and has no worksteal")
        return
    assert process.returncode == 0, output
    assert {one["schema"] for one in suite.seen()} <= {f"test_{suite.namespace()}_gw{n}" for n in (0, 1)}


def test_workers_may_have_names(suite):
    output = suite.run("--dist=each", "--tx=popen//id=alpha", "--tx=popen//id=beta2")
    assert headers(output) == {suite.namespace(): "new lease"}
    schemas = {one["schema"] for one in suite.seen()}
    assert schemas == {f"test_{suite.namespace()}_{name}" for name in ("alpha", "beta2")}


@pytest.mark.parametrize("name,told", [
    ("My-Worker", "worker has 'M' at byte 1; allowed are a letter, then a-z and 0-9"),
    ("a_b", "worker has '_' at byte 2; allowed are a letter, then a-z and 0-9"),
    ("a1234567890123456", "worker is 17 bytes long, 1 more than the 16 allowed"),
])
def test_a_name_that_would_not_fit_is_a_usage_error_that_says_the_rule(suite, name, told):
    output = suite.run("--dist=load", f"--tx=popen//id={name}", status=4)
    assert f"berth: {told}\n" in output and "Traceback" not in output and not suite.seen()


def test_a_replaced_worker_has_a_schema_of_its_own_in_the_same_namespace(suite):
    suite.write("test_it.py", """
        import os, pathlib

        def test_crashes():
            os._exit(1)

        def test_works():
            pass
    """)
    suite.run("-n1", status=1)
    assert {one["schema"] for one in suite.seen()} == {f"test_{suite.namespace()}_gw{n}" for n in (0, 1)}


# ---- forks ----


def test_a_child_that_a_test_forks_has_the_names_and_slots_of_its_own_and_does_not_keep_the_lease(suite, daemon):
    """It outlives the run, which gets no chance to close anything, and has no copy of what carries the lease."""
    suite.write("test_it.py", """
        import os, stat, time, pytest_berth

        def in_the_child(told):
            with pytest_berth.ddl_slot(timeout=10):
                os.write(told, pytest_berth.worker_schema().encode())
            for fd in range(256):  # a pipe's other end would wait for us; sockets stay
                try:
                    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
                        os.close(fd)
                except OSError:
                    pass
            while not os.path.exists("go"):
                time.sleep(0.01)

        def test_forks(berth):
            ours, its = os.pipe()
            child = os.fork()
            if child == 0:
                try:
                    in_the_child(its)
                finally:
                    os._exit(0)
            os.close(its)
            assert os.read(ours, 100).decode() == berth.worker_schema()
            with open("child", "w") as file:
                file.write(str(child))
            os.kill(os.getpid(), 9)
    """)
    suite.run("-n0", status=-signal.SIGKILL)
    child = int((suite.folder / "child").read_text())
    try:
        until(lambda: daemon.leases() == [], what="the end of the lease")
        assert is_alive(child)
    finally:
        (suite.folder / "go").touch()
