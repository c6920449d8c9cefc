"""`kindmesh up` on the coordinator's device: starts Medulla, then the coordinator, then this device's node, and watches
them.

The launcher signs nothing, reads no messages and imports little. It decides how Medulla is kept apart (`isolation`),
gives each part its user and its confinement between fork and exec, waits until a part says on its own pipe that it is
ready, and follows `supervision_machine` about restarts and the end. A part gets `--home FOLDER --ready-fd N` and writes
one line to N when it serves; its stdout goes to stderr, so that the launcher's own lines stay clean. Every part ends
when the launcher ends, however that happens (PR_SET_PDEATHSIG on Linux). On its stdout: one JSON object per change with
`--json`, else a line for people.
"""

from __future__ import annotations

import fcntl
import json
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

from kindmesh.coordinator import supervision_machine as machine
from kindmesh.coordinator.isolation import (
    IsolationPlan,
    choose_isolation,
    coordinator_sandbox,
    give_back,
    node_sandbox,
    take_over,
)
from kindmesh.coordinator.isolation_words import describe, isolation_words, remember_plan
from kindmesh.mesh import begin, confine
from kindmesh.mesh.exposure import check_private
from kindmesh.mesh.files import disk_error, write_all
from kindmesh.mesh.home import Home
from kindmesh.mesh.secrecy import OWNERS_VARIABLE, guard_process, hand_on_only
from kindmesh.protocol.errors import ConfinementFailed, HomeInUse, KindmeshError, NotInitialised

if TYPE_CHECKING:
    from kindmesh.mesh.key_lock import OpenedLock

PARTS: Final = ("medulla", "coordinator", "node")
MEDULLA_SOCKET: Final = "KINDMESH_SOCKET_OF_MEDULLA"
_MODULES: Final = {
    "medulla": "kindmesh.coordinator.brain.medulla",
    "coordinator": "kindmesh.coordinator.process",
    "node": "kindmesh.node.process",
}
_WORDS: Final = {"medulla": "Medulla (reviewer)", "coordinator": "Coordinator", "node": "This device's node"}
STOP_MS: Final = 35_000
"""How long the parts have to end: a node first finishes what may not be repeated."""
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def commands(
    home: Home, plan: IsolationPlan, options: Mapping[str, Sequence[str]] | None = None
) -> dict[str, list[str]]:
    """Command line of each part, without `--ready-fd`; `options` are further arguments by part."""
    found = {
        part: [sys.executable, "-P", *begin.command(_MODULES[part]), "--home", os.fspath(home.root)]
        for part in PARTS
    }
    found["medulla"] += ["--isolation", plan.mode]
    if plan.others is not None:
        found["medulla"] += ["--peer-uid", str(plan.others.uid)]
    for part, more in (options or {}).items():
        found[part] += more
    return found


@dataclass(slots=True)
class _Part:
    """A running part: its process, and the pipe it says `ready` on (-1 once it did, or closed it)."""

    pid: int
    ready_fd: int


