"""A key sealed under a passphrase, as a file and as a sheet of paper.

Argon2id (RFC 9106; 64 MiB and three passes, less memory and more passes on a board that has little) stretches the
passphrase, XChaCha20-Poly1305 seals the 32-byte seed; purpose, mesh, public key and cost are bound as associated data.
The passphrase is compared in Unicode's composed form (NFKC), so that it can be typed on any keyboard.
On paper: base32 (RFC 4648) in lines of eight groups of four with a line number and two check characters each, so that
a typing error is found in its line; case, spaces and dashes do not matter.
"""

from __future__ import annotations

import base64
import binascii
import re
import textwrap
import unicodedata
from typing import Final, Literal

import msgspec

from kindmesh.mesh.clock import Entropy
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.crypto import SigningKey, argon2id, seal, sha256, unseal
from kindmesh.protocol.errors import BadSeal, Busy, InvalidInput, Malformed, StoreDamaged, WrongPassphrase

Purpose = Literal["owner", "root"]

PASSPHRASE_MIN: Final = 8
CODE_PREFIX: Final = "KMR1:"
_LINE: Final = 32
_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz234567"
_COSTS: Final = ((262_144, 65_536, 3), (98_304, 32_768, 6), (0, 16_384, 12))
"""(memory that is free at least, memory to use, passes), KiB: about the same work each."""


class SealedKey(msgspec.Struct, array_like=True, frozen=True):
    """`mem_kib` and `ops` are Argon2id's cost; `salt` 16, `nonce` 24, `sealed` 48 bytes; `after`, of a root, is the
    version of the list of anchors that it had signed when it was sealed."""

    version: int
    purpose: Purpose
    mesh: bytes
    public: bytes
    mem_kib: int
    ops: int
    salt: bytes
    nonce: bytes
    sealed: bytes
    after: int = 0


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


def seal_key(
    key: SigningKey, purpose: Purpose, mesh: bytes, passphrase: str, entropy: Entropy, *, after: int = 0
) -> SealedKey:
    """Seal `key` under `passphrase`, at the cost that this device's free memory allows.

    Raises:
        InvalidInput: the passphrase is too short.
        Busy: not enough memory.
    """
    check_passphrase(passphrase)
    free = _free_kib()
    mem_kib, ops = next((mem, ops) for least, mem, ops in _COSTS if free >= least)
    empty = SealedKey(
        1, purpose, mesh, key.public, mem_kib, ops, entropy.token(16), entropy.token(24), b"", after
    )
    stretched = _stretch(passphrase, empty)
    return msgspec.structs.replace(empty, sealed=seal(stretched, empty.nonce, key.seed, _associated(empty)))


def open_key(sealed: SealedKey, passphrase: str) -> SigningKey:
    """The key inside.

    Raises:
        WrongPassphrase: not this one (or the bytes were changed, which cannot be told apart).
        StoreDamaged: the bytes cannot be right.
        Busy: not enough memory.
    """
    possible = 8_192 <= sealed.mem_kib <= 1_048_576 and 1 <= sealed.ops <= 64
    if (
        sealed.version != 1
        or not possible
        or (len(sealed.salt), len(sealed.nonce), len(sealed.public)) != (16, 24, 32)
    ):
        raise StoreDamaged("the sealed key is damaged, or from another version of Kindmesh")
    try:
        seed = unseal(_stretch(passphrase, sealed), sealed.nonce, sealed.sealed, _associated(sealed))
        key = SigningKey(seed)
    except (BadSeal, ValueError) as error:
        raise WrongPassphrase(
            hint="Look at capital letters and the keyboard's language, then try again."
        ) from error
    if key.public != sealed.public:
        raise StoreDamaged("the sealed key is another one than its file says")
    return key


def _normal(passphrase: str) -> str:
    return unicodedata.normalize("NFKC", passphrase)


def _associated(sealed: SealedKey) -> bytes:
    return b"kindmesh-sealed-key-v1\0" + encode(msgspec.structs.replace(sealed, sealed=b""))


