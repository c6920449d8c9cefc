"""The device's side of pairing: knock at the coordinator's door with an invitation in hand, until the owner answers.

`knock` tries the invitation's addresses in turn, proves the secret, tells `show` the check code that the owner will
compare, checks the papers against the invitation, lets `store` put them on disk and only then confirms. If the link
breaks it begins again (the coordinator gives a device that was granted the same papers once more), until `timeout_s`,
and `PAIR_PROOFS_MAX` times at most: each time is a new check code, and nobody may have many of them to choose from.
`type_code` is how a device without a camera comes by an invitation: with a typed code, through SPAKE2.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from kindmesh.mesh.clock import Entropy
from kindmesh.mesh.enrol_link import Link, LinkBroken
from kindmesh.mesh.identity import Identity
from kindmesh.mesh.spake import CodeExchange
from kindmesh.mesh.transport import Transport
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
    Invitation,
    OfferSummary,
    check_code,
    check_granted,
    check_pending,
    decode_message,
    nonce_commitment,
    proof_mac,
    transcript,
)
from kindmesh.protocol.errors import (
    DeadlineExceeded,
    EnrolmentRefused,
    PeerUnreachable,
)
from kindmesh.protocol.limits import PAIR_PROOFS_MAX
from kindmesh.protocol.typed import (
    TYPED_VERSION,
    DoorKeys,
    TypedAccepted,
    TypedShare,
    TypedStart,
    check_accepted,
    typed_confirm,
    typed_identities,
    typed_secret,
)

log = logging.getLogger("kindmesh.mesh.enrol")


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
        self._proofs = 0

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
                        except LinkBroken as broken:
                            reached = reached or broken.reached
                    if not reached:
                        raise unreachable
        except TimeoutError as error:
            hint = "Ask the owner to answer at the coordinator, then try again."
            raise DeadlineExceeded("nobody answered at the coordinator in time", hint=hint) from error

    async def _try(
        self, hint: str, show: Callable[[str], None], store: Callable[[EnrolGranted], None]
    ) -> EnrolGranted:
        async with _door(
            self._transport, self._scheme + hint, self._invitation.curve_pub, self._identity
        ) as link:
            return await self._converse(link, show, store)

    async def _converse(
        self, link: Link[EnrolMessage], show: Callable[[str], None], store: Callable[[EnrolGranted], None]
    ) -> EnrolGranted:
        identity, invitation = self._identity, self._invitation
        nonce = self._entropy.token(32)
        hello = EnrolHello(
            version=ENROL_VERSION,
            ed_pub=identity.signing.public,
            curve_pub=identity.curve.public,
            name=self._name,
            role=invitation.role,
            offers=self._offers,
            commitment=nonce_commitment(nonce),
        )
        link.send(hello)
        challenge = await link.receive()
        if not isinstance(challenge, EnrolChallenge) or len(challenge.nonce) != 32:
            raise _broke_rules()
        if self._proofs >= PAIR_PROOFS_MAX:
            hint = "Try again with a new window: kindmesh pair."
            raise EnrolmentRefused("the link to the coordinator broke too often", hint=hint)
        self._proofs += 1
        agreed = transcript(invitation, hello, challenge, nonce)
        signature = identity.signing.sign(DEVICE_DOMAIN + agreed)
        link.send(EnrolProof(proof_mac(invitation, agreed), signature, nonce))
        answer = await link.receive()
        if isinstance(answer, EnrolPending):
            check_pending(invitation, agreed, answer)
            show(check_code(agreed))
            answer = await link.receive(None)
        if not isinstance(answer, EnrolGranted):
            raise _broke_rules()
        check_granted(answer, invitation, hello)
        store(answer)
        link.send(EnrolDone(identity.signing.sign(DONE_DOMAIN + agreed)))
        await _confirmed(link)
        return answer


async def type_code(
    code: str,
    host: str,
    keys: DoorKeys,
    identity: Identity,
    *,
    transport: Transport,
    scheme: str = "tcp://",
) -> Invitation:
    """The invitation that a typed `code` (as `parse_code` gives it) stands for, from the door that `keys` describe at
    `host` (a name or an IP address, IPv6 in brackets). One call is one guess.

    Raises:
        EnrolmentRefused: another code, or the keys are not the door's: somebody is in between.
        PeerUnreachable: nobody answers there. CapabilityMissing: the library is not installed.
    """
    place = f"{host}:{keys.door}" if scheme == "tcp://" else host
    device, door = typed_identities(identity.curve.public, keys)
    side = CodeExchange(code, device, door, at_device=True)
    try:
        async with _door(transport, scheme + place, keys.curve_pub, identity) as link:
            link.send(TypedStart(TYPED_VERSION, side.share))
            answer = await link.receive()
            if not isinstance(answer, TypedShare):
                raise _broke_rules()
            key = side.finish(answer.share)
            link.send(typed_confirm(key))
            accepted = await link.receive()
            if not isinstance(accepted, TypedAccepted):
                raise _broke_rules()
    except LinkBroken as broken:
        hint = "Is kindmesh pair --typed still open there?"
        raise PeerUnreachable(f"the coordinator does not answer at {place}", hint=hint) from broken
    check_accepted(key, accepted)
    return Invitation(
        version=ENROL_VERSION,
        mesh=keys.mesh,
        ed_pub=keys.ed_pub,
        curve_pub=keys.curve_pub,
        hints=(place,),
        secret=typed_secret(key),
        expires_s=accepted.expires_s,
        role=accepted.role,
    )


def _door(transport: Transport, address: str, curve_pub: bytes, identity: Identity) -> Link[EnrolMessage]:
    return Link(transport, address, curve_pub, identity.curve, decode_message)


async def _confirmed(link: Link[EnrolMessage]) -> None:
    """Wait a moment for the answer, so that closing the link does not lose the confirmation.

    Without it the device is a member all the same: its papers are stored and its certificate is issued.
    """
    try:
        await link.receive()
    except LinkBroken:
        log.info("paired; the coordinator did not confirm")


def _broke_rules() -> EnrolmentRefused:
    return EnrolmentRefused("the coordinator broke the rules of pairing")


__all__ = ["Guest", "type_code"]
