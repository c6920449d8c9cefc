"""Starting, watching, restarting and stopping the parts of a coordinator device, in order. Pure.

Parts stand in a fixed order (Medulla, coordinator, node); one starts when the one before it is ready. Each part:

    down --spawn--> starting --ready--> up --stop--> stopping --ended--> down
                       |                 |
                       +----- ended -----+--> spawned again, unless it ended too often or said that it cannot run

Rules: a part that ended is started again at once, while the others stay; more than `limit` ends within `window_ms`, or
exit code 2 ("cannot run, and trying again will not help"), stops everything; stopping goes in reverse order, each part
gets `grace_ms` before it is killed; when all are down the launcher exits.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

from kindmesh.protocol.errors import InvalidTransition

PartState = Literal["down", "starting", "up", "stopping"]
CANNOT_RUN: Final = 2
"""Exit code of a part whose restart would not help; its reason went to stderr."""


class Begin(msgspec.Struct, frozen=True):
    """Start the first part."""


class Ready(msgspec.Struct, frozen=True):
    """The part said that it is ready."""

    part: str


class Ended(msgspec.Struct, frozen=True):
    """The part's process ended; `status` is its exit code, negative for a signal's number."""

    part: str
    status: int


class Stop(msgspec.Struct, frozen=True):
    """Somebody asked for the end."""


class Tick(msgspec.Struct, frozen=True):
    """Time has passed."""


Event: TypeAlias = Begin | Ready | Ended | Stop | Tick


class Spawn(msgspec.Struct, frozen=True):
    """Start the part's process."""

    part: str


class Terminate(msgspec.Struct, frozen=True):
    """Ask the part to end (SIGTERM)."""

    part: str


class Kill(msgspec.Struct, frozen=True):
    """End the part (SIGKILL)."""

    part: str


class Say(msgspec.Struct, frozen=True):
    """Report a change: `event` is ready, ended, restarting, up, stopping, down or error."""

    event: str
    part: str = ""
    status: int | None = None
    message: str = ""
    hint: str = ""


class Exit(msgspec.Struct, frozen=True):
    """All is down; leave with `code`."""

    code: int


Instruction: TypeAlias = Spawn | Terminate | Kill | Say | Exit


class Supervision:
    """See the module. Times are monotonic milliseconds."""

    def __init__(
        self, parts: tuple[str, ...], *, limit: int = 5, window_ms: int = 60_000, grace_ms: int = 10_000
    ) -> None:
        self._parts = parts
        self._limit, self._window_ms, self._grace_ms = limit, window_ms, grace_ms
        self.states: dict[str, PartState] = dict.fromkeys(parts, "down")
        self._ends: dict[str, list[int]] = {part: [] for part in parts}
        self._stopping = False
        self._code = 0
        self._kill_at_ms: int | None = None
        self._was_up = False
        self._story: list[str] = []

    def deadline_ms(self) -> int | None:
        """When a `Tick` is wanted, or None."""
        return self._kill_at_ms

    def handle(self, event: Event, now_ms: int) -> list[Instruction]:
        """What to do about `event`.

        Raises:
            InvalidTransition: something that cannot happen in this state.
        """
        self._story = [*self._story[-20:], repr(event)]
        match event:
            case Begin():
                return self._spawn_next()
            case Ready(part):
                return self._ready(part)
            case Ended(part, status):
                return self._ended(part, status, now_ms)
            case Stop():
                return self._stop(now_ms, 0)
            case _:
                return self._tick(now_ms)

    def _spawn_next(self) -> list[Instruction]:
        for part in self._parts:
            if self.states[part] == "down":
                self.states[part] = "starting"
                return [Spawn(part)]
            if self.states[part] != "up":
                return []
        if self._was_up:
            return []
        self._was_up = True
        return [Say("up")]

    def _ready(self, part: str) -> list[Instruction]:
        if self.states[part] == "stopping":
            return []
        if self.states[part] != "starting":
            raise InvalidTransition(f"{part} is ready while {self.states[part]}", story=tuple(self._story))
        self.states[part] = "up"
        return [Say("ready", part), *([] if self._stopping else self._spawn_next())]

    def _ended(self, part: str, status: int, now_ms: int) -> list[Instruction]:
        before = self.states[part]
        if before == "down":
            raise InvalidTransition(f"{part} ended while down", story=tuple(self._story))
        self.states[part] = "down"
        said = Say("ended", part, status)
        if self._stopping:
            return [said, *self._stop_last(now_ms)]
        ends = self._ends[part] = [at for at in self._ends[part] if now_ms - at < self._window_ms] + [now_ms]
        if status == CANNOT_RUN or len(ends) > self._limit:
            message = (
                f"{part} cannot run"
                if status == CANNOT_RUN
                else f"{part} ended {len(ends)} times within {self._window_ms // 1000} seconds"
            )
            error = Say("error", part, status, message, "The lines above say why.")
            return [said, error, *self._stop(now_ms, 1)]
        self.states[part] = "starting"
        return [said, Say("restarting", part, len(ends)), Spawn(part)]

    def _stop(self, now_ms: int, code: int) -> list[Instruction]:
        if self._stopping:
            return []
        self._stopping, self._code = True, code
        return [Say("stopping"), *self._stop_last(now_ms)]

    def _stop_last(self, now_ms: int) -> list[Instruction]:
        self._kill_at_ms = None
        for part in reversed(self._parts):
            if self.states[part] != "down":
                if self.states[part] == "stopping":
                    return []
                self.states[part] = "stopping"
                self._kill_at_ms = now_ms + self._grace_ms
                return [Terminate(part)]
        return [Say("down"), Exit(self._code)]

    def _tick(self, now_ms: int) -> list[Instruction]:
        if self._kill_at_ms is None or now_ms < self._kill_at_ms:
            return []
        self._kill_at_ms = None
        return [Kill(part) for part in self._parts if self.states[part] == "stopping"]


__all__ = [
    "CANNOT_RUN",
    "Begin",
    "Ended",
    "Event",
    "Exit",
    "Instruction",
    "Kill",
    "Ready",
    "Say",
    "Spawn",
    "Stop",
    "Supervision",
    "Terminate",
    "Tick",
]
