"""Letting a device in: the door (mesh), the owner (a person at a prompt) and Medulla (who certifies), in that order.

`open` streams what happens at the door to whoever opened the window; closing that stream closes the window. The owner
compares the code and signs a grant for exactly the keys that knocked; `answer` has Medulla issue the certificate
against it, publishes the roster and hands over the papers. Without a grant the device is turned away. A device that
comes back (its user began again) has a new code and takes the place of its earlier knock: `waiting` says which count.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from kindmesh.coordinator.brain.medulla.client import MedullaClient
from kindmesh.coordinator.trust_service import TrustService
from kindmesh.mesh.audit import AuditLog
from kindmesh.mesh.enrol_host import EnrolHost, WindowEvent
from kindmesh.mesh.pairing_machine import Closed, Failed, Knocked, Paired
from kindmesh.mesh.trust import Trust
from kindmesh.protocol.certificate import CapabilityGrant, granted_effects
from kindmesh.protocol.enrol import EnrolGranted, EnrolHello, invitation_to_text
from kindmesh.protocol.errors import (
    EnrolmentRefused,
    InvalidInput,
    InvalidTransition,
    NotRunning,
    UnknownMember,
)
from kindmesh.protocol.ids import format_id, key_id
from kindmesh.protocol.limits import PAIR_WINDOW_DEFAULT_MS, PAIR_WINDOW_MAX_MS
from kindmesh.protocol.manifest import effect_names
from kindmesh.protocol.policy import Grant, open_grant
from kindmesh.protocol.signed import signed_from_bytes

Emit = Callable[[dict[str, Any]], None]


class Pairing:
    """The pairing service of a coordinator. `hints` gives the door's addresses, `addresses` the mesh socket's."""

    def __init__(
        self,
        host: EnrolHost,
        trust: Trust,
        trust_service: TrustService,
        medulla: MedullaClient,
        audit: AuditLog | None = None,
        *,
        hints: Callable[[], Sequence[str]],
        addresses: Callable[[], Sequence[str]],
    ) -> None:
        self._host = host
        self._trust = trust
        self._trust_service = trust_service
        self._medulla = medulla
        self._audit = audit
        self._hints = hints
        self._addresses = addresses
        self._knocks: dict[str, tuple[EnrolHello, dict[str, Any]]] = {}

    async def open(self, ttl_ms: int, role: str, emit: Emit) -> dict[str, Any]:
        """Open a window and stay until it is closed; `emit` gets `window`, `knock`, `failed`, `paired`.

        Raises:
            AlreadyInitialised: a window is open. InvalidInput: a role or time that is not offered.
        """
        if role not in ("node", "bridge"):
            raise InvalidInput(
                f"{role!r} is no role a device can have", field="role", hint="One of: node, bridge."
            )
        if not 1_000 <= ttl_ms <= PAIR_WINDOW_MAX_MS:
            raise InvalidInput("a window is open for 1 second to 15 minutes", field="ttl_ms")
        events: asyncio.Queue[WindowEvent] = asyncio.Queue()
        invitation = self._host.open(
            mesh=self._trust.mesh,
            ed_pub=self._trust.certificate.ed_pub,
            hints=self._hints(),
            role=role,
            ttl_ms=ttl_ms,
            watch=events.put_nowait,
        )
        self._knocks.clear()
        self._note("opened", number=ttl_ms)
        try:
            emit(
                {
                    "event": "window",
                    "text": invitation_to_text(invitation),
                    "hints": list(invitation.hints),
                    "expires_ms": invitation.expires_s * 1000,
                    "ttl_ms": ttl_ms,
                }
            )
            while True:
                event = await events.get()
                if isinstance(event, Closed):
                    self._note("closed")
                    return {"event": "closed", "reason": event.reason}
                emit(self._describe(event))
        finally:
            self._host.shut()
            self._knocks.clear()

    def _describe(self, event: Knocked | Failed | Paired) -> dict[str, Any]:
        if isinstance(event, Failed):
            self._note("failed", code=event.error.code, number=event.left)
            return {
                "event": "failed",
                "code": event.error.code,
                "message": event.error.message,
                "left": event.left,
            }
        hello = event.hello
        described = {
            "name": hello.name,
            "device": format_id(key_id(hello.ed_pub)),
            "knock": event.hop_key.hex(),
        }
        subject = key_id(hello.ed_pub)
        if isinstance(event, Paired):
            self._note("paired", subject=subject)
            return {"event": "paired", **described}
        self._note("knocked", subject=subject)
        knock = {
            "event": "knock",
            **described,
            "code": event.code,
            "ed_pub": hello.ed_pub,
            "curve_pub": hello.curve_pub,
            "role": hello.role,
            "offers": [
                {"capability": offer.capability, "title": offer.title, "effects": effect_names(offer.effects)}
                for offer in hello.offers
            ],
        }
        self._knocks[event.hop_key.hex()] = (hello, knock)
        return knock

    def _note(self, answer: str, *, subject: bytes = b"", code: str = "", number: int = 0) -> None:
        if self._audit is not None:
            self._audit.note("pairing", answer, subject=subject, code=code, number=number)

    def waiting(self) -> list[dict[str, Any]]:
        """The knocks that wait for an answer now, as `open` told them."""
        return [knock for _, knock in self._knocks.values()]

    async def answer(self, knock: str, grant: bytes | None) -> dict[str, Any]:
        """The owner's answer to a knock: a signed grant lets it in, none turns it away.

        Raises:
            UnknownMember: nobody waits there. InvalidInput: the grant is for other keys.
            BadSignature: the owner did not sign it. NotRunning, PeerUnreachable: Medulla is away; ask again.
        """
        if knock not in self._knocks:
            raise UnknownMember("no such device is waiting to be paired")
        hello, _ = self._knocks[knock]
        hop_key = bytes.fromhex(knock)
        if grant is None:
            del self._knocks[knock]
            self._note("refused", subject=key_id(hello.ed_pub))
            self._host.refuse(hop_key, EnrolmentRefused("the owner did not let this device in"))
            return {"paired": False, "name": hello.name}
        signed = signed_from_bytes(grant)
        opened = open_grant(signed, self._trust.membership.anchors.owner_pub(signed.author))
        if (opened.ed_pub, opened.curve_pub) != (hello.ed_pub, hello.curve_pub):
            raise InvalidInput("the grant is for other keys than those that knocked", field="grant")
        issued = await self._medulla.issue(signed)
        self._note("granted", subject=key_id(hello.ed_pub))
        self._trust_service.take_roster(issued.roster)
        trimmed = _trimmed(hello, opened)
        if trimmed:
            await self._medulla.decline(key_id(hello.ed_pub), trimmed)
        if knock not in self._knocks:
            raise NotRunning("the window was closed meanwhile", hint="Open a new one with kindmesh pair.")
        del self._knocks[knock]
        trust = self._trust
        papers = EnrolGranted(
            bundle=trust.bundle,
            certificate=issued.certificate,
            coordinator=trust.signed_certificate,
            rosters=trust.rosters,
            revocations=trust.revocations,
            policy=trust.signed_policy,
            addresses=tuple(self._addresses()),
        )
        try:
            self._host.grant(hop_key, papers)
        except InvalidTransition as error:
            # It said hello anew while Medulla signed: it proves itself again and knocks again.
            raise UnknownMember(f"{opened.name} began again just now; answer its new knock") from error
        return {"paired": True, "name": opened.name, "device": format_id(key_id(hello.ed_pub))}


def _trimmed(hello: EnrolHello, grant: Grant) -> tuple[CapabilityGrant, ...]:
    """What the device asked for and the owner left out: a no, so that it is not asked about again at once."""
    found = []
    for offer in hello.offers:
        beyond = offer.effects & ~granted_effects(grant.capabilities, offer.capability)
        if beyond:
            found.append(CapabilityGrant(offer.capability, beyond))
    return tuple(found)


PAIR_DEFAULT_MS = PAIR_WINDOW_DEFAULT_MS

__all__ = ["PAIR_DEFAULT_MS", "Pairing"]
