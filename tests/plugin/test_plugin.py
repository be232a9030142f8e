# SPDX-License-Identifier: MIT
"""The plugin in a real pytest, with and without xdist."""

import json
import os
import signal
import time

import pytest

REPORTS = """
    import json, os, pathlib, pytest, pytest_berth
    AT_IMPORT = pytest_berth.namespace(), pytest_berth.worker_id()

    def pytest_configure(config):
        config.addinivalue_line("markers", "x")

    @pytest.fixture
    def report(berth):
        def report(**facts):
            facts.update(namespace=berth.namespace(), worker=berth.worker_id(), schema=berth.worker_schema(),
                         at_import=AT_IMPORT, leased=berth.info().leased, pid=os.getpid())
            path = pathlib.Path(f"report-{berth.worker_id()}-{os.getpid()}-{len(os.listdir())}.json")
            path.write_text(json.dumps(facts))
        return report
"""


@pytest.fixture
def suite(project):
    """Eight tests that write down what they see."""
    project.write("conftest.py", REPORTS)
    project.write("test_it.py", """
        import pytest
        @pytest.mark.parametrize("n", range(8))
        def test_it(report, n):
            report()
    """)
    return project


def reports(project):
    return [json.loads(path.read_text()) for path in project.path.glob("report-*.json")]


def the(values):
    """The one value they all are."""
    values = set(values)
    assert len(values) == 1, values
    return values.pop()


@pytest.mark.parametrize("arguments,expected", [
    ([], "gw0"), (["-n0"], "gw0"), (["-p", "no:xdist"], "gw0"), (["-n2"], "gw0 gw1"),
    (["-n2", "--dist=each"], "gw0 gw1"), (["--dist=load", "--tx=2*popen//id=alpha", "--maxprocesses=2"], ""),
], ids=str)
def test_every_worker_has_the_runs_namespace_and_a_schema_of_its_own(suite, fake, arguments, expected):
    workers = set(expected.split())
    outcome = suite.run(*arguments, BERTH_SOCKET=fake.socket)
    assert outcome.status == 0, outcome
    seen = reports(suite)
    namespace = the(report["namespace"] for report in seen)
    assert {report["worker"] for report in seen} == (workers or {report["worker"] for report in seen})
    assert all(report["schema"] == f"test_{namespace}_{report['worker']}" for report in seen)
    assert all(report["at_import"] == [namespace, report["worker"]] for report in seen)
    assert outcome.header == f"berth: {namespace} (new lease)"
    fake.wait_for(lambda: fake.find(namespace).state == "released")
    attached = {parameters["worker"] for parameters in fake.called("Attach") if parameters["role"] == "worker"}
    assert attached == (set() if not any("-n2" in a or "--tx" in a for a in arguments) else
                        {report["worker"] for report in seen})


def test_the_exit_status_is_told(suite, fake):
    suite.write("test_bad.py", "def test_bad(): assert 0")
    outcome = suite.run("-q", "-n2", BERTH_SOCKET=fake.socket)
    assert outcome.status == 1
    [lease] = fake.leases
    fake.wait_for(lambda: lease.state == "released")
    assert lease.exit_status == 1
    assert lease.label == "pytest -p no:cacheprovider -q -n2"
    [report] = suite.reports.iterdir()
    assert outcome.last_line == f"berth: run {lease.namespace} 1 failed; report {report}; locks: berth locks"


def test_a_green_run_is_silent_but_for_the_header(suite, fake):
    outcome = suite.run("-q", BERTH_SOCKET=fake.socket)
    assert "berth" not in outcome.output and outcome.status == 0


@pytest.mark.parametrize("option", ["--collect-only", "--help", "--version", "--fixtures", "--markers", "--setup-plan",
                                    "--fixtures-per-test", "--cache-show"])
def test_discovery_never_touches_the_daemon(suite, fake, option):
    extra = [] if option != "--cache-show" else ["-p", "cacheprovider"]
    outcome = suite.run(option, *extra, BERTH_SOCKET=fake.socket, BERTH="require")
    assert outcome.status == 0, outcome
    assert fake.calls == [] and outcome.header is None


