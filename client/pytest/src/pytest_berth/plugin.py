# SPDX-License-Identifier: MIT
"""The pytest side: options, when the namespace is settled, how workers get it, and what the terminal shows.

    controller   load_initial_conftests: resolve, export ─▶ configure_node: tell ─▶ unconfigure: release
    worker       load_initial_conftests: environment ─▶ configure: compare, attach ─▶ unconfigure: close

A worker's conftest modules are imported before workerinput exists, so popen workers have the namespace from
the environment, too.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from typing import Any, Dict, Iterator, NoReturn, Optional

import pytest

import pytest_berth

from . import _names
from ._errors import BadName, BerthError
from ._evidence import CARRIED, Evidence
from ._namespace import (ENV_CONTROLLER_PID, ENV_FORCE, ENV_NAMESPACE, ENV_SECRET, ENV_SOCKET, Refused, Run,
                         Settings, attach_worker, names_only, of_worker, release, resolve)
from ._options import add_options, read_settings
from ._waits import OwnWaits, Timer

ENV_XDIST_WORKER = "PYTEST_XDIST_WORKER"

# Runs no test and needs no namespace. VS Code does the first all the time.
_DISCOVERY = ("collectonly", "help", "version", "showfixtures", "show_fixtures_per_test", "markers",
              "setupplan", "cacheshow")


class _State:
    def __init__(self, run: Run, is_worker: bool) -> None:
        self.run = run
        self.is_worker = is_worker
        self.exit_status: Optional[int] = None
        self.evidence: Optional[Evidence] = None  # of whoever reports: not of a worker
        self.environment: Dict[str, Optional[str]] = {}  # what it was before us


_state = pytest.StashKey[_State]()


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


# ---- which namespace ----


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    _begin(early_config)


def _begin(config: pytest.Config) -> None:
    """As early as possible: conftest modules may make engines while they are imported."""
    settings = read_settings(config)
    is_worker = _is_xdist_worker()
    try:
        if any(getattr(config.known_args_namespace, name, None) for name in _DISCOVERY):
            run = names_only(settings)
        elif is_worker:
            run = _worker_from_environment(settings)
        else:
            _check_remote_workers(config, settings)
            run = resolve(settings, os.environ, nested=bool(pytest_berth._runs), queued=_waiting(config))
    except (Refused, BadName) as e:
        _usage_error(e)
    state = _State(run, is_worker)
    config.stash[_state] = state
    pytest_berth._runs.append(run)
    if not is_worker and not run.names_only:
        _export(state)


def _is_xdist_worker() -> bool:
    """Is this configuration made for an xdist worker, right now?

    The environment cannot tell: a pytest that a test starts inherits PYTEST_XDIST_WORKER. But xdist's remote
    module is run by execnet under a name of its own, and has no `config` yet when it makes the worker's.
    """
    frame = sys._getframe().f_back
    while frame is not None and frame.f_globals.get("__name__") != "__channelexec__":
        frame = frame.f_back
    return frame is not None and "workerinput" in frame.f_globals and "config" not in frame.f_globals


def _worker_from_environment(settings: Settings) -> Run:
    worker = os.environ[ENV_XDIST_WORKER]
    if os.environ.get(ENV_CONTROLLER_PID) != str(os.getppid()):
        return Run("", "from the controller", settings, _names.check_worker(worker))  # waits for workerinput
    return of_worker(settings, worker, os.environ.get(ENV_NAMESPACE, ""), os.environ.get(ENV_SOCKET),
                     os.environ.get(ENV_SECRET))


def _check_remote_workers(config: pytest.Config, settings: Settings) -> None:
    """No daemon's socket there. Told here: what a remote worker says gets lost."""
    specs = getattr(config.known_args_namespace, "tx", None) or []
    remote = [spec for spec in specs if re.search("(ssh|socket)=", spec)]
    if remote and settings.mode == "require":
        raise Refused(f"workers on other hosts ({remote[0]}) cannot reach berthd",
                      "use --berth=auto, or popen workers")


def _export(state: _State) -> None:
    """For popen workers, and for what tests start."""
    run = state.run
    names = (ENV_NAMESPACE, *run.settings.aliases, *run.aliases)
    wanted: Dict[str, Optional[str]] = dict.fromkeys(names, run.namespace)
    wanted.update({ENV_SECRET: run.secret, ENV_CONTROLLER_PID: str(os.getpid())})
    if run.socket:
        wanted[ENV_SOCKET] = run.socket
    if run.leased:
        wanted[ENV_FORCE] = None  # it has had its effect
    state.environment = {name: os.environ.get(name) for name in wanted}
    _set_environment(wanted)


