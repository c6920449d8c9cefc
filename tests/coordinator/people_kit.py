"""People in the mesh of `medulla_kit`: invited, accepted, asking; all signatures real."""

from __future__ import annotations

from typing import Any

import msgspec
from tests.coordinator.medulla_kit import DAY, HOUR, World, fresh, key

from kindmesh.coordinator.brain.medulla import messages as m
from kindmesh.coordinator.brain.medulla import people_messages as pm
from kindmesh.protocol.codec import encode_value
from kindmesh.protocol.crypto import SigningKey, sha256
from kindmesh.protocol.ids import format_id, key_id
from kindmesh.protocol.people import (
    Acceptance,
    Accepted,
    Delegation,
    PersonRequest,
    PersonTerms,
    sign_acceptance,
    sign_delegation,
    sign_request,
    sign_terms,
)
from kindmesh.protocol.policy import Approval, sign_approval
from kindmesh.protocol.principal import Principal, person_principal
from kindmesh.protocol.roles import Rights
from kindmesh.protocol.signed import Signed


def person_id(name: str) -> bytes:
    return sha256(name.encode())[:20]


class People(World):
    """`phone` is the device everybody uses."""

    @property
    def device(self) -> bytes:
        return key_id(self.phone.public)

    def terms(self, who: str, role: str = "resident", **changes: Any) -> PersonTerms:
        self.counter += 1
        invite = key(f"invite {changes.get('name', who)}")
        terms = PersonTerms(
            mesh=self.mesh,
            person=person_id(who),
            name=who,
            role=role,
            issued_ms=self.now_ms + self.counter,
            invite_id=fresh(self.counter, self.now_ms),
            invite_pub=invite.public,
            invite_expires_ms=self.now_ms + 2 * DAY,
        )
        return msgspec.structs.replace(terms, **changes)

    def signed(self, terms: PersonTerms, by: SigningKey | None = None) -> Signed:
        return sign_terms(terms, by or self.owner)

    def without_invite(self, terms: PersonTerms, **changes: Any) -> PersonTerms:
        self.counter += 1
        none = {"invite_id": b"", "invite_pub": b"", "invite_expires_ms": 0}
        newer = {"issued_ms": self.now_ms + self.counter}
        return msgspec.structs.replace(terms, **{**none, **newer, **changes})

    def acceptance(
        self,
        terms: PersonTerms,
        person: SigningKey | None = None,
        *,
        invite: SigningKey | None = None,
        **changes: Any,
    ) -> Accepted:
        holder = person or key(terms.name)
        acceptance = Acceptance(self.mesh, terms.invite_id, holder.public, self.device, self.now_ms)
        acceptance = msgspec.structs.replace(acceptance, **changes)
        return sign_acceptance(acceptance, holder, invite or key(f"invite {terms.name}"))

    def invited(self, name: str, role: str = "resident", **changes: Any) -> PersonTerms:
        terms = self.terms(name, role, **changes)
        self.ask(pm.Invite(self.signed(terms)))
        return terms

    def person(self, name: str, role: str = "resident", **changes: Any) -> PersonTerms:
        terms = self.invited(name, role, **changes)
        self.ask(pm.Accept(self.acceptance(terms)))
        return terms

    def proof(
        self, name: str, said: dict[str, Any], *, by: SigningKey | None = None, **changes: Any
    ) -> Signed:
        self.counter += 1
        request = PersonRequest(
            self.mesh,
            fresh(self.counter, self.now_ms),
            self.device,
            "submit",
            encode_value(said),
            self.now_ms,
        )
        return sign_request(msgspec.structs.replace(request, **changes), by or key(name))

    def wish(self, name: str, operation: str = "notes.list", **changes: Any) -> m.PermitRequest:
        """A person's request to Medulla, proven."""
        request = self.request(operation, principal=person_principal(person_id(name), "?", self.device))
        proof = self.proof(name, {"operation": operation, "args": {"text": "milk"}})
        return msgspec.structs.replace(request, **{"proof": proof, **changes})

    def delegation(self, name: str, **changes: Any) -> Delegation:
        self.counter += 1
        return msgspec.structs.replace(
            Delegation(
                self.mesh, fresh(self.counter), "goal", "water", person_id(name) if name else b"",
                Rights(("notes.*",), 255), self.now_ms + self.counter, self.now_ms + 7 * DAY,
            ),
            **changes,
        )  # fmt: skip

    def delegated(self, delegation: Delegation, by: SigningKey) -> Any:
        return self.ask(pm.Delegate(sign_delegation(delegation, by)))

    def acting(
        self, name: str, operation: str = "notes.list", kind: Any = "goal", **changes: Any
    ) -> m.PermitRequest:
        whom = format_id(person_id(name)) if name else "owner"
        return self.request(operation, principal=Principal(kind, "water", "", whom), **changes)

    def answer(self, request: bytes, by: SigningKey, answer: Any = "allow") -> m.Approve:
        return m.Approve(sign_approval(Approval(request, answer, self.now_ms), by))

    def again(self) -> None:
        """Restart: everything from what was kept."""
        self.beliefs = self.restored()


__all__ = ["HOUR", "People", "person_id"]
