"""A passphrase made into a key: Argon2id (RFC 9106), as hard as this device's free memory allows.

64 MiB and three passes, less memory and more passes on a board that has little. The passphrase is compared in Unicode's
composed form (NFKC), so that it can be typed on any keyboard.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from kindmesh.protocol.crypto import argon2id
from kindmesh.protocol.errors import Busy, InvalidInput, StoreDamaged

PASSPHRASE_MIN: Final = 8
SALT: Final = 16
_COSTS: Final = ((262_144, 65_536, 3), (98_304, 32_768, 6), (0, 16_384, 12))
"""(memory that is free at least, memory to use, passes), KiB: about the same work each."""


def check_passphrase(passphrase: str) -> None:
    """Refuse one that is too short.

    Raises:
        InvalidInput: fewer than 8 characters.
    """
    if len(_normal(passphrase)) < PASSPHRASE_MIN:
        raise InvalidInput(
            f"a passphrase has at least {PASSPHRASE_MIN} characters",
            field="passphrase",
            hint="Four or five unrelated words are easy to remember and hard to guess.",
        )


def affordable_cost() -> tuple[int, int]:
    """Memory in KiB, and passes, for what is free on this device now."""
    free = _free_kib()
    return next((mem, ops) for least, mem, ops in _COSTS if free >= least)


def check_cost(mem_kib: int, ops: int, salt: bytes) -> None:
    """Refuse a cost that no version of Kindmesh has written: a changed file must not eat all memory.

    Raises:
        StoreDamaged.
    """
    if not (8_192 <= mem_kib <= 1_048_576 and 1 <= ops <= 64 and len(salt) == SALT):
        raise StoreDamaged("the sealed key is damaged, or from another version of Kindmesh")


def stretch(passphrase: str, salt: bytes, *, mem_kib: int, ops: int) -> bytes:
    """32 bytes; `salt` has 16.

    Raises:
        Busy: not enough memory.
    """
    try:
        return argon2id(_normal(passphrase).encode(), salt, ops=ops, mem_kib=mem_kib)
    except (RuntimeError, MemoryError) as error:
        raise Busy(
            f"not enough memory is free to open the key ({mem_kib // 1024} MiB are needed)",
            hint="Close other programs and try again.",
        ) from error


def _normal(passphrase: str) -> str:
    return unicodedata.normalize("NFKC", passphrase)


def _free_kib() -> int:
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            found = re.search(r"MemAvailable:\s+(\d+) kB", file.read())
    except OSError:
        found = None
    return int(found.group(1)) if found else 262_144


__all__ = ["PASSPHRASE_MIN", "SALT", "affordable_cost", "check_cost", "check_passphrase", "stretch"]
