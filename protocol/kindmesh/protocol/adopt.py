"""Adopting a device that has no screen: its own label says who it is.

    coordinator (has read the label)             device (waits, listens with its own CURVE key)
      AdoptHello{mesh, key, nonce}       ->          over CURVE: the label's key is pinned
                                        <- AdoptChallenge{nonce}
      AdoptOffer{hmac, invitation}       ->          proves the label's secret; says where to knock
                                        <- AdoptAccepted{hmac} | AdoptRefused
                                                     (the device knocks there, as with any invitation)

The label carries the device's public keys and a secret of its own, so both ends prove what only the label's readers
know: the device by its CURVE key and an HMAC, the coordinator by an HMAC over everything that was said, the
invitation included. What the device joins is thereby the mesh of whoever holds the label. The text is `KL1:` and
base32.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

import msgspec

from kindmesh.protocol.bounds import Count, Hash, Key, KeyId, Name, Nonce, Secret
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.crypto import constant_time_equal, hmac_sha256, sha256
from kindmesh.protocol.enrol import ENROL_VERSION, Invitation
from kindmesh.protocol.errors import EnrolmentRefused, InvalidInput, Malformed, UnsupportedVersion, WireError
from kindmesh.protocol.limits import NAME_MAX

LABEL_PREFIX: Final = "KL1:"
ADOPT_DOMAIN: Final = b"kindmesh-adopt-v1\0"
ADOPT_HOST_DOMAIN: Final = b"kindmesh-adopt-host-v1\0"
ADOPT_DEVICE_DOMAIN: Final = b"kindmesh-adopt-device-v1\0"


class Label(msgspec.Struct, array_like=True, frozen=True):
    """What a device's label says: its keys (32 bytes each), its secret (16 bytes), and what it calls itself."""

    version: Count
    ed_pub: Key
    curve_pub: Key
    secret: Secret
    name: Name

    def __repr__(self) -> str:
        return f"Label(ed_pub={self.ed_pub.hex()[:8]}..., name={self.name!r})"


class AdoptHello(msgspec.Struct, array_like=True, frozen=True, tag="adopt-hello"):
    """Who comes: the mesh, the coordinator's Ed25519 key, and a nonce (32 bytes)."""

    version: Count
    mesh: KeyId
    ed_pub: Key
    nonce: Nonce


class AdoptChallenge(msgspec.Struct, array_like=True, frozen=True, tag="adopt-challenge"):
    """The device's nonce (32 bytes)."""

    nonce: Nonce


class AdoptOffer(msgspec.Struct, array_like=True, frozen=True, tag="adopt-offer"):
    """The invitation, and the coordinator's proof that it read the label."""

    mac: Hash
    invitation: Invitation


class AdoptAccepted(msgspec.Struct, array_like=True, frozen=True, tag="adopt-accepted"):
    """The device's proof that it is the one with the label; it is on its way to the door."""

    mac: Hash


class AdoptRefused(msgspec.Struct, array_like=True, frozen=True, tag="adopt-refused"):
    """The end of it."""

    error: WireError


AdoptMessage = AdoptHello | AdoptChallenge | AdoptOffer | AdoptAccepted | AdoptRefused
_ANY_MESSAGE: Any = AdoptMessage


def decode_adoption(data: bytes) -> AdoptMessage:
    """Any of the messages of adoption.

    Raises:
        Malformed: none of them.
    """
    message: AdoptMessage = decode(_ANY_MESSAGE, data, limit=4096)
    return message


def label_to_text(label: Label) -> str:
    """`KL1:` + base32 without padding."""
    return LABEL_PREFIX + base64.b32encode(encode(label)).decode().rstrip("=")


