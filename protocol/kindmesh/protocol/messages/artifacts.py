"""Fetching an artifact from its holder, chunk by chunk, and who may.

A hash alone grants nothing. The holder accepts either of two proofs, both signed by Medulla's permit key:
* as *input*: a permit whose target is the asking device and whose argument bytes (shown, hash compared) name it;
* as *output*: the permit under which the holder itself made it, when the asker is among that permit's readers.
"""

from __future__ import annotations

import msgspec

from kindmesh.protocol.bounds import Arguments, Count, Hash, Line
from kindmesh.protocol.errors import WireError
from kindmesh.protocol.signed import Signed


class ArtifactGet(msgspec.Struct, array_like=True, frozen=True):
    """`artifact` SHA-256 (32); bytes from `offset`, at most `length`; `permit` and, as input, its `args`."""

    artifact: Hash
    offset: Count
    length: Count
    permit: Signed
    args: Arguments = b""


class ArtifactData(msgspec.Struct, array_like=True, frozen=True):
    """`data` from `offset` of `size_bytes` in all, or the reason why not."""

    artifact: Hash
    offset: Count
    size_bytes: Count
    media_type: Line
    data: bytes
    error: WireError | None = None


__all__ = ["ArtifactData", "ArtifactGet"]
