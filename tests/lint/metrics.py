#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The table of metrics (daemon/core/metrics.c) as rows of docs/metrics.md: python3 tests/lint/metrics.py prints them."""

import pathlib
import re

from methods import strings_of

ROOT = pathlib.Path(__file__).parents[2]
TYPES = {"METRIC_COUNTER": "counter", "METRIC_GAUGE": "gauge", "METRIC_HISTOGRAM": "histogram"}


def rows(tree):
    """A line of the document for each metric, in the order of the table."""
    text = strings_of(tree, "daemon/core/metrics.c")
    found = []
    for name, kind, help_text, label, values in re.findall(
            r'\[METRIC_\w+\]\s*=\s*\{\s*"(\w+)",\s*(METRIC_\w+),\s*"([^"]*)",\s*("\w+"|\(\(void \*\)0\)|NULL),'
            r'\s*(?:\(\(const char \*const\[\]\)\{([^}]*)\}\))?', text):
        label = label.strip('"') if label.startswith('"') else ""
        words = re.findall(r'"(\w+)"', values)
        shown = f"`{label}`" + (f": {', '.join(words)}" if words else "") if label else ""
        found.append(f"| `berth_{name}` | {TYPES[kind]} | {shown} | {help_text} |")
    return found


if __name__ == "__main__":
    print("\n".join(rows(ROOT)))
