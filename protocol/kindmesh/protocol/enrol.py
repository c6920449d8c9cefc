"""Pairing: what the QR says, the proofs, and the code both sides show.

    device                                   coordinator (one window, one secret)
      EnrolHello{keys, name, offers, commitment} ->
                                         <- EnrolChallenge{nonce}        (the nonce is the owner's own)
      EnrolProof{hmac, signature, nonce}    ->          (both now show the same 4-digit code)
                                         <- EnrolPending{hmac}
                                                        (the owner compares the code, trims, signs the grant)
                                         <- EnrolGranted{bundle, certificate, roster, ...} | EnrolRefused
      EnrolDone{signature}                  ->
                                         <- EnrolClosed

The QR authenticates the coordinator (its CURVE key is pinned by the connection, its Ed25519 key signs what follows),
so no PAKE is needed. The HMAC, keyed with the QR's one-time secret, covers the transcript: both key pairs, both
nonces, role, version, name and what is offered. The device's own signature over the same transcript proves its key;
the coordinator's HMAC in `EnrolPending` proves to the device that the door knows the secret, too.

Four digits hold because nobody can try codes out. The device commits to its nonce (a hash) before it sees the other;
the other nonce is made by the program in which the owner types the code, after it has seen the hello; both only then
become the code. So whoever sits in between, the coordinator included, has one chance in ten thousand for each hello,
and hellos are counted (`PAIR_HELLOS_MAX` a window).
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
    OptionalKey,
    Secret,
    Signature,
    Word,
)
from kindmesh.protocol.certificate import open_certificate
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.crypto import constant_time_equal, hmac_sha256, sha256, verify
from kindmesh.protocol.errors import EnrolmentRefused, InvalidInput, Malformed, UnsupportedVersion, WireError
from kindmesh.protocol.limits import NAME_MAX, OFFERS_MAX, PAIR_SECRET
from kindmesh.protocol.signed import Signed
from kindmesh.protocol.typed import TypedAccepted, TypedConfirm, TypedShare, TypedStart

ENROL_VERSION: Final = 1
TRANSCRIPT_DOMAIN: Final = b"kindmesh-enrol-v1\0"
COMMIT_DOMAIN: Final = b"kindmesh-enrol-commit-v1\0"
CODE_DOMAIN: Final = b"kindmesh-enrol-code-v1\0"
HOST_DOMAIN: Final = b"kindmesh-enrol-host-v1\0"
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


class OfferedOperation(msgspec.Struct, array_like=True, frozen=True):
    """One operation of an offer, by its full name (`speech.say`), and its effects (bit set)."""

    name: Word
    effects: Effects


class OfferSummary(msgspec.Struct, array_like=True, frozen=True):
    """What is asked for, as the owner will read it: a capability, its operations, and the effects of all of them
    together (bit set), which is what a grant allows or trims."""

    capability: Word
    title: Line
    effects: Effects
    operations: Annotated[tuple[OfferedOperation, ...], Meta(max_length=64)] = ()


class EnrolHello(msgspec.Struct, array_like=True, frozen=True, tag="hello"):
    """`ed_pub`, `curve_pub`: 32 bytes each; `commitment`: `nonce_commitment` of the nonce that `EnrolProof` reveals."""

    version: Count
    ed_pub: Key
    curve_pub: Key
    name: Name
    role: Word
    offers: Annotated[tuple[OfferSummary, ...], Meta(max_length=OFFERS_MAX)]
    commitment: Hash


class EnrolChallenge(msgspec.Struct, array_like=True, frozen=True, tag="challenge"):
    """`nonce`: 32 fresh bytes of the owner's program, made after the hello was seen."""

    nonce: Nonce


class EnrolProof(msgspec.Struct, array_like=True, frozen=True, tag="proof"):
    """`mac`: HMAC-SHA-256 over the transcript; `signature`: the device's, over the same; `nonce`: what the hello
    committed to."""

    mac: Hash
    signature: Signature
    nonce: Nonce


class EnrolPending(msgspec.Struct, array_like=True, frozen=True, tag="pending"):
    """The proof was right; the owner is being asked. `mac`: the door's own proof (`host_mac`); empty where no
    window was asked (`readmit`)."""

    mac: OptionalKey = b""


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
    TypedStart
    | TypedShare
    | TypedConfirm
    | TypedAccepted
    | EnrolHello
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