@pytest.mark.parametrize("option", ["--collect-only", "--setup-plan"])
def test_discovery_works_without_a_daemon_and_with_workers(suite, option):
    outcome = suite.run(option, "-n2", BERTH_SOCKET="/nonexistent", BERTH="require")
    assert outcome.status == 0, outcome


def test_a_runners_lease_is_used_and_left_alone(suite, fake):
    from pytest_berth._hold import Hold

    hold = Hold(fake.socket)
    reply = hold.ask("io.berth.lease.Acquire", {"label": "berth run"})
    namespace = reply["context"]["namespace"]
    outcome = suite.run("-n2", BERTH_SOCKET=fake.socket, BERTH_NAMESPACE=namespace, BERTH_LEASE=reply["secret"])
    assert outcome.status == 0, outcome
    assert the(report["namespace"] for report in reports(suite)) == namespace
    assert outcome.header == f"berth: {namespace} (lease of berth run, pid {os.getpid()})"
    assert not fake.called("Release") and fake.find(namespace).state == "live"
    hold.close()


def test_a_stale_export_is_ignored_and_told(suite, fake):
    outcome = suite.run(BERTH_SOCKET=fake.socket, BERTH_NAMESPACE="p1t1000000000r00000000")
    assert the(report["namespace"] for report in reports(suite)) == fake.leases[0].namespace
    assert outcome.header.endswith("(new; ignored stale BERTH_NAMESPACE=p1t1000000000r00000000)")


@pytest.mark.parametrize("arguments", [["-n0"], ["-n2"]], ids=str)
def test_a_pytest_that_a_test_starts_has_a_namespace_of_its_own(project, fake, arguments):
    """It inherits the namespace, the secret and PYTEST_XDIST_WORKER, and must not believe them; nor may its own
    child."""
    project.write("conftest.py", REPORTS)
    project.write("test_it.py", """
        import os, subprocess, sys
        def test_it(report):
            report()
            depth = int(os.environ.get("DEPTH", 0))
            if depth < 2:
                subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_it.py"], check=True,
                               env={**os.environ, "DEPTH": str(depth + 1)})
    """)
    outcome = project.run(*arguments, BERTH_SOCKET=fake.socket)
    assert outcome.status == 0, outcome
    seen = reports(project)
    assert len(seen) == 3 and len({report["namespace"] for report in seen}) == 3
    assert all(report["leased"] for report in seen)
    fake.wait_for(lambda: {lease.state for lease in fake.leases} == {"released"})


@pytest.mark.parametrize("arguments", [["-n0"], ["-n2"]], ids=str)
@pytest.mark.parametrize("environ", [{"BERTH": "off"}, {"BERTH_SOCKET": "/nonexistent"}], ids=str)
def test_so_it_has_without_a_daemon(project, arguments, environ):
    project.write("conftest.py", REPORTS)
    project.write("test_it.py", """
        import os, subprocess, sys
        def test_it(report):
            report()
            if "DEPTH" not in os.environ:
                subprocess.run([sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_it.py"], check=True,
                               env={**os.environ, "DEPTH": "1"})
    """)
    outcome = project.run(*arguments, **environ)
    assert outcome.status == 0, outcome
    assert len({report["namespace"] for report in reports(project)}) == 2


@pytest.mark.parametrize("plugins", [[], ["-n2"]], ids=str)
def test_a_pytest_inside_the_process_has_a_namespace_of_its_own(project, fake, plugins):
    """pytester runs its projects so. Afterwards the outer one's is back."""
    project.write("test_outer.py", """
        import os, pytest, pytest_berth
        pytest_plugins = ["pytester"]
        def test_outer(pytester, berth):
            outer, environ = berth.namespace(), os.environ["BERTH_NAMESPACE"]
            pytester.makepyfile(test_inner=f'''
                import pytest_berth
                def test_inner(berth):
                    assert berth.namespace() != {outer!r} and berth.worker_id() == "gw0"
            ''')
            pytester.runpytest_inprocess("-p", "pytest_berth.plugin").assert_outcomes(passed=1)
            assert berth.namespace() == outer and os.environ["BERTH_NAMESPACE"] == environ
    """)
    outcome = project.run(*plugins, BERTH_SOCKET=fake.socket, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
                          PYTEST_ADDOPTS="-p pytest_berth.plugin" + (" -p xdist.plugin" if plugins else ""))
    assert outcome.status == 0, outcome


