#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Do the unit tests notice a mistake? Makes them, each in a copy of its file, and runs the tests.

    mutate.py daemon/core/decide.c             every mistake it can make there; the survivors, with diffs; the score
    mutate.py --max-seconds 600 --seed 7       as many as fit, of all files, in the order of the seed

Each mistake is compiled alone and linked before the libraries of a test program, first without sanitizers, and if
nobody notices with them. What the compiler makes the same code of at -O2 is no mistake, and not counted.

A mistake: a condition negated, a statement dropped, a comparison or a number off by one, && for || and back, true for
false, an enum constant for its neighbour. Those that change nothing anybody could see are listed in equivalent.txt,
each with its reason. Exit status 1: the score is below --at-least.
"""

import argparse
import concurrent.futures
import difflib
import io
import itertools
import json
import math
import os
import pathlib
import random
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
EQUIVALENT = pathlib.Path(__file__).with_name("equivalent.txt")
LEASES = "test_leases test_lease_members test_lease_recovery test_lease_adopt test_lease_corners test_lease_details test_lease_chance"
SLOTS = "test_slots test_slot_recovery test_slot_drain test_slot_adopt test_slot_corners test_slot_chance"
# Which programs are to notice; the first pattern that matches.
TESTS = [
    ("daemon/core/decide.c", "test_decide"),
    ("proto/names.c", "test_names"),
    ("daemon/core/slot_queue.c", "test_slot_queue"),
    ("daemon/core/live_set.c", "test_live_set"),
    ("daemon/core/public_look.c", "test_public_look"),
    ("daemon/service/lease*.c", LEASES),
    ("daemon/service/slot*.c", SLOTS),
]
PROGRAMS = {"simulate": ["--schedules", "300"]}  # what else than their name they are called with
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
        if text.startswith("assert("):
            continue  # says what callers keep; without it they still do
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
    # The ticket of a change whose end nobody waits for is nobody's.
    code = code.replace("NULL, NULL, 0)", " " * 14)
    # What the log says is for people, and no test's business.
    for match in re.finditer(r"\blog_(?:info|warning|error|debug)\(", code):
        end = closing(code, match.end() - 1) + 1
        code = code[:match.start()] + re.sub(r"[^\n]", " ", code[match.start():end]) + code[end:]
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


class Build:
    """A build folder whose test programs are linked anew around one mutated file."""

    def __init__(self, folder, source=None, sanitized=False):
        self.folder = pathlib.Path(folder)
        if source:
            subprocess.run(
                ["cmake", "-S", source, "-B", self.folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=",
                 "-DCMAKE_C_FLAGS=-O0", f"-DBERTH_SANITIZE={'ON' if sanitized else 'OFF'}"],
                check=True, stdout=subprocess.DEVNULL,
            )  # fmt: skip
        self.links, self.seconds, self.compilers = {}, {}, None

    def prepare(self, tests):
        subprocess.run(["ninja", "-C", self.folder, *tests], check=True, stdout=subprocess.DEVNULL)
        commands = json.loads((self.folder / "compile_commands.json").read_text())
        self.compilers = {c["file"]: shlex.split(c["command"]) for c in commands}
        for test in tests:
            shown = subprocess.run(["ninja", "-C", self.folder, "-t", "commands", test], check=True, text=True,
                                   capture_output=True).stdout.splitlines()[-1]  # fmt: skip
            link = [word for word in shlex.split(shown) if word not in (":", "&&")]
            self.links[test] = link
            started = time.monotonic()
            if not self.run(self.folder / link[link.index("-o") + 1], test, 300):
                sys.exit(f"mutate.py: {test} fails as it is")
            self.seconds[test] = time.monotonic() - started

    def compile(self, file, source, target, *flags):
        command = list(self.compilers[str(file)])
        command[command.index("-o") + 1] = str(target)
        command[command.index("-c") + 1] = str(source)
        command += ["-w", "-iquote", str(file.parent), *flags]
        return not subprocess.run(command, cwd=self.folder, capture_output=True).returncode

    def run(self, program, test, seconds):
        command = ["prlimit", f"--cpu={math.ceil(seconds)}", str(program), *PROGRAMS.get(test, ())]
        options = {"ASAN_OPTIONS": "hard_rss_limit_mb=1000:detect_stack_use_after_return=1", "PATH": "/usr/bin:/bin"}
        try:
            return not subprocess.run(command, cwd=self.folder, timeout=60 + 10 * seconds, env=options,
                                      stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                      ).returncode  # fmt: skip
        except subprocess.TimeoutExpired:
            return False

    def killer(self, file, source, tests, folder):
        """The first test that notices; "" if none does, None if it does not compile."""
        mutant = folder / "mutant.o"
        if not self.compile(file, source, mutant):
            return None
        for test in sorted(tests, key=self.seconds.get):
            link = list(self.links[test])
            program = folder / test
            link[link.index("-o") + 1] = str(program)
            # Before the archives: whoever needs what is in it finds it here first.
            link.insert(link.index("-o") + 2, str(mutant))
            if subprocess.run(link, cwd=self.folder, capture_output=True).returncode:
                return None
            if not self.run(program, test, 1 + 5 * self.seconds[test]):
                return test
        return ""


class Tree:
    """What is mutated: a copy of the tree, or the tree itself in a build folder that exists."""

    def __init__(self, folder, revision, build):
        self.root = ROOT
        if build:
            self.builds = [Build(build.resolve())]
            return
        self.root = folder / "tree"
        self.root.mkdir()
        if revision:
            archive = subprocess.run(["git", "archive", revision], cwd=ROOT, check=True, capture_output=True)
            tarfile.open(fileobj=io.BytesIO(archive.stdout)).extractall(self.root)
        else:
            for part in ("CMakeLists.txt", "proto", "daemon", "client", "tests"):
                copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
                copy(ROOT / part, self.root / part)
        # Most are noticed without sanitizers already, and sooner.
        self.builds = [Build(folder / "plain", self.root), Build(folder / "sanitized", self.root, True)]

    def tests_of(self, file):
        names = next((names for pattern, names in TESTS if pathlib.PurePath(file).match(pattern)), None)
        if not names:
            sys.exit(f"mutate.py: no tests are known for {file}; add it to TESTS")
        return names.split()

    def is_same_code(self, file, source, folder):
        """The compiler itself says so: with all its wits it makes the same of both."""
        build, codes = self.builds[0], []
        for path in (self.root / file, source):
            if not build.compile(self.root / file, path, folder / "code.o", "-O2", "-g0", "-fno-sanitize=all",
                                 f"-fmacro-prefix-map={path}=x"):  # fmt: skip
                return False
            subprocess.run(["objcopy", "-O", "binary", "--only-section=.text*", folder / "code.o", folder / "code"])
            relocations = subprocess.run(["objdump", "-drj.text", "-j.rodata", "-s", folder / "code.o"], text=True,
                                         capture_output=True).stdout  # fmt: skip
            codes.append(relocations.partition("\n\n")[2])
        return codes[0] == codes[1]

    def judge(self, mutant):
        file, (begin, end, replacement) = mutant
        text = (self.root / file).read_text()
        with tempfile.TemporaryDirectory(prefix="berth-mutant-") as name:
            folder = pathlib.Path(name)
            source = folder / pathlib.PurePath(file).name
            source.write_text(text[:begin] + replacement + text[end:])
            for build in self.builds:
                killer = build.killer(self.root / file, source, self.tests_of(file), folder)
                if killer is None or killer:
                    return killer
            return None if self.is_same_code(file, source, folder) else ""


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


def report(text, file, begin, end, replacement):
    before, after = line_of(text, begin, end, replacement)
    mutant = text[:begin] + replacement + text[end:]
    print(f"survives: {file}:{text.count(chr(10), 0, begin) + 1}: {before} => {after}")
    diff = difflib.unified_diff(text.splitlines(), mutant.splitlines(), file, file, "", "", 2, "")
    print("\n".join(list(diff)[2:]), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", help="of daemon/ and proto/; default: all whose tests are known")
    parser.add_argument("--sample", type=int, metavar="N", help="N mistakes of chance besides, of the files not named; "
                        "below 90 %% of them fails")  # fmt: skip
    parser.add_argument("--max-seconds", type=float, default=float("inf"), help="stop then; the rest is not tried")
    parser.add_argument("--seed", type=int, help="in an order of chance, which this number decides")
    parser.add_argument("--at-least", type=float, default=0, metavar="PERCENT", help="a lower score of any file fails")
    parser.add_argument("--rev", help="of this commit, not of the work tree")
    parser.add_argument("--build", type=pathlib.Path, help="this build folder, not one of its own")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="at once; default: processors")
    parser.add_argument("--list", action="store_true", help="print the mistakes, and try none")
    arguments = parser.parse_args()
    known = equivalents()
    scores, untried, used = {}, 0, set()
    with tempfile.TemporaryDirectory(prefix="berth-mutation-") as folder:
        tree = Tree(pathlib.Path(folder), arguments.rev, arguments.build)
        everywhere = find_files(tree.root, [pattern for pattern, _ in TESTS])
        files = find_files(tree.root, arguments.files) if arguments.files else everywhere
        neighbours = enums(tree.root)
        chance = random.Random(arguments.seed)

        def mutants(files):
            for file in files:
                text = (tree.root / file).read_text()
                for mutation in dict.fromkeys(mutations(text, neighbours)):
                    lines = (file, *line_of(text, *mutation))
                    used.add(lines)
                    if lines not in known or arguments.list:
                        yield file, mutation

        work = list(mutants(files))
        if arguments.sample:
            rest = list(mutants([file for file in everywhere if file not in files]))
            work += chance.sample(rest, min(arguments.sample, len(rest)))
        if arguments.list:
            for file, mutation in work:
                before, after = line_of((tree.root / file).read_text(), *mutation)
                print(f"{file}: {before} => {after}")
            return 0
        if arguments.seed is not None:
            chance.shuffle(work)
        for build in tree.builds:
            build.prepare(sorted({test for file, _ in work for test in tree.tests_of(file)}))
        deadline = time.monotonic() + arguments.max_seconds
        with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
            judged = pool.map(lambda mutant: tree.judge(mutant) if time.monotonic() < deadline else NotImplemented, work)
            for (file, mutation), killer in zip(work, judged):
                untried += killer is NotImplemented
                if killer is None or killer is NotImplemented:
                    continue
                score = scores.setdefault(file, [0, 0])
                score[0] += bool(killer)
                score[1] += 1
                if not killer:
                    report((tree.root / file).read_text(), file, *mutation)
    is_low, sampled = False, [0, 0]
    for file, (n_killed, n) in sorted(scores.items()):
        percent = 100 * n_killed / n
        if file in files:
            is_low |= percent < arguments.at_least
        else:
            sampled = [sampled[0] + n_killed, sampled[1] + n]
        print(f"{percent:6.1f} %  {n_killed}/{n}  {file}")
    for file in {file for file, _ in work} - set(scores) if not untried else ():
        sys.exit(f"mutate.py: {file} does not compile, whatever the mistake")
    # One of two is no verdict on a file.
    is_low |= sampled[0] < 0.9 * sampled[1]
    n_killed, n = (sum(column) for column in zip(*scores.values())) if scores else (0, 0)
    print(f"{100 * n_killed / max(n, 1):6.1f} %  {n_killed}/{n}  in all; {len(known)} known to change nothing are left out")
    if untried:
        print(f"{untried} of {len(work)} not tried: --max-seconds")
    gone = [entry for entry in known if entry[0] in files and entry not in used]
    for file, before, after in gone:
        print(f"equivalent.txt: {file} has no such mistake any more: {before} => {after}")
    return int(is_low or bool(gone) or not scores)


def find_files(root, patterns):
    files = sorted({str(path.relative_to(root)) for pattern in patterns for path in root.glob(pattern)})
    if not files:
        sys.exit("mutate.py: no such file: " + " ".join(patterns))
    return files


if __name__ == "__main__":
    sys.exit(main())
