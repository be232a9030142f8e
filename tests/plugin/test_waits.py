# SPDX-License-Identifier: MIT
"""Waiting for a DDL slot does not look like a hang, and is not charged to the test."""

import re
import threading
from contextlib import contextmanager

import pytest

from pytest_berth import _evidence, _waits
from pytest_berth._hold import Hold

SOON = """
    import pytest, pytest_berth._waits
    pytest_berth._waits.FIRST = {first}

    @pytest.fixture(scope="session")
    def built(berth):
        with berth.ddl_slot():
            pass
"""


@contextmanager
def both_slots_held(fake):
    """By another run; let go when the block ends."""
    hold = Hold(fake.socket)
    reply = hold.ask("io.berth.lease.Acquire", {})
    other = {"namespace": reply["context"]["namespace"], "secret": reply["secret"]}
    slots = [Hold(fake.socket), Hold(fake.socket)]
    for number, slot in enumerate(slots):
        slot.ask("io.berth.lease.AcquireSlot", {**other, "worker": f"gw{number}"})
    try:
        yield other["namespace"]
    finally:
        for slot in slots:
            slot.close()
        hold.close()


def read_until(process, text):
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return lines
    raise AssertionError(f"{text!r} was not said: {lines}")


@pytest.mark.parametrize("arguments,waiting", [(["-q"], "gw0"), (["-q", "-n2"], "gw0 gw1"), (["-q", "--capture=sys"], "gw0")],
                         ids=str)
def test_it_is_said_who_waits_and_who_holds_the_slots(project, fake, arguments, waiting):
    project.write("conftest.py", SOON.format(first=0.2))
    project.write("test_it.py", """
        import pytest
        @pytest.mark.parametrize("n", range(4))
        def test_it(built, n): pass
    """)
    with both_slots_held(fake) as other:
        process = project.start(*arguments, BERTH_SOCKET=fake.socket)
        workers, told = set(waiting.split()), set()
        while told < workers:
            *_, line = read_until(process, "for a DDL slot")
            who = re.fullmatch(rf"berth: (.*) waits? for a DDL slot \(2/2 held: gw0 of {other} \d s, gw1 of {other} \d s\)\n",
                               line)
            assert who, line
            told |= set(who[1].split(", "))
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    report = project.report()
    assert {wait["worker"] for wait in report["slot_waits"]} == workers
    for wait in report["slot_waits"]:
        assert wait["seconds"] >= 0.2
        assert [(one["namespace"], one["worker"]) for one in wait["holders"]] == [(other, "gw0"), (other, "gw1")]


def test_lock_files_are_waited_for_as_audibly(project, tmp_path):
    project.write("conftest.py", SOON.format(first=0.2) + f"""
    import os, threading, pytest_berth._slots as slots
    slots._LOCK_ROOT = {str(tmp_path)!r}
    """)
    project.write("test_it.py", """
        import fcntl, os, pathlib, threading, pytest, pytest_berth._slots as slots
        @pytest.fixture(scope="session")
        def held():
            files = [open(path, "w") for path in slots._lock_files(slots._lock_directory())]
            for file in files:
                file.write("gw7 of pother, pid 1"), file.flush()
                fcntl.flock(file, fcntl.LOCK_EX)
            def let_go():
                while not pathlib.Path("go").exists(): pass
                for file in files: file.close()
            threading.Thread(target=let_go).start()
        def test_it(held, built): pass
    """)
    process = project.start("-q", BERTH="off")
    *_, told = read_until(process, "gw0 waits for a DDL slot (2/2 held: gw7 of pother ")
    (project.path / "go").touch()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    [wait] = project.report()["slot_waits"]
    assert wait["worker"] == "gw0" and wait["holders"][0]["namespace"] == "pother"


def test_a_long_wait_is_told_at_growing_intervals():
    said, recorded = [], []
    seconds = iter([1, 5, 6, 14, 15, 20, 44, 46, 100])

    def look():
        wait = _waits.Wait("gw3", None, 1000.0)
        wait.seconds, wait.slots = next(seconds), 2
        return [wait]

    watcher = _waits.Watcher(look, said.append, lambda wait: recorded.append(wait.seconds))
    watcher.stop()
    for _ in range(9):
        watcher.tell(look())
    assert recorded == [5, 15, 46]
    assert said == ["berth: gw3 waits for a DDL slot (0/2 held)", "berth: gw3 waits for a DDL slot for 15 s (0/2 held)",
                    "berth: gw3 waits for a DDL slot for 46 s (0/2 held)"]


