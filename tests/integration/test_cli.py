# SPDX-License-Identifier: MIT
"""The berth command and the real daemon: leases and slots held by commands, waited for, lost and found again."""

import os
import re
import signal
import subprocess
import threading

import pytest

from harness import BERTH, BUILD, PYTHON, until
from somebody import BECOME, copy_of_berth


def start(daemon, *words, **more):
    return subprocess.Popen([BERTH, *map(str, words)], env=daemon.environment(**more), text=True,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            start_new_session=True)


def hold(daemon, *options, verb="run", **more):
    """A command that holds a lease or slot until its stdin closes; its namespace."""
    held = start(daemon, verb, *options, "--", "sh", "-c", "echo $BERTH_NAMESPACE; read x; exit 0", **more)
    namespace = held.stdout.readline().strip()
    assert namespace, held.stderr.read()
    return held, namespace


def let_go(*held):
    for process in held:
        process.stdin.close()
        assert process.wait(30) == 0, process.stderr.read()


def states(daemon, *words):
    return {lease["context"]["namespace"]: lease["runtime"]["state"] for lease in daemon.json("list", *words)["leases"]}


def test_a_run_has_a_lease_while_it_lasts(daemon):
    held, namespace = hold(daemon, "--label", "nightly")
    lease = daemon.json("status", namespace)
    assert lease["runtime"]["state"] == "live" and lease["context"]["label"] == "nightly"
    assert [member["process"]["pid"] for member in lease["runtime"]["members"]] == [held.pid]
    let_go(held)
    assert daemon.leases() == [] and states(daemon, "--all")[namespace] == "released"


