"""Pairing as the coordinator judges it: one window, one secret, few tries. Pure.

    window   closed -> open -> closed            (by hand, by time, by failures, by too many hellos, by success)
    knock    greeted -> challenged -> pending -> granted -> done
                  \\            \\           \\         `-> (the device may ask for its papers again)
                   `-> refused   `-> refused `-> refused
    typed    started -> shared -> agreed         (a typed code: SPAKE2 first, then a knock with what came out)

Rules: a knock belongs to one connection (its CURVE key). A wrong proof counts as a failure; at `PAIR_FAILURES_MAX` the
window closes. A typed code counts as a failure from its start until the device has confirmed that it knows the code,
so an exchange that is never finished is a guess like any other. A window answers `PAIR_HELLOS_MAX` hellos, which also
bounds the knocks it remembers. The nonce of a challenge comes from outside (the owner's program), after the hello.
Two who wait with the same check code cannot be told apart: the later one has to begin again. The secret is burned with
the first grant: all others are turned away, also those who stood at the door already, and afterwards only the granted
device is still answered. A window that is for one device (its label was read) talks to no other.
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
    host_mac,
)
from kindmesh.protocol.errors import (
    EnrolmentRefused,
    InvalidTransition,
    KindmeshError,
    UnknownMember,
    error_to_wire,
)
from kindmesh.protocol.limits import PAIR_FAILURES_MAX, PAIR_HELLOS_MAX
from kindmesh.protocol.typed import (
    TypedConfirm,
    TypedShare,
    TypedStart,
    check_confirm,
    check_start,
    typed_accepted,
    typed_secret,
)

KnockState = Literal["greeted", "challenged", "pending", "granted", "done", "refused"]
CloseReason = Literal["closed", "expired", "failures", "knocks", "paired"]


class Send(msgspec.Struct, frozen=True):
    """Send `message` to the connection `hop_key`."""

    hop_key: bytes
    message: EnrolMessage


class Exchange(msgspec.Struct, frozen=True):
    """Answer a typed code's `share` (SPAKE2) and come back with `PairingMachine.exchanged`."""

    hop_key: bytes
    share: bytes


class Greeted(msgspec.Struct, frozen=True):
    """A device said hello: have the owner's program make a nonce, and come back with `PairingMachine.challenge`."""

    hop_key: bytes
    hello: EnrolHello


class Knocked(msgspec.Struct, frozen=True):
    """A device proved that it read the invitation: show it to the owner. `device_nonce` is what it had committed to,
    with which the owner's program makes the code by itself."""

    hop_key: bytes
    hello: EnrolHello
    code: str
    device_nonce: bytes


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

    reason: CloseReason


Instruction = Send | Exchange | Greeted | Knocked | Failed | Paired | Closed


class Knock(msgspec.Struct):
    """One device at the door. `transcript` and `code` are known once it has proved itself."""

    hello: EnrolHello
    invitation: Invitation
    state: KnockState = "greeted"
    challenge: EnrolChallenge | None = None
    transcript: bytes = b""
    code: str = ""
    papers: EnrolGranted | None = None


class TypedTry(msgspec.Struct):
    """One exchange of a typed code; `key` is what SPAKE2 gave, `invitation` what a right code stands for."""

    key: bytes = b""
    invitation: Invitation | None = None


_AFTER: Final[dict[tuple[KnockState, str], KnockState]] = {
    ("greeted", "challenge"): "challenged",
    ("greeted", "refuse"): "refused",
    ("challenged", "proof"): "pending",
    ("challenged", "proof again"): "granted",
    ("challenged", "refuse"): "refused",
    ("pending", "grant"): "granted",
    ("pending", "refuse"): "refused",
    ("granted", "refuse"): "refused",
    ("granted", "done"): "done",
    ("granted", "proof"): "granted",
    ("done", "done"): "done",
}
_WAITING: Final = ("greeted", "challenged", "pending")


