# SPDX-License-Identifier: MIT
"""What berth's questions show of the answers of a daemon that says what each test wants."""

import json
import re
import time

from cli_fake import answer_with, berth, failed, fake, on_terminal, path, start  # noqa: F401
from fake_berthd import NAMESPACE

NOW = int(time.time() * 1e6)
SWEEP = {"sweep_id": 12, "dry_run": False, "started_at": "2026-11-20T23:17:34Z", "finished_at": "2026-11-20T23:17:35Z",
         "active_namespaces": ["pa"], "active_detection_complete": True, "databases": [
             {"name": "platform", "reachable": True, "error": None, "dropped": ["test_pz_gw0"], "failed": [],
              "unknown": [], "kept": [{"schema": "test_pa_gw0", "reason": "live", "detail": None}]}]}
STATUS = {"version": "0.1.0", "startedUSec": NOW - 7200000000, "leases": 3, "queued": 1,
          "activeDetectionComplete": True, "lastSweep": SWEEP,
          "clusters": [{"systemIdentifier": "7412345678901234567", "databases": ["platform", "tenant1"], "slots": 2,
                        "holders": [{"namespace": "p18234t1745178234r3af93d71", "worker": "gw3", "slot": 0,
                                     "database": "platform", "sinceUSec": NOW - 1200000}],
                        "waiters": [], "lockTable": 6400, "lockPeak": 3959}],
          "databases": [{"name": "platform", "reachable": True, "sinceUSec": NOW},
                        {"name": "tenant1", "reachable": True, "sinceUSec": NOW},
                        {"name": "tenant2", "reachable": False, "sinceUSec": NOW - 40000000,
                         "message": "connection refused"}]}
LEASE = {"context": {"namespace": NAMESPACE, "label": "pytest -n 8 " + "tests/a/very/long/path " * 5, "databases": []},
         "runtime": {"lease": 4, "state": "live", "uid": 0, "sinceUSec": NOW - 60000000, "sessions": 9, "members": [
             {"role": None, "worker": None, "process": {"pid": 11}, "connected": True, "sinceUSec": NOW},
             {"role": "worker", "worker": "gw0", "process": {"pid": 12}, "connected": False, "sinceUSec": NOW}]}}


def test_status_fits_a_terminal(path, fake):
    fake.answers["GetStatus"] = answer_with(STATUS)
    done = berth(path, "status")
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and max(map(len, lines)) <= 80 or len(path) > 60
    assert lines[0] == "● berthd 0.1.0 - serving 3 leases, 1 waiting"
    assert re.search(r"tenant2 UNREACHABLE \(connection refused, \w+\)", done.stdout)
    assert not [line for line in lines if line.endswith(" ")]
    assert "[0] gw3 p18234t17451… " in done.stdout and "[1] free" in done.stdout
    assert "peak 3,959 of 6,400" in done.stdout
    assert "Sweep: 1 dropped, 1 kept" in done.stdout


def test_status_as_json_is_what_the_daemon_said(path, fake):
    fake.answers["GetStatus"] = answer_with(STATUS)
    assert json.loads(berth(path, "status", "--json").stdout) == STATUS


def test_colors_only_when_asked_for(path, fake):
    fake.answers["GetStatus"] = answer_with(STATUS)
    assert "\x1b" not in berth(path, "status", NO_COLOR="").stdout
    assert "\x1b[32m" in berth(path, "--color=always", "status").stdout


def test_status_of_a_lease_shows_its_last_one(path, fake):
    older = {**LEASE, "runtime": {**LEASE["runtime"], "lease": 2, "state": "crashed"}}
    fake.answers["ListLeases"] = answer_with(older, LEASE)
    done = berth(path, "status", NAMESPACE)
    assert done.stdout.startswith(f"● {NAMESPACE} - live\n") and "gw0 pid 12 (not connected)" in done.stdout
    assert fake.of("ListLeases")[0].parameters == {"namespace": NAMESPACE, "all": True}


def test_status_of_an_unknown_lease(path, fake):
    fake.answers["ListLeases"] = answer_with({})
    failed(berth(path, "status", "pnone"), 1, "no lease of namespace pnone")


def test_list_is_a_table_of_80_columns(path, fake):
    fake.answers["ListLeases"] = answer_with(LEASE, LEASE)
    lines = berth(path, "list").stdout.splitlines()
    assert lines[0].split() == ["NAMESPACE", "OWNER", "LABEL", "AGE", "MEMBERS", "STATE"]
    assert len(lines) == 3 and max(map(len, lines)) <= 80
    assert "…" in lines[1] and lines[1].endswith("live")


def test_an_empty_list_is_empty(path, fake):
    fake.answers["ListLeases"] = answer_with({})
    assert berth(path, "list").stdout == ""
    assert json.loads(berth(path, "list", "--json").stdout) == {"leases": []}


