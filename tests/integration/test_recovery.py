# SPDX-License-Identifier: MIT
"""The daemon is killed, and another one goes on: nothing that lives is lost, and what died meanwhile is found dead."""

import os
import signal
import subprocess
import time

import pytest

from harness import BERTH, PYTHON, Wire, until
from pids import can_choose_pids, spawn_as

LEASE = "io.berth.lease."


class Owner:
    """A process with a lease, and perhaps a slot, that outlives the daemon and does not come back by itself."""

    def __init__(self, path, **slot):
        self.order, told = os.pipe(), os.pipe()
        self.pid = os.fork()
        if not self.pid:
            try:
                os.close(self.order[1])
                with Wire(path) as wire:
                    grant = wire.call(LEASE + "Acquire")["parameters"]
                    number = wire.call(LEASE + "AcquireSlot", slot)["parameters"]["grant"] if slot else 0
                    os.write(told[1], f"{grant['context']['namespace']} {grant['secret']} {number}\n".encode())
                    os.read(self.order[0], 1)
            finally:
                os._exit(0)
        os.close(self.order[0])
        os.close(told[1])
        with os.fdopen(told[0]) as lines:
            self.namespace, self.secret, grant = lines.readline().split()
        self.grant = int(grant)

    @property
    def schema(self):
        return f"test_{self.namespace}_gw0"

    def kill(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            os.close(self.order[1])
        pid, self.pid = self.pid, 0
        return pid

    def attach(self, wire, **more):
        return wire.call(LEASE + "Attach", {"namespace": self.namespace, "secret": self.secret, **more})


@pytest.fixture
def own():
    owners, others = [], []

    def make(path, **slot):
        owners.append(Owner(path, **slot))
        return owners[-1]

    make.others = others
    yield make
    for owner in owners:
        owner.kill()
    for pid in others:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def states(daemon):
    return {lease["context"]["namespace"]: lease["runtime"]["state"] for lease in daemon.leases()}


def held(daemon):
    return [cluster for cluster in daemon.json("status")["clusters"] if cluster["holders"]]


@pytest.mark.skipif(not can_choose_pids(), reason="pids cannot be chosen here: clone3 with set_tid needs root")
def test_of_fifty_leases_those_ten_end_whose_owners_died_meanwhile(make_daemon, databases, own):
    daemon = make_daemon({"start_grace": "1s"})
    owners = [own(daemon.socket) for _ in range(50)]
    for i, owner in enumerate(owners):
        name = list(databases)[i % len(databases)]
        databases[name].make_schema(name, owner.schema)
    daemon.stop(signal.SIGKILL)
    dead, living = owners[::5], owners[:]
    for i, owner in enumerate(dead):
        living.remove(owner)
        pid = owner.kill()
        if i % 2:
            own.others.append(spawn_as(pid))
    assert len(own.others) == 5
    daemon.start()

    expected = {owner.namespace for owner in living}
    assert until(lambda: len(states(daemon)) == 40 and states(daemon), what="the end of ten leases").keys() == expected
    assert set(states(daemon).values()) == {"recovering"}
    for owner in living[:20]:
        with daemon.connection() as wire:
            assert "error" not in owner.attach(wire)
    daemon.after_first_sweep()
    until(lambda: sum(len(server.schemas(name)) for name, server in databases.items()) == 40, what="ten drops")
    left = {schema for name, server in databases.items() for schema in server.schemas(name)}
    assert left == {owner.schema for owner in living}
    assert states(daemon).keys() == expected
    daemon.sweep()
    assert {schema for name, server in databases.items() for schema in server.schemas(name)} == left


def test_a_slot_granted_in_the_instant_of_the_kill_is_given_back_to_its_holder(make_daemon, own):
    daemon = make_daemon({"ddl_slots": "1", "start_grace": "60s"})
    for _ in range(5):
        holder = own(daemon.socket, database="platform")
        daemon.stop(signal.SIGKILL)  # long before a commit that gathers company
        daemon.start()
        with daemon.connection() as other, daemon.connection() as mine:
            other.call(LEASE + "Acquire")
            busy = other.call(LEASE + "AcquireSlot", {"database": "platform", "noWait": True})
            assert busy["error"] == LEASE + "Busy"
            holder.attach(mine)
            again = mine.call(LEASE + "AcquireSlot", {"database": "platform", "reclaim": holder.grant})
            assert again["parameters"]["grant"] == holder.grant
            mine.call(LEASE + "ReleaseSlot")
        holder.kill()


def test_a_slot_given_back_in_the_instant_of_the_kill_holds_nobody_up(make_daemon):
    daemon = make_daemon({"ddl_slots": "1", "start_grace": "60s"})
    with daemon.connection() as wire:
        wire.call(LEASE + "Acquire")
        wire.call(LEASE + "AcquireSlot", {"database": "platform"})
        until(lambda: held(daemon), what="a holder")
        time.sleep(0.1)  # so that the grant is on the disk, and its end is not
        wire.call(LEASE + "ReleaseSlot")
        daemon.stop(signal.SIGKILL)
    daemon.start()
    with daemon.connection() as other:
        other.call(LEASE + "Acquire")
        assert "error" not in other.call(LEASE + "AcquireSlot", {"database": "platform", "timeoutUSec": 5_000_000})


def test_a_slot_whose_reply_was_lost_is_had_again_by_the_name_of_its_request(make_daemon):
    daemon = make_daemon({"ddl_slots": "1", "start_grace": "60s"})
    wire = daemon.connection()
    lease = wire.call(LEASE + "Acquire")["parameters"]
    wire.call(LEASE + "AcquireSlot", {"database": "platform", "request": "the first"})  # and forgets the answer
    daemon.stop(signal.SIGKILL)
    daemon.start()
    with daemon.connection() as mine:
        mine.call(LEASE + "Attach", {"namespace": lease["context"]["namespace"], "secret": lease["secret"]})
        again = mine.call(LEASE + "AcquireSlot", {"database": "platform", "request": "the first", "noWait": True})
        assert again["parameters"]["state"] == "granted"


def test_a_worker_that_attached_in_the_instant_of_the_kill_keeps_the_lease_of_its_dead_runner(make_daemon, own):
    daemon = make_daemon({"start_grace": "1s"})
    runner = own(daemon.socket)
    with daemon.connection() as worker:
        assert "error" not in runner.attach(worker, role="worker", worker="gw0")
        daemon.stop(signal.SIGKILL)
        runner.kill()
    daemon.start()
    daemon.after_first_sweep()
    assert states(daemon) == {runner.namespace: "recovering"}
    with daemon.connection() as worker:
        assert "error" not in runner.attach(worker, role="worker", worker="gw0")
        assert states(daemon) == {runner.namespace: "live"}


RUN = """
import os, pytest, pytest_berth

@pytest.mark.parametrize("i", range(4))
def test_builds_on(i):
    while True:
        with pytest_berth.ddl_slot(database="platform"):
            if os.path.exists({done!r}):
                return
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
def test_a_pytest_run_does_not_notice_that_the_daemon_goes_five_times(make_daemon, tmp_path, how):
    daemon = make_daemon({"start_grace": "10s"})
    done = tmp_path / "done"
    (tmp_path / "test_it.py").write_text(RUN.format(done=str(done)))
    run = subprocess.Popen([BERTH, "run", "--", PYTHON, "-B", "-m", "pytest", "-p", "pytest_berth.plugin", "-p",
                            "no:cacheprovider", "-q", "-n", "2", str(tmp_path)], env=daemon.environment(),
                           stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for _ in range(5):
        until(lambda: "live" in states(daemon).values() and held(daemon), what="a run that builds")
        assert run.poll() is None, run.communicate()[0]
        daemon.stop(how)
        daemon.start()
    until(lambda: held(daemon), what="a run that builds")
    done.touch()
    output, _ = run.communicate(timeout=120)
    assert run.returncode == 0 and "4 passed" in output, output
