"""What happens to a household: a list of typed actions with their times, and the file that one is kept in.

An act names devices as the household does. A history is plain data, so it can be written down, read again, and played
in part (see `shrink`); what it does to a household depends on nothing but itself and its seed. Who makes one from a
seed is `author`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.messages.jobs import Priority

EMERGENCY_MS: Final = 20_000
"""How long an emergency may take."""
FORMAT: Final = 1
NODES_MAX: Final = 64
ROOMS: Final = (
    "phone", "kitchen", "hall", "bedroom", "bathroom", "garden", "study", "garage", "cellar", "attic", "balcony",
    "porch",
)  # fmt: skip
Shape = Literal["line", "each", "undo", "sub", "pause", "ask"]


class _Act(msgspec.Struct, frozen=True, tag_field="do", tag=str.lower, forbid_unknown_fields=True):
    at_ms: int
    """Since the household was started."""


class Ask(_Act, frozen=True):
    """Somebody wants `operation` done within that time, on `target` or wherever it is done best."""

    key: str
    operation: str
    within_ms: int
    target: str = ""
    before_ms: int = 0
    after_ms: int = 0
    priority: Priority = "interactive"


class Plan(_Act, frozen=True):
    """From now on something is done every so often, by itself: a schedule."""

    name: str
    every_ms: int


class Run(_Act, frozen=True):
    """Somebody starts a plan of several steps, of one of the `Shape`s (see `running`), and asks within that time."""

    key: str
    shape: Shape
    within_ms: int
    before_ms: int = 0


class Stream(_Act, frozen=True):
    """Somebody streams so many pieces to `target` or wherever it is done best, and listens to what comes back."""

    key: str
    pieces: int
    pause_ms: int
    target: str = ""


class Cancel(_Act, frozen=True):
    """Somebody does not want it any more."""

    key: str


class Answer(_Act, frozen=True):
    """The owner says yes or no to everything that is asked."""

    allow: bool


class Kill(_Act, frozen=True):
    """`kill -9` of `device` (`desk` is the coordinator, `medulla` Medulla) after so many more steps of its own, or at
    the so manieth `boundary` of its journal from now on; `silent`: the power goes, and nobody's link is closed."""

    device: str
    steps: int = 0
    silent: bool = False
    boundary: int = 0


class Start(_Act, frozen=True):
    """What is dead is started again."""

    device: str


class Sleep(_Act, frozen=True):
    """A lid is closed: nothing of the device runs, its links stay."""

    device: str


class Wake(_Act, frozen=True):
    """It is opened."""

    device: str


class Keep(_Act, frozen=True):
    """Somebody copies the device's folder."""

    device: str


class Restore(_Act, frozen=True):
    """The device dies and comes back with the copy: with old state."""

    device: str


class Shift(_Act, frozen=True):
    """The device's clock jumps."""

    device: str
    by_ms: int


class Link(_Act, frozen=True):
    """How one direction is from now on."""

    source: str
    destination: str
    delay_ms: float = 1.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    duplication: float = 0.0
    reordering: float = 0.0
    partitioned: bool = False


class Fill(_Act, frozen=True):
    """The disk below a device's journal is full."""

    device: str


class Room(_Act, frozen=True):
    """It has room again."""

    device: str


class Revoke(_Act, frozen=True):
    """The owner removes a device."""

    device: str


class Forge(_Act, frozen=True):
    """The coordinator was taken over, and sends `device` a job that it must not do: see `forging`."""

    device: str
    how: str


Act: TypeAlias = (
    Ask
    | Plan
    | Run
    | Stream
    | Cancel
    | Answer
    | Kill
    | Start
    | Sleep
    | Wake
    | Keep
    | Restore
    | Shift
    | Link
    | Fill
    | Room
    | Revoke
    | Forge
)
FORGERIES: Final = ("none", "arguments", "target", "expired", "signature", "again", "earlier")


class History(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is played: `number` is the seed, which also gives how links jitter, and ids; at `end_ms` all is mended."""

    format: int
    number: int = msgspec.field(name="seed")
    nodes: int
    days: float
    end_ms: int
    acts: tuple[Act, ...]


def names(nodes: int) -> tuple[str, ...]:
    """The names of so many devices."""
    return tuple(
        ROOMS[index] if index < len(ROOMS) else f"{ROOMS[index % len(ROOMS)]}{index // len(ROOMS) + 1}"
        for index in range(nodes)
    )


def write_history(path: Path, history: History) -> None:
    """To a file that `read_history` takes, one action a line."""
    lines = [msgspec.json.encode(act).decode() for act in history.acts]
    head = msgspec.to_builtins(history)
    del head["acts"]
    inner = ",\n  ".join(lines)
    text = msgspec.json.encode(head).decode()[:-1] + f',"acts":[\n  {inner}\n]}}\n'
    path.write_text(text, encoding="utf-8")


def read_history(path: Path) -> History:
    """What `write_history` wrote, or a person.

    Raises:
        InvalidInput: there is no such file, or it is no history; says where.
    """
    try:
        history = msgspec.json.decode(path.read_bytes(), type=History)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}", field="replay") from error
    except msgspec.MsgspecError as error:
        raise InvalidInput(f"{path} is no history: {error}", field="replay") from error
    if history.format != FORMAT or not 1 <= history.nodes <= NODES_MAX:
        raise InvalidInput(f"{path} is a history of another version", field="replay")
    known = {*names(history.nodes), "desk", "medulla", ""}
    for act in history.acts:
        for field in ("device", "target", "source", "destination"):
            if getattr(act, field, "") not in known:
                raise InvalidInput(f"{path}: there is no device {getattr(act, field)} in it", field="replay")
    return history


__all__ = [
    "EMERGENCY_MS", "FORGERIES", "FORMAT", "NODES_MAX", "ROOMS", "Act", "Answer", "Ask", "Cancel", "Fill", "Forge",
    "History", "Keep", "Kill", "Link", "Plan", "Restore", "Revoke", "Room", "Run", "Shape", "Shift", "Sleep", "Start",
    "Stream", "Wake", "names", "read_history", "write_history",
]  # fmt: skip
