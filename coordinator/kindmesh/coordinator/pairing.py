"""Letting a device in: the door (mesh), the owner (a person at a prompt) and Medulla (who certifies), in that order.

`open` streams what happens at the door to whoever opened the window; closing that stream closes the window. Each hello
goes to the owner's program, which answers with a nonce of its own (`challenge`) and makes the check code by itself from
what it has seen, so that it need not believe this process. The owner compares the code and signs a grant for exactly
the keys that knocked; `answer` has Medulla issue the certificate against it, publishes the roster and hands over the
papers. Without a grant the device is turned away. A device that comes back (its user began again) has a new code and
takes the place of its earlier knock: `waiting` says which count.

A window is opened by a QR code or its text, by a typed code (SPAKE2; the door's keys are told next to it), or for one
device whose label was read (it is visited where it waits, and recognised by its key; no code is compared).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec

from kindmesh.coordinator.brain.medulla.client import MedullaClient
from kindmesh.coordinator.neighbours import Neighbours
from kindmesh.coordinator.trust_service import TrustService
from kindmesh.mesh.addresses import parse_address, parse_place
from kindmesh.mesh.adopt import adopt
from kindmesh.mesh.audit import AuditLog
from kindmesh.mesh.clock import Entropy
from kindmesh.mesh.door_keys import DoorKeysServer
from kindmesh.mesh.enrol_host import EnrolHost, Purpose, WindowEvent
from kindmesh.mesh.enrol_link import LinkBroken
from kindmesh.mesh.identity import Identity
from kindmesh.mesh.pairing_machine import Closed, Failed, Greeted, Knocked, Paired
from kindmesh.mesh.spake import load_library
from kindmesh.mesh.transport import Transport
from kindmesh.mesh.trust import Trust
from kindmesh.protocol.adopt import Label, label_from_text
from kindmesh.protocol.certificate import CapabilityGrant, granted_effects
from kindmesh.protocol.codec import encode
from kindmesh.protocol.enrol import EnrolGranted, EnrolHello, Invitation, invitation_to_text
from kindmesh.protocol.errors import (
    Busy,
    CertificateRefused,
    EnrolmentRefused,
    InvalidInput,
    InvalidTransition,
    KindmeshError,
    NotRunning,
    Revoked,
    UnknownMember,
)
from kindmesh.protocol.ids import format_id, key_id
from kindmesh.protocol.limits import PAIR_SECRET, PAIR_WINDOW_DEFAULT_MS, PAIR_WINDOW_MAX_MS
from kindmesh.protocol.manifest import effect_names
from kindmesh.protocol.policy import Grant, open_grant
from kindmesh.protocol.signed import signed_from_bytes
from kindmesh.protocol.typed import make_code

log = logging.getLogger("kindmesh.coordinator.pairing")

Emit = Callable[[dict[str, Any]], None]

WAITING_PORT: Final = 7438
"""Where a device with a label waits for its coordinator, unless its settings say otherwise: its mesh port + 1."""
ROLES: Final = ("node", "bridge")
KEYS_AFTER_DOOR: Final = 2
"""The keys of the door are told this many ports after it."""
LOOK_AGAIN_S: Final = 1.0
VISIT_AGAIN_S: Final = 20.0
"""A device that took an invitation and did not knock in this time is visited again."""


_TURNED_AWAY: Final = EnrolmentRefused(
    "the owner did not let this device in",
    hint="The window may still be open: try kindmesh join again, or ask the owner for a new one.",
)


class WindowWish(msgspec.Struct, frozen=True, kw_only=True):
    """What a window is to be: how long (ms, 1 s to 15 min), for which role; with a typed code; or for the device of
    this label (`KL1:` text), which may wait at `at` (`host` or `host:port`; empty: mDNS finds it)."""

    ttl_ms: int = PAIR_WINDOW_DEFAULT_MS
    role: str = "node"
    typed: bool = False
    label: str = ""
    at: str = ""


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
        identity: Identity,
        entropy: Entropy,
        transport: Transport,
        neighbours: Neighbours,
        hints: Callable[[], Sequence[str]],
        addresses: Callable[[], Sequence[str]],
    ) -> None:
        self._host = host
        self._trust = trust
        self._trust_service = trust_service
        self._medulla = medulla
        self._audit = audit
        self._identity = identity
        self._entropy = entropy
        self._transport = transport
        self._neighbours = neighbours
        self._hints = hints
        self._addresses = addresses
        self._knocks: dict[str, tuple[EnrolHello, dict[str, Any]]] = {}
        self._label: Label | None = None

    async def open(self, wish: WindowWish, emit: Emit) -> dict[str, Any]:
        """Open a window and stay until it is closed; `emit` gets `window`, `hello`, `knock`, `failed`, `adopting`,
        `paired`.

        Raises:
            AlreadyInitialised: a window is open. InvalidInput: a role, time, label or address that is none.
            CapabilityMissing: typed codes need a library. AddressInUse: the port next to the door is taken.
        """
        if wish.role not in ROLES:
            raise InvalidInput(
                f"{wish.role!r} is no role a device can have", field="role", hint="One of: node, bridge."
            )
        if not 1_000 <= wish.ttl_ms <= PAIR_WINDOW_MAX_MS:
            raise InvalidInput("a window is open for 1 second to 15 minutes", field="ttl_ms")
        label = label_from_text(wish.label) if wish.label else None
        if wish.typed and label is not None:
            raise InvalidInput("a window has a typed code or is for a label, not both", field="typed")
        at = str(parse_place(wish.at, WAITING_PORT)).partition("://")[2] if wish.at else ""
        if wish.typed:
            load_library()
        events: asyncio.Queue[WindowEvent] = asyncio.Queue()
        purpose = Purpose(
            mesh=self._trust.mesh,
            ed_pub=self._trust.certificate.ed_pub,
            hints=self._hints(),
            role=wish.role,
            code=make_code(self._entropy.token(10)) if wish.typed else "",
            only=(label.ed_pub, label.curve_pub) if label is not None else None,
        )
        invitation = self._host.open(purpose, ttl_ms=wish.ttl_ms, watch=events.put_nowait)
        self._knocks.clear()
        self._label = label
        self._note("opened", number=wish.ttl_ms)
        try:
            async with self._beside(wish, at, invitation, emit) as more:
                emit(_describe_window(wish, purpose, invitation, label) | more)
                while True:
                    event = await events.get()
                    if isinstance(event, Closed):
                        self._note("closed")
                        return {"event": "closed", "reason": event.reason}
                    emit(self._describe(event))
        finally:
            self._host.shut()
            self._knocks.clear()
            self._label = None

    @asynccontextmanager
    async def _beside(
        self, wish: WindowWish, at: str, invitation: Invitation, emit: Emit
    ) -> AsyncIterator[dict[str, Any]]:
        """What a window needs besides the door: its keys told in the clear, or visits to the device of a label."""
        if wish.typed:
            door = parse_address(self._host.address)
            beside = DoorKeysServer(
                door.host, door.port + KEYS_AFTER_DOOR, lambda: self._host.door_keys(door.port)
            )
            await beside.start()
            try:
                await self._neighbours.show_door(beside.port)
                places = [hint.rpartition(":")[0] for hint in invitation.hints]
                yield {
                    "at": [f"{place}:{beside.port}" for place in places],
                    "mdns": not self._neighbours.problem,
                }
            finally:
                await self._neighbours.show_door(0)
                await beside.close()
        elif self._label is not None:
            visiting = asyncio.create_task(self._visit(self._label, at, invitation, emit), name="adopt")
            try:
                yield {"mdns": not self._neighbours.problem}
            finally:
                visiting.cancel()
                await asyncio.gather(visiting, return_exceptions=True)
        else:
            yield {}

    async def _visit(self, label: Label, at: str, invitation: Invitation, emit: Emit) -> None:
        """Go to the device of the label, as soon as it is anywhere, until the window closes."""
        finder = await self._neighbours.waiting()
        if finder is None and not at:
            emit({"event": "adopting", "state": "nowhere", "message": self._neighbours.problem})
        try:
            while True:
                found = finder.addresses(key_id(label.ed_pub)) if finder is not None else []
                for address in dict.fromkeys([*([at] if at else []), *found]):
                    if await self._visit_at(label, address, invitation, emit):
                        await asyncio.sleep(VISIT_AGAIN_S)
                        break
                await asyncio.sleep(LOOK_AGAIN_S)
        finally:
            if finder is not None:
                await finder.close()

    async def _visit_at(self, label: Label, address: str, invitation: Invitation, emit: Emit) -> bool:
        told = {"event": "adopting", "name": label.name, "address": address}
        try:
            await adopt(
                label, f"tcp://{address}", invitation, self._identity.curve,
                transport=self._transport, entropy=self._entropy,
            )  # fmt: skip
        except (LinkBroken, Busy) as error:
            log.info("the device of this label is not here", extra={"reason": type(error).__name__})
            return False
        except KindmeshError as error:
            emit({**told, "state": "refused", "code": error.code, "message": error.message})
            return True
        emit({**told, "state": "found"})
        return True

    def _describe(self, event: Greeted | Knocked | Failed | Paired) -> dict[str, Any]:
        if isinstance(event, Failed):
            self._note("failed", code=event.error.code, number=event.left)
            return {
                "event": "failed",
                "code": event.error.code,
                "message": event.error.message,
                "left": event.left,
            }
        hello, place = event.hello, event.hop_key.hex()
        if isinstance(event, Greeted):
            self._knocks.pop(place, None)
            return {"event": "hello", "knock": place, "hello": encode(hello)}
        described = {
            "name": hello.name,
            "device": format_id(key_id(hello.ed_pub)),
            "knock": place,
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
            "device_nonce": event.device_nonce,
            "recognised": self._label is not None,
            "ed_pub": hello.ed_pub,
            "curve_pub": hello.curve_pub,
            "role": hello.role,
            "offers": [
                {
                    "capability": offer.capability,
                    "title": offer.title,
                    "effects": effect_names(offer.effects),
                    "operations": [
                        {"name": operation.name, "effects": effect_names(operation.effects)}
                        for operation in offer.operations
                    ],
                }
                for offer in hello.offers
            ],
        }
        self._knocks[place] = (hello, knock)
        return knock

    def _note(self, answer: str, *, subject: bytes = b"", code: str = "", number: int = 0) -> None:
        if self._audit is not None:
            self._audit.note("pairing", answer, subject=subject, code=code, number=number)

    def waiting(self) -> list[dict[str, Any]]:
        """The knocks that wait for an answer now, as `open` told them."""
        return [knock for _, knock in self._knocks.values()]

    def challenge(self, knock: str, nonce: bytes) -> None:
        """The nonce (32 fresh bytes) of the owner's program, for a device that said hello.

        Raises:
            InvalidInput: no nonce. UnknownMember, InvalidTransition: nobody waits there for one. NotRunning.
        """
        if len(nonce) != 32:
            raise InvalidInput("a nonce has 32 bytes", field="nonce")
        self._host.challenge(_hop_key(knock), nonce)

    async def answer(self, knock: str, grant: bytes | None) -> dict[str, Any]:
        """The owner's answer to a knock: a signed grant lets it in, none turns it away.

        Raises:
            UnknownMember: nobody waits there. InvalidInput: the grant is for other keys.
            BadSignature: the owner did not sign it. NotRunning, PeerUnreachable: Medulla is away; ask again.
            Revoked, CertificateRefused: this key cannot come in; the device is told, too.
        """
        if knock not in self._knocks:
            raise UnknownMember("no such device is waiting to be paired")
        hello, _ = self._knocks[knock]
        hop_key = _hop_key(knock)
        if grant is None:
            del self._knocks[knock]
            self._note("refused", subject=key_id(hello.ed_pub))
            self._host.refuse(hop_key, _TURNED_AWAY)
            return {"paired": False, "name": hello.name}
        signed = signed_from_bytes(grant)
        opened = open_grant(signed, self._trust.membership.anchors.owner_pub(signed.author))
        if (opened.ed_pub, opened.curve_pub) != (hello.ed_pub, hello.curve_pub):
            raise InvalidInput("the grant is for other keys than those that knocked", field="grant")
        try:
            issued = await self._medulla.issue(signed)
        except (Revoked, CertificateRefused) as error:
            if self._knocks.pop(knock, None) is not None:
                self._note("refused", subject=key_id(hello.ed_pub), code=error.code)
                self._host.refuse(hop_key, error)
            raise
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


def _describe_window(
    wish: WindowWish, purpose: Purpose, invitation: Invitation, label: Label | None
) -> dict[str, Any]:
    """`public` is the invitation without its secret, from which the owner's program makes the codes."""
    public = msgspec.structs.replace(invitation, secret=bytes(PAIR_SECRET))
    found: dict[str, Any] = {
        "event": "window",
        "public": encode(public),
        "hints": list(invitation.hints),
        "expires_ms": invitation.expires_s * 1000,
        "ttl_ms": wish.ttl_ms,
    }
    if purpose.code:
        return {**found, "kind": "typed", "typed": purpose.code}
    if label is not None:
        return {**found, "kind": "label", "name": label.name, "device": format_id(key_id(label.ed_pub))}
    return {**found, "kind": "invitation", "text": invitation_to_text(invitation)}


def _trimmed(hello: EnrolHello, grant: Grant) -> tuple[CapabilityGrant, ...]:
    """What the device asked for and the owner left out: a no, so that it is not asked about again at once."""
    found = []
    for offer in hello.offers:
        beyond = offer.effects & ~granted_effects(grant.capabilities, offer.capability)
        if beyond:
            found.append(CapabilityGrant(offer.capability, beyond))
    return tuple(found)


def _hop_key(knock: str) -> bytes:
    try:
        return bytes.fromhex(knock)
    except ValueError as error:
        raise UnknownMember("no such device is waiting to be paired") from error


PAIR_DEFAULT_MS = PAIR_WINDOW_DEFAULT_MS

__all__ = ["PAIR_DEFAULT_MS", "Pairing", "WindowWish"]