class Launcher:
    """Runs `parts` (command line by name, in order) until they end or a signal comes."""

    def __init__(
        self,
        home: Home,
        plan: IsolationPlan,
        parts: Mapping[str, Sequence[str]],
        *,
        as_json: bool = False,
        supervision: machine.Supervision | None = None,
        anchor: str = "",
        folders: Sequence[str] = (),
        keys: OpenedLock | None = None,
    ) -> None:
        """`keys`: what opens the private keys of the folder; each part is handed its own."""
        self._home = home
        self._plan = plan
        self._commands = parts
        self._as_json = as_json
        self._anchor = anchor
        self._keys = keys
        self._folders = folders
        self._machine = supervision or machine.Supervision(tuple(parts), grace_ms=STOP_MS)
        self._running: dict[str, _Part] = {}
        self._selector = selectors.DefaultSelector()
        self._wake_reading, self._wake_writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._exit: int | None = None
        self._stop_wanted = False

    def run(self) -> int:
        """Until everything is down; 0 when asked to stop, 1 when a part could not be kept running."""
        self._selector.register(self._wake_reading, selectors.EVENT_READ)
        before = {number: signal.signal(number, self._on_stop) for number in _SIGNALS}
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, _nothing)
        old_wake = signal.set_wakeup_fd(self._wake_writing)
        try:
            self._say("isolation", "", **describe(self._plan))
            self._handle(machine.Begin())
            while self._exit is None:
                self._turn()
        finally:
            signal.set_wakeup_fd(old_wake)
            for number, handler in before.items():
                signal.signal(number, handler)
            self._selector.close()
            os.close(self._wake_reading)
            os.close(self._wake_writing)
        return self._exit

    def _on_stop(self, _number: int, _frame: object) -> None:
        self._stop_wanted = True

    def _turn(self) -> None:
        deadline = self._machine.deadline_ms()
        timeout = None if deadline is None else max(0, deadline - _monotonic_ms()) / 1000
        for key, _ in self._selector.select(timeout):
            if key.fd == self._wake_reading:
                os.read(self._wake_reading, 4096)
            else:
                self._read_ready(key.data)
        if self._stop_wanted:
            self._stop_wanted = False
            self._handle(machine.Stop())
        self._reap()
        self._handle(machine.Tick())

    def _read_ready(self, name: str) -> None:
        part = self._running[name]
        said = os.read(part.ready_fd, 64)
        self._close_pipe(part)
        if said:
            self._handle(machine.Ready(name))

    def _close_pipe(self, part: _Part) -> None:
        if part.ready_fd >= 0:
            self._selector.unregister(part.ready_fd)
            os.close(part.ready_fd)
            part.ready_fd = -1

    def _reap(self) -> None:
        for name, part in list(self._running.items()):
            pid, status = os.waitpid(part.pid, os.WNOHANG)
            if pid == 0:
                continue
            del self._running[name]
            self._close_pipe(part)
            self._handle(machine.Ended(name, os.waitstatus_to_exitcode(status)))

    def _handle(self, event: machine.Event) -> None:
        for instruction in self._machine.handle(event, _monotonic_ms()):
            match instruction:
                case machine.Spawn(name):
                    self._spawn(name)
                case machine.Terminate(name):
                    os.kill(self._running[name].pid, signal.SIGTERM)
                case machine.Kill(name):
                    os.kill(self._running[name].pid, signal.SIGKILL)
                case machine.Say(event_name, part, status, message, hint):
                    self._say(event_name, part, status=status, message=message, hint=hint)
                case machine.Exit(code):
                    self._exit = code

    def _spawn(self, name: str) -> None:
        reading, writing = os.pipe2(os.O_CLOEXEC)
        keys_fd = _handed(self._keys, name)
        launcher = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._become(name, writing, keys_fd, launcher)
        os.close(writing)
        if keys_fd >= 0:
            os.close(keys_fd)
        self._running[name] = _Part(pid, reading)
        self._selector.register(reading, selectors.EVENT_READ, name)
        self._say("starting", name, pid=pid)

    def _become(self, name: str, ready_fd: int, keys_fd: int, launcher: int) -> NoReturn:
        """In the child: become the part, or leave with 126."""
        try:
            signal.set_wakeup_fd(-1)
            for number in (*_SIGNALS, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            os.setpgid(0, 0)
            os.dup2(2, 1)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            hand_on_only({ready_fd, keys_fd})
            environment = dict(os.environ) | {MEDULLA_SOCKET: os.fspath(self._home.socket("medulla"))}
            environment.pop(OWNERS_VARIABLE, None)
            self._confine(name, environment)
            if sys.platform == "linux" and not confine.die_with_parent(launcher):
                os._exit(126)
            command = [*self._commands[name], "--ready-fd", str(ready_fd)]
            if keys_fd >= 0:
                command += ["--keys-fd", str(keys_fd)]
            os.execve(command[0], command, environment)  # noqa: S606 - no shell is the point
        except (OSError, KindmeshError) as error:
            os.write(2, f"{name} could not be started: {error}\n".encode(errors="replace"))
        finally:
            os._exit(126)

    def _confine(self, name: str, environment: dict[str, str]) -> None:
        if name == "medulla" and self._plan.medulla is not None:
            confine.drop_user(self._plan.medulla)
        elif name == "node" and self._plan.others is not None:
            confine.drop_user(self._plan.others)
        elif name == "coordinator" and self._plan.mode != "none":
            done = confine.apply(coordinator_sandbox(self._home, self._plan.others, self._anchor))
            if self._plan.mode == "landlock" and (done.filesystem, done.ptrace) != ("confined", "refused"):
                raise ConfinementFailed("; ".join(done.shortfalls))
            environment["TMPDIR"] = environment["SQLITE_TMPDIR"] = os.fspath(self._home.coordinator)
        elif name == "node" and self._plan.node_confined:
            done = confine.apply(node_sandbox(self._home, self._folders))
            if (done.filesystem, done.ptrace) != (
                "confined",
                "refused",
            ) or confine.NOT_MARKED in done.shortfalls:
                raise ConfinementFailed("; ".join(done.shortfalls))
            environment["TMPDIR"] = environment["SQLITE_TMPDIR"] = os.fspath(self._home.node)

    def _say(self, event: str, part: str = "", **details: object) -> None:
        given = {key: value for key, value in details.items() if value not in (None, "")}
        if self._as_json:
            line = json.dumps({"event": event, **({"part": part} if part else {}), **given})
        else:
            line = _sentence(event, part, given)
        if line:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


def _handed(keys: OpenedLock | None, part: str) -> int:
    if keys is None:
        return -1
    from kindmesh.mesh.key_files import give_keys  # noqa: PLC0415 - most launchers have no keys, and stay small

    return give_keys(keys.parts(part))


def _sentence(event: str, part: str, given: Mapping[str, object]) -> str:
    name = _WORDS.get(part, part)
    match event:
        case "isolation":
            return "\n".join(isolation_words(given))
        case "ready":
            return f"{name} is running."
        case "ended" if given.get("status") != 0:
            return f"{name} ended ({_status_words(given.get('status'))})."
        case "restarting":
            return f"{name} is started again."
        case "up":
            return "Kindmesh is up. Stop it with Ctrl-C."
        case "stopping":
            return "Stopping."
        case "down":
            return "Kindmesh is down."
        case "error":
            return f"{given['message']}. {given['hint']}"
    return ""


def _status_words(status: object) -> str:
    if isinstance(status, int) and status < 0:
        return f"signal {signal.Signals(-status).name}"
    return f"exit code {status}"


def _nothing(_number: int, _frame: object) -> None:
    """A handler, so that the wake-up pipe gets its byte."""


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def launch(
    home: Home,
    *,
    as_json: bool = False,
    options: Mapping[str, Sequence[str]] | None = None,
    anchor: str = "",
    folders: Sequence[str] = (),
    unlock: Callable[[Home], OpenedLock | None] = lambda _: None,
) -> int:
    """Run everything on the coordinator's device until it is told to stop; the exit code. `anchor` is the folder of the
    audit's receipts, which the coordinator may write to; `folders` are those that the node may use; `unlock` opens the
    lock of the private keys, if there is one.

    Raises:
        NotInitialised: no mesh was made here.
        HomeInUse: another launcher runs here.
        InsecurePermissions: others can read what is private; the hint is the command that mends it.
        ConfinementFailed: the state folder could not be given to its users.
    """
    if not (home.medulla / "keys" / "bundle").exists():
        raise NotInitialised()
    guard_process()
    lock = hold_launcher(home)
    try:
        give_back(home)
        check_private(home)
        keys = unlock(home)
        _clear_leftovers(home)
        plan = choose_isolation(home, folders)
        take_over(home, plan)
        remember_plan(home, plan)
        try:
            return Launcher(
                home,
                plan,
                commands(home, plan, options),
                as_json=as_json,
                anchor=anchor,
                folders=folders,
                keys=keys,
            ).run()
        finally:
            give_back(home)
    finally:
        os.close(lock)


def _clear_leftovers(home: Home) -> None:
    if not any(home.root.glob("**/.*.old")) and not any(home.root.glob("**/.*.new")):
        return
    from kindmesh.mesh.key_conversion import clear_leftovers  # noqa: PLC0415 - hardly ever needed

    clear_leftovers(home)


def hold_launcher(home: Home) -> int:
    """Be the only launcher of this state folder, until the descriptor is closed.

    Raises:
        HomeInUse: another one runs here; the error names its process.
    """
    path = home.root / "launcher.lock"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise disk_error(error, path, doing="open") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        write_all(descriptor, f"{os.getpid()}\n".encode())
    except BlockingIOError as error:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
        os.close(descriptor)
        raise HomeInUse(
            f"Kindmesh runs here already (process {holder})", hint="Stop it first (Ctrl-C there)."
        ) from error
    except OSError as error:
        os.close(descriptor)
        raise disk_error(error, path) from error
    return descriptor


__all__ = ["PARTS", "Launcher", "commands", "hold_launcher", "launch"]
