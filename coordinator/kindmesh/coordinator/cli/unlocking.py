"""Opening the lock of this device's private keys: by the keyring, or by a passphrase from where it can be had.

In this order: the systemd credential `kindmesh-passphrase` ($CREDENTIALS_DIRECTORY), the file that
KINDMESH_KEYS_PASSPHRASE_FILE names, KINDMESH_PASSPHRASE_FILE, KINDMESH_PASSPHRASE (tests), a prompt on a terminal, the
first line of standard input. Never an argument: those can be read by every user of a machine.
"""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kindmesh.mesh.home import Home
from kindmesh.mesh.key_lock import PARTS, OpenedLock, open_with_master, open_with_passphrase, read_lock
from kindmesh.protocol.errors import InvalidInput, KeysLocked, WrongPassphrase

CREDENTIAL: Final = "kindmesh-passphrase"
_FILES: Final = ("KINDMESH_KEYS_PASSPHRASE_FILE", "KINDMESH_PASSPHRASE_FILE")
_MAX: Final = 4096


def unlock_folder(home: Home) -> OpenedLock | None:
    """The folder's lock, opened; None when its keys are plain files.

    Raises:
        KeysLocked: a passphrase is needed and cannot be had. WrongPassphrase, KeyringUnavailable, StoreDamaged, Busy.
    """
    lock = read_lock(home.root)
    if lock is None:
        return None
    if lock.way == "keyring":
        from kindmesh.mesh import key_keyring

        return open_with_master(lock, key_keyring.get(lock.lock_id))
    return open_with_passphrase(lock, keys_passphrase("Passphrase of this device's keys: "))


def open_folder(home: Home) -> None:
    """Open the keys for this process itself; nothing to do when they are plain.

    Raises:
        as `unlock_folder`.
    """
    from kindmesh.mesh.key_files import open_keys
    from kindmesh.mesh.secrecy import guard_process

    opened = unlock_folder(home)
    if opened is not None:
        guard_process()
        open_keys(home.root, opened.parts(*PARTS))


def keys_passphrase(prompt: str) -> str:
    """The passphrase, from the first place that has one.

    Raises:
        KeysLocked: nobody can be asked.
        InvalidInput: a file that was named cannot be read.
    """
    given = _from_elsewhere(os.environ)
    if given is not None:
        return given
    if sys.stdin.isatty():
        return getpass.getpass(prompt, stream=sys.stderr)
    line = sys.stdin.readline(_MAX).rstrip("\r\n")
    if not line:
        raise KeysLocked("the private keys of this device are locked, and nobody is there to type")
    return line


def chosen_passphrase() -> str:
    """A new passphrase; typed twice where somebody types.

    Raises:
        WrongPassphrase: the two are not the same. KeysLocked, InvalidInput: as `keys_passphrase`.
    """
    first = keys_passphrase("New passphrase for this device's keys: ")
    if _from_elsewhere(os.environ) is None and sys.stdin.isatty() and first != keys_passphrase("Once more: "):
        raise WrongPassphrase("the two passphrases are not the same")
    return first


def _from_elsewhere(env: Mapping[str, str]) -> str | None:
    credentials = env.get("CREDENTIALS_DIRECTORY", "")
    if credentials and (Path(credentials) / CREDENTIAL).exists():
        return _read(Path(credentials) / CREDENTIAL)
    for name in _FILES:
        if env.get(name):
            return _read(Path(env[name]))
    return env.get("KINDMESH_PASSPHRASE")


def _read(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(_MAX).rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InvalidInput(f"{path} cannot be read: {reason}", field="passphrase") from error


__all__ = ["CREDENTIAL", "chosen_passphrase", "keys_passphrase", "open_folder", "unlock_folder"]