def nonce_commitment(nonce: bytes) -> bytes:
    """What the hello says of the device's nonce: its hash, 32 bytes."""
    return sha256(COMMIT_DOMAIN + nonce)


def transcript(
    invitation: Invitation, hello: EnrolHello, challenge: EnrolChallenge, device_nonce: bytes
) -> bytes:
    """SHA-256 (32 bytes) of all that both sides must agree on; the secret itself is not in it."""
    public = msgspec.structs.replace(invitation, secret=b"\0" * PAIR_SECRET, hints=("-",))
    parts = (encode(public), encode(hello), encode(challenge), device_nonce)
    return sha256(TRANSCRIPT_DOMAIN + b"".join(sha256(part) for part in parts))


def proof_mac(invitation: Invitation, transcript_hash: bytes) -> bytes:
    """The device's proof that it read the QR."""
    return hmac_sha256(invitation.secret, TRANSCRIPT_DOMAIN + transcript_hash)


def host_mac(invitation: Invitation, transcript_hash: bytes) -> bytes:
    """The door's proof that it made the QR."""
    return hmac_sha256(invitation.secret, HOST_DOMAIN + transcript_hash)


def check_code(transcript_hash: bytes) -> str:
    """Four digits that both sides show. They need no key: both nonces are in the transcript, and nobody could choose
    one of them knowing the other."""
    return f"{int.from_bytes(sha256(CODE_DOMAIN + transcript_hash)[:8], 'big') % 10_000:04d}"


def check_hello(hello: EnrolHello, curve_pub: bytes) -> None:
    """Refuse a hello that is malformed or claims another CURVE key than the connection's.

    Raises:
        EnrolmentRefused, UnsupportedVersion.
    """
    if hello.version != ENROL_VERSION:
        raise UnsupportedVersion(f"the device pairs with version {hello.version}, we with {ENROL_VERSION}")
    if (len(hello.ed_pub), len(hello.curve_pub), len(hello.commitment)) != (32, 32, 32):
        raise EnrolmentRefused("the device's keys are malformed")
    if hello.curve_pub != curve_pub:
        raise EnrolmentRefused("the device came over another connection than it says")
    if not hello.name.strip() or len(hello.name) > NAME_MAX or not hello.name.isprintable():
        raise EnrolmentRefused(f"a device's name has 1 to {NAME_MAX} printable characters", field="name")
    for offer in hello.offers:
        words = (offer.capability, offer.title, *(operation.name for operation in offer.operations))
        if not all(word.isprintable() for word in words):
            raise EnrolmentRefused("what the device offers cannot be shown", field="offers")
        effects = 0
        for operation in offer.operations:
            effects |= operation.effects
        if effects | offer.effects != offer.effects:
            raise EnrolmentRefused("an operation does more than its capability asks for", field="offers")


def check_proof(
    invitation: Invitation, hello: EnrolHello, challenge: EnrolChallenge, proof: EnrolProof
) -> bytes:
    """Refuse a proof made without the secret, without the device's key, with another nonce than the hello committed
    to, or for another role than was offered. Returns the transcript's hash.

    Raises:
        EnrolmentRefused.
    """
    if not constant_time_equal(nonce_commitment(proof.nonce), hello.commitment):
        raise EnrolmentRefused("the device changed its nonce after it had seen ours")
    transcript_hash = transcript(invitation, hello, challenge, proof.nonce)
    if hello.role != invitation.role:
        raise EnrolmentRefused("the device asks for another role than it was invited to", field="role")
    if not constant_time_equal(proof_mac(invitation, transcript_hash), proof.mac):
        raise EnrolmentRefused("the device did not read this window's invitation")
    if not verify(hello.ed_pub, proof.signature, DEVICE_DOMAIN + transcript_hash):
        raise EnrolmentRefused("the device does not hold the key it shows")
    return transcript_hash


def check_pending(invitation: Invitation, transcript_hash: bytes, pending: EnrolPending) -> None:
    """Refuse a door that does not know the secret.

    Raises:
        EnrolmentRefused.
    """
    if not constant_time_equal(host_mac(invitation, transcript_hash), pending.mac):
        raise EnrolmentRefused("who answers did not make this invitation")


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
    "OfferedOperation",
    "check_code",
    "check_done",
    "check_granted",
    "check_hello",
    "check_pending",
    "check_proof",
    "decode_message",
    "host_mac",
    "invitation_from_text",
    "invitation_to_text",
    "nonce_commitment",
    "proof_mac",
    "transcript",
]