def test_a_watcher_that_can_look_or_tell_no_more_troubles_nobody(monkeypatch):
    monkeypatch.setattr(_waits, "FIRST", 0.01)
    monkeypatch.setattr(threading, "excepthook", lambda told: failed.append(told.exc_value))
    failed, looked = [], threading.Semaphore(0)

    def look():
        looked.release()
        raise AttributeError("no terminal")

    watcher = _waits.Watcher(look, print, print)
    assert looked.acquire(timeout=20) and looked.acquire(timeout=20)
    watcher.stop()
    assert not failed


def test_what_a_look_brings_after_the_end_is_told_to_nobody(monkeypatch):
    """The report is closed by then, and its descriptor may be another file's."""
    monkeypatch.setattr(_waits, "FIRST", 0.01)
    monkeypatch.setattr(_waits, "_ANSWER_TIMEOUT", 0.0)
    told, looking, go = [], threading.Event(), threading.Event()

    def look():
        looking.set()
        assert go.wait(20)
        wait = _waits.Wait("gw0", None, 1000.0)
        wait.seconds = 7.0
        return [wait]

    watcher = _waits.Watcher(look, told.append, told.append)
    assert looking.wait(20)
    watcher.stop()
    go.set()
    watcher._thread.join(20)
    assert told == []


# ---- pytest-timeout ----


@pytest.mark.parametrize("method", ["signal", "thread"])
def test_no_timeout_is_charged_for_it(project, fake, method):
    project.write("conftest.py", SOON.format(first=1.2))
    project.write("test_it.py", """
        def test_it(built): pass
    """)
    with both_slots_held(fake):
        process = project.start("-q", "--timeout=1", f"--timeout-method={method}", BERTH_SOCKET=fake.socket)
        read_until(process, "waits for a DDL slot")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output


def test_what_is_left_of_a_timeout_still_ends_the_test(project, fake):
    project.write("conftest.py", SOON.format(first=0.2))
    project.write("test_it.py", """
        import time
        def test_it(berth):
            with berth.ddl_slot():
                time.sleep(30)
    """)
    with both_slots_held(fake):
        process = project.start("-q", "--timeout=1", BERTH_SOCKET=fake.socket)
        read_until(process, "waits for a DDL slot")
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 1 and "Failed: Timeout >1.0s" in output, output


class Item:
    """What a hook call leaves."""

    def __init__(self):
        self.calls = []
        self.ihook = self

    def pytest_timeout_cancel_timer(self, item):
        self.calls.append("cancel")

    def pytest_timeout_set_timer(self, item, settings):
        self.calls.append(settings.timeout)


def test_the_rest_is_what_was_left_when_the_wait_began(monkeypatch):
    from collections import namedtuple

    clock = iter([107.0, 200.0])
    monkeypatch.setattr(_waits.time, "monotonic", lambda: next(clock))
    item, waits = Item(), _waits.OwnWaits()
    settings = namedtuple("Settings", "timeout method")(10.0, "signal")
    waits.timer = _waits.Timer(item, settings, 100.0)
    with waits.waiting("gw0", None, lambda: []):
        assert item.calls == ["cancel"]
    assert item.calls == ["cancel", 3.0] and str(item.calls[1]) == "10.0"


def test_one_wait_that_two_have_seen_is_one(settle):
    class Config:
        pass

    run = settle(mode="off")
    evidence = _evidence.Evidence(Config(), run)
    wait = _waits.Wait("gw1", "platform", 1000.5)
    wait.seconds = 7.0
    evidence._slot_wait(wait)
    evidence._learn([], [{**wait.facts, "since": 1000.0, "seconds": 9.0}, {**wait.facts, "since": 1100.0}])
    assert [(one["since"], one["seconds"]) for one in evidence._waits] == [(1000.5, 9.0), (1100.0, 7.0)]
