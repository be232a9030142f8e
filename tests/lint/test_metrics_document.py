# SPDX-License-Identifier: MIT
"""docs/metrics.md lists what daemon/core/metrics.c has, word for word."""

import re

from metrics import ROOT, rows


def test_the_document_has_every_metric_and_no_other():
    document = re.findall(r"^\| `berth_.*\|$", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)
    enumerated = re.findall(r"^        METRIC_\w+,$", (ROOT / "daemon/core/metrics.h").read_text(), re.MULTILINE)
    assert len(rows(ROOT)) == len(enumerated)
    assert document == rows(ROOT), "print the rows with tests/lint/metrics.py"
