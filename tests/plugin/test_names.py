# SPDX-License-Identifier: MIT
"""The golden vectors that the C tests run, too; so the two can never differ."""

import json
from pathlib import Path

import pytest
from pytest_berth import _names
from pytest_berth._errors import BadName

VECTORS = json.loads((Path(__file__).parents[2] / "proto" / "vectors" / "names.json").read_text(encoding="utf-8"))


def cases(member):
    return pytest.mark.parametrize("case", VECTORS[member], ids=lambda case: json.dumps(case)[:80])


def outcome(function, *arguments):
    """What a vector calls result and message."""
    try:
        return {"result": function(*arguments)}
    except BadName as e:
        return {"result": None, "message": e.message}


def expected(case):
    return {key: case[key] for key in ("result", "message") if key in case}


@pytest.mark.parametrize("member", ["namespace", "worker", "suffix"])
def test_parts_are_checked_as_in_c(member):
    check = getattr(_names, f"check_{member}")
    for case in VECTORS[f"{member}_check"]:
        got = outcome(check, case["text"])
        assert got.get("message") == case.get("message"), case
        assert (got["result"] == case["text"] and "message" not in got) == case["valid"], case


@cases("is_alias")
def test_aliases_are_told_as_in_c(case):
    assert _names.is_alias(case["text"]) == case["result"]


@cases("schema_make")
def test_schemas_are_made_as_in_c(case):
    assert outcome(_names.make_schema, case["namespace"], case["worker"], case["suffix"]) == expected(case)


@cases("application_name_make")
def test_application_names_are_made_as_in_c(case):
    assert outcome(_names.make_application_name, case["namespace"], case["worker"], case["suffix"]) == expected(case)


@cases("schema_parse")
def test_schemas_are_parsed_as_in_c(case):
    name = _names.parse_schema(case["text"])
    assert (name and name._asdict()) == case["result"]


@cases("application_name_parse")
def test_application_names_are_parsed_as_in_c(case):
    name = _names.parse_application_name(case["text"])
    assert (name and name._asdict()) == case["result"]


@cases("token_make")
def test_tokens_are_made_as_in_c(case):
    assert _names.make_token(case["pid"], case["epoch_sec"], case["random"]) == case["result"]


@cases("token_parse")
def test_tokens_are_parsed_as_in_c(case):
    token = _names.parse_token(case["text"])
    assert (token and token._asdict()) == case["result"]


@cases("namespace_suggest")
def test_suggestions_are_as_in_c(case):
    assert _names.suggest_namespace(case["text"]) == case["result"]


@cases("worker_number")
def test_worker_numbers_are_as_in_c(case):
    assert _names.worker_number(case["text"]) == case["result"]


@cases("ddl_slot")
def test_slots_of_lock_file_schemes_are_as_in_c(case):
    assert _names.ddl_slot(case["schema"], case["slot_count"]) == case["result"]
