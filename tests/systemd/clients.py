# SPDX-License-Identifier: MIT
"""
clients.py N SLOTS: N processes, each holds a lease by an open call, the first SLOTS of them a slot on a second one.
Whoever is hung up on connects again, and attaches. Commands on standard input, answers as JSON: "start" (what they
hold), "lost" (how many connections have ended). Ends with its standard input.
"""

import json
import os
import select
import socket
import sys
import time

PATH = "/run/berth/io.berth.lease"


class Call:
    """A call that stays open."""

    def __init__(self, method, parameters):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(PATH)
        self.socket.sendall(json.dumps({"method": method, "parameters": parameters, "more": True}).encode() + b"\0")
        data = b""
        while not data.endswith(b"\0"):
            chunk = self.socket.recv(65536)
            if not chunk:
                raise ConnectionError
            data += chunk
        self.granted = json.loads(data.split(b"\0")[-2])["parameters"]
        if self.granted.get("state") != "granted":
            raise ConnectionError(str(data))


def again(method, parameters):
    while True:
        try:
            return Call(method, parameters)
        except OSError:
            time.sleep(0.05)


def client(with_slot, report):
    lease = Call("io.berth.lease.Acquire", {"label": "client"})
    key = {"namespace": lease.granted["context"]["namespace"], "secret": lease.granted["secret"]}
    calls = {lease.socket: ("io.berth.lease.Attach", key)}
    hold = {"pid": os.getpid(), "namespace": key["namespace"]}
    if with_slot:
        slot = Call("io.berth.lease.AcquireSlot", {**key, "worker": "gw0"})
        hold["slot"] = slot.granted["slot"]
        calls[slot.socket] = ("io.berth.lease.AcquireSlot", {**key, "worker": "gw0", "reclaim": slot.granted["grant"]})
    os.write(report, json.dumps(hold).encode() + b"\n")
    while True:
        for ended in select.select(list(calls), [], [])[0]:
            os.write(report, b"lost\n")
            method, parameters = calls.pop(ended)
            ended.close()
            calls[again(method, parameters).socket] = (method, parameters)


def main(n, n_slots):
    reports, report = os.pipe()
    sys.stdin.readline()
    pids = []
    for i in range(n):
        pids.append(os.fork())
        if pids[-1] == 0:
            client(i < n_slots, report)
    told = os.fdopen(reports)
    print(json.dumps([json.loads(told.readline()) for _ in pids]), flush=True)
    lost = 0
    for _ in sys.stdin:
        while select.select([reports], [], [], 0)[0]:
            lost += os.read(reports, 65536).count(b"lost\n")
        print(json.dumps(lost), flush=True)
    for pid in pids:
        os.kill(pid, 9)


main(int(sys.argv[1]), int(sys.argv[2]))
