"""Renewing a certificate: a member's signed wish on its way to Medulla, and what came of it.

These two are taken also from a member whose certificate has ended: that is how it becomes a full member again.
"""

from __future__ import annotations

import msgspec

from kindmesh.protocol.errors import WireError
from kindmesh.protocol.signed import Signed


class Renew(msgspec.Struct, array_like=True, frozen=True):
    """`renewal` is a signed `certificate.Renewal`: of the device that sends it, or of a person whose key it holds."""

    renewal: Signed


class Renewed(msgspec.Struct, array_like=True, frozen=True):
    """The new certificate, as the issuer signed it; or why there is none."""

    certificate: Signed | None = None
    error: WireError | None = None


class Rotate(msgspec.Struct, array_like=True, frozen=True):
    """The coordinator passes on that somebody wants this device to change its CURVE key now; it does so by `Renew`."""


__all__ = ["Renew", "Renewed", "Rotate"]
