"""The papers that anybody who knows a mesh's id may read: who decides in it, who coordinates it, who was removed.

Nothing here is secret and nothing is believed because of where it came from: a device checks all of it against the mesh
id that it has pinned. So a device can find its coordinator again after that changed its keys or was made anew from the
recovery kit, and a device that was removed learns that it was. Certificates of coordinators are the only names in it.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from kindmesh.protocol.anchors import Anchors, MeshBundle, Papers, open_bundle
from kindmesh.protocol.bounds import Count, Line
from kindmesh.protocol.certificate import Certificate, open_certificate
from kindmesh.protocol.codec import decode
from kindmesh.protocol.errors import CertificateRefused, UnsupportedVersion
from kindmesh.protocol.limits import ROSTER_MAX
from kindmesh.protocol.signed import Signed

PAPERS_ASK: Final = b"kindmesh-papers-1\0"
"""What is sent to be given the papers, followed by the 20 bytes of the mesh's id."""
PAPERS_VERSION: Final = 1
PAPERS_MAX: Final = ROSTER_MAX
Addresses = Annotated[tuple[Line, ...], Meta(max_length=16)]


class MeshPapers(msgspec.Struct, array_like=True, frozen=True):
    """`coordinators`: signed certificates; `addresses` and `doors` (`host:port`) are hints of where the mesh socket and
    the enrol door of the coordinator that was asked may be reached."""

    version: Count
    bundle: MeshBundle
    coordinators: Papers
    revocations: Papers
    addresses: Addresses = ()
    doors: Addresses = ()


class ReadPapers(msgspec.Struct, frozen=True):
    """Papers, checked: anchors, and each coordinator's certificate with its signed form."""

    papers: MeshPapers
    anchors: Anchors
    coordinators: tuple[tuple[Certificate, Signed], ...]


def read_papers(data: bytes, mesh: bytes) -> ReadPapers:
    """The papers in `data`, as far as a mesh id can vouch for them: anchors and coordinators.

    Raises:
        Malformed: no papers. UnsupportedVersion: of another version.
        CertificateRefused: not of this mesh, or a certificate in it does not hold.
    """
    papers = decode(MeshPapers, data, limit=PAPERS_MAX)
    if papers.version != PAPERS_VERSION:
        raise UnsupportedVersion(f"these papers have version {papers.version}, not {PAPERS_VERSION}")
    anchors = open_bundle(papers.bundle, mesh)
    coordinators = []
    for signed in papers.coordinators:
        certificate = open_certificate(signed, anchors.issuer_pub(signed.author), mesh)
        if certificate.kind != "device" or "coordinator" not in certificate.roles:
            raise CertificateRefused("the papers name somebody as coordinator who is none")
        coordinators.append((certificate, signed))
    return ReadPapers(papers, anchors, tuple(coordinators))


__all__ = ["PAPERS_ASK", "PAPERS_MAX", "PAPERS_VERSION", "MeshPapers", "ReadPapers", "read_papers"]
