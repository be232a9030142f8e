# SPDX-License-Identifier: MIT
"""What is older than `history` is forgotten; what is needed is not, however old; and people read meanwhile."""

import sqlite3
from contextlib import closing

from harness import until

AGED = {"lease": ("granted_usec", "ended_usec"), "member": ("joined_usec", "left_usec"), "event": ("time_usec",),
        "sweep": ("finished_usec",), "verdict": ("time_usec",)}
VIEWS = ("live_leases", "ended_leases", "held_slots", "kept_namespaces", "last_sweep", "last_verdicts", "history")


def read(daemon, text):
    with closing(sqlite3.connect(f"file:{daemon.state}/ledger.db?mode=ro", uri=True)) as ledger:
        return [row[0] for row in ledger.execute(text)]


def let_hours_pass(daemon, hours):
    with closing(sqlite3.connect(daemon.state / "ledger.db")) as ledger:
        for table, columns in AGED.items():
            changes = ", ".join(f"{column} = {column} - {hours * 3600 * 10**6}" for column in columns)
            ledger.execute(f"UPDATE {table} SET {changes}")
        ledger.commit()


def test_what_is_old_goes_and_what_lives_or_is_kept_stays(make_daemon):
    daemon = make_daemon({"history": "1h"}).after_first_sweep()
    with daemon.connection() as live:
        held = live.call("io.berth.lease.Acquire", {"namespace": "living"}, more=True)["parameters"]
        daemon.berth("run", "--namespace", "old", "--", "true", check=0)
        daemon.berth("run", "--namespace", "wanted", "--keep", "--", "true", check=0)
        daemon.sweep()
        daemon.stop()
        let_hours_pass(daemon, 2)
        daemon.start().after_first_sweep()
        daemon.berth("run", "--namespace", "new", "--", "true", check=0)
        until(lambda: read(daemon, "SELECT namespace FROM lease ORDER BY id") == ["living", "wanted", "new"],
              what="the end of what is old")
        now = read(daemon, "SELECT strftime('%s', 'now')")[0]
        assert read(daemon, f"SELECT count(*) FROM event WHERE time_usec / 1000000 < {now} - 3600") == [0]
        assert len(read(daemon, "SELECT id FROM sweep")) >= 1
        assert daemon.json("history", "old")["events"] == []
        assert daemon.json("explain", "wanted")["standing"] in ("kept", "gone")
        # the run of before goes on as if nothing had been
        with daemon.connection() as again:
            attached = again.call("io.berth.lease.Attach", {"namespace": "living", "secret": held["secret"]})
            assert attached["parameters"]["state"] == "granted"


def test_readers_see_a_daemon_at_work_and_do_not_hold_it_up(make_daemon):
    daemon = make_daemon()
    with closing(sqlite3.connect(f"file:{daemon.state}/ledger.db?mode=ro", uri=True, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        before = reader.execute("SELECT count(*) FROM history").fetchone()
        daemon.berth("run", "--namespace", "seen", "--", "true", check=0)
        until(lambda: read(daemon, "SELECT namespace FROM ended_leases") == ["seen"], what="the end of the run")
        assert reader.execute("SELECT count(*) FROM history").fetchone() == before  # its view is its own
        reader.execute("COMMIT")
    for view in VIEWS:
        read(daemon, f"SELECT * FROM {view}")
    assert oct((daemon.state / "ledger.db").stat().st_mode & 0o777) == "0o640"
