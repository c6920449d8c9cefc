"""When a capability that keeps failing rests, and how it comes back. Pure.

    well --fails too often--> quarantined --its pause is over--> probing --succeeds PROBES times--> well
                                  ^                                 |
                                  `------ fails once, longer pause -'
    quarantined or probing --a person lets it go on--> well

*Failing* is the capability's own doing: a crash, nonsense, not ending when it must; refusing bad input is not. Too
often is `INTENSITY` times within `WINDOW_MS` (restart intensity, as OTP's supervisors have it). The pause doubles with
every quarantine from `PAUSE_MS` to `PAUSE_MAX_MS`; only being well again makes it short. Rules that always hold:
- each capability is judged by itself; one that is well and has not failed lately is not remembered;
- what is quarantined or probing is in `Save` before it is in `Changed`, and comes back by `restore` after a restart;
- a clock that was set back does not make a pause longer than it is.

Times are UTC milliseconds, because a pause outlives the process.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final, Literal, TypeAlias

import msgspec

from kindmesh.protocol.errors import InvalidTransition

INTENSITY: Final = 5
WINDOW_MS: Final = 60_000
PAUSE_MS: Final = 60_000
PAUSE_MAX_MS: Final = 3_600_000
PROBES: Final = 3
WHY_MAX: Final = 200
_STRIKES_MAX: Final = 64

State = Literal["well", "quarantined", "probing"]
STATES: Final[tuple[State, ...]] = ("well", "quarantined", "probing")


class Failed(msgspec.Struct, frozen=True):
    """The capability failed by itself; `why` for a person, without contents."""

    capability: str
    why: str = ""


class Succeeded(msgspec.Struct, frozen=True):
    """The capability did what it was asked for."""

    capability: str


class Heal(msgspec.Struct, frozen=True):
    """A person lets it go on."""

    capability: str


class Tick(msgspec.Struct, frozen=True):
    """Time passed."""


Event: TypeAlias = Failed | Succeeded | Heal | Tick


class Record(msgspec.Struct, frozen=True):
    """One that is not well: `strikes` quarantines in a row, resting since `since_ms` and until `until_ms`."""

    capability: str
    state: State
    strikes: int
    since_ms: int
    until_ms: int
    why: str


class Save(msgspec.Struct, frozen=True):
    """Put the record on the disk."""

    record: Record


class Drop(msgspec.Struct, frozen=True):
    """It is well again: nothing has to be remembered."""

    capability: str


class Changed(msgspec.Struct, frozen=True):
    """Tell everybody: it is in `state` now; `why` it failed, `healed` when a person let it go on."""

    capability: str
    state: State
    why: str
    healed: bool = False


Instruction: TypeAlias = Save | Drop | Changed


class _Ward(msgspec.Struct):
    failures: deque[int]
    state: State = "well"
    strikes: int = 0
    since_ms: int = 0
    until_ms: int = 0
    why: str = ""
    successes: int = 0


class Quarantine:
    """See the module."""

    def __init__(self) -> None:
        self._wards: dict[str, _Ward] = {}

    def restore(self, records: Iterable[Record]) -> None:
        """Take over what was on the disk when the process began."""
        for record in records:
            self._wards[record.capability] = _Ward(
                deque(maxlen=INTENSITY), record.state, record.strikes, record.since_ms, record.until_ms, record.why
            )  # fmt: skip

    def state(self, capability: str) -> State:
        """How it is."""
        ward = self._wards.get(capability)
        return "well" if ward is None else ward.state

    def records(self) -> list[Record]:
        """Those that are not well, by name."""
        return [
            self._record(name, ward) for name, ward in sorted(self._wards.items()) if ward.state != "well"
        ]

    def find(self, capability: str) -> Record | None:
        """The record of one that is not well."""
        ward = self._wards.get(capability)
        return None if ward is None or ward.state == "well" else self._record(capability, ward)

    def handle(self, event: Event, now_ms: int) -> list[Instruction]:
        """What to do about `event`."""
        match event:
            case Failed(capability, why):
                return self._failed(capability, why[:WHY_MAX], now_ms)
            case Succeeded(capability):
                return self._succeeded(capability)
            case Heal(capability):
                return self._well(capability, healed=True)
            case _:
                return self._tick(now_ms)

    def validate(self) -> None:
        """Check what must always hold.

        Raises:
            InvalidTransition: it does not.
        """
        for name, ward in self._wards.items():
            resting = ward.state != "well"
            if (ward.strikes > 0) != resting or not 0 <= ward.successes < PROBES or (
                ward.successes and ward.state != "probing"
            ) or (resting and not ward.since_ms <= ward.until_ms):  # fmt: skip
                raise InvalidTransition(f"the ward of {name} is wrong", story=(repr(ward),))

    def _failed(self, capability: str, why: str, now_ms: int) -> list[Instruction]:
        ward = self._wards.setdefault(capability, _Ward(deque(maxlen=INTENSITY)))
        if ward.state == "quarantined":
            # It was begun before; what is known already does not make the pause longer.
            return []
        if ward.state == "well":
            ward.failures.append(now_ms)
            if len(ward.failures) < INTENSITY or abs(now_ms - ward.failures[0]) >= WINDOW_MS:
                return []
        ward.state, ward.why, ward.successes = "quarantined", why, 0
        ward.strikes = min(ward.strikes + 1, _STRIKES_MAX)
        ward.since_ms, ward.until_ms = now_ms, now_ms + pause_ms(ward.strikes)
        ward.failures.clear()
        return [Save(self._record(capability, ward)), Changed(capability, "quarantined", why)]

    def _succeeded(self, capability: str) -> list[Instruction]:
        ward = self._wards.get(capability)
        if ward is None or ward.state != "probing":
            return []
        ward.successes += 1
        return self._well(capability, healed=False) if ward.successes == PROBES else []

    def _well(self, capability: str, *, healed: bool) -> list[Instruction]:
        ward = self._wards.pop(capability, None)
        if ward is None or ward.state == "well":
            return []
        return [Drop(capability), Changed(capability, "well", ward.why, healed)]

    def _tick(self, now_ms: int) -> list[Instruction]:
        instructions: list[Instruction] = []
        for name, ward in sorted(self._wards.items()):
            if ward.state == "quarantined":
                ward.since_ms = min(ward.since_ms, now_ms)
                ward.until_ms = min(ward.until_ms, now_ms + pause_ms(ward.strikes))
                if now_ms >= ward.until_ms:
                    ward.state = "probing"
                    instructions += [Save(self._record(name, ward)), Changed(name, "probing", ward.why)]
            elif ward.state == "well" and abs(now_ms - ward.failures[-1]) >= WINDOW_MS:
                del self._wards[name]
        return instructions

    def _record(self, capability: str, ward: _Ward) -> Record:
        return Record(capability, ward.state, ward.strikes, ward.since_ms, ward.until_ms, ward.why)


def pause_ms(strikes: int) -> int:
    """How long the rest is after so many quarantines in a row (1 and up), in milliseconds."""
    return min(PAUSE_MS << min(strikes - 1, 16), PAUSE_MAX_MS)


__all__ = [
    "INTENSITY", "PAUSE_MAX_MS", "PAUSE_MS", "PROBES", "STATES", "WHY_MAX", "WINDOW_MS", "Changed", "Drop", "Event",
    "Failed", "Heal", "Instruction", "Quarantine", "Record", "Save", "State", "Succeeded", "Tick", "pause_ms",
]  # fmt: skip
