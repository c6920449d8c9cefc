"""Being adopted, as a device without a screen judges it: who has read its label may say where it belongs. Pure.

    device   waiting -> taken -> waiting         (it knocked elsewhere and was not let in)
    talk     hello -> challenged -> offered | refused

Rules: only one who proves the label's secret makes the device go anywhere, and only to the door of the connection that
it came over. After `ADOPT_FAILURES_MAX` wrong proofs nobody is answered any more until the device starts again. While
it is taken, others are told to wait. At most `TALKS_MAX` talks are remembered; the oldest makes way.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kindmesh.protocol.adopt import (
    AdoptChallenge,
    AdoptHello,
    AdoptMessage,
    AdoptOffer,
    AdoptRefused,
    Label,
    adopt_accepted,
    adopt_transcript,
    check_adopt_hello,
    check_offer,
)
from kindmesh.protocol.enrol import Invitation
from kindmesh.protocol.errors import Busy, EnrolmentRefused, KindmeshError, error_to_wire
from kindmesh.protocol.limits import ADOPT_FAILURES_MAX

TALKS_MAX: Final = 16


class Tell(msgspec.Struct, frozen=True):
    """Send `message` to the connection `hop_key`."""

    hop_key: bytes
    message: AdoptMessage


class Go(msgspec.Struct, frozen=True):
    """Knock at the door of this invitation."""

    invitation: Invitation


class TurnedAway(msgspec.Struct, frozen=True):
    """Somebody was refused; `left` more wrong proofs are allowed."""

    error: KindmeshError
    left: int


AdoptInstruction = Tell | Go | TurnedAway


class AdoptionMachine:
    """One device with its label."""

    def __init__(self, label: Label) -> None:
        self.label = label
        self.taken = False
        self.failures = 0
        self.talks: dict[bytes, tuple[AdoptHello, AdoptChallenge]] = {}

    def admits(self) -> bool:
        """Whether anybody is still answered."""
        return self.failures < ADOPT_FAILURES_MAX

    def handle(self, hop_key: bytes, message: AdoptMessage, nonce: bytes) -> list[AdoptInstruction]:
        """A message of somebody who may have read the label; `nonce` (32 fresh bytes) is used if it is a hello."""
        if not self.admits():
            return []
        try:
            return self._handle(hop_key, message, nonce)
        except KindmeshError as error:
            self.talks.pop(hop_key, None)
            refusal = Tell(hop_key, AdoptRefused(error_to_wire(error)))
            if isinstance(error, Busy):
                return [refusal]
            self.failures += 1
            return [refusal, TurnedAway(error, ADOPT_FAILURES_MAX - self.failures)]

    def _handle(self, hop_key: bytes, message: AdoptMessage, nonce: bytes) -> list[AdoptInstruction]:
        if self.taken:
            raise Busy("this device is on its way to a door already")
        if isinstance(message, AdoptHello):
            check_adopt_hello(message)
            self.talks.pop(hop_key, None)
            if len(self.talks) >= TALKS_MAX:
                del self.talks[next(iter(self.talks))]
            challenge = AdoptChallenge(nonce)
            self.talks[hop_key] = (message, challenge)
            return [Tell(hop_key, challenge)]
        if isinstance(message, AdoptOffer) and hop_key in self.talks:
            hello, challenge = self.talks[hop_key]
            agreed = adopt_transcript(self.label, hop_key, hello, challenge)
            check_offer(self.label, agreed, hop_key, hello, message)
            self.taken = True
            self.talks.clear()
            return [
                Tell(hop_key, adopt_accepted(self.label, agreed, message.invitation)),
                Go(message.invitation),
            ]
        raise EnrolmentRefused("this message is not the next one of an adoption")

    def again(self) -> None:
        """It was not let in there: wait for the next one."""
        self.taken = False


__all__ = ["TALKS_MAX", "AdoptInstruction", "AdoptionMachine", "Go", "Tell", "TurnedAway"]