def test_a_crashed_workers_replacement_is_told_too(project, fake):
    project.write("conftest.py", REPORTS)
    project.write("test_it.py", """
        import os, pathlib, pytest
        @pytest.mark.parametrize("n", range(6))
        def test_it(report, n):
            report()
            try:
                pathlib.Path("crashed").touch(exist_ok=False)
            except FileExistsError:
                return
            os._exit(1)
    """)
    outcome = project.run("-n2", BERTH_SOCKET=fake.socket)
    assert outcome.status == 1
    attached = [call for call in fake.called("Attach") if call["role"] == "worker"]
    assert {call["worker"] for call in attached} == {"gw0", "gw1", "gw2"}
    assert the(call["namespace"] for call in attached) == fake.leases[0].namespace


def test_a_killed_controllers_workers_carry_the_lease(project, fake):
    """Orphans go on for up to 15 s; nothing of theirs may go before."""
    project.write("test_it.py", """
        import os, time, pytest
        @pytest.mark.parametrize("n", range(2))
        def test_it(n):
            open(f"pid-{os.getpid()}", "w").close()
            time.sleep(60)
    """)
    process = project.start("-n2", BERTH_SOCKET=fake.socket)
    fake.wait_for(lambda: len([c for c in fake.called("Attach") if c["role"] == "worker"]) == 2)
    [lease] = fake.leases
    fake.wait_for(lambda: len(lease.members) == 3)
    pids = [client.pid for client, (role, _) in lease.members.items() if role == "worker"]
    process.kill()
    fake.wait_for(lambda: len(lease.members) == 2)
    assert lease.state == "live"
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    fake.wait_for(lambda: lease.state == "crashed")
    process.communicate()


def test_a_restarting_daemon_fails_no_test(project, fake):
    project.write("test_it.py", """
        import pathlib, time
        def test_it(berth):
            pathlib.Path("ready").touch()
            while not pathlib.Path("go").exists():
                time.sleep(0.01)
            with berth.ddl_slot():
                pass
    """)
    process = project.start("-n1", BERTH_SOCKET=fake.socket)
    fake.wait_for(lambda: any(c["role"] == "worker" for c in fake.called("Attach")))
    while not (project.path / "ready").exists():  # in the middle of the test, and of no call
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    fake.restart()
    (project.path / "go").touch()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    fake.wait_for(lambda: fake.leases[0].state == "released")


# ---- usage ----


@pytest.mark.parametrize("arguments,environ,told", [
    ([], {"BERTH_SOCKET": "/nonexistent", "BERTH": "require"}, "berth: no socket at /nonexistent; berthd is not running"),
    (["--berth-namespace=my_debug"], {}, "namespace has '_' at byte 3; allowed are a-z and 0-9; try 'mydebug'"),
    ([], {"BERTH_NAMESPACE_FORCE": "my_debug"}, "try 'mydebug'"),
    ([], {"BERTH": "perhaps"}, "BERTH is 'perhaps'; use auto, require or off"),
    ([], {"BERTH_GUARD": "x"}, "guard is 'x'; use error, warn or off"),
    (["-o", "berth_slot_timeout=soon"], {}, "the slot time-out is 'soon'"),
    (["-o", "berth_slot_timeout=nan"], {}, "the slot time-out is 'nan'"),
    (["-o", "berth_slot_timeout=inf"], {}, "the slot time-out is 'inf'"),
    (["-o", "berth_namespace_env=PATH"], {}, "berth_namespace_env has 'PATH'"),
    (["-o", "berth_search_path_extra=a;b"], {}, "use plain lower-case names"),
    (["--berth=require", "--dist=load", "--tx=ssh=host"], {}, "workers on other hosts (ssh=host) cannot reach berthd"),
    (["--dist=load", "--tx=popen//id=My-Worker"], {}, "worker has 'M' at byte 1"),
], ids=str)
def test_misuse_is_a_usage_error_before_collection(suite, arguments, environ, told):
    outcome = suite.run(*arguments, **environ)
    assert outcome.status == 4 and told in outcome.output, outcome
    assert "Traceback" not in outcome.output and not reports(suite)


