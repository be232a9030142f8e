# SPDX-License-Identifier: MIT
"""Real parts for the tests: PostgreSQL clusters, the daemon, the command line, and things that stand in the way.

Nothing here sleeps for a guess: until() waits for what it is told to see, and fails with the last thing it saw.
"""

import json
import os
import random
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import psycopg2

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("BERTH_BUILD", ROOT / "build" / "debug"))
BERTHD = BUILD / "daemon" / "berthd"
BERTH = BUILD / "client" / "cli" / "berth"
CLUSTER = ROOT / "tests" / "lib" / "pg-cluster.sh"
PLUGIN = ROOT / "client" / "pytest" / "src"
EXAMPLE = ROOT / "docs" / "example"
PYTHON = os.environ.get("BERTH_PYTHON", "/usr/bin/python3")


def until(look, timeout=30.0, what="what was waited for"):
    """Calls look() until it returns something true, and returns that."""
    end = time.monotonic() + timeout
    seen = None
    while time.monotonic() < end:
        seen = look()
        if seen:
            return seen
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come within {timeout} s; last seen: {seen!r}")


class Postgres:
    """A throwaway cluster with databases in it."""

    def __init__(self, *conf, databases=("platform",), directory=None):
        self.directory = Path(directory or tempfile.mkdtemp(prefix="berth-pg-"))
        os.chmod(self.directory, 0o755)
        self.databases = list(databases)
        self.start(*conf)
        for name in databases:
            self.sql(f"CREATE DATABASE {name}", database="postgres")

    def _script(self, *words):
        return subprocess.run([CLUSTER, *map(str, words)], check=True, capture_output=True, text=True).stdout

    def start(self, *conf):
        where = dict(word.split("=", 1) for word in self._script("start", self.directory, *conf).split())
        self.host, self.port = where["host"], int(where["port"])

    def stop(self, mode="fast"):
        self._script("stop", self.directory, mode)

    def remove(self):
        self._script("remove", self.directory)
        shutil.rmtree(self.directory, ignore_errors=True)

    def standby(self):
        other = object.__new__(Postgres)
        other.directory = Path(tempfile.mkdtemp(prefix="berth-pg-"))
        os.chmod(other.directory, 0o755)
        other.databases = self.databases
        where = dict(word.split("=", 1) for word in self._script("standby", other.directory, self.directory).split())
        other.host, other.port = where["host"], int(where["port"])
        return other

    def promote(self):
        self.sql("SELECT pg_promote()", "postgres")

    def conninfo(self, database, user="postgres", tcp=False):
        host = "127.0.0.1" if tcp else self.host
        return f"host={host} port={self.port} dbname={database} user={user}"

    def connect(self, database="platform", application_name="harness", **more):
        connection = psycopg2.connect(self.conninfo(database), application_name=application_name, **more)
        connection.autocommit = True
        return connection

    def sql(self, text, database="platform", **more):
        connection = self.connect(database, **more)
        try:
            with connection.cursor() as cursor:
                cursor.execute(text)
                return cursor.fetchall() if cursor.description else None
        finally:
            connection.close()

    def schemas(self, database):
        rows = self.sql("SELECT nspname FROM pg_namespace WHERE nspname ~ '^test_' ORDER BY 1", database)
        return [name for (name,) in rows]

    def public_rows(self, database):
        """Tables in public, and how many rows each has."""
        tables = self.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", database)
        return {name: self.sql(f'SELECT count(*) FROM public."{name}"', database)[0][0] for (name,) in tables}

    def make_schema(self, database, name, tables=1):
        body = "".join(
            f'CREATE TABLE "{name}".t{i} (id int PRIMARY KEY, a int, b text); CREATE INDEX ON "{name}".t{i} (a);'
            for i in range(tables)
        )
        self.sql(f'CREATE SCHEMA "{name}"; {body}', database)


