# SPDX-License-Identifier: MIT
"""berth timeline and berth locks --svg: drawn from a real ledger and real locks, and read as XML."""

import os
import signal
import subprocess
import threading
import xml.etree.ElementTree as xml

import pytest

from harness import BERTH, Daemon, until

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def daemon(clusters):
    for schema in clusters[0].schemas("platform"):
        clusters[0].sql(f'DROP SCHEMA "{schema}" CASCADE')
    daemon = Daemon({"platform": clusters[0].conninfo("platform"), "tenant2": clusters[1].conninfo("tenant2")})
    yield daemon.after_first_sweep()
    daemon.remove()


def hold(daemon, *words):
    held = subprocess.Popen([BERTH, *words, "--", "sh", "-c", "echo $BERTH_NAMESPACE; read x; exit 0"], env=daemon.environment(),
                            text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return held, held.stdout.readline().strip()


def let_go(*held):
    for process in held:
        process.stdin.close()
        assert process.wait(30) == 0


def tooltips(document, kind):
    """Of the bars whose class has that word."""
    return [group.find(SVG + "title").text for group in document.iter(SVG + "g")
            if kind in group.get("class", "").split() and group.find(SVG + "title") is not None]


def timeline(daemon, *words):
    return xml.fromstring(daemon.berth("timeline", *words, check=0, TZ="UTC").stdout)


def test_a_timeline_has_runs_holds_waits_sweeps_and_crashes(daemon, clusters):
    first, _ = hold(daemon, "slot", "--worker", "gw3", "--database", "platform")
    second, _ = hold(daemon, "slot", "--database", "platform")
    third = subprocess.Popen([BERTH, "slot", "--worker", "gw7", "--database", "platform", "sleep", "0.2"], env=daemon.environment(),
                             stderr=subprocess.DEVNULL)
    until(lambda: any(cluster["waiters"] for cluster in daemon.json("status")["clusters"]), what="a waiter")
    assert any("gw7 of p" in text and "and waits" in text for text in tooltips(timeline(daemon), "wait"))
    let_go(first, second)
    assert third.wait(30) == 0
    crashed, gone = hold(daemon, "run", "--label", "pytest & <b>")
    clusters[0].make_schema("platform", f"test_{gone}_gw0")
    children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(crashed.pid)], capture_output=True, text=True).stdout.split()
    for pid in (crashed.pid, *map(int, children)):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not clusters[0].schemas("platform"), what="the sweep of what it left")
    live, namespace = hold(daemon, "run")
    document = until(lambda: tooltips(d := timeline(daemon), "sweep") and d, what="a sweep in the ledger")
    held = tooltips(document, "hold")
    assert len(held) == 3 and any("gw3 of p" in text and "held slot" in text and "released" in text for text in held)
    assert any("gw7 of p" in text and "waited" in text for text in held)
    assert any(f"test_{gone}_gw0 in platform: dropped" in text for text in tooltips(document, "drop"))
    runs = tooltips(document, "run")
    assert len(runs) == 5 and any(f"{gone} (pytest & <b>): crashed" in text for text in runs)
    assert any(text.startswith(namespace) and "live" in text for text in runs)
    assert [line.get("class") for line in document.iter(SVG + "line")].count("crash") == 2 + 2, "a mark, and its legend"
    texts = [text.text for text in document.iter(SVG + "text")]
    assert "Slots of platform" in texts and "slot 0" in texts and any("5 runs, 1 crashed" in text for text in texts if text)
    let_go(live)


def test_more_events_than_fit_into_one_answer_are_read_in_pages(daemon):
    with daemon.connection() as wire:
        for _ in range(600):
            wire.call("io.berth.lease.Acquire", {"namespace": "again"})
            wire.call("io.berth.lease.Release")
    # of one name ListLeases knows only the last life
    assert len(daemon.json("list", "--all")["leases"]) < 10
    assert sum(text.startswith("again") for text in tooltips(timeline(daemon), "run")) == 600


def test_a_picture_goes_into_a_file_whole_or_not_at_all(daemon, tmp_path):
    path = tmp_path / "a.svg"
    done = daemon.berth("timeline", "--since", "10min", "-o", path, check=0)
    assert done.stdout == "" == done.stderr and xml.parse(path).getroot().tag == SVG + "svg"
    assert os.listdir(tmp_path) == ["a.svg"]
    refused = daemon.berth("timeline", "-o", tmp_path / "no" / "a.svg", check=1)
    assert refused.stderr.count("\n") == 1 and refused.stderr.startswith("berth: cannot write ")
    assert daemon.berth("timeline", "--json", check=64).stdout.startswith('{"error":')


def test_a_link_that_somebody_has_put_in_the_way_is_not_followed(daemon, tmp_path):
    """The picture is written aside first, under a name that can be guessed, and the folder may be everybody's."""
    precious = tmp_path / "precious"
    precious.write_text("untouched")
    subprocess.run(["sh", "-c", 'ln -s precious a.svg.$$.part && exec "$0" timeline -o a.svg', BERTH], cwd=tmp_path,
                   env=daemon.environment(), check=True, timeout=60)
    assert precious.read_text() == "untouched" and xml.parse(tmp_path / "a.svg").getroot().tag == SVG + "svg"
    assert sorted(os.listdir(tmp_path)) == ["a.svg", "precious"]


def test_locks_are_drawn_with_the_runs_they_belong_to(daemon, clusters, tmp_path):
    assert "nobody is blocked" in daemon.berth("locks", "--svg", check=0).stdout
    server = clusters[0]
    server.make_schema("platform", "test_pnobody_gw0")
    blocker = server.connect("platform", application_name="pytest_gw0_p1t1r00000009")
    waiters = [server.connect("platform", application_name=name) for name in ("pytest_gw1_p1t1r00000009", "psql <&>")]
    blocker.cursor().execute("BEGIN; LOCK TABLE test_pnobody_gw0.t0")
    threads = [threading.Thread(target=lambda c=c: c.cursor().execute("BEGIN; LOCK TABLE test_pnobody_gw0.t0; COMMIT"), daemon=True)
               for c in waiters]
    for thread in threads:
        thread.start()
    try:
        until(lambda: len(daemon.json("locks")["locks"]) >= 2, what="two that wait")
        daemon.berth("locks", "--svg", "-o", tmp_path / "locks.svg", check=0)
        document = xml.parse(tmp_path / "locks.svg").getroot()
        boxes = tooltips(document, "box")
        assert len(boxes) == 3 and sum("gw0 of p1t1r00000009" in text for text in boxes) == 1
        assert any("psql <&>" in text for text in boxes)
        assert len(tooltips(document, "holds")) == 1 and "gw0 of p1t1r00000009" in tooltips(document, "holds")[0]
        assert sum(path.get("class") == "edge" for path in document.iter(SVG + "path")) >= 2
    finally:
        blocker.close()
    for thread, connection in zip(threads, waiters):
        thread.join(30)
        connection.close()
    server.sql("DROP SCHEMA test_pnobody_gw0 CASCADE")
