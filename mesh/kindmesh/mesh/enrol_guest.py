"""The device's side of pairing: knock at the coordinator's door with an invitation in hand, until the owner answers.

`knock` tries the invitation's addresses in turn, proves the secret, tells `show` the check code that the owner will
compare, checks the papers against the invitation, lets `store` put them on disk and only then confirms. If the link
breaks it begins again (the coordinator gives a device that was granted the same papers once more), until `timeout_s`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from kindmesh.mesh.clock import Entropy
from kindmesh.mesh.identity import Identity
from kindmesh.mesh.transport import Transport
from kindmesh.protocol.codec import encode
from kindmesh.protocol.enrol import (
    DEVICE_DOMAIN,
    DONE_DOMAIN,
    ENROL_VERSION,
    EnrolChallenge,
    EnrolDone,
    EnrolGranted,
    EnrolHello,
    EnrolMessage,
    EnrolPending,
    EnrolProof,
    EnrolRefused,
    Invitation,
    OfferSummary,
    check_code,
    check_granted,
    decode_message,
    proof_mac,
    transcript,
)
from kindmesh.protocol.errors import (
    DeadlineExceeded,
    EnrolmentRefused,
    PeerUnreachable,
    TransportError,
    error_from_wire,
)

T = TypeVar("T")
log = logging.getLogger("kindmesh.mesh.enrol")

ANSWER_S = 5.0
"""How long the coordinator may take for what needs no person."""


class Guest:
    """One attempt to join; make one for each invitation."""

    def __init__(
        self,
        invitation: Invitation,
        identity: Identity,
        name: str,
        offers: tuple[OfferSummary, ...],
        *,
        transport: Transport,
        entropy: Entropy,
        scheme: str = "tcp://",
    ) -> None:
        self._invitation = invitation
        self._identity = identity
        self._name = name
        self._offers = offers
        self._transport = transport
        self._entropy = entropy
        self._scheme = scheme

    async def knock(
        self, show: Callable[[str], None], store: Callable[[EnrolGranted], None], timeout_s: float
    ) -> EnrolGranted:
        """Pair; `show(code)` when the four digits are known, `store(papers)` before it is confirmed.

        Raises:
            EnrolmentRefused, CertificateRefused: by the coordinator, the owner, or because the papers are wrong.
            PeerUnreachable: no address of the invitation answers.
            DeadlineExceeded: the owner did not answer within `timeout_s`.
        """
        unreachable = PeerUnreachable(
            "the coordinator does not answer at " + ", ".join(self._invitation.hints),
            hint="Are both devices in the same network? Is kindmesh pair still open there?",
        )
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    reached = False
                    for hint in self._invitation.hints:
                        try:
                            return await self._try(hint, show, store)
                        except _Broken as broken:
                            reached = reached or broken.reached
                    if not reached:
                        raise unreachable
        except TimeoutError as error:
            hint = "Ask the owner to answer at the coordinator, then try again."
            raise DeadlineExceeded("nobody answered at the coordinator in time", hint=hint) from error

    async def _try(
        self, hint: str, show: Callable[[str], None], store: Callable[[EnrolGranted], None]
    ) -> EnrolGranted:
        inbox: asyncio.Queue[bytes | None] = asyncio.Queue()
        up = asyncio.Event()

        def watch(connected: bool) -> None:
            if connected:
                up.set()
            elif up.is_set():
                inbox.put_nowait(None)

        channel = self._transport.dial(self._scheme + hint, self._invitation.curve_pub, self._identity.curve)
        try:
            await channel.start(lambda hop, frames: inbox.put_nowait(frames[0]), watch)
            await _within(up.wait(), reached=False)
            return await self._converse(lambda message: channel.send([encode(message)]), inbox, show, store)
        except TransportError as error:
            raise _Broken(up.is_set()) from error
        finally:
            await channel.close()

    async def _converse(
        self,
        send: Callable[[EnrolMessage], None],
        inbox: asyncio.Queue[bytes | None],
        show: Callable[[str], None],
        store: Callable[[EnrolGranted], None],
    ) -> EnrolGranted:
        identity, invitation = self._identity, self._invitation
        hello = EnrolHello(
            version=ENROL_VERSION,
            ed_pub=identity.signing.public,
            curve_pub=identity.curve.public,
            name=self._name,
            role=invitation.role,
            offers=self._offers,
            nonce=self._entropy.token(32),
        )
        send(hello)
        challenge = await self._receive(inbox, ANSWER_S)
        if not isinstance(challenge, EnrolChallenge) or len(challenge.nonce) != 32:
            raise EnrolmentRefused("the coordinator broke the rules of pairing")
        agreed = transcript(invitation, hello, challenge)
        send(EnrolProof(proof_mac(invitation, agreed), identity.signing.sign(DEVICE_DOMAIN + agreed)))
        answer = await self._receive(inbox, ANSWER_S)
        if isinstance(answer, EnrolPending):
            show(check_code(invitation, agreed))
            answer = await self._receive(inbox, None)
        if not isinstance(answer, EnrolGranted):
            raise EnrolmentRefused("the coordinator broke the rules of pairing")
        check_granted(answer, invitation, hello)
        store(answer)
        send(EnrolDone(identity.signing.sign(DONE_DOMAIN + agreed)))
        await self._confirmed(inbox)
        return answer

    async def _confirmed(self, inbox: asyncio.Queue[bytes | None]) -> None:
        """Wait a moment for the answer, so that closing the link does not lose the confirmation.

        Without it the device is a member all the same: its papers are stored and its certificate is issued.
        """
        try:
            await self._receive(inbox, ANSWER_S)
        except _Broken:
            log.info("paired; the coordinator did not confirm")

    async def _receive(self, inbox: asyncio.Queue[bytes | None], patience_s: float | None) -> EnrolMessage:
        data = await (
            _within(inbox.get(), reached=True, patience_s=patience_s) if patience_s else inbox.get()
        )
        if data is None:
            raise _Broken(True)
        message = decode_message(data)
        if isinstance(message, EnrolRefused):
            raise error_from_wire(message.error)
        return message


class _Broken(Exception):
    """The link did not hold; `reached` when the coordinator had answered at all."""

    def __init__(self, reached: bool) -> None:
        self.reached = reached


async def _within(waiting: Coroutine[Any, Any, T], *, reached: bool, patience_s: float = ANSWER_S) -> T:
    try:
        return await asyncio.wait_for(waiting, patience_s)
    except TimeoutError as error:
        raise _Broken(reached) from error


__all__ = ["Guest"]
