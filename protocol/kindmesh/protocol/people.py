"""People of a mesh: what the owner lets them be, how they accept, how they ask, and what may act for them.

    PersonTerms     signed by the owner: name, role, limits, until when; with an invitation's public key, or without
    Acceptance      signed by the person's new key and by the invitation's key: only whoever holds the text can make it
    PersonRequest   signed by the person's key over method, parameters, device and time: a request is theirs, once
    Delegation      signed by the person (for a limb also by the owner): what a goal, limb or home may do for them

The text of an invitation is `KP1:` and upper-case base32 of `PersonInvitation`. Its private key is in the text alone:
whoever passes papers on (the coordinator, Medulla) cannot accept in somebody's place. A person may have several keys,
one for each device they use; `person` (20 bytes) is the same in all of them.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

import msgspec

from kindmesh.protocol.bounds import (
    Count,
    Effects,
    Key,
    KeyId,
    Name,
    OptionalKey,
    OptionalTimeId,
    Payload,
    Signature,
    TimeId,
    TimeMs,
    Word,
)
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.crypto import SigningKey, verify
from kindmesh.protocol.errors import (
    BadSignature,
    ClockSkew,
    InvalidInput,
    Malformed,
    SourceMismatch,
    UnsupportedVersion,
    WrongDestination,
)
from kindmesh.protocol.ids import TIME_ID
from kindmesh.protocol.limits import CERTIFICATE_MAX, CLOCK_SKEW_MS
from kindmesh.protocol.names import check_name
from kindmesh.protocol.principal import ActingKind
from kindmesh.protocol.roles import ALL_EFFECTS, ANY, EVERYTHING, Rights, Words, check_rights
from kindmesh.protocol.shown import repr_without
from kindmesh.protocol.signed import Signed, open_signed, sign_struct

TERMS_DOMAIN: Final = b"kindmesh-person-v1\0"
ACCEPT_DOMAIN: Final = b"kindmesh-person-accept-v1\0"
ACCEPT_INVITE_DOMAIN: Final = b"kindmesh-person-invite-v1\0"
ASK_DOMAIN: Final = b"kindmesh-person-ask-v1\0"
DELEGATION_DOMAIN: Final = b"kindmesh-delegation-v1\0"
TEXT_PREFIX: Final = "KP1:"
INVITATION_VERSION: Final = 1
INVITATION_MAX_MS: Final = 14 * 24 * 3_600_000
"""How long an invitation may wait at most."""
DELEGATION_MAX_MS: Final = 366 * 24 * 3_600_000


class PersonTerms(msgspec.Struct, array_like=True, frozen=True):
    """What the owner lets a person be; of one `person` (20 bytes) the newest `issued_ms` counts.

    `role` names a role of the policy; `operations` and `effects` narrow it further; `until_ms` 0: without an end. An
    invitation has `invite_id` (16 bytes), its public key and its expiry; later changes of the terms have none.
    """

    mesh: KeyId
    person: KeyId
    name: Name
    role: Word
    issued_ms: TimeMs
    until_ms: TimeMs = 0
    operations: Words = ANY
    effects: Effects = ALL_EFFECTS
    invite_id: OptionalTimeId = b""
    invite_pub: OptionalKey = b""
    invite_expires_ms: TimeMs = 0

    @property
    def rights(self) -> Rights:
        """What these terms allow at most, whatever the role is."""
        return Rights(self.operations, self.effects)

    def lasts(self, end_ms: int) -> int:
        """`end_ms`, or when these terms end if that is earlier."""
        return min(end_ms, self.until_ms) if self.until_ms else end_ms


class PersonInvitation(msgspec.Struct, array_like=True, frozen=True):
    """What the text says: the signed terms, and the private seed of their invitation's key."""

    version: Count
    terms: Signed
    seed: Key

    def __repr__(self) -> str:
        return repr_without(self, "seed")


class Acceptance(msgspec.Struct, array_like=True, frozen=True):
    """A person's new key `ed_pub`, made on `device` (20-byte id), for one invitation."""

    mesh: KeyId
    invite_id: TimeId
    ed_pub: Key
    device: KeyId
    accepted_ms: TimeMs


