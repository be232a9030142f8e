# SPDX-License-Identifier: MIT
"""Which namespace a pytest process works in. One function per situation; resolve() picks the first that fits.

    exported with its secret    attach as controller      refused: somebody is, take a lease of our own
                                                          unknown: stale, take a fresh lease
    forced                      acquire that name
    exported without a secret   acquire it if a living ancestor made it, else it is stale
    nothing exported            acquire a fresh one
    no daemon                   one of the user's own is started; where that is impossible `auto`: a local token,
                                `require`: an error
"""

from __future__ import annotations

import os
import re
import time
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

from . import _names, _process
from ._autostart import autostart
from ._client import ANSWER_TIMEOUT, LEASE, MANAGE, Connection, find_socket
from ._errors import BadName, BerthError, DaemonUnavailable, RemoteError, describe_process
from ._hold import Hold, retry

ENV_NAMESPACE = "BERTH_NAMESPACE"
ENV_SECRET = "BERTH_LEASE"
ENV_SOCKET = "BERTH_SOCKET"
ENV_FORCE = "BERTH_NAMESPACE_FORCE"
ENV_CONTROLLER_PID = "BERTH_CONTROLLER_PID"
ENV_RUNNER_PID = "BERTH_RUNNER_PID"

# An exported lease means that there was a daemon a moment ago: it may be restarting.
_PATIENCE = 1.5
# A runner makes its token right after its own start. A shell that made one later is not a runner.
_TOKEN_DELAY_MAX = 10.0
_CLOCK_SLACK = 2.0
_FORCED_TIMEOUT = 60.0  # a drop of the earlier lease's schemas may be under way
_HISTORY_TIMEOUT = 1.0
_STARTS_MAX = 20
_LABEL_MAX = 200


class Settings(NamedTuple):
    mode: str = "auto"  # auto, require, off
    socket: Optional[str] = None
    forced: Optional[str] = None  # by option
    aliases: Tuple[str, ...] = ()  # further names of BERTH_NAMESPACE
    extra_path: Tuple[str, ...] = ()
    guard: str = "error"  # error, warn, off
    slot_timeout: float = 600.0
    keep: bool = False
    label: str = ""
    report: Optional[str] = None  # a folder, or off; None: the default


class Run:
    """What this process knows about its run."""

    def __init__(self, namespace: str, source: str, settings: Settings, worker: str = "gw0",
                 socket: Optional[str] = None, secret: Optional[str] = None, own: bool = False,
                 lifeline: Optional[Hold] = None) -> None:
        self.namespace = namespace
        self.source = source  # for the header: where the namespace came from
        self.settings = settings
        self.worker = worker
        self.socket = socket
        self.secret = secret
        self.own = own  # we acquired the lease, so we release it
        self.lifeline = lifeline
        self.names_only = False  # nothing is going to be run
        self.warning: Optional[str] = None
        self.stale_export: Optional[Dict[str, str]] = None  # a namespace in the environment that was ignored
        self.label: Optional[str] = _label(settings.label)
        self.databases: List[str] = []  # as far as the daemon has said
        self.aliases: List[str] = []  # further names of BERTH_NAMESPACE, likewise
        self.report: Optional[str] = None  # path of the file that will tell how it went
        self.leftovers: List[str] = []  # schemas that could not be dropped
        self.waits: Any = None  # OwnWaits: in whose care waiting for a slot is
        self.pid = os.getpid()

    @property
    def leased(self) -> bool:
        return self.secret is not None

    @property
    def search_path(self) -> List[str]:
        """The worker's schema, and nothing else unless the configuration asks for it."""
        return [_names.make_schema(self.namespace, self.worker), *self.settings.extra_path]

    def learn(self, context: Mapping[str, Any]) -> None:
        """What the daemon says with a lease."""
        self.label = context.get("label")
        self.databases = list(context.get("databases") or [])
        self.aliases = [name for name in context.get("aliases") or [] if _names.is_alias(name)]

    @property
    def header(self) -> str:
        return "berth: off" if self.settings.mode == "off" else f"berth: {self.namespace} ({self.source})"


class Refused(BerthError):
    """The run must not start: a usage error."""


Queued = Optional[Callable[[Dict[str, Any]], None]]


