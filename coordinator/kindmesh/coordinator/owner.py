"""The owner: what only the owner's key signs, and how it is opened.

The key is on disk only sealed under the passphrase; `unlock_owner` gives an `Owner` that signs grants, approvals (over
exactly the bytes the prompt showed), removals, policies, and who people are. It decides nothing about them beyond
whether they are of this mesh and mean something; Medulla checks all of it again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from kindmesh.coordinator.sealed import (
    open_key,
    sealed_from_bytes,
)
from kindmesh.mesh.clock import Clock, Entropy, SystemClock, SystemEntropy
from kindmesh.mesh.files import read_private
from kindmesh.mesh.home import Home
from kindmesh.mesh.trust import TRUST_FILE
from kindmesh.protocol.certificate import CapabilityGrant, Kind
from kindmesh.protocol.codec import decode
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.errors import InvalidInput, NotInitialised, StoreDamaged
from kindmesh.protocol.ids import key_id, new_id
from kindmesh.protocol.label_reset import LabelReset, sign_label_reset
from kindmesh.protocol.names import check_name
from kindmesh.protocol.people import (
    Delegation,
    PersonTerms,
    check_delegation,
    check_terms,
    sign_delegation,
    sign_terms,
)
from kindmesh.protocol.policy import (
    Approval,
    ApprovalRequest,
    Grant,
    Policy,
    Removal,
    sign_approval,
    sign_grant,
    sign_policy,
    sign_removal,
)
from kindmesh.protocol.readmit import Recall, sign_recall
from kindmesh.protocol.release import Release, sign_release
from kindmesh.protocol.roles import ALL_EFFECTS
from kindmesh.protocol.routine import RoutineApproval, check_routine, sign_routine
from kindmesh.protocol.signed import Signed
from kindmesh.protocol.standing import StandingApproval, check_standing, sign_standing

GRANT_TTL_MS: Final = 600_000
OWNER_KEY: Final = "owner.key"


class Owner:
    """The owner's unlocked key. Keep it no longer than it takes to sign."""

    def __init__(self, mesh: bytes, key: SigningKey, *, clock: Clock, entropy: Entropy) -> None:
        self.mesh = mesh
        self.subject = key_id(key.public)
        self._key = key
        self._clock = clock
        self._entropy = entropy

    def sign_grant(
        self,
        *,
        name: str,
        ed_pub: bytes,
        curve_pub: bytes = b"",
        kind: Kind = "device",
        roles: tuple[str, ...] = ("node",),
        capabilities: tuple[CapabilityGrant, ...] = (),
    ) -> Signed:
        """A grant: this key may be certified, once, within 10 minutes, as exactly this."""
        now_ms = self._clock.now_ms()
        grant = Grant(
            mesh=self.mesh,
            grant_id=new_id(now_ms, self._entropy.token(10)),
            kind=kind,
            name=name,
            ed_pub=ed_pub,
            curve_pub=curve_pub,
            roles=roles,
            capabilities=capabilities,
            issued_ms=now_ms,
            expires_ms=now_ms + GRANT_TTL_MS,
        )
        return sign_grant(grant, self._key)

    def sign_approval(self, request: bytes, *, allow: bool) -> Signed:
        """The answer to a question: over exactly the bytes of the `ApprovalRequest` that were shown.

        Raises:
            Malformed: the bytes are no question.
            InvalidInput: a question of another mesh.
        """
        if decode(ApprovalRequest, request).mesh != self.mesh:
            raise InvalidInput("this question comes from another mesh", field="mesh")
        answer = Approval(request, "allow" if allow else "deny", self._clock.now_ms())
        return sign_approval(answer, self._key)

    def sign_standing(self, standing: StandingApproval) -> Signed:
        """A yes that lasts, as it was shown.

        Raises:
            Malformed: its question is none. InvalidInput: of another mesh, or it means nothing.
        """
        if standing.mesh != self.mesh:
            raise InvalidInput("this question comes from another mesh", field="mesh")
        check_standing(standing)
        return sign_standing(standing, self._key)

    def sign_routine(self, approval: RoutineApproval) -> Signed:
        """A yes to a learned routine, as it was shown.

        Raises:
            Malformed: its request is none. InvalidInput: of another mesh, or it means nothing.
        """
        if check_routine(approval).mesh != self.mesh:
            raise InvalidInput("this routine comes from another mesh", field="mesh")
        return sign_routine(approval, self._key)

    def sign_label_reset(self, reset: LabelReset) -> Signed:
        """The word that what a capability of a device keeps counts as its own again.

        Raises:
            InvalidInput: for another mesh.
        """
        if reset.mesh != self.mesh:
            raise InvalidInput("this is for another mesh", field="mesh")
        return sign_label_reset(reset, self._key)

    def sign_removal(self, subject: bytes) -> Signed:
        """The removal of the member with that 20-byte id."""
        return sign_removal(Removal(self.mesh, subject, self._clock.now_ms()), self._key)

    def sign_recall(self, anchors_version: int, for_ms: int) -> Signed:
        """Members of before may be certified anew for `for_ms` from now, under that version of the anchors."""
        now_ms = self._clock.now_ms()
        return sign_recall(Recall(self.mesh, anchors_version, now_ms, now_ms + for_ms), self._key)

    def sign_terms(
        self,
        *,
        name: str,
        role: str,
        person: bytes = b"",
        operations: tuple[str, ...] = ("*",),
        effects: int = ALL_EFFECTS,
        lasts_ms: int = 0,
        until_ms: int = 0,
        invite_ms: int = 0,
    ) -> tuple[Signed, PersonTerms, bytes]:
        """What a person may be from now on, for `lasts_ms` or until `until_ms` (both 0: without an end). `person`
        empty: a new one. With `invite_ms` it is an invitation for that long: the last value is its private seed.

        Raises:
            InvalidInput: a name, role or time that cannot be.
        """
        now_ms = self._clock.now_ms()
        seed = self._entropy.token(32) if invite_ms else b""
        terms = PersonTerms(
            mesh=self.mesh,
            person=person or self._entropy.token(20),
            name=check_name(name),
            role=role,
            issued_ms=now_ms,
            until_ms=now_ms + lasts_ms if lasts_ms else until_ms,
            operations=operations,
            effects=effects,
            invite_id=new_id(now_ms, self._entropy.token(10)) if invite_ms else b"",
            invite_pub=SigningKey(seed).public if invite_ms else b"",
            invite_expires_ms=now_ms + invite_ms if invite_ms else 0,
        )
        check_terms(terms)
        return sign_terms(terms, self._key), terms, seed

    def sign_delegation(self, delegation: Delegation) -> Signed:
        """What a limb may do for somebody, or anything for the owner.

        Raises:
            InvalidInput: it cannot be.
        """
        check_delegation(delegation)
        return sign_delegation(delegation, self._key)

    def sign_release(self, subject: bytes) -> Signed:
        """The word that the member with that 20-byte id, of which two starts were alive, is one device."""
        return sign_release(Release(self.mesh, subject, self._clock.now_ms()), self._key)

    def sign_policy(self, policy: Policy) -> Signed:
        """A policy.

        Raises:
            InvalidInput: for another mesh.
        """
        if policy.mesh != self.mesh:
            raise InvalidInput("this policy is for another mesh", field="mesh")
        return sign_policy(policy, self._key)


