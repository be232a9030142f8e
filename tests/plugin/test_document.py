# SPDX-License-Identifier: MIT
"""docs/pytest.md beside the plugin: its settings, all of them, with their defaults; and its messages, word for word."""

import ast
import re

import pytest
from conftest import ROOT, SOURCE
from pytest_berth import plugin
from pytest_berth._namespace import Settings

DOCUMENT = (ROOT / "docs" / "pytest.md").read_text(encoding="utf-8")
TREES = [ast.parse(path.read_text(encoding="utf-8")) for path in (SOURCE / "pytest_berth").glob("*.py")]
# Made for processes of the run, and said so below the table.
NO_SETTINGS = {"BERTH_NAMESPACE", "BERTH_LEASE", "BERTH_CONTROLLER_PID", "BERTH_RUNNER_PID"}


def rows(heading):
    """The cells of the first table after a heading."""
    text = DOCUMENT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    table = [line for line in text.splitlines() if line.startswith("|")][2:]
    return [[cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table]


class Parser:
    """What the plugin tells pytest."""

    def __init__(self):
        self.options, self.inis = {}, set()
        plugin.pytest_addoption(self)

    def getgroup(self, *_):
        return self

    def addoption(self, name, **more):
        self.options[name] = more

    def addini(self, name, *_, **__):
        self.inis.add(name)


def literals():
    for tree in TREES:
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_every_option_is_documented_with_its_choices_and_no_other():
    documented = {cell.strip("`").partition("=")[0]: cell.strip("`").partition("=")[2] for _, cell, *_ in rows("Settings")
                  if cell}
    options = Parser().options
    assert documented == {name: "|".join(more.get("choices", ())) for name, more in options.items()}


def test_every_ini_setting_is_documented_and_no_other():
    assert {cell.strip("`") for *_, cell, _ in rows("Settings") if cell} == Parser().inis


def test_every_variable_is_documented_and_no_other():
    read = {text for text in literals() if re.fullmatch("BERTH(_[A-Z]+)*", text)}
    read.add("BERTH_NAMESPACE_FORCE")  # composed: aliases have one, too
    documented = {cell.strip("`") for _, _, cell, *_ in rows("Settings") if cell}
    assert documented == read - NO_SETTINGS
    assert all(f"`{name}`" in DOCUMENT for name in NO_SETTINGS)


def test_defaults_are_the_settings_own():
    defaults = {what: cell.strip("`") for what, *_, cell in rows("Settings")}
    own = Settings._field_defaults
    assert defaults["mode"] == own["mode"]
    assert defaults["what the guard does"] == own["guard"]
    assert float(defaults["longest wait for a DDL slot, in seconds"]) == own["slot_timeout"]


@pytest.mark.parametrize("message", [row[0].strip("`") for row in rows("When it says …")])
def test_every_message_is_the_plugins_to_the_letter(message):
    if message == "fixture 'berth' not found":
        return  # pytest's; test_plugin.py looks at it
    said = list(literals())
    for part in filter(None, (part.strip(" ,") for part in message.split("…"))):
        assert any(part in text for text in said), part
