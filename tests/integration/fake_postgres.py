# SPDX-License-Identifier: MIT
"""
A PostgreSQL made of memory, which answers the daemon's questions and can misbehave at any message.

It speaks the protocol as far as the daemon needs it: start-up, the offers of TLS and GSS, every kind of log-in, and
simple queries. What it says comes from a small model: databases with schemas, sessions, transactions that drop. A
question it does not know is an error, and remembered in `unknown`: whoever adds one to the daemon adds it here.

Each server message has a number, connection by connection; misbehave(at, way) does one of WAYS to that one. The model
is the oracle as well: `wrong` has every schema in `live` that a COMMIT took away.
"""

import itertools
import os
import re
import socket
import struct
import threading
import time

CHUNK = 1 << 16
SSL, GSS, CANCEL = 80877103, 80877104, 80877102


def message(kind, body=b""):
    return kind.encode() + struct.pack("!i", len(body) + 4) + body


def text(word):
    return str(word).encode() + b"\0"


def row(*cells):
    body = struct.pack("!h", len(cells))
    for cell in cells:
        if cell is None:
            body += struct.pack("!i", -1)
        else:
            data = cell if isinstance(cell, bytes) else str(cell).encode()
            body += struct.pack("!i", len(data)) + data
    return message("D", body)


def columns(n):
    return message("T", struct.pack("!h", n) + b"".join(
        text(f"c{i}") + struct.pack("!ihihih", 0, 0, 25, -1, -1, 0) for i in range(n)))


def rows(n, *found):
    return [columns(n), *(row(*cells) for cells in found), done(f"SELECT {len(found)}")]


def done(tag):
    return message("C", text(tag))


def error(why, sqlstate="XX000", severity="ERROR", kind="E"):
    fields = {"S": severity, "V": severity, "C": sqlstate, "M": why}
    return message(kind, b"".join(key.encode() + text(value) for key, value in fields.items() if value) + b"\0")


class HangUp(Exception):
    """The connection ends here."""


class Refused(Exception):
    """An ErrorResponse for this statement."""


