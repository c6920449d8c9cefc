"""Pairing: what the QR says, the proofs, and the code both sides show.

    device                                   coordinator (one window, one secret)
      EnrolHello{keys, name, offers, nonce} ->
                                         <- EnrolChallenge{nonce}
      EnrolProof{hmac, signature}           ->          (both now show the same 4-digit code)
                                         <- EnrolPending
                                                        (the owner compares the code, trims, signs the grant)
                                         <- EnrolGranted{bundle, certificate, roster, ...} | EnrolRefused
      EnrolDone{signature}                  ->
                                         <- EnrolClosed

The QR authenticates the coordinator (its CURVE key is pinned by the connection, its Ed25519 key signs what follows),
so no PAKE is needed. The HMAC, keyed with the QR's one-time secret, covers the transcript: both key pairs, both
nonces, role, version, name and what is offered. The device's own signature over the same transcript proves its key.
The text is `KM1:` and upper-case base32, so that a QR code can use its compact alphanumeric mode.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from kindmesh.protocol.anchors import MeshBundle, Papers, open_bundle
from kindmesh.protocol.bounds import (
    Count,
    Effects,
    Hash,
    Key,
    KeyId,
    Line,
    Name,
    Nonce,
    Secret,
    Signature,
    Word,
)
from kindmesh.protocol.certificate import open_certificate
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.crypto import constant_time_equal, hmac_sha256, sha256, verify
from kindmesh.protocol.errors import EnrolmentRefused, InvalidInput, Malformed, UnsupportedVersion, WireError
from kindmesh.protocol.limits import NAME_MAX, PAIR_SECRET
from kindmesh.protocol.signed import Signed

ENROL_VERSION: Final = 1
TRANSCRIPT_DOMAIN: Final = b"kindmesh-enrol-v1\0"
DEVICE_DOMAIN: Final = b"kindmesh-enrol-device-v1\0"
DONE_DOMAIN: Final = b"kindmesh-enrol-done-v1\0"
TEXT_PREFIX: Final = "KM1:"


class Invitation(msgspec.Struct, array_like=True, frozen=True):
    """The QR's contents: `mesh` id (20), the coordinator's keys (32 each), address hints of its enrol socket
    (`host:port`), one-time `secret` (16), expiry (UTC seconds, so that it stays short), and the role offered."""

    version: Count
    mesh: KeyId
    ed_pub: Key
    curve_pub: Key
    hints: Annotated[tuple[Line, ...], Meta(min_length=1)]
    secret: Secret
    expires_s: Count
    role: Word = "node"

    def __repr__(self) -> str:
        return f"Invitation(mesh={self.mesh.hex()[:8]}..., hints={self.hints}, role={self.role})"


class OfferSummary(msgspec.Struct, array_like=True, frozen=True):
    """What is asked for, as the owner will read it: a capability and the effects of its operations (bit set)."""

    capability: Word
    title: Line
    effects: Effects


class EnrolHello(msgspec.Struct, array_like=True, frozen=True, tag="hello"):
    """`ed_pub`, `curve_pub`, `nonce`: 32 bytes each."""

    version: Count
    ed_pub: Key
    curve_pub: Key
    name: Name
    role: Word
    offers: Annotated[tuple[OfferSummary, ...], Meta(max_length=64)]
    nonce: Nonce


class EnrolChallenge(msgspec.Struct, array_like=True, frozen=True, tag="challenge"):
    """`nonce`: 32 fresh bytes of the coordinator."""

    nonce: Nonce


class EnrolProof(msgspec.Struct, array_like=True, frozen=True, tag="proof"):
    """`mac`: HMAC-SHA-256 over the transcript; `signature`: the device's, over the same."""

    mac: Hash
    signature: Signature


class EnrolPending(msgspec.Struct, array_like=True, frozen=True, tag="pending"):
    """The proof was right; the owner is being asked."""


class EnrolGranted(msgspec.Struct, array_like=True, frozen=True, tag="granted"):
    """All a member needs; `addresses` (`host:port`) are where the coordinator's mesh socket listens."""

    bundle: MeshBundle
    certificate: Signed
    coordinator: Signed
    rosters: Papers
    revocations: Papers
    policy: Signed
    addresses: tuple[Line, ...]


class EnrolRefused(msgspec.Struct, array_like=True, frozen=True, tag="refused"):
    """The end of it."""

    error: WireError


class EnrolDone(msgspec.Struct, array_like=True, frozen=True, tag="done"):
    """The device has stored its certificate; its signature over the transcript says so."""

    signature: Signature


class EnrolClosed(msgspec.Struct, array_like=True, frozen=True, tag="closed"):
    """The coordinator knows that the device has its papers; the window is closed."""


EnrolMessage = (
    EnrolHello
    | EnrolChallenge
    | EnrolProof
    | EnrolPending
    | EnrolGranted
    | EnrolRefused
    | EnrolDone
    | EnrolClosed
)


def decode_message(data: bytes) -> EnrolMessage:
    """Any of the messages of pairing.

    Raises:
        Malformed: none of them.
    """
    message: EnrolMessage = decode(_ANY_MESSAGE, data)
    return message


_ANY_MESSAGE: Any = EnrolMessage


def invitation_to_text(invitation: Invitation) -> str:
    """`KM1:` + base32 without padding."""
    return TEXT_PREFIX + base64.b32encode(encode(invitation)).decode().rstrip("=")


