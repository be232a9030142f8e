# SPDX-License-Identifier: MIT
"""A shell's view of a command: a session with a terminal, whose foreground group is the command's."""

import errno
import os
import pty
import re
import select
import time

# Writes the number of each INT and TERM that it gets, also of two that come together, until a TERM.
COUNTING = """
import os, signal
get, put = os.pipe2(os.O_NONBLOCK)
signal.set_wakeup_fd(put)
os.set_blocking(get, True)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: None)
print("ready", flush=True)
while (number := os.read(get, 1)[0]) != signal.SIGTERM:
    print(number, flush=True)
print(number, flush=True)
"""


class Terminal:
    def __init__(self, words, environment):
        words = [str(word) for word in words]
        self.pid, self.fd = pty.fork()
        if not self.pid:
            os.execve(words[0], words, environment)
        self.text = ""

    def type(self, text):
        os.write(self.fd, text.encode())

    def read_until(self, pattern, timeout=20):
        end = time.monotonic() + timeout
        while not re.search(pattern, self.text):
            assert time.monotonic() < end, self.text
            if select.select([self.fd], [], [], 0.2)[0]:
                try:
                    self.text += os.read(self.fd, 4096).decode()
                except OSError as error:
                    assert error.errno == errno.EIO and re.search(pattern, self.text), self.text
        return self.text

    def wait(self):
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