def _set_environment(wanted: Dict[str, Optional[str]]) -> None:
    for name, value in wanted.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def pytest_configure(config: pytest.Config) -> None:
    if _state not in config.stash:  # loaded by pytest_plugins of a conftest module
        _begin(config)
    state = config.stash[_state]
    if state.run.warning:
        print(state.run.warning, file=sys.stderr)
    if state.run.names_only:
        return
    state.run.waits = OwnWaits()
    if state.is_worker:
        try:
            _compare_with_workerinput(state.run, config.workerinput)  # type: ignore[attr-defined]
            attach_worker(state.run)
        except BadName as e:
            _usage_error(e)
    else:
        state.evidence = Evidence(config, state.run)
        state.evidence.open()
        state.run.waits.watch = state.evidence.watch
        config.pluginmanager.register(state.evidence, "berth-evidence")


def _compare_with_workerinput(run: Run, workerinput: Dict[str, Any]) -> None:
    told = workerinput.get("schema_namespace")
    if told is None:
        raise pytest.UsageError("berth: the controller runs without pytest-berth; load it there too, or use"
                                " -p no:berth")
    if run.namespace and run.namespace != told:
        raise pytest.UsageError(f"berth: {ENV_NAMESPACE}={run.namespace}, but the controller says {told};"
                                " do not change it in conftest modules")
    run.report = workerinput["berth"]["report"]
    if not run.namespace:
        run.namespace = _names.check_namespace(told)
        socket = workerinput["berth"]["socket"]
        if socket and os.path.exists(socket):  # else it is on another host: lock files there
            run.socket, run.secret = socket, workerinput["berth"]["secret"]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Before a worker starts, replacements of crashed ones included."""
    run = node.config.stash[_state].run
    try:
        _names.check_worker(node.workerinput["workerid"])
    except BadName as e:
        _usage_error(e)
    node.workerinput["schema_namespace"] = run.namespace
    node.workerinput["berth"] = {"socket": run.socket, "secret": run.secret, "report": run.report}


# ---- tests ----


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: "pytest.CallInfo[None]") -> Iterator[None]:
    """Where the test failed: a worker may ask, but cannot print."""
    outcome: Any = yield
    state = item.config.stash.get(_state, None)
    if call.excinfo is not None and state is not None and outcome.get_result().failed:
        from . import _diagnosis

        _diagnosis.explain(state.run, call.excinfo.value, outcome.get_result())


@pytest.hookimpl(optionalhook=True, hookwrapper=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> Iterator[None]:
    yield
    _set_timer(item, Timer(item, settings, time.monotonic()))


@pytest.hookimpl(optionalhook=True, hookwrapper=True)
def pytest_timeout_cancel_timer(item: pytest.Item) -> Iterator[None]:
    yield
    _set_timer(item, None)


def _set_timer(item: pytest.Item, timer: Optional[Timer]) -> None:
    state = item.config.stash.get(_state, None)
    if state is not None and state.run.waits is not None:
        state.run.waits.timer = timer


# ---- the end ----


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> Iterator[None]:
    state = session.config.stash.get(_state, None)
    # A second Ctrl-C may come before pytest has taken note of the first, and it may take what comes after the yield.
    interrupted = isinstance(sys.exc_info()[1], KeyboardInterrupt)
    if state is not None:
        state.exit_status = int(pytest.ExitCode.INTERRUPTED if interrupted else exitstatus)
        if state.is_worker and state.run.waits is not None:  # the lists may grow until it is sent
            told = {"leftovers": state.run.leftovers, "slot_waits": state.run.waits.past}
            session.config.workeroutput[CARRIED] = told  # type: ignore[attr-defined]
    yield
    if state is not None:
        state.exit_status = state.exit_status if interrupted else int(session.exitstatus)
        _close(session.config, state, bool(session.shouldfail))


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    state = config.stash.get(_state, None)
    if state is None or state.run.pid != os.getpid():
        return
    _close(config, state)
    release(state.run, state.exit_status)
    _set_environment(state.environment)
    if state.run in pytest_berth._runs:
        pytest_berth._runs.remove(state.run)


def _close(config: pytest.Config, state: _State, stopped_by_failures: bool = False) -> None:
    """The report, and the terminal's last lines."""
    if state.evidence is None or state.run.pid != os.getpid():
        return
    evidence, state.evidence = state.evidence, None
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # one more Ctrl-C comes a moment later
    try:
        evidence.close(state.exit_status, stopped_by_failures)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    reporter = config.pluginmanager.getplugin("terminalreporter")
    if reporter is not None:
        for line in evidence.last_lines():
            reporter.write_line(line)


# ---- the rest ----


def pytest_report_header(config: pytest.Config) -> Optional[str]:
    state = config.stash.get(_state, None)
    return state.run.header if state and not state.run.names_only else None


@pytest.fixture(scope="session")
def berth() -> pytest_berth.Berth:
    """Namespace, names, connection arguments, DDL slots and schemas of this run: see pytest_berth."""
    return pytest_berth.Berth()


def _waiting(config: pytest.Config) -> Any:
    """Tells, past pytest's capturing, that we wait for a lease."""

    def tell(reply: Dict[str, Any]) -> None:
        capture = config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            print(f"berth: waiting for a lease, place {reply.get('position')} in the queue", file=sys.stderr)

    return tell


def _usage_error(e: BerthError) -> NoReturn:
    raise pytest.UsageError(str(e)) from e
