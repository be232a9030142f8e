# SPDX-License-Identifier: MIT
"""What /proc says about processes: who is an ancestor, and since when."""

from __future__ import annotations

import os
from typing import Iterator, List, Optional


def ancestors() -> Iterator[int]:
    """This process, its parent, and so on up."""
    pid = os.getpid()
    while pid > 0:
        yield pid
        fields = _stat(pid)
        pid = int(fields[1]) if fields else 0


def started_at(pid: int) -> Optional[float]:
    """Seconds since the epoch; None if there is no such process."""
    fields = _stat(pid)
    boot = _boot_time()
    if not fields or boot is None:
        return None
    return boot + int(fields[19]) / os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> Optional[List[str]]:
    """The fields of /proc/PID/stat after the command, which may hold spaces and brackets: [0] is field 3."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].decode("ascii").split()
    except OSError:
        return None


def _boot_time() -> Optional[int]:
    try:
        with open("/proc/stat", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("btime "))
    except (OSError, StopIteration):
        return None