class Daemon:
    """berthd in the foreground, in a folder of its own."""

    def __init__(self, databases, directory=None, start=True, environment=None, **options):
        self.own_environment = {**os.environ, **(environment or {})}
        self.directory = Path(directory or tempfile.mkdtemp(prefix="berth-d-"))
        self.socket = self.directory / "s"
        self.state = self.directory / "state"
        self.log_path = self.directory / "log"
        self.databases = dict(databases)
        self.options = {"start_grace": "0s", "sweep_interval": "1h", **options}
        self.process = None
        if start:
            self.start()

    @property
    def config(self):
        return self.directory / "berth.conf"

    def write_config(self):
        lines = ["[berthd]", *(f"{key} = {value}" for key, value in self.options.items()), "[databases]"]
        lines += [f"{name} = {conninfo}" for name, conninfo in self.databases.items()]
        self.config.write_text("\n".join(lines) + "\n")

    def launch(self):
        """Starts it with the configuration as it is, and does not wait."""
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [BERTHD, "--config", self.config, "--socket", self.socket, "--state-dir", self.state],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", env=self.own_environment,
            )

    def start(self):
        self.write_config()
        self.launch()
        try:
            until(self.answers, 30, "an answer of berthd")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log}") from None
        return self

    def answers(self):
        assert self.process.poll() is None, f"berthd ended with {self.process.returncode}:\n{self.log}"
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.connect(str(self.socket))
                return True
        except OSError:
            return False

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    def wait_for_log(self, pattern, timeout=30):
        return until(lambda: re.search(pattern, self.log), timeout, f"log line {pattern!r}")

    def stop(self, signal_number=signal.SIGTERM):
        """Ends it; a daemon that a sanitizer or an assertion ended does not pass for one that stopped."""
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        status = self.process.wait(60)
        if signal_number == signal.SIGTERM:
            assert status == 0, f"berthd ended with {status}:\n{self.log}"
        return status

    def remove(self):
        try:
            self.stop()
        finally:
            shutil.rmtree(self.directory, ignore_errors=True)

    def environment(self, **more):
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("BERTH", "PYTEST", "PG"))}
        return {**inherited, "BERTH_SOCKET": str(self.socket), "BERTH_REPORT_DIR": str(self.directory / "reports"),
                "PYTHONPATH": str(PLUGIN), **more}

    def berth(self, *words, check=None, timeout=120, **more):
        """Runs the command line; check: the exit status it must have."""
        done = subprocess.run([BERTH, *map(str, words)], capture_output=True, text=True, timeout=timeout,
                              stdin=subprocess.DEVNULL, env=self.environment(**more))
        if check is not None:
            assert done.returncode == check, f"berth {words}: {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.log}"
        return done

    def json(self, *words, check=0, **more):
        return json.loads(self.berth(*words, "--json", check=check, **more).stdout)

    def after_first_sweep(self):
        """The daemon sweeps by itself when it starts; from here on (sweep_interval is 1 h) only when asked."""
        until(lambda: self.json("status").get("lastSweep"), what="the first sweep")
        return self

    def start_sweep(self, *words):
        """berth sweep --json, running."""
        return subprocess.Popen([BERTH, "sweep", "--json", *words], env=self.environment(), text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)

    def leases(self):
        return self.json("list")["leases"]

    def sweep(self, *words, check=0):
        return self.json("sweep", *words, check=check)

    def connection(self):
        return Wire(self.socket)


class Wire:
    """A bare Varlink client."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(str(path))
        self.buffer = b""

    def send(self, method, parameters=None, more=False):
        call = {"method": method, "parameters": parameters or {}}
        if more:
            call["more"] = True
        self.socket.sendall(json.dumps(call).encode() + b"\0")

    def receive(self):
        while b"\0" not in self.buffer:
            chunk = self.socket.recv(65536)
            if not chunk:
                raise ConnectionError("closed by berthd")
            self.buffer += chunk
        frame, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(frame)

    def call(self, method, parameters=None, more=False):
        self.send(method, parameters, more)
        return self.receive()

    def has_answer(self):
        return b"\0" in self.buffer or bool(select.select([self.socket], [], [], 0)[0])

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class BlackHole:
    """Takes connections and never says a word."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1]

    def conninfo(self, database="nowhere"):
        return f"host=127.0.0.1 port={self.port} dbname={database} user=postgres"

    def close(self):
        self.listener.close()


class Proxy:
    """
    Between the daemon and PostgreSQL, over TCP: holds or cuts at a statement, seen by its text.

    keep_upstream: the server does not learn that its client has gone, as on a network that lost a host.
    """

    def __init__(self, upstream, keep_upstream=False):
        self.upstream = upstream
        self.kept = [] if keep_upstream else None
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1]
        self.rules = []  # (text, action, event seen, event go on)
        threading.Thread(target=self._accept, daemon=True).start()

    def conninfo(self, database):
        return f"host=127.0.0.1 port={self.port} dbname={database} user=postgres sslmode=disable"

    @contextmanager
    def hold(self, text):
        """While inside, whoever sends text waits for its answer; yields the event that says somebody has."""
        seen, go_on = threading.Event(), threading.Event()
        rule = (text.encode(), "hold", seen, go_on)
        self.rules.append(rule)
        try:
            yield seen
        finally:
            self.rules.remove(rule)
            go_on.set()

    @contextmanager
    def cut(self, text, after):
        """While inside, the answer to text ends after that many bytes, and the connection with it."""
        rule = (text.encode(), after, threading.Event(), None)
        self.rules.append(rule)
        try:
            yield rule[2]
        finally:
            self.rules.remove(rule)

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        try:
            server = socket.create_connection(("127.0.0.1", self.upstream.port))
        except OSError:
            client.close()
            return
        left = None
        try:
            while True:
                ready, _, _ = select.select([client, server], [], [])
                if client in ready:
                    data = client.recv(65536)
                    if not data:
                        return
                    for text, action, seen, go_on in list(self.rules):
                        if text in data:
                            seen.set()
                            if action == "hold":
                                go_on.wait(60)
                            else:
                                left = action
                    server.sendall(data)
                if server in ready:
                    data = server.recv(65536)
                    if not data:
                        return
                    if left is not None and len(data) >= left:
                        client.sendall(data[:left])
                        return
                    client.sendall(data)
        except OSError:
            return
        finally:
            client.close()
            if self.kept is None:
                server.close()
            else:
                self.kept.append(server)

    def close(self):
        self.listener.close()
        for server in self.kept or []:
            server.close()


