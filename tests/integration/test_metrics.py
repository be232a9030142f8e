# SPDX-License-Identifier: MIT
"""Metrics: read by Prometheus's own parser, by command and over HTTP; they move with what happens."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess

import jsonschema
import psycopg2
import psycopg2.extras
import pytest
from prometheus_client.parser import text_string_to_metric_families

from harness import BERTH, ROOT, Daemon, Proxy, until

HELD = ["sh", "-c", "echo $BERTH_NAMESPACE; read x; exit 0"]


def read(text):
    """{("berth_x", "label value" or ""): number}, histograms by their parts."""
    return {(sample.name, next((v for k, v in sample.labels.items()), "")): sample.value
            for family in text_string_to_metric_families(text) for sample in family.samples}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture(scope="module")
def proxy(clusters):
    proxy = Proxy(clusters[1])
    yield proxy
    proxy.close()


@pytest.fixture(scope="module")
def daemon(clusters, proxy):
    """Over two databases, the second behind a proxy; no lease and no schema of an earlier test is in them."""
    for name, server in (("platform", clusters[0]), ("tenant2", clusters[1])):
        for schema in server.schemas(name):
            server.sql(f'DROP SCHEMA "{schema}" CASCADE', name)
    daemon = Daemon({"platform": clusters[0].conninfo("platform"), "tenant2": proxy.conninfo("tenant2")},
                    metrics_listen=f"127.0.0.1:{free_port()}")
    yield daemon.after_first_sweep()
    daemon.remove()


def metrics(daemon):
    return read(daemon.berth("metrics", check=0).stdout)


def hold(daemon, *words):
    held = subprocess.Popen([BERTH, *words, "--", *HELD], env=daemon.environment(), text=True,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return held, held.stdout.readline().strip()


def let_go(*held):
    for process in held:
        process.stdin.close()
        assert process.wait(30) == 0


def get(daemon, path="/metrics", method="GET", **more):
    connection = http.client.HTTPConnection(daemon.options["metrics_listen"], timeout=30)
    connection.request(method, path, **more)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read().decode()


def test_the_parser_of_prometheus_knows_every_metric_of_the_document(daemon):
    families = {family.name: family for family in text_string_to_metric_families(daemon.berth("metrics", check=0).stdout)}
    for name, kind, label in re.findall(r"^\| `(berth_\w+)` \| (\w+) \| (?:`(\w+)`)?", (ROOT / "docs/metrics.md").read_text(), re.M):
        family = families.pop(re.sub("_total$", "", name))
        assert family.type == kind and family.documentation
        assert {key for sample in family.samples for key in sample.labels} - {"le"} <= {label}
    assert not families


def test_leases_and_slots_count(daemon):
    before = metrics(daemon)
    first, _ = hold(daemon, "slot", "--database", "platform")
    second, _ = hold(daemon, "slot", "--database", "platform")
    during = metrics(daemon)
    assert during["berth_leases_active", ""] == 2
    assert (during["berth_ddl_slots", "held"], during["berth_ddl_slots", "free"]) == (2, 2)
    third = subprocess.Popen([BERTH, "slot", "--database", "platform", "true"], env=daemon.environment())
    until(lambda: metrics(daemon)["berth_ddl_slot_waiters", ""] == 1, what="a waiter")
    let_go(first, second)
    assert third.wait(30) == 0
    after = until(lambda: (m := metrics(daemon))["berth_leases_active", ""] == 0 and m, what="the end of the leases")

    def grown(name, label=""):
        return after[name, label] - before[name, label]

    assert grown("berth_leases_total", "runner") == 3 and grown("berth_leases_total", "plugin") == 0
    assert grown("berth_leases_ended_total", "released") == 3 == grown("berth_lease_duration_seconds_count")
    assert grown("berth_ddl_slot_wait_seconds_count") == 3 == grown("berth_ddl_slot_hold_seconds_count")
    assert grown("berth_ddl_slot_wait_seconds_bucket", "+Inf") == 3
    assert grown("berth_ddl_slot_wait_seconds_bucket", "0.001") == 2, "one of the three has waited"
    assert 0 < grown("berth_ddl_slot_wait_seconds_sum") < grown("berth_ddl_slot_hold_seconds_sum")
    assert grown("berth_client_disconnects_total", "hung up") >= 3


def test_ends_that_nobody_wished_for_count(daemon):
    before = metrics(daemon)
    crashed, _ = hold(daemon, "run")
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(crashed.pid)], capture_output=True, text=True).stdout.split()
    for pid in (crashed.pid, *map(int, children)):
        os.kill(pid, signal.SIGKILL)
    revoked, namespace = hold(daemon, "run")
    daemon.berth("revoke", namespace, check=0)
    let_go(revoked)
    with daemon.connection() as wire:
        reply = wire.call("io.berth.lease.Attach", {"namespace": "p1t1r00000000", "secret": "0" * 32, "role": "controller"})
        assert reply["error"] == "io.berth.lease.NoSuchLease"
    with daemon.connection() as wire:
        wire.send("io.berth.lease.Acquire", {"role": "controller"})
        wire.receive()
        wire.call("io.berth.lease.Release")
        wire.socket.sendall(b"garbage\0")
        with pytest.raises(ConnectionError):
            wire.receive()
    after = until(lambda: (m := metrics(daemon))["berth_leases_ended_total", "crashed"] > before["berth_leases_ended_total", "crashed"] and m,
                  what="the crash")
    for name, label in (("leases_ended_total", "revoked"), ("leases_total", "plugin"), ("stale_exports_total", "")):
        assert after[f"berth_{name}", label] == before[f"berth_{name}", label] + 1
    assert after["berth_client_disconnects_total", "malformed message"] == 1


def test_sweeps_count(daemon, clusters):
    server = clusters[0]
    before = metrics(daemon)
    held, namespace = hold(daemon, "run")
    server.make_schema("platform", f"test_{namespace}_gw0")
    let_go(held)
    dropped = ("berth_sweep_schemas_total", "dropped")
    after = until(lambda: (m := metrics(daemon))[dropped] > before[dropped] and m, what="the drop of what the run has left")
    assert after[dropped] == before[dropped] + 1
    assert after["berth_sweep_runs_total", "complete"] > before["berth_sweep_runs_total", "complete"]
    assert after["berth_detection_complete", ""] == 1 and after["berth_detection_age_seconds", ""] < 60
    assert (after["berth_database_up", "platform"], after["berth_database_up", "tenant2"]) == (1, 1)
    assert after["berth_lock_table_entries", "platform"] > 1000


def test_who_runs_without_a_lease_counts_once(daemon, clusters):
    before = metrics(daemon)
    server, token = clusters[0], "p1t1r00000001"
    server.make_schema("platform", f"test_{token}_gw0")
    session = server.connect("platform", application_name=f"pytest_gw0_{token}")
    for _ in range(2):
        daemon.sweep()
    after = metrics(daemon)
    session.close()
    server.sql(f"DROP SCHEMA test_{token}_gw0 CASCADE")
    assert after["berth_leases_total", "unleased"] == before["berth_leases_total", "unleased"] + 1
    assert after["berth_sweep_candidates", "live"] == 1
    assert after["berth_sweep_schemas_total", "kept"] == before["berth_sweep_schemas_total", "kept"] + 2


def test_a_database_that_is_down_shows(daemon, clusters, proxy):
    server = clusters[0]
    before = metrics(daemon)
    server.make_schema("platform", "test_p1t1r00000002_gw0")
    with proxy.cut("application_name", after=0):
        daemon.sweep(check=3)
        during = metrics(daemon)
        assert (during["berth_database_up", "platform"], during["berth_database_up", "tenant2"]) == (1, 0)
        assert during["berth_detection_complete", ""] == 0 < during["berth_detection_age_seconds", ""]
        assert during["berth_sweep_runs_total", "incomplete"] == before["berth_sweep_runs_total", "incomplete"] + 1
        assert during["berth_sweep_candidates", "active_detection_incomplete"] == 1
    server.sql("DROP SCHEMA test_p1t1r00000002_gw0 CASCADE")
    daemon.sweep()
    after = metrics(daemon)
    assert (after["berth_database_up", "tenant2"], after["berth_detection_complete", ""]) == (1, 1)
    assert ("berth_sweep_candidates", "active_detection_incomplete") in after
    assert after["berth_sweep_candidates", "active_detection_incomplete"] == 0


def test_a_queue_for_one_table_counts_everybody_in_it(daemon, clusters):
    """Each waits behind all who came before: 16 sessions make 136 pairs, more than a look keeps."""
    server, n = clusters[0], 16
    holder = server.connect("platform", application_name="holder")
    waiting = [psycopg2.connect(server.conninfo("platform"), async_=1) for _ in range(n)]
    cursor = holder.cursor()
    cursor.execute("CREATE TABLE public.queue ()")
    cursor.execute("BEGIN; LOCK TABLE public.queue")
    for session in waiting:
        psycopg2.extras.wait_select(session)
        session.cursor().execute("BEGIN; LOCK TABLE public.queue")
    try:
        until(lambda: metrics(daemon).get(("berth_lock_blocked_backends", "platform")) == n)
        assert metrics(daemon)["berth_lock_blocked_backends", "tenant2"] == 0
    finally:
        cursor.execute("DROP TABLE public.queue; COMMIT")
        for session in (holder, *waiting):
            session.close()


def test_json_is_what_the_schema_says(daemon):
    document = daemon.json("metrics")
    jsonschema.validate(document, json.loads((ROOT / "docs/schema/metrics.json").read_text()))
    taken_apart = {(sample["name"], next((v for v in sample["labels"].values()), "")): sample["value"]
                   for metric in document["metrics"] for sample in metric["samples"]}
    text = metrics(daemon)
    assert taken_apart.keys() == text.keys()
    assert taken_apart["berth_leases_total", "runner"] == text["berth_leases_total", "runner"]
    assert taken_apart["berth_lease_duration_seconds_sum", ""] == text["berth_lease_duration_seconds_sum", ""]


def test_http_serves_the_same_and_nothing_else(daemon):
    status, headers, text = get(daemon)
    assert status == 200 and headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert read(text).keys() == metrics(daemon).keys()
    assert get(daemon, method="HEAD")[2] == ""
    assert get(daemon, "/")[0] == 404 and get(daemon, "/metrics/x")[0] == 404
    assert get(daemon, method="POST", body="x")[0] in (413, 501)
    assert get(daemon, headers={"X": "y" * 9000})[0] == 400


def test_clients_that_ask_for_nothing_are_closed_and_hurt_nobody(daemon):
    host, port = daemon.options["metrics_listen"].rsplit(":", 1)
    idle = []
    for i in range(20):
        idle.append(socket.create_connection((host, int(port)), timeout=30))
        idle[-1].sendall(b"GET /metrics HTTP/1.1\r\nX: " if i % 2 else b"")
    assert metrics(daemon)["berth_connections", ""] >= 1, "others are served meanwhile"
    descriptors = len(os.listdir(f"/proc/{daemon.process.pid}/fd"))
    assert get(daemon)[0] == 200
    for one in idle:
        try:
            assert one.recv(1) == b""
        except ConnectionResetError:
            pass
        one.close()
    assert descriptors < 50, "not all of them were let in"


def test_a_reload_moves_it_and_a_restart_is_not_needed(daemon, tmp_path):
    def move(where, pattern):
        daemon.options["metrics_listen"] = where
        daemon.write_config()
        n = len(re.findall(pattern, daemon.log))
        daemon.process.send_signal(signal.SIGHUP)
        until(lambda: len(re.findall(pattern, daemon.log)) > n, what=f"log line {pattern}")

    tcp = daemon.options["metrics_listen"]
    path = daemon.directory / "metrics"
    move(f"unix:{path}", f"metrics served: address=unix:{path}")
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(30)
        s.connect(str(path))
        s.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        answer = b"".join(iter(lambda: s.recv(65536), b"")).decode()
    assert answer.startswith("HTTP/1.0 200 OK\r\n") and "\nberth_build_info{" in answer
    assert path.stat().st_mode & 0o777 == 0o660
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        move(f"127.0.0.1:{taken.getsockname()[1]}", "metrics are not served: cannot listen on .*; Address already in use; set another")
        there = daemon.options["metrics_listen"]
    assert not path.exists()
    move(there, f"metrics served: address={there}")  # it is free by now
    daemon.json("status")
    move("0.0.0.0:80", "metrics_listen: .0.0.0.0:80.: it is neither")
    move(tcp, f"metrics served: address={tcp}")
    assert get(daemon)[0] == 200