def _stretch(passphrase: str, sealed: SealedKey) -> bytes:
    try:
        return argon2id(_normal(passphrase).encode(), sealed.salt, ops=sealed.ops, mem_kib=sealed.mem_kib)
    except (RuntimeError, MemoryError) as error:
        raise Busy(
            f"not enough memory is free to open the key ({sealed.mem_kib // 1024} MiB are needed)",
            hint="Close other programs and try again.",
        ) from error


def _free_kib() -> int:
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            found = re.search(r"MemAvailable:\s+(\d+) kB", file.read())
    except OSError:
        found = None
    return int(found.group(1)) if found else 262_144


def to_paper(sealed: SealedKey) -> list[str]:
    """Lines like `01  abcd efgh ...  xy`."""
    text = base64.b32encode(encode(sealed)).decode().lower().rstrip("=")
    lines = []
    for number, part in enumerate(textwrap.wrap(text, _LINE), start=1):
        groups = " ".join(textwrap.wrap(part, 4))
        lines.append(f"{number:02d}  {groups}  {_check(number, part)}")
    return lines


def to_code(sealed: SealedKey) -> str:
    """The same as one text for a QR code: `KMR1:`, base32 without padding (the compact alphanumeric mode), and two
    check characters."""
    body = base64.b32encode(encode(sealed)).decode().rstrip("=")
    return CODE_PREFIX + body + _check(0, body.lower()).upper()


def _from_code(text: str) -> SealedKey:
    body = "".join(text.split()).upper().removeprefix(CODE_PREFIX)
    if _check(0, body[:-2].lower()) != body[-2:].lower():
        raise InvalidInput("the code is damaged or cut off", field="recovery kit", hint="Scan it again.")
    try:
        return sealed_from_bytes(base64.b32decode(body[:-2] + "=" * (-len(body[:-2]) % 8)))
    except (binascii.Error, ValueError, Malformed) as error:
        raise InvalidInput("this code is no recovery kit", field="recovery kit") from error


def from_paper(text: str) -> SealedKey:
    """Undo `to_paper` or `to_code`; other lines around (the sheet's text) are ignored.

    Raises:
        InvalidInput: no such lines, a missing one, or one with a typing error (named).
    """
    if text.strip().upper().startswith(CODE_PREFIX):
        return _from_code(text)
    parts: dict[int, str] = {}
    for line in text.lower().splitlines():
        found = re.fullmatch(r"\s*(\d\d)[ :.]\s*([a-z2-7 \-]+)", line)
        if found is None:
            continue
        number, body = int(found.group(1)), re.sub(r"[ \-]", "", found.group(2))
        if _check(number, body[:-2]) != body[-2:]:
            raise InvalidInput(
                f"line {number} has a typing error", field="recovery kit", hint="Compare it with the sheet."
            )
        parts[number] = body[:-2]
    if not parts:
        raise InvalidInput("there is no recovery kit in this text", field="recovery kit")
    missing = [number for number in range(1, max(parts) + 1) if number not in parts]
    if missing:
        raise InvalidInput(f"line {missing[0]} is missing", field="recovery kit")
    joined = "".join(parts[number] for number in sorted(parts)).upper()
    try:
        raw = base64.b32decode(joined + "=" * (-len(joined) % 8))
        return sealed_from_bytes(raw)
    except (binascii.Error, ValueError, Malformed) as error:
        raise InvalidInput(
            "the last line is missing, or this is no recovery kit", field="recovery kit"
        ) from error


def sealed_from_bytes(data: bytes) -> SealedKey:
    """From the bytes that `encode` made of it.

    Raises:
        Malformed: they are not.
    """
    return decode(SealedKey, data, limit=1024)


def _check(number: int, part: str) -> str:
    digest = sha256(b"kindmesh-paper-v1\0" + bytes([number]) + part.encode())
    return _ALPHABET[digest[0] & 31] + _ALPHABET[digest[1] & 31]


__all__ = [
    "PASSPHRASE_MIN",
    "Purpose",
    "SealedKey",
    "check_passphrase",
    "from_paper",
    "open_key",
    "seal_key",
    "sealed_from_bytes",
    "to_code",
    "to_paper",
]
