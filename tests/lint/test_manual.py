# SPDX-License-Identifier: MIT
"""
The manual and the other documents have every option, verb, method, error, verdict, reason and exit code that the code has.
The pages are those of the build: their tables come from the programs, and what is written by hand is compared here.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
BUILD = Path(os.environ["BERTH_BUILD"])
PAGES = BUILD / "docs/man"
ENVIRONMENT = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}


def said_by(*command):
    return subprocess.run(command, check=True, text=True, capture_output=True, env=ENVIRONMENT).stdout


def page(name):
    """As one would read it, in one line, without the width of a terminal."""
    shown = said_by("mandoc", "-T", "utf8", "-O", "width=1000", PAGES / name)
    return re.sub(r"\s+", " ", re.sub(".\b", "", shown))


def verbs():
    return [word for word in said_by(BUILD / "client/cli/berth", "__words").split() if not word.startswith("--")]


def idl(interface, kind):
    return re.findall(rf"^{kind} (\w+)", (TREE / f"proto/{interface}.varlink").read_text(), re.MULTILINE)


def enum(interface, name):
    text = (TREE / f"proto/{interface}.varlink").read_text()
    return re.findall(r"\w+", re.search(rf"^type {name} \(([^)]*)\)", text, re.MULTILINE).group(1))


def test_the_pages_are_clean():
    pages = sorted(PAGES.iterdir())
    assert len(pages) > 15
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *pages], text=True, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_verb_has_a_page_and_every_page_a_verb():
    written = [path.name[len("berth-"):-len(".mdoc")] for path in (TREE / "docs/man").glob("berth-*.mdoc")]
    assert sorted(written) == sorted(verbs()), "a page is docs/man/berth-VERB.mdoc"
    assert [verb for verb in verbs() if f"berth-{verb}(1)" not in page("berth.1")] == []


def test_every_option_of_a_verb_is_in_its_page():
    common = said_by(BUILD / "client/cli/berth", "__words", "no-such-verb").split()
    for verb in verbs():
        shown = page(f"berth-{verb}.1")
        for option in said_by(BUILD / "client/cli/berth", "__words", verb).split():
            assert option in (page("berth.1") if option in common else shown), (verb, option)


def test_every_option_of_the_daemon_is_in_its_page():
    options = re.findall(r"--[a-z-]+", said_by(BUILD / "daemon/berthd", "--help"))
    shown = page("berthd.8")
    assert len(options) > 8
    assert [option for option in options if option not in (*"--help --usage --version".split(), *shown.replace(",", " ").split())] == []


def test_every_option_of_the_configuration_is_there_with_its_default():
    options = said_by(BUILD / "daemon/berthd", "--help-config").split("[databases]")[0]
    rows = dict(re.findall(r"^;([a-z_]+) = ?(.*)$", options, re.MULTILINE))
    assert len(rows) > 18
    shown = page("berth.conf.5")
    for name, default in rows.items():
        wanted = f"Default: ‘{default}’." if default else "Default: empty."
        assert re.search(rf" {name} (?:(?!Default:).)*{re.escape(wanted)}", shown), (name, default)
    # what the contract names
    for name in """socket state_dir operator_group ddl_slots max_leases max_connections max_connections_per_uid connect_timeout
                   lock_timeout statement_timeout start_grace unleased_grace keep_for sweep_interval history namespace_env
                   public_watch""".split():
        assert name in rows


def test_every_method_type_and_error_is_in_the_page_of_its_interface():
    for interface in ("io.berth.lease", "io.berth.manage"):
        shown = page(f"{interface}.7")
        for kind in ("type", "method", "error"):
            names = idl(interface, kind)
            assert names
            assert [name for name in names if f" {kind} {name}" not in shown] == []


@pytest.mark.parametrize("name", ["KeptReason", "SweepVerdict"])
def test_every_verdict_and_reason_is_explained(name):
    shown = page("berth-sweep.1")
    words = [word for word in enum("io.berth.manage", name) if word not in ("dropped", "would_drop", "kept")]
    assert len(words) > 1 and [word for word in words if word not in shown] == []
    operations = (TREE / "docs/operations.md").read_text()
    assert [word for word in words if word not in ("recovering", "keep") and word not in operations] == []


def test_every_standing_is_explained():
    protocol = (TREE / "docs/protocol.md").read_text()
    assert [word for word in enum("io.berth.manage", "Standing") if f"`{word}`" not in protocol] == []


def test_every_exit_code_is_in_the_manual():
    codes = re.findall(r"CLI_\w+ = (\d+)", (TREE / "client/cli/cli.h").read_text())
    listed = page("berth.1").split("EXIT STATUS")[1].split("DIAGNOSTICS")[0]
    assert len(codes) > 8 and [code for code in codes if f" {code} " not in listed] == []
    daemon = {"EX_USAGE": 64, "EX_UNAVAILABLE": 69, "EX_SOFTWARE": 70, "EX_OSERR": 71, "EX_CANTCREAT": 73, "EX_IOERR": 74, "EX_CONFIG": 78}
    source = "".join(path.read_text() for path in (TREE / "daemon").rglob("*.c"))
    used = set(re.findall(r"\bEX_[A-Z]+\b", source)) - {"EX_OK"}
    assert used <= set(daemon), used - set(daemon)
    listed = page("berthd.8").split("EXIT STATUS")[1]
    assert [name for name in used if f" {daemon[name]} " not in listed] == []


def test_every_function_of_the_library_is_in_its_page_and_its_symbols():
    header = (TREE / "client/lib/berth.h").read_text()
    functions = set(re.findall(r"^[a-z][a-z_0-9 *]*?\b(berth_\w+)\(", header, re.MULTILINE))
    shown = page("libberth.3")
    assert len(functions) > 30 and [name for name in functions if f"{name}(" not in shown] == []
    symbols = re.findall(r"^ (berth_\w+)@", (TREE / "systemd/debian/libberth0.symbols").read_text(), re.MULTILINE)
    assert sorted(symbols) == sorted(functions)


def test_there_is_one_version():
    versions = {
        re.search(r"project\(berth VERSION ([\d.]+)", (TREE / "CMakeLists.txt").read_text()).group(1),
        re.search(r"^berth \(([\d.]+)\)", (TREE / "systemd/debian/changelog").read_text()).group(1),
        re.search(r'__version__ = "([\d.]+)"', (TREE / "client/pytest/src/pytest_berth/__init__.py").read_text()).group(1),
    }
    assert len(versions) == 1


def test_the_packages_have_the_licence():
    def plain(text):
        return re.sub(r"[\s.]+", " ", text)

    permission = (TREE / "LICENSE").read_text().split("\n\n", 2)[2]
    assert plain(permission).strip() in plain((TREE / "systemd/debian/copyright").read_text())
