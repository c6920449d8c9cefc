"""More than was granted: what devices offer beyond their certificates, and to what of it the owner said no.

Nothing here widens anything: what is beyond a certificate is never permitted (`rules.granted`), and becomes a
certificate only by the owner's signed grant (`trust_machine.issue`). A no needs no signature, since it only keeps a
question away; it holds for these effects of this capability: when a device wants another effect, the owner is asked.
"""

from __future__ import annotations

from kindmesh.coordinator.brain.medulla.beliefs import Beliefs
from kindmesh.coordinator.brain.medulla.instructions import Answer, Instruction, Save
from kindmesh.coordinator.brain.medulla.messages import Decline, Raise, Raises, RaisesWanted
from kindmesh.protocol.certificate import CapabilityGrant
from kindmesh.protocol.codec import encode
from kindmesh.protocol.errors import InvalidInput, UnknownMember
from kindmesh.protocol.ids import short_id

DECLINED_MAX = 256
"""Capabilities to which the owner said no, on one device."""


def show_raises(beliefs: Beliefs, event: RaisesWanted, now_ms: int, fresh: bytes) -> list[Instruction]:
    """Method `raises`."""
    return [Answer(Raises(tuple(_raises(beliefs))))]


def _raises(beliefs: Beliefs) -> list[Raise]:
    found = []
    for certificate in filter(None, map(beliefs.member, sorted(beliefs.offers))):
        subject = certificate.subject
        declined = beliefs.declined.get(subject, {})
        offered: dict[str, int] = {}
        for operation, effects in beliefs.offers[subject].effects.items():
            capability = operation.partition(".")[0]
            offered[capability] = offered.get(capability, 0) | effects
        for capability in sorted(offered):
            granted = certificate.granted(capability)
            beyond = offered[capability] & ~granted
            if beyond:
                refused = not beyond & ~declined.get(capability, 0)
                found.append(Raise(subject, certificate.name, capability, beyond, granted, refused))
    return found


def decline(beliefs: Beliefs, event: Decline, now_ms: int, fresh: bytes) -> list[Instruction]:
    """Method `decline`.

    Raises:
        UnknownMember: no such member.
        InvalidInput: too many different capabilities were declined for it.
    """
    if beliefs.member(event.subject) is None:
        raise UnknownMember(f"{short_id(event.subject)} is no member of this mesh")
    declined = dict(beliefs.declined.get(event.subject, {}))
    for refused in event.capabilities:
        declined[refused.capability] = declined.get(refused.capability, 0) | refused.effects
    if len(declined) > DECLINED_MAX:
        raise InvalidInput(
            f"at most {DECLINED_MAX} capabilities of a device are declined", field="capabilities"
        )
    beliefs.declined[event.subject] = declined
    kept = tuple(CapabilityGrant(capability, declined[capability]) for capability in sorted(declined))
    return [
        Save("declined", event.subject, encode(Decline(event.subject, kept))),
        beliefs.log("certificate", "deny", now_ms, event.subject, rules=("owner",)),
        Answer(Raises(tuple(_raises(beliefs))), durable=True),
    ]


__all__ = ["DECLINED_MAX", "decline", "show_raises"]