def label_from_text(text: str) -> Label:
    """Undo `label_to_text`; white space and case do not matter.

    Raises:
        InvalidInput: not a label, or cut off.
        UnsupportedVersion: made by a newer version.
    """
    plain = "".join(text.split()).upper()
    hint = "Copy the whole text of the device's label; it begins with KL1:."
    if not plain.startswith(LABEL_PREFIX):
        if plain.startswith("KL") and ":" in plain[:6]:
            raise UnsupportedVersion("this label was made by another version of Kindmesh")
        raise InvalidInput("this is not a device's label", field="label", hint=hint)
    body = plain[len(LABEL_PREFIX) :]
    try:
        label = decode(Label, base64.b32decode(body + "=" * (-len(body) % 8)), limit=512)
    except (binascii.Error, ValueError, Malformed) as error:
        raise InvalidInput("the label is damaged or cut off", field="label", hint=hint) from error
    if label.version != ENROL_VERSION:
        raise UnsupportedVersion("this label was made by another version of Kindmesh")
    if not label.name.strip() or len(label.name) > NAME_MAX or not label.name.isprintable():
        raise InvalidInput("the name on the label cannot be shown", field="label", hint=hint)
    return label


def adopt_transcript(label: Label, host_curve: bytes, hello: AdoptHello, challenge: AdoptChallenge) -> bytes:
    """SHA-256 (32 bytes) of who talks to whom; `host_curve` is the key of the coordinator's connection."""
    parts = (label.ed_pub, label.curve_pub, host_curve, encode(hello), encode(challenge))
    return sha256(ADOPT_DOMAIN + b"".join(sha256(part) for part in parts))


def adopt_offer(label: Label, agreed: bytes, invitation: Invitation) -> AdoptOffer:
    """The coordinator's proof, with the invitation that it is for."""
    return AdoptOffer(_mac(label, ADOPT_HOST_DOMAIN, agreed, invitation), invitation)


def adopt_accepted(label: Label, agreed: bytes, invitation: Invitation) -> AdoptAccepted:
    """The device's proof."""
    return AdoptAccepted(_mac(label, ADOPT_DEVICE_DOMAIN, agreed, invitation))


def check_adopt_hello(hello: AdoptHello) -> None:
    """Refuse another version.

    Raises:
        UnsupportedVersion.
    """
    if hello.version != ENROL_VERSION:
        raise UnsupportedVersion(
            f"the coordinator pairs with version {hello.version}, this device with {ENROL_VERSION}"
        )


def check_offer(label: Label, agreed: bytes, host_curve: bytes, hello: AdoptHello, offer: AdoptOffer) -> None:
    """Refuse who did not read the label, and an invitation to somebody else's door.

    Raises:
        EnrolmentRefused.
    """
    expected = adopt_offer(label, agreed, offer.invitation)
    if not constant_time_equal(expected.mac, offer.mac):
        raise EnrolmentRefused("who wants to adopt this device did not read its label")
    invitation = offer.invitation
    if (invitation.mesh, invitation.ed_pub, invitation.curve_pub) != (hello.mesh, hello.ed_pub, host_curve):
        raise EnrolmentRefused("the invitation leads to somebody else's door")


def check_accepted_by(label: Label, agreed: bytes, invitation: Invitation, accepted: AdoptAccepted) -> None:
    """Refuse a device that does not know its own label.

    Raises:
        EnrolmentRefused.
    """
    if not constant_time_equal(adopt_accepted(label, agreed, invitation).mac, accepted.mac):
        raise EnrolmentRefused("the device does not know the secret of this label")


def _mac(label: Label, domain: bytes, agreed: bytes, invitation: Invitation) -> bytes:
    return hmac_sha256(label.secret, domain + agreed + sha256(encode(invitation)))


__all__ = [
    "ADOPT_DEVICE_DOMAIN",
    "ADOPT_DOMAIN",
    "ADOPT_HOST_DOMAIN",
    "LABEL_PREFIX",
    "AdoptAccepted",
    "AdoptChallenge",
    "AdoptHello",
    "AdoptMessage",
    "AdoptOffer",
    "AdoptRefused",
    "Label",
    "adopt_accepted",
    "adopt_offer",
    "adopt_transcript",
    "check_accepted_by",
    "check_adopt_hello",
    "check_offer",
    "decode_adoption",
    "label_from_text",
    "label_to_text",
]
