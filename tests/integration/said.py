# SPDX-License-Identifier: MIT
"""
What the berth command may say: its JSON by docs/schema, its failures by docs/errors.md, one line of three parts each.

Daemon.berth() and its like give everything they run to check(), so each failure that any test provokes is looked at.
"""

import functools
import json
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


def check(words, done):
    """The three parts of each line, and with --json the object; done as of subprocess.run."""
    if done.returncode == 0:
        return done
    for line in (done.stderr or "").splitlines():
        assert not line.startswith("berth: ") or NEWS.match(line) or FAILURE.fullmatch(line), line
    own = list(map(str, words))[:list(map(str, words)).index("--") if "--" in words else None]
    if "--json" in own and (done.stdout or "").startswith('{"error"'):
        check_object(done.stdout, done.returncode)
    return done
