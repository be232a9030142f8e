# SPDX-License-Identifier: MIT
"""What anybody who reads the contract would try, word by word."""

from harness import until

LEASE = "io.berth.lease"


def kept(result, database):
    return {item["schema"]: item for one in result["databases"] if one["name"] == database for item in one["kept"]}


def state_of(daemon, namespace):
    return {lease["context"]["namespace"]: lease["runtime"]["state"] for lease in daemon.leases()}.get(namespace)


def test_a_released_lease_lives_on_while_another_member_is_connected_also_one_of_the_same_process(daemon, databases):
    daemon.after_first_sweep()
    holder, member, late = daemon.connection(), daemon.connection(), daemon.connection()
    granted = holder.call(f"{LEASE}.Acquire")["parameters"]
    namespace = granted["context"]["namespace"]
    whose = {"namespace": namespace, "secret": granted["secret"]}
    assert member.call(f"{LEASE}.Attach", {**whose, "role": "worker", "worker": "gw0"})["parameters"]["context"]
    databases["platform"].make_schema("platform", f"test_{namespace}_gw0")

    assert "error" not in holder.call(f"{LEASE}.Release")
    assert late.call(f"{LEASE}.Attach", whose)["error"] == f"{LEASE}.NoSuchLease"
    assert late.call(f"{LEASE}.Acquire", {"namespace": namespace})["error"] == f"{LEASE}.NamespaceInUse"
    assert state_of(daemon, namespace) == "live"
    assert kept(daemon.sweep(), "platform")[f"test_{namespace}_gw0"]["reason"] == "live"

    member.close()
    until(lambda: not databases["platform"].schemas("platform"), what="the drop in the background")
    assert state_of(daemon, namespace) is None


def test_a_schema_that_only_looks_like_a_sibling_counts_as_somebody_elses(make_daemon, databases):
    daemon = make_daemon({"unleased_grace": "0s"}).after_first_sweep()
    platform = databases["platform"]
    platform.make_schema("platform", "test_user_gw0")
    platform.sql("CREATE SCHEMA test_user_settings; CREATE VIEW test_user_settings.v AS SELECT * FROM test_user_gw0.t0")
    platform.sql("CREATE SCHEMA test_user_gw1; CREATE VIEW test_user_gw1.v AS SELECT 1 AS one")

    found = kept(daemon.sweep(), "platform")
    assert found["test_user_gw0"]["reason"] == "external_dependents"
    assert "test_user_settings.v" in found["test_user_gw0"]["detail"]
    assert platform.schemas("platform") == ["test_user_gw0", "test_user_settings"]


def test_a_label_cannot_write_on_the_terminal_of_whoever_looks(daemon):
    label = "mine\nforged  root  0s  1/1  live\x1b[2J\x9b31m"
    with daemon.connection() as holder:
        holder.call(f"{LEASE}.Acquire", {"namespace": "loud", "label": label})
        for words in (["list"], ["status"], ["status", "loud"]):
            shown = daemon.berth(*words, check=0).stdout
            assert "\nforged" not in shown and "\x1b" not in shown and "\x9b" not in shown
        [lease] = daemon.leases()
        assert lease["context"]["label"] == label


def test_a_slot_that_cannot_be_had_leaves_no_crashed_lease_behind(daemon):
    daemon.after_first_sweep()
    daemon.berth("slot", "--database", "nowhere", "--", "true", check=64)
    [lease] = until(lambda: daemon.json("list", "--all")["leases"], what="the lease of the slot")
    assert lease["runtime"]["state"] == "released"
