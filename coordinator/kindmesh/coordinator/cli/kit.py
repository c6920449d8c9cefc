"""Where the recovery kit goes: the sheet as text, and the same as a QR code beside it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NamedTuple

from kindmesh.coordinator.cli.output import Output
from kindmesh.protocol.errors import InvalidInput, KindmeshError


class KitFiles(NamedTuple):
    """The sheet, and its picture."""

    text: Path
    picture: Path


def check_place(kit: Path) -> None:
    """A mesh is made once: what can go wrong with the kit's place goes wrong before.

    Raises:
        InvalidInput: something is there, or nothing can be written there.
    """
    try:
        for path in (kit, picture_of(kit)):
            if path.exists():
                hint = "It may be the kit of another mesh; move it, or choose another name."
                raise InvalidInput(f"{path} exists already", field="kit", hint=hint)
        kit.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(f"{kit.parent} cannot be made: {error.strerror}", field="kit") from error
    if not os.access(kit.parent, os.W_OK | os.X_OK):
        raise InvalidInput(f"{kit.parent} cannot be written to", field="kit")


def picture_of(kit: Path) -> Path:
    """Where the kit's QR code is."""
    return kit.with_suffix(".svg")


def put_kit(out: Output, made: Path, wanted: Path | None) -> KitFiles:
    """Move the sheet that was made to where it is wanted, and draw its picture; both readable by this user only."""
    from kindmesh.coordinator.cli import qr
    from kindmesh.coordinator.sealed import from_paper, to_code
    from kindmesh.mesh.files import write_private

    text = made
    if wanted is not None:
        try:
            text = Path(shutil.move(os.fspath(made), wanted))
        except OSError as error:
            out.note(
                f"The recovery kit could not be put in {wanted}: {error.strerror}. It stays where it is."
            )
    picture = picture_of(text)
    try:
        write_private(picture, qr.picture(to_code(from_paper(text.read_text())), "svg"))
    except (KindmeshError, OSError) as error:
        out.note(f"The kit's picture could not be written: {error}. The sheet alone is enough.")
    return KitFiles(text, picture)


__all__ = ["KitFiles", "check_place", "picture_of", "put_kit"]
