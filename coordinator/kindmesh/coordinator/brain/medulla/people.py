"""What Medulla believes about people: terms, invitations, keys, delegations, and which requests were used.

Everything here was signed by the owner or by the person, except what only narrows (a withdrawn invitation or
delegation). Rows are checked again when they are restored, as if they had just arrived. Pure.

    invitation   open --accepted--> used
                      --withdrawn-> withdrawn     (each forgotten days after the invitation's end)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

import msgspec

from kindmesh.coordinator.brain.medulla.instructions import Forget, Save
from kindmesh.coordinator.brain.medulla.people_messages import InviteState
from kindmesh.protocol.bounds import KeyId, TimeId, TimeMs
from kindmesh.protocol.certificate import Certificate
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.errors import Busy, StoreDamaged
from kindmesh.protocol.people import Delegation, PersonTerms, open_delegation, open_terms
from kindmesh.protocol.signed import Signed, signed_from_bytes, signed_to_bytes

PERSONS_MAX: Final = 256
INVITES_MAX: Final = 256
DELEGATIONS_MAX: Final = 1_024
USED_MAX: Final = 100_000
"""Requests that are remembered at once; more are refused."""
USED_KEEP_MS: Final = 8 * 24 * 3_600_000
"""Longer than any job may take."""


class Held(msgspec.Struct, array_like=True, frozen=True):
    """A person's key: on which device it was made, and when it was certified first."""

    device: KeyId
    since_ms: TimeMs


class Used(msgspec.Struct, array_like=True, frozen=True):
    """A person's request serves one job, and is remembered until then."""

    job_id: TimeId
    until_ms: TimeMs


