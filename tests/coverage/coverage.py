#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What did the tests not reach? Reads the counters of a build with --coverage (tests/campaigns/coverage makes one).

    coverage.py BUILD [--lines PERCENT]

Fails if a branch of the files in RULES was never taken, unless impossible.txt says why nobody can take it, and if
fewer than PERCENT of all lines of proto/, daemon/ and client/ were run. Macros of uthash and assert() are left out:
their branches are not of this tree, and a taken one of assert() is a crash.
"""

import argparse
import collections
import fnmatch
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
IMPOSSIBLE = pathlib.Path(__file__).with_name("impossible.txt")
# What decides over life and death: every branch.
RULES = [
    "proto/names.c", "daemon/core/decide.c", "daemon/core/live_set.c", "daemon/core/slot_queue.c",
    "daemon/service/lease*.[ch]", "daemon/service/slot*.[ch]",
]  # fmt: skip
NOT_OURS = r"\s*(assert|HASH_[A-Z_]+) ?\(.*"


def counters(build):
    command = ["gcovr", "--root", ROOT, "--json", "-", "--exclude-branches-by-pattern", NOT_OURS]
    command += ["--filter", f"{re.escape(str(ROOT))}/(proto|daemon|client)/", build.resolve()]
    return json.loads(subprocess.run(command, cwd=build, check=True, stdout=subprocess.PIPE).stdout)["files"]


def impossible():
    """{(file, line of code): how many of its branches}; a line is FILE (N): CODE, and why below it, indented"""
    found = {}
    for line in IMPOSSIBLE.read_text().splitlines():
        match = re.match(r"(\S+) \((\d+)\): (.*)$", line)
        if match:
            found[match[1], match[3]] = int(match[2])
    return found


def untaken(entry):
    """(line of code, its number, how many branches nobody took)"""
    text = (ROOT / entry["file"]).read_text().splitlines()
    for line in entry["lines"]:
        n = sum(not branch["count"] for branch in line["branches"])
        if n:
            yield text[line["line_number"] - 1].strip(), line["line_number"], n


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--lines", type=float, default=0, metavar="PERCENT")
    arguments = parser.parse_args()
    files = counters(arguments.build)
    known, seen, failures = impossible(), set(), 0
    n_taken, n_branches = 0, 0
    for entry in files:
        if not any(fnmatch.fnmatch(entry["file"], rule) for rule in RULES):
            continue
        total = sum(len(line["branches"]) for line in entry["lines"])
        missing = 0
        for code, number, n in untaken(entry):
            seen.add((entry["file"], code))
            if known.get((entry["file"], code)) == n:
                total -= n
                continue
            missing += n
            print(f"{entry['file']}:{number}: {n} of its branches never taken: {code}")
        failures += missing
        n_taken, n_branches = n_taken + total - missing, n_branches + total
        print(f"{100 * (total - missing) / max(total, 1):6.1f} %  {total - missing}/{total} branches  {entry['file']}")
    print(f"{100 * n_taken / max(n_branches, 1):6.1f} %  {n_taken}/{n_branches} branches of the rules; "
          f"{sum(known.values())} impossible ones are left out")  # fmt: skip
    for file, code in known.keys() - seen:
        failures += 1
        print(f"impossible.txt: {file} has no untaken branch any more in: {code}")
    lines = collections.Counter()
    for entry in files:
        for line in entry["lines"]:
            if line["gcovr/noncode"]:
                continue
            for folder in ("/".join(entry["file"].split("/")[:2]), "all"):
                lines[folder, "all"] += 1
                lines[folder, "run"] += line["count"] > 0
    for folder in sorted({folder for folder, _ in lines if not folder.endswith(".c") and not folder.endswith(".h")}):
        n, of = lines[folder, "run"], lines[folder, "all"]
        print(f"{100 * n / of:6.1f} %  {n}/{of} lines  {folder}")
    if 100 * lines["all", "run"] < arguments.lines * lines["all", "all"]:
        failures += 1
        print(f"fewer than {arguments.lines:g} % of all lines")
    if not n_branches:
        sys.exit("coverage.py: nothing was counted")
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
