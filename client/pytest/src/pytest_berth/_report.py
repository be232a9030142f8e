# SPDX-License-Identifier: MIT
"""The file that a run leaves: lines while it goes on, one JSON object when it has ended. See docs/reports.md.

    <stamp>_<namespace>.jsonl ──close──▶ <stamp>_<namespace>.json
             └──kill -9──▶ stays, and has what was known

Only the controller writes. Whatever goes wrong here is told once and changes nothing else.
"""

from __future__ import annotations

import json
import os
import re
import stat
import time
from typing import Any, Dict, Optional, TextIO

ENV_REPORT_DIR = "BERTH_REPORT_DIR"
OFF = "off"
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE = 0o640
_ATTEMPTS = 20
_GIT_FILE_MAX = 64 << 20


class Report:
    """Open from its making until close(). Every method may raise OSError."""

    def __init__(self, directory: str, namespace: str) -> None:
        make_directory(directory)
        for attempt in range(_ATTEMPTS):
            self.started = time.time()
            self._stem = os.path.join(directory, f"{_stamp(self.started)}_{namespace}")
            try:
                self._lines = os.open(f"{self._stem}.jsonl", _FLAGS, _MODE)
                return
            except FileExistsError:
                if attempt == _ATTEMPTS - 1:
                    raise

    @property
    def path(self) -> str:
        """Where the object will be."""
        return f"{self._stem}.json"

    def line(self, event: str, facts: Dict[str, Any]) -> None:
        _write(self._lines, {"event": event, "at": rfc3339(time.time()), **facts})

    def close(self, whole: Dict[str, Any]) -> None:
        """The object in place of the lines: complete, or not there at all."""
        directory, name = os.path.split(self._stem)
        draft = os.path.join(directory, f".{name}.tmp")
        fd = os.open(draft, _FLAGS, _MODE)
        try:
            try:
                _write(fd, whole)
            finally:
                os.close(fd)
            _put(draft, self.path)
        finally:
            if os.path.lexists(draft):
                os.unlink(draft)
        lines, self._lines = self._lines, -1  # the number may soon be another file's
        os.close(lines)
        os.unlink(f"{self._stem}.jsonl")


def default_directory() -> Optional[str]:
    """The same as `berth run` exports: see client/cli/environment.c."""
    state = os.environ.get("XDG_STATE_HOME")
    if not state:
        home = os.environ.get("HOME")
        state = f"{home}/.local/state" if home else ""
    return f"{state}/berth/reports" if state.startswith("/") else None


def make_directory(path: str) -> None:
    """A folder of one's own. The default one must not be a trap that somebody else has laid."""
    os.makedirs(path, 0o700, exist_ok=True)
    if path != default_directory():
        return
    status = os.lstat(path)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise PermissionError(1, f"not a folder of uid {os.geteuid()}", path)


def rfc3339(seconds: float) -> str:
    whole, micros = divmod(round(seconds * 1e6), 1000000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{micros:06d}Z"


def git_head(directory: str) -> Optional[str]:
    """The commit of the work tree that directory is in, without asking git: it may take its time."""
    try:
        folder = _git_folder(directory)
        if folder is None:
            return None
        head = _first_line(os.path.join(folder, "HEAD"))
        name = head[len("ref: "):] if head.startswith("ref: ") else None
        return _commit(head) if name is None else _resolve(folder, name)
    except (OSError, ValueError):  # the latter: not UTF-8, or a name with U+0000
        return None


def _git_folder(directory: str) -> Optional[str]:
    while True:
        path = os.path.join(directory, ".git")
        if os.path.isdir(path):
            return path
        if os.path.isfile(path):  # of a worktree or a submodule
            line = _first_line(path)
            return os.path.join(directory, line[len("gitdir: "):]) if line.startswith("gitdir: ") else None
        parent = os.path.dirname(directory)
        if parent == directory:
            return None
        directory = parent


def _resolve(folder: str, name: str) -> Optional[str]:
    """Branches are shared by all worktrees of a repository."""
    shared = folder
    if os.path.exists(os.path.join(folder, "commondir")):
        shared = os.path.join(folder, _first_line(os.path.join(folder, "commondir")))
    for place in (folder, shared):
        path = os.path.join(place, name)
        if os.path.isfile(path):
            return _commit(_first_line(path))
    with _open(os.path.join(shared, "packed-refs")) as file:
        return next((_commit(line.split()[0]) for line in file if line.rstrip().endswith(f" {name}")), None)


def _commit(text: str) -> Optional[str]:
    return text if re.fullmatch("[0-9a-f]{40}([0-9a-f]{24})?", text) else None


def _first_line(path: str) -> str:
    with _open(path) as file:
        return file.readline().rstrip("\n")


def _open(path: str) -> TextIO:
    """Anybody may have put a .git above a folder in /tmp: nothing that one would wait for is read."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_size > _GIT_FILE_MAX:
        os.close(fd)
        raise OSError(f"{path} is no file of git's")
    return open(fd, encoding="utf-8")


def _stamp(seconds: float) -> str:
    return re.sub("[-:]", "", rfc3339(seconds))


def _put(draft: str, path: str) -> None:
    """Unlike a rename, a link replaces nothing. Not every file system has them."""
    try:
        os.link(draft, path)
    except FileExistsError:
        raise
    except OSError:
        if os.path.lexists(path):
            raise
        os.rename(draft, path)


def _write(fd: int, value: Dict[str, Any]) -> None:
    data = json.dumps(_strict(value), ensure_ascii=True, default=str).encode() + b"\n"
    while data:
        data = data[os.write(fd, data):]


def _strict(value: Any) -> Any:
    """What a strict reader takes: C strings have no NUL, UTF-8 no lone surrogate, and a float's last digits are noise."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {_strict(key): _strict(member) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(member) for member in value]
    return value
