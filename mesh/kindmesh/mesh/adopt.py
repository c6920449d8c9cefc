"""Both ends of an adoption, as sockets: the device that waits with its label, and the coordinator that has read it.

`Adoptable` is the driver of `AdoptionMachine`: it listens with the device's own CURVE key and gives invitations as they
are proven. `adopt` is one visit of a coordinator: it dials with the label's key pinned, proves the secret, and hands
over the invitation; the device then knocks at the coordinator's door like any other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Self

from kindmesh.mesh.adopt_machine import AdoptInstruction, AdoptionMachine, Go, Tell, TurnedAway
from kindmesh.mesh.clock import Entropy
from kindmesh.mesh.enrol_link import Link
from kindmesh.mesh.transport import Transport
from kindmesh.protocol.adopt import (
    AdoptAccepted,
    AdoptChallenge,
    AdoptHello,
    Label,
    adopt_offer,
    adopt_transcript,
    check_accepted_by,
    decode_adoption,
)
from kindmesh.protocol.codec import encode
from kindmesh.protocol.crypto import CurveKey
from kindmesh.protocol.enrol import ENROL_VERSION, Invitation
from kindmesh.protocol.errors import EnrolmentRefused, KindmeshError, TransportError

log = logging.getLogger("kindmesh.mesh.adopt")


class Adoptable:
    """A device that listens at `address` until somebody with its label comes; `watch` is told who was turned away."""

    def __init__(
        self,
        label: Label,
        key: CurveKey,
        *,
        transport: Transport,
        address: str,
        entropy: Entropy,
        watch: Callable[[TurnedAway], None],
    ) -> None:
        self._machine = AdoptionMachine(label)
        self._entropy = entropy
        self._watch = watch
        self._invitations: asyncio.Queue[Invitation] = asyncio.Queue()
        self._listener = transport.listen(address, key, lambda _: self._machine.admits())

    @property
    def address(self) -> str:
        """Where it listens, once entered."""
        return self._listener.address

    async def __aenter__(self) -> Self:
        await self._listener.start(self._receive)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._listener.close()

    async def invitation(self) -> Invitation:
        """The next invitation of somebody who has read the label."""
        return await self._invitations.get()

    def again(self) -> None:
        """It led nowhere: answer the next one."""
        self._machine.again()

    def _receive(self, hop_key: bytes, frames: list[bytes]) -> None:
        try:
            message = decode_adoption(frames[0])
        except KindmeshError as error:
            log.warning("adoption message refused", extra={"code": error.code})
            return
        self._carry_out(self._machine.handle(hop_key, message, self._entropy.token(32)))

    def _carry_out(self, instructions: list[AdoptInstruction]) -> None:
        for instruction in instructions:
            if isinstance(instruction, Tell):
                try:
                    self._listener.send(instruction.hop_key, [encode(instruction.message)])
                except TransportError as error:
                    log.info("who wanted to adopt this device is gone", extra={"code": error.code})
            elif isinstance(instruction, Go):
                self._invitations.put_nowait(instruction.invitation)
            else:
                self._watch(instruction)


async def adopt(
    label: Label,
    address: str,
    invitation: Invitation,
    key: CurveKey,
    *,
    transport: Transport,
    entropy: Entropy,
) -> None:
    """One visit at `address` (with scheme): hand `invitation` to the device that this label belongs to.

    Raises:
        LinkBroken: nobody with the label's key is there. Busy: it is on its way already.
        EnrolmentRefused: one side does not know the label's secret.
    """
    async with Link(transport, address, label.curve_pub, key, decode_adoption) as link:
        hello = AdoptHello(ENROL_VERSION, invitation.mesh, invitation.ed_pub, entropy.token(32))
        link.send(hello)
        challenge = await link.receive()
        if not isinstance(challenge, AdoptChallenge):
            raise EnrolmentRefused("the device broke the rules of adoption")
        agreed = adopt_transcript(label, key.public, hello, challenge)
        link.send(adopt_offer(label, agreed, invitation))
        accepted = await link.receive()
        if not isinstance(accepted, AdoptAccepted):
            raise EnrolmentRefused("the device broke the rules of adoption")
        check_accepted_by(label, agreed, invitation, accepted)


__all__ = ["Adoptable", "adopt"]