class Accepted(msgspec.Struct, array_like=True, frozen=True):
    """An `Acceptance`, signed by the new key (`acceptance`) and, over the same bytes, by the invitation's key."""

    acceptance: Signed
    by_invitation: Signature


class PersonRequest(msgspec.Struct, array_like=True, frozen=True):
    """`params` are the canonical MessagePack of the method's parameters; `request_id` (16 bytes) is used once."""

    mesh: KeyId
    request_id: TimeId
    device: KeyId
    method: Word
    params: Payload
    asked_ms: TimeMs


class Delegation(msgspec.Struct, array_like=True, frozen=True):
    """Lets the goal, limb or home `acting_id` act for `person` (20 bytes; empty: for the owner), within `rights` and
    never beyond what that person may do at that moment, until `expires_ms`."""

    mesh: KeyId
    delegation_id: TimeId
    kind: ActingKind
    acting_id: Word
    person: OptionalKey
    rights: Rights
    issued_ms: TimeMs
    expires_ms: TimeMs


def sign_terms(terms: PersonTerms, owner: SigningKey) -> Signed:
    """Signed by the owner."""
    return sign_struct(terms, TERMS_DOMAIN, owner)


def open_terms(signed: Signed, owner_pub: bytes) -> PersonTerms:
    """The terms; `BadSignature` when the owner did not sign them."""
    return open_signed(signed, PersonTerms, TERMS_DOMAIN, owner_pub, limit=CERTIFICATE_MAX * 8)


def check_terms(terms: PersonTerms) -> None:
    """Refuse terms that cannot mean anything.

    Raises:
        InvalidInput: names the field.
    """
    if check_name(terms.name) != terms.name:
        raise InvalidInput("the name is not in composed form", field="name")
    check_rights(terms.rights, terms.name)
    if not terms.role or terms.role == "owner":
        raise InvalidInput("a person has a role, and there is one owner", field="role")
    if terms.until_ms and terms.until_ms <= terms.issued_ms:
        raise InvalidInput("the end is before the beginning", field="days")
    if not terms.invite_id:
        if terms.invite_pub or terms.invite_expires_ms:
            raise InvalidInput("half an invitation", field="invitation")
        return
    lasts_ms = terms.invite_expires_ms - terms.issued_ms
    if (
        len(terms.invite_id) != TIME_ID
        or len(terms.invite_pub) != 32
        or not 0 < lasts_ms <= INVITATION_MAX_MS
    ):
        raise InvalidInput(
            "an invitation has a key of its own and ends within 14 days", field="expires", hint="--expires 2d"
        )


def invitation_to_text(terms: Signed, seed: bytes) -> str:
    """`KP1:` + base32 without padding."""
    data = encode(PersonInvitation(INVITATION_VERSION, terms, seed))
    return TEXT_PREFIX + base64.b32encode(data).decode().rstrip("=")


def invitation_from_text(text: str) -> PersonInvitation:
    """Undo `invitation_to_text`; white space and case do not matter. Nothing in it is verified yet.

    Raises:
        InvalidInput: not such a text, or cut off.
        UnsupportedVersion: made by a newer version.
    """
    plain = "".join(text.split()).upper()
    hint = "Copy the whole text that kindmesh people invite shows; it begins with KP1:."
    if not plain.startswith(TEXT_PREFIX):
        if plain.startswith("KM") and ":" in plain[:6]:
            hint = "This is a device's invitation: use kindmesh join."
        raise InvalidInput("this is not an invitation for a person", field="text", hint=hint)
    body = plain[len(TEXT_PREFIX) :]
    try:
        raw = base64.b32decode(body + "=" * (-len(body) % 8))
        invitation = decode(PersonInvitation, raw, limit=CERTIFICATE_MAX * 8 + 1_024)
    except (binascii.Error, ValueError, Malformed) as error:
        raise InvalidInput("the invitation is damaged or cut off", field="text", hint=hint) from error
    if invitation.version != INVITATION_VERSION:
        raise UnsupportedVersion("this invitation was made by another version of Kindmesh")
    return invitation


