# SPDX-License-Identifier: MIT
"""Start a program that belongs to this run: `python -m pytest_berth COMMAND...`

A server under test, say. It carries the run's lease for as long as it lives: nothing is dropped under it, although
pytest was killed. Without a lease, or without a daemon, it just starts.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import List, NoReturn, Optional

from ._client import ANSWER_TIMEOUT, LEASE, Connection, find_socket
from ._errors import BerthError
from ._namespace import ENV_NAMESPACE, ENV_SECRET, ENV_SOCKET


def main(command: List[str]) -> NoReturn:
    if not command:
        sys.exit("usage: python -m pytest_berth COMMAND...")
    connection: Optional[Connection] = None
    try:
        connection = _attach()
    except BerthError as e:
        print(f"berth: {command[0]} starts without the run's lease; {e.message}", file=sys.stderr)
    # Python ignores these, and an ignored signal would be ignored by the program, too.
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)
    except OSError as e:
        print(f"berth: cannot start {command[0]}; {e.strerror}", file=sys.stderr)
        sys.exit(127 if isinstance(e, FileNotFoundError) else 126)
    finally:
        del connection


def _attach() -> Optional[Connection]:
    """The connection carries the lease; it is the same process that goes on with it."""
    namespace, secret = os.environ.get(ENV_NAMESPACE), os.environ.get(ENV_SECRET)
    if not namespace or not secret:
        return None
    connection = Connection(find_socket(os.environ.get(ENV_SOCKET)))
    connection.call(f"{LEASE}.Attach", {"namespace": namespace, "secret": secret, "role": "child"}, ANSWER_TIMEOUT)
    connection.keep_over_exec()
    return connection


if __name__ == "__main__":
    main(sys.argv[1:])
