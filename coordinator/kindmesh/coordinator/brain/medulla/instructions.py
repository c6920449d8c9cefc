"""What Medulla's pure part tells its driver to do. In each list everything comes before the one `Answer` at the end."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from kindmesh.protocol.audit import Note

Kind: TypeAlias = Literal[
    "certificate",
    "grant",
    "advert",
    "pending",
    "policy",
    "roster",
    "revocations",
    "serial",
    "bundle",
    "heard-roster",
    "heard-revocations",
    "recall",
    "former-policy",
    "declined",
    "person",
    "invite",
    "person_key",
    "delegation",
    "person_request",
    "held",
    "utterance",
    "standing",
    "routine",
    "did",
]


class Save(msgspec.Struct, frozen=True):
    """Keep `value` under `kind` and `key`, replacing what was there."""

    kind: Kind
    key: bytes
    value: bytes


class Forget(msgspec.Struct, frozen=True):
    """Remove what is kept under `kind` and `key`."""

    kind: Kind
    key: bytes


class Log(msgspec.Struct, frozen=True):
    """Append to Medulla's audit log."""

    note: Note


class Answer(msgspec.Struct, frozen=True):
    """Reply with `value`; `durable`: only once everything before it survives a power cut."""

    value: msgspec.Struct
    durable: bool = False


Instruction: TypeAlias = Save | Forget | Log | Answer

__all__ = ["Answer", "Forget", "Instruction", "Kind", "Log", "Save"]
