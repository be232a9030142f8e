# SPDX-License-Identifier: MIT
"""Reports of runs as pytest-berth and `berth run` leave them, made for the tests of those who read them."""

import json
import os
from datetime import datetime, timedelta, timezone

import jsonschema

from harness import ROOT

SCHEMA = ROOT / "docs" / "schema"
COUNTS = {"passed": 0, "failed": 0, "error": 0, "skipped": 0, "xfailed": 0, "xpassed": 0}
EPOCH = datetime(2026, 11, 21, 9, 0, 0, 123456, timezone.utc)


def rfc3339(time):
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def stamp(time):
    return time.strftime("%Y%m%dT%H%M%S.%fZ")


def failure(nodeid, message="AssertionError: assert 1 == 2", worker="gw0", phase="call", sqlstate=None, blockers=()):
    return {"nodeid": nodeid, "worker": worker, "phase": phase, "message": message, "sqlstate": sqlstate,
            "blockers": list(blockers)}


def blocker(**more):
    return {"database": "platform", "blocked_pid": 7, "blocker_pid": 8, "namespace": "pother", "worker": "gw3",
            "application_name": "pytest_gw3_pother", "query": "DROP SCHEMA test_x CASCADE", "wait_s": 3.25, **more}


def report(namespace, minutes=0, **more):
    started = EPOCH + timedelta(minutes=minutes)
    made = {"schema_version": 1, "written_by": "plugin", "namespace": namespace, "status": "passed", "exit_status": 0,
            "signal": None, "host": os.uname().nodename, "uid": os.geteuid(), "cwd": "/src/app", "git_head": "a1" * 20,
            "argv": ["pytest", "-n", "4"], "label": "pytest -n 4", "source": "new lease", "started_at": rfc3339(started),
            "ended_at": rfc3339(started + timedelta(seconds=12.5)), "duration_s": 12.5, "counts": {**COUNTS, "passed": 80},
            "workers": 4, "failures": [], "slot_waits": [], "worker_crashes": [], "public_writes": [],
            "databases": ["platform"], "leftovers": [], "stale_export": None, **more}
    return made


def failed(namespace, *failures, minutes=0, **more):
    n = {phase: sum(one["phase"] == phase for one in failures) for phase in ("call", "setup")}
    return report(namespace, minutes, **{"status": "failed", "exit_status": 1, "failures": list(failures), "counts": {
        **COUNTS, "passed": 80, "failed": n["call"], "error": n["setup"]}, **more})


def name_of(made):
    started = datetime.strptime(made["started_at"], "%Y-%m-%dT%H:%M:%S.%fZ")
    return f"{stamp(started)}_{made['namespace']}"


def write(folder, made):
    """The final file of a report; its path."""
    path = folder / f"{name_of(made)}.json"
    path.write_text(json.dumps(made))
    return path


OPENED = ("schema_version", "namespace", "host", "uid", "cwd", "git_head", "argv", "label", "source", "started_at",
          "databases", "stale_export")


def opened(namespace, started=EPOCH, pid=1, **more):
    made = report(namespace)
    return {"event": "ReportOpened", "at": rfc3339(started), "pid": pid, **{name: made[name] for name in OPENED},
            "started_at": rfc3339(started), **more}


def event(name, after=1.0, /, **facts):
    return {"event": name, "at": rfc3339(EPOCH + timedelta(seconds=after)), **facts}


def lines(*events):
    return "".join(json.dumps(one) + "\n" for one in events)


def write_lines(folder, namespace, *events, more="", **facts):
    """The lines of a run that has not come to its end; their path."""
    path = folder / f"{stamp(EPOCH)}_{namespace}.jsonl"
    path.write_text(lines(opened(namespace, **facts), *events) + more)
    return path


def reports_in(folder):
    """{file name: report}"""
    return {path.name: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def validate(made, schema="report.json"):
    """A schema refers to its neighbours by their file names."""
    store = {path.name: json.loads(path.read_text()) for path in SCHEMA.glob("*.json")}
    resolver = jsonschema.RefResolver(schema, store[schema], store)
    jsonschema.Draft202012Validator(store[schema], resolver=resolver).validate(made)
    return made
