"""Where the owner's passphrase comes from: the environment, a file, or a prompt; never the command line.

`KINDMESH_PASSPHRASE` and `KINDMESH_PASSPHRASE_FILE` are for unattended use and tests; process arguments can be read by
every user of a machine, so there is no option for it.
"""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path

from kindmesh.protocol.errors import InvalidInput, WrongPassphrase

_HINT = "Set KINDMESH_PASSPHRASE or KINDMESH_PASSPHRASE_FILE where nobody can type."


def _given() -> str | None:
    if "KINDMESH_PASSPHRASE" in os.environ:
        return os.environ["KINDMESH_PASSPHRASE"]
    path = os.environ.get("KINDMESH_PASSPHRASE_FILE")
    if path:
        try:
            return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
        except OSError as error:
            raise InvalidInput(f"{path} cannot be read: {error.strerror}", field="passphrase") from error
    return None


def ask_passphrase(prompt: str = "The owner's passphrase: ") -> str:
    """The passphrase.

    Raises:
        InvalidInput: nothing is set and nobody can be asked.
    """
    given = _given()
    if given is not None:
        return given
    if not sys.stdin.isatty():
        raise InvalidInput("the owner's passphrase is needed", field="passphrase", hint=_HINT)
    return getpass.getpass(prompt, stream=sys.stderr)


def new_passphrase() -> str:
    """A new passphrase, typed twice.

    Raises:
        WrongPassphrase: the two are not the same. InvalidInput: as `ask_passphrase`.
    """
    given = _given()
    if given is not None:
        return given
    first = ask_passphrase("Choose a passphrase for the owner's key: ")
    if first != ask_passphrase("Once more: "):
        raise WrongPassphrase("the two passphrases are not the same")
    return first


def changed_passphrase() -> str:
    """A passphrase to take the place of the old one: from `KINDMESH_NEW_PASSPHRASE`, or typed twice.

    Raises:
        WrongPassphrase: the two are not the same. InvalidInput: as `ask_passphrase`.
    """
    if "KINDMESH_NEW_PASSPHRASE" in os.environ:
        return os.environ["KINDMESH_NEW_PASSPHRASE"]
    if not sys.stdin.isatty():
        raise InvalidInput(
            "a new passphrase is needed", field="passphrase", hint="Set KINDMESH_NEW_PASSPHRASE."
        )
    first = getpass.getpass("Choose a new passphrase: ", stream=sys.stderr)
    if first != getpass.getpass("Once more: ", stream=sys.stderr):
        raise WrongPassphrase("the two passphrases are not the same")
    return first


__all__ = ["ask_passphrase", "changed_passphrase", "new_passphrase"]
