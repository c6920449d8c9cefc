"""Coming back after the coordinator was lost: what a device shows to the new one, and who allowed that it counts.

    device                                     new coordinator (made from the recovery kit), at its enrol door
      ReadmitHello{id, curve_pub}           ->
                                           <- EnrolChallenge{nonce}
      ReadmitProof{wish, credentials}       ->
                                           <- EnrolGranted{...} | EnrolPending | EnrolRefused

The device found the coordinator's certificate in papers that its own mesh's root vouches for, so the connection's CURVE
key is pinned. `Credentials` are what it has: older bundles (signed by the root: nobody can make one), its certificate,
and the newest rosters and revocation lists, of which removals are taken over. The *wish* is signed by the device.
A `Recall` is the owner's standing yes, signed when the kit was used: until it ends, Medulla certifies anew whoever was
certified and not removed, as what they were and never as more. Without one the owner is asked about each device.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from kindmesh.protocol.anchors import MeshBundle, Papers, open_bundle
from kindmesh.protocol.bounds import Count, Key, KeyId, Nonce, TimeMs
from kindmesh.protocol.certificate import CapabilityGrant, Certificate, open_certificate
from kindmesh.protocol.codec import decode
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.enrol import EnrolChallenge, EnrolGranted, EnrolPending, EnrolRefused
from kindmesh.protocol.errors import CertificateRefused, EnrolmentRefused
from kindmesh.protocol.limits import CERTIFICATE_MAX
from kindmesh.protocol.signed import Signed, open_signed, sign_struct

RECALL_DOMAIN: Final = b"kindmesh-recall-v1\0"
READMISSION_DOMAIN: Final = b"kindmesh-readmission-v1\0"
READMIT: Final = b"R"
"""First frame at the enrol door of whoever comes back; what pairs has one frame only."""
READMIT_VERSION: Final = 1
RECALL_MAX_MS: Final = 90 * 24 * 3_600_000
BUNDLES_MAX: Final = 8


class Recall(msgspec.Struct, array_like=True, frozen=True):
    """Until `until_ms`, members of before may be certified anew under that version of the anchors; by an owner."""

    mesh: KeyId
    anchors_version: Count
    issued_ms: TimeMs
    until_ms: TimeMs


class Readmission(msgspec.Struct, array_like=True, frozen=True):
    """A device's wish to be certified anew: signed with its key. `serial` of the certificate it shows, `nonce` of the
    coordinator's challenge, `anchors_version` under which it wants to be a member."""

    mesh: KeyId
    subject: KeyId
    serial: Count
    anchors_version: Count
    nonce: Nonce
    issued_ms: TimeMs


class Credentials(msgspec.Struct, array_like=True, frozen=True):
    """What a device has from before: bundles (the last in force first), its certificate, rosters, removals, policy."""

    bundles: Annotated[tuple[MeshBundle, ...], Meta(min_length=1, max_length=BUNDLES_MAX)]
    certificate: Signed
    rosters: Papers
    revocations: Papers
    policy: Signed


class ReadmitHello(msgspec.Struct, array_like=True, frozen=True, tag="again"):
    """`curve_pub` is that of the connection; the version is `READMIT_VERSION`."""

    version: Count
    subject: KeyId
    curve_pub: Key


class ReadmitProof(msgspec.Struct, array_like=True, frozen=True, tag="again-proof"):
    """`wish`: a signed `Readmission`."""

    wish: Signed
    credentials: Credentials


ReadmitMessage = ReadmitHello | EnrolChallenge | ReadmitProof | EnrolGranted | EnrolPending | EnrolRefused
_ANY_MESSAGE: Any = ReadmitMessage


def decode_readmit(data: bytes) -> ReadmitMessage:
    """Any of the messages of coming back.

    Raises:
        Malformed: none of them.
    """
    message: ReadmitMessage = decode(_ANY_MESSAGE, data)
    return message


def sign_recall(recall: Recall, owner: SigningKey) -> Signed:
    """Signed by an owner."""
    return sign_struct(recall, RECALL_DOMAIN, owner)


def open_recall(signed: Signed, owner_pub: bytes) -> Recall:
    """The recall; `BadSignature` when that owner did not sign it."""
    return open_signed(signed, Recall, RECALL_DOMAIN, owner_pub, limit=CERTIFICATE_MAX)


def sign_readmission(wish: Readmission, device: SigningKey) -> Signed:
    """Signed by the device."""
    return sign_struct(wish, READMISSION_DOMAIN, device)


def open_readmission(signed: Signed, device_pub: bytes) -> Readmission:
    """The wish; `BadSignature` when that device did not sign it."""
    return open_signed(signed, Readmission, READMISSION_DOMAIN, device_pub, limit=CERTIFICATE_MAX)


def widens(before: tuple[CapabilityGrant, ...], after: Certificate) -> bool:
    """Whether `after` grants any capability, or any effect, that `before` did not."""
    granted: dict[str, int] = {}
    for grant in before:
        granted[grant.capability] = granted.get(grant.capability, 0) | grant.effects
    return any(
        grant.capability not in granted or grant.effects & ~granted[grant.capability]
        for grant in after.capabilities
    )


def check_readmitted(granted: EnrolGranted, before: Certificate, coordinator: Certificate) -> None:
    """Refuse papers that are not for the device that `before` certified, that make more of it than it was, or that name
    another coordinator than the one that was asked.

    Raises:
        EnrolmentRefused, CertificateRefused, Malformed.
    """
    anchors = open_bundle(granted.bundle, before.mesh)
    own = open_certificate(granted.certificate, anchors.issuer_pub(granted.certificate.author), anchors.mesh)
    if (own.ed_pub, own.curve_pub) != (before.ed_pub, before.curve_pub):
        raise EnrolmentRefused("the certificate is for another device")
    if own.serial <= before.serial:
        raise CertificateRefused("the new certificate is older than the one from before")
    if widens(before.capabilities, own) or not set(own.roles) <= set(before.roles):
        raise CertificateRefused("the new certificate says more than the one from before")
    asked = open_certificate(
        granted.coordinator, anchors.issuer_pub(granted.coordinator.author), anchors.mesh
    )
    if asked.ed_pub != coordinator.ed_pub:
        raise EnrolmentRefused("the coordinator is not the one that was asked")


__all__ = [
    "BUNDLES_MAX",
    "READMIT",
    "READMIT_VERSION",
    "RECALL_MAX_MS",
    "Credentials",
    "Readmission",
    "ReadmitHello",
    "ReadmitMessage",
    "ReadmitProof",
    "Recall",
    "check_readmitted",
    "decode_readmit",
    "open_readmission",
    "open_recall",
    "sign_readmission",
    "sign_recall",
    "widens",
]
