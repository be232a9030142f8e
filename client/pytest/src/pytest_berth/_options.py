# SPDX-License-Identifier: MIT
"""What can be set, by option, environment or ini file."""

from __future__ import annotations

import os
import re
from typing import Optional

import pytest

from . import _names
from ._namespace import ENV_SOCKET, Settings
from ._report import ENV_REPORT_DIR, OFF

_SECONDS_MAX = 30 * 24 * 3600.0

MODES = ("auto", "require", "off")
GUARDS = ("error", "warn", "off")


def add_options(parser: pytest.Parser) -> None:
    group = parser.getgroup("berth", "test namespaces and DDL slots (pytest-berth)")
    group.addoption("--berth", choices=MODES, default=None,
                    help="auto: lease a namespace, go on without a daemon. require: fail without one."
                         " off: never ask.")
    group.addoption("--berth-socket", metavar="PATH", default=None, help="where berthd listens.")
    group.addoption("--berth-namespace", metavar="NAME", default=None,
                    help="take this namespace, with the schemas an earlier run left in it.")
    group.addoption("--berth-guard", choices=GUARDS, default=None,
                    help="what to do if tables outside the worker's schema are visible (default: error).")
    group.addoption("--berth-slot-timeout", metavar="SECONDS", type=float, default=None,
                    help="how long to wait for a DDL slot (default: 600).")
    group.addoption("--berth-keep", action="store_true", default=False,
                    help="keep the schemas for inspection when the run is over.")
    group.addoption("--berth-report", metavar="DIR", default=None,
                    help="where the report of the run goes, or off (default: a folder of this user).")
    parser.addini("berth", "auto, require or off")
    parser.addini("berth_socket", "where berthd listens")
    parser.addini("berth_namespace_env", "further names of BERTH_NAMESPACE", type="args")
    parser.addini("berth_search_path_extra", "schemas to have in search_path after the worker's", type="args")
    parser.addini("berth_guard", "error, warn or off: if tables outside the worker's schema are visible")
    parser.addini("berth_slot_timeout", "seconds to wait for a DDL slot")
    parser.addini("berth_report_dir", "where the report of the run goes, or off")


def read_settings(config: pytest.Config) -> Settings:
    """Option, environment, ini, default: in this order."""
    options = config.known_args_namespace
    return Settings(
        mode=_choice("BERTH", options.berth, "BERTH", config.getini("berth"), MODES),
        socket=options.berth_socket or os.environ.get(ENV_SOCKET) or config.getini("berth_socket") or None,
        forced=options.berth_namespace,
        aliases=tuple(_alias(name) for name in config.getini("berth_namespace_env")),
        extra_path=tuple(_identifier(name) for name in config.getini("berth_search_path_extra")),
        guard=_choice("guard", options.berth_guard, "BERTH_GUARD", config.getini("berth_guard"), GUARDS),
        slot_timeout=_seconds(options.berth_slot_timeout, config.getini("berth_slot_timeout"), 600.0),
        keep=bool(options.berth_keep or os.environ.get("BERTH_KEEP")),
        label=" ".join(["pytest", *map(str, config.invocation_params.args)]),
        report=_report_directory(config),
    )


def _choice(what: str, option: Optional[str], variable: str, ini: str, allowed: "tuple[str, ...]") -> str:
    value = option or os.environ.get(variable) or ini or allowed[0]
    if value not in allowed:
        raise pytest.UsageError(f"berth: {what} is {value!r}; use {', '.join(allowed[:-1])} or {allowed[-1]}")
    return value


def _report_directory(config: pytest.Config) -> Optional[str]:
    """What is relative is so to where it was said."""
    said = config.known_args_namespace.berth_report or os.environ.get(ENV_REPORT_DIR)
    base = config.invocation_params.dir if said else config.rootpath
    said = said or config.getini("berth_report_dir")
    return said if said == OFF or not said else os.path.join(base, said)


def _identifier(name: str) -> str:
    if not re.fullmatch("[a-z_][a-z0-9_]*", name):
        raise pytest.UsageError(f"berth: berth_search_path_extra has {name!r}; use plain lower-case names")
    return name


def _alias(name: str) -> str:
    if not _names.is_alias(name):
        raise pytest.UsageError(f"berth: berth_namespace_env has {name!r}; that is no name of a variable, or somebody"
                                " else's; name one of your own")
    return name


def _seconds(option: Optional[float], ini: str, default: float) -> float:
    try:
        seconds = option if option is not None else float(ini or default)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= _SECONDS_MAX:  # nor nan
        raise pytest.UsageError(f"berth: the slot time-out is {ini or option!r}; use seconds, as in 600")
    return seconds
