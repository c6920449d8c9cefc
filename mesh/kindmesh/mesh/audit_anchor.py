"""Lets somebody outside witness the heads of the audit logs: `anchor(head) -> receipt`.

An anchor is any place that this mesh cannot change later without being noticed: a folder on another machine, a
notary, one day a public ledger. Here is the simplest, `FolderAnchor`: one file that only grows, in a folder that the
owner chooses (`[audit] anchor` in the settings), best on another disk or a network share that keeps old versions.
A receipt says which head was anchored, where and when; `kindmesh audit verify` compares every receipt with the log.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

import msgspec

from kindmesh.mesh.files import disk_error, sync_folder, write_all
from kindmesh.protocol.codec import decode
from kindmesh.protocol.errors import KindmeshError, Malformed, StoreError
from kindmesh.protocol.limits import BODY_MAX
from kindmesh.protocol.signed import Signed, signed_to_bytes

RECEIPTS: Final = "kindmesh-audit-receipts.jsonl"
LINE_MAX: Final = 4_096


class Receipt(msgspec.Struct, array_like=True, frozen=True):
    """`place` took the signed `head` of a log at `at_ms` (UTC)."""

    place: str
    at_ms: int
    head: Signed


class Anchor(Protocol):
    """Whoever witnesses heads; see the module."""

    def anchor(self, head: Signed, now_ms: int) -> Receipt:
        """Have it witnessed.

        Raises:
            KindmeshError: it was not; nothing is promised.
        """

    def receipts(self) -> Iterator[Receipt]:
        """All that were given, oldest first; raises as `anchor`, and Malformed for what is no receipt."""


class FolderAnchor:
    """Appends receipts to a file in `folder`, each one synced."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / RECEIPTS

    def anchor(self, head: Signed, now_ms: int) -> Receipt:
        """One line more.

        Raises:
            DiskFull, StoreError: the folder is not there, or cannot be written.
        """
        receipt = Receipt("folder", now_ms, head)
        line = json.dumps({"at_ms": now_ms, "head": base64.b64encode(signed_to_bytes(head)).decode()})
        try:
            new = not self.path.exists()
            fd = os.open(
                self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
            try:
                write_all(fd, line.encode() + b"\n")
                os.fsync(fd)
            finally:
                os.close(fd)
            if new:
                sync_folder(self.path.parent)
        except OSError as error:
            raise disk_error(error, self.path) from error
        return receipt

    def receipts(self) -> Iterator[Receipt]:
        """Those in the file.

        Raises:
            StoreError: it cannot be read. Malformed: names the line that is no receipt.
        """
        if not self.path.exists():
            return
        try:
            with self.path.open("rb") as lines:
                for number, line in enumerate(iter(lambda: lines.readline(LINE_MAX), b""), 1):
                    yield _receipt(line, number, self.path)
        except OSError as error:
            raise disk_error(error, self.path, doing="read") from error


def _receipt(line: bytes, number: int, path: Path) -> Receipt:
    try:
        found = json.loads(line)
        head = decode(Signed, base64.b64decode(found["head"], validate=True), limit=BODY_MAX)
        return Receipt("folder", int(found["at_ms"]), head)
    except (ValueError, KeyError, TypeError, KindmeshError) as error:
        raise Malformed(f"line {number} of {path} is no receipt") from error


def open_anchor(setting: str) -> Anchor | None:
    """The anchor that the settings name (a folder), None for an empty setting.

    Raises:
        StoreError: the folder is not there.
    """
    if not setting:
        return None
    folder = Path(os.path.expanduser(setting))
    if not folder.is_dir():
        raise StoreError(
            f"The audit anchor {folder} is not there.", hint="Make the folder, or attach its disk."
        )
    return FolderAnchor(folder)


__all__ = ["RECEIPTS", "Anchor", "FolderAnchor", "Receipt", "open_anchor"]
