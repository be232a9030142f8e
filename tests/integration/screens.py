# SPDX-License-Identifier: MIT
"""
A terminal with a person at it: berth on a real pty, and pyte to read what stands on the screen. Of the types that have
colours and an alternate screen rxvt is the one that needs nothing which pyte lacks.
"""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

import pyte

from harness import BERTH


class Terminal:
    def __init__(self, *words, environment, width=80, height=24, term="rxvt"):
        self.master, self.slave = pty.openpty()
        self.screen = pyte.Screen(width, height)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self._set_size(width, height)
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen([BERTH, *words], stdin=self.slave, stdout=self.slave, stderr=self.slave,
                                        env={**environment, "TERM": term, "LC_ALL": "C.UTF-8"}, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def _set_size(self, width, height):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def resize(self, width, height):
        self.screen.resize(height, width)
        self._set_size(width, height)

    def press(self, keys):
        os.write(self.master, keys.encode())

    def read(self, timeout):
        if select.select([self.master], [], [], timeout)[0]:
            data = os.read(self.master, 65536)
            self.raw += data
            self.stream.feed(data)

    @property
    def lines(self):
        return [line.rstrip() for line in self.screen.display]

    @property
    def text(self):
        return "\n".join(self.lines)

    def wait_for(self, look, timeout=30):
        """look: text that must stand there, or a function of the text."""
        end = time.monotonic() + timeout
        while not (look in self.text if isinstance(look, str) else look(self.text)):
            assert time.monotonic() < end, f"{look!r} did not come; the screen:\n{self.text}"
            assert self.process.poll() is None, f"it ended with {self.process.returncode}; the screen:\n{self.text}"
            self.read(0.5)
        return self.text

    def end(self, keys=None, number=None):
        """Its exit status, when all of its output has been read."""
        if keys:
            self.press(keys)
        if number:
            self.process.send_signal(number)
        status = self.process.wait(30)
        while select.select([self.master], [], [], 0)[0]:
            self.read(0)
        return status

    def is_restored(self):
        """As it was before: its modes, and the screen that was there below."""
        return (termios.tcgetattr(self.slave) == self.before and self.raw.count(b"\x1b[?47h") == 1
                and self.raw.count(b"\x1b[?47l") == 1 and b"\x1b[?25h" in self.raw.rsplit(b"\x1b[?25l", 1)[-1])

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