def resolve(settings: Settings, environ: Mapping[str, str], nested: bool = False,
            queued: Queued = None) -> Run:
    """For a controller, or a pytest without xdist. Nested: another pytest of this process has a namespace."""
    if settings.mode == "off":
        return _local(settings, "off")
    exported = _exported(settings, environ)
    forced = _forced(settings, environ, exported)
    try:
        if forced:
            return _acquire(settings, queued, forced, "forced")
        if not exported:
            return _acquire(settings, queued, None, "new lease")
        if nested:
            return _acquire(settings, queued, None, f"new; {exported} is in use by this very process")
        secret = environ.get(ENV_SECRET)
        if secret and exported == environ.get(ENV_NAMESPACE):
            lease = exported, secret
            return retry(lambda: _attach(settings, queued, *lease), _PATIENCE)
        return _from_foreign_runner(settings, environ, queued, exported)
    except DaemonUnavailable as e:
        return _without_daemon(settings, e)
    except RemoteError as e:
        raise Refused(e.message, e.fix, e.error) from e


def names_only(settings: Settings) -> Run:
    """For --collect-only and the like: names, but nothing behind them."""
    run = _local(settings, "not leased")
    run.names_only = True
    return run


def of_worker(settings: Settings, worker: str, namespace: str, socket: Optional[str],
              secret: Optional[str]) -> Run:
    """What the controller has told an xdist worker."""
    _names.check_worker(worker)
    return Run(_names.check_namespace(namespace), "from the controller", settings, worker, socket, secret)


def attach_worker(run: Run) -> None:
    """A worker's own lifeline. An unreachable daemon is the thread's to find again, and no failure."""
    if not run.leased or not run.socket:
        return
    run.lifeline = Hold(run.socket)
    call = _attach_call(run, "worker")
    try:
        run.learn(run.lifeline.ask(*call).get("context") or {})
    except RemoteError as e:
        run.lifeline.lost = e.message
        return
    except DaemonUnavailable:
        pass
    run.lifeline.watch(*call)


def release(run: Run, exit_status: Optional[int]) -> None:
    """At the end of the session. A daemon that is away finds out by itself."""
    if run.lifeline is None or run.pid != os.getpid():
        return
    if run.own and not run.lifeline.lost:
        try:
            with Connection(run.lifeline.path) as connection:
                connection.call(f"{LEASE}.Release", {
                    "namespace": run.namespace, "secret": run.secret, "exitStatus": exit_status,
                    "keep": run.settings.keep or None})
        except BerthError:
            pass
    run.lifeline.close()


# ---- situations ----


def _attach(settings: Settings, queued: Queued, namespace: str, secret: str) -> Run:
    if not _is_namespace(namespace) or not re.fullmatch("[0-9a-f]{32}", secret):
        return _ignore(settings, queued, namespace)
    run = Run(namespace, "", settings, socket=find_socket(settings.socket), secret=secret)
    run.lifeline = Hold(str(run.socket))
    call = _attach_call(run, "controller")
    try:
        reply = run.lifeline.ask(*call)
    except RemoteError as e:
        if e.error == "AlreadyAttached":
            who = describe_process(e.parameters.get("holder"))
            return _acquire(settings, queued, None, f"new; {namespace} is in use by pytest {who}")
        if e.error == "NoSuchLease":
            return _ignore(settings, queued, namespace)
        raise
    run.lifeline.watch(*call)
    run.learn(reply.get("context") or {})
    token = _names.parse_token(namespace)
    run.source = f"lease of berth run, pid {token.pid}" if token else "lease of berth run"
    return run


def _from_foreign_runner(settings: Settings, environ: Mapping[str, str], queued: Queued,
                         namespace: str) -> Run:
    """A runner that knows nothing of leases exported a token. Is it alive, and are we its first pytest?"""
    family = list(_process.ancestors())
    controller = _pid(environ.get(ENV_CONTROLLER_PID))
    if controller in family and controller != os.getpid():
        return _acquire(settings, queued, None, f"new; {namespace} is in use by pytest pid {controller}")
    runner = _runner_of(namespace, environ, family)
    if runner is None:
        return _ignore(settings, queued, namespace)
    try:
        return _acquire(settings, queued, namespace, f"from runner pid {runner}")
    except RemoteError as e:
        if e.error != "NamespaceInUse":
            raise
        who = describe_process(e.parameters.get("holder"))
        return _acquire(settings, queued, None, f"new; {namespace} is in use by pytest {who}")


def _acquire(settings: Settings, queued: Queued, namespace: Optional[str], source: str) -> Run:
    # Named, so that asking again after a lost reply gives the same lease and not a second one.
    request = os.urandom(16).hex()
    parameters = {"namespace": namespace, "label": _label(settings.label), "role": "controller",
                  "request": request}
    path = _find_or_start(settings)
    lifeline = Hold(path)
    timeout = _FORCED_TIMEOUT if namespace else ANSWER_TIMEOUT
    reply = retry(lambda: lifeline.ask(f"{LEASE}.Acquire", parameters, timeout, queued), _PATIENCE)
    run = Run(reply["context"]["namespace"], source, settings, socket=path, secret=reply["secret"], own=True,
              lifeline=lifeline)
    run.learn(reply["context"])
    lifeline.watch(*_attach_call(run, "controller"))
    return run


