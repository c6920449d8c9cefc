"""QR codes: in the terminal, as PNG, as SVG. The only module that uses segno."""

from __future__ import annotations

import io
from pathlib import Path

import segno

from kindmesh.mesh.files import disk_error
from kindmesh.protocol.errors import InvalidInput


def terminal_lines(text: str) -> list[str]:
    """The code as lines of block characters, two modules per character and a quiet zone around."""
    drawn = io.StringIO()
    segno.make(text, error="l", micro=False).terminal(out=drawn, compact=True, border=2)
    return drawn.getvalue().splitlines()


def save(text: str, path: Path) -> None:
    """Write a PNG or SVG, by the ending of `path`.

    Raises:
        InvalidInput: another ending. DiskFull, StoreError: it cannot be written.
    """
    kind = path.suffix.lower().lstrip(".")
    if kind not in ("png", "svg"):
        raise InvalidInput("a QR code is saved as .png or .svg", field="save")
    try:
        segno.make(text, error="m", micro=False).save(str(path), kind=kind, scale=6, border=4)
    except OSError as error:
        raise disk_error(error, path) from error


def picture(text: str, kind: str) -> bytes:
    """The code as the bytes of a picture of that kind (png, svg)."""
    drawn = io.BytesIO()
    segno.make(text, error="m", micro=False).save(drawn, kind=kind, scale=6, border=4)
    return drawn.getvalue()


__all__ = ["picture", "save", "terminal_lines"]