def sign_acceptance(acceptance: Acceptance, person: SigningKey, invitation: SigningKey) -> Accepted:
    """Signed by both keys."""
    signed = sign_struct(acceptance, ACCEPT_DOMAIN, person)
    return Accepted(signed, invitation.sign(ACCEPT_INVITE_DOMAIN + signed.payload))


def open_acceptance(accepted: Accepted, invite_pub: bytes) -> Acceptance:
    """The acceptance, both signatures checked.

    Raises:
        BadSignature: the new key, or the invitation's, did not sign it.
        Malformed.
    """
    inside = decode(Acceptance, accepted.acceptance.payload, limit=CERTIFICATE_MAX)
    acceptance = open_signed(accepted.acceptance, Acceptance, ACCEPT_DOMAIN, inside.ed_pub)
    if not verify(invite_pub, accepted.by_invitation, ACCEPT_INVITE_DOMAIN + accepted.acceptance.payload):
        raise BadSignature("whoever accepted does not hold the text of this invitation")
    return acceptance


def read_acceptance(accepted: Accepted) -> Acceptance:
    """The acceptance, unverified: to find its invitation.

    Raises:
        Malformed.
    """
    return decode(Acceptance, accepted.acceptance.payload, limit=CERTIFICATE_MAX)


def sign_request(request: PersonRequest, person: SigningKey) -> Signed:
    """Signed by the person's key."""
    return sign_struct(request, ASK_DOMAIN, person)


def open_request(
    signed: Signed, person_pub: bytes, *, mesh: bytes, method: str, device: bytes
) -> PersonRequest:
    """The request, checked against the key, the mesh, the method and the device that brought it; not against time.

    Raises:
        BadSignature, Malformed: that person did not sign this.
        WrongDestination: for another mesh or method. SourceMismatch: from another device.
    """
    request = open_signed(signed, PersonRequest, ASK_DOMAIN, person_pub)
    if request.mesh != mesh or request.method != method:
        raise WrongDestination("this person's signature is for something else")
    if request.device != device:
        raise SourceMismatch("this person signed on another device")
    return request


def check_request_time(request: PersonRequest, now_ms: int) -> None:
    """Refuse a request from too long ago, or from the future.

    Raises:
        ClockSkew: says how far it is off.
    """
    off_ms = now_ms - request.asked_ms
    if abs(off_ms) > CLOCK_SKEW_MS:
        raise ClockSkew(
            f"this person's request is {off_ms / 1000:+.0f} s off", hint="Ask again; is the clock right?"
        )


def sign_delegation(delegation: Delegation, key: SigningKey) -> Signed:
    """Signed by the person for whom it acts, or by the owner."""
    return sign_struct(delegation, DELEGATION_DOMAIN, key)


def open_delegation(signed: Signed, public: bytes) -> Delegation:
    """The delegation; `BadSignature` when that key did not sign it."""
    return open_signed(signed, Delegation, DELEGATION_DOMAIN, public, limit=CERTIFICATE_MAX * 16)


def check_delegation(delegation: Delegation) -> None:
    """Refuse a delegation that cannot mean anything.

    Raises:
        InvalidInput: names the field.
    """
    check_rights(delegation.rights, f"{delegation.kind} {delegation.acting_id}")
    if delegation.rights == EVERYTHING:
        raise InvalidInput(
            "a delegation is narrower than the person",
            field="operations",
            hint="Say which operations or effects it needs.",
        )
    if not 0 < delegation.expires_ms - delegation.issued_ms <= DELEGATION_MAX_MS:
        raise InvalidInput("a delegation ends within a year", field="days")
    if len(delegation.person) not in (0, 20):
        raise InvalidInput("it acts for a person", field="person")


__all__ = [
    "Acceptance",
    "Accepted",
    "Delegation",
    "PersonInvitation",
    "PersonRequest",
    "PersonTerms",
    "check_delegation",
    "check_request_time",
    "check_terms",
    "invitation_from_text",
    "invitation_to_text",
    "open_acceptance",
    "open_delegation",
    "open_request",
    "open_terms",
    "read_acceptance",
    "sign_acceptance",
    "sign_delegation",
    "sign_request",
    "sign_terms",
]
