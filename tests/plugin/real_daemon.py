# SPDX-License-Identifier: MIT
"""The real berthd behind the same few words as the fake one."""

import os
import subprocess
import time

from pytest_berth._client import Connection
from pytest_berth._errors import BerthError


class RealDaemon:
    def __init__(self, program, folder):
        self.socket = str(folder / "s")
        self.program, self.folder, self.process = program, folder, None
        (folder / "berth.conf").write_text(f"[berthd]\nsocket = {self.socket}\nstate_dir = {folder}/state\n")
        (folder / "state").mkdir()
        self.start()

    def start(self):
        log = open(self.folder / "log", "ab")
        self.process = subprocess.Popen([self.program, "--config", self.folder / "berth.conf"], stderr=log,
                                        stdin=subprocess.DEVNULL, env={**os.environ, "NOTIFY_SOCKET": ""})
        deadline = time.monotonic() + 20
        while True:
            try:
                Connection(self.socket).close()
                return
            except BerthError:
                assert self.process.poll() is None and time.monotonic() < deadline, (self.folder / "log").read_text()
                time.sleep(0.02)

    def stop(self):
        self.process.terminate()
        self.process.wait(20)

    def restart(self):
        self.stop()
        self.start()