def coordinator_identity(home: Home) -> Path:
    """The coordinator's identity folder (keys, certificate, what it knows of the mesh)."""
    return home.coordinator / "identity"


def is_coordinator_home(home: Home) -> bool:
    """Whether a mesh was made here (and not only joined)."""
    return (home.identity / TRUST_FILE).exists() and (home.medulla / "keys" / "bundle").exists()


def unlock_owner(
    home: Home, passphrase: str, *, clock: Clock | None = None, entropy: Entropy | None = None
) -> Owner:
    """The owner's key, for signing.

    Raises:
        NotInitialised: no owner's key here.
        WrongPassphrase: not this one.
        InsecurePermissions, StoreError, Malformed: the file.
    """
    path = home.owner / OWNER_KEY
    if not path.exists():
        raise NotInitialised(
            "the owner's key is not on this device", hint="Do this on the device where the mesh was made."
        )
    sealed = sealed_from_bytes(read_private(path, limit=1024))
    if sealed.purpose != "owner":
        raise StoreDamaged(f"{path} is not the owner's key")
    key = open_key(sealed, passphrase)
    return Owner(sealed.mesh, key, clock=clock or SystemClock(), entropy=entropy or SystemEntropy())


__all__ = [
    "OWNER_KEY",
    "Owner",
    "coordinator_identity",
    "is_coordinator_home",
    "unlock_owner",
]
