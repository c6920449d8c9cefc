"""What a device that was removed from the mesh knows of it, and says to whoever asks it for anything.

It keeps the signed list that names it, and does nothing for the mesh any more: a removed key is never certified again,
so nothing can come of it. The way back is a new key: `kindmesh join --fresh`.
"""

from __future__ import annotations

import time
from pathlib import Path

from kindmesh.mesh.trust import Trust
from kindmesh.protocol.certificate import open_revocations
from kindmesh.protocol.errors import KindmeshError, Revoked

COME_BACK = (
    "To have it back: kindmesh pair at the coordinator, then kindmesh join --fresh TEXT on this device."
)


def removed_ms(trust: Trust) -> int:
    """When the list was signed by which this device learned that it was removed; 0 when it was not."""
    if not trust.is_removed:
        return 0
    membership, own = trust.membership, trust.certificate
    lists = [
        open_revocations(signed, membership.ever_pub(signed.author, "issuer")) for signed in trust.revocations
    ]
    named = [one.issued_ms for one in lists if own.subject in one.subjects or own.serial in one.serials]
    return min(named, default=membership.revocations_issued_ms)


def removal(trust: Trust) -> Revoked | None:
    """The error that says that this device was removed, and what to do; None when it was not."""
    when_ms = removed_ms(trust)
    if not when_ms:
        return None
    day = time.strftime("%Y-%m-%d %H:%M", time.gmtime(when_ms / 1000))
    return Revoked(f"this device was removed from the mesh; the list of {day} UTC says so", hint=COME_BACK)


def check_not_removed(trust: Trust) -> None:
    """Refuse to do anything for a mesh that this device was removed from.

    Raises:
        Revoked.
    """
    gone = removal(trust)
    if gone is not None:
        raise gone


def removal_in(folder: Path) -> Revoked | None:
    """The same, of the device whose identity is in `folder`; None also where that cannot be read now."""
    try:
        return removal(Trust.load(folder))
    except KindmeshError:
        return None


__all__ = ["COME_BACK", "check_not_removed", "removal", "removal_in", "removed_ms"]
