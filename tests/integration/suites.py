# SPDX-License-Identifier: MIT
"""A suite of tests that write down where they were, so that a test of ours can ask."""

import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import textwrap

from harness import BERTH, PYTHON, until

PYTEST = [PYTHON, "-B", "-m", "pytest", "-p", "pytest_berth.plugin", "-p", "no:cacheprovider"]

CONFTEST = """
    import json, os, pathlib, pytest, pytest_berth

    @pytest.fixture(autouse=True)
    def seen(berth):
        facts = dict(namespace=berth.namespace(), worker=berth.worker_id(), schema=berth.worker_schema(),
                     leased=berth.info().leased, source=berth.info().source, pid=os.getpid())
        name = f"{berth.namespace()}-{berth.worker_id()}"
        pathlib.Path(os.environ["SEEN"], f".{name}").write_text(json.dumps(facts))
        os.rename(f"{os.environ['SEEN']}/.{name}", f"{os.environ['SEEN']}/{name}.json")
"""
TEST = """
    import pytest

    @pytest.mark.parametrize("n", range(4))
    def test_it(n):
        pass
"""


class Suite:
    def __init__(self, folder, daemon):
        self.folder, self.daemon = folder / "suite", daemon
        self.seen_folder = folder / "seen"
        self.folder.mkdir()
        self.seen_folder.mkdir()
        self.write("conftest.py", CONFTEST).write("test_it.py", TEST)

    def write(self, name, text):
        (self.folder / name).write_text(textwrap.dedent(text))
        return self

    def environment(self, **more):
        return self.daemon.environment(SEEN=str(self.seen_folder), **more)

    def start(self, *command, **environment):
        """A command, or pytest with options."""
        command = [str(word) for word in command]
        if not command or command[0].startswith("-"):
            command = [*PYTEST, *command]
        return subprocess.Popen(command, cwd=self.folder, env=self.environment(**environment), text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def run(self, *command, status=0, **environment):
        """The output, once it has ended with that status."""
        process = self.start(*command, **environment)
        output, _ = process.communicate(timeout=120)
        assert process.returncode == status, f"{process.returncode}\n{output}"
        return output

    def alive(self):
        """Every process that has the environment of a run of this suite."""
        marker = f"SEEN={self.seen_folder}\0".encode()
        found = []
        for environ in pathlib.Path("/proc").glob("[0-9]*/environ"):
            try:
                if marker in environ.read_bytes():
                    found.append(int(environ.parent.name))
            except OSError:
                pass
        return found

    def end(self):
        """Whatever a test that failed has left waiting."""
        for pid in self.alive():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def under_berth_run(self, *options):
        return [str(BERTH), "run", "--", *PYTEST, *options]

    def seen(self):
        return [json.loads(path.read_text()) for path in self.seen_folder.glob("*.json")]

    def namespaces(self):
        return {one["namespace"] for one in self.seen()}

    def namespace(self):
        """Of the only run there was."""
        [namespace] = self.namespaces()
        return namespace


def headers(output):
    """What each run's header says in brackets, by namespace."""
    return dict(re.findall(r"^berth: (\w+) \((.*)\)$", output, re.MULTILINE))


class Pane:
    """tmux, whose server keeps the environment that it was started with, and gives it to every pane."""

    def __init__(self, folder, environment):
        assert shutil.which("tmux"), "tmux is not installed; tests/lib/packages.sh test"
        self.folder, self.done, self.out = folder, folder / "pane.done", folder / "pane.out"
        self.sockets = tempfile.mkdtemp(prefix="berth-t-")  # a socket's path must be short
        self.tmux = ["tmux", "-f", "/dev/null", "-S", f"{self.sockets}/s"]
        self._ask("new-session", "-d", "sleep 600", environment={**environment, "TMUX": ""})

    def _ask(self, *words, environment=None):
        environment = environment or {"PATH": os.environ["PATH"]}
        subprocess.run([*self.tmux, *words], env=environment, cwd=self.folder, check=True)

    def type(self, command, folder):
        """In a new pane; its output is in `out`, and `done` has its exit status when it has ended."""
        line = f"{shlex.join(map(str, command))} > {self.out} 2>&1; echo $? > {self.done}.new"
        self._ask("new-window", "-d", "-c", str(folder), f"{line}; mv {self.done}.new {self.done}")

    def wait(self):
        until(self.done.exists, 60, "the end of what was typed")
        return int(self.done.read_text()), self.out.read_text()

    def close(self):
        self._ask("kill-server")
        shutil.rmtree(self.sockets)
