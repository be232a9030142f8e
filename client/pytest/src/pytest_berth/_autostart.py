# SPDX-License-Identifier: MIT
"""A daemon for this user alone, where there is none: `berthd --user --detach`.

berthd sees to it that of many that are started at once one stays, and that this one serves before any of them returns.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import Optional

from ._client import SYSTEM_SOCKET
from ._errors import DaemonUnavailable

ENV_DAEMON = "BERTH_DAEMON"  # the berthd to start; empty: none is started
_MENDED = {"NoDaemon", "DeadSocket"}
_SBIN = "/usr/local/sbin:/usr/sbin"  # not in a user's PATH
_TIMEOUT = 15.0


def autostart(e: DaemonUnavailable) -> bool:
    """Whether somebody serves now. False: a daemon of our own would not mend what is wrong."""
    program = _program()
    if e.error not in _MENDED or program is None or os.path.lexists(SYSTEM_SOCKET):
        return False
    try:
        subprocess.run([program, "--user", "--detach"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.PIPE, timeout=_TIMEOUT, check=True)
    except subprocess.CalledProcessError as failed:
        raise _impossible(_first_line(failed.stderr)) from None
    except (OSError, subprocess.TimeoutExpired) as failed:
        raise _impossible(str(failed)) from None
    return True


def _program() -> Optional[str]:
    named = os.environ.get(ENV_DAEMON)
    if named is not None:
        return named or None
    return shutil.which("berthd", path=f"{os.environ.get('PATH', os.defpath)}:{_SBIN}")


def _first_line(text: bytes) -> str:
    """Without the level that journald reads."""
    lines = text.decode("utf-8", "replace").splitlines()
    return re.sub("^<[0-9]>", "", lines[0]) if lines else "it does not say why"


def _impossible(why: str) -> DaemonUnavailable:
    return DaemonUnavailable(f"no daemon, and berthd --user could not be started; {why}",
                             "install berthd, 'systemctl start berthd.socket', or set BERTH_SOCKET", "NoDaemon")
