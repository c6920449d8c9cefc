"""Permits of a run inside a run: each names the permit that led to it, and whoever judges by it is shown that one.

    run            permit A (a step)                  signed by Medulla
                     `-- spawns a sub-run
    sub-run          permit B, parent = A's id        Medulla saw A before it signed B; the node sees A beside B

A chain fits when A is Medulla's own, its id is the one named, mesh, principal and purpose are the same (a sub-run is
never for somebody else, nor for something else), the runs are not, and A was there before B. A may have ended
meanwhile: a run may wait for days. A travels in the job's `ext`, and is checked by the node that acts.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kindmesh.protocol.anchors import Anchors
from kindmesh.protocol.bounds import KeyId, TimeId, TimeMs, Word
from kindmesh.protocol.codec import decode_value, encode_value
from kindmesh.protocol.errors import CertificateRefused, Malformed, PermitMismatch, PermitRefused
from kindmesh.protocol.extensions import Ext
from kindmesh.protocol.limits import CLOCK_SKEW_MS, PERMIT_MAX
from kindmesh.protocol.permit import Permit, open_permit
from kindmesh.protocol.principal import Principal, principal_text
from kindmesh.protocol.signed import Signed, signed_from_bytes, signed_to_bytes

PARENT: Final = "parent"
"""Entry of a job's `ext`: the signed permit that its own names as parent."""


class Link(msgspec.Struct, frozen=True):
    """What of a permit has to fit its parent: `parent` the id it names, the rest as in `Permit`."""

    parent: TimeId
    mesh: KeyId
    run_id: TimeId
    principal: Principal
    purpose: Word
    issued_ms: TimeMs


def link_of(permit: Permit) -> Link:
    """The link that a permit is to its parent."""
    return Link(permit.parent, permit.mesh, permit.run_id, permit.principal, permit.purpose, permit.issued_ms)


def check_link(link: Link, signed: Signed, anchors: Anchors) -> None:
    """Refuse a parent that does not fit.

    Raises:
        PermitRefused: no Medulla of this mesh signed it.
        PermitMismatch: it is another's, for another purpose, of the same run, or from later.
        Malformed: it is no permit.
    """
    try:
        parent = open_permit(signed, anchors.permit_pub(signed.author))
    except CertificateRefused as error:
        raise PermitRefused(
            "no Medulla of this mesh signed the permit above this one", field=PARENT
        ) from error
    for what, fits in (
        ("another permit than the one named", parent.permit_id == link.parent),
        ("of another mesh", parent.mesh == link.mesh),
        ("of the same run", parent.run_id != link.run_id),
        ("somebody else's", principal_text(parent.principal) == principal_text(link.principal)),
        ("for another purpose", parent.purpose == link.purpose),
        ("from later", parent.issued_ms <= link.issued_ms + CLOCK_SKEW_MS),
    ):
        if not fits:
            raise PermitMismatch(f"the permit above this one is {what}", field=PARENT)


def parent_ext(signed: Signed) -> Ext:
    """What shows the parent to the node that acts."""
    return {PARENT: encode_value(signed_to_bytes(signed))}


def check_parent(permit: Permit, ext: Ext, anchors: Anchors) -> None:
    """Refuse a job whose permit names a parent that does not fit, or was not shown.

    Raises:
        PermitMismatch, PermitRefused, Malformed: as `check_link`.
    """
    if not permit.parent and PARENT not in ext:
        return
    if not permit.parent or PARENT not in ext:
        said = (
            "was shown a permit above it that it does not name"
            if not permit.parent
            else "names one that is missing"
        )
        raise PermitMismatch(f"the permit {said}", field=PARENT)
    shown = decode_value(ext[PARENT], limit=2 * PERMIT_MAX)
    if not isinstance(shown, bytes):
        raise Malformed("the permit above this one is no permit", field=PARENT)
    check_link(link_of(permit), signed_from_bytes(shown), anchors)


__all__ = ["PARENT", "Link", "check_link", "check_parent", "link_of", "parent_ext"]
