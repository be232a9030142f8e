# SPDX-License-Identifier: MIT
"""A daemon that says what a test wants it to say: the Varlink side of berthd, without anything behind it."""

import json
import os
import socket
import threading

NAMESPACE = "p42t1745178234r3af93d71"
SECRET = "0123456789abcdef0123456789abcdef"
GRANTED = {"state": "granted", "secret": SECRET,
           "context": {"namespace": NAMESPACE, "label": None, "databases": ["platform"]}}


class Call:
    """One call that a client has made, and the connection to answer it on."""

    def __init__(self, peer, message):
        self.peer = peer
        self.method = message["method"].rsplit(".", 1)[1]
        self.parameters = message.get("parameters", {})
        self.more = message.get("more", False)

    def reply(self, parameters=None, continues=False, error=None):
        message = {"parameters": parameters or {}}
        if continues:
            message["continues"] = True
        if error:
            message["error"] = error
        self.raw(json.dumps(message).encode() + b"\0")

    def raw(self, frame):
        try:
            self.peer.sendall(frame)
        except OSError:
            pass

    def close(self):
        self.peer.shutdown(socket.SHUT_RDWR)


class FakeBerthd:
    """answers: {"Acquire": function of a Call}. Everything that was called is in .calls."""

    def __init__(self, path, **answers):
        self.path = str(path)
        self.answers = {"Acquire": grant, "Attach": attach, "Release": lambda call: call.reply(),
                        "AcquireSlot": grant_slot, "ReleaseSlot": lambda call: call.reply({"heldUSec": 5}), **answers}
        self.calls = []
        self.changed = threading.Condition()
        self.peers = []
        self.listener = None
        self.listen()

    def listen(self):
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(16)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def _accept(self, listener):
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            self.peers.append(peer)
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        buffer = b""
        while True:
            try:
                chunk = peer.recv(65536)
            except OSError:
                chunk = b""
            if not chunk:
                self._note(("closed", peer))
                return
            buffer += chunk
            while b"\0" in buffer:
                frame, buffer = buffer.split(b"\0", 1)
                call = Call(peer, json.loads(frame))
                self._note(call)
                self.answers[call.method](call)

    def _note(self, what):
        with self.changed:
            self.calls.append(what)
            self.changed.notify_all()

    def of(self, method):
        return [call for call in self.calls if isinstance(call, Call) and call.method == method]

    def wait_for(self, method, n=1, timeout=20):
        """The n-th call of a method."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.of(method)) >= n, timeout), f"no call {n} of {method}"
        return self.of(method)[n - 1]

    def wait_closed(self, call, timeout=20):
        with self.changed:
            assert self.changed.wait_for(lambda: ("closed", call.peer) in self.calls, timeout), "still open"

    def die(self):
        """As kill -9 does it: the socket's file stays, every connection ends."""
        if self.listener.fileno() >= 0:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
        for peer in self.peers:
            try:
                peer.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.peers = []


def grant(call):
    call.reply(GRANTED, continues=call.more)


def attach(call):
    call.reply({"state": "granted", "context": GRANTED["context"]}, continues=call.more)


def grant_slot(call):
    call.reply({"state": "granted", "slot": 1, "grant": 7, "waitedUSec": 0}, continues=call.more)
