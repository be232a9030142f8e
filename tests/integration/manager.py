# SPDX-License-Identifier: MIT
"""A service manager in small: it listens for berthd, starts it, hears its notifications, and keeps what it stores."""

import fcntl
import os
import select
import socket
import subprocess
import threading

from harness import BERTHD, Daemon, until

# LISTEN_PID must be the daemon's own pid, so a shell becomes the daemon.
START = 'n=3; for fd in $1; do eval "exec $n<&$fd $fd<&-"; n=$((n+1)); done; shift; LISTEN_PID=$$ exec "$@"'


class Managed(Daemon):
    """berthd under such a manager. kill() and stop() end it as systemctl would; restart() starts it again."""

    def __init__(self, databases, **options):
        super().__init__(databases, start=False, **options)
        self.store = {}
        self.told = []
        self.directory.chmod(0o755)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.socket))
        self.listener.listen(64)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(self.directory / "notify"))
        threading.Thread(target=self._hear, daemon=True).start()
        self.start()

    def start(self):
        self.write_config()
        self._drop_hung_up()
        names = ["varlink", *self.store]
        given = [os.dup(fd) for fd in [self.listener.fileno(), *self.store.values()]]
        given = [self._high(fd) for fd in given]
        self.told.clear()
        environment = {**self.own_environment, "NOTIFY_SOCKET": str(self.directory / "notify"),
                       "LISTEN_FDS": str(len(names)), "LISTEN_FDNAMES": ":".join(names)}
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                ["/bin/bash", "-c", START, "start", " ".join(map(str, given)), BERTHD, "--config", self.config,
                 "--state-dir", self.state],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", env=environment, pass_fds=given)
        for fd in given:
            os.close(fd)
        until(self._is_ready, 30, "READY=1")
        return self

    def kill(self):
        self.process.kill()
        self.process.wait(30)

    def restart(self, how="kill"):
        getattr(self, how)()
        return self.start()

    def remove(self):
        super().remove()
        for fd in self.store.values():
            os.close(fd)
        self.notify.close()
        self.listener.close()

    def connections(self):
        return sorted(name for name in self.store if name.startswith("conn-"))

    def _is_ready(self):
        assert self.process.poll() is None, f"berthd ended with {self.process.returncode}:\n{self.log}"
        return any("READY=1" in text for text in list(self.told))

    @staticmethod
    def _high(fd):
        high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 500)
        os.close(fd)
        return high

    def _drop_hung_up(self):
        """As systemd does by FDPOLL=1; here it is enough to look when it matters."""
        for name, fd in list(self.store.items()):
            poll = select.poll()
            poll.register(fd, select.POLLHUP)
            if any(event & select.POLLHUP for _, event in poll.poll(0)):
                os.close(self.store.pop(name))

    def _hear(self):
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self.notify, 4096, 8)
            except OSError:
                return
            if not data:
                return
            lines = dict(line.split("=", 1) for line in data.decode().splitlines())
            name = lines.get("FDNAME", "stored")
            if "FDSTOREREMOVE" in lines and name in self.store:
                os.close(self.store.pop(name))
            if "FDSTORE" in lines:
                for fd in fds:
                    assert name not in self.store, f"{name} is stored twice"
                    self.store[name] = fd
            self.told.append(data.decode())
