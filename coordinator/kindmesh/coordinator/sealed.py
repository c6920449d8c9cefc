"""A key sealed under a passphrase, as a file and as a sheet of paper.

Argon2id stretches the passphrase (`mesh.stretch`), XChaCha20-Poly1305 seals the 32-byte seed; purpose, mesh, public key
and cost are bound as associated data.
On paper: base32 (RFC 4648) in lines of eight groups of four with a line number and two check characters each, so that
a typing error is found in its line; case, spaces and dashes do not matter. The mesh root goes onto such a sheet, the
recovery kit (`kit_sheet`), and comes back from it (`open_recovery_kit`).
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import re
import textwrap
from typing import Final, Literal

import msgspec

from kindmesh.mesh.clock import Entropy
from kindmesh.mesh.stretch import PASSPHRASE_MIN, SALT, affordable_cost, check_cost, check_passphrase, stretch
from kindmesh.protocol.codec import decode, encode
from kindmesh.protocol.crypto import SigningKey, seal, sha256, unseal
from kindmesh.protocol.errors import BadSeal, InvalidInput, Malformed, StoreDamaged, WrongPassphrase
from kindmesh.protocol.ids import format_id, key_id
from kindmesh.protocol.shown import repr_without

Purpose = Literal["owner", "root", "person"]

CODE_PREFIX: Final = "KMR1:"
_LINE: Final = 32
_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz234567"


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

    def __repr__(self) -> str:
        return repr_without(self, "sealed")


def seal_key(
    key: SigningKey, purpose: Purpose, mesh: bytes, passphrase: str, entropy: Entropy, *, after: int = 0
) -> SealedKey:
    """Seal `key` under `passphrase`, at the cost that this device's free memory allows.

    Raises:
        InvalidInput: the passphrase is too short.
        Busy: not enough memory.
    """
    check_passphrase(passphrase)
    mem_kib, ops = affordable_cost()
    empty = SealedKey(
        1, purpose, mesh, key.public, mem_kib, ops, entropy.token(SALT), entropy.token(24), b"", after
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
    check_cost(sealed.mem_kib, sealed.ops, sealed.salt)
    if sealed.version != 1 or (len(sealed.nonce), len(sealed.public)) != (24, 32):
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


def _associated(sealed: SealedKey) -> bytes:
    return b"kindmesh-sealed-key-v1\0" + encode(msgspec.structs.replace(sealed, sealed=b""))


def _stretch(passphrase: str, sealed: SealedKey) -> bytes:
    return stretch(passphrase, sealed.salt, mem_kib=sealed.mem_kib, ops=sealed.ops)


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


def open_recovery_kit(text: str, passphrase: str) -> tuple[SigningKey, SealedKey]:
    """The mesh root, from the printed sheet's text (or its QR code's) and the passphrase; and what was on the sheet.

    Raises:
        InvalidInput: a line is missing or mistyped (named), or this is no kit.
        WrongPassphrase: not this one.
        StoreDamaged, Busy: as `open_key`.
    """
    sealed = from_paper(text)
    if sealed.purpose != "root":
        raise InvalidInput("this is not a recovery kit", field="recovery kit")
    root = open_key(sealed, passphrase)
    if key_id(root.public) != sealed.mesh:
        raise InvalidInput("this kit does not belong to the mesh that it names", field="recovery kit")
    return root, sealed


def kit_sheet(sealed: SealedKey, owner_name: str, now_ms: int) -> str:
    """The sheet to print, for the sealed root."""
    day = dt.datetime.fromtimestamp(now_ms / 1000, dt.UTC).date().isoformat()
    return "\n".join(
        [
            "KINDMESH RECOVERY KIT",
            "",
            f"mesh   {format_id(sealed.mesh)}",
            f"owner  {owner_name}",
            f"made   {day}",
            "",
            "Print this sheet, put it away safely, then delete the file. Together with your passphrase it",
            "makes a new coordinator for your mesh (kindmesh recover), and all devices come back to it.",
            "Without the passphrase it is of no use to anybody. The QR code beside it holds the same.",
            "Try it: kindmesh recover --check. Each line ends with two check characters.",
            "",
            *to_paper(sealed),
            "",
        ]
    )


__all__ = [
    "PASSPHRASE_MIN",
    "Purpose",
    "SealedKey",
    "check_passphrase",
    "from_paper",
    "kit_sheet",
    "open_key",
    "open_recovery_kit",
    "seal_key",
    "sealed_from_bytes",
    "to_code",
    "to_paper",
]
