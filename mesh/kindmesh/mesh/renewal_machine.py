"""When a member renews its certificate, and how its CURVE key changes on the way. Pure.

    resting --half of its life, or asked to rotate--> preparing --new key on the disk--> asking
    asking  --certificate names the new key--> settling --everybody in reach knows it--> resting   (keys swapped)
    asking  --certificate, same key--> resting              asking --refused, or no answer--> asking, after a pause

Nothing of this is remembered but what lies on the disk: the certificate and the two keys, the one in use and the next.
The phase follows from them, so that a process killed at any point goes on where it was:

    next key  certificate names   phase
    none      the key in use      resting, or preparing when it is time
    there     the key in use      asking: the renewal was not sent, or its answer was lost
    there     the next key        settling: swap the keys
    none      another key         preparing: these keys are older than the certificate, which still accepts the last one

A certificate that has ended is renewed at once when there is a link. Pauses double from `AGAIN_MS` to `AGAIN_MAX_MS`;
the moment of renewal and every pause have jitter (a fraction 0..1, given), so that a household does not renew at once.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, TypeAlias

import msgspec

from kindmesh.protocol.certificate import Certificate

ANSWER_MS: Final = 10_000
"""How long an answer may take."""
AGAIN_MS: Final = 5_000
AGAIN_MAX_MS: Final = 3_600_000
SPREAD: Final = 40
"""Renewals of one half-life are spread over this part of a certificate's life (18 hours of 30 days)."""


class Phase(StrEnum):
    """See the drawing."""

    RESTING = "resting"
    PREPARING = "preparing"
    ASKING = "asking"
    SETTLING = "settling"


class Held(msgspec.Struct, frozen=True):
    """The certificate that is on the disk."""

    certificate: Certificate


class Keys(msgspec.Struct, frozen=True):
    """The public CURVE keys (32 bytes) on the disk: in use, and the next one (empty: none)."""

    current: bytes
    following: bytes = b""


class Linked(msgspec.Struct, frozen=True):
    """Whether whoever takes renewals can be reached."""

    up: bool


class RotateWanted(msgspec.Struct, frozen=True):
    """A person wants a new key now."""


class Refused(msgspec.Struct, frozen=True):
    """The renewal was not sent, or was refused, or gave the same certificate; or a key could not be written."""


class Settled(msgspec.Struct, frozen=True):
    """Everybody in reach knows the certificate that names the next key."""


class Tick(msgspec.Struct, frozen=True):
    """Time passed."""


Event: TypeAlias = Held | Keys | Linked | RotateWanted | Refused | Settled | Tick


class MakeKey(msgspec.Struct, frozen=True):
    """Write the next key to the disk, then tell `Keys`."""


class Ask(msgspec.Struct, frozen=True):
    """Sign and send a renewal of the certificate `serial`, for `curve_pub` (empty: the key that it names)."""

    serial: int
    curve_pub: bytes


class Swap(msgspec.Struct, frozen=True):
    """The next key becomes the key in use, on the disk and on the wire; then tell `Keys`."""


Instruction: TypeAlias = MakeKey | Ask | Swap


class RenewalMachine:
    """See the module. `rotates`: every renewal changes the CURVE key; `settles`: the swap waits for `Settled`."""

    def __init__(
        self, certificate: Certificate, keys: Keys, *, rotates: bool = True, settles: bool = False
    ) -> None:
        self._certificate = certificate
        self._keys = keys
        self._rotates = rotates
        self._settles = settles
        self._spread = 0.0
        self._up = False
        self._wanted = False
        self._settled = False
        self._waits_until_ms = 0
        self._answer_by_ms: int | None = None
        self._pause_ms = AGAIN_MS

    @property
    def phase(self) -> Phase:
        """Where it is; see the drawing."""
        return self._phase(None)

    @property
    def due_ms(self) -> int:
        """When the certificate shall be renewed: half of its life and the spread, UTC ms."""
        certificate = self._certificate
        life_ms = certificate.expires_ms - certificate.not_before_ms
        return certificate.not_before_ms + life_ms // 2 + int(self._spread * life_ms) // SPREAD

    def handle(self, event: Event, now_ms: int, jitter: float) -> list[Instruction]:
        """Take one event in; what is to be done now. `jitter` is random, 0..1."""
        match event:
            case Held(certificate):
                self._held(certificate, jitter)
            case Keys():
                self._keys = event
            case Linked(up):
                self._up = up
                if up:
                    self._ask_soon()
            case RotateWanted():
                self._wanted = True
                self._ask_soon()
            case Refused():
                self._again_later(now_ms, jitter)
            case Settled():
                self._settled = True
            case _:
                self._spread = self._spread or jitter
                if self._answer_by_ms is not None and now_ms > self._answer_by_ms:
                    self._again_later(now_ms, jitter)
        return self._next(now_ms)

    def _held(self, certificate: Certificate, jitter: float) -> None:
        if certificate.serial == self._certificate.serial:
            return
        self._certificate = certificate
        self._spread = jitter
        self._settled = False
        self._wanted = self._wanted and certificate.curve_pub == self._keys.current
        self._ask_soon()

    def _ask_soon(self) -> None:
        self._waits_until_ms, self._answer_by_ms, self._pause_ms = 0, None, AGAIN_MS

    def _again_later(self, now_ms: int, jitter: float) -> None:
        self._answer_by_ms = None
        self._waits_until_ms = now_ms + int(self._pause_ms * (0.5 + jitter))
        self._pause_ms = min(self._pause_ms * 2, AGAIN_MAX_MS)

    def _phase(self, now_ms: int | None) -> Phase:
        keys, named = self._keys, self._certificate.curve_pub
        if keys.following:
            return Phase.SETTLING if named == keys.following else Phase.ASKING
        if named != keys.current or self._wanted:
            return Phase.PREPARING
        if self._answer_by_ms is not None:
            return Phase.ASKING
        if now_ms is not None and now_ms >= self.due_ms:
            return Phase.PREPARING if self._rotates else Phase.ASKING
        return Phase.RESTING

    def _next(self, now_ms: int) -> list[Instruction]:
        phase = self._phase(now_ms)
        if phase is Phase.RESTING or now_ms < self._waits_until_ms:
            return []
        if phase is Phase.SETTLING:
            return [Swap()] if self._settled or not self._settles else []
        if not self._up or self._answer_by_ms is not None:
            return []
        if phase is Phase.PREPARING:
            return [MakeKey()]
        self._answer_by_ms = now_ms + ANSWER_MS
        return [Ask(self._certificate.serial, self._keys.following)]


__all__ = [
    "AGAIN_MAX_MS",
    "AGAIN_MS",
    "ANSWER_MS",
    "SPREAD",
    "Ask",
    "Event",
    "Held",
    "Instruction",
    "Keys",
    "Linked",
    "MakeKey",
    "Phase",
    "Refused",
    "RenewalMachine",
    "RotateWanted",
    "Settled",
    "Swap",
    "Tick",
]
