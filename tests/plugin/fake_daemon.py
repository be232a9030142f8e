# SPDX-License-Identifier: MIT
"""A daemon that keeps the promises of io.berth.lease in memory, with switches to break them.

One thread per connection, one lock for everything. A lease ends when all its connections are closed: unlike the real
one, it does not look at processes. restart() closes every connection and forgets who waits; leases and slots stay.
"""

import itertools
import json
import os
import socket
import struct
import threading
import time

SLOTS = 2
LEASE = "io.berth.lease"
MANAGE = "io.berth.manage"


class Failure(Exception):
    def __init__(self, error, **parameters):
        self.reply = {"error": f"{LEASE}.{error}", "parameters": parameters}


class Client:
    """One connection."""

    def __init__(self, sock):
        self.sock = sock
        pid, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        self.pid, self.uid = pid, uid
        self.gone = False

    def reply(self, parameters, continues=False):
        self.send({"parameters": parameters, **({"continues": True} if continues else {})})

    def send(self, message):
        try:
            self.sock.sendall(json.dumps(message).encode() + b"\0")
        except OSError:
            self.gone = True

    def close(self):
        self.gone = True
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def frames(self):
        data = b""
        while True:
            try:
                chunk = self.sock.recv(65536)
            except OSError:
                return
            if not chunk:
                return
            *whole, data = (data + chunk).split(b"\0")
            yield from map(json.loads, whole)


class Lease:
    def __init__(self, number, namespace, client, request):
        self.number, self.namespace, self.uid, self.request = number, namespace, client.uid, request
        self.secret = os.urandom(16).hex()
        self.members = {}  # client -> (role, worker)
        self.more = set()  # clients whose call stays open
        self.state = "live"
        self.exit_status = None
        self.keep = None
        self.ended = None

    def controller(self):
        return next((client for client, (role, _) in self.members.items() if role == "controller"), None)

    def holder(self, client):
        return {"namespace": self.namespace, "uid": self.uid, "heldUSec": 1000000,
                "process": {"pid": client.pid if client else 0}}


