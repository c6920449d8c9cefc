"""The owner's word that what a capability of a device keeps is to count as its own again: nothing of the web or of a
model is left in it, or it does not matter.

A device remembers of each capability the strictest origin that it was ever given; nobody but the owner knows when that
is over. The word names the device, the capability and the label as it is then, is good for minutes, and serves once.
It changes where things count as coming from, and not who may know them, and neither changes nor deletes what is kept.
"""

from __future__ import annotations

from typing import Final

import msgspec

from kindmesh.protocol.bounds import KeyId, TimeMs, Word, printable
from kindmesh.protocol.crypto import SigningKey
from kindmesh.protocol.limits import PERMIT_MAX
from kindmesh.protocol.plan_labels import Carried, Source
from kindmesh.protocol.signed import Signed, open_signed, sign_struct

LABEL_RESET_DOMAIN: Final = b"kindmesh-label-reset-v1\0"
LABEL_RESET_FRESH_MS: Final = 600_000
ORIGINS: Final[dict[Source, str]] = {
    "user": "what people said",
    "memory": "the household's own notes",
    "device": "a device",
    "model": "something made up: a language model, a plan's own words, or nobody knows",
    "web": "the web",
}
"""In words, by source."""


class LabelReset(msgspec.Struct, array_like=True, frozen=True):
    """See the module. `label`: what the capability counts as when this is signed."""

    mesh: KeyId
    device: KeyId
    capability: Word
    label: Carried
    issued_ms: TimeMs


def sign_label_reset(reset: LabelReset, owner: SigningKey) -> Signed:
    """Signed by the owner."""
    return sign_struct(reset, LABEL_RESET_DOMAIN, owner)


def open_label_reset(signed: Signed, owner_pub: bytes) -> LabelReset:
    """The word; `BadSignature` when the owner did not sign it."""
    return open_signed(signed, LabelReset, LABEL_RESET_DOMAIN, owner_pub, limit=PERMIT_MAX)


def describe_label_reset(reset: LabelReset, device_name: str) -> list[str]:
    """Lines of the prompt: what counts as what, and what that means."""
    return [
        f"capability {printable(reset.capability)}",
        f"device     {printable(device_name)}",
        f"counts as  {ORIGINS[reset.label.source]}",
        "from now   the device's own, as if nothing else had ever been put into it",
        "so         texts that are in it may be used without a question where a device's may",
        "unchanged  what is in it, and who may know it; look through it first",
    ]


__all__ = [
    "LABEL_RESET_DOMAIN", "LABEL_RESET_FRESH_MS", "ORIGINS", "LabelReset", "describe_label_reset", "open_label_reset",
    "sign_label_reset",
]  # fmt: skip