def test_list_watch_writes_each_change_at_once(path, fake):
    fake.answers["ListLeases"] = lambda call: (call.reply({"action": "add", **LEASE}, continues=True),
                                               call.reply({"action": "ready"}, continues=True))
    run = start(path, "list", "--watch")
    assert f" + {NAMESPACE}" in run.stdout.readline()
    fake.of("ListLeases")[0].reply({"action": "remove", **LEASE}, continues=True)
    assert f" - {NAMESPACE}" in run.stdout.readline()
    run.terminate()
    run.wait(20)


def test_locks_show_both_sides(path, fake):
    lock = {"database": "tenant1", "waitEvent": "relation", "waitUSec": 3200000,
            "blocked": {"pid": 1, "namespace": "pa", "worker": "gw3", "query": "CREATE TABLE x\n(y int)"},
            "blocker": {"pid": 2, "namespace": "pb", "worker": "gw0", "query": "DROP SCHEMA " + "z" * 200,
                        "transactionUSec": 5000000}}
    fake.answers["ListLocks"] = answer_with(lock)
    done = berth(path, "locks", "tenant1")
    assert "tenant1: gw3 of pa (pid 1)" in done.stdout and "gw0 of pb (pid 2), in transaction for 5s" in done.stdout
    assert "CREATE TABLE x (y int)" in done.stdout and max(map(len, done.stdout.splitlines())) <= 80
    assert fake.of("ListLocks")[0].parameters == {"database": "tenant1"}
    assert json.loads(berth(path, "locks", "--json").stdout) == {"locks": [lock]}


def sweep_of(**changes):
    row = {"database": "platform", "schema": "test_pz_gw0", "verdict": "dropped"}
    return answer_with(row, {"result": {**SWEEP, **changes}})


def test_sweep_prints_the_result_and_nothing_else(path, fake):
    fake.answers["Sweep"] = sweep_of()
    done = berth(path, "sweep", "--json")
    assert done.returncode == 0 and json.loads(done.stdout) == SWEEP
    text = berth(path, "sweep").stdout
    assert re.search(r"^  dropped +test_pz_gw0$", text, re.M) and re.search(r"^  kept +test_pa_gw0  live$", text, re.M)
    assert text.endswith("sweep 12: 1 dropped, 1 kept\n")


def test_sweep_exits_1_if_something_failed(path, fake):
    fake.answers["Sweep"] = sweep_of(databases=[{**SWEEP["databases"][0], "failed": [
        {"schema": "test_px_gw0", "sqlstate": "55P03", "message": "lock timeout"}]}])
    done = berth(path, "sweep")
    assert done.returncode == 1 and "55P03: lock timeout" in done.stdout


def test_sweep_exits_3_if_the_census_is_incomplete(path, fake):
    kept = [{"schema": "test_pz_gw0", "reason": "active_detection_incomplete", "detail": "tenant2"}]
    fake.answers["Sweep"] = sweep_of(active_detection_complete=False, databases=[
        {**SWEEP["databases"][0], "dropped": [], "kept": kept},
        {"name": "tenant2", "reachable": False, "error": "connection refused", "dropped": [], "failed": [],
         "unknown": [], "kept": []}])
    done = berth(path, "sweep", "--dry-run", "platform")
    assert done.returncode == 3
    assert "held back: detection incomplete (tenant2); 1 candidate kept" in done.stdout
    assert fake.of("Sweep")[0].parameters == {"dryRun": True, "database": "platform"}


def test_a_running_sweep_is_told(path, fake):
    fake.answers["Sweep"] = lambda call: call.reply({"sinceUSec": 1}, error="io.berth.manage.SweepRunning")
    failed(berth(path, "sweep", "-n"), 75, "another one is running")
    assert fake.of("Sweep")[0].parameters == {"noWait": True}


def test_history_revoke_and_keep(path, fake):
    event = {"timeUSec": NOW, "event": "lease_granted", "namespace": NAMESPACE, "detail": "x"}
    fake.answers["GetHistory"] = answer_with(event)
    fake.answers["Revoke"] = answer_with({})
    fake.answers["Keep"] = answer_with({"keptUntilUSec": 1800000000000000})
    assert f"lease_granted    {NAMESPACE} x" in berth(path, "history", "--since", "2h", "--limit", 5).stdout
    asked = fake.of("GetHistory")[0].parameters
    assert asked["limit"] == 5 and abs(time.time() * 1e6 - 7200e6 - asked["sinceUSec"]) < 60e6
    assert berth(path, "revoke", NAMESPACE, "--reason", "old").returncode == 0
    assert fake.of("Revoke")[0].parameters == {"namespace": NAMESPACE, "reason": "old"}
    assert "is kept until" in berth(path, "keep", NAMESPACE, "--for", "3d").stdout
    assert fake.of("Keep")[0].parameters == {"namespace": NAMESPACE, "keepUSec": 259200000000}


def test_names_need_no_daemon(path):
    assert berth(path, "name", "gw3", "audit", BERTH_NAMESPACE="pa").stdout == "test_pa_gw3_audit\n"
    assert berth(path, "name", "gw3", "--app", "--namespace", "pa").stdout == "pytest_gw3_pa\n"
    assert json.loads(berth(path, "name", "gw3", "--json", BERTH_NAMESPACE="pa").stdout) == {"name": "test_pa_gw3"}
    failed(berth(path, "name", "gw3", "s" * 60, BERTH_NAMESPACE="pa"), 64, "63")


