"""What waits for the owner: one list, from all parts that have something to ask.

Each decision is plain data: `kind` (approval, raise, clone ...), `id` (unique among those that wait), `title` (one line
for a list), `lines` (what to show before the answer; text from devices is made safe), and what its kind's handler in
`cli.review` needs. A part that asks registers a source with `add`; answers go to the part's own method, each with
whatever authority it needs: what widens carries the owner's signature.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from kindmesh.coordinator.brain.medulla.client import MedullaClient
from kindmesh.coordinator.brain.medulla.messages import Raise
from kindmesh.coordinator.heart.heart import Heart
from kindmesh.coordinator.trust_service import TrustService
from kindmesh.mesh.trust import Trust
from kindmesh.protocol.bounds import printable
from kindmesh.protocol.certificate import CapabilityGrant
from kindmesh.protocol.errors import InvalidInput
from kindmesh.protocol.ids import format_id, key_id
from kindmesh.protocol.manifest import EFFECT_WORDS, Effect, effect_names
from kindmesh.protocol.policy import open_grant
from kindmesh.protocol.signed import Signed

Decision = dict[str, Any]
Source = Callable[[bool], Awaitable[list[Decision]]]
"""What waits; with True also what the owner said no to before."""


class Decisions:
    """See the module."""

    def __init__(self) -> None:
        self._sources: list[Source] = []

    def add(self, source: Source) -> None:
        """Ask `source`, too."""
        self._sources.append(source)

    async def waiting(self, *, everything: bool = False) -> list[Decision]:
        """All decisions, in the order in which the sources were added."""
        return [decision for source in self._sources for decision in await source(everything)]


def approval_decision(document: dict[str, Any]) -> Decision:
    """A job that waits for a yes, as `Heart.approvals` tells it."""
    where = printable(document["device_name"])
    return {
        "kind": "approval",
        "id": document["job"],
        "title": f"{document['operation']} on {where} needs your yes",
        "lines": [f"why asked  {printable(reason)}" for reason in document["reasons"]],
        **document,
    }


class RaiseService:
    """Devices that offer more than they were granted: the questions, and the owner's answers."""

    def __init__(
        self, heart: Heart, trust: Trust, trust_service: TrustService, medulla: MedullaClient
    ) -> None:
        self._heart = heart
        self._trust = trust
        self._trust_service = trust_service
        self._medulla = medulla

    async def waiting(self, everything: bool) -> list[Decision]:
        """A `Source`."""
        raises = (await self._medulla.raises()).raises
        titles = {
            (offer["device"], offer["capability"]): offer["title"]
            for offer in self._heart.devices.capabilities()
        }
        return [self._decision(one, titles) for one in raises if everything or not one.declined]

    def _decision(self, wanted: Raise, titles: dict[tuple[str, str], str]) -> Decision:
        device = format_id(wanted.subject)
        name, capability = printable(wanted.name), printable(wanted.capability)
        title = printable(titles.get((device, wanted.capability), ""))
        also = "more of " if wanted.granted else ""
        words = "; ".join(EFFECT_WORDS[effect] for effect in Effect if wanted.effects & effect)
        lines = [f"device      {name} ({device})", f"capability  {capability}{f': {title}' if title else ''}"]
        lines.append(f"wants       {', '.join(effect_names(wanted.effects))}: {words}")
        if wanted.granted:
            lines.append(f"has         {', '.join(effect_names(wanted.granted))}")
        return {
            "kind": "raise",
            "id": f"{device}/{wanted.capability}",
            "title": f"{name} now also wants {also}{capability}: {words}",
            "lines": lines,
            "device": device,
            "device_name": wanted.name,
            "capability": wanted.capability,
            "effects": effect_names(wanted.effects),
            "granted": effect_names(wanted.granted),
            "declined": wanted.declined,
        }

    async def grant(self, signed: Signed) -> dict[str, Any]:
        """The owner said yes: certify the member with what the signed grant adds, and pass it on at once.

        Raises:
            BadSignature, CertificateRefused: no owner signed it. InvalidInput: it is not for a member as it is known.
            NotRunning, PeerUnreachable: Medulla is away; ask again.
        """
        owner_pub = self._trust.membership.anchors.owner_pub(signed.author)
        grant = open_grant(signed, owner_pub)
        subject = key_id(grant.ed_pub)
        known = self._trust.membership.get(subject)
        if (grant.kind, grant.roles) != (known.kind, known.roles):
            raise InvalidInput("this grant makes something else of the member", field="grant")
        issued = await self._medulla.issue(signed)
        self._trust_service.take_roster(issued.roster)
        return {"granted": True, "name": known.name, "device": format_id(subject)}

    async def decline(self, subject: bytes, capability: str, effects: int) -> dict[str, Any]:
        """The owner said no: it is not asked again for these effects.

        Raises:
            UnknownMember. NotRunning, PeerUnreachable: Medulla is away; ask again.
        """
        await self._medulla.decline(subject, (CapabilityGrant(capability, effects),))
        return {"granted": False, "device": format_id(subject), "capability": capability}


__all__ = ["Decision", "Decisions", "RaiseService", "Source", "approval_decision"]
