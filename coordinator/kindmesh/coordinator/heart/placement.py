"""Which device shall do it: a pure scoring function over what is known of each.

First *able or not*: offered, its code installed, granted by the owner, certified, here, with a place free; the first of
these that fails is the "why not". Reasons that pass by themselves (gone, busy) are told from those that last (not
offered, not installed, not granted): a job waits for the former and is refused for the latter.
Then *how well*: the sum of weight x value (0..1) over the parts below; what a device cannot tell counts as 0.5, so that
silence is neither punished nor rewarded. Equal scores are decided by the device's id: the same facts, the same choice.

    part      weight  value
    fit         3.0   as the device declares
    speed       2.0   1 / (1 + usual duration in seconds of this operation there)
    room        2.0   share of its places for this operation that are free
    locality    2.0   share of the input's bytes that it already holds (nothing to move: 1)
    load        1.0   idle share of its cores
    power       1.0   1 on mains or charging, else the battery's charge
    heat        1.0   1 up to 60 C, falling to 0 at 85 C
    link        1.0   1 / (1 + round trip / 50 ms), times the squared share of heartbeats that arrive
    again      -6.0   it was just lost, busy or interrupted with this very job
    drain      -6.0   it is going to be switched off   (emergencies only; for others that is a "why not")
    breaker    -6.0   it keeps failing this operation  (emergencies only)
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

COOL_C: Final = 60.0
HOT_C: Final = 85.0

_WEIGHTS: Final = (3.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0)
_NAMES: Final = ("fit", "speed", "room", "locality", "load", "power", "heat", "link")
_WORDS: Final = (
    "is best made for it", "is usually faster", "has more room", "has the files already", "has less to do",
    "has more power", "is cooler", "has the better link",
)  # fmt: skip
_SPARED: Final = -6.0


class Candidate(msgspec.Struct):
    """What is known of one device with regard to one operation; None: it cannot tell, or was never measured.

    `certified`: its certificate is within its time; `harmless`: the operation only reads and notifies;
    `hint` says how to install what is missing, `resting` that it is not ready because it
    kept failing; `silent_ms` since it was last heard; `latency_ms` usual duration there;
    `load` and `battery` 0..1; `rtt_ms` round trip; `limit` places for the operation, the last of several kept for
    emergencies, `in_flight` taken; `room` places for all it does, as far as known, `total` taken; `draining`,
    `breaker`: why it should get none, or empty; `loss` 0..1 of its heartbeats.
    """

    device: bytes
    name: str
    offered: bool = True
    ready: bool = True
    resting: bool = False
    hint: str = ""
    granted: bool = True
    certified: bool = True
    harmless: bool = False
    here: bool = True
    silent_ms: int | None = None
    fit: float = 0.5
    latency_ms: float | None = None
    load: float | None = None
    battery: float | None = None
    charging: bool | None = None
    temperature_c: float | None = None
    rtt_ms: float | None = None
    in_flight: int = 0
    limit: int = 1
    total: int = 0
    room: float = math.inf
    draining: str = ""
    breaker: str = ""
    loss: float = 0.0


class Need(msgspec.Struct, frozen=True):
    """What is looked for: `target` only that device (empty: any); `avoid` it if there is another; `held` bytes of
    the input that each device holds, of `size_bytes` in all."""

    operation: str
    target: bytes = b""
    avoid: bytes = b""
    emergency: bool = False
    size_bytes: int = 0
    held: dict[bytes, int] = {}


class Part(msgspec.Struct, frozen=True):
    """One summand: `value` 0..1 times `weight`."""

    name: str
    weight: float
    value: float


class Verdict(msgspec.Struct, frozen=True):
    """On one device: `why_not` is empty when it is able; `passing`: that reason may go away by itself; `busy`: it is
    only full."""

    device: bytes
    name: str
    score: float
    parts: tuple[Part, ...] = ()
    why_not: str = ""
    hint: str = ""
    passing: bool = False
    busy: bool = False


class Choice(msgspec.Struct, frozen=True):
    """`device` is empty when none is able; then `busy`: some are only full; `passing`: waiting may help."""

    device: bytes
    why: str
    busy: bool = False
    passing: bool = False
    hint: str = ""


def _obstacle(candidate: Candidate, need: Need) -> tuple[str, bool, bool]:
    """Why not (empty: able), whether it passes by itself, whether it is only busy."""
    if need.target and candidate.device != need.target:
        return "another device was asked for", False, False
    if not candidate.offered:
        return f"does not offer {need.operation}", False, False
    if candidate.resting:
        return "rests there, because it kept failing", True, False
    if not candidate.ready:
        return "something it needs is not installed there", False, False
    if not candidate.granted:
        return "the owner did not grant it there", False, False
    if not candidate.here:
        silent = candidate.silent_ms
        return "gone" if silent is None else f"gone, last heard {_age(silent)} ago", True, False
    if not candidate.certified and not (need.emergency and candidate.harmless):
        return "its certificate has ended; it renews when it connects", True, False
    if not need.emergency and (candidate.draining or candidate.breaker):
        return candidate.draining or candidate.breaker, True, False
    if not need.emergency and candidate.total >= candidate.room:
        return f"busy with {candidate.room:.0f} jobs", True, True
    limit = candidate.limit if need.emergency else max(1, candidate.limit - 1)
    if candidate.in_flight >= limit:
        return f"busy with {limit} of these", True, True
    return "", True, False


def _values(candidate: Candidate, need: Need) -> tuple[float, ...]:
    latency, load, battery = candidate.latency_ms, candidate.load, candidate.battery
    heat, rtt = candidate.temperature_c, candidate.rtt_ms
    powered = candidate.charging or battery is None
    return (
        candidate.fit,
        0.5 if latency is None else 1.0 / (1.0 + latency / 1000.0),
        max(0.0, 1.0 - candidate.in_flight / max(candidate.limit, 1)),
        need.held.get(candidate.device, 0) / need.size_bytes if need.size_bytes else 1.0,
        0.5 if load is None else max(0.0, 1.0 - load),
        1.0 if powered or battery is None else battery,
        0.5 if heat is None else min(1.0, max(0.0, (HOT_C - heat) / (HOT_C - COOL_C))),
        (0.5 if rtt is None else 1.0 / (1.0 + rtt / 50.0)) * (1.0 - candidate.loss) ** 2,
    )


def _spared(candidate: Candidate, need: Need) -> list[Part]:
    """What speaks against a device that is able."""
    reasons = (
        ("again", candidate.device == need.avoid),
        ("drain", bool(candidate.draining)),
        ("breaker", bool(candidate.breaker)),
    )
    return [Part(name, _SPARED, 1.0) for name, holds in reasons if holds]


def _score(values: Sequence[float], spared: int) -> float:
    total = _SPARED * spared
    for weight, value in zip(_WEIGHTS, values, strict=True):
        total += weight * value
    return total


def choose(candidates: Iterable[Candidate], need: Need) -> Choice:
    """The best device, or why there is none."""
    able: list[Candidate] = []
    refused: list[tuple[Candidate, str, bool, bool]] = []
    for candidate in candidates:
        why_not, passing, busy = _obstacle(candidate, need)
        if why_not:
            refused.append((candidate, why_not, passing, busy))
        else:
            able.append(candidate)
    if not able:
        return _nobody(refused, need)
    if len(able) == 1:
        return Choice(able[0].device, "it was asked for" if need.target else "the only device that can now")
    scored = []
    for candidate in able:
        values = _values(candidate, need)
        scored.append((-_score(values, len(_spared(candidate, need))), candidate.device, values))
    scored.sort()
    _, device, best = scored[0]
    second = scored[1][2]
    gains = [weight * (mine - other) for weight, mine, other in zip(_WEIGHTS, best, second, strict=True)]
    gain = max(gains)
    word = _WORDS[gains.index(gain)] if gain > 0.01 else "was here first"
    if scored[1][1] == need.avoid and gain <= 0.01:
        word = "is not the one that just failed"
    return Choice(device, f"best of {len(able)}: it {word}")


def _nobody(refused: list[tuple[Candidate, str, bool, bool]], need: Need) -> Choice:
    if need.target:
        refused = [entry for entry in refused if entry[0].device == need.target]
    if not refused:
        return Choice(
            b"",
            "the device that was asked for does not offer it, or was not granted it when it was paired"
            if need.target
            else "no device offers it",
        )
    refused.sort(key=lambda entry: entry[0].name)
    why = "; ".join(f"{candidate.name}: {why_not}" for candidate, why_not, _, _ in refused)
    hints = dict.fromkeys(entry[0].hint for entry in refused if not entry[0].ready and entry[0].hint)
    return Choice(
        b"",
        why,
        busy=any(busy for _, _, _, busy in refused),
        passing=any(passing for _, _, passing, _ in refused),
        hint=" ".join(hints),
    )


def rank(candidates: Iterable[Candidate], need: Need) -> list[Verdict]:
    """Every candidate with its score in parts, or why not; the best first, those that cannot last."""
    verdicts = []
    for candidate in candidates:
        why_not, passing, busy = _obstacle(candidate, need)
        if why_not:
            hint = candidate.hint if not candidate.ready else ""
            verdicts.append(
                Verdict(candidate.device, candidate.name, 0.0, (), why_not, hint, passing=passing, busy=busy)
            )
            continue
        values = _values(candidate, need)
        spared = _spared(candidate, need)
        parts = [Part(*three) for three in zip(_NAMES, _WEIGHTS, values, strict=True)]
        verdicts.append(
            Verdict(candidate.device, candidate.name, _score(values, len(spared)), (*parts, *spared))
        )
    return sorted(verdicts, key=lambda verdict: (bool(verdict.why_not), -verdict.score, verdict.device))


def explain(verdicts: Iterable[Verdict]) -> list[str]:
    """One line per device, for people."""
    lines = []
    for verdict in verdicts:
        if verdict.why_not:
            lines.append(
                f"{verdict.name}: no, {verdict.why_not}{'. ' + verdict.hint if verdict.hint else ''}"
            )
        else:
            sums = " + ".join(f"{part.name} {part.weight:g} x {part.value:.2f}" for part in verdict.parts)
            lines.append(f"{verdict.name}: {verdict.score:.2f} = {sums}")
    return lines


def _age(silent_ms: int) -> str:
    seconds = silent_ms // 1000
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


__all__ = [
    "COOL_C", "HOT_C", "Candidate", "Choice", "Need", "Part", "Verdict", "choose", "explain", "rank",
]  # fmt: skip