def test_a_run_has_its_namespace_under_every_configured_alias(make_daemon, tmp_path):
    daemon = make_daemon({"namespace_env": "HONEY_NS OTHER_NS"})
    script = "echo $BERTH_NAMESPACE $HONEY_NS $OTHER_NS $MY_NS"
    words = daemon.berth("run", "sh", "-c", script, check=0, HONEY_NS="stale", BERTH_NAMESPACE_ENV="MY_NS").stdout.split()
    assert len(words) == 4 and len(set(words)) == 1

    (tmp_path / "test_it.py").write_text("""
import os
def test_it(berth):
    assert os.environ["HONEY_NS"] == os.environ["OTHER_NS"] == os.environ["BERTH_NAMESPACE"] == berth.namespace()
""")
    done = subprocess.run([PYTHON, "-m", "pytest", "-q", "-p", "pytest_berth.plugin", "-p", "no:cacheprovider"],
                          cwd=tmp_path, env=daemon.environment(HONEY_NS="stale"), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout

    daemon.options["namespace_env"] = "THIRD_NS"
    daemon.write_config()
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_for_log("configuration read again")
    words = daemon.berth("run", "sh", "-c", "echo $BERTH_NAMESPACE $HONEY_NS $THIRD_NS", check=0).stdout.split()
    assert len(words) == 2 and len(set(words)) == 1


def test_a_forced_name_is_refused_while_it_is_live_and_given_again_after(daemon):
    held, _ = hold(daemon, "--namespace", "mydebug")
    refused = daemon.berth("run", "true", BERTH_NAMESPACE_FORCE="mydebug", check=75)
    assert re.fullmatch(rf"berth: namespace mydebug is in use; held by .* \(pid {held.pid}, .*\n", refused.stderr)
    let_go(held)
    daemon.berth("run", "--namespace", "mydebug", "true", check=0)


def test_a_run_waits_for_its_turn_and_says_so(make_daemon):
    daemon = make_daemon({"max_leases": 1})
    first, _ = hold(daemon)
    assert "in queue" not in daemon.berth("run", "-n", "true", check=75).stderr
    assert "nothing became free within" in daemon.berth("run", "-w", "200ms", "true", check=75).stderr
    second = start(daemon, "run", "echo", "ran")
    assert second.stderr.readline().startswith("berth: waiting for a lease, 1st in queue")
    let_go(first)
    assert second.wait(30) == 0 and second.stdout.read() == "ran\n"


def test_slots_bound_the_builders_of_one_server(daemon):
    held = [hold(daemon, "--database", "platform", verb="slot")[0] for _ in range(2)]
    busy = daemon.berth("slot", "-n", "--database", "tenant1", "true", check=75).stderr
    assert busy.count("gw0 of p") == 2
    daemon.berth("slot", "-n", "--database", "tenant2", "true", check=0)
    third = start(daemon, "slot", "--database", "tenant1", "echo", "built")
    assert third.stderr.readline().startswith("berth: waiting for a DDL slot, 1st in queue; held by gw0 of p")
    let_go(held[0])
    assert third.wait(30) == 0
    let_go(held[1])
    assert daemon.leases() == []


def test_with_several_servers_a_slot_needs_to_be_told_which(daemon):
    assert "name one with --database" in daemon.berth("slot", "true", check=64).stderr


def test_a_slot_in_a_run_belongs_to_the_run(daemon):
    done = daemon.berth("run", "--", "sh", "-c", f"{BERTH} slot --worker gw3 --database platform {BERTH} status --json",
                        check=0)
    assert '"worker":"gw3"' in done.stdout and '"leases":1' in done.stdout


def test_a_killed_wrapper_does_not_end_the_run(daemon):
    held = start(daemon, "run", "sh", "-c", "echo $$ $BERTH_NAMESPACE; exec sleep 60")
    command, namespace = held.stdout.readline().split()
    held.kill()
    held.wait()
    until(lambda: daemon.json("status", namespace)["runtime"]["state"] == "live")
    os.kill(int(command), 0)
    assert states(daemon) == {namespace: "live"}
    os.kill(int(command), signal.SIGKILL)
    until(lambda: states(daemon, "--all").get(namespace) == "crashed")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_daemon_that_comes_back_finds_its_runs(daemon, how):
    held, namespace = hold(daemon)
    daemon.stop(how)
    daemon.start()
    until(lambda: states(daemon) == {namespace: "live"}, what="the run's return")
    let_go(held)
    assert held.stderr.read() == "" and states(daemon, "--all")[namespace] == "released"


def test_a_slot_is_the_same_one_after_a_restart(make_daemon):
    daemon = make_daemon({"start_grace": "30s"})
    held, _ = hold(daemon, "--database", "tenant2", verb="slot")

    def holders():
        return [use["slot"] for cluster in daemon.json("status")["clusters"] for use in cluster["holders"]]

    before = holders()
    daemon.stop(signal.SIGKILL)
    daemon.start()
    until(lambda: holders() == before, what="the slot's return")
    let_go(held)
    assert held.stderr.read() == "" and holders() == []


def test_revoking_ends_the_lease_and_not_the_run(daemon):
    held, namespace = hold(daemon)
    daemon.berth("revoke", namespace, "--reason", "forgotten", check=0)
    assert states(daemon, "--all")[namespace] == "revoked"
    held.stdin.close()
    assert held.wait(30) == 0
    assert "forgotten" in held.stderr.read()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
def test_another_users_lease_is_not_ours_to_end(daemon):
    held, namespace = hold(daemon)
    os.chmod(daemon.directory, 0o755)
    os.chmod(daemon.socket, 0o666)
    berth, environment = copy_of_berth(BERTH, daemon.directory / "bin")
    done = subprocess.run([*BECOME, berth, "revoke", namespace], env=daemon.environment(**environment),
                          capture_output=True, text=True)
    assert done.returncode == 77 and "berth: not permitted" in done.stderr
    let_go(held)


def test_kept_schemas_outlive_the_run(daemon, databases):
    held, namespace = hold(daemon, "--keep")
    databases["platform"].make_schema("platform", f"test_{namespace}_gw0")
    let_go(held)
    assert "are kept until" in held.stderr.read()
    kept = daemon.sweep()["databases"]
    assert [row["reason"] for database in kept for row in database["kept"]] == ["keep"]
    assert databases["platform"].schemas("platform") == [f"test_{namespace}_gw0"]


def test_locks_name_both_runs(daemon, databases):
    server = databases["platform"]
    server.make_schema("platform", "test_pa_gw0")
    blocker = server.connect("platform", application_name="pytest_gw1_pa")
    waiter = server.connect("platform", application_name="pytest_gw2_pb")
    blocker.cursor().execute("BEGIN; LOCK TABLE test_pa_gw0.t0")
    thread = threading.Thread(target=lambda: waiter.cursor().execute("DROP SCHEMA test_pa_gw0 CASCADE"))
    thread.start()
    until(lambda: daemon.json("locks")["locks"], what="a lock wait")
    text = daemon.berth("locks", "platform", check=0).stdout
    blocker.close()
    thread.join()
    waiter.close()
    assert re.search(r"^platform: gw2 of pb \(pid \d+\)$", text, re.M), text
    assert re.search(r"behind +gw1 of pa \(pid \d+\)", text), text


def test_an_ended_lease_keeps_its_label_and_its_start_also_across_a_restart(daemon, databases):
    held, namespace = hold(daemon, "--label", "nightly run")
    databases["platform"].make_schema("platform", f"test_{namespace}_gw0")
    daemon.berth("keep", namespace, check=0)
    [live] = daemon.leases()
    let_go(held)
    for _ in range(2):
        [past] = daemon.json("list", "--all")["leases"]
        assert past["context"]["label"] == "nightly run" and past["runtime"]["state"] == "released"
        assert past["runtime"]["sinceUSec"] == live["runtime"]["sinceUSec"] < past["runtime"]["endedUSec"]
        assert "nightly run" in daemon.berth("list", "--all", check=0).stdout
        daemon.stop(signal.SIGKILL)
        daemon.start()


def test_an_installation_into_any_prefix_finds_its_library(tmp_path):
    subprocess.run(["cmake", "--install", BUILD, "--prefix", tmp_path], check=True, capture_output=True)
    moved = tmp_path.with_name("elsewhere")
    tmp_path.rename(moved)
    done = subprocess.run([moved / "bin" / "berth", "--version"], text=True, capture_output=True, check=True)
    assert re.fullmatch(r"berth \d+\.\d+\.\d+\n", done.stdout)
