"""Letting a held device go: the owner's word on an identity that two devices used at once.

A member under whose key two starts were alive together is held to reading and notifying, both copies of it, because
nobody can tell them apart. The owner removes it, or signs a `Release`: "it is one device; an old copy was started".
"""

from __future__ import annotations

from typing import Final

import msgspec

from kindmesh.protocol.bounds import KeyId, TimeMs
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.limits import PERMIT_MAX
from kindmesh.protocol.signed import Signed, open_signed, sign_struct

RELEASE_DOMAIN: Final = b"kindmesh-release-v1\0"


class Release(msgspec.Struct, array_like=True, frozen=True):
    """The member `subject` is held no longer; what is `issued_ms` before a later hold does not lift that one."""

    mesh: KeyId
    subject: KeyId
    issued_ms: TimeMs


def sign_release(release: Release, owner: SigningKey) -> Signed:
    """Signed by the owner."""
    return sign_struct(release, RELEASE_DOMAIN, owner)


def open_release(signed: Signed, owner_pub: bytes) -> Release:
    """The release; `BadSignature` when the owner did not sign it."""
    return open_signed(signed, Release, RELEASE_DOMAIN, owner_pub, limit=PERMIT_MAX)


__all__ = ["Release", "open_release", "sign_release"]
