"""What happens in a chaos run, decided from the seed before it begins: who is struck when, what is asked when.

The same seed is the same plan. What comes of it is not: the processes are real, and so is the time that they take.
"""

from __future__ import annotations

from random import Random
from typing import Final, Literal

import msgspec

NODES: Final = ("kitchen", "phone")
DESK: Final = ("coordinator", "medulla", "desk")
"""Parts that the launcher of the desk starts again by itself; `desk` is that device's own node."""
TARGETS: Final = (*DESK, *NODES, "worker", "house")
"""`worker`: a capability's process on some device; `house`: the desk with everything on it, as a power cut."""
ENDS_MAX: Final = 4
ENDS_WINDOW_S: Final = 65.0
"""The launcher gives up on a part that ends more often than this within that time; a chaos run does not go so far."""
KINDS: Final[tuple[tuple[str, str, int], ...]] = (
    ("notes.append", "interactive", 8),
    ("device.echo", "interactive", 5),
    ("speech.render", "interactive", 2),
    ("notes.list", "background", 2),
    ("device.echo", "emergency", 3),
)
"""(operation, priority, weight): changes something once, reads, makes a file in a worker, reads later, emergencies."""


class Blow(msgspec.Struct, frozen=True):
    """At `at_s` (seconds from the beginning) `target` is killed, or stopped for `for_s`; a node that was killed is
    started again after `for_s`."""

    at_s: float
    target: str
    what: Literal["kill", "stop"]
    for_s: float


class Wanted(msgspec.Struct, frozen=True):
    """At `at_s` somebody asks for a job; `device` is where, or empty for anywhere."""

    at_s: float
    key: str
    operation: str
    priority: str
    device: str


class Plan(msgspec.Struct, frozen=True):
    """Both in the order of their times."""

    blows: list[Blow]
    wanted: list[Wanted]


def make_plan(seed: int, seconds: float) -> Plan:
    """The plan of a seed, for a run of that length."""
    return Plan(_blows(Random(f"blows {seed}"), seconds), _wanted(Random(f"jobs {seed}"), seed, seconds))  # noqa: S311


def _blows(random: Random, seconds: float) -> list[Blow]:
    blows: list[Blow] = []
    ends: dict[str, list[float]] = {part: [] for part in DESK}
    at = 1.0
    while at < seconds:
        target = random.choice(TARGETS)
        what: Literal["kill", "stop"] = "kill" if target == "house" or random.random() < 0.6 else "stop"
        recent = [end for end in ends.get(target, []) if at - end < ENDS_WINDOW_S]
        if what == "kill" and len(recent) >= ENDS_MAX:
            what = "stop"
        if what == "kill" and target in ends:
            ends[target] = [*recent, at]
        if target == "house":
            ends = {part: [] for part in DESK}
        for_s = random.uniform(0.1, 2.0) if what == "kill" else random.choice((0.2, 1.0, 3.0, 7.0))
        blows.append(Blow(round(at, 3), target, what, round(for_s, 3)))
        at += random.choice((0.3, 1.0, 2.0, 4.0)) * random.uniform(0.5, 1.5)
    return blows


def _wanted(random: Random, seed: int, seconds: float) -> list[Wanted]:
    wanted: list[Wanted] = []
    kinds = [kind for kind in KINDS for _ in range(kind[2])]
    at = 0.0
    while at < seconds:
        operation, priority, _ = random.choice(kinds)
        device = random.choice(("", *NODES, "desk")) if priority != "emergency" else ""
        key = f"{seed}-{len(wanted):04d}"
        wanted.append(Wanted(round(at, 3), key, operation, priority, device))
        at += random.expovariate(5.0)
    return wanted


__all__ = ["DESK", "NODES", "TARGETS", "Blow", "Plan", "Wanted", "make_plan"]