@pytest.mark.parametrize("arguments,environ,ini,mode", [
    ([], {}, "", "auto"),
    ([], {}, "require", "require"),
    ([], {"BERTH": "off"}, "require", "off"),
    (["--berth=auto"], {"BERTH": "off"}, "require", "auto"),
], ids=str)
def test_option_environment_ini_default_in_this_order(suite, arguments, environ, ini, mode):
    suite.write("pytest.ini", f"[pytest]\nberth = {ini}\n")
    outcome = suite.run(*arguments, BERTH_SOCKET="/nonexistent", **environ)
    assert outcome.status == (4 if mode == "require" else 0), outcome
    assert ("berth: off" in outcome.output) == (mode == "off")
    assert ("going on unleased" in outcome.output) == (mode == "auto")


@pytest.mark.parametrize("arguments", [["-q"], ["-q", "-n2"], ["-W", "error"]], ids=str)
def test_going_on_unleased_is_one_line_also_when_quiet(suite, arguments):
    outcome = suite.run(*arguments, BERTH_SOCKET="/nonexistent")
    assert outcome.status == 0 and outcome.output.count("going on unleased") == 1, outcome
    assert the(report["namespace"] for report in reports(suite))
    assert not any(report["leased"] for report in reports(suite))


def test_aliases_are_exported_beside_ours(project, fake):
    project.write("pytest.ini", "[pytest]\nberth_namespace_env = HONEY_NAMESPACE\n")
    project.write("test_it.py", """
        import os
        def test_it(berth):
            assert os.environ["HONEY_NAMESPACE"] == os.environ["BERTH_NAMESPACE"] == berth.namespace()
    """)
    outcome = project.run("-n1", BERTH_SOCKET=fake.socket, HONEY_NAMESPACE="stale")
    assert outcome.status == 0, outcome


def test_the_plugin_can_be_switched_off(suite, fake):
    suite.write("conftest.py", "")
    suite.write("test_it.py", """
        import pytest, pytest_berth
        def test_it():
            with pytest.raises(pytest_berth.BerthError, match="add -p pytest_berth.plugin"):
                pytest_berth.namespace()
        def test_fixture(berth):
            pass
    """)
    outcome = suite.run("-p", "no:berth", BERTH_SOCKET=fake.socket)
    assert "fixture 'berth' not found" in outcome.output and "1 passed" in outcome.output, outcome
    assert fake.calls == []


def test_without_autoload_it_is_loaded_by_name(suite, fake):
    outcome = suite.run("-p", "pytest_berth.plugin", "-p", "xdist.plugin", "-n2", BERTH_SOCKET=fake.socket,
                        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert outcome.status == 0, outcome
    assert the(report["namespace"] for report in reports(suite)) == fake.leases[0].namespace


def test_changing_the_variable_in_a_conftest_is_noticed(suite, fake):
    suite.write("conftest.py", """
        import os, pytest_berth
        def pytest_configure(config):
            os.environ["BERTH_NAMESPACE"] = "other"
    """)
    outcome = suite.run("-n1", BERTH_SOCKET=fake.socket)
    assert outcome.status != 0, outcome
    assert f"BERTH_NAMESPACE=other, but the controller says {fake.leases[0].namespace}" in outcome.output


def test_info_tells_where_all_this_comes_from(project, fake):
    project.write("test_it.py", f"""
        def test_it(berth):
            info = berth.info()
            assert info.namespace == berth.namespace() and info.worker == "gw0" and info.leased
            assert info.socket == {fake.socket!r} and info.source == "new lease" and info.daemon_version == "9.9.9"
    """)
    outcome = project.run(BERTH_SOCKET=f"unix:{fake.socket}")
    assert outcome.status == 0, outcome


def test_a_lost_lease_is_told_at_the_end(project, fake):
    project.write("test_it.py", """
        import pathlib, time
        def test_it():
            while not pathlib.Path("go").exists():
                time.sleep(0.01)
    """)
    process = project.start("-q", BERTH_SOCKET=fake.socket)
    fake.wait_for(lambda: fake.leases)
    fake.revoke(fake.leases[0].namespace, "operator: disk full")
    (project.path / "go").touch()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    assert f"berth: the lease of {fake.leases[0].namespace} was lost (operator: disk full)" in output
