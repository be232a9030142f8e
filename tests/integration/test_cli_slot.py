# SPDX-License-Identifier: MIT
"""berth slot against a daemon that says what each test wants."""

import os
import re
import signal

from cli_fake import BUSY, berth, failed, fake, path, queued, start  # noqa: F401
from fake_berthd import NAMESPACE, SECRET


def test_a_slot_in_a_run(path, fake):
    done = berth(path, "slot", "--database", "tenant1", "echo", "built", BERTH_NAMESPACE=NAMESPACE, BERTH_LEASE=SECRET,
                 PYTEST_XDIST_WORKER="gw5")
    slot, given_back = fake.of("AcquireSlot")[0], fake.of("ReleaseSlot")[0]
    assert done.returncode == 0 and done.stdout == "built\n" and done.stderr == ""
    assert re.fullmatch("[0-9a-f]{32}", slot.parameters.pop("request"))
    assert slot.more and slot.parameters == {"namespace": NAMESPACE, "secret": SECRET, "worker": "gw5",
                                             "database": "tenant1"}
    assert given_back.parameters == {"namespace": NAMESPACE, "secret": SECRET, "grant": 7}
    assert not fake.of("Acquire") and not fake.of("Release")


def test_a_slot_without_a_run_takes_a_lease_of_its_own(path, fake):
    done = berth(path, "slot", "sh", "-c", "echo $BERTH_NAMESPACE; exit 8")
    assert done.returncode == 8 and done.stdout == f"{NAMESPACE}\n"
    assert [call.method for call in fake.calls if not isinstance(call, tuple)] == [
        "Acquire", "AcquireSlot", "ReleaseSlot", "Release"]


def test_a_slot_is_waited_for_and_told(path, fake):
    fake.answers["AcquireSlot"] = queued(3)
    run = start(path, "slot", "true", BERTH_NAMESPACE=NAMESPACE, BERTH_LEASE=SECRET)
    assert run.stderr.readline().startswith("berth: waiting for a DDL slot, 3rd in queue; held by gw3 of")
    run.terminate()
    run.wait(20)


def test_a_slot_that_is_busy(path, fake):
    fake.answers["AcquireSlot"] = lambda call: call.reply(BUSY, error="io.berth.lease.Busy")
    failed(berth(path, "slot", "-n", "true", BERTH_NAMESPACE=NAMESPACE, BERTH_LEASE=SECRET), 75, "held by gw3")
    assert fake.of("AcquireSlot")[0].parameters["noWait"] is True


def test_a_stale_lease_in_the_environment_is_told(path, fake):
    fake.answers["AcquireSlot"] = lambda call: call.reply({"namespace": NAMESPACE}, error="io.berth.lease.NoSuchLease")
    failed(berth(path, "slot", "true", BERTH_NAMESPACE=NAMESPACE, BERTH_LEASE=SECRET), 125,
           "unset BERTH_NAMESPACE and BERTH_LEASE")


def test_a_slot_is_claimed_again_from_a_restarted_daemon(path, fake, tmp_path):
    go = tmp_path / "go"
    run = start(path, "slot", "sh", "-c", f"echo ready; while ! [ -e {go} ]; do sleep 0.02; done",
                BERTH_NAMESPACE=NAMESPACE, BERTH_LEASE=SECRET)
    assert run.stdout.readline() == "ready\n"
    fake.die()
    fake.listen()
    assert fake.wait_for("AcquireSlot", 2).parameters["reclaim"] == 7
    go.touch()
    assert run.wait(20) == 0 and run.stderr.read() == ""


def test_what_a_command_in_a_slot_starts_may_go_on(path, fake, tmp_path):
    note = tmp_path / "pid"
    done = berth(path, "slot", "sh", "-c", f"sleep 60 >/dev/null 2>&1 & echo $! >{note}")
    server = int(note.read_text())
    os.kill(server, 0)
    os.kill(server, signal.SIGKILL)
    assert done.returncode == 0
