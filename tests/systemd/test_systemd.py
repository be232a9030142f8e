# SPDX-License-Identifier: MIT
"""berthd as a service of a real systemd."""

import json
import re
import time

from container import picture
from harness import PYTHON, until


def pid_of(container):
    return int(container.show("MainPID"))


def kill(container):
    """kill -9, as nobody asked for it; returns when there is another one, and it is ready."""
    before = pid_of(container)
    container.run("systemctl", "kill", "-s", "KILL", "berthd.service")
    until(lambda: pid_of(container) not in (0, before) and container.show("ActiveState") == "active",
          what="the next daemon")


def test_the_first_client_starts_it(container):
    assert container.show("ActiveState", "berthd.socket") == "active"
    assert container.show("ActiveState") == "inactive"
    owner = container.run("stat", "-c", "%U:%G %a", "/run/berth/io.berth.lease").stdout.strip()
    assert owner == "root:berth 660"
    assert container.json("status")["leases"] == 0
    assert container.show("ActiveState") == "active"
    assert container.show("StatusText") == "serving 0 leases, 0 waiting"
    assert container.run("ps", "-o", "user=", "-p", str(pid_of(container))).stdout.strip() == "berth"


def test_fifty_clients_do_not_notice_a_kill(container, clients):
    fifty = clients(50, 2)
    before = until(lambda: len(picture(container)["slots"]) == 2 and picture(container), what="two slots")
    assert len(before["leases"]) == 50 and all(state == "live" for _, state, _ in before["leases"])
    took = []
    for _ in range(3):
        began = time.monotonic()
        container.run("systemctl", "kill", "-s", "KILL", "berthd.service")
        until(lambda: picture(container) == before, what="the same leases, members and slots")
        took.append(time.monotonic() - began)
    print(f"kill -9 to the same picture: {', '.join(f'{x:.2f}' for x in took)} s")
    assert min(took) < 1.0
    assert fifty.lost() == 0
    assert {h["namespace"] for h in fifty.holds} == {namespace for namespace, _, _ in before["leases"]}


def test_a_restart_is_not_noticed_either(container, clients):
    some = clients(10, 2)
    until(lambda: len(picture(container)["slots"]) == 2, what="two slots")
    before = picture(container)
    container.run("systemctl", "restart", "berthd.service")
    assert picture(container) == before
    assert some.lost() == 0


def test_a_stop_and_a_start_lose_no_lease(container, clients):
    """systemd 252 empties the store at a stop: then the clients attach again, and claim their slots."""
    some = clients(10, 2)
    until(lambda: len(picture(container)["slots"]) == 2, what="two slots")
    before = picture(container)
    container.run("systemctl", "stop", "berthd.service")
    container.run("systemctl", "start", "berthd.service")
    until(lambda: picture(container) == before, what="the same leases, members and slots")
    assert some.lost() in (0, 12)


def test_a_crash_loop_stays_within_limits(container, clients):
    some = clients(10, 2)
    until(lambda: len(picture(container)["slots"]) == 2, what="two slots")
    before = picture(container)
    restarts = int(container.show("NRestarts"))
    for _ in range(10):
        kill(container)
    assert int(container.show("NRestarts")) == restarts + 10
    assert container.show("ActiveState", "berthd.socket") == "active"
    assert picture(container) == before and some.lost() == 0


def test_a_daemon_that_hangs_is_replaced(container, clients):
    """And the clients of the one that hung go on with the next."""
    folder = "/run/systemd/system/berthd.service.d"
    container.run("mkdir", "-p", folder)
    container.write(f"{folder}/watchdog.conf", "[Service]\nWatchdogSec=1s\n")
    container.run("systemctl", "daemon-reload")
    container.run("systemctl", "restart", "berthd.service")
    some = clients(5, 1)
    before, pid = picture(container), pid_of(container)
    container.run("systemctl", "kill", "-s", "STOP", "berthd.service")
    until(lambda: pid_of(container) not in (0, pid) and picture(container) == before, what="another daemon")
    assert some.lost() == 0
    container.run("rm", f"{folder}/watchdog.conf")
    container.run("systemctl", "daemon-reload")
    container.run("systemctl", "restart", "berthd.service")


