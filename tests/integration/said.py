# SPDX-License-Identifier: MIT
"""
What the berth command may say: its JSON by docs/schema, its failures by docs/errors.md, one line of three parts each.

conftest.py gives everything that subprocess.run has run to check_run(), so each failure that a test provokes is looked at.
"""

import functools
import json
import os
import pathlib
import re

import jsonschema

DOCS = pathlib.Path(__file__).parents[2] / "docs"

# Lines on stderr that are no failures, whatever the exit code says of the command.
NEWS = re.compile(r"berth: (waiting for |schemas of \w+ are kept until )")
FAILURE = re.compile(r"berth: [^;\n]+; .+; [^;\n]*[^;\n.]")


@functools.cache
def validator(name):
    return jsonschema.Draft202012Validator(json.loads((DOCS / "schema" / f"{name}.json").read_text()))


def validate(name, value):
    """value, if docs/schema/<name>.json allows it."""
    mistakes = [f"{'/'.join(map(str, error.path))}: {error.message[:300]}" for error in validator(name).iter_errors(value)]
    assert not mistakes, f"{name}: {mistakes}"
    return value


@functools.cache
def errors():
    """{(error, exit code): retryable} of docs/errors.md"""
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (yes|no) \|", (DOCS / "errors.md").read_text(), re.MULTILINE)
    return {(word, int(code)): retry == "yes" for word, code, retry in rows}


def check_object(text, status):
    """An error object, of that exit status."""
    error = validate("error", json.loads(text))
    assert errors().get((error["error"], status)) is error["retryable"], (error, status)


def text_of(stream):
    return stream.decode(errors="replace") if isinstance(stream, bytes) else stream or ""


def check(words, done):
    """The three parts of each line, and with --json the object. words: what follows the command."""
    if done.returncode == 0:
        return
    for line in text_of(done.stderr).splitlines():
        assert not line.startswith("berth: ") or NEWS.match(line) or FAILURE.fullmatch(line), line
    own = words[:words.index("--")] if "--" in words else words
    if "--json" in own and text_of(done.stdout).startswith('{"error"'):
        check_object(text_of(done.stdout), done.returncode)


def check_run(words, done):
    """If it was berth, perhaps behind setpriv or the like."""
    if isinstance(words, (list, tuple)):
        words = [os.fsdecode(word) for word in words]
        places = [i for i, word in enumerate(words) if os.path.basename(word) == "berth"]
        if places:
            check(words[places[0] + 1:], done)
