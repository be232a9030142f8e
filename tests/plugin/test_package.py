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


# Of the standard library, and younger than 3.9: as attributes, imported names and builtins, and as keyword arguments.
YOUNGER = {"aclosing", "add_note", "aiter", "anext", "assert_never", "assert_type", "BaseExceptionGroup", "batched",
           "bit_count", "call_soon_eager", "deprecated", "eager_task_factory", "EncodingWarning", "ExceptionGroup",
           "file_digest", "get_annotations", "hardlink_to", "is_junction", "KW_ONLY", "LiteralString", "NotRequired",
           "override", "pairwise", "ParamSpec", "process_cpu_count", "Required", "Self", "StrEnum", "TaskGroup",
           "TypeAlias", "TypeGuard", "tomllib", "UnionType", "Unpack", "UTC"}
YOUNGER_KEYWORDS = {("zip", "strict"), ("dataclass", "slots"), ("dataclass", "kw_only"), ("Popen", "process_group"),
                    ("run", "process_group"), ("mkdtemp", "delete"), ("TemporaryDirectory", "delete"),
                    ("as_completed", "buffersize"), ("bisect_left", "key"), ("bisect_right", "key"),
                    ("warn", "skip_file_prefixes")}
# In 3.9, and not in 3.13 any more.
GONE = {"aifc", "asynchat", "asyncore", "audioop", "binhex", "cgi", "cgitb", "chunk", "crypt", "distutils", "formatter",
        "imghdr", "imp", "mailcap", "msilib", "nis", "nntplib", "ossaudiodev", "parser", "pipes", "smtpd", "sndhdr",
        "spwd", "sunau", "symbol", "telnetlib", "uu", "xdrlib"}
# In pytest 7.0, and still in 8. Hooks with those of their arguments that neither has renamed nor warns of.
PYTEST = {"CallInfo", "CollectReport", "Collector", "Config", "ExitCode", "Item", "Parser", "Session", "StashKey",
          "TestReport", "UsageError", "fixture", "hookimpl"}
HOOKS = {"pytest_addoption": {"parser", "pluginmanager"}, "pytest_addhooks": {"pluginmanager"},
         "pytest_load_initial_conftests": {"early_config", "parser", "args"}, "pytest_configure": {"config"},
         "pytest_unconfigure": {"config"}, "pytest_report_header": {"config"}, "pytest_sessionstart": {"session"},
         "pytest_sessionfinish": {"session", "exitstatus"}, "pytest_runtest_makereport": {"item", "call"},
         "pytest_runtest_logreport": {"report"}, "pytest_collectreport": {"report"},
         "pytest_runtest_logstart": {"nodeid", "location"}, "pytest_collection_finish": {"session"},
         "pytest_terminal_summary": {"terminalreporter", "exitstatus", "config"},
         "pytest_internalerror": {"excrepr", "excinfo"}, "pytest_keyboard_interrupt": {"excinfo"},
         # of xdist 2.5, and of pytest-timeout
         "pytest_configure_node": {"node"}, "pytest_testnodedown": {"node", "error"}, "pytest_testnodeready": {"node"},
         "pytest_handlecrashitem": {"crashitem", "report", "sched"},
         "pytest_timeout_set_timer": {"item", "settings"}, "pytest_timeout_cancel_timer": {"item"}}
OPTIONS_OF_HOOKS = {"tryfirst", "trylast", "hookwrapper", "optionalhook"}  # wrapper= needs pluggy 1.2


def nodes(kind):
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, kind):
                yield node


def name_of(node):
    return getattr(node, "attr", None) or getattr(node, "id", None)


def test_no_name_is_younger_than_python_39():
    used = {name_of(node) for node in nodes((ast.Attribute, ast.Name))}
    used |= {alias.name for node in nodes((ast.Import, ast.ImportFrom)) for alias in node.names}
    assert used & YOUNGER == set()
    assert {(name_of(node.func), keyword.arg) for node in nodes(ast.Call) for keyword in node.keywords} \
        & YOUNGER_KEYWORDS == set()


def test_no_module_is_gone_in_python_313():
    imported = {alias.name.partition(".")[0] for node in nodes(ast.Import) for alias in node.names}
    imported |= {(node.module or "").partition(".")[0] for node in nodes(ast.ImportFrom) if node.level == 0}
    assert imported & GONE == set()


def test_what_is_used_of_pytest_is_in_7_and_in_8():
    used = {node.attr for node in nodes(ast.Attribute) if name_of(node.value) == "pytest"}
    assert used <= PYTEST
    assert not [node for node in nodes(ast.ImportFrom) if (node.module or "").startswith(("pytest", "_pytest", "pluggy"))
                and node.level == 0]
    options = {keyword.arg for node in nodes(ast.Call) if name_of(node.func) == "hookimpl" for keyword in node.keywords}
    assert options <= OPTIONS_OF_HOOKS


def test_hooks_take_arguments_that_all_versions_have():
    hooks = [node for node in nodes(ast.FunctionDef) if node.name.startswith("pytest_")]
    assert len(hooks) > 5
    for hook in hooks:
        assert {argument.arg for argument in hook.args.args} - {"self"} <= HOOKS[hook.name], hook.name


def test_types_are_right():
    """pluggy 1.0 has none, so its decorators count as untyped."""
    checked = subprocess.run(["mypy", "--strict", "--allow-untyped-decorators", "--no-warn-unused-ignores",
                              "--python-version=3.9", "--cache-dir=/dev/null", "-p", "pytest_berth"], cwd=SOURCE,
                             capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    source = tmp_path_factory.mktemp("wheel") / "source"
    subprocess.run(["cp", "-r", FOLDER, source], check=True)
    made = subprocess.run([sys.executable, "-c", "from setuptools import build_meta as b; print(b.build_wheel('.'))"],
                          cwd=source, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return source / made.stdout.splitlines()[-1]


def test_the_wheel_has_the_plugin_and_its_types(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = archive.read(next(name for name in names if name.endswith("METADATA"))).decode()
    assert {f"pytest_berth/{path.name}" for path in MODULES} | {"pytest_berth/py.typed"} <= names
    said = metadata.replace("(", "").replace(")", "").splitlines()
    assert {"Requires-Python: >=3.9", "Requires-Dist: pytest >=7"} <= set(said)


def test_installed_from_the_wheel_it_is_there(wheel, project, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    project.write("test_it.py", """
        def test_it(berth):
            assert berth.worker_schema() == f"test_{berth.namespace()}_{berth.worker_id()}"
    """)
    outcome = project.run("-n1", PYTHONPATH=str(tmp_path / "installed"), BERTH="off")
    assert outcome.status == 0 and outcome.header == "berth: off", outcome
