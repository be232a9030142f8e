# SPDX-License-Identifier: MIT
"""
Every error that berth can end with: its word, its exit code, whether the same call may succeed later. From the tables
of the library and from the places of the command line that fail by a word of their own.

    errors.py   prints the rows as docs/errors.md has them, without what they mean
"""

import pathlib
import re
import subprocess

NOT_IN_TIME, NO_DAEMON = 75, 69


def text_of(tree, path):
    tree = pathlib.Path(tree)
    command = ["cc", "-E", "-P", "-D_GNU_SOURCE", f"-I{tree}", f"-I{tree / 'daemon'}", str(tree / path)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return re.sub(r'"\s*"', "", text)


def exit_codes(tree):
    """{"CLI_USAGE": 64, "EXIT_CODE_USAGE": 64, ...}"""
    text = (pathlib.Path(tree, "client/cli/cli.h").read_text() + pathlib.Path(tree, "client/lib/error.h").read_text())
    return {name: int(value) for name, value in re.findall(r"\b((?:CLI|EXIT_CODE)_\w+) = (\d+)", text)}


def of_code(tree):
    """{(word, exit code, retryable)}"""
    codes, found = exit_codes(tree), set()
    tree = pathlib.Path(tree)
    text = text_of(tree, "client/lib/error.c")
    for word, code, retry in re.findall(r'struct kind \w+ = \{\s*"(\w+)",\s*(\w+),\s*(\w+)\s*\}', text):
        found.add((word, codes[code], retry in ("true", "1")))
    text = text_of(tree, "client/lib/reply_error.c")
    others = {name: (code, retry) for name, code, retry in re.findall(
        r"\bvoid (tell_\w+)\([^{]*\{[^}]*\}[^}]*->exit_code = (\w+);\s*error->retryable = (\w+);", text)}
    for word, *first, tell in re.findall(r'\{\s*"[\w.]+\.(\w+)",\s*(\w+),\s*(\w+),\s*(tell_\w+),', text):
        for code, retry in [first, *([others[tell]] if tell in others else [])]:
            found.add((word, codes[code], retry in ("true", "1")))
    for path in sorted((tree / "client/cli").glob("*.c")):
        source = path.read_text()
        for word, code in re.findall(r'cli_fail_as\(\s*\w+,\s*"(\w+)",\s*(\w+),', source):
            found.add((word, codes[code], codes[code] in (NOT_IN_TIME, NO_DAEMON)))
        if re.search(r'\.code = "Usage"', source):
            found.add(("Usage", codes["CLI_USAGE"], False))
    return found


def of_document(tree):
    """{(word, exit code, retryable): what it means} of docs/errors.md"""
    text = pathlib.Path(tree, "docs/errors.md").read_text()
    return {(word, int(code), retry == "yes"): means
            for word, code, retry, means in re.findall(r"^\| `(\w+)` \| (\d+) \| (yes|no) \| (.+) \|$", text, re.MULTILINE)}


if __name__ == "__main__":
    for word, code, retry in sorted(of_code(pathlib.Path(__file__).parents[2])):
        print(f"| `{word}` | {code} | {'yes' if retry else 'no'} |  |")
