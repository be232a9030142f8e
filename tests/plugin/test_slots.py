# SPDX-License-Identifier: MIT
"""DDL slots: by the daemon, and by lock files where there is none."""

import fcntl
import os
import threading
from contextlib import ExitStack

import pytest
import pytest_berth
from conftest import forked
from pytest_berth import _namespace, _slots
from pytest_berth._errors import BerthError, LeaseLost, RemoteError, SlotTimeout
from pytest_berth._slots import Cluster, ddl_slot

HERE = Cluster(system_identifier="7000000000000000001")


@pytest.fixture
def run(fake, settle):
    return settle(fake)


@pytest.fixture
def unleased(settle, tmp_path, monkeypatch):
    monkeypatch.setattr(_slots, "_LOCK_ROOT", str(tmp_path))
    return settle(mode="off")


@pytest.fixture(autouse=True)
def nothing_held_before_or_after():
    assert not any(held.uses for held in _slots._held.values())
    yield
    assert not any(held.uses for held in _slots._held.values())


def in_thread(function):
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


# ---- by the daemon ----


def test_a_slot_is_taken_and_given_back_by_name(fake, run):
    with ddl_slot(run, HERE):
        assert len(fake.slots) == 1
        [asked] = fake.called("AcquireSlot")
        assert asked["namespace"] == run.namespace and asked["secret"] == run.secret
        assert asked["worker"] == "gw0" and asked["systemIdentifier"] == HERE.system_identifier
    assert fake.slots == [] and len(fake.called("ReleaseSlot")) == 1


def test_a_database_can_be_named(fake, run):
    with ddl_slot(run, Cluster(database="tenant1")):
        assert fake.called("AcquireSlot")[0]["database"] == "tenant1"


def test_an_error_inside_gives_the_slot_back(fake, run):
    with pytest.raises(ZeroDivisionError):
        with ddl_slot(run, HERE):
            1 / 0
    assert fake.slots == []


@pytest.mark.parametrize("inner", [HERE, Cluster(), Cluster(database="tenant1")], ids=str)
def test_a_process_takes_a_slot_of_a_server_once(fake, run, inner):
    """Two workers that hold both slots and want a second each would wait for ever."""
    with ddl_slot(run, HERE):
        with ddl_slot(run, inner):
            assert len(fake.slots) == 1
        assert len(fake.slots) == 1
    assert fake.slots == []


def test_two_servers_have_a_slot_each(fake, run):
    fake.clusters["8"] = ["tenant2"]
    with ddl_slot(run, HERE), ddl_slot(run, Cluster(database="tenant2")):
        assert len(fake.slots) == 2


def test_threads_of_one_process_share_its_slot(fake, run):
    entered, leave = threading.Event(), threading.Event()

    def hold():
        with ddl_slot(run, HERE):
            entered.set()
            leave.wait()

    thread = in_thread(hold)
    entered.wait()
    with ddl_slot(run, HERE):
        leave.set()
        thread.join()
        assert len(fake.slots) == 1
    assert fake.slots == []


def other_holders(fake, run, count=2):
    """Slots that somebody else has."""
    lease = fake.find(run.namespace)
    for number in range(count):
        fake.slots.append({"grant": 900 + number, "lease": lease, "client": None, "worker": f"gw{number + 5}"})


def test_a_waiter_gets_the_slot_as_soon_as_it_is_free(fake, run):
    other_holders(fake, run)
    entered = threading.Event()

    def wait():
        with ddl_slot(run, HERE):
            entered.set()

    thread = in_thread(wait)
    fake.wait_for(lambda: fake.called("AcquireSlot"))
    assert not entered.is_set()
    with fake._changed:
        fake.slots.pop()
        fake._changed.notify_all()
    assert entered.wait(10)
    thread.join()


def test_a_time_out_names_the_holders(fake, run):
    other_holders(fake, run)
    with pytest.raises(SlotTimeout) as caught:
        with ddl_slot(run, HERE, timeout=0.05):
            pass
    assert f"gw5 of {run.namespace} for 12 s, gw6 of {run.namespace} for 12 s" in str(caught.value)
    assert caught.value.retryable and caught.value.error == "SlotTimeout"


def test_no_time_at_all_is_noWait(fake, run):
    other_holders(fake, run)
    with pytest.raises(SlotTimeout):
        with ddl_slot(run, HERE, timeout=0):
            pass
    assert fake.called("AcquireSlot")[0]["noWait"] is True


def test_a_held_slot_is_reclaimed_after_a_restart(fake, run):
    with ddl_slot(run, HERE):
        [before] = fake.slots
        fake.restart()
        fake.wait_for(lambda: fake.slots[0]["client"])
        assert fake.called("AcquireSlot")[-1]["reclaim"] == before["grant"]
        assert fake.slots == [before]
    assert fake.slots == []