class FakeDaemon:
    def __init__(self, path, clusters=None):
        self.socket = str(path)
        self.clusters = clusters or {"7000000000000000001": ["platform", "tenant1"]}
        self.leases = []
        self.slots = []  # of {grant, lease, client, worker}
        self.waiters = []  # of the same, without a grant
        self.public_writes = []
        self.locks = []  # what ListLocks tells
        self.holders = []  # what ListLockHolders tells
        self.unreachable = None  # database that ListLocks cannot ask
        self.explained = {"schemas": [], "unheard": []}
        self.calls = []  # (method, parameters)
        self.max_slots_held = 0
        self.deaf = False  # takes calls and never answers
        self.lose_next_reply = None  # method whose next reply is not sent: the connection closes instead
        self._numbers = itertools.count(1)
        self._clients = set()
        self._changed = threading.Condition(threading.RLock())
        self._listener = None
        self.start()

    # ---- what tests do with it ----

    def start(self):
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.socket)
        self._listener.listen(64)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self, unlink=True):
        # close() alone does not wake a thread in accept()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if unlink:
            os.unlink(self.socket)
        with self._changed:
            self._stopping = set(self._clients)
            for lease in self.leases:
                lease.members.clear()
                lease.more.clear()
            for slot in self.slots:
                slot["client"] = None
            for client in self._clients:
                client.close()
            self._clients.clear()
            self._changed.notify_all()

    def restart(self):
        self.stop()
        self.start()

    def revoke(self, namespace, reason="operator"):
        with self._changed:
            self._end(self.find(namespace), "revoked", reason)

    def find(self, namespace):
        return next((lease for lease in reversed(self.leases) if lease.namespace == namespace), None)

    def called(self, method):
        with self._changed:
            return [parameters for name, parameters in self.calls if name.endswith(f".{method}")]

    def wait_for(self, condition, timeout=20):
        """Condition is looked at after each change."""
        with self._changed:
            assert self._changed.wait_for(condition, timeout), "the daemon waited in vain"

    # ---- connections ----

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            client = Client(sock)
            with self._changed:
                self._clients.add(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        waiting = None
        for call in client.frames():
            waiting = threading.Thread(target=self._dispatch, args=(client, call), daemon=True)
            waiting.start()
        with self._changed:
            client.gone = True
            self._clients.discard(client)
            self._forget(client)
            self._changed.notify_all()
        if waiting:
            waiting.join()
        client.sock.close()

    def _forget(self, client):
        self.slots = [slot for slot in self.slots if slot["client"] is not client]
        for lease in self.leases:
            if lease.members.pop(client, None) and not lease.members and lease.state in ("live", "releasing"):
                self._end(lease, "released" if lease.state == "releasing" else "crashed", None)

    def _dispatch(self, client, call):
        interface, _, method = call["method"].rpartition(".")
        parameters, more = call.get("parameters") or {}, call.get("more", False)
        with self._changed:
            self.calls.append((call["method"], parameters))
            self._changed.notify_all()
            if self.deaf:
                return
            try:
                getattr(self, f"_{method}")(client, more, **parameters)
            except Failure as failure:
                client.send(failure.reply)
            self._changed.notify_all()

    def _granted(self, client, method, lease, more, parameters):
        if self.lose_next_reply == method:
            self.lose_next_reply = None
            client.close()
            return
        if more and lease:
            lease.more.add(client)
        client.reply({"state": "granted", **parameters}, continues=more)

    # ---- io.berth.lease ----

    def _Acquire(self, client, more, namespace=None, label=None, role=None, noWait=None, timeoutUSec=None, request=None):
        lease = next((x for x in self.leases if request and x.request == request and x.state == "live"), None)
        if lease is None:
            old = self.find(namespace) if namespace else None
            if old and old.state == "live":
                raise Failure("NamespaceInUse", namespace=namespace, holder=old.holder(next(iter(old.members), None)))
            name = namespace or f"p{client.pid}t{int(time.time())}r{os.urandom(4).hex()}"
            lease = Lease(next(self._numbers), name, client, request)
            lease.label = label
            self.leases.append(lease)
        if self.lose_next_reply != "Acquire":
            lease.members[client] = (role, None)
        self._granted(client, "Acquire", lease, more, {
            "secret": lease.secret, "context": {"namespace": lease.namespace, "label": label, "databases": ["platform"]}})

    def _Attach(self, client, more, namespace, secret, role=None, worker=None):
        lease = self._known(namespace, secret)
        other = lease.controller() if role == "controller" else None
        if other:
            raise Failure("AlreadyAttached", namespace=namespace, holder=lease.holder(other))
        lease.members[client] = (role, worker)
        self._granted(client, "Attach", lease, more, {"context": {"namespace": namespace, "databases": ["platform"]}})

    def _Release(self, client, more, namespace=None, secret=None, exitStatus=None, keep=None, keepUSec=None):
        lease = self._known(namespace, secret)
        lease.state, lease.exit_status, lease.keep = "releasing", exitStatus, keep
        client.reply({})
        if not lease.members:
            self._end(lease, "released", None)

    def _AcquireSlot(self, client, more, namespace=None, secret=None, worker=None, database=None,
                     systemIdentifier=None, noWait=None, timeoutUSec=None, reclaim=None, request=None):
        lease = self._known(namespace, secret)
        self._check_cluster(database, systemIdentifier)
        if reclaim is not None:
            slot = next((x for x in self.slots if x["grant"] == reclaim and x["lease"] is lease), None)
            if slot is None:
                raise Failure("NotHeld", grant=reclaim)
            slot["client"] = client
        else:
            slot = {"lease": lease, "client": client, "worker": worker or "gw0", "since": time.time()}
            self.waiters.append(slot)
            try:
                if not self._has_room(client, more, noWait, timeoutUSec):
                    return
            finally:
                self.waiters.remove(slot)
            slot["grant"] = next(self._numbers)
            self.slots.append(slot)
            self.max_slots_held = max(self.max_slots_held, len(self.slots))
        self._granted(client, "AcquireSlot", None, more, {"slot": 0, "grant": slot["grant"], "waitedUSec": 0})

    def _has_room(self, client, more, no_wait, timeout_usec):
        if len(self.slots) < SLOTS:
            return True
        if more and not no_wait:
            client.reply({"state": "queued", "position": 1, "holders": self._slot_holders()}, continues=True)
        timeout = 0 if no_wait else timeout_usec / 1e6 if timeout_usec else None
        if self._changed.wait_for(lambda: client.gone or len(self.slots) < SLOTS, timeout):
            return not client.gone
        raise Failure("Busy", waitedUSec=0, holders=self._slot_holders())

    def _ReleaseSlot(self, client, more, namespace=None, secret=None, grant=None):
        lease = self._known(namespace, secret)
        slot = next((x for x in self.slots if x["grant"] == grant and x["lease"] is lease), None)
        if slot is None:
            raise Failure("NotHeld", grant=grant)
        self.slots.remove(slot)
        if slot["client"]:
            slot["client"].reply({"state": "released"})
        client.reply({"heldUSec": 1})

    # ---- other interfaces ----

    def _GetInfo(self, client, more):
        client.reply({"vendor": "berth", "product": "fake", "version": "9.9.9", "url": "", "interfaces": []})

    def _GetStatus(self, client, more):
        client.reply({"publicWrites": self.public_writes, "clusters": [
            {"systemIdentifier": key, "databases": names, "slots": SLOTS, "holders": self._uses(self.slots),
             "waiters": self._uses(self.waiters), "lockTable": 12784, "lockPeak": 2639} for key, names in self.clusters.items()]})

    def _CheckPublic(self, client, more):
        client.reply({"publicWrites": self.public_writes})

    def _uses(self, slots):
        return [{"namespace": slot["lease"].namespace, "worker": slot["worker"], "database": "platform",
                 "sinceUSec": int(slot["since"] * 1e6)} for slot in slots]

    def _ListLocks(self, client, more, database=None):
        for pair in self.locks or [{}]:
            client.reply(pair, continues=pair is not self.locks[-1] or bool(self.unreachable) if self.locks else False)
        if self.unreachable:
            raise Failure("DatabaseUnreachable", database=self.unreachable, message="gone")

    def _ListLockHolders(self, client, more, schema):
        for one in self.holders:
            client.reply(one, continues=True)
        client.reply({})

    def _Explain(self, client, more, name=None):
        client.reply({"name": name, **self.explained})

    def _ListLeases(self, client, more, namespace=None, all=None, subscribe=None):
        living = [x for x in self.leases if namespace in (None, x.namespace) and x.ended is None]
        for lease in living:
            client.reply(self._describe(lease), continues=lease is not living[-1])
        if not living:
            client.reply({})

    def _GetHistory(self, client, more, namespace=None, sinceUSec=None, limit=None):
        ended = [{"timeUSec": x.ended, "event": "lease_ended", "namespace": x.namespace} for x in self.leases
                 if x.namespace == namespace and x.ended]
        for event in [{"timeUSec": 0, "event": "lease_granted"}, *ended]:
            client.reply(event, continues=True)
        client.reply({})

    def _describe(self, lease):
        members = [{"role": role, "worker": worker, "connected": True, "sinceUSec": 0, "process": {"pid": client.pid}}
                   for client, (role, worker) in lease.members.items()]
        return {"context": {"namespace": lease.namespace, "label": lease.label, "databases": ["platform"]},
                "runtime": {"lease": lease.number, "state": lease.state, "uid": lease.uid, "members": members,
                            "sinceUSec": 0}}

    # ---- rules ----

    def _known(self, namespace, secret):
        lease = self.find(namespace)
        if lease is None or lease.state not in ("live", "releasing") or lease.secret != secret:
            raise Failure("NoSuchLease", namespace=namespace)
        return lease

    def _check_cluster(self, database, identifier):
        names = [name for names in self.clusters.values() for name in names]
        if identifier and identifier not in self.clusters and "*" not in self.clusters:
            raise Failure("NoSuchDatabase", database="")
        if database and database not in names:
            raise Failure("NoSuchDatabase", database=database)
        if not database and not identifier and len(self.clusters) > 1:
            raise Failure("NoSuchDatabase", database="")

    def _end(self, lease, state, reason):
        lease.state, lease.ended = state, int(time.time() * 1e6)
        for client in lease.more:
            if not client.gone:
                client.reply({"state": state, "reason": reason})
        lease.more.clear()
        self.slots = [slot for slot in self.slots if slot["lease"] is not lease]
        self._changed.notify_all()

    def _slot_holders(self):
        return [{"namespace": slot["lease"].namespace, "worker": slot["worker"], "uid": 0, "heldUSec": 12000000}
                for slot in self.slots]