def pieces(whole, most=60):
    """Byte by byte, or, of a long one, in so many pieces."""
    size = max(1, len(whole) // most)
    return [whole[i:i + size] for i in range(0, len(whole), size)]


# ---- ways to misbehave: each is given the connection and the message whose turn it is ----


def close(connection, _):
    raise HangUp


def tear(connection, whole):
    connection.raw(whole[:len(whole) // 2])
    raise HangUp


def reset(connection, _):
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.socket.close()
    raise HangUp


def stall(connection, _):
    while connection.socket.recv(CHUNK):
        pass
    raise HangUp


def slow(connection, whole):
    for piece in pieces(whole):
        connection.raw(piece)
        time.sleep(0.0005)


def garbage(connection, _):
    connection.raw(os.urandom(200))


def of_kind(kind):
    def other_kind(connection, whole):
        connection.raw(kind.encode() + whole[1:])
    return other_kind


def of_length(length):
    def other_length(connection, whole):
        connection.raw(whole[:1] + struct.pack("!I", length & 0xFFFFFFFF) + whole[5:])
    return other_length


def left_out(connection, _):
    pass


def doubled(connection, whole):
    connection.raw(whole + whole)


def instead(*others):
    def another(connection, _):
        connection.raw(b"".join(others))
    return another


def before(*others):
    def first(connection, whole):
        connection.raw(b"".join(others) + whole)
    return first


def for_ever(make, head=b""):
    """Until the daemon hangs up; what make(i) gives is sent in large pieces."""
    def endless(connection, _):
        connection.raw(head)
        for i in itertools.count():
            connection.raw(b"".join(make(i * 500 + k) for k in range(500)))
    return endless


def cells_of(whole):
    (n,), at, found = struct.unpack("!h", whole[5:7]), 7, []
    for _ in range(n):
        (size,) = struct.unpack("!i", whole[at:at + 4])
        at += 4
        found.append(None if size < 0 else whole[at:at + size])
        at += max(size, 0)
    return found


def in_rows(change):
    """Of the cells of a row; other messages go as they are."""
    def changed(connection, whole):
        connection.raw(row(*change(cells_of(whole))) if whole[:1] == b"D" else whole)
    return changed


def ready(state):
    def other_state(connection, whole):
        connection.raw(message("Z", state) if whole[:1] == b"Z" else whole)
    return other_state


FATAL = error("terminating connection due to administrator command", "57P01", "FATAL")
NOTICE = error("for your information", "00000", "NOTICE", "N")
BIG = b"x" * 8000

WAYS = {
    "close": close, "tear": tear, "reset": reset, "stall": stall, "slow": slow, "garbage": garbage,
    "garble": of_kind("~"), "a row": of_kind("D"), "a command's end": of_kind("C"), "an error": of_kind("E"),
    "ready": of_kind("Z"), "copy in": of_kind("G"), "copy out": of_kind("H"), "copy both": of_kind("W"),
    "no data": of_kind("n"), "suspended": of_kind("s"), "empty": of_kind("I"), "bind": of_kind("2"),
    "length 0": of_length(0), "length 3": of_length(3), "length 4": of_length(4), "length -1": of_length(-1),
    "length 1 GB": of_length(1 << 30), "length 2 GB": of_length(0x7FFFFFFF),
    "left out": left_out, "doubled": doubled,
    "refused": instead(error("no", "42501")), "refused and on": before(error("no", "42501")),
    "refused without a state": instead(error("no", None)), "refused without a word": instead(message("E", b"\0")),
    "fatal": instead(FATAL), "fatal and on": before(FATAL), "notice": before(NOTICE),
    "a row more": before(row("x", "1", "y", "t")), "a row of nothing": before(row()),
    "other columns": before(columns(1)), "no columns": before(columns(0)), "another ready": before(message("Z", b"I")),
    "another end": before(done("SELECT 0")),
    "ready, failed": ready(b"E"), "ready, in transaction": ready(b"T"), "ready, nonsense": ready(b"?"),
    "null first": in_rows(lambda cells: [None] + cells[1:]), "null second": in_rows(lambda cells: cells[:1] + [None] + cells[2:]),
    "all null": in_rows(lambda cells: [None] * len(cells)), "column less": in_rows(lambda cells: cells[:-1]),
    "column more": in_rows(lambda cells: cells + [b"1"]),
    "notices for ever": for_ever(lambda _: NOTICE),
    "rows for ever": for_ever(lambda _: row(BIG, "1", "x", "t")),
    "rows of nothing for ever": for_ever(lambda _: row(None, None, None, None)),
    "parameters for ever": for_ever(lambda i: message("S", text(f"name{i}") + text("value"))),
    "notifications for ever": for_ever(lambda i: message("A", struct.pack("!i", 1) + text("channel") + text("x" * 200))),
    "errors for ever": for_ever(lambda _: error("no " * 100, "42501")),
    "ready for ever": for_ever(lambda _: message("Z", b"I")),
    "a row of 1 GB": for_ever(lambda _: BIG, b"D" + struct.pack("!iHi", 1 << 30, 1, (1 << 30) - 10)),
    "an error of 1 GB": for_ever(lambda _: BIG, b"E" + struct.pack("!i", 1 << 30)),
    "an error without an end": for_ever(lambda _: BIG, b"Eno"),
}
# An answer to which this was done may still be a whole one.
HARMLESS = {"slow", "notice"}
ENDLESS = [name for name in WAYS if "for ever" in name or name.endswith((" 1 GB", "an end")) and name.startswith("a")]


class FakePostgres:
    """A server. databases: {name: [schema, ...]}; sessions: [(application_name, database), ...] of others."""

    def __init__(self, databases, sessions=(), live=()):
        self.numbers = itertools.count(20000)
        self.databases = {name: {schema: next(self.numbers) for schema in schemas} for name, schemas in databases.items()}
        self.sessions = [(label, next(self.numbers), database) for label, database in sessions]
        self.live, self.wrong, self.dropped, self.unknown = set(live), [], [], []
        self.identity = {"system_identifier": 7000000000000000000 + id(self) % 10**9, "started": 1700000000000000,
                         "uptime": 10**12, "in_recovery": "f", "read_only": "f", "pid": None}
        self.auth, self.offer, self.key, self.parameters = "ok", b"N", True, {}
        self.at = self.way = None
        self.acted, self.only_once = 0, False
        self.lock = threading.RLock()
        self.connections = set()
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def conninfo(self, database=None, more="sslmode=disable"):
        return f"host=127.0.0.1 port={self.port} dbname={database or next(iter(self.databases))} user=postgres {more}"

    def misbehave(self, at=None, way=None, once=False):
        with self.lock:
            self.at, self.way, self.acted, self.only_once = at, WAYS.get(way, way), 0, once

    def make(self, database, *schemas):
        with self.lock:
            self.databases[database].update({schema: next(self.numbers) for schema in schemas})

    def schemas(self, database):
        with self.lock:
            return sorted(self.databases[database])

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=Connection(self, client).serve, daemon=True).start()

    def close(self):
        self.listener.close()
        for connection in list(self.connections):
            connection.socket.close()


class Connection:
    def __init__(self, server, client):
        self.server, self.socket = server, client
        self.sent, self.buffer, self.out = 0, b"", []
        self.state, self.dropping, self.label, self.database = b"I", [], "", ""
        self.pid = next(server.numbers)

    # -- in and out --

    def raw(self, data):
        self.flush()
        self.socket.sendall(data)

    def flush(self):
        out, self.out = b"".join(self.out), []
        if out:
            self.socket.sendall(out)

    def say(self, *messages):
        for whole in messages:
            with self.server.lock:
                mine = self.sent == self.server.at and not (self.server.only_once and self.server.acted)
                self.server.acted += mine
                way = self.server.way
            self.sent += 1
            if mine:
                way(self, whole)
            else:
                self.out.append(whole)

    def read(self, size):
        while len(self.buffer) < size:
            data = self.socket.recv(CHUNK)
            if not data:
                raise HangUp
            self.buffer += data
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def read_message(self):
        kind = self.read(1)
        return kind, self.read(struct.unpack("!i", self.read(4))[0] - 4)

    # -- a life --

    def serve(self):
        try:
            self.start_up()
            while True:
                self.flush()
                kind, body = self.read_message()
                if kind == b"X":
                    return
                if kind == b"Q":
                    self.query(body[:-1].decode())
        except (HangUp, OSError):
            try:
                self.flush()
            except OSError:
                pass
        finally:
            with self.server.lock:
                self.server.connections.discard(self)
            self.socket.close()

    def start_up(self):
        while True:
            size, code = struct.unpack("!ii", self.read(8))
            body = self.read(size - 8)
            if code == CANCEL:
                raise HangUp
            if code not in (SSL, GSS):
                break
            self.socket.sendall(self.server.offer)
        words = body.split(b"\0")
        options = {key.decode(): value.decode() for key, value in zip(words[::2], words[1::2])}
        self.label, self.database = options.get("application_name", ""), options["database"]
        self.log_in()
        if self.database not in self.server.databases:
            self.say(error(f'database "{self.database}" does not exist', "3D000", "FATAL"))
            raise HangUp
        with self.server.lock:
            self.server.connections.add(self)
        told = {"server_version": "15.20", "server_encoding": "UTF8", "client_encoding": "UTF8",
                "standard_conforming_strings": "on", "integer_datetimes": "on", "application_name": self.label,
                **self.server.parameters}
        self.say(*(message("S", text(name) + text(value)) for name, value in told.items()))
        if self.server.key:
            self.say(message("K", struct.pack("!ii", self.pid, 1234)))
        self.say(message("Z", b"I"))

    def log_in(self):
        how = self.server.auth
        if how == "cleartext":
            self.ask(3)
        elif how == "md5":
            self.ask(5, b"salt")
        elif isinstance(how, int):  # a kind that nobody knows
            self.ask(how)
        elif how.startswith("scram"):
            _, answer = self.ask(10, text("SCRAM-SHA-256") + b"\0")
            nonce = answer.split(b"r=", 1)[1]
            first = {"scram": b"r=" + nonce + b"fake,s=c2FsdA==,i=4096", "scram, other nonce": b"r=other,s=c2FsdA==,i=4096",
                     "scram, no salt": b"r=" + nonce + b"fake,s=,i=0", "scram, nonsense": b"\xff\0~"}[how]
            self.ask(11, first)
            self.say(message("R", struct.pack("!i", 12) + b"v=bm9ib2R5IGtub3dzIHlvdXIgcGFzc3dvcmQgaGVyZSE="))
        self.say(message("R", struct.pack("!i", 0)))

    def ask(self, code, more=b""):
        self.say(message("R", struct.pack("!i", code) + more))
        self.flush()
        return self.read_message()

    # -- questions --

    def query(self, sql):
        for statement in re.split(r";\s*", sql):
            if self.state == b"E" and not statement.startswith(("ROLLBACK", "COMMIT")):
                self.say(error("current transaction is aborted", "25P02"))
                break
            try:
                with self.server.lock:
                    answer = self.answer(statement)
            except Refused as refused:
                self.say(error(*refused.args))
                if self.state == b"T":
                    self.state = b"E"
                break
            self.say(*answer)
        self.say(message("Z", self.state))

    def answer(self, statement):
        for pattern, handler in ANSWERS:
            if found := re.match(pattern, statement, re.S):
                return handler(self, *found.groups())
        self.server.unknown.append(statement)
        raise Refused("a question that the fake does not know: " + statement[:60], "0A000")

    @property
    def schemas(self):
        found = dict(self.server.databases[self.database])
        for name in self.dropping:
            found.pop(name, None)
        return found

    def identify(self):
        is_ = self.server.identity
        oid = 5000 + list(self.server.databases).index(self.database)
        return rows(12, (is_["system_identifier"], is_["started"], is_["uptime"], f"port {self.server.port}, timeline 1",
                         oid, is_["in_recovery"], is_["read_only"], is_["pid"] or self.pid, "t", 12800, 1000, 150020))

    def sessions(self):
        others = [(other.label, other.pid, other.database) for other in self.server.connections]
        return rows(3, ("", 4711, None), *self.server.sessions, *others)

    def begin(self):
        self.state = b"T"
        return [done("BEGIN")]

    def pin(self, name):
        if name not in self.schemas:
            raise Refused(f'schema "{name}" does not exist', "3F000")
        return [done("COMMENT")]

    def drop(self, name):
        self.pin(name)
        self.dropping.append(name)
        return [error(f"drop cascades to table {name}.t0", "00000", "NOTICE", "N"), done("DROP SCHEMA")]

    def end(self, commit):
        tag = "COMMIT" if commit and self.state == b"T" else "ROLLBACK"
        if tag == "COMMIT":
            for name in self.dropping:
                self.server.databases[self.database].pop(name, None)
                self.server.dropped.append((self.database, name))
                if name in self.server.live:
                    self.server.wrong.append((self.database, name))
        self.dropping, self.state = [], b"I"
        return [done(tag)]


ANSWERS = [
    (r"SET ", lambda c: [done("SET")]),
    (r"BEGIN", Connection.begin),
    (r"COMMIT", lambda c: c.end(True)),
    (r"ROLLBACK", lambda c: c.end(False)),
    (r"SELECT \(SELECT system_identifier FROM pg_control_system\(\)\) \|\|", lambda c: rows(6, (
        c.database, "start", None, None, None, None))),
    (r"SELECT \(SELECT system_identifier", Connection.identify),
    (r"SELECT nspname, oid", lambda c: rows(5, *(
        (name, oid, "postgres", "t", "f") for name, oid in sorted({"public": 2200, **c.schemas}.items())))),
    (r"SELECT pg_stat_clear_snapshot", lambda c: rows(1, ("",))),
    (r"SELECT application_name, pid, datname", Connection.sessions),
    (r'COMMENT ON SCHEMA "(\w+)"', Connection.pin),
    (r"SELECT oid\s+FROM pg_namespace\s+WHERE nspname = '(\w+)'", lambda c, name: rows(1, *(
        [(c.schemas[name],)] if name in c.schemas else []))),
    (r"SELECT 1 FROM pg_namespace WHERE oid = '(\d+)'", lambda c, oid: rows(1, *(
        [("1",)] if int(oid) in c.schemas.values() else []))),
    (r"WITH RECURSIVE kin", lambda c: rows(4, ("size", "pg_namespace", "10", None))),
    (r'DROP SCHEMA "(\w+)" CASCADE', Connection.drop),
    (r"WITH prepared", lambda c: rows(3)),
    (r"SELECT pid, pg_terminate_backend", lambda c: rows(2)),
    (r"SELECT a.application_name, l.objects", lambda c: rows(2)),
    (r"WITH label\(whole\)", lambda c: rows(1)),
]
