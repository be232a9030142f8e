#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
The daemon while its N-th allocation after the start fails, once and for ever: it ends with status 71 and one line, or answers right.

    malloc_daemon.py BERTHD_OOM [--points N] [--seed N]

Each point is a daemon of its own (malloc_daemon.c), a script of calls, and a stop. Whatever was granted before the end
must be in the ledger, and the next daemon must start. --points: so many, at random (0: all there are). Exit status 0:
no crash, no wrong answer, nothing lost.
"""

import argparse
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

OUT_OF_MEMORY = "out of memory; the process ends here"
PATIENCE = 60


class Ended(Exception):
    """The daemon is gone; that may be."""


class Wrong(Exception):
    """It answered, and not as it must."""


class Client:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE)
        try:
            self.socket.connect(str(path))
        except OSError as error:
            raise Ended from error
        self.buffer = b""

    def call(self, method, parameters=None, more=False):
        """The last reply of a call that is answered at once, or the first of one that holds."""
        call = {"method": method, "parameters": parameters or {}}
        if more:
            call["more"] = True
        try:
            self.socket.sendall(json.dumps(call).encode() + b"\0")
            while True:
                while b"\0" not in self.buffer:
                    chunk = self.socket.recv(65536)
                    if not chunk:
                        raise Ended
                    self.buffer += chunk
                frame, self.buffer = self.buffer.split(b"\0", 1)
                reply = json.loads(frame)
                if not reply.get("continues"):
                    return reply
        except TimeoutError as error:
            raise Wrong(f"{method} is not answered") from error
        except OSError as error:
            raise Ended from error


def demand(what, said):
    if not what:
        raise Wrong(said)


def script(path, granted):
    """The life of a run, and of an operator who looks at it."""
    run, slot, operator = Client(path), Client(path), Client(path)
    reply = run.call("io.berth.lease.Acquire", {"label": "a label"})
    demand("error" not in reply, f"Acquire: {reply}")
    held = {"namespace": reply["parameters"]["context"]["namespace"], "secret": reply["parameters"]["secret"]}
    granted.append(held["namespace"])
    reply = operator.call("io.berth.manage.GetStatus")
    demand(reply["parameters"]["leases"] == 1 and reply["parameters"]["ledger"]["writable"], f"GetStatus: {reply}")
    reply = slot.call("io.berth.lease.Attach", {**held, "role": "worker", "worker": "gw0"})
    demand("error" not in reply, f"Attach: {reply}")
    reply = slot.call("io.berth.lease.AcquireSlot", {**held, "worker": "gw0"})
    demand("error" not in reply and reply["parameters"]["slot"] in (0, 1), f"AcquireSlot: {reply}")
    reply = operator.call("io.berth.manage.ListLeases", more=True)
    demand(reply["parameters"]["context"]["namespace"] == held["namespace"], f"ListLeases: {reply}")
    reply = slot.call("io.berth.lease.ReleaseSlot")
    demand("error" not in reply, f"ReleaseSlot: {reply}")
    reply = operator.call("io.berth.lease.Acquire", {"no such": 1})
    demand(reply.get("error") == "org.varlink.service.InvalidParameter", f"Acquire: {reply}")
    reply = operator.call("io.berth.manage.Sweep", {"dryRun": True})
    demand("error" not in reply and not any(one["dropped"] for one in reply["parameters"]["result"]["databases"]),
           f"Sweep: {reply}")
    reply = operator.call("io.berth.manage.GetHistory", more=True)
    demand(reply["parameters"].get("event"), f"GetHistory: {reply}")


def start(program, folder, **environment):
    return subprocess.Popen([program, "--config", folder / "conf", "--socket", folder / "s", "--state-dir", folder / "state"],
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(folder / "log", "ab"),
                            env={**os.environ, **environment})


def wait_until_ready(daemon, folder):
    end = time.monotonic() + PATIENCE
    while daemon.poll() is None and "serving:" not in (folder / "log").read_text(errors="replace"):
        if time.monotonic() > end:
            raise Wrong("it neither serves nor ends")
        time.sleep(0.005)


def check_ledger(folder, granted):
    path = folder / "state" / "ledger.db"
    if not path.exists():
        demand(not granted, "a lease without a ledger")
        return
    db = sqlite3.connect(path)
    try:
        demand(db.execute("PRAGMA integrity_check").fetchone() == ("ok",), "the ledger is not sound")
        tables = db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'lease'").fetchone()[0]
        there = {row[0] for row in db.execute("SELECT namespace FROM lease")} if tables else set()
        demand(set(granted) <= there, f"LOST: {set(granted) - there} was granted")
    finally:
        db.close()


def one_point(program, at, for_ever):
    """What is wrong, or None; and how many allocations there were."""
    folder = Path(tempfile.mkdtemp(prefix="berth-malloc-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
    granted, said, count = [], None, 0
    (folder / "conf").write_text("[berthd]\nstart_grace = 0s\n")
    daemon = start(program, folder, BERTH_FAIL_ALLOCATION=f"{at}{'+' if for_ever else ''}",
                   BERTH_COUNT_ALLOCATIONS=str(folder / "count"))
    try:
        wait_until_ready(daemon, folder)
        daemon.send_signal(signal.SIGUSR2)
        script(folder / "s", granted)
    except Ended:
        pass
    except (Wrong, KeyError, TypeError, ValueError) as error:
        said = f"{type(error).__name__}: {error}"
        daemon.kill()
    try:
        if daemon.poll() is None and not said:
            try:
                daemon.wait(0.02)
            except subprocess.TimeoutExpired:
                daemon.send_signal(signal.SIGTERM)
        status = daemon.wait(PATIENCE)
        log = (folder / "log").read_text(errors="replace")
        if not said and not (status == 0 or (status == 71 and OUT_OF_MEMORY in log)):
            said = f"it ended with {status}\n{log[-3000:]}"
        if not said:
            check_ledger(folder, granted)
            if (folder / "count").exists():
                count = int((folder / "count").read_text())
            said = start_again(program, folder)
    except Wrong as error:
        said = str(error)
    except subprocess.TimeoutExpired:
        said = "it hangs"
    finally:
        if daemon.poll() is None:
            daemon.kill()
            daemon.wait()
        shutil.rmtree(folder, ignore_errors=True)
    return (f"allocation {at}, {'for ever' if for_ever else 'once'}: {said}" if said else None), count


def start_again(program, folder):
    (folder / "log").write_text("")
    daemon = start(program, folder)
    wait_until_ready(daemon, folder)
    serves = daemon.poll() is None
    daemon.kill()
    daemon.wait()
    return None if serves else f"the next one does not start: {(folder / 'log').read_text()}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--points", type=int, default=0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    bad, total = one_point(arguments.program, 0, False)
    if bad or not total:
        sys.exit(f"fails without any help: {bad}")
    points = [(at, for_ever) for at in range(1, total + 1) for for_ever in (False, True)]
    if arguments.points:
        points = random.Random(arguments.seed).sample(points, min(arguments.points, len(points)))
    print(f"seed {arguments.seed}; {total} allocations, {len(points)} points", flush=True)
    with ThreadPoolExecutor(max_workers=2 * os.cpu_count()) as pool:
        found = [bad for bad, _ in pool.map(lambda point: one_point(arguments.program, *point), points) if bad]
    for bad in found[:5]:
        print(bad)
    print(f"berthd   {len(points)} points: {len(found)} crashed, lied, hung or lost something")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
