"""Audit logs in one file that can be verified anywhere: only the mesh id has to be known from elsewhere.

One JSON object a line; bytes are base64:

    {"kindmesh_audit_export": 1, "mesh": ID, "bundles": [signed list of anchors, newest first]}
    {"log": "node", "device": "desk", "public": KEY, "certificate": signed certificate, or ""}     for each log
    {"seq": 1, "entry": BYTES, "seal": BYTES or ""}                                                its entries, in order
    {"witness": NAME, "head": signed head, "problem": ""}                                          what others remember
    {"end": number of lines before this one}

The key of a log is believed because the mesh root certified it (Medulla's) or an issuer of the mesh did (all others').
The last line makes a file that was cut off show. Keys of digests are never exported.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, TextIO

import msgspec

from kindmesh.mesh.audit_verify import Memory, Place, Source
from kindmesh.mesh.files import disk_error
from kindmesh.protocol.anchors import MeshBundle, open_bundle
from kindmesh.protocol.audit import SealedEntry
from kindmesh.protocol.certificate import Membership, open_certificate
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.errors import CertificateRefused, InvalidInput, Malformed, WrongDestination
from kindmesh.protocol.ids import format_id, parse_id
from kindmesh.protocol.limits import ROSTER_MAX
from kindmesh.protocol.signed import Signed, signed_from_bytes, signed_to_bytes

FORMAT: Final = 1
LINE_MAX: Final = 4 * ROSTER_MAX
"""Characters of a line."""
PAGE: Final = 500


class Log(msgspec.Struct, frozen=True):
    """A log to export, with its author's signed certificate (None: a Medulla, which the bundle names)."""

    source: Source
    certificate: Signed | None


def export(
    path: Path,
    mesh: bytes,
    bundles: Sequence[MeshBundle],
    logs: Sequence[Log],
    *,
    memories: Sequence[Memory] = (),
    progress: Callable[[str, int], None] = lambda name, entries: None,
) -> int:
    """Write `path` anew, 0600; the number of entries.

    Raises:
        InvalidInput: it is there already. DiskFull, StoreError: it could not be written or a log not read.
    """
    written = _Lines()
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            written.file = file
            head = {"kindmesh_audit_export": FORMAT, "mesh": format_id(mesh)}
            written.put({**head, "bundles": [_text(encode(bundle)) for bundle in bundles]})
            for log in logs:
                _export_log(written, log, progress)
            for memory in memories:
                body = {"head": _text(signed_to_bytes(memory.head)), "problem": memory.problem}
                written.put({"witness": memory.witness, **body})
            written.put({"end": written.lines})
            file.flush()
            os.fsync(fd)
    except FileExistsError as error:
        raise InvalidInput(f"{path} exists already", field="file", hint="Choose another name.") from error
    except OSError as error:
        raise disk_error(error, path) from error
    return written.entries


class _Lines:
    """Counts what is written."""

    def __init__(self) -> None:
        self.file: TextIO | None = None
        self.lines = self.entries = 0

    def put(self, value: dict[str, Any]) -> None:
        if self.file is not None:
            self.file.write(json.dumps(value) + "\n")
            self.lines += 1


def _export_log(written: _Lines, log: Log, progress: Callable[[str, int], None]) -> None:
    place = log.source.place
    certificate = "" if log.certificate is None else _text(signed_to_bytes(log.certificate))
    named = {"log": place.log, "device": place.device}
    written.put({**named, "public": _text(place.public), "certificate": certificate})
    after = 0
    while page := log.source.page(after):
        for number, row in page:
            written.put({"seq": number, "entry": _text(row.entry), "seal": _text(row.seal)})
        after = page[-1][0]
        written.entries += len(page)
        progress(place.device, written.entries)


class _FileSource:
    """One log of an exported file, read from where it begins; a `Source`."""

    def __init__(self, place: Place, path: Path, offset: int) -> None:
        self.place, self._path, self._offset = place, path, offset
        self._next = offset

    def page(self, after: int) -> Sequence[tuple[int, SealedEntry]]:
        """As `Source`; from the first one again when `after` is 0."""
        if after == 0:
            self._next = self._offset
        rows: list[tuple[int, SealedEntry]] = []
        try:
            with self._path.open("rb") as file:
                file.seek(self._next)
                while len(rows) < PAGE:
                    begin = file.tell()
                    line = file.readline(LINE_MAX)
                    found = _line(line) if line else {}
                    if "seq" not in found:
                        file.seek(begin)
                        break
                    rows.append((_number(found), SealedEntry(_bytes(found, "entry"), _bytes(found, "seal"))))
                self._next = file.tell()
        except OSError as error:
            raise disk_error(error, self._path, doing="read") from error
        return rows


