"""A small mesh with real keys, certificates and a signed policy, made in memory for tests.

`Household(seed)` holds the keys that in a real mesh lie with the owner and Medulla; `member` makes a device with its
identity and its view of the mesh's trust, `permit` signs what Medulla would. Nothing here goes around a check.
"""

from __future__ import annotations

import msgspec

from kindmesh.mesh.identity import Identity
from kindmesh.mesh.trust import Trust, TrustFile
from kindmesh.mesh.virtual import SeededEntropy
from kindmesh.protocol.anchors import AnchorList, sign_anchors
from kindmesh.protocol.certificate import (
    CapabilityGrant,
    Certificate,
    Kind,
    RevocationList,
    Roster,
    sign_certificate,
    sign_revocations,
    sign_roster,
)
from kindmesh.protocol.crypto import CurveKey, SigningKey, sha256
from kindmesh.protocol.ids import key_id, new_id
from kindmesh.protocol.limits import CERTIFICATE_LIFETIME_MS, PERMIT_TTL_MS
from kindmesh.protocol.permit import Permit, sign_permit
from kindmesh.protocol.policy import Policy, first_policy, sign_policy
from kindmesh.protocol.principal import OWNER
from kindmesh.protocol.signed import Signed


class Household:
    """See the module. `now_ms` is when everything was issued."""

    def __init__(self, seed: int, now_ms: int) -> None:
        self.entropy = SeededEntropy(f"household-{seed}")
        self.now_ms = now_ms
        self.root, self.owner, self.issuer, self.medulla = (
            SigningKey(self.entropy.token(32)) for _ in range(4)
        )
        self.mesh = key_id(self.root.public)
        self._serial = 0
        self._versions = 0
        anchors = (
            self._certificate(self.owner, "person", "Owner", ("owner",)),
            self._certificate(self.issuer, "issuer", "issuer", ()),
            self._certificate(self.medulla, "medulla", "medulla", ()),
        )
        self.bundle = sign_anchors(AnchorList(self.mesh, now_ms, now_ms, anchors), self.root)
        self.policy: Policy = first_policy(self.mesh, now_ms)
        self.identities: dict[str, Identity] = {}
        self.certificates: dict[str, Signed] = {}
        self.revoked: list[bytes] = []

    def _certify(
        self,
        key: SigningKey,
        kind: Kind,
        name: str,
        roles: tuple[str, ...],
        by: SigningKey,
        curve_pub: bytes = b"",
        lifetime_ms: int = CERTIFICATE_LIFETIME_MS,
    ) -> Signed:
        return sign_certificate(self._certificate(key, kind, name, roles, curve_pub, lifetime_ms), by)

    def _certificate(
        self,
        key: SigningKey,
        kind: Kind,
        name: str,
        roles: tuple[str, ...],
        curve_pub: bytes = b"",
        lifetime_ms: int = CERTIFICATE_LIFETIME_MS,
    ) -> Certificate:
        self._serial += 1
        return Certificate(
            mesh=self.mesh,
            subject=key_id(key.public),
            kind=kind,
            name=name,
            ed_pub=key.public,
            curve_pub=curve_pub,
            roles=roles,
            capabilities=(CapabilityGrant("*", 255),),
            not_before_ms=self.now_ms,
            expires_ms=self.now_ms + lifetime_ms,
            serial=self._serial,
        )

    def add(self, name: str, role: str = "node", *, lifetime_ms: int = CERTIFICATE_LIFETIME_MS) -> Identity:
        """A new device, certified; members made later know it."""
        identity = Identity(
            SigningKey(self.entropy.token(32)), CurveKey(self.entropy.token(32)), 1, self.entropy.token(8)
        )
        self.identities[name] = identity
        self.certificates[name] = self._certify(
            identity.signing, "device", name, (role,), self.issuer, identity.curve.public, lifetime_ms
        )
        return identity

    def roster(self) -> Signed:
        """A roster of all devices, newer than the one before."""
        self._versions += 1
        return sign_roster(
            Roster(self.mesh, self._versions, self.now_ms, tuple(self.certificates.values())), self.issuer
        )

    def revocations(self, now_ms: int | None = None) -> Signed:
        """The revocation list, newer than the one before."""
        self._versions += 1
        issued_ms = self.now_ms if now_ms is None else now_ms
        return sign_revocations(
            RevocationList(self.mesh, self._versions, issued_ms, tuple(self.revoked)), self.issuer
        )

    def trust_file(self, name: str, coordinator: str = "desk", addresses: tuple[str, ...] = ()) -> TrustFile:
        """What the member called `name` would have on disk."""
        return TrustFile(
            schema=1,
            mesh=self.mesh,
            bundle=self.bundle,
            certificate=self.certificates[name],
            coordinator=self.certificates[coordinator],
            rosters=(self.roster(),),
            revocations=(self.revocations(),),
            policy=sign_policy(self.policy, self.owner),
            addresses=addresses,
        )

    def trust(self, name: str, coordinator: str = "desk", addresses: tuple[str, ...] = ()) -> Trust:
        """That member's view, not kept on disk."""
        return Trust(None, self.trust_file(name, coordinator, addresses))

    def permit(
        self,
        *,
        target: bytes,
        operation: str,
        args: bytes,
        effects: int,
        job_id: bytes = b"",
        **changes: object,
    ) -> Signed:
        """A `once` permit as Medulla would sign it; `changes` replace fields."""
        permit = Permit(
            mesh=self.mesh,
            kind="once",
            permit_id=new_id(self.now_ms, self.entropy.token(10)),
            run_id=job_id or new_id(self.now_ms, self.entropy.token(10)),
            step=0,
            job_id=job_id or new_id(self.now_ms, self.entropy.token(10)),
            operation=operation,
            target=target,
            args_hash=sha256(args),
            effects=effects,
            policy_version=self.policy.version,
            epoch=1,
            issued_ms=self.now_ms,
            expires_ms=self.now_ms + PERMIT_TTL_MS,
            max_uses=1,
            principal=OWNER,
            isolation="landlock",
        )
        return sign_permit(msgspec.structs.replace(permit, **changes), self.medulla)


__all__ = ["Household"]