def test_a_reload_takes_a_good_configuration_and_keeps_the_old_one_of_a_bad(container, clients):
    some = clients(3, 1)
    before = picture(container)
    container.write("/etc/berth/berth.conf", "[berthd]\nddl_slots = 5\n")
    container.run("systemctl", "reload", "berthd.service")
    until(lambda: container.json("status")["clusters"][0]["slots"] == 5, what="five slots")
    container.write("/etc/berth/berth.conf", "[berthd]\nddl_slots = many\n")
    container.run("systemctl", "reload", "berthd.service")
    text = until(lambda: "old configuration is kept" in container.show("StatusText") and container.show("StatusText"))
    assert "berth.conf:2" in text
    assert container.json("status")["clusters"][0]["slots"] == 5
    container.write("/etc/berth/berth.conf", "[berthd]\nddl_slots = 2\n")
    container.run("systemctl", "reload", "berthd.service")
    until(lambda: container.show("StatusText") == "serving 3 leases, 0 waiting", what="a status without an error")
    assert picture(container) == before and some.lost() == 0


def test_the_journal_has_fields_and_a_catalog(container, clients):
    container.run("journalctl", "--update-catalog")
    [hold] = clients(1).holds
    namespace = hold["namespace"]
    entry = until(lambda: container.run("journalctl", "-o", "json", f"BERTH_NAMESPACE={namespace}").stdout.strip())
    entry = json.loads(entry.splitlines()[0])
    assert entry["MESSAGE"].startswith(f"lease granted: namespace={namespace}")
    assert entry["_SYSTEMD_UNIT"] == "berthd.service" and entry["BERTH_PID"] == str(hold["pid"])
    assert int(entry["BERTH_LEASE_ID"]) > 0 and len(entry["MESSAGE_ID"]) == 32
    explained = container.run("journalctl", "-x", f"BERTH_NAMESPACE={namespace}").stdout
    assert f"A run has been granted the namespace {namespace}." in explained


def test_the_password_comes_from_a_credential(container):
    """A server that asks for a password, and shows what it was told."""
    server = container.start(PYTHON, "-c", SERVER)
    port = server.stdout.readline().strip()
    container.write("/etc/berth/pgpass", "s3cret\n")
    container.run("chmod", "600", "/etc/berth/pgpass")
    container.write("/etc/berth/berth.conf", f"[databases]\nx = host=127.0.0.1 port={port} dbname=x user=u sslmode=disable\n")
    container.forget_starts()
    container.run("systemctl", "restart", "berthd.service")
    assert server.stdout.readline().strip() == "s3cret"
    server.stdin.close()
    server.wait(30)
    container.run("rm", "/etc/berth/berth.conf", "/etc/berth/pgpass")
    container.run("systemctl", "restart", "berthd.service")


SERVER = """
import socket, struct
listener = socket.socket(); listener.bind(("127.0.0.1", 0)); listener.listen()
print(listener.getsockname()[1], flush=True)
s, _ = listener.accept()
s.recv(65536); s.sendall(b"R" + struct.pack("!II", 8, 3))
print(s.recv(65536)[5:-1].decode(), flush=True)
"""


def test_a_user_has_one_of_their_own(container):
    container.run("useradd", "--create-home", "--uid", "4711", "dev")
    container.run("loginctl", "enable-linger", "dev")
    until(lambda: container.run("systemctl", "is-active", "user@4711.service", check=False).stdout.strip() == "active",
          what="the user's manager")

    def user(*words):
        return container.run(*words, user="4711").stdout.strip()

    user("systemctl", "--user", "start", "berthd.socket")
    assert json.loads(user("berth", "status", "--json"))["leases"] == 0
    assert user("systemctl", "--user", "is-active", "berthd.service") == "active"
    assert user("stat", "-c", "%U %a", "/run/user/4711/berth/io.berth.lease") == "dev 600"
    before = user("systemctl", "--user", "show", "--value", "-p", "MainPID", "berthd.service")
    user("berth", "run", "--", "systemctl", "--user", "kill", "-s", "KILL", "berthd.service")
    until(lambda: user("systemctl", "--user", "show", "--value", "-p", "MainPID", "berthd.service") not in ("0", before))
    assert "state" in user("ls", "/home/dev/.local")


def test_the_sandbox_is_tight(container):
    told = container.run("systemd-analyze", "security", "--no-pager", "berthd.service", check=False).stdout
    level = float(re.search(r"Overall exposure level for berthd.service: ([\d.]+)", told).group(1))
    assert level <= 1.5, told
