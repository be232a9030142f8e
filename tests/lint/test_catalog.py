# SPDX-License-Identifier: MIT
"""What the journal's catalog explains is what the daemon says, id by id."""

import re
from pathlib import Path

TREE = Path(__file__).parents[2]


def test_catalog_and_source_have_the_same_ids():
    source = dict(re.findall(r'\{"([^"]+)", "([0-9a-f]{32})"\}', (TREE / "daemon/util/journal.c").read_text()))
    explained = re.findall(r"^-- ([0-9a-f]{32})$", (TREE / "systemd/berth.catalog").read_text(), re.MULTILINE)
    assert len(source) > 5 and sorted(source.values()) == sorted(explained) and len(set(explained)) == len(explained)


def test_every_subject_is_said_somewhere():
    said = "".join(path.read_text() for path in (TREE / "daemon").rglob("*.c") if path.name != "journal.c")
    source = re.findall(r'\{"([^"]+)", "[0-9a-f]{32}"\}', (TREE / "daemon/util/journal.c").read_text())
    for subject in source:
        assert f'"{subject}: ' in said or f'"{subject.split()[0]} %s: ' in said, subject
