"""A mesh in memory for tests of Medulla's pure part: keys from fixed seeds, an owner, a device that offers things."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from kindmesh.coordinator.brain.medulla import messages as m
from kindmesh.coordinator.brain.medulla.beliefs import Beliefs
from kindmesh.coordinator.brain.medulla.instructions import Answer, Forget, Instruction, Log, Save
from kindmesh.coordinator.brain.medulla.machine import handle, validate
from kindmesh.protocol.anchors import AnchorList, open_bundle, sign_anchors
from kindmesh.protocol.audit import Note
from kindmesh.protocol.certificate import (
    CapabilityGrant,
    Certificate,
    Kind,
)
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.crypto import SigningKey, sha256
from kindmesh.protocol.ids import key_id, new_id
from kindmesh.protocol.manifest import Effect, Manifest, Operation
from kindmesh.protocol.messages.hello import Advert, Offer, Thing, sign_advert
from kindmesh.protocol.permit import Isolation
from kindmesh.protocol.policy import (
    Approval,
    Grant,
    Policy,
    Removal,
    first_policy,
    sign_approval,
    sign_grant,
    sign_policy,
    sign_removal,
)
from kindmesh.protocol.principal import OWNER
from kindmesh.protocol.signed import Signed

T0 = 1_800_000_000_000
HOUR = 3_600_000
DAY = 24 * HOUR


def key(name: str) -> SigningKey:
    return SigningKey(sha256(name.encode()))


def fresh(number: int, now_ms: int = T0) -> bytes:
    return new_id(now_ms, number.to_bytes(10, "big"))


def manifest(effects: Effect = Effect.WRITE, capability: str = "notes") -> Manifest:
    operations = (
        Operation(f"{capability}.append", "Append", (), (), int(effects), idempotent=False),
        Operation(f"{capability}.list", "List", (), (), int(Effect.READ), idempotent=True),
    )
    return Manifest(capability, "1", "Notes", operations)


class World:
    """`beliefs` with policy 1, and a device `phone` that offers `notes`. `rows` and `log` are what was kept."""

    def __init__(self, isolation: Isolation = "landlock", *, prepared: bool = True) -> None:
        self.root, self.owner, self.phone = key("root"), key("owner"), key("phone")
        self.issuer, self.permit_key = key("issuer"), key("permit")
        self.mesh = key_id(self.root.public)
        self.isolation: Isolation = isolation
        anchors = (
            self._anchor(self.owner, "person", ("owner",)),
            self._anchor(self.issuer, "issuer", ()),
            self._anchor(self.permit_key, "medulla", ()),
        )
        self.bundle = sign_anchors(AnchorList(self.mesh, T0, T0, anchors), self.root)
        self.anchors = open_bundle(self.bundle, self.mesh)
        self.rows: dict[tuple[str, bytes], bytes] = {}
        self.log: list[Note] = []
        self.now_ms = T0
        self.counter = 0
        self.beliefs = self.restored(isolation)
        if prepared:
            self.ask(m.Install(self.policy(1)))
            self.ask(m.Issue(self.grant(self.phone, "phone")))
            self.ask(m.Advertise(self.advert(self.phone)))

    def _anchor(self, subject: SigningKey, kind: Kind, roles: tuple[str, ...]) -> Certificate:
        id_ = key_id(subject.public)
        return Certificate(self.mesh, id_, kind, kind, subject.public, b"", roles, (), T0, T0 + 9 * DAY, 0)

    def restored(self, isolation: Isolation | None = None) -> Beliefs:
        beliefs = Beliefs(self.anchors, self.issuer, self.permit_key, isolation or self.isolation)
        rows = [(kind, id_, value) for (kind, id_), value in self.rows.items()]
        last = self.log[-1:]
        beliefs.restore(
            rows, permits=sum(note.number for note in last), highest_ms=sum(note.at_ms for note in last)
        )
        return beliefs

    def ask(self, event: msgspec.Struct) -> Any:
        self.counter += 1
        instructions = handle(self.beliefs, event, self.now_ms, fresh(self.counter, self.now_ms))
        validate(self.beliefs)
        return self.keep(instructions)

    def keep(self, instructions: Iterable[Instruction]) -> Any:
        *kept, answer = instructions
        assert isinstance(answer, Answer)
        for instruction in kept:
            if isinstance(instruction, Save):
                self.rows[instruction.kind, instruction.key] = instruction.value
            elif isinstance(instruction, Forget):
                del self.rows[instruction.kind, instruction.key]
            elif isinstance(instruction, Log):
                self.log.append(instruction.note)
        return answer.value

    def policy(
        self, version: int, *rules: Any, mesh: bytes | None = None, by: SigningKey | None = None
    ) -> Signed:
        policy = Policy(mesh or self.mesh, version, T0, rules or first_policy(self.mesh, T0).rules)
        return sign_policy(policy, by or self.owner)

    def grant(
        self, subject: SigningKey, called: str, *, by: SigningKey | None = None, **changes: Any
    ) -> Signed:
        self.counter += 1
        grant = Grant(
            mesh=self.mesh,
            grant_id=fresh(self.counter),
            kind="device",
            name=called,
            ed_pub=subject.public,
            curve_pub=sha256(b"curve" + subject.public),
            roles=("node",),
            capabilities=(CapabilityGrant("*", 255),),
            issued_ms=self.now_ms,
            expires_ms=self.now_ms + HOUR,
        )
        return sign_grant(msgspec.structs.replace(grant, **changes), by or self.owner)

    def advert(
        self,
        phone: SigningKey,
        *manifests: Manifest,
        version: int = 1,
        by: SigningKey | None = None,
        things: tuple[Thing, ...] = (),
        **changes: Any,
    ) -> Signed:
        offers = tuple(Offer(found, ready=True, things=things) for found in manifests or (manifest(),))
        advert = Advert(self.mesh, key_id(phone.public), 1, version, self.now_ms, offers)
        return sign_advert(msgspec.structs.replace(advert, **changes), by or phone)

    def removal(self, subject: bytes, *, by: SigningKey | None = None, mesh: bytes | None = None) -> Signed:
        return sign_removal(Removal(mesh or self.mesh, subject, self.now_ms), by or self.owner)

    def approval(self, request: bytes, answer: Any = "allow", *, by: SigningKey | None = None) -> m.Approve:
        return m.Approve(sign_approval(Approval(request, answer, self.now_ms), by or self.owner))

    def request(self, operation: str = "notes.list", **changes: Any) -> m.PermitRequest:
        self.counter += 1
        request = m.PermitRequest(
            run_id=fresh(self.counter),
            step=1,
            job_id=fresh(self.counter + 1_000_000),
            operation=operation,
            target=key_id(self.phone.public),
            args=encode_value({"text": "milk"}),
            epoch=1,
            principal=OWNER,
        )
        return msgspec.structs.replace(request, **changes)