class MessageProxy:
    """
    Counts the messages of the server's answers, connection by connection, and does something to the one of that
    number: closes (before it), tears (in the middle of it), resets, stalls, garbles, slows, or sends garbage instead.
    once: to the first message of that number only, of whatever connection.
    """

    def __init__(self, upstream):
        self.upstream = upstream
        self.at, self.way, self.once = None, None, False
        self.acted = 0
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def conninfo(self, database):
        return f"host=127.0.0.1 port={self.port} dbname={database} user=postgres sslmode=disable"

    def set(self, at=None, way=None, once=False):
        self.at, self.way, self.once, self.acted = at, way, once, 0

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        server = socket.create_connection(("127.0.0.1", self.upstream.port))
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        buffer, count = b"", 0
        try:
            while True:
                ready, _, _ = select.select([client, server], [], [])
                if client in ready:
                    if not (data := client.recv(65536)):
                        return
                    server.sendall(data)
                if server in ready:
                    if not (data := server.recv(65536)):
                        return
                    buffer, count = self._answer(client, buffer + data, count)
        except OSError:
            pass
        finally:
            client.close()
            server.close()

    def _answer(self, client, buffer, count):
        """Passes whole messages on; returns what is left, and how many there have been."""
        whole = b""
        while len(buffer) >= 5 and len(buffer) >= (size := 1 + int.from_bytes(buffer[1:5], "big")):
            message, buffer = buffer[:size], buffer[size:]
            if count == self.at and not (self.once and self.acted):
                self.acted += 1
                client.sendall(whole)
                whole = b""
                if not self._act(client, message):
                    raise ConnectionAbortedError
            else:
                whole += message
            count += 1
        client.sendall(whole)
        return buffer, count

    def _act(self, client, message):
        """True: the answer goes on."""
        if self.way == "tear":
            client.sendall(message[:len(message) // 2])
        elif self.way == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        elif self.way == "stall":
            while client.recv(65536):
                pass  # until the daemon hangs up
        elif self.way == "garble":
            client.sendall(b"~" + message[1:])
            return True
        elif self.way == "garbage":
            client.sendall(os.urandom(200))
            return True
        elif self.way == "slow":
            step = max(1, len(message) // 60)
            for i in range(0, len(message), step):
                client.sendall(message[i:i + step])
                time.sleep(0.001)
            return True
        return False

    def close(self):
        self.listener.close()


class Pooler:
    """PgBouncer in transaction mode in front of one database."""

    def __init__(self, server, database, folder):
        program = shutil.which("pgbouncer", path=os.environ["PATH"] + ":/usr/sbin")
        assert program, "pgbouncer is not installed; tests/lib/packages.sh test"
        self.database, self.server, self.folder, self.program = database, server, folder, program
        folder.chmod(0o777)
        (folder / "users").write_text('"postgres" ""\n')
        for path in (folder, *folder.parents):
            if path.owner() == "root" and path.stat().st_mode & 0o777 == 0o700:
                path.chmod(0o711)
        # Somebody may take the port between our look and its own: then it ends, and another is drawn.
        until(self._starts, what="pgbouncer")

    def _starts(self):
        self.port = random.randrange(20000, 30000)  # below those that the kernel gives to connections
        (self.folder / "ini").write_text(f"""[databases]
{self.database} = host={self.server.host} port={self.server.port} dbname={self.database} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.port}
unix_socket_dir =
auth_type = any
auth_file = {self.folder}/users
pool_mode = transaction
ignore_startup_parameters = extra_float_digits
""")
        if self._answers():
            return False
        as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        self.process = subprocess.Popen([*as_user, self.program, self.folder / "ini"], stdout=subprocess.DEVNULL,
                                        stderr=open(self.folder / "log", "wb"))
        until(lambda: self._answers() or self.process.poll() is not None, what="pgbouncer")
        return self.process.poll() is None

    def _answers(self):
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def conninfo(self):
        return f"host=127.0.0.1 port={self.port} dbname={self.database} user=postgres"

    def close(self):
        self.process.terminate()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def descendants(pid):
    """All living descendants of a process, itself first."""
    found = [pid]
    for one in found:
        children = subprocess.run(["ps", "-o", "pid=", "--ppid", str(one)], capture_output=True, text=True).stdout
        found += [int(word) for word in children.split() if int(word) not in found]
    return [one for one in found if is_alive(one)]