def _ignore(settings: Settings, queued: Queued, namespace: str) -> Run:
    """A stale export: told in the header, and no more than that."""
    shown = namespace if _is_namespace(namespace) else ascii(namespace[:_names.NAMESPACE_MAX])
    ended = _ended(settings, namespace)
    told = f"new; ignored stale {ENV_NAMESPACE}={shown}" + (f", {ended}" if ended else "")
    run = _acquire(settings, queued, None, told)
    run.stale_export = {"namespace": shown, "reason": ended or "no living run of that name"}
    return run


def _find_or_start(settings: Settings) -> str:
    """Where there is no daemon, one of the user's own is started."""
    for _ in range(_STARTS_MAX):  # one that was about to go when we found it may be gone when we come
        try:
            return find_socket(settings.socket)
        except DaemonUnavailable as e:
            if settings.socket or not autostart(e):
                raise
    return find_socket(settings.socket)


def _without_daemon(settings: Settings, e: DaemonUnavailable) -> Run:
    if settings.mode == "require":
        raise Refused(e.message, e.fix, e.error) from e
    run = _local(settings, f"unleased: {e.message}")
    run.warning = f"berth: {e.message}; going on unleased, with lock files for DDL slots; {e.fix}"
    return run


def _local(settings: Settings, source: str) -> Run:
    token = _names.make_token(os.getpid(), int(time.time()), int.from_bytes(os.urandom(4), "big"))
    return Run(token, source, settings)


# ---- what is exported ----


def _exported(settings: Settings, environ: Mapping[str, str]) -> Optional[str]:
    return next((environ[name] for name in (ENV_NAMESPACE, *settings.aliases) if environ.get(name)), None)


def _forced(settings: Settings, environ: Mapping[str, str], exported: Optional[str]) -> Optional[str]:
    """The name to insist on. Not if the runner has leased it already, or another one in its place."""
    by_environment = next((environ[f"{name}_FORCE"] for name in (ENV_NAMESPACE, *settings.aliases)
                           if environ.get(f"{name}_FORCE")), None)
    forced = settings.forced or (None if environ.get(ENV_SECRET) else by_environment)
    if not forced or (forced == exported and environ.get(ENV_SECRET)):
        return None
    try:
        return _names.check_namespace(forced)
    except BadName as e:
        proposal = _names.suggest_namespace(forced)
        raise Refused(e.message, f"try {proposal!r}" if proposal else "choose another name", e.error) from e


def _runner_of(namespace: str, environ: Mapping[str, str], family: List[int]) -> Optional[int]:
    """The ancestor that made the namespace: by the token's pid and time, or as it says itself."""
    token = _names.parse_token(namespace)
    if token and token.pid in family:
        started = _process.started_at(token.pid)
        if started is not None and -_CLOCK_SLACK <= token.epoch_sec - started <= _TOKEN_DELAY_MAX:
            return token.pid
    runner = _pid(environ.get(ENV_RUNNER_PID))
    if runner in family and _is_namespace(namespace):
        return runner
    return None


def _ended(settings: Settings, namespace: str) -> str:
    """`ended 3 h ago`, if the daemon remembers."""
    if not _is_namespace(namespace):
        return ""
    ended, more = 0, True
    try:
        with Connection(find_socket(settings.socket)) as connection:
            connection.send(f"{MANAGE}.GetHistory", {"namespace": namespace}, more=True)
            while more:
                event, more = connection.receive(_HISTORY_TIMEOUT)
                if event.get("event") == "lease_ended":
                    ended = event["timeUSec"]
    except BerthError:
        return ""
    return f"ended {_age(time.time() - ended / 1e6)} ago" if ended else ""


def _age(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _is_namespace(text: str) -> bool:
    try:
        return bool(_names.check_namespace(text))
    except BadName:
        return False


def _pid(text: Optional[str]) -> Optional[int]:
    return int(text) if text and text.isascii() and text.isdigit() else None


def _label(text: str) -> Optional[str]:
    """Cut to what the daemon takes, without half a character, and without what a terminal chokes on."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    return printable.encode("utf-8", "replace")[:_LABEL_MAX].decode("utf-8", "ignore") or None


def _attach_call(run: Run, role: str) -> Tuple[str, Dict[str, Any]]:
    return f"{LEASE}.Attach", {"namespace": run.namespace, "secret": run.secret, "role": role,
                               "worker": run.worker if role == "worker" else None}