class PairingMachine:
    """One window. Times are UTC milliseconds. `typed`: the secret is only reached by a typed code. `only`: the
    (Ed25519, CURVE) keys of the one device that it is for."""

    def __init__(
        self,
        invitation: Invitation,
        expires_ms: int,
        *,
        typed: bool = False,
        only: tuple[bytes, bytes] | None = None,
    ) -> None:
        self.invitation = invitation
        self.expires_ms = expires_ms
        self.only = only
        self.open = True
        self.burned = False
        self.failures = 0
        self.hellos = 0
        self.knocks: dict[bytes, Knock] = {}
        self.typed = typed
        self.tries: dict[bytes, TypedTry] = {}

    def admits(self, hop_key: bytes) -> bool:
        """Whether this connection may talk to the enrol socket."""
        if self.only is not None and hop_key != self.only[1]:
            return False
        return self.open and (not self.burned or hop_key in self.knocks)

    def handle(self, hop_key: bytes, message: EnrolMessage, now_ms: int) -> list[Instruction]:
        """A message from a device."""
        out = self.tick(now_ms)
        if not self.open:
            return [
                *out,
                Send(hop_key, EnrolRefused(error_to_wire(EnrolmentRefused("the window is closed")))),
            ]
        try:
            return out + self._handle(hop_key, message)
        except KindmeshError as error:
            return out + self._fail(hop_key, error)

    def _handle(self, hop_key: bytes, message: EnrolMessage) -> list[Instruction]:
        if isinstance(message, EnrolHello):
            return self._hello(hop_key, message)
        if isinstance(message, TypedStart):
            return self._typed_start(hop_key, message)
        if isinstance(message, TypedConfirm):
            return self._typed_confirm(hop_key, message)
        knock = self.knocks.get(hop_key)
        if knock is None:
            raise EnrolmentRefused("a device has to say hello first")
        if isinstance(message, EnrolProof):
            return self._proof(hop_key, knock, message)
        if isinstance(message, EnrolDone):
            check_done(knock.hello, knock.transcript, message)
            first = knock.state == "granted"
            self._move(knock, "done")
            told = [Send(hop_key, EnrolClosed())]
            return [*told, Paired(hop_key, knock.hello), *self.close("paired")] if first else [*told]
        raise EnrolmentRefused("this message is not a device's to send")

    # -------------------------------------------------------------------------------------------- a typed code

    def _typed_start(self, hop_key: bytes, start: TypedStart) -> list[Instruction]:
        check_start(start)
        if not self.typed:
            hint = "Use the text or the QR code that kindmesh pair shows; a typed code needs kindmesh pair --typed."
            raise EnrolmentRefused("this window has no typed code", hint=hint)
        if self.burned:
            raise EnrolmentRefused("this code was used already")
        if self.failures >= PAIR_FAILURES_MAX:
            return self.close("failures")
        # A guess until it is confirmed, also when nothing is ever heard of it again.
        self.failures += 1
        self.tries[hop_key] = TypedTry()
        return [Exchange(hop_key, start.share)]

    def exchanged(self, hop_key: bytes, share: bytes, key: bytes) -> list[Instruction]:
        """SPAKE2's answer to a share: our own share, and the key (32 bytes).

        Raises:
            UnknownMember: nobody began there.
        """
        if hop_key not in self.tries:
            raise UnknownMember("no such device is typing a code")
        self.tries[hop_key].key = key
        return [Send(hop_key, TypedShare(share))]

    def spoiled(self, hop_key: bytes, error: KindmeshError) -> list[Instruction]:
        """The share made no sense; it stays counted."""
        return self._fail(hop_key, error)

    def _typed_confirm(self, hop_key: bytes, confirm: TypedConfirm) -> list[Instruction]:
        attempt = self.tries.get(hop_key)
        if attempt is None or not attempt.key or attempt.invitation is not None:
            raise EnrolmentRefused("nothing is there to be confirmed")
        check_confirm(attempt.key, confirm)
        self.failures -= 1
        secret = typed_secret(attempt.key)
        attempt.invitation = msgspec.structs.replace(self.invitation, secret=secret)
        return [
            Send(hop_key, typed_accepted(attempt.key, self.invitation.expires_s, self.invitation.role)),
        ]

    def _invitation(self, hop_key: bytes) -> Invitation:
        """What this connection has to prove that it knows."""
        if not self.typed:
            return self.invitation
        attempt = self.tries.get(hop_key)
        if attempt is None or attempt.invitation is None:
            raise EnrolmentRefused("this window is for a typed code")
        return attempt.invitation

    # ------------------------------------------------------------------------------------------------ a knock

    def _hello(self, hop_key: bytes, hello: EnrolHello) -> list[Instruction]:
        check_hello(hello, hop_key)
        if self.only is not None and (hello.ed_pub, hello.curve_pub) != self.only:
            raise EnrolmentRefused("this window is for another device")
        known = self.knocks.get(hop_key)
        if self.burned and (known is None or known.papers is None):
            raise EnrolmentRefused("this invitation was used already")
        fresh = Knock(hello, self._invitation(hop_key))
        if known is not None and known.papers is not None:
            # The same device came back before it could confirm: once it proves itself it gets the same papers.
            if known.hello.ed_pub != hello.ed_pub:
                raise EnrolmentRefused("this invitation was used already")
            fresh.papers = known.papers
        self.hellos += 1
        if self.hellos > PAIR_HELLOS_MAX:
            refusal = EnrolRefused(error_to_wire(EnrolmentRefused("too many devices have knocked")))
            return [Send(hop_key, refusal), *self.close("knocks")]
        self.knocks[hop_key] = fresh
        return [Greeted(hop_key, hello)]

    def challenge(self, hop_key: bytes, nonce: bytes) -> list[Instruction]:
        """The owner's program has seen the hello: its nonce (32 fresh bytes) goes to the device.

        Raises:
            UnknownMember: no such knock.
            InvalidTransition: it has its challenge already.
        """
        knock = self._knock(hop_key)
        self._move(knock, "challenge")
        knock.challenge = EnrolChallenge(nonce)
        return [Send(hop_key, knock.challenge)]

    def _proof(self, hop_key: bytes, knock: Knock, proof: EnrolProof) -> list[Instruction]:
        if self.burned and knock.papers is None:
            raise EnrolmentRefused("this invitation was used already")
        if knock.challenge is None:
            raise EnrolmentRefused("the proof came before the challenge")
        agreed = check_proof(knock.invitation, knock.hello, knock.challenge, proof)
        if knock.papers is not None:
            self._move(knock, "proof again" if knock.state == "challenged" else "proof")
            knock.transcript = agreed
            return [Send(hop_key, knock.papers)]
        code = check_code(agreed)
        if any(other.code == code for other in self._pending() if other is not knock):
            raise EnrolmentRefused(
                "another device at the door has the same code", hint="Begin again: kindmesh join."
            )
        self._move(knock, "proof")
        knock.transcript, knock.code = agreed, code
        pending = EnrolPending(host_mac(knock.invitation, agreed))
        return [Send(hop_key, pending), Knocked(hop_key, knock.hello, code, proof.nonce)]

    def _fail(self, hop_key: bytes, error: KindmeshError) -> list[Instruction]:
        attempt = self.tries.get(hop_key)
        if attempt is not None and attempt.invitation is None:
            del self.tries[hop_key]  # it was counted when it began
        else:
            self.failures += 1
        knock = self.knocks.get(hop_key)
        if knock is not None and knock.state in ("greeted", "challenged"):
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
        others = [key for key, other in self.knocks.items() if other.state in _WAITING]
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

    def close(self, reason: CloseReason = "closed") -> list[Instruction]:
        """Close the window; those who wait are told."""
        if not self.open:
            return []
        self.open = False
        error = error_to_wire(EnrolmentRefused("the window was closed"))
        waiting = {key for key, one in self.knocks.items() if one.state in _WAITING}
        waiting |= {key for key in self.tries if key not in self.knocks}
        return [*(Send(key, EnrolRefused(error)) for key in sorted(waiting)), Closed(reason)]

    def _pending(self) -> list[Knock]:
        return [knock for knock in self.knocks.values() if knock.state == "pending"]

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
        codes = [knock.code for knock in self._pending()]
        if len(codes) > len(set(codes)):
            raise InvalidTransition("two devices wait with the same code")
        if self.open and self.failures >= PAIR_FAILURES_MAX and not self.tries:
            raise InvalidTransition("the window is open after too many failures")
        if len(self.knocks) > PAIR_HELLOS_MAX:
            raise InvalidTransition("too many knocks")


__all__ = [
    "Closed",
    "Exchange",
    "Failed",
    "Greeted",
    "Instruction",
    "Knock",
    "Knocked",
    "Paired",
    "PairingMachine",
    "Send",
    "TypedTry",
]
