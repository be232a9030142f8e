# SPDX-License-Identifier: MIT
"""A machine with systemd, and berth installed in it (container.sh)."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))

from harness import BUILD, PYTHON, until  # noqa: E402

ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8",
               "SYSTEMD_PAGER": "", "ASAN_OPTIONS": "detect_leaks=0"}


class Container:
    def __init__(self, build=BUILD):
        """build None: a machine without berth."""
        self.directory = Path(tempfile.mkdtemp(prefix="berth-box-", dir="/var/tmp"))
        self.script = subprocess.Popen([HERE / "container.sh", self.directory, build or "none"], stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.started = []
        line = self.script.stdout.readline().split()
        if len(line) != 2:
            raise AssertionError(f"systemd cannot be booted here: {self.script.communicate()[1].strip()}")
        self.leader = line[1]
        until(lambda: self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded"),
              60, "the end of the boot")

    def remove(self):
        # What a test that failed has left. nsenter stops where its child is stopped, as at a shutdown.
        for process in self.started:
            process.kill()
            process.wait()
        self.script.stdin.close()
        self.script.wait(60)
        self.directory.rmdir()

    def command(self, *words):
        # Its root, too: where this machine is itself a chroot, that is not the root of its mounts.
        return ["nsenter", "-t", self.leader, "-a", "-r", "-w", "--", *map(str, words)]

    def run(self, *words, check=True, text=None, user=None):
        if user:
            words = ("setpriv", "--reuid", user, "--regid", user, "--init-groups", "env",
                     f"XDG_RUNTIME_DIR=/run/user/{user}", "HOME=/home/dev", *words)
        done = subprocess.run(self.command(*words), env=ENVIRONMENT, input=text, text=True, capture_output=True, timeout=120)
        if check:
            assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}\n{self.journal()}"
        return done

    def start(self, *words):
        process = subprocess.Popen(self.command(*words), env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.started.append(process)
        return process

    def json(self, *words, **more):
        return json.loads(self.run("berth", *words, "--json", **more).stdout)

    def show(self, property, unit="berthd.service"):
        return self.run("systemctl", "show", "--value", "-p", property, unit).stdout.strip()

    def copy(self, source, path):
        with open(source, "rb") as file:
            subprocess.run(self.command("sh", "-c", f"cat >{path}"), stdin=file, check=True, env=ENVIRONMENT)

    def write(self, path, text):
        self.run("tee", path, text=text)

    def journal(self):
        return self.run("journalctl", "-b", "-u", "berthd.service", "-n", "60", check=False).stdout

    def forget_starts(self):
        """A test must not run into the start limit because of the one before."""
        self.run("systemctl", "reset-failed", "berthd.service", "berthd.socket", check=False)


class Clients:
    """Processes in the container, each with a lease of its own, the first ones with a slot besides (clients.py)."""

    def __init__(self, container, n, n_slots=0):
        self.container = container
        source = (HERE / "clients.py").read_text()
        self.process = container.start(PYTHON, "-c", source, n, n_slots)
        self.holds = self.ask("start")
        # A reply is on its way before the daemon is done with it.
        container.json("status")

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def lost(self):
        """How many connections have ended so far."""
        return self.ask("lost")

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def picture(container):
    """Leases with their members, and slots with their holders: all that must not change."""
    leases = container.json("list")["leases"]
    clusters = container.json("status")["clusters"]
    return {
        "leases": sorted((x["context"]["namespace"], x["runtime"]["state"],
                          [(m["process"]["pid"], m["connected"]) for m in x["runtime"]["members"]]) for x in leases),
        "slots": sorted((h["slot"], h["namespace"]) for c in clusters for h in c["holders"]),
    }
