#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Do the unit tests notice a mistake? Makes them, one at a time, in a copy of the tree, and runs the tests.

    mutate.py daemon/core/decide.c             every mistake it can make there; the survivors, with diffs; the score
    mutate.py --max-seconds 600 --seed 7       as many as fit, of all files, in the order of the seed

A mistake: a condition negated, a statement dropped, a comparison or a number off by one, && for || and back, true for
false, an enum constant for its neighbour. Those that change nothing anybody could see are listed in equivalent.txt,
each with its reason. Exit status 1: the score is below --at-least.
"""

import argparse
import difflib
import io
import itertools
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
EQUIVALENT = pathlib.Path(__file__).with_name("equivalent.txt")
LEASES = "leases lease_members lease_recovery lease_chance"
SLOTS = "slots slot_recovery slot_drain slot_chance"
# Which unit tests (tests/unit/test_*.c) are to notice; the first pattern that matches.
TESTS = [
    ("daemon/core/decide.c", "decide"),
    ("proto/names.c", "names"),
    ("daemon/core/slot_queue.c", "slot_queue"),
    ("daemon/core/live_set.c", "live_set"),
    ("daemon/service/lease*.c", LEASES),
    ("daemon/service/slot*.c", SLOTS),
]
# A declaration is nothing to drop: what it would break is the build.
DECLARES = re.compile(
    r"(?:(?:static|const|struct|enum|unsigned|signed|int|bool|char|void|size_t|ssize_t|pid_t|u?int\d+_t|va_list|"
    r"TAILQ_HEAD|_cleanup_\w*)\b|#|\}|case\b|default\b|typedef\b|_cleanup_)"
)
SWAPS = {
    "&&": ["||"], "||": ["&&"], "==": ["!="], "!=": ["=="], "<": ["<="], "<=": ["<"], ">": [">="], ">=": [">"],
    "++": ["--"], "--": ["++"], "+=": ["-="], "-=": ["+="], "|=": ["&="], "&=": ["|="],
    " + ": [" - "], " - ": [" + "], "true": ["false"], "false": ["true"],
}  # fmt: skip
TOKEN = re.compile(r"&&|\|\||[=!<>]=|\+\+|--|->|<<|>>|[-+|&]=| [-+] |[<>]|!|\btrue\b|\bfalse\b|\b[A-Za-z_]\w*\b|\b\d+\b")


def blank(text):
    """The code, with comments, strings, characters and preprocessor lines blanked, byte for byte."""
    pattern = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])+'|^#(?:\\\n|[^\n])*", re.S | re.M)
    return pattern.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def closing(code, at):
    """The end of what begins with the parenthesis at `at`."""
    depth = 0
    for end in range(at, len(code)):
        depth += {"(": 1, ")": -1}.get(code[end], 0)
        if not depth:
            return end + 1
    return len(code)


def enums(root):
    """constant -> its neighbour, of every enum of the tree"""
    neighbours = {}
    for path in sorted([*root.glob("daemon/**/*.[ch]"), *root.glob("proto/*.[ch]")]):
        for body in re.findall(r"\benum\b\s*\w*\s*\{([^}]*)\}", blank(path.read_text())):
            names = [n for n in re.findall(r"([A-Z]\w+)(?:\s*=[^,]*)?(?:,|$)", body.strip()) if not n.endswith("MAX_")]
            neighbours.update(zip(names, names[1:] + names[:1]))
    return {name: other for name, other in neighbours.items() if name != other}


def statements(code):
    """(begin, end) of every statement that can be left out."""
    for match in re.finditer(r"(?<=[;{}):\n])\s*\n[ \t]+(?=\S)|(?<=\))\s*\n[ \t]+(?=\S)", code):
        begin = match.end()
        if DECLARES.match(code, begin) or re.match(r"(?:if|for|while|do|else|switch|\w+_ITER|TAILQ_FOREACH)\b", code[begin:]):
            continue
        end = code.find(";", begin)
        text = code[begin:end + 1]
        if end < 0 or "{" in text or "}" in text or not re.match(r"[\w*(]|\+\+|--", text):
            continue
        if text.startswith("return") and re.match(r"\s*\n\}", code[end + 1:]):
            continue  # the last word of a function
        yield begin, end + 1


def mutations(text, neighbours):
    """(begin, end, replacement), each one mistake in what is between braces"""
    depths = list(itertools.accumulate({"{": 1, "}": -1}.get(c, 0) for c in blank(text)))
    for begin, end, replacement in sorted(all_mutations(text, neighbours), key=lambda m: m[0]):
        if depths[begin]:
            yield begin, end, replacement


def all_mutations(text, neighbours):
    # The room an array has is not what it does.
    code = re.sub(r"(\b(?:char|u?int\d+_t) \w+)(\[[^]]*\])", lambda m: m[1] + " " * len(m[2]), blank(text))
    for match in re.finditer(r"\b(?:if|while) \(", code):
        begin, end = match.end() - 1, closing(code, match.end() - 1)
        yield begin, end, f"(!{text[begin:end]})"
    for match in re.finditer(r"^(?:static )?bool \w+\([^;{]*\)\n\{\n(.*?)^\}", code, re.S | re.M):
        for value in re.finditer(r"\breturn ([^;]+);", match[1]):
            begin, end = (match.start(1) + i for i in value.span(1))
            if text[begin:end] not in ("true", "false"):
                yield begin, end, f"!({text[begin:end]})"
    for match in re.finditer(r"(?<=[=(,] )?([^?=(,;{}]+) \? ", code):
        begin, end = match.span(1)
        begin += len(match[1]) - len(match[1].lstrip())
        begin += len("return ") if text.startswith("return ", begin) else 0
        yield begin, end, f"!({text[begin:end]})"
    for begin, end in statements(code):
        yield begin, end, ";"
    for match in TOKEN.finditer(code):
        begin, end, token = *match.span(), match[0]
        if text[max(0, begin - 1)] == "[" and re.match(r"\]\s*=", code[end:]):
            continue  # a designated initializer
        for other in SWAPS.get(token, ()):
            yield begin, end, other
        if token.isdigit():
            yield begin, end, str(int(token) + 1)
        elif token == "!" and code[end] != "=":
            yield begin, end, ""
        elif token in neighbours:
            yield begin, end, neighbours[token]


class Tree:
    """A copy of the tree with a build folder of its own."""

    def __init__(self, folder, revision):
        self.root, self.build = folder / "tree", folder / "build"
        self.root.mkdir()
        if revision:
            archive = subprocess.run(["git", "archive", revision], cwd=ROOT, check=True, capture_output=True)
            tarfile.open(fileobj=io.BytesIO(archive.stdout)).extractall(self.root)
        else:
            for part in ("CMakeLists.txt", "proto", "daemon", "client", "tests"):
                copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
                copy(ROOT / part, self.root / part)
        subprocess.run(
            ["cmake", "-S", self.root, "-B", self.build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=",
             "-DCMAKE_C_FLAGS=-O0", "-DBERTH_SANITIZE=ON"],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip

    def tests_of(self, file):
        names = next((names for pattern, names in TESTS if pathlib.PurePath(file).match(pattern)), None)
        if not names:
            sys.exit(f"mutate.py: no tests are known for {file}; add it to TESTS")
        return [f"test_{name}" for name in names.split() if (self.root / f"tests/unit/test_{name}.c").exists()]

    def make(self, tests):
        return not subprocess.run(["ninja", "-C", self.build, *tests], capture_output=True).returncode

    def passes(self, tests, seconds):
        options = {"ASAN_OPTIONS": "hard_rss_limit_mb=1000:detect_stack_use_after_return=1", "PATH": "/usr/bin:/bin"}
        for test in tests:
            try:
                done = subprocess.run(
                    [self.build / "tests/unit" / test], cwd=self.root, timeout=seconds, env=options,
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                return False
            if done.returncode:
                return False
        return True


def line_of(text, begin, end, replacement):
    """What the mistake does to its lines, as equivalent.txt has it."""
    first, last = text.rfind("\n", 0, begin) + 1, text.find("\n", end)
    while text.count(text[first:last]) > 1 and first:  # no other place looks the same
        first = text.rfind("\n", 0, first - 1) + 1
    return " ".join(text[first:last].split()), " ".join((text[first:begin] + replacement + text[end:last]).split())


def equivalents():
    """{(file, before, after)}; a line is FILE: BEFORE => AFTER, and the lines below it that begin with a space are why."""
    found = set()
    for line in EQUIVALENT.read_text().splitlines():
        match = re.match(r"(\S+): (.*) => (.*)$", line)
        if match:
            found.add(match.groups())
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", help="of daemon/ and proto/; default: all whose tests are known")
    parser.add_argument("--max-seconds", type=float, default=float("inf"), help="stop then; the rest is not tried")
    parser.add_argument("--seed", type=int, help="in an order of chance, which this number decides")
    parser.add_argument("--at-least", type=float, default=0, metavar="PERCENT", help="a lower score of any file fails")
    parser.add_argument("--rev", help="of this commit, not of the work tree")
    parser.add_argument("--list", action="store_true", help="print the mistakes, and try none")
    arguments = parser.parse_args()
    known = equivalents()
    scores, untried = {}, 0
    with tempfile.TemporaryDirectory(prefix="berth-mutation-") as folder:
        tree = Tree(pathlib.Path(folder), arguments.rev)
        patterns = arguments.files or [pattern for pattern, _ in TESTS]
        files = sorted({str(p.relative_to(tree.root)) for pattern in patterns for p in tree.root.glob(pattern)})
        if not files:
            sys.exit("mutate.py: no such file: " + " ".join(patterns))
        neighbours = enums(tree.root)
        work = [(f, m) for f in files for m in dict.fromkeys(mutations((tree.root / f).read_text(), neighbours))]
        if arguments.seed is not None:
            random.Random(arguments.seed).shuffle(work)
        allowed = {}
        for file in files if not arguments.list else []:
            tests = tree.tests_of(file)
            started = time.monotonic()
            if not tree.make(tests) or not (started := time.monotonic()) or not tree.passes(tests, 300):
                sys.exit(f"mutate.py: {' '.join(tests)} fail as they are")
            allowed[file] = 5 + 5 * (time.monotonic() - started)
        deadline = time.monotonic() + arguments.max_seconds
        for file, (begin, end, replacement) in work:
            path, text = tree.root / file, (tree.root / file).read_text()
            lines = line_of(text, begin, end, replacement)
            if arguments.list or (file, *lines) in known:
                if arguments.list:
                    print(f"{file}: {lines[0]} => {lines[1]}")
                continue
            if time.monotonic() > deadline:
                untried += 1
                continue
            mutant = text[:begin] + replacement + text[end:]
            path.write_text(mutant)
            tests = tree.tests_of(file)
            score = scores.setdefault(file, [0, 0])
            if tree.make(tests):
                lives = tree.passes(tests, allowed[file])
                score[0] += not lives
                score[1] += 1
                if lives:
                    print(f"survives: {file}:{text.count(chr(10), 0, begin) + 1}: {lines[0]} => {lines[1]}")
                    diff = difflib.unified_diff(text.splitlines(), mutant.splitlines(), file, file, "", "", 2, "")
                    print("\n".join(list(diff)[2:]), flush=True)
            path.write_text(text)
        is_low = False
        for file, (n_killed, n) in sorted(scores.items()):
            percent = 100 * n_killed / n if n else 100
            is_low |= percent < arguments.at_least
            print(f"{percent:6.1f} %  {n_killed}/{n}  {file}")
    if untried:
        print(f"{untried} of {len(work)} not tried: --max-seconds")
    print(f"{len(known)} known to change nothing (equivalent.txt)")
    return int(is_low)


if __name__ == "__main__":
    sys.exit(main())