def invitation_from_text(text: str) -> Invitation:
    """Undo `invitation_to_text`; white space and case do not matter.

    Raises:
        InvalidInput: not an invitation, or cut off.
        UnsupportedVersion: made by a newer version.
    """
    plain = "".join(text.split()).upper()
    hint = "Copy the whole text below the QR code of kindmesh pair; it begins with KM1:."
    if not plain.startswith(TEXT_PREFIX):
        if plain.startswith("KM") and ":" in plain[:6]:
            raise UnsupportedVersion("this invitation was made by another version of Kindmesh")
        raise InvalidInput("this is not an invitation", field="text", hint=hint)
    body = plain[len(TEXT_PREFIX) :]
    try:
        invitation = decode(Invitation, base64.b32decode(body + "=" * (-len(body) % 8)), limit=1024)
    except (binascii.Error, ValueError, Malformed) as error:
        raise InvalidInput("the invitation is damaged or cut off", field="text", hint=hint) from error
    if invitation.version != ENROL_VERSION:
        raise UnsupportedVersion("this invitation was made by another version of Kindmesh")
    return invitation


def transcript(invitation: Invitation, hello: EnrolHello, challenge: EnrolChallenge) -> bytes:
    """SHA-256 (32 bytes) of all that both sides must agree on; the secret itself is not in it."""
    public = msgspec.structs.replace(invitation, secret=b"\0" * PAIR_SECRET, hints=("-",))
    return sha256(TRANSCRIPT_DOMAIN + b"".join(sha256(encode(part)) for part in (public, hello, challenge)))


def proof_mac(invitation: Invitation, transcript_hash: bytes) -> bytes:
    """The device's proof that it read the QR."""
    return hmac_sha256(invitation.secret, TRANSCRIPT_DOMAIN + transcript_hash)


def check_code(invitation: Invitation, transcript_hash: bytes) -> str:
    """Four digits that both sides show; keyed, so that only those who know the secret can make it."""
    digest = hmac_sha256(invitation.secret, b"kindmesh-enrol-code-v1\0" + transcript_hash)
    return f"{int.from_bytes(digest[:8], 'big') % 10_000:04d}"


def check_hello(hello: EnrolHello, curve_pub: bytes) -> None:
    """Refuse a hello that is malformed or claims another CURVE key than the connection's.

    Raises:
        EnrolmentRefused, UnsupportedVersion.
    """
    if hello.version != ENROL_VERSION:
        raise UnsupportedVersion(f"the device pairs with version {hello.version}, we with {ENROL_VERSION}")
    if (len(hello.ed_pub), len(hello.curve_pub), len(hello.nonce)) != (32, 32, 32):
        raise EnrolmentRefused("the device's keys are malformed")
    if hello.curve_pub != curve_pub:
        raise EnrolmentRefused("the device came over another connection than it says")
    if not hello.name.strip() or len(hello.name) > NAME_MAX or not hello.name.isprintable():
        raise EnrolmentRefused(f"a device's name has 1 to {NAME_MAX} printable characters", field="name")
    if not all(offer.capability.isprintable() and offer.title.isprintable() for offer in hello.offers):
        raise EnrolmentRefused("what the device offers cannot be shown", field="offers")


def check_proof(invitation: Invitation, hello: EnrolHello, transcript_hash: bytes, proof: EnrolProof) -> None:
    """Refuse a proof made without the secret, without the device's key, or for another role than was offered.

    Raises:
        EnrolmentRefused.
    """
    if hello.role != invitation.role:
        raise EnrolmentRefused("the device asks for another role than it was invited to", field="role")
    if not constant_time_equal(proof_mac(invitation, transcript_hash), proof.mac):
        raise EnrolmentRefused("the device did not read this window's invitation")
    if not verify(hello.ed_pub, proof.signature, DEVICE_DOMAIN + transcript_hash):
        raise EnrolmentRefused("the device does not hold the key it shows")


def check_done(hello: EnrolHello, transcript_hash: bytes, done: EnrolDone) -> None:
    """Refuse a confirmation that the device's key did not sign.

    Raises:
        EnrolmentRefused.
    """
    if not verify(hello.ed_pub, done.signature, DONE_DOMAIN + transcript_hash):
        raise EnrolmentRefused("the confirmation was not signed by the device")


def check_granted(granted: EnrolGranted, invitation: Invitation, hello: EnrolHello) -> None:
    """Refuse papers that are not for this device, or not of the mesh and coordinator that the invitation names.

    Raises:
        EnrolmentRefused, CertificateRefused, Malformed.
    """
    anchors = open_bundle(granted.bundle, invitation.mesh)
    own = open_certificate(granted.certificate, anchors.issuer_pub(granted.certificate.author), anchors.mesh)
    if (own.ed_pub, own.curve_pub) != (hello.ed_pub, hello.curve_pub):
        raise EnrolmentRefused("the certificate is for another device")
    coordinator = open_certificate(
        granted.coordinator, anchors.issuer_pub(granted.coordinator.author), anchors.mesh
    )
    if (coordinator.ed_pub, coordinator.curve_pub) != (invitation.ed_pub, invitation.curve_pub):
        raise EnrolmentRefused("the coordinator is not the one that the invitation names")


__all__ = [
    "DEVICE_DOMAIN",
    "DONE_DOMAIN",
    "ENROL_VERSION",
    "EnrolChallenge",
    "EnrolClosed",
    "EnrolDone",
    "EnrolGranted",
    "EnrolHello",
    "EnrolMessage",
    "EnrolPending",
    "EnrolProof",
    "EnrolRefused",
    "Invitation",
    "OfferSummary",
    "check_code",
    "check_done",
    "check_granted",
    "check_hello",
    "check_proof",
    "decode_message",
    "invitation_from_text",
    "invitation_to_text",
    "proof_mac",
    "transcript",
]
