# SPDX-License-Identifier: MIT
"""A client that knows nothing of berth: systemd's varlinkctl, unpacked beside the system."""

import json
import os
import subprocess

import pytest

from harness import ROOT, until


@pytest.fixture(scope="session")
def varlinkctl():
    done = subprocess.run([ROOT / "tests" / "lib" / "varlinkctl.sh"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no varlinkctl on this machine: {done.stderr.strip().splitlines()[-1:]}")
    return done.stdout.strip()


class Held:
    """varlinkctl -E call …, until it is killed."""

    def __init__(self, varlinkctl, daemon, method, parameters, out):
        self.out = out
        with open(out, "wb") as stream:
            self.process = subprocess.Popen(
                [varlinkctl, "-E", "call", f"unix:{daemon.socket}", method, json.dumps(parameters)],
                stdout=stream, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

    def states(self):
        text = self.out.read_text().replace("\x1e", "")
        decoder, found = json.JSONDecoder(), []
        while text.strip():
            try:
                value, end = decoder.raw_decode(text.lstrip())
            except ValueError:
                break
            found.append(value)
            text = text.lstrip()[end:]
        return found

    def wait_for(self, state):
        return until(lambda: next((s for s in self.states() if s.get("state") == state), None), what=state)

    def kill(self):
        self.process.kill()
        self.process.wait()


def test_a_generic_client_holds_a_lease_and_the_slots(varlinkctl, daemon, tmp_path):
    held = []

    def hold(name, method, parameters):
        held.append(Held(varlinkctl, daemon, f"io.berth.lease.{method}", parameters, tmp_path / name))
        return held[-1]

    lease = hold("lease", "Acquire", {"label": "by hand"})
    granted = lease.wait_for("granted")
    assert [one["context"]["namespace"] for one in daemon.leases()] == [granted["context"]["namespace"]]

    key = {"namespace": granted["context"]["namespace"], "secret": granted["secret"], "database": "platform"}
    first = hold("first", "AcquireSlot", {**key, "worker": "gw0"})
    first.wait_for("granted")
    hold("second", "AcquireSlot", {**key, "worker": "gw1"}).wait_for("granted")
    third = hold("third", "AcquireSlot", {**key, "worker": "gw2"})
    assert third.wait_for("queued")["position"] == 1
    first.kill()
    third.wait_for("granted")

    lease.kill()
    for one in held:
        one.kill()
    until(lambda: daemon.leases() == [], what="the end of the lease")


def test_what_the_daemon_says_of_itself_is_valid(varlinkctl, daemon):
    address = f"unix:{daemon.socket}"
    info = subprocess.run([varlinkctl, "info", address], capture_output=True, text=True, check=True).stdout
    for interface in ("io.berth.lease", "io.berth.manage", "org.varlink.service"):
        assert interface in info
        text = subprocess.run([varlinkctl, "introspect", address, interface], capture_output=True, check=True).stdout
        checked = subprocess.run([varlinkctl, "validate-idl", "/dev/stdin"], input=text, capture_output=True)
        assert (checked.returncode, checked.stderr) == (0, b"")


@pytest.mark.parametrize("method, parameters, error", [
    # The errors of org.varlink.service it tells in words of its own.
    ("io.berth.lease.Acquire", {"bogus": 1}, '{"parameter":"bogus"}'),
    ("io.berth.lease.Acquire", {"namespace": "Not_A_Name"}, "BadName"),
    ("io.berth.lease.ReleaseSlot", {}, "NotHeld"),
    ("io.berth.lease.Nothing", {}, '{"method":"io.berth.lease.Nothing"}'),
    ("io.berth.manage.ListLeases", {}, "more"),
])
def test_refusals_have_the_names_of_the_protocol(varlinkctl, daemon, method, parameters, error):
    done = subprocess.run([varlinkctl, "call", f"unix:{daemon.socket}", method, json.dumps(parameters)],
                          capture_output=True, text=True, env={**os.environ, "SYSTEMD_COLORS": "0"})
    assert done.returncode == 1 and error in done.stderr + done.stdout