class Opened(msgspec.Struct, frozen=True):
    """An exported file, its keys checked: the mesh, its logs and what others remembered of them."""

    mesh: bytes
    sources: tuple[Source, ...]
    memories: tuple[Memory, ...]


def open_export(path: Path, mesh: bytes) -> Opened:
    """The logs in an exported file of that mesh (20-byte id).

    Raises:
        WrongDestination: of another mesh. CertificateRefused, BadSignature: keys that this mesh did not certify.
        Malformed: not such a file, or cut off. StoreError: it cannot be read.
    """
    sources: list[Source] = []
    memories: list[Memory] = []
    membership: Membership | None = None
    ended = False
    for lines, (offset, found) in enumerate(_lines(path)):
        if membership is None:
            membership = _membership(found, mesh)
        elif ended:
            raise Malformed(f"{path} goes on after its end")
        elif "log" in found:
            sources.append(_FileSource(_place(found, membership), path, offset))
        elif "witness" in found:
            head = signed_from_bytes(_bytes(found, "head"))
            memories.append(Memory(str(found["witness"])[:200], head, str(found.get("problem", ""))[:500]))
        elif "end" in found:
            ended = found["end"] == lines
        elif "seq" not in found:
            raise Malformed(f"line {lines + 1} of {path} is not of an audit export")
    if not ended:
        raise Malformed(f"{path} is cut off: lines are missing", hint="Export it again.")
    return Opened(mesh, tuple(sources), tuple(memories))


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(where the next line begins, the line) of each line."""
    try:
        with path.open("rb") as file:
            while line := file.readline(LINE_MAX):
                yield file.tell(), _line(line)
    except OSError as error:
        raise disk_error(error, path, doing="read") from error


def _membership(found: dict[str, Any], mesh: bytes) -> Membership:
    if found.get("kindmesh_audit_export") != FORMAT:
        raise Malformed("this is not an exported audit log, or one of a newer Kindmesh")
    if parse_id(str(found.get("mesh"))) != mesh:
        raise WrongDestination("the export is of another mesh")
    bundles = found.get("bundles")
    if not isinstance(bundles, list) or not bundles or len(bundles) > 64:
        raise Malformed("the export does not say who decides in this mesh")
    anchors = [open_bundle(decode(MeshBundle, _decoded(one)), mesh) for one in bundles]
    membership = Membership(anchors[0])
    for former in anchors[1:]:
        membership.adopt(former)
    return membership


def _place(found: dict[str, Any], membership: Membership) -> Place:
    public, certificate = _bytes(found, "public"), _bytes(found, "certificate")
    place = Place(str(found["log"])[:40], str(found.get("device", ""))[:200], public)
    if not certificate:
        if membership.anchors.permit_pub(place.author) != public:
            raise CertificateRefused("the export names a Medulla that is none")
        return place
    signed = signed_from_bytes(certificate)
    issuer = membership.ever_pub(signed.author, "issuer")
    if open_certificate(signed, issuer, membership.mesh).ed_pub != public:
        raise CertificateRefused(f"the key of {place.device} is not the one that was certified")
    return place


def _line(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Malformed("a line of the export is not JSON") from error
    if not isinstance(found, dict):
        raise Malformed("a line of the export is no object")
    return found


def _number(found: dict[str, Any]) -> int:
    if type(found["seq"]) is not int or not 0 < found["seq"] <= 2**53:
        raise Malformed("an entry of the export has no number")
    return int(found["seq"])


def _bytes(found: dict[str, Any], key: str) -> bytes:
    return _decoded(found.get(key))


def _decoded(text: object) -> bytes:
    try:
        return base64.b64decode(str(text), validate=True)
    except ValueError as error:
        raise Malformed("a value of the export is not base64") from error


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


__all__ = ["Log", "Opened", "export", "open_export"]
