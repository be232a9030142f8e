# SPDX-License-Identifier: MIT
"""What the controller, or a pytest without xdist, sees of its run: for the report, and for the terminal's last lines.

A defect in here must not look like a failing test: every hook is _harmless().
"""

from __future__ import annotations

import os
import socket
import sys
import time
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Optional

import pytest

from ._client import MANAGE, Connection
from ._errors import BerthError, plain
from ._names import make_schema
from ._namespace import Run
from ._report import OFF, Report, default_directory, git_head, rfc3339
from ._waits import Look, Wait, Watcher, look_at_daemon

COUNTS = ("passed", "failed", "error", "skipped", "xfailed", "xpassed")
_STATUSES: Dict[Optional[int], str] = {0: "passed", 1: "failed", 2: "interrupted", 5: "no_tests"}
_MESSAGE_MAX = 4000
_PUBLIC_TIMEOUT = 1.0  # a database that does not answer must not hold up every run for long
_SAME_WAIT = 3.0  # seconds
_TOLD_MAX = 10  # lines of one kind at the end
CARRIED = "berth_evidence"  # attribute of a test's report, and key of a worker's output


class Evidence:
    """One per run. A plugin: its methods are hooks."""

    def __init__(self, config: pytest.Config, run: Run) -> None:
        self._config = config
        self._run = run
        self._pid = os.getpid()
        self._complained = False
        self._report: Optional[Report] = None
        self._started = time.time()
        self._clock = time.monotonic()
        self.counts = dict.fromkeys(COUNTS, 0)
        self._failures: List[Dict[str, Any]] = []
        self._crashes: List[Dict[str, Any]] = []
        self._public_writes: List[Dict[str, Any]] = []
        self._leftovers: List[str] = []
        self._waits: List[Dict[str, Any]] = []  # as in the report, and `since`
        self._watcher: Optional[Watcher] = None
        self._stderr = _duplicate(2)  # pytest is not capturing now
        self._workers = 0
        self._status: Optional[str] = None

    # ---- the file ----

    @property
    def path(self) -> Optional[str]:
        return self._report.path if self._report else None

    def open(self) -> None:
        wanted = self._run.settings.report
        if wanted == OFF:
            return
        directory = wanted or default_directory()
        if directory is None:
            self.complain(f"the report of {self._run.namespace} is not written; HOME is not set", "set BERTH_REPORT_DIR to a folder of yours, or to off")
            return
        try:
            self._report = Report(directory, self._run.namespace)
            self._started = self._report.started
        except OSError as e:
            self._cannot_write(e, directory)
            return
        self._run.report = self.path
        self._line("ReportOpened", {"schema_version": 1, **self._facts(), "pid": self._pid})

    def _facts(self) -> Dict[str, Any]:
        """What is known from the beginning."""
        run, cwd = self._run, str(self._config.invocation_params.dir)
        return {"namespace": run.namespace, "host": socket.gethostname(), "uid": os.getuid(), "cwd": cwd,
                "git_head": git_head(cwd), "argv": ["pytest", *map(str, self._config.invocation_params.args)],
                "label": run.label, "source": run.source, "started_at": rfc3339(self._started),
                "databases": run.databases, "stale_export": run.stale_export}

    def _line(self, event: str, facts: Dict[str, Any]) -> None:
        if self._report is None or self._pid != os.getpid():
            return
        try:
            self._report.line(event, facts)
        except OSError as e:
            self._cannot_write(e, self._report.path)

    def close(self, exit_status: Optional[int], stopped_by_failures: bool = False) -> None:
        with self._harmless():
            self._status = "failed" if stopped_by_failures else _STATUSES.get(exit_status, "error")
            if self._watcher:
                self._watcher.stop()
            self._let_go_of_stderr()
            self._learn(self._run.leftovers, self._run.waits.past)
            self._look_for_public_writes()
            if self._report is None:
                return
            end = {"status": self._status, "exit_status": exit_status, "counts": self.counts,
                   "workers": self._workers or 1}
            self._line("Closed", end)
            whole = {"schema_version": 1, "written_by": "plugin", **self._facts(), **end, "signal": None,
                     "ended_at": rfc3339(time.time()), "duration_s": round(time.monotonic() - self._clock, 3),
                     "failures": self._failures, "slot_waits": [_without_since(wait) for wait in self._waits], "worker_crashes": self._crashes,
                     "public_writes": self._public_writes, "leftovers": self._leftovers}
            try:
                self._report.close(whole)
            except OSError as e:
                self._cannot_write(e, self._report.path)
                self._report = None

    def _cannot_write(self, e: OSError, path: str) -> None:
        self.complain(f"the report of {self._run.namespace} is not written; {e.filename or path}: {e.strerror or e}",
                      "set BERTH_REPORT_DIR to a folder of yours, or to off")

    @contextmanager
    def _harmless(self) -> Iterator[None]:
        try:
            yield
        except Exception as e:
            self.complain(f"the report of this run is not complete ({e!r})", "please report this defect")

    def complain(self, what: str, fix: str) -> None:
        """Once: whoever hears it knows."""
        if not self._complained:
            self._complained = True
            print(BerthError(what, fix), file=sys.stderr)

    # ---- tests ----

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        with self._harmless():
            outcome = _outcome(report)
            if outcome:
                self.counts[outcome] += 1
            if outcome in ("failed", "error"):
                self._failed(report, report.when if report.when in ("setup", "call", "teardown") else "call")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        with self._harmless():
            if report.failed:
                self.counts["error"] += 1
                self._failed(report, "collect")

    def _failed(self, report: Any, phase: str) -> None:
        carried = getattr(report, CARRIED, None) or {"sqlstate": None, "blockers": []}
        failure = {"nodeid": report.nodeid, "worker": self._worker_of(report), "phase": phase,
                   "message": _message(report), **carried}
        self._failures.append(failure)
        for blocker in failure["blockers"]:
            self._line("LockBlock", {"nodeid": report.nodeid, "blocker": blocker})
        self._line("TestFailed", failure)

    def _worker_of(self, report: Any) -> str:
        node = getattr(report, "node", None)
        return str(node.gateway.id) if node else self._run.worker

    # ---- workers ----

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Before a worker starts. xdist starts a replacement right after it has told of a crash."""
        with self._harmless():
            crash = next((crash for crash in self._crashes if crash["replaced_by"] is None), None)
            if crash is None:
                self._workers += 1
                if self._workers == 1 and self._run.leased:
                    self._watcher = self.watch(lambda: look_at_daemon(self._run))
                return
            crash["replaced_by"] = node.workerinput["workerid"]
            self._line("WorkerCrashed", crash)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: Any) -> None:
        with self._harmless():
            output = (getattr(node, "workeroutput", None) or {}).get(CARRIED)
            if output:
                self._learn(output["leftovers"], output["slot_waits"])
            if error:
                worker = str(node.gateway.id)
                self._crashes.append({"worker": worker, "replaced_by": None, "nodeid": None})
                if not self._run.leased:
                    self._leftovers.append(make_schema(self._run.namespace, worker))
                self._line("WorkerCrashed", self._crashes[-1])

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str, report: Any) -> None:
        """After testnodedown, before the replacement."""
        with self._harmless():
            crash = next(crash for crash in self._crashes if crash["worker"] == self._worker_of(report))
            crash["nodeid"] = crashitem
            self._line("WorkerCrashed", crash)

    # ---- slots ----

    def watch(self, look: Look) -> Watcher:
        return Watcher(look, self.say, self._slot_wait)

    def say(self, line: str) -> None:
        """On the terminal's own stderr: pytest may be capturing, and this may be another thread."""
        begun = self._config.get_terminal_writer().width_of_current_line
        try:
            os.write(self._stderr, (("\n" if begun else "") + line + "\n").encode("utf-8", "replace"))
        except OSError:
            pass

    def _let_go_of_stderr(self) -> None:
        """A process may run many a pytest, one in the other."""
        stderr, self._stderr = self._stderr, -1
        if stderr >= 0:
            os.close(stderr)

    def _slot_wait(self, wait: Wait) -> None:
        known = {**wait.facts, "since": wait.since}
        same = self._same_wait(known)
        if same:
            same.update(known)
        else:
            self._waits.append(known)
        self._line("SlotWait", {**known, "since": rfc3339(wait.since)})

    def _same_wait(self, wait: Dict[str, Any]) -> Optional[Dict[str, Any]]:
        """berthd counts from when it was asked, a worker from when it began to ask."""
        return next((one for one in self._waits if one["worker"] == wait["worker"]
                     and abs(one["since"] - wait["since"]) < _SAME_WAIT), None)

    def _learn(self, leftovers: List[str], waits: List[Dict[str, Any]]) -> None:
        """What a process of the run knows at its end: how long it waited, if not for whom."""
        self._leftovers += leftovers
        for wait in waits:
            same = self._same_wait(wait)
            if same:
                same["seconds"] = wait["seconds"]
            else:
                self._waits.append(wait)

    # ---- the end ----

    def _look_for_public_writes(self) -> None:
        if not self._run.leased or not self._run.socket:
            return
        for write in _public_writes(self._run.socket):
            if self._run.namespace in write.get("namespaces", []):
                told = {key: write[key] for key in ("database", "table", "kind")}
                self._public_writes.append(told)
                self._line("PublicWrite", told)

    def last_lines(self) -> Iterator[str]:
        """Also under -q, where the header is hidden: whoever reads only the end must learn the namespace."""
        run = self._run
        if run.lifeline and run.lifeline.lost:
            yield (f"berth: the lease of {run.namespace} was lost ({run.lifeline.lost});"
                   f" see 'berth history {run.namespace}'")
        yield from self._crash_lines()
        if self._public_writes:
            yield self._public_line()
        if self._status not in ("passed", "no_tests"):
            yield self._closing_line()

    def _crash_lines(self) -> Iterator[str]:
        for crash in self._crashes[:_TOLD_MAX]:
            where = f" in {crash['nodeid']}" if crash["nodeid"] else ""
            replaced = f", replaced by {crash['replaced_by']}" if crash["replaced_by"] else ", not replaced"
            fate = "its schemas go when the run ends" if self._run.leased else "its schemas are left behind"
            yield f"berth: {crash['worker']} crashed{where}{replaced}; {fate}"
        if len(self._crashes) > _TOLD_MAX:
            yield f"berth: and {len(self._crashes) - _TOLD_MAX} more workers crashed; see the report"

    def _public_line(self) -> str:
        tables = sorted({plain(f"{write['table']} of {write['database']}") for write in self._public_writes})
        told = ", ".join(tables[:3]) + (f" and {len(tables) - 3} more" if len(tables) > 3 else "")
        return (f"berth: public was written to while this run was live: {told}; perhaps by this run;"
                " connect with **berth.connect_args()")

    def _closing_line(self) -> str:
        told = [f"{self.counts[key]} {key}" for key in ("failed", "error") if self.counts[key]]
        if self._status == "interrupted" or not told:
            told.append(f"ended as {self._status}" if self._status in ("failed", "error") else str(self._status))
        line = f"berth: run {self._run.namespace} {', '.join(told)}"
        line += f"; report {self.path}" if self.path else ""
        return line + ("; locks: berth locks" if self._run.leased else "")


