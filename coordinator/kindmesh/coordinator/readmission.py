"""Members of before come back to a coordinator that was made from the recovery kit: door, Medulla, owner.

What a device brings from before goes to Medulla first (removals that it knows count at once, also if it is then
refused); then Medulla decides about the device. Where the owner made no recall, the device waits: `waiting` tells the
owner what it was, `answer` passes on the grant that the owner signed for exactly that, and the device, which asks
again, is let in. Bounded by `WAITING_MAX`; who waits longest without asking again is forgotten first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Final

from kindmesh.coordinator.brain.medulla.client import MedullaClient
from kindmesh.coordinator.trust_service import TrustService
from kindmesh.mesh.trust import Trust
from kindmesh.protocol.certificate import Certificate
from kindmesh.protocol.codec import decode
from kindmesh.protocol.enrol import EnrolGranted
from kindmesh.protocol.errors import EnrolmentRefused, InvalidInput, NeedsApproval, UnknownMember
from kindmesh.protocol.ids import format_id
from kindmesh.protocol.manifest import effect_names
from kindmesh.protocol.policy import open_grant
from kindmesh.protocol.readmit import Credentials, ReadmitProof
from kindmesh.protocol.signed import signed_from_bytes

WAITING_MAX: Final = 64


class Returning:
    """The service; `addresses` gives where the mesh socket may be reached."""

    def __init__(
        self,
        trust: Trust,
        trust_service: TrustService,
        medulla: MedullaClient,
        addresses: Callable[[], Sequence[str]],
    ) -> None:
        self._trust = trust
        self._trust_service = trust_service
        self._medulla = medulla
        self._addresses = addresses
        self._waiting: OrderedDict[bytes, Certificate] = OrderedDict()

    async def decide(self, hop_key: bytes, proof: ReadmitProof) -> EnrolGranted:
        """Papers for a device of before.

        Raises:
            NeedsApproval: the owner is asked. KindmeshError: why not.
        """
        shown = decode(Certificate, proof.credentials.certificate.payload)
        if hop_key not in (shown.curve_pub, shown.curve_previous):
            raise EnrolmentRefused("the device came over another connection than its certificate says")
        await self._learn(proof.credentials)
        try:
            issued = await self._medulla.readmit(proof.wish, proof.credentials.certificate)
        except NeedsApproval:
            # Medulla has checked the certificate and the device's signature before it said so.
            self._waiting[shown.subject] = shown
            self._waiting.move_to_end(shown.subject)
            if len(self._waiting) > WAITING_MAX:
                self._waiting.popitem(last=False)
            raise
        self._waiting.pop(shown.subject, None)
        self._trust_service.take_roster(issued.roster)
        trust = self._trust
        return EnrolGranted(
            bundle=trust.bundle,
            certificate=issued.certificate,
            coordinator=trust.signed_certificate,
            rosters=trust.rosters,
            revocations=trust.revocations,
            policy=trust.signed_policy,
            addresses=tuple(self._addresses()),
        )

    async def _learn(self, brought: Credentials) -> None:
        learned = await self._medulla.learn(
            bundles=brought.bundles,
            rosters=brought.rosters,
            revocations=brought.revocations,
            policy=brought.policy,
        )
        self._trust_service.take(learned.trust)

    def waiting(self) -> list[dict[str, Any]]:
        """Devices of before that the owner has to decide about."""
        return [
            {
                "device": format_id(subject),
                "name": shown.name,
                "ed_pub": shown.ed_pub,
                "curve_pub": shown.curve_pub,
                "roles": list(shown.roles),
                "capabilities": [
                    {"capability": grant.capability, "effects": effect_names(grant.effects)}
                    for grant in shown.capabilities
                ],
            }
            for subject, shown in self._waiting.items()
        ]

    async def answer(self, device: bytes, grant: bytes | None) -> dict[str, Any]:
        """The owner's answer: a signed grant lets it in when it asks again, none sends it away.

        Raises:
            UnknownMember: nobody of that id waits. InvalidInput: the grant is for other keys.
            BadSignature, CertificateRefused: no owner signed it. NotRunning, PeerUnreachable: Medulla is away.
        """
        shown = self._waiting.get(device)
        if shown is None:
            raise UnknownMember("no such device waits to be let in again")
        if grant is None:
            del self._waiting[device]
            return {"readmitted": False, "name": shown.name}
        signed = signed_from_bytes(grant)
        opened = open_grant(signed, self._trust.membership.anchors.owner_pub(signed.author))
        if (opened.ed_pub, opened.curve_pub) != (shown.ed_pub, shown.curve_pub):
            raise InvalidInput("the grant is for other keys than the device's", field="grant")
        issued = await self._medulla.issue(signed)
        self._waiting.pop(device, None)
        self._trust_service.take_roster(issued.roster)
        return {"readmitted": True, "name": shown.name}


__all__ = ["Returning"]
