"""News of the mesh's trust: what a device knows, in a few numbers, and the signed papers that another one lacks.

`TrustKnown` is in every HELLO and heartbeat, of both sides; whoever has something newer sends a `TrustUpdate`. Papers
travel down and up: a coordinator that was away learns from its devices what others decided meanwhile.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from kindmesh.protocol.anchors import MeshBundle, Papers
from kindmesh.protocol.bounds import Count
from kindmesh.protocol.certificate import Heard
from kindmesh.protocol.limits import ANCHORS_MAX
from kindmesh.protocol.signed import Signed


class TrustKnown(msgspec.Struct, array_like=True, frozen=True):
    """Versions of the list of anchors, the policy, and each issuer's papers (0, or not named: nothing)."""

    anchors: Count = 0
    policy: Count = 0
    issuers: Annotated[tuple[Heard, ...], Meta(max_length=ANCHORS_MAX)] = ()


class TrustUpdate(msgspec.Struct, array_like=True, frozen=True):
    """Newer trust, each part signed by who makes it: rosters and revocation lists (one of each issuer), the policy (an
    owner), the receiver's certificate (an issuer), the list of anchors (the root). The bundle is taken over first."""

    rosters: Papers = ()
    revocations: Papers = ()
    policy: Signed | None = None
    certificate: Signed | None = None
    bundle: MeshBundle | None = None


__all__ = ["TrustKnown", "TrustUpdate"]
