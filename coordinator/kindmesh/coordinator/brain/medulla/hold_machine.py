"""Holding a member whose identity two devices use: anybody may ask for it, only the owner lifts it. Pure.

    free --hold--> held (since) --owner's Release, signed later--> free
                     `--removed--> gone for good

A hold only takes away: the target of a permit, or the device that asks, gets no more than {read, notify} (see
`rules.held`), also against a signed yes. So the coordinator's word is enough to hold, and worth nothing to release.
"""

from __future__ import annotations

from kindmesh.coordinator.brain.medulla.beliefs import Beliefs
from kindmesh.coordinator.brain.medulla.instructions import Answer, Forget, Instruction, Save
from kindmesh.coordinator.brain.medulla.messages import Held, Hold, LetGo
from kindmesh.protocol.errors import Replayed, UnknownMember
from kindmesh.protocol.ids import short_id
from kindmesh.protocol.release import open_release


def hold(beliefs: Beliefs, event: Hold, now_ms: int, fresh: bytes) -> list[Instruction]:
    """Method `hold`; a member that is held already stays so.

    Raises:
        UnknownMember: it has no certificate.
    """
    if beliefs.member(event.subject) is None:
        raise UnknownMember(f"{short_id(event.subject)} is no member of this mesh")
    instructions: list[Instruction] = []
    if event.subject not in beliefs.held:
        beliefs.held[event.subject] = now_ms
        instructions += [
            Save("held", event.subject, now_ms.to_bytes(8, "big")),
            beliefs.log("hold", "deny", now_ms, event.subject, rules=("held",)),
        ]
    return [*instructions, Answer(Held(tuple(sorted(beliefs.held))), durable=True)]


def release(beliefs: Beliefs, event: LetGo, now_ms: int, fresh: bytes) -> list[Instruction]:
    """Method `release`; a member that is not held is left alone.

    Raises:
        BadSignature, CertificateRefused, Malformed, WrongDestination: not signed by this mesh's owner.
        Replayed: signed before it was held.
    """
    opened = open_release(event.release, beliefs.anchors.owner_pub(event.release.author))
    beliefs.check_mesh(opened.mesh)
    since_ms = beliefs.held.get(opened.subject)
    instructions: list[Instruction] = []
    if since_ms is not None:
        if opened.issued_ms < since_ms:
            raise Replayed(
                "this was signed before the device was held", hint="Sign it again; is the clock here right?"
            )
        del beliefs.held[opened.subject]
        instructions += [
            Forget("held", opened.subject),
            beliefs.log("release", "allow", now_ms, opened.subject, rules=("owner",)),
        ]
    return [*instructions, Answer(Held(tuple(sorted(beliefs.held))), durable=True)]


__all__ = ["hold", "release"]
