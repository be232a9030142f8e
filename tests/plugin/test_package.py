# SPDX-License-Identifier: MIT
"""The package itself: its floor, its wheel, and what it costs."""

import ast
import subprocess
import sys
import zipfile

import pytest
from conftest import SOURCE

FOLDER = SOURCE.parent
MODULES = sorted((SOURCE / "pytest_berth").glob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_the_syntax_is_python_39s(path):
    ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_annotations_are_never_evaluated(path):
    """They may be newer than the floor."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body)


def test_nothing_but_the_standard_library_and_pytest_is_imported():
    imported = set()
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                imported.add((node.module or "").partition(".")[0])
    assert imported - set(sys.stdlib_module_names) == {"pytest", "pytest_berth"}


def test_the_wheel_has_the_plugin_and_its_types(tmp_path):
    pytest.importorskip("wheel")
    source = tmp_path / "source"
    subprocess.run(["cp", "-r", FOLDER, source], check=True)
    made = subprocess.run([sys.executable, "-c", "from setuptools import build_meta as b; print(b.build_wheel('.'))"],
                          cwd=source, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    with zipfile.ZipFile(source / made.stdout.splitlines()[-1]) as wheel:
        names = set(wheel.namelist())
        entry_points = wheel.read(next(n for n in names if n.endswith("entry_points.txt"))).decode()
    assert {f"pytest_berth/{path.name}" for path in MODULES} | {"pytest_berth/py.typed"} <= names
    assert "[pytest11]\nberth = pytest_berth.plugin" in entry_points