def test_a_long_reply_in_pieces_is_read_whole(path, fake):
    rows = [{**LEASE, "context": {**LEASE["context"], "label": "x" * 3000}} for _ in range(100)]
    fake.answers["ListLeases"] = answer_with(*rows)
    assert len(json.loads(berth(path, "list", "--json").stdout)["leases"]) == 100


def test_progress_on_a_terminal_after_a_second(path, fake):
    fake.answers["Sweep"] = lambda call: None
    run = on_terminal(path, "sweep")
    call = fake.wait_for("Sweep")
    run.read_until("berth: sweeping")
    call.reply({"result": SWEEP})
    run.read_until("sweep 12: 1 dropped")
    assert run.wait() == 0


def test_whoever_waits_behind_another_sweep_is_told_so_on_a_terminal(path, fake):
    fake.answers["Sweep"] = lambda call: call.reply({"waitsForUSec": int(time.time() * 1e6) - 7000000}, continues=True)
    run = on_terminal(path, "sweep", "--dry-run")
    call = fake.wait_for("Sweep")
    run.read_until("berth: waiting for a sweep that has been running for ")
    call.reply({"verdict": "would_drop"}, continues=True)
    run.read_until("berth: asking every database who is alive")
    call.reply({"result": SWEEP})
    run.read_until("sweep 12: 1 dropped")
    assert run.wait() == 0


EXPLAINED = {
    "name": NAMESPACE, "kind": "namespace", "namespace": NAMESPACE, "standing": "failed",
    "answer": f"{NAMESPACE} could not be dropped in platform: 55P03: " + "held by somebody " * 20,
    "advice": "end what holds the lock " * 10,
    "leases": [{"lease": n, "state": "crashed", "label": "x\u001b[31m" * 40, "uid": 0, "forced": True, "joined": 8,
                "sinceUSec": 1700000000000000 + n, "endedUSec": 1700000100000000 + n} for n in range(1, 9)],
    "slots": [{"namespace": NAMESPACE, "worker": "gw1", "database": "platform", "sinceUSec": 1700000200000000}],
    "schemas": [{"database": "platform", "schema": f"test_{NAMESPACE}_gw{n}", "exists": True, "standing": "failed",
                 "verdicts": [{"sweep": 7, "verdict": "failed", "sqlState": "55P03", "detail": "held by somebody",
                               "timeUSec": 1700000300000000, "lastUSec": 1700000300000000}]} for n in range(2)],
    "unheard": [], "sweepRunning": False}


def test_an_explanation_is_a_dozen_lines_of_80_columns(path, fake):
    fake.answers["Explain"] = answer_with(EXPLAINED)
    done = berth(path, "explain", NAMESPACE, TZ="UTC")
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and len(lines) == 12 and max(map(len, lines)) <= 80 and "\x1b" not in done.stdout
    assert lines[0].startswith(f"{NAMESPACE} could not be dropped") and lines[2].endswith("…")
    assert lines[3] == "  12 earlier; --json has them"
    assert lines[-4] == "  2023-11-14 22:16:40  gw1 waits for a DDL slot in platform"
    assert lines[-3] == "  2023-11-14 22:18:20  sweep 7: failed 2 schemas in platform: 55P03: held by so…"
    assert lines[-2].startswith("do: end what holds the lock") and lines[-1].startswith("    ")
    assert fake.of("Explain")[0].parameters == {"name": NAMESPACE}
    assert json.loads(berth(path, "explain", NAMESPACE, "--json").stdout) == EXPLAINED


def test_of_databases_whose_names_begin_alike_each_is_named(path, fake):
    dropped = {"sweep": 7, "verdict": "dropped", "timeUSec": 1700000300000000, "lastUSec": 1700000300000000}
    fake.answers["Explain"] = answer_with({
        "name": NAMESPACE, "standing": "dropped", "answer": "it was dropped",
        "schemas": [{"database": name, "schema": f"test_{NAMESPACE}_gw0", "verdicts": [dropped]}
                    for name in ("tenant10", "tenant1", "tenant10")]})
    line = berth(path, "explain", NAMESPACE, TZ="UTC").stdout.splitlines()[1]
    assert line.endswith("sweep 7: dropped 2 schemas in tenant10, tenant1")


def test_of_what_nothing_is_known_the_exit_code_tells(path, fake):
    fake.answers["Explain"] = answer_with({"name": "x", "standing": "nothing", "answer": "nothing is known of x"})
    done = berth(path, "explain", "x")
    assert done.returncode == 1 and done.stdout == "nothing is known of x\n" and done.stderr == ""
    assert berth(path, "explain", "x", "--json").returncode == 1
    assert berth(path, "explain", "--help").stdout.startswith("Examples:\n  berth explain test_")
    assert "explain" in berth(path, "__words").stdout.split()