class PeopleBeliefs:
    """See the module."""

    def __init__(self) -> None:
        self.terms: dict[bytes, tuple[PersonTerms, Signed]] = {}
        self.invites: dict[bytes, InviteState] = {}
        self.held: dict[bytes, Held] = {}
        self.delegations: dict[bytes, tuple[Delegation, Signed]] = {}
        self.used: dict[bytes, Used] = {}
        self.keys: dict[bytes, Certificate] = {}
        """Certificates of people's keys, by key id."""
        self.at: dict[bytes, tuple[bytes, ...]] = {}
        """Device -> persons with a key there."""

    # ------------------------------------------------------------------------------------------------- keys

    def put_key(self, certificate: Certificate) -> None:
        """A person's key was certified."""
        self.keys[certificate.subject] = certificate
        self._index()

    def put_held(self, subject: bytes, held: Held) -> Save:
        """A key was made on a device."""
        self.held[subject] = held
        self._index()
        return Save("person_key", subject, encode(held))

    def _index(self) -> None:
        found: dict[bytes, set[bytes]] = {}
        for subject, certificate in self.keys.items():
            held = self.held.get(subject)
            if held is not None and certificate.person:
                found.setdefault(held.device, set()).add(certificate.person)
        self.at = {device: tuple(sorted(persons)) for device, persons in found.items()}

    def keys_of(self, person: bytes) -> list[Certificate]:
        """The certified keys of a person."""
        return [certificate for certificate in self.keys.values() if certificate.person == person]

    # --------------------------------------------------------------------------------------------- after a restart

    def restorers(self, owner_pub: Callable[[bytes], bytes]) -> dict[str, Callable[[bytes, bytes], object]]:
        """By the kind of row: what takes its key and value over. `owner_pub` finds an owner's key, of now or before, by
        its id; it raises CertificateRefused for any other.
        """

        def person(key: bytes, value: bytes) -> None:
            signed = signed_from_bytes(value)
            self.put_terms(open_terms(signed, owner_pub(signed.author)), signed)

        def invite(key: bytes, value: bytes) -> None:
            found = decode(InviteState, value)
            if open_terms(found.signed, owner_pub(found.signed.author)) != found.terms:
                raise StoreDamaged("an invitation in Medulla's store was changed")
            self.put_invite(found)

        def delegation(key: bytes, value: bytes) -> None:
            signed = signed_from_bytes(value)
            known = self.keys.get(signed.author)
            public = known.ed_pub if known is not None else owner_pub(signed.author)
            self.put_delegation(open_delegation(signed, public), signed)

        return {
            "person": person,
            "invite": invite,
            "delegation": delegation,
            "person_key": lambda key, value: self.put_held(key, decode(Held, value)),
            "person_request": lambda key, value: self.used.__setitem__(key, decode(Used, value)),
        }

    # ----------------------------------------------------------------------------------------- terms, invitations

    def put_terms(self, terms: PersonTerms, signed: Signed) -> Save:
        """Terms come into force."""
        self.terms[terms.person] = (terms, signed)
        return Save("person", terms.person, signed_to_bytes(signed))

    def put_invite(self, invite: InviteState) -> Save:
        """An invitation as it stands now."""
        self.invites[invite.terms.invite_id] = invite
        return Save("invite", invite.terms.invite_id, encode(invite))

    def old_invites(self, now_ms: int) -> Iterator[Forget]:
        """Forget invitations that ended a while ago: nobody can accept them any more."""
        for id_, invite in list(self.invites.items()):
            if now_ms > invite.terms.invite_expires_ms + USED_KEEP_MS:
                del self.invites[id_]
                yield Forget("invite", id_)

    # ------------------------------------------------------------------------------------------------ delegations

    def put_delegation(self, delegation: Delegation, signed: Signed) -> Save:
        """A delegation comes into force."""
        self.delegations[delegation.delegation_id] = (delegation, signed)
        return Save("delegation", delegation.delegation_id, signed_to_bytes(signed))

    def delegation(self, kind: str, acting_id: str, person: bytes) -> Delegation | None:
        """The one delegation by which this acts for that person (empty: the owner); a new one replaces the old."""
        for delegation, _ in self.delegations.values():
            if (delegation.kind, delegation.acting_id, delegation.person) == (kind, acting_id, person):
                return delegation
        return None

    def drop_delegation(self, delegation_id: bytes) -> list[Forget]:
        """A delegation is void; again changes nothing."""
        if self.delegations.pop(delegation_id, None) is None:
            return []
        return [Forget("delegation", delegation_id)]

    def drop(self, subject: bytes, leaving: tuple[bytes, ...]) -> list[Forget]:
        """A member or person leaves, with these ids: keys, what they signed, and what a person leaves behind."""
        gone = [key for key in leaving if self.keys.pop(key, None) is not None]
        forgotten = [Forget("person_key", key) for key in gone if self.held.pop(key, None) is not None]
        self._index()
        if self.terms.pop(subject, None) is not None:
            forgotten.append(Forget("person", subject))
        for id_ in [id_ for id_, found in self.invites.items() if found.terms.person == subject]:
            del self.invites[id_]
            forgotten.append(Forget("invite", id_))
        for id_, (delegation, signed) in list(self.delegations.items()):
            if delegation.person == subject or signed.author in leaving:
                forgotten += self.drop_delegation(id_)
        return forgotten

    # --------------------------------------------------------------------------------------------------- requests

    def check_room(self, now_ms: int) -> None:
        """Refuse while too many requests are remembered that could still come again.

        Raises:
            Busy.
        """
        if len(self.used) >= USED_MAX and next(iter(self.used.values())).until_ms > now_ms:
            raise Busy("people asked for too much in the last days", hint="Try again tomorrow.")

    def use(self, request_id: bytes, job_id: bytes, now_ms: int) -> list[Save | Forget]:
        """A person's request serves this job from now on; what could not come again is forgotten."""
        changed: list[Save | Forget] = []
        for oldest, used in list(islice(self.used.items(), 2)):
            if used.until_ms <= now_ms:
                del self.used[oldest]
                changed.append(Forget("person_request", oldest))
        self.used[request_id] = Used(job_id, now_ms + USED_KEEP_MS)
        return [*changed, Save("person_request", request_id, encode(self.used[request_id]))]


__all__ = ["DELEGATIONS_MAX", "INVITES_MAX", "PERSONS_MAX", "Held", "PeopleBeliefs", "Used"]
