# SPDX-License-Identifier: MIT
"""Every verb that prints JSON has a schema, every schema a verb; and those of replies are what the .varlink file says."""

import json
import os
import pathlib
import subprocess

import jsonschema
import pytest
import schemas

TREE = pathlib.Path(__file__).parents[2]
FOLDER = TREE / "docs/schema"
BERTH = pathlib.Path(os.environ.get("BERTH_BUILD", TREE / "build/debug")) / "client/cli/berth"

# error is what every verb prints when it fails; report_line is of a file while a run writes it
OF_NO_VERB = {"error", "report_line"}


def of_verbs():
    """{verb: the files of docs/schema that say what its --json prints}"""
    listed = subprocess.run([BERTH, "__schemas"], capture_output=True, text=True, check=True).stdout
    return {verb: set(files) for verb, *files in map(str.split, listed.splitlines())}


def usage(verb):
    return subprocess.run([BERTH, verb, "--help"], capture_output=True, text=True, check=True).stdout


def test_every_schema_belongs_to_a_verb_and_every_verb_that_prints_has_one():
    verbs = of_verbs()
    assert {path.stem for path in FOLDER.glob("*.json")} == set().union(OF_NO_VERB, *verbs.values())
    # a verb that runs a command prints nothing of its own
    assert {verb for verb, files in verbs.items() if not files} == {
        verb for verb in verbs if "COMMAND [ARGUMENT]..." in usage(verb) or "prints no JSON" in usage(verb)}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_a_schema_is_one(path):
    schema = json.loads(path.read_text())
    assert schema["$schema"] == schemas.DIALECT and schema["title"]
    jsonschema.Draft202012Validator.check_schema(schema)


def test_what_prints_replies_is_what_the_idl_says():
    assert schemas.stale(TREE) == [], "run tests/lint/schemas.py --write"


def test_another_key_in_the_idl_is_another_schema():
    idl = (TREE / "proto/io.berth.manage.varlink").read_text()
    found = schemas.read_idl(idl)
    assert set(found["LockSide"]["properties"]) >= {"pid", "query"} and found["LockSide"]["required"] == ["pid"]
    changed = schemas.read_idl(idl.replace("waitUSec: ?int", "waitUSec: int, more: []string"))["ListLocks"]
    assert changed["properties"]["more"] == {"type": "array", "items": {"type": "string"}}
    assert {"waitUSec", "more"} <= set(changed["required"])