def _public_writes(path: str) -> List[Dict[str, Any]]:
    """After a look of now, or else what berthd has noticed so far."""
    for method in ("CheckPublic", "GetStatus"):
        try:
            with Connection(path, _PUBLIC_TIMEOUT) as connection:
                return list(connection.call(f"{MANAGE}.{method}", timeout=_PUBLIC_TIMEOUT).get("publicWrites") or [])
        except BerthError:
            pass
    return []


def _duplicate(fd: int) -> int:
    try:
        return os.dup(fd)
    except OSError:
        return -1


def _without_since(wait: Dict[str, Any]) -> Dict[str, Any]:
    return {key: value for key, value in wait.items() if key != "since"}


def _outcome(report: pytest.TestReport) -> Optional[str]:
    """Which count a report of a phase belongs to. None: it tells nothing new, or a plugin's own word."""
    if report.outcome == "failed":
        return "error" if report.when in ("setup", "teardown") else "failed"
    if report.outcome == "skipped":
        return "xfailed" if hasattr(report, "wasxfail") else "skipped"
    if report.outcome == "passed" and report.when == "call":
        return "xpassed" if hasattr(report, "wasxfail") else "passed"
    return None


def _message(report: Any) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else report.longreprtext
    return str(text).strip()[:_MESSAGE_MAX]