def test_a_waiter_asks_again_after_a_restart(fake, run):
    other_holders(fake, run)
    entered = threading.Event()

    def wait():
        with ddl_slot(run, HERE, timeout=20):
            entered.set()

    thread = in_thread(wait)
    fake.wait_for(lambda: fake.called("AcquireSlot"))
    fake.restart()
    fake.wait_for(lambda: len(fake.called("AcquireSlot")) == 2)
    with fake._changed:
        fake.slots.clear()
        fake._changed.notify_all()
    assert entered.wait(10)
    thread.join()


def test_giving_back_while_the_daemon_is_away_is_no_failure(fake, run):
    with ddl_slot(run, HERE):
        fake.stop()


def test_a_lost_lease_gives_no_slot(fake, run):
    fake.revoke(run.namespace, "operator")
    with pytest.raises(LeaseLost, match=f"the lease of {run.namespace} is lost"):
        with ddl_slot(run, HERE):
            pass


def test_a_server_that_the_daemon_does_not_know_is_an_error(fake, run):
    with pytest.raises(RemoteError) as caught:
        with ddl_slot(run, Cluster(database="nowhere")):
            pass
    assert caught.value.error == "NoSuchDatabase" and "berth.conf" in caught.value.fix


def test_a_forked_child_holds_nothing_and_asks_for_itself(fake, run):
    with ddl_slot(run, HERE):
        child = os.fork()
        if child == 0:
            status = 1
            try:
                with ddl_slot(run, HERE):
                    status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert len(fake.called("AcquireSlot")) == 2 and len(fake.slots) == 1


def test_a_child_that_leaves_the_block_does_not_give_back_the_parents_slot(fake, run):
    with ExitStack() as stack:
        stack.enter_context(ddl_slot(run, HERE))
        with forked(stack.close):
            assert len(fake.slots) == 1 and not fake.called("ReleaseSlot")


def test_discovery_gets_no_slot(fake):
    run = _namespace.names_only(_namespace.Settings(socket=fake.socket))
    with pytest.raises(BerthError, match="--collect-only"):
        with ddl_slot(run, HERE):
            pass
    assert fake.calls == []


def test_the_module_checks_what_it_is_told_about_the_schema(fake, run, active):
    active(run)
    with pytest.raises(pytest_berth.BadName):
        pytest_berth.ddl_slot(schema="public")
    with pytest_berth.ddl_slot(schema=pytest_berth.worker_schema()):
        assert len(fake.slots) == 1


# ---- by lock files ----


def locked(tmp_path):
    """How many of the files somebody has locked."""
    count = 0
    for path in sorted((tmp_path / f"berth-{os.getuid()}").iterdir()):
        with open(path) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                count += 1
    return count


def occupy(tmp_path, run, count):
    return [_slots.FileSlot(run, 0) for _ in range(count)]


def test_without_a_lease_lock_files_bound_the_builds(unleased, tmp_path):
    with ddl_slot(unleased, HERE), ddl_slot(unleased, Cluster(database="any")):
        assert locked(tmp_path) == 1
    assert locked(tmp_path) == 0


def test_their_folder_is_this_users_alone(unleased, tmp_path):
    with ddl_slot(unleased, HERE):
        assert (tmp_path / f"berth-{os.getuid()}").stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_can_write_to_is_refused(unleased, tmp_path):
    (tmp_path / f"berth-{os.getuid()}").mkdir()
    (tmp_path / f"berth-{os.getuid()}").chmod(0o777)
    with pytest.raises(BerthError, match="is not a directory that only uid"):
        with ddl_slot(unleased, HERE):
            pass


def test_a_symbolic_link_in_its_place_is_refused(unleased, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"berth-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BerthError, match="is not a directory"):
        with ddl_slot(unleased, HERE):
            pass


def test_the_third_waits_and_a_time_out_names_the_others(unleased, tmp_path):
    slots = occupy(tmp_path, unleased, 2)
    with pytest.raises(SlotTimeout, match=rf"gw0 of {unleased.namespace}, pid {os.getpid()}, gw0 of"):
        with ddl_slot(unleased, HERE, timeout=0.05):
            pass
    slots[0].release()
    with ddl_slot(unleased, HERE, timeout=0):
        pass
    slots[1].release()


def test_a_dead_holders_lock_comes_back(unleased, tmp_path):
    with forked(lambda: occupy(tmp_path, unleased, 2)) as child:
        assert locked(tmp_path) == 2
        os.kill(child, 9)
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
        with ddl_slot(unleased, HERE, timeout=0):
            pass


def test_a_child_does_not_prolong_its_parents_lock(unleased, tmp_path):
    with ExitStack() as stack:
        with ddl_slot(unleased, HERE):
            stack.enter_context(forked(lambda: None))
        assert locked(tmp_path) == 0
