"""Pairing as the coordinator judges it: one window, one secret, few tries. Pure.

    window   closed -> open -> closed            (by hand, by time, by failures, by success)
    knock    challenged -> pending -> granted -> done
                  \\            \\         `-> (the device may ask for its papers again)
                   `-> refused   `-> refused

Rules: a knock belongs to one connection (its CURVE key). A wrong proof counts as a failure; at `PAIR_FAILURES_MAX` the
window closes. The secret is burned with the first grant: all others are turned away, also those who stood at the door
already, and afterwards only the granted device is still answered. At most `KNOCKS_MAX` knocks are open at once, so that
a flood cannot crowd memory; the oldest unproven one makes way.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from kindmesh.protocol.enrol import (
    EnrolChallenge,
    EnrolClosed,
    EnrolDone,
    EnrolGranted,
    EnrolHello,
    EnrolMessage,
    EnrolPending,
    EnrolProof,
    EnrolRefused,
    Invitation,
    check_code,
    check_done,
    check_hello,
    check_proof,
    transcript,
)
from kindmesh.protocol.errors import (
    EnrolmentRefused,
    InvalidTransition,
    KindmeshError,
    UnknownMember,
    error_to_wire,
)
from kindmesh.protocol.limits import PAIR_FAILURES_MAX

KNOCKS_MAX: Final = 16

KnockState = Literal["challenged", "pending", "granted", "done", "refused"]


class Send(msgspec.Struct, frozen=True):
    """Send `message` to the connection `hop_key`."""

    hop_key: bytes
    message: EnrolMessage


class Knocked(msgspec.Struct, frozen=True):
    """A device proved that it read the invitation: show it to the owner."""

    hop_key: bytes
    hello: EnrolHello
    code: str


class Failed(msgspec.Struct, frozen=True):
    """A try was refused; `left` more are allowed."""

    hop_key: bytes
    error: KindmeshError
    left: int


class Paired(msgspec.Struct, frozen=True):
    """The device has stored its papers."""

    hop_key: bytes
    hello: EnrolHello


class Closed(msgspec.Struct, frozen=True):
    """The window is closed."""

    reason: Literal["closed", "expired", "failures", "paired"]


Instruction = Send | Knocked | Failed | Paired | Closed


class Knock(msgspec.Struct):
    """One device at the door."""

    hello: EnrolHello
    challenge: EnrolChallenge
    transcript: bytes
    state: KnockState = "challenged"
    papers: EnrolGranted | None = None


_AFTER: Final[dict[tuple[KnockState, str], KnockState]] = {
    ("challenged", "proof"): "pending",
    ("challenged", "refuse"): "refused",
    ("pending", "grant"): "granted",
    ("pending", "refuse"): "refused",
    ("granted", "refuse"): "refused",
    ("granted", "done"): "done",
    ("granted", "proof"): "granted",
    ("done", "done"): "done",
}


class PairingMachine:
    """One window. Times are UTC milliseconds."""

    def __init__(self, invitation: Invitation, expires_ms: int) -> None:
        self.invitation = invitation
        self.expires_ms = expires_ms
        self.open = True
        self.burned = False
        self.failures = 0
        self.knocks: dict[bytes, Knock] = {}

    def admits(self, hop_key: bytes) -> bool:
        """Whether this connection may talk to the enrol socket."""
        return self.open and (not self.burned or hop_key in self.knocks)

    def handle(self, hop_key: bytes, message: EnrolMessage, now_ms: int, nonce: bytes) -> list[Instruction]:
        """A message from a device; `nonce` (32 fresh bytes) is used if it is a hello."""
        out = self.tick(now_ms)
        if not self.open:
            return [
                *out,
                Send(hop_key, EnrolRefused(error_to_wire(EnrolmentRefused("the window is closed")))),
            ]
        try:
            return out + self._handle(hop_key, message, nonce)
        except KindmeshError as error:
            return out + self._fail(hop_key, error)

    def _handle(self, hop_key: bytes, message: EnrolMessage, nonce: bytes) -> list[Instruction]:
        if isinstance(message, EnrolHello):
            return self._hello(hop_key, message, nonce)
        knock = self.knocks.get(hop_key)
        if knock is None:
            raise EnrolmentRefused("a device has to say hello first")
        if isinstance(message, EnrolProof):
            if self.burned and knock.papers is None:
                raise EnrolmentRefused("this invitation was used already")
            check_proof(self.invitation, knock.hello, knock.transcript, message)
            again = knock.papers
            self._move(knock, "proof")
            if again is not None:
                return [Send(hop_key, again)]
            code = check_code(self.invitation, knock.transcript)
            return [Send(hop_key, EnrolPending()), Knocked(hop_key, knock.hello, code)]
        if isinstance(message, EnrolDone):
            check_done(knock.hello, knock.transcript, message)
            first = knock.state == "granted"
            self._move(knock, "done")
            told = [Send(hop_key, EnrolClosed())]
            return [*told, Paired(hop_key, knock.hello), *self.close("paired")] if first else [*told]
        raise EnrolmentRefused("this message is not a device's to send")

    def _hello(self, hop_key: bytes, hello: EnrolHello, nonce: bytes) -> list[Instruction]:
        check_hello(hello, hop_key)
        known = self.knocks.get(hop_key)
        if self.burned and (known is None or known.papers is None):
            raise EnrolmentRefused("this invitation was used already")
        if known is None and len(self.knocks) >= KNOCKS_MAX:
            unproven = [key for key, knock in self.knocks.items() if knock.state in ("challenged", "refused")]
            if not unproven:
                raise EnrolmentRefused("too many devices are waiting")
            del self.knocks[unproven[0]]
        challenge = EnrolChallenge(nonce)
        fresh = Knock(hello, challenge, transcript(self.invitation, hello, challenge))
        if known is not None and known.papers is not None:
            # The same device came back before it could confirm: once it proves itself it gets the same papers.
            if known.hello.ed_pub != hello.ed_pub:
                raise EnrolmentRefused("this invitation was used already")
            fresh.papers, fresh.state = known.papers, "granted"
        self.knocks[hop_key] = fresh
        return [Send(hop_key, challenge)]

    def _fail(self, hop_key: bytes, error: KindmeshError) -> list[Instruction]:
        self.failures += 1
        knock = self.knocks.get(hop_key)
        if knock is not None and knock.state == "challenged":
            self._move(knock, "refuse")
        left = max(0, PAIR_FAILURES_MAX - self.failures)
        out: list[Instruction] = [
            Send(hop_key, EnrolRefused(error_to_wire(error))),
            Failed(hop_key, error, left),
        ]
        return out if left else out + self.close("failures")

    def grant(self, hop_key: bytes, papers: EnrolGranted) -> list[Instruction]:
        """The owner said yes and the certificate was issued: send it, burn the secret, turn away all others.

        Raises:
            UnknownMember: no such knock.
            InvalidTransition: it is not waiting for an answer.
        """
        knock = self._knock(hop_key)
        self._move(knock, "grant")
        knock.papers = papers
        self.burned = True
        used = EnrolRefused(error_to_wire(EnrolmentRefused("this invitation was used already")))
        others = [key for key, other in self.knocks.items() if other.state in ("challenged", "pending")]
        for key in others:
            self._move(self.knocks[key], "refuse")
        return [Send(hop_key, papers), *(Send(key, used) for key in others)]

    def refuse(self, hop_key: bytes, error: KindmeshError) -> list[Instruction]:
        """The owner said no.

        Raises:
            UnknownMember, InvalidTransition.
        """
        self._move(self._knock(hop_key), "refuse")
        return [Send(hop_key, EnrolRefused(error_to_wire(error)))]

    def tick(self, now_ms: int) -> list[Instruction]:
        """Let time pass."""
        return self.close("expired") if self.open and now_ms >= self.expires_ms else []

    def close(
        self, reason: Literal["closed", "expired", "failures", "paired"] = "closed"
    ) -> list[Instruction]:
        """Close the window; those who wait are told."""
        if not self.open:
            return []
        self.open = False
        error = error_to_wire(EnrolmentRefused("the window was closed"))
        waiting = [key for key, knock in self.knocks.items() if knock.state in ("challenged", "pending")]
        return [*(Send(key, EnrolRefused(error)) for key in waiting), Closed(reason)]

    def _knock(self, hop_key: bytes) -> Knock:
        knock = self.knocks.get(hop_key)
        if knock is None:
            raise UnknownMember("no such device is waiting to be paired")
        return knock

    def _move(self, knock: Knock, event: str) -> None:
        after = _AFTER.get((knock.state, event))
        if after is None:
            if event == "proof":
                raise EnrolmentRefused("the proof came twice")
            raise InvalidTransition(
                f"a knock that is {knock.state} cannot {event}", story=(knock.state, event)
            )
        knock.state = after

    def validate(self) -> None:
        """Check the invariants.

        Raises:
            InvalidTransition: one does not hold.
        """
        granted = [knock for knock in self.knocks.values() if knock.papers is not None]
        if len({knock.hello.ed_pub for knock in granted}) > 1 or bool(granted) > self.burned:
            raise InvalidTransition("one secret let two devices in, or was not burned")
        if self.open and self.failures >= PAIR_FAILURES_MAX:
            raise InvalidTransition("the window is open after too many failures")
        if len(self.knocks) > KNOCKS_MAX:
            raise InvalidTransition("too many knocks")


__all__ = ["Closed", "Failed", "Instruction", "Knock", "Knocked", "Paired", "PairingMachine", "Send"]
